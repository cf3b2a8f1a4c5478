"""Plans: the same files give the same digest, and whatever moves is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab_tool import process
from lab_tool.canonical import dump
from lab_tool.core import policy
from lab_tool.core.content import content_of
from lab_tool.core.overrides import check_overrides, parse_overrides
from lab_tool.core.plan import Plan, keep_plan, make_plan, read_plan, what_moved
from lab_tool.errors import LabError, UsageError, VerificationError
from lab_tool.rules import VERBS, Verb
from lab_tool.school.load import load_school
from lab_tool.settings import PROJECT, Settings
from tests.support.office import Office, room

PATCH = VERBS["patch"]


def write(path: Path, text: str) -> Path:
    """A file and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestVerbs:
    def test_say_what_they_are(self) -> None:
        assert PATCH.playbook == "playbooks/patch.yml"
        assert PATCH.rules == ("B2",)
        assert all(verb.name.zh and verb.name.en and verb.rules for verb in VERBS.values())


class TestPlan:
    def test_the_same_files_give_the_same_digest(self, office: Office) -> None:
        first, second = office.plan(), office.plan("a301-04", "a301-03", "a301-02", "a301-01")
        assert first.digest == second.digest
        assert what_moved(first, second) == ()
        assert first.hosts == ("a301-01", "a301-02", "a301-03", "a301-04")
        assert first.whole_rooms == ("a301",)

    def test_where_it_was_made_is_no_part_of_it(self, office: Office) -> None:
        plan = office.plan()
        assert replace(plan, about={"commit": "other", "dirty": False}).digest == plan.digest

    def test_what_is_out_of_order_is_told_apart(self, office: Office) -> None:
        office.with_rooms(room("a301", 3, a301_02={"out_of_order": "no power"}), room("a302", 2))
        plan = office.plan()
        assert plan.hosts == ("a301-01", "a301-03")
        assert plan.excluded == {"a301-02": "no power"}
        assert plan.asked == ("a301-01", "a301-02", "a301-03")
        assert "a301-02" not in plan.machines
        assert "a301-02" not in plan.policy

    def test_a_part_of_a_room(self, office: Office) -> None:
        plan = office.plan("a301-01", "a302-01", "a302-02")
        assert plan.rooms == ("a301", "a302")
        assert plan.whole_rooms == ("a302",)

    @pytest.mark.parametrize(
        ("verb", "hosts", "words"),
        [
            ("patsch", ("a301-01",), "there is no verb 'patsch'; there are image, "),
            ("patch", ("a301-99",), "there is no host a301-99"),
            ("patch", (), "no host was named"),
            ("image", ("a301-01",), "can't be read"),
        ],
    )
    def test_what_makes_no_sense(self, office: Office, verb: str, hosts: tuple[str, ...], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            make_plan(office.settings, office.school, verb, hosts, {})

    def test_nothing_in_order(self, office: Office) -> None:
        office.with_rooms(room("a301", 1, a301_01={"out_of_order": "dead"}))
        with pytest.raises(UsageError, match="nothing to do: all of a301-01 is out of order"):
            office.plan()

    def test_a_host_that_ansible_does_not_know(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policy, "_host_variables", lambda settings: {})
        with pytest.raises(UsageError, match="Ansible knows no host a301-01"):
            office.plan()

    def test_no_secret_stands_in_it(self, office: Office) -> None:
        office.variables["lockdown_password"] = "planted-secret-1234"
        assert b"planted-secret-1234" not in dump(office.plan().as_json())

    def test_is_kept_and_read_again(self, office: Office) -> None:
        plan = office.plan()
        path = keep_plan(office.settings, plan)
        assert path == office.settings.state / "plans" / f"{plan.digest}.json"
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert read_plan(stored, plan.digest) == plan
        assert [path.name for path in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("stored", [None, {}, {"plan": {}}, {"plan": 1}, [], "x"])
    def test_what_is_none(self, stored: Any) -> None:
        with pytest.raises(VerificationError, match="this is not the plan"):
            read_plan(stored, "0" * 64)

    def test_an_edited_one(self, office: Office) -> None:
        plan = office.plan()
        stored = plan.as_json()
        bound: Any = stored["plan"]
        for field, value in (("hosts", ["a301-01"]), ("content", {}), ("policy", {}), ("excluded", {"x": "y"})):
            with pytest.raises(VerificationError):
                read_plan({**stored, "plan": {**bound, field: value}}, plan.digest)


class TestMoved:
    def moved(self, office: Office, old: Plan, *hosts: str) -> tuple[str, ...]:
        new = office.plan(*hosts)
        assert new.digest != old.digest
        return what_moved(old, new)

    def test_hosts(self, office: Office) -> None:
        old = office.plan("a301-01", "a301-02")
        assert self.moved(office, old, "a301-02", "a301-03") == ("new: a301-03", "gone: a301-01")

    def test_a_host_repaired_and_one_that_broke(self, office: Office) -> None:
        office.with_rooms(room("a301", 3, a301_01={"out_of_order": "dead"}), room("a302", 2))
        old = office.plan()
        office.with_rooms(room("a301", 3, a301_02={"out_of_order": "no power"}), room("a302", 2))
        assert self.moved(office, old) == ("not out of order any more: a301-01", "out of order: a301-02")

    def test_a_machine_in_another_s_place(self, office: Office) -> None:
        old = office.plan()
        office.with_rooms(room("a301", 4, a301_02={"mac": "02:00:00:00:00:99"}), room("a302", 2))
        assert self.moved(office, old) == ("lab_mac of a301-02 was 02:00:00:00:01:02, is 02:00:00:00:00:99",)

    def test_many_hosts_are_counted(self, office: Office) -> None:
        office.with_rooms(room("a301", 30))
        old = office.plan()
        office.variables["more"] = 1.5
        (words,) = self.moved(office, old)
        assert words.startswith("variables of a301-01, a301-02")
        assert words.endswith("a301-10 and 20 more")

    def test_files(self, office: Office) -> None:
        old = office.plan()
        role = office.settings.project / "roles" / "patch"
        (role / "defaults" / "main.yml").write_text("---\npatch_scope: full\n", encoding="utf-8")
        (role / "vars" / "Ubuntu.yml").unlink()
        write(role / "files" / "new", "x")
        assert self.moved(office, old) == (
            "roles/patch/defaults/main.yml changed",
            "roles/patch/files/new is new",
            "roles/patch/vars/Ubuntu.yml is gone",
        )

    def test_versions_and_settings(self, office: Office) -> None:
        plan = office.plan()
        new = replace(plan, versions={"ansible": "9", "lab": plan.versions["lab"]}, overrides={"patch_scope": "full"})
        assert what_moved(plan, new) == (
            "the setting patch_scope was unset, is full",
            f"ansible was {plan.versions['ansible']}, is 9",
        )

    def test_each_field_has_words(self, office: Office) -> None:
        plan = office.plan()
        different: tuple[tuple[str, Any], ...] = (
            ("verb", "backup"),
            ("whole_rooms", ()),
            ("hosts", ("a301-01",)),
            ("excluded", {"a301-09": "dead"}),
            ("machines", {**plan.machines, "a301-01": {"room": "a302"}}),
            ("policy", {**plan.policy, "a301-01": "0"}),
            ("content", {}),
            ("overrides", {"x": 1}),
            ("versions", {}),
        )
        for field, value in different:
            assert what_moved(plan, replace(plan, **{field: value})), field


class TestContent:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """A project with one role and nothing else."""
        project = tmp_path / "project"
        write(project / "ansible.cfg", "[defaults]\n")
        write(project / "playbooks" / "patch.yml", "- hosts: all\n  roles: [patch]\n")
        write(project / "roles" / "patch" / "tasks" / "main.yml", "- ansible.builtin.debug:\n")
        write(project / "lab_tool" / "plugins" / "action" / "lab_recorded.py", "")
        return project

    def names(self, project: Path, verb: Verb = PATCH) -> set[str]:
        return set(content_of(project, verb))

    def test_what_runs(self, project: Path) -> None:
        write(project / "lab_tool" / "plugins" / "__pycache__" / "x.pyc", "")
        write(project / "roles" / "image" / "tasks" / "main.yml", "")
        write(project / "README.md", "")
        assert self.names(project) == {
            "ansible.cfg",
            "playbooks/patch.yml",
            "roles/patch/tasks/main.yml",
            "lab_tool/plugins/action/lab_recorded.py",
        }

    def test_roles_named_by_roles(self, project: Path) -> None:
        write(project / "roles" / "patch" / "meta" / "main.yml", "dependencies: [base, {role: lists}]\n")
        write(project / "roles" / "base" / "tasks" / "main.yml", "- block:\n    - import_role: {name: deep}\n")
        write(
            project / "roles" / "lists" / "handlers" / "x.yaml", "- ansible.builtin.include_role:\n    name: deeper\n"
        )
        write(project / "roles" / "deep" / "tasks" / "main.yml", "- ansible.builtin.debug:\n    msg: !unsafe x\n")
        write(project / "roles" / "deeper" / "files" / "tool", "x")
        write(project / "roles" / "other" / "files" / "tool", "x")
        roles = {name.split("/")[1] for name in self.names(project) if name.startswith("roles/")}
        assert roles == {"patch", "base", "lists", "deep", "deeper"}

    def test_whatever_lies_beside_the_playbook(self, project: Path) -> None:
        write(project / "playbooks" / "image.yml", "- hosts: all\n  roles: [image]\n")
        write(project / "playbooks" / "more.yml", "- ansible.builtin.debug:\n")
        write(project / "playbooks" / "group_vars" / "all.yml", "x: 1\n")
        write(project / "playbooks" / "library" / "apt.py", "")
        write(project / "playbooks" / "roles" / "patch" / "tasks" / "main.yml", "[]\n")
        beside = {name for name in self.names(project) if name.startswith("playbooks/")}
        assert beside == {
            "playbooks/patch.yml",
            "playbooks/more.yml",
            "playbooks/group_vars/all.yml",
            "playbooks/library/apt.py",
            "playbooks/roles/patch/tasks/main.yml",
        }

    def test_playbooks_imported_by_playbooks(self, project: Path) -> None:
        write(project / "playbooks" / "patch.yml", "- import_playbook: base.yml\n")
        write(project / "playbooks" / "base.yml", "- hosts: all\n  roles: [patch]\n")
        assert {"playbooks/base.yml", "roles/patch/tasks/main.yml"} <= self.names(project)

    def links(self, project: Path) -> Iterator[tuple[Path, Path]]:
        yield project / "roles" / "patch" / "files", project / "roles"
        yield project / "roles" / "patch" / "tasks" / "more.yml", Path("/etc/passwd")
        yield project / "lab_tool" / "plugins" / "modules", Path("/tmp")
        yield project / "playbooks" / "library", Path("/tmp")

    def test_links_are_refused(self, project: Path) -> None:
        for link, target in self.links(project):
            link.symlink_to(target)
            with pytest.raises(UsageError, match="a link or no plain file") as error:
                content_of(project, PATCH)
            assert error.value.where == str(link.relative_to(project))
            link.unlink()

    @pytest.mark.parametrize(
        "task",
        [
            "- include_role: {name: '{{ which }}'}",
            "- ansible.builtin.import_role: {name: ../../elsewhere}",
            "- include_role: {name: /tmp/role}",
            "- include_role: name=x",
            "- include_role: {}",
        ],
    )
    def test_a_role_that_can_t_be_told(self, project: Path, task: str) -> None:
        write(project / "roles" / "patch" / "tasks" / "main.yml", task + "\n")
        with pytest.raises(UsageError, match="is no plain name, so what would run can't be told") as error:
            content_of(project, PATCH)
        assert error.value.where == "roles/patch/tasks/main.yml"

    def test_what_is_missing_or_unreadable(self, project: Path) -> None:
        write(project / "playbooks" / "patch.yml", "- hosts: all\n  roles: [patch, nothing]\n")
        with pytest.raises(UsageError, match="there is no such role"):
            content_of(project, PATCH)
        write(project / "playbooks" / "patch.yml", "- hosts: [\n")
        with pytest.raises(UsageError, match="not readable as YAML"):
            content_of(project, PATCH)
        (project / "ansible.cfg").unlink()
        write(project / "playbooks" / "patch.yml", "- hosts: all\n  roles: [patch]\n")
        with pytest.raises(UsageError, match="can't be read"):
            content_of(project, PATCH)
        (project / "playbooks" / "patch.yml").unlink()
        with pytest.raises(UsageError, match="there is no such playbook"):
            content_of(project, PATCH)

    def test_of_this_project(self) -> None:
        names = self.names(PROJECT)
        assert {"playbooks/patch.yml", "roles/patch/tasks/main.yml", "lab_tool/plugins/action/lab_recorded.py"} <= names
        assert not {name for name in names if name.startswith(("tests/", "lab_tool/core/"))}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What Ansible says of the sample school."""
    return policy._host_variables(Settings(PROJECT, PROJECT / "inventory", tmp_path_factory.mktemp("state")))


class TestPolicy:
    """With Ansible itself."""

    def test_it_knows_each_host_at_its_address(self, known: dict[str, dict[str, Any]]) -> None:
        school = load_school(PROJECT / "inventory")
        for place in school.rooms.values():
            for host in place.hosts:
                assert policy._policy(known[host.name]).identity["ansible_host"] == host.address

    def test_hosts_of_a_room_have_one_policy(self, known: dict[str, dict[str, Any]]) -> None:
        school = load_school(PROJECT / "inventory")
        alike = [host for host in school.rooms["a301"].hosts if not host.canary and not host.out_of_order]
        kinds = {(host.os, host.profile) for host in alike}
        assert len({policy._policy(known[host.name]).digest for host in alike}) == len(kinds)

    def test_an_inventory_it_can_t_read(self, tmp_path: Path) -> None:
        write(tmp_path / "inventory" / "site.yml", "plugin: lab_rooms\nnonsense: 1\n")
        settings = Settings(PROJECT, tmp_path / "inventory", tmp_path / "state")
        with pytest.raises(LabError, match="Ansible can't read the inventory"):
            policy.policies(settings, ("a301-01",))

    def test_variables_beside_the_playbooks_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[list[str]] = []

        def run(argv: list[str], **options: Any) -> Any:
            seen.append([*argv, *options["env"]])
            return process.Completed(0, b'{"_meta": {"hostvars": {}}}', b"")

        monkeypatch.setattr(process, "run", run)
        monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "script")
        monkeypatch.setenv("PLANTED", "secret")
        policy._host_variables(Settings(tmp_path, tmp_path / "inventory", tmp_path / "state"))
        assert seen[0][seen[0].index("--playbook-dir") + 1] == str(tmp_path / "playbooks")
        assert not {"ANSIBLE_INVENTORY_ENABLED", "PLANTED"} & set(seen[0])

    def test_floats_and_vaults_have_digests(self) -> None:
        assert len(policy._policy({"a": 1.5, "b": {"__ansible_vault": "x"}}).digest) == 64

    def test_only_identity_is_left_out(self) -> None:
        base = {"ansible_host": "192.0.2.1", "lab_seat": 1, "lab_mac": "x", "ansible_user": "lab"}
        digest = policy._policy(base).digest
        assert policy._policy({**base, "ansible_host": "192.0.2.2", "lab_seat": 2}).digest == digest
        for more in ({"ansible_connection": "local"}, {"ansible_port": 23}, {"ansible_user": "root"}):
            assert policy._policy({**base, **more}).digest != digest


class TestOverrides:
    SPEC = """
argument_specs:
  main:
    options:
      patch_scope: {type: str, choices: [security, full]}
      patch_hold: {type: list, elements: str}
      patch_reboot_timeout: {type: int}
      patch_restart_services: {type: bool}
      patch_third_party: {type: list, elements: dict}
      patch_token: {type: str, no_log: true}
      patch_map: {type: dict}
      __patch_internal: {type: str}
"""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """A project whose role says what it takes."""
        write(tmp_path / "roles" / "patch" / "meta" / "argument_specs.yml", self.SPEC)
        return tmp_path

    def test_values_of_the_declared_types(self, project: Path) -> None:
        typed = (
            "patch_scope=full",
            "patch_hold=linux-*, firefox=esr",
            "patch_reboot_timeout=60",
            "patch_restart_services=No",
        )
        assert parse_overrides(project, PATCH, typed) == {
            "patch_scope": "full",
            "patch_hold": ["linux-*", "firefox=esr"],
            "patch_reboot_timeout": 60,
            "patch_restart_services": False,
        }
        assert parse_overrides(project, PATCH, ("patch_hold=",)) == {"patch_hold": []}

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ("patch_scope", "takes KEY=VALUE"),
            ("patch_scope=everything", "takes one of security, full"),
            ("patch_reboot_timeout=soon", "takes a whole number"),
            ("patch_restart_services=1", "takes true or false"),
            ("__patch_internal=x", "takes no setting '__patch_internal'; it takes patch_hold"),
            ("ansible_host=127.0.0.1", "takes no setting 'ansible_host'"),
            ("ansible_become_password=x", "takes no setting"),
            ("patch_token=x", "takes no setting 'patch_token'"),
            ("patch_map=x", "is of type dict, which can't be set"),
            ("patch_third_party=x", "is of type list of dict, which can't be set"),
            ("patch_hold={{ lookup('pipe', 'id') }}", "template text in patch_hold"),
            ("patch_hold=a,{% x %}", "template text in patch_hold"),
            ("patch_hold=a\x1b[2J", r"a character that can't be seen \(U\+001B\)"),
            ("patch_hold=" + "x" * 2000, "more than 1000 characters"),
        ],
    )
    def test_what_is_refused(self, project: Path, typed: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            parse_overrides(project, PATCH, (typed,))

    def test_twice(self, project: Path) -> None:
        with pytest.raises(UsageError, match="patch_scope is set twice"):
            parse_overrides(project, PATCH, ("patch_scope=full", "patch_scope=security"))

    @pytest.mark.parametrize("value", [1, True, ["full"], None, {"a": 1}])
    def test_stored_ones_are_checked_again(self, project: Path, value: Any) -> None:
        with pytest.raises(UsageError):
            check_overrides(project, PATCH, {"patch_scope": value})
        with pytest.raises(UsageError):
            check_overrides(project, PATCH, {"patch_reboot_timeout": True})

    def test_they_are_part_of_the_plan(self, office: Office) -> None:
        plain = office.plan()
        full = make_plan(office.settings, office.school, "patch", plain.hosts, {"patch_scope": "full"})
        assert full.overrides == {"patch_scope": "full"}
        assert full.digest != plain.digest
        assert full.procedure != plain.procedure
