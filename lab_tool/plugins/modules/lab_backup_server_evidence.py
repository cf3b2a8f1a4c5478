"""Ansible module `lab_backup_server_evidence`: read back what a backup server does."""

from __future__ import annotations

import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.snapshots import utc
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_backup_server_evidence
short_description: Read back what a backup server does
description:
  - Asks the process that runs, not its settings, whether it is append-only and keeps PCs apart; asks the server over
    TLS, as a PC does, whether it turns away who has no account; and reads what its retention last did.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: A server that is not set up yet is no failure.
    support: full
options:
  path:
    description: The folder of the repositories.
    type: path
    default: /srv/lab-backup
  port:
    description: The port of the server.
    type: int
    default: 8443
  address:
    description: The address that PCs reach it by.
    type: str
    default: ""
  authority:
    description: The certificate (PEM) that the server's must be of.
    type: str
    default: ""
  custodian:
    description: The person in whose keeping it is.
    type: str
    default: ""
  off_site:
    description: Whether it is outside the school.
    type: bool
    default: false
  days:
    description: For how many days snapshots are kept.
    type: int
    default: 0
  now:
    description: The control node's time, in seconds; 0 leaves the clock unasked.
    type: int
    default: 0
  clock_limit:
    description: By how many seconds the server's clock may differ.
    type: int
    default: 300
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back what the server does
  lab_backup_server_evidence:
    address: 198.51.100.20
    authority: "{{ __backup_server_secrets.authority }}"
    days: 365
"""

RETURN = """
evidence:
  description: What was read, for the log.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(backup_server).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok).
      type: str
      returned: always
    values:
      description: >
        custodian; off_site; days; append_only and private (of the process that runs); free (bytes); retention_at (UTC,
        empty before the first time); repositories, by PC: snapshots, first and last (UTC, when they came in), odd (ids
        that bear a later date than they came in), forgotten (by the last retention), trouble.
      type: dict
      returned: always
"""

UNIT = "lab-backup-server.service"
REPORT = Path("/var/lib/lab-backup-server/report.json")
# The timer runs daily; three days without it are no accident.
RETENTION_LATE = 3 * 86400


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/srv/lab-backup"},
            "port": {"type": "int", "default": 8443},
            "address": text,
            "authority": text,
            "custodian": text,
            "off_site": {"type": "bool", "default": False},
            "days": {"type": "int", "default": 0},
            "now": {"type": "int", "default": 0},
            "clock_limit": {"type": "int", "default": 300},
            "failure": text,
        },
        supports_check_mode=True,
    )
    given = module.params
    values: dict[str, Any] = {key: given[key] for key in ("custodian", "off_site", "days")}
    wrong = [given["failure"]] if given["failure"] else []
    if not wrong:
        wrong = _read(module, values)
    if module.check_mode and not given["failure"]:
        wrong = []
    outcome, reason = ("failed", "; ".join(wrong)) if wrong else ("ok", "")
    end(module, "backup_server", outcome, reason, values)


def _read(module: Any, values: dict[str, Any]) -> list[str]:
    given, now, wrong = module.params, int(time.time()), []
    arguments = _arguments(module)
    values["append_only"], values["private"] = "--append-only" in arguments, "--private-repos" in arguments
    values["free"] = shutil.disk_usage(given["path"]).free if Path(given["path"]).is_dir() else 0
    if not arguments:
        wrong.append("the server does not run")
    elif not (values["append_only"] and values["private"]):
        wrong.append("the server that runs lets PCs delete or read what is not theirs")
    elif given["address"]:
        wrong += _ask(given["address"], given["port"], given["authority"])
    skew = now - given["now"] if given["now"] else 0
    if abs(skew) > given["clock_limit"]:
        wrong.append(f"the server's clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} the control node's")
    return wrong + _retention(values, now)


def _arguments(module: Any) -> list[str]:
    """The command line of the server that runs; empty when none does."""
    _, out, _ = module.run_command(["systemctl", "show", "--property=MainPID", "--value", UNIT])
    process = out.strip()
    try:
        return (Path("/proc") / process / "cmdline").read_text(encoding="utf-8").split("\0") if process != "0" else []
    except OSError:
        return []


def _ask(address: str, port: int, authority: str) -> list[str]:
    """What is wrong with how the server answers somebody without an account. It may have begun a moment ago."""
    host = f"[{address}]" if ":" in address else address
    context = ssl.create_default_context(cadata=authority)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    said = ""
    for _ in range(20):
        try:
            opener.open(f"https://{host}:{port}/", timeout=10)
            return ["the server lets in who has no account"]
        except urllib.error.HTTPError as error:
            return [] if error.code == 401 else [f"the server answers {error.code} where it should ask for an account"]
        except OSError as error:
            said = str(getattr(error, "reason", error))
            time.sleep(0.25)
    return [f"the server does not answer as a PC asks it: {said[:200]}"]


def _retention(values: dict[str, Any], now: int) -> list[str]:
    """What the last retention did; nothing before its first time."""
    values["retention_at"], values["repositories"] = "", {}
    try:
        report = json.loads(REPORT.read_text(encoding="ascii"))
    except FileNotFoundError:
        return []
    values["retention_at"] = utc(report["at"])
    wrong = []
    for name, found in report["clients"].items():
        values["repositories"][name] = {
            **found,
            **{key: utc(found[key]) for key in ("first", "last") if key in found},
        }
        if found["trouble"]:
            wrong.append(f"retention of {name}: {found['trouble']}")
        if found.get("odd"):
            ids = ", ".join(one[:8] for one in found["odd"][:5])
            wrong.append(f"{name} has snapshots dated later than they came in: {ids}")
    if now - report["at"] > RETENTION_LATE:
        wrong.append(f"retention last ran {values['retention_at']}")
    return wrong


if __name__ == "__main__":
    main()
