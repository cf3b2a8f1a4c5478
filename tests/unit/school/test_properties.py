"""Rooms thrown at the loader: sound ones load, spoiled ones are refused at a line, and nothing else ever happens."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lab_tool.school.load import load_school
from lab_tool.school.problem import InventoryError, Problem
from tests.unit.school import small

WORDS = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=20)
IDS = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
Room = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """Rooms by id, as their files hold them."""

    rooms: dict[str, Room]


@st.composite
def rooms(draw: st.DrawFn, identity: str, number: int) -> Room:
    """A sound room; `number` keeps its block, MACs and asset numbers apart from those of others."""
    first = draw(st.integers(1, 960))
    last = draw(st.integers(first, first + 35))
    seats = list(range(first, last + 1))
    block = IPv4Network((0x0A000000 + number * 256, draw(st.integers(24, 26))))
    room: Room = {
        "room": identity,
        "name": {"zh": draw(WORDS), "en": draw(WORDS)},
        "campus": "north",
        "building": "house_1",
        "kind": draw(st.sampled_from(["computer_lab", "office", "server_room", "stage"])),
        "keeper": "wang_fang",
        "profile": draw(st.sampled_from(["student", "teacher"])),
        "os": draw(st.sampled_from(["debian12", "windows11"])),
        "seats": {
            "range": f"{first}-{last}",
            "name": f"{identity.replace('_', '-')}-r{number}-{'#' * draw(st.integers(1, 3))}",
            "addresses": {"block": str(block), "first": str(block[draw(st.integers(1, 20))])},
        },
        "canary": draw(st.lists(st.sampled_from(seats), unique=True, max_size=3)),
        "differences": {},
    }
    if draw(st.booleans()):
        room["seats"]["addresses6"] = f"2001:db8:{number:x}::/64"
    for seat in draw(st.lists(st.sampled_from(seats), unique=True, max_size=6)):
        own = {"mac": f"02:00:00:{number:02x}:{seat >> 8:02x}:{seat & 255:02x}", "asset": f"A{number}-{seat}"}
        own |= draw(st.sampled_from([{}, {"profile": "teacher"}, {"os": "debian12"}, {"out_of_order": "待修"}]))
        room["differences"][seat] = own
    return room


@st.composite
def schools(draw: st.DrawFn) -> Drawn:
    """One to three sound rooms."""
    ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
    return Drawn({name: draw(rooms(name, number)) for number, name in enumerate(ids)})


def load(drawn: Drawn) -> Any:
    """Write the rooms beside a sound site and people, and load them."""
    with tempfile.TemporaryDirectory() as name:
        inventory = small.write(Path(name) / "inventory")
        shutil.rmtree(inventory / "rooms")
        (inventory / "rooms").mkdir()
        people = small.PEOPLE.replace("rooms: [a301]", "rooms: all")
        (inventory / "people.yml").write_text(people, encoding="utf-8")
        for room, content in drawn.rooms.items():
            text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000)
            (inventory / "rooms" / f"{room}.yml").write_text(text, encoding="utf-8")
        return load_school(inventory)


def quoted(drawn: Drawn) -> Drawn:
    """Without the few texts that our YAML reads as a number where PyYAML writes them without quotes."""
    texts = [text for room in drawn.rooms.values() for text in room["name"].values()]
    assume(not any(text.lower() in ("true", "false", "null") for text in texts))
    return drawn


@settings(max_examples=150, deadline=None)
@given(schools().map(quoted))
def test_sound_rooms_load_and_no_two_hosts_are_alike(drawn: Drawn) -> None:
    school = load(drawn)
    hosts = [host for room in school.rooms.values() for host in room.hosts]
    assert len({host.name for host in hosts}) == len(hosts)
    assert len({host.address for host in hosts}) == len(hosts)
    with_6 = [host.address6 for host in hosts if host.address6]
    assert len(set(with_6)) == len(with_6)
    for name, room in drawn.rooms.items():
        first, last = map(int, room["seats"]["range"].split("-"))
        block = IPv4Network(room["seats"]["addresses"]["block"])
        made = school.rooms[name].hosts
        assert [host.seat for host in made] == list(range(first, last + 1))
        assert all(IPv4Network(host.address).subnet_of(block) for host in made)
        assert {host.seat for host in made if host.canary} == set(room["canary"])
        for seat, own in room["differences"].items():
            host = made[seat - first]
            assert {key: getattr(host, key) for key in own} == own


def _set(path: str, value: Any) -> Callable[[Room], None]:
    def spoil(room: Room) -> None:
        *folders, last = path.split(".")
        for folder in folders:
            room = room[folder]
        room[last] = value

    return spoil


def _drop(key: str) -> Callable[[Room], None]:
    return lambda room: room.pop(key)


def _backwards(room: Room) -> None:
    first, last = room["seats"]["range"].split("-")
    room["seats"]["range"] = f"{int(last) + 1}-{first}"


def _outside(room: Room) -> None:
    room["differences"][int(room["seats"]["range"].split("-")[1]) + 1] = {"asset": "outside"}


def _canary_outside(room: Room) -> None:
    room["canary"].append(int(room["seats"]["range"].split("-")[1]) + 1)


def _twin(room: Room) -> None:
    first, last = map(int, room["seats"]["range"].split("-"))
    assume(first != last)
    for seat in (first, last):
        room["differences"].setdefault(seat, {})["asset"] = "twin"


SPOILERS: dict[str, Callable[[Room], None]] = {
    **{f"without {key}": _drop(key) for key in ("room", "name", "campus", "building", "kind", "keeper", "os", "seats")},
    "a campus nobody knows": _set("campus", "moon"),
    "a keeper nobody knows": _set("keeper", "nobody"),
    "a keeper who keeps nothing": _set("keeper", "li_ming"),
    "a profile nobody knows": _set("profile", "boss"),
    "a system nobody knows": _set("os", "plan9"),
    "a kind nobody knows": _set("kind", "cellar"),
    "an unknown key": _set("colour", "blue"),
    "a number for a name": _set("name.en", 7),
    "a list for a name": _set("name", ["a"]),
    "nothing for the seats": _set("seats", None),
    "a first address outside": _set("seats.addresses.first", "203.0.113.1"),
    "a template": _set("name.en", "{{ lookup('pipe', 'id') }}"),
    "a command": _set("name.zh", "$(id)"),
    "two lines": _set("name.zh", "a\nb"),
    "a capital in the host names": _set("seats.name", "Lab-##"),
    "a range that runs backwards": _backwards,
    "a difference outside the range": _outside,
    "a canary outside the range": _canary_outside,
    "an asset number twice": _twin,
}


@pytest.mark.parametrize("spoiler", SPOILERS)
@settings(max_examples=15, deadline=None)
@given(drawn=schools().map(quoted), data=st.data())
def test_a_spoiled_room_is_refused_at_a_line_of_its_file(spoiler: str, drawn: Drawn, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(drawn.rooms)))
    SPOILERS[spoiler](drawn.rooms[name])
    with pytest.raises(InventoryError) as caught:
        load(drawn)
    problems = [each for each in caught.value.problems if each.file.endswith(f"/rooms/{name}.yml")]
    assert problems
    assert all(problem.line >= 1 and problem.what for problem in problems)
    assert str(caught.value).endswith("Run: lab rooms check")


TOKENS = (
    *(
        "room",
        "seats",
        "name",
        "range",
        "differences",
        "canary",
        ":",
        ": ",
        "-",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a",
        "*a",
    ),
    *(
        "!!str",
        "|",
        ">",
        "'",
        '"',
        "#",
        "%YAML",
        "---\n",
        "...",
        "? ",
        "1",
        "1-4",
        "{{",
        "~",
        "<<",
        "@",
        "\\",
        "\t",
        "\n",
        "\n  ",
    ),
)
YAML_LIKE = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join).map(str.encode)
EDITED = st.tuples(st.integers(0, 600), st.integers(0, 30), st.binary(max_size=8)).map(
    lambda cut: small.A301.encode()[: cut[0]] + cut[2] + small.A301.encode()[cut[0] + cut[1] :]
)
ANY_YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=4),
    max_leaves=12,
).map(lambda value: yaml.safe_dump(value, allow_unicode=True).encode())


@pytest.mark.parametrize("file", ["rooms/a301.yml", "site.yml", "people.yml", "group_vars/all.yml"])
@settings(max_examples=250, deadline=None)
@given(content=st.binary(max_size=200) | YAML_LIKE | EDITED | ANY_YAML)
@example(content=b"differences: {1: }\n")
@example(content=b"people: {}\n")
def test_whatever_a_file_holds_it_loads_or_is_refused(file: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        inventory = small.write(Path(name) / "inventory")
        (inventory / file).write_bytes(content)
        try:
            load_school(inventory)
        except InventoryError as error:
            assert error.problems
            assert all(problem.what and problem.file.isprintable() for problem in error.problems)
            assert all(line.isprintable() for line in str(error).splitlines())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.builds(Problem, st.text(max_size=5), st.integers(0, 9), st.text(max_size=5)), min_size=1, max_size=60)
)
def test_an_error_tells_its_problems_once_and_in_order(problems: list[Problem]) -> None:
    error = InventoryError([*problems, *problems, replace(problems[0])])
    assert error.problems == tuple(sorted(set(problems)))
