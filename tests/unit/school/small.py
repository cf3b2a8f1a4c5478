"""A small, sound inventory for tests to spoil."""

from __future__ import annotations

from pathlib import Path

from lab_tool.school.load import load_school
from lab_tool.school.problem import InventoryError, Problem

KEY_1 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPGJJtAzcoKxAhA6ADLiLoSB0Nt0mfXGNAc2gF5nL0C5"
KEY_2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYC0QNwYAbIHdLgtXQnGxLm6EVGEXFHcHMfOYtc+NAO"
SITE = """plugin: lab_rooms
school: {zh: 示例中学, en: Example school}
time_zone: Asia/Shanghai
campuses:
  north: {zh: 北校区, en: North campus}
  south: {zh: 南校区, en: South campus}
buildings:
  house_1: {name: {zh: 一号楼, en: House 1}, campus: north}
  house_2: {name: {zh: 二号楼, en: House 2}, campus: south}
profiles:
  student: {zh: 学生机, en: Student PC}
  teacher: {zh: 教师机, en: Teacher PC}
systems:
  debian12: {zh: Debian 12, en: Debian 12}
  windows11: {zh: Windows 11, en: Windows 11, connection: psrp}
log:
  origin: school.example/lab-log
"""
PEOPLE = f"""people:
  wang_fang:
    name: {{zh: 王芳, en: Wang Fang}}
    keys:
      - {KEY_1} wang_fang
    request: {{verbs: all, rooms: all}}
    approve: {{verbs: [patch], rooms: [a301], up_to: medium}}
    keep: true
  li_ming:
    name: {{zh: 李明, en: Li Ming}}
    keys:
      - key: {KEY_2}
        first_day: 2026-09-01
        last_day: 2027-08-31
"""
A301 = """room: a301
name: {zh: 机房 301, en: Lab 301}
campus: north
building: house_1
kind: computer_lab
keeper: wang_fang
profile: student
os: debian12
seats:
  range: 1-4
  name: a301-##
  addresses: 192.0.2.0/28
  addresses6: {block: "2001:db8:301::/64", first: "2001:db8:301::11"}
canary: [1]
differences:
  1: {mac: "02:00:00:03:01:01", asset: IT-1}
  2: {mac: "02:00:00:03:01:02", asset: IT-2, address: 192.0.2.9}
  3: {out_of_order: monitor at repair}
  4: {profile: teacher}
"""
B101 = """room: b101
name: {zh: 办公室 101, en: Office 101}
campus: south
building: house_2
kind: office
keeper: wang_fang
profile: teacher
os: windows11
seats:
  range: 7-8
  name: b101-#-pc
  addresses: {block: 192.0.2.16/28, first: 192.0.2.20}
differences:
  7: {mac: "02:00:00:01:01:07", asset: IT-7}
"""


def write(folder: Path) -> Path:
    """The inventory as files in `folder`."""
    (folder / "rooms").mkdir(parents=True)
    (folder / "group_vars").mkdir()
    for name, text in (("site", SITE), ("people", PEOPLE), ("rooms/a301", A301), ("rooms/b101", B101)):
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    return folder


def replace(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refusal(inventory: Path) -> tuple[Problem, ...]:
    """The problems for which the inventory is refused; none when it is not."""
    try:
        load_school(inventory)
    except InventoryError as error:
        return error.problems
    return ()


def only(inventory: Path) -> Problem:
    """The one problem there is."""
    problems = refusal(inventory)
    assert len(problems) == 1, problems
    return problems[0]
