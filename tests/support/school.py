"""A school of one room: inventory, people with keys of their own, state folder, and `lab` to work on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import yaml

from lab_tool.settings import PROJECT

EVERYTHING: Mapping[str, object] = {"verbs": "all", "rooms": "all", "up_to": "high"}
PEOPLE: Mapping[str, Mapping[str, object]] = {
    "li_na": {"name": {"zh": "李娜", "en": "Li Na"}, "request": EVERYTHING, "run": EVERYTHING, "keep": True},
    "wang_fang": {
        "name": {"zh": "王芳", "en": "Wang Fang"},
        "request": EVERYTHING,
        "approve": EVERYTHING,
        "run": EVERYTHING,
        "emergency": EVERYTHING,
    },
    "zhao_min": {"name": {"zh": "赵敏", "en": "Zhao Min"}, "audit": True},
}
TECHNICIAN, DIRECTOR, AUDITOR = PEOPLE


@dataclass(frozen=True, slots=True)
class Seat:
    """A machine for the room: its name, address and MAC."""

    name: str
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class SmallSchool:
    """Folders of a school of one room; `lab()` runs the tool on it as one of its people."""

    folder: Path
    room: str

    @property
    def inventory(self) -> Path:
        """The school's inventory."""
        return self.folder / "inventory"

    @property
    def state(self) -> Path:
        """The control node's state."""
        return self.folder / "state"

    @property
    def second_place(self) -> Path:
        """Where checkpoints are copied."""
        return self.folder / "second-place"

    def key(self, person: str) -> Path:
        """The private key of a person."""
        return self.folder / "people" / person

    def environment(self, person: str = TECHNICIAN) -> dict[str, str]:
        """The environment in which `lab` works on this school as `person`."""
        bin_folder = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "LAB_INVENTORY": str(self.inventory),
            "LAB_STATE": str(self.state),
            "LAB_KEY": str(self.key(person)),
            "LAB_LANG": os.environ.get("LAB_LANG", "en"),
        }

    def lab(self, *arguments: str, person: str = TECHNICIAN) -> subprocess.CompletedProcess[str]:
        """Run `lab` to its end, keeping what it said."""
        return subprocess.run(
            [sys.executable, "-m", "lab_tool", *arguments],
            env=self.environment(person),
            cwd=PROJECT,
            text=True,
            capture_output=True,
            check=False,
        )

    def playbook(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `ansible-playbook` by hand, as somebody who goes around `lab` would."""
        ssh = f"-o UserKnownHostsFile={self.state / 'known_hosts'}"
        more = {"ANSIBLE_SSH_ARGS": ssh, "ANSIBLE_PRIVATE_KEY_FILE": str(self.state / "keys" / "ssh"), **extra}
        return subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory / "site.yml"), *arguments],
            env={**self.environment(), **more},
            cwd=PROJECT,
            text=True,
            capture_output=True,
            check=False,
        )


def make_school(folder: Path, room: str, seats: Sequence[Seat], *, ssh_key: Path, known_hosts: Path) -> SmallSchool:
    """Write inventory, keys and state for one room of the given seats (consecutive addresses)."""
    school = SmallSchool(folder, room)
    (school.inventory / "rooms").mkdir(parents=True)
    (school.state / "keys").mkdir(parents=True, mode=0o700)
    school.second_place.mkdir()
    shutil.copytree(PROJECT / "inventory" / "group_vars", school.inventory / "group_vars")
    for path in (school.inventory / "group_vars").glob("*.yml"):
        _hold_passwords(path)
    shutil.copy(ssh_key, school.state / "keys" / "ssh")
    shutil.copy(known_hosts, school.state / "known_hosts")
    _write(school.inventory / "people.yml", {"people": {name: _person(school, name) for name in PEOPLE}})
    _write(school.inventory / "site.yml", _site(school))
    _write(school.inventory / "rooms" / f"{room}.yml", _room(room, seats))
    return school


def _hold_passwords(path: Path) -> None:
    """This school's own people hold the passwords, wherever the example names its own."""
    lines = path.read_text(encoding="utf-8").splitlines()
    held = f"admin_password_holders: [{TECHNICIAN}, {DIRECTOR}]"
    path.write_text("\n".join(held if line.startswith("admin_password_holders:") else line for line in lines) + "\n")


def _person(school: SmallSchool, name: str) -> dict[str, object]:
    school.key(name).parent.mkdir(exist_ok=True, mode=0o700)
    return {**PEOPLE[name], "keys": [_new_key(school.key(name))]}


def _new_key(path: Path) -> str:
    """Make a key pair; the public line without its comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])


def _site(school: SmallSchool) -> dict[str, object]:
    """The shipped site.yml, with this school's log going to a second place of its own."""
    site: dict[str, object] = yaml.safe_load((PROJECT / "inventory" / "site.yml").read_text(encoding="utf-8"))
    log = {
        "origin": "example.school/lab-log",
        "keys": [_new_key(school.state / "keys" / "log")],
        "second_places": [{"folder": str(school.second_place)}],
        "max_checkpoint_age_days": 8,
    }
    return {**site, "log": log}


def _room(room: str, seats: Sequence[Seat]) -> dict[str, object]:
    site = yaml.safe_load((PROJECT / "inventory" / "site.yml").read_text(encoding="utf-8"))
    building, place = next(iter(site["buildings"].items()))
    numbers = range(1, len(seats) + 1)
    block = ip_network(f"{seats[0].address}/22", strict=False)
    return {
        "room": room,
        "name": {"zh": "演示机房", "en": "Demo lab"},
        "campus": place["campus"],
        "building": building,
        "kind": "computer_lab",
        "keeper": TECHNICIAN,
        "profile": "student",
        "os": "debian12",
        "seats": {
            "range": f"1-{len(seats)}",
            "name": f"{room}-##",
            "addresses": {"block": str(block), "first": seats[0].address},
        },
        "differences": {number: {"mac": seat.mac} for number, seat in zip(numbers, seats, strict=True)},
        "canary": [1],
    }


class _Plain(yaml.SafeDumper):
    """Writes what is there twice twice: the school's files may hold no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.dump(content, Dumper=_Plain, allow_unicode=True, sort_keys=False), encoding="utf-8")
