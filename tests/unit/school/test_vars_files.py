"""Variable files beside `site.yml`: Ansible reads them too, so what stands there is looked at as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.school.vars_files import RESERVED
from tests.unit.school.small import only, refusal

PLAIN = """---
patch_reboot: if_required
patch_packages: [curl, git]
patch_limit: 0.5
motd: |
  Two lines;
  with a $ and a | in them
password: !vault |
  $ANSIBLE_VAULT;1.1;AES256
  3061
unsafe_text: !unsafe "as it is"
ansible_user: lab
ansible_connection: psrp
"""


@pytest.mark.parametrize(
    "name", ["all.yml", "all", "all.json", "os_windows11.yaml", "ring_canary/main.yml", "kind_stage.yml"]
)
def test_plain_values_are_the_engineers_business(inventory: Path, name: str) -> None:
    path = inventory / "group_vars" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLAIN, encoding="utf-8")
    assert not refusal(inventory)


@pytest.mark.parametrize("name", ["all.yml", "all", "all.json", "room_a301/more", "room_a301/deep/er.yml"])
@pytest.mark.parametrize(
    "line",
    [
        "motd: \"{{ lookup('pipe', 'id') }}\"",
        'motd: "\\x7b\\x7b 1 }}"',
        "motd: {deep: [a, {er: '{% if x %}'}]}",
        "'{{ name }}': value",
        "motd: |\n  one\n  {# two #}",
        'motd: !unsafe "{{ x }}"',
    ],
)
def test_templates_belong_into_roles(inventory: Path, name: str, line: str) -> None:
    path = inventory / "group_vars" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(f"---\n{line}\n", encoding="utf-8")
    problem = only(inventory)
    assert (problem.file, problem.line) == (str(path), 2)
    assert problem.what.startswith("template text")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_comes_from_the_rooms_is_not_replaced_for_a_group(inventory: Path, name: str) -> None:
    (inventory / "group_vars/all.yml").write_text(f"a: 1\n{name}: x\n", encoding="utf-8")
    assert only(inventory).line == 2


@pytest.mark.parametrize(
    "line",
    [
        "ansible_connection: local",
        "ansible_connection: /tmp/evil",
        "ansible_ssh_common_args: -o ProxyCommand=/tmp/evil",
        "ansible_ssh_args: -o ProxyCommand=/tmp/evil",
        "ansible_sftp_extra_args: -S /tmp/evil",
        "ansible_ssh_executable: /tmp/evil",
        "ansible_ssh_pkcs11_provider: /tmp/evil.so",
        "ansible_winrm_kinit_cmd: /tmp/evil",
    ],
)
def test_no_group_chooses_programs_of_the_control_node(inventory: Path, line: str) -> None:
    (inventory / "group_vars/all.yml").write_text(f"{line}\n", encoding="utf-8")
    assert only(inventory).line == 1


def test_variables_for_a_group_that_is_none(inventory: Path) -> None:
    (inventory / "group_vars/kind_computerlab.yml").write_text("a: 1\n", encoding="utf-8")
    problem = only(inventory)
    assert problem.what == "no group is named 'kind_computerlab'"
    assert problem.fix == "Did you mean 'kind_computer_lab'?"


def test_a_file_that_ansible_does_not_read_is_told(inventory: Path) -> None:
    """As after a promotion, which makes the folder: what somebody then writes beside it counts for nothing."""
    folder = inventory / "group_vars/all"
    folder.mkdir(parents=True)
    beside = folder.with_suffix(".yml")
    beside.write_text("a: 1\n", encoding="utf-8")
    assert only(inventory).what == "Ansible reads the folder all/ and not this file"
    (folder / "main.yml").write_text("a: 2\n", encoding="utf-8")
    assert only(inventory).fix == "Put what is in it into all/main.yml"
    (folder / "main.yml").write_text("a: 1\n", encoding="utf-8")
    assert not refusal(inventory)


def test_variables_of_single_hosts_stand_in_the_rooms_file(inventory: Path) -> None:
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars/a301-01.yml").write_text("ansible_host: 192.0.2.99\n", encoding="utf-8")
    assert only(inventory).what == "variables of single hosts"


@pytest.mark.parametrize("target", ["folder", "file"])
def test_no_link_leads_ansible_elsewhere(inventory: Path, target: str) -> None:
    elsewhere = inventory.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "all.yml").write_text("motd: '{{ 1 }}'\n", encoding="utf-8")
    if target == "folder":
        (inventory / "group_vars").rmdir()
        (inventory / "group_vars").symlink_to(elsewhere)
    else:
        (inventory / "group_vars/all.yml").symlink_to(elsewhere / "all.yml")
    assert only(inventory).what == "a symbolic link"


def test_what_ansible_does_not_read_is_free_text(inventory: Path) -> None:
    for name in ("README.md", "all.yml~", ".all.yml.swp"):
        (inventory / "group_vars" / name).write_text("{{ anything }}\t", encoding="utf-8")
    assert not refusal(inventory)


def test_a_vaulted_file_is_left_to_who_has_its_password(inventory: Path) -> None:
    (inventory / "group_vars/all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3061\n", encoding="utf-8")
    assert not refusal(inventory)
