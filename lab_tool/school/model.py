"""What a school is, once its inventory has been read and found good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Risk = Literal["low", "medium", "high"]
RISKS: tuple[Risk, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Text:
    """A name in the two languages of the school."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Host:
    """One machine. `out_of_order` is empty for a working one, else the reason it is left out."""

    name: str
    room: str
    seat: int
    address: str
    address6: str
    mac: str
    asset: str
    os: str
    profile: str
    canary: bool
    out_of_order: str


@dataclass(frozen=True, slots=True)
class Room:
    """A place with machines, in seat order; `per_row` seats stand side by side."""

    id: str
    name: Text
    campus: str
    building: str
    kind: str
    keeper: str
    profile: str
    os: str
    hosts: tuple[Host, ...]
    per_row: int = 8


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person may do something with: verbs and room ids (already resolved), up to a risk."""

    verbs: frozenset[str]
    rooms: frozenset[str]
    up_to: Risk = "low"

    def covers(self, verb: str, rooms: frozenset[str], risk: Risk) -> bool:
        """Whether this grant reaches the verb on every one of the rooms at that risk."""
        return verb in self.verbs and rooms <= self.rooms and RISKS.index(risk) <= RISKS.index(self.up_to)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key line (`ssh-ed25519 AAAA...`) and the days it is valid, both included; None is open."""

    line: str
    first_day: date | None
    last_day: date | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody (or a service such as the weekend timer) who may do things, proved by an SSH key."""

    id: str
    name: Text
    keys: tuple[Key, ...]
    request: Grant
    approve: Grant
    run: Grant
    emergency: Grant
    keep: bool
    audit: bool
    service: bool


@dataclass(frozen=True, slots=True)
class SecondPlace:
    """Where checkpoints are copied: kind `folder`, `git`, `mail` or `witness`; `target` is the kind's own text."""

    kind: Literal["folder", "git", "mail", "witness"]
    target: str


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """The log's name, the public keys that may sign its checkpoints, and where copies go."""

    origin: str
    keys: tuple[Key, ...]
    second_places: tuple[SecondPlace, ...]
    max_checkpoint_age_days: int


@dataclass(frozen=True, slots=True)
class System:
    """An operating system, and the kind of connection Ansible uses to it."""

    name: Text
    connection: Literal["ssh", "winrm", "psrp"]


@dataclass(frozen=True, slots=True)
class School:
    """The whole inventory. Mappings are keyed by id and in file order. `limits` are days, where not the usual."""

    name: Text
    time_zone: str
    rooms: Mapping[str, Room]
    people: Mapping[str, Person]
    log: LogPolicy
    campuses: Mapping[str, Text] = field(default_factory=dict)
    buildings: Mapping[str, Text] = field(default_factory=dict)
    profiles: Mapping[str, Text] = field(default_factory=dict)
    systems: Mapping[str, System] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def host(self, name: str) -> Host | None:
        """The host of that name, or None."""
        return next((host for room in self.rooms.values() for host in room.hosts if host.name == name), None)
