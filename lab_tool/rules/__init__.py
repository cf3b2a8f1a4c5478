"""What the regulations demand and how it is met, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab_tool.rules.data import read
from lab_tool.school.model import Risk, Text


@dataclass(frozen=True, slots=True)
class Verb:
    """Something done to machines. `playbook` is a path in the project, `risk` the least a change of it has.

    `role` is the one whose inputs a plan may set, as documented at the entry point `entry`; empty where a plan sets
    none. `until` is the input that takes the end of the window (UTC, seconds), or empty. `evidence` names the verbs
    whose outcome has to be read back from a host. `owner` is the input that names a machine whose data is brought to
    another, or empty. One that only `reads` is run in check mode and nowhere else. `brings` names files and folders of
    the project, outside of roles and plugins, that are brought to a host or act for it; `gathers` variables that it
    reads of all machines of the inventory, so that an approval is bound to them too.
    """

    id: str
    name: Text
    playbook: str
    role: str
    risk: Risk
    rules: tuple[str, ...]
    until: str
    entry: str
    evidence: tuple[str, ...]
    owner: str
    reads: bool
    brings: tuple[str, ...] = ()
    gathers: tuple[str, ...] = ()


def _load_verbs() -> dict[str, Verb]:
    return {
        name: Verb(
            id=name,
            name=Text(**fields["name"]),
            playbook=fields["playbook"],
            role=fields.get("role", ""),
            risk=fields["risk"],
            rules=tuple(fields["rules"]),
            until=fields.get("until", ""),
            entry=fields.get("entry", "main"),
            evidence=tuple(fields.get("evidence", (name,))),
            owner=fields.get("owner", ""),
            reads=fields.get("reads", False),
            brings=tuple(fields.get("brings", ())),
            gathers=tuple(fields.get("gathers", ())),
        )
        for name, fields in read("verbs.yml").items()
    }


VERBS: Mapping[str, Verb] = _load_verbs()
