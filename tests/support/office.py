"""A school without machines, made in memory, with real keys, a real log and a clock that tests move."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lab_tool.core import change, decision, policy
from lab_tool.core.change_state import ChangeState, get_change
from lab_tool.core.decision import Credential, Decided
from lab_tool.core.gate import Approval, require_runnable
from lab_tool.core.plan import Plan, make_plan
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.school.model import Grant, Host, Key, LogPolicy, Person, Room, School, Text
from lab_tool.settings import PROJECT, Settings
from lab_tool.signature import public_line

ROOMS = frozenset({"a301", "a302"})
NOTHING = Grant(frozenset(), frozenset())
PATCHING = Grant(frozenset({"patch"}), ROOMS, "high")
# A Tuesday; 18:20 in Shanghai.
START = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)


@cache
def key_folder() -> Path:
    """Keys for all tests of this process; making them anew for each would take longer than the tests."""
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="lab-test-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def key_of(name: str) -> Path:
    """The private key called `name`, made when it is first asked for."""
    path = key_folder() / name
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


def person(name: str, **rights: Any) -> Person:
    """Somebody with a key of their own and only the rights named."""
    fields: dict[str, Any] = {
        "keys": (Key(public_line(key_of(name)), None, None),),
        "request": NOTHING,
        "approve": NOTHING,
        "run": NOTHING,
        "emergency": NOTHING,
        "keep": False,
        "audit": False,
        "service": False,
    }
    return Person(name, Text(name, name), **{**fields, **rights})


def room(name: str, seats: int, **differences: Mapping[str, Any]) -> Room:
    """A computer lab; `differences` by host name with _ for -."""
    hosts = []
    for seat in range(1, seats + 1):
        host = f"{name}-{seat:02d}"
        usual = Host(
            host, name, seat, f"192.0.2.{seat}", "", f"02:00:00:00:{int(name[1:]) % 100:02x}:{seat:02x}",
            "", "debian12", "student", False, "",
        )  # fmt: skip
        hosts.append(replace(usual, **differences.get(host.replace("-", "_"), {})))
    return Room(name, Text(name, name), "north", "b1", "computer_lab", "tech", "student", "debian12", tuple(hosts))


def make_people() -> dict[str, Person]:
    """A technician and a director, a deputy for small things, a second director, a timer, and one without rights."""
    low = Grant(frozenset({"patch"}), frozenset({"a301"}), "low")
    return {
        "tech": person("tech", request=PATCHING, run=PATCHING),
        "head": person("head", request=PATCHING, approve=PATCHING, run=PATCHING, emergency=PATCHING),
        "deputy": person("deputy", approve=low),
        "second": person("second", request=PATCHING, approve=PATCHING),
        "timer": person("timer", run=PATCHING, service=True),
        "guest": person("guest"),
    }


@dataclass
class Office:
    """The folders, the school, the time, and the everyday acts of its people. All of it may be changed by a test."""

    settings: Settings
    school: School
    now: datetime = START
    # What group_vars would say.
    variables: dict[str, Any] = field(default_factory=lambda: {"patch_scope": "security"})
    shown: list[ChangeState] = field(default_factory=list)

    def clock(self) -> datetime:
        """The time it is; every look at it takes a millisecond, so that no two moments are one."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def host_variables(self) -> dict[str, dict[str, Any]]:
        """What Ansible would say."""
        return {
            host.name: {"ansible_host": host.address, "lab_mac": host.mac, "lab_room": room.id, **self.variables}
            for room in self.school.rooms.values()
            for host in room.hosts
        }

    def with_rooms(self, *rooms: Room) -> None:
        """Other rooms from now on."""
        self.school = replace(self.school, rooms={room.id: room for room in rooms})

    def with_person(self, name: str, **fields: Any) -> None:
        """Somebody's entry in people.yml is different from now on."""
        people = dict(self.school.people)
        people[name] = replace(people[name], **fields)
        self.school = replace(self.school, people=people)

    def without(self, name: str) -> None:
        """Somebody is taken out of people.yml."""
        people = {other: person for other, person in self.school.people.items() if other != name}
        self.school = replace(self.school, people=people)

    def request(self, by: str = "tech", **fields: Any) -> ChangeState:
        """Request patch on a301, or what `fields` of the wish say."""
        wish = change.Wish(**{"verb": "patch", "rooms": ("a301",), "hosts": (), "why": "Term starts", **fields})
        return change.request(self.settings, self.school, wish, key_of(by), self.clock)

    def approve(self, state: ChangeState, by: str = "head") -> Decided:
        """Approve with the key of that name."""
        return self.decide(state, Credential(key=key_of(by)))

    def decide(self, state: ChangeState, credential: Credential) -> Decided:
        """Approve in one of the two ways."""
        return decision.approve(self.settings, self.school, state.id, credential, self.clock, self.shown.append)

    def reject(self, state: ChangeState, by: str = "head", why: str = "Exams") -> Decided:
        """Reject with the key of that name."""
        return decision.reject(self.settings, self.school, state.id, why, Credential(key=key_of(by)), self.clock)

    def plan(self, *hosts: str, verb: str = "patch") -> Plan:
        """A plan made now; for a301 when no host is named."""
        chosen = hosts or tuple(host.name for host in self.school.rooms["a301"].hosts)
        return make_plan(self.settings, self.school, verb, chosen, {})

    def again(self, state: ChangeState) -> Plan:
        """The plan of a change, made anew."""
        return make_plan(self.settings, self.school, state.verb, state.hosts, state.overrides)

    def gate(self, state: ChangeState, resumes: str = "") -> Approval:
        """Whether it may be run now."""
        return require_runnable(self.settings, self.school, state, self.again(state), self.now, resumes=resumes)

    def state(self, state: ChangeState) -> ChangeState:
        """The same change, as the log tells of it now."""
        return get_change(self.settings, state.id)

    def append(self, kind: str, state: ChangeState, actor: str, body: Mapping[str, Any], run: str = "") -> Entry:
        """Write an entry by hand, as somebody who goes around `lab` would."""
        subject = Subject(state.id, run, state.hosts, state.rooms)
        return LogStore(self.settings.log, self.clock).append(actor=actor, kind=kind, subject=subject, body=body)

    def ran(self, state: ChangeState, run: str = "r-20261124T102030-1f2e", *, ended: bool = True) -> None:
        """A real run of it in the log."""
        self.append("run.started", state, "tech", {"check": False}, run)
        if ended:
            self.append("run.finished", state, "tech", {"outcomes": {}}, run)

    def kinds(self, prefix: str = "change.") -> list[str]:
        """The kinds of the log's entries that begin so."""
        return [entry.kind for entry in find(self.settings.log, Query(kinds=(f"{prefix}*",)))]


def make_office(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """An office whose project is a copy that tests may edit."""
    project, inventory = folder / "project", folder / "inventory"
    copy_project(project)
    (inventory / "rooms").mkdir(parents=True)
    (inventory / "group_vars").mkdir()
    (inventory / "site.yml").write_text("plugin: lab_rooms\n", encoding="utf-8")
    (inventory / "group_vars" / "all.yml").write_text("patch_scope: security\n", encoding="utf-8")
    rooms = [room("a301", 4), room("a302", 2)]
    log = LogPolicy("school.example/lab-log", (), (), 8)
    people = make_people()
    school = School(Text("x", "x"), "Asia/Shanghai", {room.id: room for room in rooms}, people, log)
    office = Office(Settings(project, inventory, folder / "state"), school)
    # Asking Ansible takes a second; what it answers is tested where plans are.
    monkeypatch.setattr(policy, "_host_variables", lambda settings: office.host_variables())
    return office


def copy_project(project: Path, parts: Sequence[str] = ("playbooks", "roles", "lab_tool/plugins")) -> None:
    """A copy of what runs."""
    project.mkdir()
    shutil.copy(PROJECT / "ansible.cfg", project / "ansible.cfg")
    for part in parts:
        shutil.copytree(PROJECT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
