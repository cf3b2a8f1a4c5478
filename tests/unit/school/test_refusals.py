"""Every rule of the inventory: what breaks it is refused at its line, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.school.load import load_school
from lab_tool.school.problem import InventoryError
from tests.unit.school.small import KEY_1, KEY_2, only, refusal, replace

ROOM = "rooms/a301.yml"
# What is written instead of what, in which file; the line and the words of the one problem.
CASES = [
    # Two hosts with one of what each has alone.
    (ROOM, "3: {out", "3: {address: 192.0.2.4, out", 18, "two hosts at 192.0.2.4 (a301-03, a301-04)"),
    (ROOM, "4: {", '4: {address6: "2001:db8:301::0011", ', 19, "two hosts at 2001:db8:301::11 (a301-01, a301-04)"),
    ("rooms/b101.yml", "02:00:00:01:01:07", "02:00:00:03:01:02", 14, "MAC 02:00:00:03:01:02 (a301-02, b101-7-pc)"),
    ("rooms/b101.yml", "IT-7", "it-2", 14, "asset number IT-2 (a301-02, b101-7-pc)"),
    # Addresses.
    (ROOM, "192.0.2.9", "192.0.2.16", 17, "192.0.2.16 is outside the block 192.0.2.0/28"),
    (ROOM, "192.0.2.9", "192.0.2.15", 17, "the broadcast address"),
    (ROOM, "192.0.2.9", "192.0.2.0", 17, "the network's own address"),
    (ROOM, "192.0.2.9", "192.0.2.300", 17, "no IPv4 address"),
    (ROOM, "192.0.2.9", "192.0.2.009", 17, "no IPv4 address"),
    (ROOM, "4: {", '4: {address6: "2001:db8:301::", ', 19, "the network's own address"),
    (ROOM, "4: {", '4: {address6: "2001:db8:302::1", ', 19, "outside the block"),
    (ROOM, "4: {", '4: {address6: "fe80::1%eth0", ', 19, "an IPv6 address"),
    ("rooms/b101.yml", "IT-7", 'IT-7, address6: "2001:db8::1"', 14, "without a block"),
    (ROOM, "192.0.2.0/28", "192.0.2.0/30", 12, "192.0.2.4 is outside the block 192.0.2.0/30"),
    (ROOM, "192.0.2.0/28", "192.0.2.1/28", 12, "an address inside a block. Write 192.0.2.0/28"),
    (ROOM, "192.0.2.0/28", "192.0.2.0/33", 12, "no block of addresses"),
    (ROOM, "192.0.2.0/28", "10.0.0.0/7", 12, "larger than a room needs"),
    (ROOM, "192.0.2.0/28", "0.0.0.0/0", 12, "larger than a room needs"),
    (ROOM, "192.0.2.0/28", "127.0.0.0/28", 12, "no addresses of PCs"),
    (ROOM, "192.0.2.0/28", "224.0.0.0/28", 12, "no addresses of PCs"),
    (ROOM, "192.0.2.0/28", "{block: 192.0.2.0/28, first: 192.0.2.12}", 12, "192.0.2.15 is the broadcast address"),
    (ROOM, "192.0.2.0/28", "{block: 192.0.2.0/28, first: 192.0.2.0}", 12, "192.0.2.0 is the network's own address"),
    (ROOM, "192.0.2.0/28", "{block: 192.0.2.0/28, first: 192.0.3.1}", 12, "192.0.3.1 is outside the block"),
    (ROOM, "2001:db8:301::/64", "fe80::/64", 13, "no addresses of PCs"),
    (ROOM, "2001:db8:301::/64", "::/64", 13, "no addresses of PCs"),
    ("rooms/b101.yml", "192.0.2.16/28", "192.0.2.0/27", 12, "block 192.0.2.0/27 overlaps the one in"),
    # What a name refers to.
    (ROOM, "keeper: wang_fang", "keeper: wnag_fang", 6, "unknown keeper 'wnag_fang'. Did you mean 'wang_fang'?"),
    (ROOM, "keeper: wang_fang", "keeper: li_ming", 6, "'li_ming' keeps no rooms"),
    (ROOM, "profile: student", "profile: studnet", 7, "unknown profile 'studnet'. Did you mean 'student'?"),
    (ROOM, "profile: teacher", "profile: boss", 19, "unknown profile 'boss'. Known: student, teacher"),
    (ROOM, "os: debian12", "os: debian11", 8, "unknown os 'debian11'. Did you mean 'debian12'?"),
    (ROOM, "4: {", "4: {os: plan9, ", 19, "unknown os 'plan9'"),
    (ROOM, "campus: north", "campus: west", 3, "unknown campus 'west'"),
    (ROOM, "building: house_1", "building: house_3", 4, "unknown building 'house_3'"),
    (ROOM, "building: house_1", "building: house_2", 4, "'house_2' stands on campus 'south', not 'north'"),
    (ROOM, "kind: computer_lab", "kind: computerlab", 5, "unknown kind 'computerlab'. Did you mean 'computer_lab'?"),
    ("site.yml", "campus: south", "campus: east", 9, "unknown campus 'east'"),
    # Seats.
    (ROOM, "range: 1-4", "range: 4-1", 10, "runs backwards: 4-1. Write 1-4"),
    (ROOM, "range: 1-4", "range: 0-4", 10, "a range of seats"),
    (ROOM, "range: 1-4", "range: 1-99999999", 10, "a range of seats"),
    (ROOM, "range: 1-4", "range: 4", 10, "must be text, not 4"),
    (ROOM, "4: {profile", "5: {profile", 19, "a difference for seat 5, outside the range. Seats are 1-4"),
    (ROOM, "4: {profile", "0: {profile", 19, "must be at least 1"),
    (ROOM, "4: {profile", "'4': {profile", 19, "must be a whole number"),
    (ROOM, "canary: [1]", "canary: [1, 7]", 14, "canary seat 7 is outside the range"),
    (ROOM, "canary: [1]", "canary: [1, 1]", 14, "canary seat 1 stands twice"),
    # Names.
    (ROOM, "a301-##", "A301-##", 11, "a pattern of host names"),
    (ROOM, "a301-##", "a301_##", 11, "a pattern of host names"),
    (ROOM, "a301-##", "a301.##", 11, "a pattern of host names"),
    (ROOM, "a301-##", "a301", 11, "a pattern of host names"),
    (ROOM, "a301-##", "-##", 11, "DNS does not allow"),
    (ROOM, "a301-##", "a301-##-", 11, "DNS does not allow"),
    (ROOM, "a301-##", "'###'", 11, "DNS does not allow"),
    (ROOM, "a301-##", "a" * 62 + "##", 11, "DNS does not allow"),
    (ROOM, "room: a301", "room: a-301", 1, "an id"),
    (ROOM, "room: a301", "room: a302", 1, "in a file of another name"),
    (ROOM, "room: a301", "room: 301", 1, "must be text, not 301. Put it in quotes"),
    ("site.yml", "north: {zh", "north-1: {zh", 5, "an id"),
    ("site.yml", "student: {zh", "学生: {zh", 11, "an id"),
    # MAC addresses and asset numbers.
    (ROOM, "02:00:00:03:01:01", "02:00:00:03:01", 16, "a MAC address"),
    (ROOM, "02:00:00:03:01:01", "02-00-00-03-01-01", 16, "a MAC address"),
    (ROOM, "02:00:00:03:01:01", "ff:ff:ff:ff:ff:ff", 16, "no machine's MAC"),
    (ROOM, "02:00:00:03:01:01", "00:00:00:00:00:00", 16, "no machine's MAC"),
    (ROOM, "asset: IT-1", "asset: 1234", 16, 'Put it in quotes: "1234"'),
    # Shape.
    (ROOM, "os: debian12\n", "", 1, "'os' is missing"),
    (ROOM, "os: debian12", "os:", 8, "'os' is empty"),
    (ROOM, "os: debian12", "osx: debian12", 1, "'os' is missing"),
    (ROOM, "canary: [1]", "canary: 1", 14, "must be a list"),
    (ROOM, "out_of_order: monitor at repair", "out_of_order: true", 18, "must be text, not true. Write it in words"),
    (ROOM, "en: Lab 301", "en: Dean's lab", 2, "a quotation mark in 'name.en'"),
    (ROOM, "zh: 机房 301", "zh：机房 301", 2, "Type the signs of YAML in ASCII, not ："),
    (ROOM, "canary: [1]", "canary: [true]", 14, "must be a whole number"),
    (ROOM, "name: {zh: 机房 301, en: Lab 301}", "name: Lab 301", 2, "'key: value' lines"),
    (ROOM, ", en: Lab 301", "", 2, "'name.en' is missing"),
    ("site.yml", "plugin: lab_rooms", "plugin: lab_room", 1, "Did you mean 'lab_rooms'?"),
    ("site.yml", "Asia/Shanghai", "Asia/Shanghia", 3, "unknown time zone"),
    ("site.yml", "Asia/Shanghai", "../../etc/passwd", 3, "a time zone"),
    ("site.yml", "connection: psrp", "connection: local", 15, "unknown systems.windows11.connection 'local'"),
    ("site.yml", "lab-log\n", "lab-log\n  second_places: [{folder: a, git: /b}]\n", 18, "exactly one of"),
    ("site.yml", "lab-log\n", "lab-log\n  second_places: [{}]\n", 18, "exactly one of"),
    ("site.yml", "lab-log\n", 'lab-log\n  second_places: [{git: "ext::sh -c id"}]\n', 18, "a git repository"),
    ("site.yml", "lab-log\n", 'lab-log\n  second_places: [{git: "--upload-pack=x"}]\n', 18, "shell text ('=')"),
    ("site.yml", "lab-log\n", "lab-log\n  max_checkpoint_age_days: 0\n", 18, "at least 1"),
    # People.
    ("people.yml", "keep: true", "keep: yes", 8, "must be true or false, not 'yes'"),
    ("people.yml", "verbs: [patch]", "verbs: [ptach]", 7, "unknown verb 'ptach'. Did you mean 'patch'?"),
    ("people.yml", "rooms: [a301]", "rooms: [a310]", 7, "unknown room 'a310'. Did you mean 'a301'?"),
    ("people.yml", "rooms: [a301]", "rooms: [all, a301]", 7, "unknown room 'all'"),
    ("people.yml", "up_to: medium", "up_to: any", 7, "unknown people.wang_fang.approve.up_to 'any'"),
    ("people.yml", ", up_to: medium", "", 7, "up_to' is missing"),
    ("people.yml", "keep: true", "keep: true\n    service: true", 7, "a service can't approve"),
    (
        "people.yml",
        "keep: true",
        "service: true\n    emergency: {verbs: all, rooms: all}",
        9,
        "can't declare an emergency",
    ),
    ("people.yml", f"key: {KEY_2}", f"key: {KEY_1} other", 12, "one key listed twice (wang_fang, li_ming)"),
    ("people.yml", "last_day: 2027-08-31", "last_day: 2026-08-31", 14, "the last day is before the first"),
    ("people.yml", "last_day: 2027-08-31", "last_day: 2027-02-30", 14, "no day of the calendar"),
    ("people.yml", "AAAAIPGJ", "AAAAIPG", 5, "no public key"),
    ("people.yml", f"- {KEY_1}", f'- command="id" {KEY_1}', 5, "shell text"),
    ("people.yml", "li_ming:", "li,ming:", 9, "a person's id"),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "words"), CASES)
def test_each_rule(inventory: Path, file: str, old: str, new: str, line: int, words: str) -> None:
    replace(inventory / file, old, new)
    problems = [problem for problem in refusal(inventory) if words in f"{problem.what}. {problem.fix}"]
    assert [(problem.file, problem.line) for problem in problems] == [(str(inventory / file), line)], refusal(inventory)


CODE = [
    "{{ lookup('pipe', 'touch /tmp/x') }}",
    "{% set x = 1 %}",
    "{# comment #}",
    "$(id)",
    "`id`",
    "A; id",
    "A | id",
    "A & id",
    "A && id",
    "A > /etc/passwd",
    "A < /etc/passwd",
    "$HOME",
    "A\\nid",
    "it's",
    "a*",
    "-rf",
    "\\x7b\\x7b lookup('pipe', 'id') \\x7d\\x7d",
]
PLACES = [
    ("rooms/a301.yml", "room: a301"),
    ("rooms/a301.yml", "campus: north"),
    ("rooms/a301.yml", "building: house_1"),
    ("rooms/a301.yml", "kind: computer_lab"),
    ("rooms/a301.yml", "keeper: wang_fang"),
    ("rooms/a301.yml", "profile: student"),
    ("rooms/a301.yml", "os: debian12"),
    ("rooms/a301.yml", "zh: 机房 301"),
    ("rooms/a301.yml", "en: Lab 301"),
    ("rooms/a301.yml", "range: 1-4"),
    ("rooms/a301.yml", "name: a301-##"),
    ("rooms/a301.yml", "addresses: 192.0.2.0/28"),
    ("rooms/a301.yml", 'first: "2001:db8:301::11"'),
    ("rooms/a301.yml", 'mac: "02:00:00:03:01:01"'),
    ("rooms/a301.yml", "asset: IT-1"),
    ("rooms/a301.yml", "out_of_order: monitor at repair"),
    ("site.yml", "zh: 示例中学"),
    ("site.yml", "time_zone: Asia/Shanghai"),
    ("site.yml", "origin: school.example/lab-log"),
    ("site.yml", "connection: psrp"),
    ("people.yml", "en: Wang Fang"),
    ("people.yml", f"- {KEY_1} wang_fang"),
    ("people.yml", "rooms: all"),
    ("people.yml", "up_to: medium"),
    ("people.yml", "first_day: 2026-09-01"),
]


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize(("file", "place"), PLACES, ids=[place.split(":")[0] for _, place in PLACES])
def test_no_value_is_code(inventory: Path, file: str, place: str, code: str) -> None:
    key = "- " if place.startswith("- ") else place.split(": ")[0] + ": "
    replace(inventory / file, place, f'{key}"{code}"')
    problems = refusal(inventory)
    line = next(
        number
        for number, text in enumerate((inventory / file).read_text(encoding="utf-8").splitlines(), 1)
        if code in text
    )
    assert (str(inventory / file), line) in [(problem.file, problem.line) for problem in problems]


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize(
    ("file", "key"), [("rooms/a301.yml", "campus"), ("people.yml", "li_ming"), ("site.yml", "north")]
)
def test_no_key_is_code(inventory: Path, file: str, key: str, code: str) -> None:
    replace(inventory / file, f"{key}:", f'"{code}":')
    assert str(inventory / file) in [problem.file for problem in refusal(inventory)]


def test_the_message_for_template_text_says_what_it_is(inventory: Path) -> None:
    replace(inventory / ROOM, "en: Lab 301", "en: \"{{ lookup('pipe', 'id') }}\"")
    assert only(inventory).what.startswith("template text in 'name.en'")


def test_free_text_is_in_any_language(inventory: Path) -> None:
    for text in (
        "计算机教室（一）",
        "Labor für Informatik, 2. Stock",
        "Класс 301",
        "C# / C++ (advanced)",
        "Dean\u2019s office",
    ):
        path = inventory / ROOM
        path.write_text(path.read_text(encoding="utf-8").replace("en: Lab 301", f'en: "{text}"'), encoding="utf-8")
        assert load_school(inventory).rooms["a301"].name.en == text
        replace(path, f'en: "{text}"', "en: Lab 301")


def test_all_problems_of_all_files_are_told(inventory: Path) -> None:
    replace(inventory / ROOM, "keeper: wang_fang", "keeper: nobody")
    replace(inventory / ROOM, "192.0.2.9", "192.0.2.99")
    replace(inventory / "rooms/b101.yml", "kind: office", "kind: ofice")
    replace(inventory / "site.yml", "campus: south", "campus: east")
    replace(inventory / "people.yml", "verbs: [patch]", "verbs: [fly]")
    (inventory / "rooms" / "c1.yml").write_text("a: [", encoding="utf-8")
    places = [(Path(problem.file).name, problem.line) for problem in refusal(inventory)]
    assert places == [
        ("people.yml", 7),
        ("a301.yml", 6),
        ("a301.yml", 17),
        ("b101.yml", 5),
        ("c1.yml", 2),
        ("site.yml", 9),
    ]


def test_the_message_is_that_of_the_design(inventory: Path) -> None:
    replace(inventory / ROOM, "3: {out", "3: {address: 192.0.2.4, out")
    with pytest.raises(InventoryError) as caught:
        load_school(inventory)
    expected = f"{inventory}/rooms/a301.yml:18: two hosts at 192.0.2.4 (a301-03, a301-04). Give one another address."
    assert str(caught.value) == f"{expected} Run: lab rooms check"
    assert caught.value.exit_code == 2


def test_a_wrong_name_pattern_is_one_problem_not_forty(inventory: Path) -> None:
    replace(inventory / ROOM, "range: 1-4", "range: 1-8")
    replace(inventory / "rooms/b101.yml", "b101-#-pc", "a301-##")
    problem = only(inventory)
    assert problem.what == "two hosts named a301-07 (seat 7 in a301.yml, seat 7 in b101.yml) and 1 more"
    assert (Path(problem.file).name, problem.line) == ("b101.yml", 11)


def test_a_copied_file_is_told_apart_from_its_original(inventory: Path) -> None:
    (inventory / "rooms/a302.yml").write_bytes((inventory / ROOM).read_bytes())
    problems = refusal(inventory)
    assert {Path(problem.file).name for problem in problems} == {"a302.yml"}
    assert "two hosts named a301-01 (seat 1 in a301.yml, seat 1 in a302.yml) and 3 more" in [
        each.what for each in problems
    ]


def test_no_room_is_called_all(inventory: Path) -> None:
    """`rooms: [all]` in people.yml would then mean one room to its writer, and every room to the tool."""
    (inventory / "rooms/b101.yml").rename(inventory / "rooms/all.yml")
    replace(inventory / "rooms/all.yml", "room: b101", "room: all")
    assert only(inventory).what.startswith("'all' can't be a room's id")


def test_every_block_inside_a_larger_one_is_told(inventory: Path) -> None:
    text = (inventory / "rooms/b101.yml").read_text(encoding="utf-8").split("differences:")[0]
    for room, block in (("c1", "10.0.0.0/16"), ("c2", "10.0.1.0/24"), ("c3", "10.0.3.0/24"), ("c4", "10.1.0.0/24")):
        own = text.replace("b101", room).replace("{block: 192.0.2.16/28, first: 192.0.2.20}", block)
        (inventory / f"rooms/{room}.yml").write_text(own, encoding="utf-8")
    assert [Path(problem.file).name for problem in refusal(inventory)] == ["c2.yml", "c3.yml"]


def test_a_machine_without_time_zones_says_so(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab_tool.school.check.available_timezones", set)
    replace(inventory / "site.yml", "Asia/Shanghai", "Asia/Nowhere")
    assert only(inventory).what == "this machine knows no time zones"


def test_a_key_as_long_as_a_book_is_not_repeated(inventory: Path) -> None:
    replace(inventory / ROOM, "differences:", f"{'k' * 900}: 1\ndifferences:")
    assert len(str(only(inventory))) < 500


def test_no_rooms_at_all(inventory: Path) -> None:
    for path in (inventory / "rooms").iterdir():
        path.unlink()
    assert "no rooms" in [problem.what for problem in refusal(inventory)]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    words = [problem.what for problem in refusal(tmp_path / "nothing")]
    assert words.count("no such file") == 2
