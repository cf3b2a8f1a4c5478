"""The inventory plugin in Ansible itself: `ansible-inventory`, `ansible` and `ansible-playbook`, without `lab`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab_tool.school.load import load_school
from lab_tool.school.problem import InventoryError
from lab_tool.settings import PROJECT
from tests.unit.school.small import replace

PING = "- name: Say\n  hosts: all\n  gather_facts: false\n  tasks: [{name: Say, ansible.builtin.debug: {msg: hello}}]\n"


def ansible(program: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs in the checkout with its `ansible.cfg`; nothing is recorded, nothing connects."""
    return subprocess.run(
        [sys.executable, "-m", "ansible", program, *map(str, arguments)],
        env={**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "none", "ANSIBLE_NOCOLOR": "1", **environment},
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=False,
    )


def listed(inventory: Path) -> dict[str, Any]:
    """The answer of `ansible-inventory --list`, with untrusted text as text."""
    done = ansible("inventory", "-i", inventory / "site.yml", "--list")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout, object_hook=lambda item: item.get("__ansible_unsafe", item))
    return answer


def test_groups(inventory: Path) -> None:
    groups = listed(inventory)
    assert groups["campus_north"]["children"] == ["building_house_1"]
    assert groups["building_house_1"]["children"] == ["room_a301"]
    assert groups["room_a301"]["hosts"] == ["a301-01", "a301-02", "a301-03", "a301-04"]
    assert groups["kind_computer_lab"]["children"] == ["room_a301"]
    assert groups["os_debian12"]["children"] == ["room_a301"]
    assert groups["os_windows11"]["children"] == ["room_b101"]
    assert groups["profile_student"] == {"hosts": ["a301-01", "a301-02", "a301-03"]}
    assert groups["profile_teacher"] == {"children": ["room_b101"], "hosts": ["a301-04"]}
    assert groups["ring_canary"]["hosts"] == ["a301-01"]


def test_variables(inventory: Path) -> None:
    variables = listed(inventory)["_meta"]["hostvars"]
    assert variables["a301-01"] == {
        "ansible_host": "192.0.2.1",
        "lab_address6": "2001:db8:301::11",
        "lab_asset": "IT-1",
        "lab_building": "house_1",
        "lab_campus": "north",
        "lab_canary": True,
        "lab_kind": "computer_lab",
        "lab_mac": "02:00:00:03:01:01",
        "lab_os": "debian12",
        "lab_out_of_order": "",
        "lab_profile": "student",
        "lab_room": "a301",
        "lab_seat": 1,
        "lab_time_zone": "Asia/Shanghai",
    }
    assert variables["a301-03"]["lab_out_of_order"] == "monitor at repair"
    assert variables["a301-04"]["lab_profile"] == "teacher"
    assert variables["b101-8-pc"]["ansible_connection"] == "psrp"
    assert variables["b101-8-pc"]["lab_mac"] == ""


def test_the_project_as_it_is() -> None:
    done = ansible("inventory", "--graph")
    assert done.returncode == 0, done.stderr
    assert "@room_a301" in done.stdout
    assert "WARNING" not in done.stderr
    school = load_school(PROJECT / "inventory")
    for kind in {room.kind for room in school.rooms.values()}:
        hosts = ansible("adhoc", f"kind_{kind}", "--list-hosts").stdout.splitlines()[1:]
        wanted = [host.name for room in school.rooms.values() if room.kind == kind for host in room.hosts]
        assert sorted(map(str.strip, hosts)) == sorted(wanted)


def test_every_declared_group_is_there_also_while_it_is_empty(inventory: Path) -> None:
    done = ansible("adhoc", "-i", inventory / "site.yml", "kind_stage:profile_teacher:&campus_north", "--list-hosts")
    assert done.stdout.split() == ["hosts", "(1):", "a301-04"]
    assert "WARNING" not in done.stderr


def test_group_vars_beside_site_yml(inventory: Path) -> None:
    for group, value in (("all", 1), ("campus_north", 2), ("kind_computer_lab", 3), ("room_a301", 4)):
        (inventory / "group_vars" / f"{group}.yml").write_text(f"{group}_was_here: {value}\nwho: {group}\n")
    variables = listed(inventory)["_meta"]["hostvars"]
    assert variables["a301-01"]["who"] == "room_a301"
    assert variables["b101-7-pc"]["who"] == "all"
    assert variables["a301-01"]["kind_computer_lab_was_here"] == 3


def spoil(inventory: Path) -> str:
    """Make the inventory wrong in two files; the message to be shown."""
    replace(inventory / "rooms/a301.yml", "3: {out", "3: {address: 192.0.2.4, out")
    replace(inventory / "rooms/b101.yml", "kind: office", "kind: ofice")
    with pytest.raises(InventoryError) as caught:
        load_school(inventory)
    return str(caught.value)


@pytest.mark.parametrize("configured", ["true", "false"])
def test_a_wrong_inventory_stops_every_program_with_the_same_message(inventory: Path, configured: str) -> None:
    message = spoil(inventory)
    source = str(inventory / "site.yml")
    playbook = inventory.parent / "play.yml"
    playbook.write_text(PING, encoding="utf-8")
    for program, *arguments in (
        ["inventory", "-i", source, "--list"],
        ["inventory", "-i", source, "--graph"],
        ["adhoc", "-i", source, "all", "-m", "ansible.builtin.debug"],
        ["playbook", "-i", source, str(playbook)],
    ):
        done = ansible(program, *arguments, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=configured)
        assert done.returncode != 0
        assert message in done.stderr
        assert "hello" not in done.stdout
        assert "Traceback" not in done.stderr


def test_a_source_of_another_name_is_not_taken_for_an_empty_school(inventory: Path) -> None:
    (inventory / "site.yml").rename(inventory / "other.yml")
    done = ansible("inventory", "-i", inventory / "other.yml", "--list")
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("file", "old"),
    [
        ("rooms/a301.yml", "en: Lab 301"),
        ("rooms/a301.yml", "asset: IT-1"),
        ("rooms/a301.yml", "out_of_order: monitor at repair"),
        ("rooms/a301.yml", "addresses: 192.0.2.0/28"),
        ("site.yml", "en: Example school"),
        ("people.yml", "en: Wang Fang"),
        ("group_vars/all.yml", "motd: none"),
    ],
)
def test_a_template_in_a_value_never_runs(inventory: Path, file: str, old: str) -> None:
    (inventory / "group_vars/all.yml").write_text("motd: none\n", encoding="utf-8")
    touched = inventory.parent / "touched"
    code = f"{{{{ lookup('pipe', 'touch {touched}') }}}}"
    replace(inventory / file, old, f'{old.split(":")[0]}: "{code}"')
    source = str(inventory / "site.yml")
    for program, *arguments in (
        ("inventory", "-i", source, "--list"),
        ("inventory", "-i", source, "--graph", "--vars"),
        (
            "adhoc",
            "-i",
            source,
            "all",
            "-c",
            "local",
            "-m",
            "ansible.builtin.debug",
            "-a",
            "var=hostvars[inventory_hostname]",
        ),
    ):
        assert ansible(program, *arguments).returncode != 0
    assert not touched.exists()


def test_what_came_from_a_room_is_not_templated_even_if_it_got_through(tmp_path: Path) -> None:
    """The second lock: values reach Ansible as untrusted text."""
    touched = tmp_path / "touched"
    program = tmp_path / "through.py"
    program.write_text(
        f"""
from dataclasses import replace
from pathlib import Path
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from lab_tool.school.ansible_view import populate
from lab_tool.school.load import load_school

school = load_school(Path("inventory"))
room = school.rooms["a301"]
code = "{{{{ lookup('pipe', 'touch {touched}') }}}}"
hosts = tuple(replace(host, asset=code, address=code, out_of_order=code) for host in room.hosts)
inventory = InventoryData()
populate(inventory, replace(school, rooms={{"a301": replace(room, hosts=hosts)}}))
variables = inventory.hosts["a301-01"].get_vars()
said = Templar(loader=DataLoader(), variables=variables).template(variables)
print(said["lab_asset"] == code)
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert not touched.exists()


def test_the_documentation_is_there() -> None:
    done = ansible("doc", "-t", "inventory", "lab_rooms")
    assert done.returncode == 0, done.stderr
    assert "lab_rooms" in done.stdout


@pytest.mark.parametrize("option", [("--skip-tags", "always"), ("--start-at-task", "Say")])
def test_no_option_leaves_out_the_gate(inventory: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    playbook = tmp_path / "ping.yml"
    playbook.write_text(PING, encoding="utf-8")
    done = ansible("playbook", "-i", inventory / "site.yml", playbook, "--limit", "room_a301", *option)
    assert done.returncode != 0
    assert "leave out the task" in done.stderr
    assert "hello" not in done.stdout
