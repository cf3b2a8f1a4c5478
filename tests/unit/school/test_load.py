"""A sound inventory becomes a school."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab_tool.school.load import load_log_policy, load_school
from lab_tool.school.problem import InventoryError
from lab_tool.school.shapes import KINDS
from lab_tool.settings import PROJECT
from tests.unit.school.small import KEY_1, replace

DOCUMENTATION = [ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]


def test_seats_become_hosts(inventory: Path) -> None:
    hosts = load_school(inventory).rooms["a301"].hosts
    assert [host.name for host in hosts] == ["a301-01", "a301-02", "a301-03", "a301-04"]
    assert [host.address for host in hosts] == ["192.0.2.1", "192.0.2.9", "192.0.2.3", "192.0.2.4"]
    assert [host.address6 for host in hosts] == [f"2001:db8:301::{last}" for last in (11, 12, 13, 14)]
    assert [host.canary for host in hosts] == [True, False, False, False]
    assert [host.profile for host in hosts] == ["student", "student", "student", "teacher"]
    assert hosts[0].mac == "02:00:00:03:01:01"
    assert hosts[2].out_of_order == "monitor at repair"


def test_seats_need_not_begin_with_1(inventory: Path) -> None:
    hosts = load_school(inventory).rooms["b101"].hosts
    assert [(host.name, host.seat, host.address) for host in hosts] == [
        ("b101-7-pc", 7, "192.0.2.20"),
        ("b101-8-pc", 8, "192.0.2.21"),
    ]


def test_people_have_what_is_granted_and_nothing_else(inventory: Path) -> None:
    people = load_school(inventory).people
    wang, li = people["wang_fang"], people["li_ming"]
    assert wang.request.covers("image", frozenset({"a301", "b101"}), "high")
    assert wang.approve.covers("patch", frozenset({"a301"}), "medium")
    for verb, room, risk in (("patch", "a301", "high"), ("patch", "b101", "low"), ("image", "a301", "low")):
        assert not wang.approve.covers(verb, frozenset({room}), risk)  # type: ignore[arg-type]
    assert not li.request.covers("patch", frozenset({"a301"}), "low")
    assert not wang.run.covers("patch", frozenset({"a301"}), "low")
    assert wang.keys[0].line == f"{KEY_1} wang_fang"
    assert (li.keys[0].first_day, li.keys[0].last_day) == (date(2026, 9, 1), date(2027, 8, 31))


def test_site_and_log_have_defaults(inventory: Path) -> None:
    school = load_school(inventory)
    assert school.log.second_places == ()
    assert school.log.max_checkpoint_age_days == 8
    assert school.systems["debian12"].connection == "ssh"
    assert school.systems["windows11"].connection == "psrp"
    assert school.host("b101-8-pc") is not None
    assert school.host("b101-9-pc") is None


@pytest.mark.parametrize(
    "place",
    [
        "folder: ../checkpoints",
        'git: "https://git.school.example/lab/checkpoints.git"',
        'git: "ssh://git@git.school.example:2222/checkpoints.git"',
        'git: "git@git.school.example:checkpoints.git"',
        "git: /srv/checkpoints.git",
        'mail: "smtp://mail.school.example:25/auditor@school.example"',
        "witness: ssh lab-witness@witness.school.example",
    ],
)
def test_second_places(inventory: Path, place: str) -> None:
    replace(inventory / "site.yml", "lab-log\n", f"lab-log\n  second_places: [{{{place}}}]\n")
    kind, target = place.split(": ", 1)
    (second,) = load_school(inventory).log.second_places
    assert (second.kind, second.target) == (kind, target.strip('"'))


def test_the_log_s_part_is_read_without_the_rest(inventory: Path) -> None:
    replace(inventory / "site.yml", "lab-log\n", f"lab-log\n  keys: [{KEY_1}]\n  second_places: [{{folder: /x}}]\n")
    whole = load_school(inventory).log
    replace(inventory / "rooms/a301.yml", "keeper: wang_fang", "keeper: nobody")
    replace(inventory / "site.yml", "time_zone: Asia/Shanghai", "time_zone: Mars")
    (inventory / "people.yml").unlink()
    with pytest.raises(InventoryError):
        load_school(inventory)
    assert load_log_policy(inventory) == whole


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "'log' is missing"),
        ("log:\n  keys: []\n", "'log.origin' is missing"),
        ("log:\n  origin: school.example/lab-log\n  second_places: [{}]\n", "exactly one of"),
        ("log:\n  origin: school.example/lab-log\n  keys: [ssh-ed25519 AAAA]\n", "must be one line of a public key"),
    ],
)
def test_a_log_s_part_that_is_wrong_is_refused(inventory: Path, wrong: str, says: str) -> None:
    replace(inventory / "site.yml", "log:\n  origin: school.example/lab-log\n", wrong)
    with pytest.raises(InventoryError, match=says):
        load_log_policy(inventory)


def test_plain_text_stays_text(inventory: Path) -> None:
    """YAML 1.1 reads these as a base-60 number, a float and a truth value."""
    replace(inventory / "rooms/a301.yml", '"02:00:00:03:01:01", asset: IT-1', "12:34:56:12:34:50, asset: 1e3")
    replace(inventory / "rooms/a301.yml", "en: Lab 301", "en: no")
    room = load_school(inventory).rooms["a301"]
    assert (room.hosts[0].mac, room.hosts[0].asset, room.name.en) == ("12:34:56:12:34:50", "1e3", "no")


def test_what_windows_editors_write_is_read(inventory: Path) -> None:
    path = inventory / "rooms/a301.yml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_school(inventory).rooms["a301"].hosts) == 4


def test_what_editors_leave_behind_is_no_room(inventory: Path) -> None:
    for name in (".a301.yml.swp", "a301.yml~", ".gitkeep"):
        (inventory / "rooms" / name).write_text("not: [yaml", encoding="utf-8")
    (inventory / "rooms" / ".#b101.yml").symlink_to("somebody@somewhere.1234")
    assert set(load_school(inventory).rooms) == {"a301", "b101"}


def test_the_sample_school_is_clearly_an_example() -> None:
    school = load_school(PROJECT / "inventory")
    hosts = [host for room in school.rooms.values() for host in room.hosts]
    assert len(school.campuses) == 2
    assert len(school.rooms) >= 12
    assert 280 <= len(hosts) <= 330
    assert {room.kind for room in school.rooms.values()} == set(KINDS)
    for address in [host.address for host in hosts] + [host.address6 for host in hosts if host.address6]:
        assert any(ip_address(address) in block for block in DOCUMENTATION), address
    assert all(int(host.mac[:2], 16) & 0b11 == 0b10 for host in hosts), "not locally administered"
    assert all(room.name.zh != room.name.en for room in school.rooms.values())


def test_the_sample_school_can_do_everything_with_two_persons() -> None:
    school = load_school(PROJECT / "inventory")
    for room in map(frozenset, ([name] for name in school.rooms)):
        for verb in ("image", "patch", "virus_scan", "lockdown", "backup"):
            asking = {person.id for person in school.people.values() if person.request.covers(verb, room, "high")}
            approving = {person.id for person in school.people.values() if person.approve.covers(verb, room, "high")}
            assert approving
            assert asking - approving
    assert any(person.audit and not person.approve.verbs for person in school.people.values())
    assert any(person.service for person in school.people.values())
