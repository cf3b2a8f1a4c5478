"""Ansible module `lab_backup_evidence`: read back from each repository what it holds of a PC."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.places import PLACES_SPEC, read_checks, repository_of
from ansible.module_utils.lab_backup.restic import ResticError
from ansible.module_utils.lab_backup.snapshots import by_id, future, seconds, utc
from ansible.module_utils.lab_backup.verdict import Reading, judge
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_backup_evidence
short_description: Read back from each repository what it holds of a PC
description:
  - Asks each repository itself for its id, its snapshots and the size of this run's snapshot. No exit code counts.
  - The outcome is C(ok) only if every repository is the one its server told of, holds this run's snapshot with files in
    it, all files and dumps could be read, the part of the data that was checked is sound, and no snapshot is dated in
    the future.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Reads the snapshots that are there, and says what would be done.
    support: full
options:
  places:
    description: The PC's repositories; empty where nothing can be read, as for a failure before it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name on the PC.
        type: str
        required: true
      server:
        description: The inventory's name of its server.
        type: str
        required: true
      off_site:
        description: Whether it is outside the school.
        type: bool
        default: false
      repository:
        description: Its id, as the server told it.
        type: str
        default: ""
  host:
    description: Under which name the PC's snapshots stand.
    type: str
    default: ""
  act:
    description: What M(lab_backup_run) returned.
    type: dict
    default: {}
  clock_limit:
    description: By how many seconds clocks may differ.
    type: int
    default: 300
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back what the repositories hold
  lab_backup_evidence:
    places: "{{ __backup_places }}"
    host: "{{ inventory_hostname }}"
    act: "{{ __backup_run.act }}"
"""

RETURN = """
evidence:
  description: What was read, for the log.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(backup).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), or what would be done in check mode.
      type: str
      returned: always
    values:
      description: >
        run (the tag of this run's snapshots) and repositories, by name: server; off_site; repository (id); snapshot
        (id of this run's, or of the newest in check mode; empty for none); time (UTC) and age (seconds) of the newest
        snapshot; entries and bytes (files and folders, and their size, of that snapshot); files, added (bytes),
        unreadable and vanished (of this run); snapshots (how many); oldest (UTC); future (ids dated in the future);
        check (part, parts, at, damage of the last reading of data; empty before the first); trouble.
      type: dict
      returned: always
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "places": {**PLACES_SPEC, "required": False, "default": []},
            "host": {"type": "str", "default": ""},
            "act": {"type": "dict", "default": {}},
            "clock_limit": {"type": "int", "default": 300},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    checks = read_checks()
    values: dict[str, Any] = {}
    readings = []
    for place in given["places"]:
        reading, value = _read(module, place, checks.get(place["name"], {}))
        readings.append(reading)
        values[place["name"]] = value
    outcome, reason = judge(given["act"], readings, given["failure"], check=module.check_mode)
    end(module, "backup", outcome, reason, {"run": str(given["act"].get("tag", "")), "repositories": values})


def _read(module: Any, place: dict[str, Any], check: dict[str, Any]) -> tuple[Reading, dict[str, Any]]:
    name, now = place["name"], int(time.time())
    act = module.params["act"].get("places", {}).get(name, {})
    value = {"server": place["server"], "off_site": place["off_site"], "check": check, "trouble": ""}
    value.update({key: act.get(key, 0) for key in ("files", "added", "unreadable", "vanished")})
    repository = repository_of(module, name)
    if module.check_mode and not repository.is_set_up:
        return Reading(name, ""), value
    try:
        known = str(repository.read("cat", "config")["id"])
        if place["repository"] and known != place["repository"]:
            raise ResticError(f"another repository ({known[:10]}) stands in the place of {place['repository'][:10]}")
        found = repository.snapshots(module.params["host"])
        ours = by_id(found, act.get("snapshot", "")) if not module.check_mode else None
        newest = ours or (found[-1] if found else None)
        size = repository.read("stats", str(newest["id"])) if newest else {}
    except (ResticError, ValueError, KeyError, OSError) as error:
        trouble = str(act.get("trouble") or error or "it can't be read")
        return Reading(name, "", trouble), {**value, "trouble": trouble}
    ours = ours if ours and module.params["act"].get("tag") in (ours.get("tags") or ()) else None
    shown = ours or (newest if module.check_mode else None)
    moment = seconds(str(newest["time"])) if newest else 0
    ahead = future(found, now, module.params["clock_limit"])
    value |= {
        "repository": known,
        "snapshot": str(shown["id"]) if shown else "",
        "time": utc(moment),
        "age": now - moment if moment else 0,
        "entries": int(size.get("total_file_count", 0)),
        "bytes": int(size.get("total_size", 0)),
        "snapshots": len(found),
        "oldest": utc(seconds(str(found[0]["time"]))) if found else "",
        "future": ahead,
    }
    unsound = f"part {check['part']} of {check['parts']}: {check['damage']}" if check.get("damage") else ""
    return Reading(name, str(ours["id"]) if ours else "", future=ahead, unchecked=unsound), value


if __name__ == "__main__":
    main()
