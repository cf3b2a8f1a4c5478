"""Plans: which verb would do what on which hosts, with everything that decides it, under one digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_tool.canonical import Json, dump
from lab_tool.core.content import content_of
from lab_tool.core.moved import moved
from lab_tool.core.overrides import check_overrides
from lab_tool.core.policy import inventory_files, policies
from lab_tool.core.versions import versions
from lab_tool.errors import UsageError, VerificationError
from lab_tool.rules import VERBS
from lab_tool.school.model import Host, School
from lab_tool.settings import Settings

# The programs whose version decides what a run does.
BINDING_VERSIONS = ("ansible", "lab")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. All of it is under the digest, except `about`.

    `hosts` are acted on, `excluded` (name -> reason) were asked for and are out of order; `whole_rooms` were asked for
    with every host they have. `machines` tells for each host which machine it is (room, address, MAC ...), `policy` the
    digest of its other variables, `content` the SHA-256 of each file that runs. `overrides` are values from `--set`.
    `about` says where the plan was made: commit, dirty, and the files the variables came from.
    """

    verb: str
    rooms: tuple[str, ...]
    whole_rooms: tuple[str, ...]
    hosts: tuple[str, ...]
    excluded: Mapping[str, str]
    machines: Mapping[str, Mapping[str, str]]
    policy: Mapping[str, str]
    content: Mapping[str, str]
    overrides: Mapping[str, Json]
    versions: Mapping[str, str]
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[str, ...]:
        """Every host that was asked for: what to give `make_plan` to make this plan again."""
        return tuple(sorted((*self.hosts, *self.excluded)))

    @property
    def signed(self) -> bytes:
        """The canonical JSON of all but `about`: what the digest is of."""
        return dump(self._bound())

    @property
    def digest(self) -> str:
        """SHA-256 of it, in hexadecimal."""
        return hashlib.sha256(self.signed).hexdigest()

    @property
    def procedure(self) -> str:
        """The digest of how it is done, whatever the hosts: verb, files and settings."""
        bound: dict[str, Json] = {"verb": self.verb, "content": dict(self.content), "settings": dict(self.overrides)}
        return hashlib.sha256(dump(bound)).hexdigest()

    def as_json(self) -> dict[str, Json]:
        """For the log and for the plan's file."""
        return {"plan": self._bound(), "about": dict(self.about)}

    def _bound(self) -> dict[str, Json]:
        return {
            "v": 1,
            "type": "plan",
            "verb": self.verb,
            "rooms": list(self.rooms),
            "whole_rooms": list(self.whole_rooms),
            "hosts": list(self.hosts),
            "excluded": dict(self.excluded),
            "machines": {name: dict(machine) for name, machine in self.machines.items()},
            "policy": dict(self.policy),
            "content": dict(self.content),
            "settings": dict(self.overrides),
            "versions": dict(self.versions),
        }


def make_plan(
    settings: Settings, school: School, verb: str, hosts: Sequence[str], overrides: Mapping[str, Json]
) -> Plan:
    """The plan of `verb` on `hosts`, from the files alone: no PC is asked, and the same files give the same plan.

    Raises `UsageError` for an unknown verb, host or setting, and where no host is left that is in order.
    """
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}", next_command="lab plan --help")
    asked = _asked(school, hosts)
    working = tuple(sorted(host.name for host in asked.values() if not host.out_of_order))
    if not working:
        raise UsageError(f"nothing to do: all of {', '.join(sorted(asked))} is out of order")
    rooms = tuple(sorted({host.room for host in asked.values()}))
    known = policies(settings, working, VERBS[verb].gathers)
    seen = versions(settings.project)
    return Plan(
        verb=verb,
        rooms=rooms,
        whole_rooms=tuple(room for room in rooms if all(host.name in asked for host in school.rooms[room].hosts)),
        hosts=working,
        excluded={name: host.out_of_order for name, host in sorted(asked.items()) if host.out_of_order},
        machines={name: {"room": asked[name].room, **known[name].identity} for name in working},
        policy={name: known[name].digest for name in working},
        content=content_of(settings.project, VERBS[verb]),
        overrides=check_overrides(settings.project, VERBS[verb], overrides),
        versions={name: str(seen[name]) for name in BINDING_VERSIONS},
        about={
            "commit": seen["commit"],
            "dirty": seen["dirty"],
            "inventory": inventory_files(settings, rooms),
            "not_asked": [host.name for room in rooms for host in school.rooms[room].hosts if host.name not in asked],
        },
    )


def what_moved(old: Plan, new: Plan) -> tuple[str, ...]:
    """What differs in `new`, in words: hosts, machines, variables, files, settings, versions. Empty if nothing is."""
    if old.digest == new.digest:
        return ()
    return tuple(moved(old.as_json(), new.as_json())) or ("the plan, in a way this version has no words for",)


def read_plan(stored: Any, digest: str) -> Plan:
    """The plan that `as_json` gave; raises `VerificationError` when it isn't the one of that digest."""
    try:
        bound = stored["plan"]
        plan = Plan(
            verb=bound["verb"],
            rooms=tuple(bound["rooms"]),
            whole_rooms=tuple(bound["whole_rooms"]),
            hosts=tuple(bound["hosts"]),
            excluded=bound["excluded"],
            machines=bound["machines"],
            policy=bound["policy"],
            content=bound["content"],
            overrides=bound["settings"],
            versions=bound["versions"],
            about=stored.get("about", {}),
        )
        if plan.digest == digest:
            return plan
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise VerificationError(f"this is not the plan {digest[:12]}", next_command="lab log verify")


def keep_plan(settings: Settings, plan: Plan) -> Path:
    """Write the plan to `state/plans/<digest>.json` for people and programs; the one that counts is in the log."""
    folder = settings.state / "plans"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{plan.digest}.json"
    unfinished = folder / f".{plan.digest}.{os.getpid()}"
    unfinished.write_text(json.dumps(plan.as_json(), ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
    unfinished.replace(path)
    return path


def _asked(school: School, names: Sequence[str]) -> dict[str, Host]:
    every = {host.name: host for room in school.rooms.values() for host in room.hosts}
    unknown = [name for name in names if name not in every]
    if unknown or not names:
        what = f"there is no host {', '.join(unknown[:10])}" if unknown else "no host was named"
        raise UsageError(what, next_command="lab rooms")
    return {name: every[name] for name in names}
