"""The engine of controls on a small world of files: what it applies, checks, keeps and gives back."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_control import engine, files, guard, journal, kind, system
from lab_tool.plugins.module_utils.lab_control.definition import Control, DefinitionError, parse
from lab_tool.plugins.module_utils.lab_control.journal import Journal, journals, load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the engine writes as root, where only root may write")


@dataclass
class World:
    """A folder that stands for the PC, and programs that only note what was asked of them."""

    root: Path
    asked: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def run(self, argv: Sequence[str]) -> tuple[int, str, str]:
        """Noted; answered as the test says, or with nothing."""
        self.asked.append(" ".join(argv))
        return self.answers.get(" ".join(argv), (0, "", ""))

    def control(self, *files: dict[str, Any], **more: Any) -> Control:
        """A control `one` of files in this world."""
        placed = [{**file, "path": str(self.root / file["path"])} for file in files]
        return parse("one", {"files": placed, **more})

    def listing(self) -> dict[str, tuple[str, int]]:
        """Every path with its contents and mode."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            text = path.read_text(encoding="utf-8") if path.is_file() else "-"
            found[str(path.relative_to(self.root))] = (text, stat.S_IMODE(path.lstat().st_mode))
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty one, with its journals beside it."""
    kept = tmp_path / "kept"
    monkeypatch.setattr(journal, "ROOT", kept)
    monkeypatch.setattr(guard, "ARMED", kept / "guard.json")
    monkeypatch.setattr(guard, "FIRED", kept / "rolled-back.json")
    monkeypatch.setattr(guard, "HOME", tmp_path / "home")
    monkeypatch.setattr(guard, "UNITS", tmp_path / "units")
    (tmp_path / "units").mkdir()
    (tmp_path / "pc").mkdir()
    return World(tmp_path / "pc")


def undo_all(world: World) -> list[str]:
    """Undo everything; what went wrong."""
    return [text for kept in journals() for text in engine.undo(kept, world.run).wrong]


class TestApply:
    def test_makes_files_and_says_so_once(self, world: World) -> None:
        control = world.control({"path": "a/b.conf", "content": "x\n", "mode": "0600"})
        assert engine.apply(control, world.run).changed == [f"path {world.root}/a/b.conf"]
        assert world.listing()["a/b.conf"] == ("x\n", 0o600)
        assert engine.apply(control, world.run).changed == []

    def test_check_changes_nothing_and_says_the_same(self, world: World) -> None:
        control = world.control({"path": "a/b.conf", "content": "x\n"}, reload=[["reload", "it"]])
        told = engine.apply(control, world.run, check=True)
        assert world.listing() == {}
        assert journals() == []
        assert world.asked == []
        assert told.changed == engine.apply(control, world.run).changed

    def test_reloads_only_after_a_change(self, world: World) -> None:
        control = world.control({"path": "b", "content": "x"}, reload=[["reload", "it"]])
        engine.apply(control, world.run)
        engine.apply(control, world.run)
        assert world.asked.count("reload it") == 1

    def test_reloads_what_a_killed_run_did_not(self, world: World) -> None:
        control = world.control({"path": "b", "content": "x"}, reload=[["reload", "it"]])
        world.answers["reload it"] = (1, "", "killed")
        assert engine.apply(control, world.run).wrong == ["reload: reload it: killed"]
        del world.answers["reload it"]
        assert engine.apply(control, world.run).wrong == []
        assert world.asked.count("reload it") == 2

    def test_what_fails_does_not_keep_the_rest(self, world: World) -> None:
        (world.root / "folder").mkdir()
        control = world.control({"path": "folder", "content": "x"}, {"path": "b", "content": "y"})
        told = engine.apply(control, world.run)
        assert "a folder stands where a file has to be" in told.wrong[0]
        assert world.listing()["b"][0] == "y"

    def test_a_link_is_replaced_and_not_followed(self, world: World) -> None:
        (world.root / "target").write_text("precious")
        (world.root / "b").symlink_to("target")
        engine.apply(world.control({"path": "b", "content": "x"}), world.run)
        assert world.listing()["target"][0] == "precious"
        assert undo_all(world) == []
        assert (world.root / "b").is_symlink()

    def test_nothing_is_written_where_others_may(self, world: World) -> None:
        (world.root / "open").mkdir()
        (world.root / "open").chmod(0o777)
        told = engine.apply(world.control({"path": "open/b", "content": "x"}), world.run)
        assert "others may write there" in told.wrong[0]
        assert not (world.root / "open" / "b").exists()

    def test_a_check_says_what_is_in_effect(self, world: World) -> None:
        control = world.control(checks=[{"run": ["asks"], "contains": "yes", "lacks": "no", "why": "it is not so"}])
        world.answers["asks"] = (0, "yes", "")
        assert engine.apply(control, world.run).wrong == []
        world.answers["asks"] = (0, "yes and no", "")
        assert engine.apply(control, world.run).wrong == ["it is not so"]
        assert engine.inspect(control, world.run).wrong == ["it is not so"]

    def test_a_program_that_is_not_there_meets_no_check(self, world: World) -> None:
        control = world.control(checks=[{"run": ["asks"], "lacks": "no", "why": "it is not so"}])
        world.answers["asks"] = (127, "", "not found")
        assert engine.apply(control, world.run).wrong == ["it is not so"]

    @pytest.mark.parametrize("code", [124, 137])
    def test_a_program_that_was_ended_meets_no_check_by_what_it_did_not_say(self, world: World, code: int) -> None:
        control = world.control(checks=[{"run": ["find"], "lacks": ".", "why": "it is not so"}])
        world.answers["find"] = (code, "", "")
        assert engine.apply(control, world.run).wrong == ["it is not so"]

    def test_of_permissions_no_contents_are_kept(self, world: World) -> None:
        """`/etc/shadow` is none of the journal's business."""
        (world.root / "shadow").write_text("secret")
        engine.apply(world.control({"path": "shadow", "state": "mode", "mode": "0600"}), world.run)
        assert "content" not in load("one").records[f"path {world.root}/shadow"].before

    def test_an_end_that_somebody_deleted_takes_no_lines_of_others(self, world: World) -> None:
        control = world.control({"path": "hosts", "state": "block", "content": "ours\n"})
        (world.root / "hosts").write_text("# BEGIN lab one\ntheirs\n")
        engine.apply(control, world.run)
        engine.apply(world.control({"path": "hosts", "state": "block", "content": "new\n"}), world.run)
        assert world.listing()["hosts"][0] == "# BEGIN lab one\ntheirs\n# BEGIN lab one\nnew\n# END lab one\n"

    @pytest.mark.parametrize("text", ["{", "[]", "{}"])
    def test_a_journal_that_can_not_be_read_is_named(self, world: World, text: str) -> None:
        engine.apply(world.control({"path": "b", "content": "x"}), world.run)
        load("one").path.write_text(text)
        with pytest.raises(ValueError, match=r"one/journal\.json"):
            journals()


class TestUndo:
    def test_gives_back_bytes_modes_and_absence(self, world: World) -> None:
        (world.root / "old").write_text("before\n")
        (world.root / "old").chmod(0o640)
        (world.root / "gone").write_text("here\n")
        (world.root / "hosts").write_text("mine\n")
        before = world.listing()
        control = world.control(
            {"path": "old", "content": "after\n"},
            {"path": "gone", "state": "absent"},
            {"path": "hosts", "state": "block", "content": "ours\n"},
            {"path": "new/folder", "state": "directory", "mode": "0700"},
            {"path": "new/folder/file", "content": "x"},
        )
        engine.apply(control, world.run)
        assert world.listing()["hosts"][0] == "mine\n# BEGIN lab one\nours\n# END lab one\n"
        assert undo_all(world) == []
        assert world.listing() == before
        assert journals() == []

    def test_gives_back_what_was_before_the_first_run(self, world: World) -> None:
        (world.root / "b").write_text("before")
        engine.apply(world.control({"path": "b", "content": "one"}), world.run)
        engine.apply(world.control({"path": "b", "content": "two"}), world.run)
        assert undo_all(world) == []
        assert world.listing()["b"][0] == "before"

    def test_an_item_that_left_the_definition_is_given_back(self, world: World) -> None:
        (world.root / "b").write_text("before")
        engine.apply(world.control({"path": "b", "content": "x"}, {"path": "c", "content": "y"}), world.run)
        told = engine.apply(world.control({"path": "c", "content": "y"}), world.run)
        assert told.changed == [f"path {world.root}/b (undone)"]
        assert world.listing()["b"][0] == "before"

    def test_other_lines_of_a_file_stay(self, world: World) -> None:
        (world.root / "hosts").write_text("mine\n")
        engine.apply(world.control({"path": "hosts", "state": "block", "content": "ours"}), world.run)
        with (world.root / "hosts").open("a") as file:
            file.write("later\n")
        undo_all(world)
        assert world.listing()["hosts"][0] == "mine\nlater\n"

    def test_a_folder_with_somebodys_files_stays(self, world: World) -> None:
        engine.apply(world.control({"path": "folder", "state": "directory"}), world.run)
        (world.root / "folder" / "theirs").write_text("x")
        assert undo_all(world) == []
        assert "folder/theirs" in world.listing()

    def test_what_could_not_be_given_back_is_kept_for_the_next_try(self, world: World) -> None:
        (world.root / "b").write_text("before")
        engine.apply(world.control({"path": "b", "content": "x"}), world.run)
        (world.root / "b").unlink()
        (world.root / "b").mkdir()
        (world.root / "b" / "full").write_text("x")
        assert undo_all(world) != []
        assert load("one").records
        (world.root / "b" / "full").unlink()
        (world.root / "b").rmdir()
        assert undo_all(world) == []
        assert world.listing() == {"b": ("before", 0o644)}

    def test_a_journal_cut_off_before_the_act_gives_back_the_same(self, world: World) -> None:
        (world.root / "b").write_text("before")
        control = world.control({"path": "b", "content": "x"})
        kept = load("one")
        item = control.items[0]
        kept.records[item.key] = journal.Record(item, engine.KINDS["path"].read(world.run, item.target, item.wanted))
        kept.save()
        assert undo_all(world) == []
        assert world.listing()["b"][0] == "before"

    def test_the_last_control_goes_first(self, world: World) -> None:
        for name in ("one", "two", "three"):
            kept = Journal(name)
            kept.save()
        assert [kept.control for kept in journals()] == ["three", "two", "one"]

    def test_permissions_come_back_and_contents_stay(self, world: World) -> None:
        """Of a program that was updated, or the list of accounts, an undo must not bring back an old one."""
        (world.root / "passwd").write_text("old")
        (world.root / "passwd").chmod(0o4755)
        engine.apply(world.control({"path": "passwd", "state": "mode", "mode": "0644"}), world.run)
        (world.root / "passwd").write_text("new")
        assert undo_all(world) == []
        assert world.listing() == {"passwd": ("new", 0o4755)}

    def test_permissions_of_what_is_gone_make_nothing(self, world: World) -> None:
        (world.root / "passwd").write_text("old")
        engine.apply(world.control({"path": "passwd", "state": "mode", "mode": "0600"}), world.run)
        (world.root / "passwd").unlink()
        assert undo_all(world) == []
        assert world.listing() == {}

    def test_a_full_disk_does_not_keep_what_locks_out(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        (world.root / "old").write_text("before")
        engine.apply(world.control({"path": "old", "content": "x"}, {"path": "sshd", "content": "y"}), world.run)

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(files, "write", full)
            patch.setattr(journal, "write", full)
            assert undo_all(world) != []
        assert world.listing() == {"old": ("x", 0o644)}
        assert undo_all(world) == []
        assert world.listing() == {"old": ("before", 0o644)}
        assert journals() == []


class TestPackages:
    """Programs stand in for apt and dpkg."""

    INSTALLED = "dpkg-query --show --showformat=${Package} ${Version} ${db:Status-Status}\n"

    def test_none_takes_away_what_the_control_node_comes_by(self, world: World) -> None:
        """`lockdown_unwanted_packages: [libssl3]` is a mistake of a moment."""
        control = parse("one", {"packages": {"absent": ["libssl3"]}})
        apt = " ".join(system.APT)
        world.answers[self.INSTALLED] = (0, "libssl3 1 installed\n", "")
        world.answers[f"{apt} --simulate remove libssl3"] = (0, "Remv openssh-server [1]\nRemv libssl3 [1]\n", "")
        told = engine.apply(control, world.run)
        assert "openssh-server would go with it" in told.wrong[0]
        assert f"{apt} remove libssl3" not in world.asked

    def test_undo_takes_nothing_that_came_later(self, world: World) -> None:
        apt = " ".join(system.APT)
        world.answers[self.INSTALLED] = (0, "nftables 1 installed\nfirewalld 1 installed\n", "")
        world.answers[f"{apt} --simulate remove nftables"] = (0, "Remv firewalld [1]\nRemv nftables [1]\n", "")
        with pytest.raises(kind.ProgramError, match="firewalld came later"):
            system.PackageKind().restore(world.run, "nftables", {"version": None}, {"added": ["nftables"]})
        assert f"{apt} purge nftables" not in world.asked

    def test_what_a_power_cut_left_half_done_is_finished_first(self, world: World) -> None:
        control = parse("one", {"packages": {"present": ["nftables"]}})
        engine.apply(control, world.run)
        finish, install = (
            next(i for i, said in enumerate(world.asked) if word in said) for word in (" -a", " install ")
        )
        assert finish < install


class TestGuard:
    def test_undoes_only_what_it_was_armed_for(self, world: World) -> None:
        one = world.control({"path": "one", "content": "x"})
        two = parse("two", {"files": [{"path": str(world.root / "two"), "content": "x"}]})
        engine.apply(two, world.run)
        guard.arm(engine.pending([one, two], world.run), 60, "#!/bin/true\n", world.run)
        engine.apply(one, world.run)
        assert list(guard.fire(world.run)) == ["one"]
        assert list(world.listing()) == ["two"]
        assert guard.rolled_back() == ["one"]

    def test_told_in_time_it_leaves_nothing(self, world: World) -> None:
        guard.arm(["one"], 60, "#!/bin/true\n", world.run)
        guard.disarm(world.run)
        assert guard.rolled_back() == []
        assert list(guard.UNITS.iterdir()) == []

    def test_its_time_counts_from_when_all_was_applied(self, world: World) -> None:
        """A package that takes long must not use up the time to log in, nor let the waiting undo act at once."""
        guard.arm(["one"], 60, "#!/bin/true\n", world.run)
        world.asked.clear()
        guard.begin(world.run)
        assert world.asked[:2] == [f"systemctl stop -- {guard.SERVICE}", f"systemctl restart -- {guard.TIMER}"]

    def test_what_a_killed_run_did_not_confirm_waits_for_the_next_to(self, world: World) -> None:
        """Nothing is to be changed any more, and yet the PC would undo it: after it was told to be in effect."""
        one = world.control({"path": "one", "content": "x"})
        guard.arm(guard.to_guard([one], world.run), 60, "#!/bin/true\n", world.run)
        engine.apply(one, world.run)
        assert guard.to_guard([one], world.run) == ["one"]
        guard.disarm(world.run)
        assert guard.to_guard([one], world.run) == []

    def test_what_it_could_not_undo_stays_armed(self, world: World) -> None:
        (world.root / "b").write_text("before")
        one = world.control({"path": "b", "content": "x"})
        guard.arm(["one"], 60, "#!/bin/true\n", world.run)
        engine.apply(one, world.run)
        (world.root / "b").unlink()
        (world.root / "b").mkdir()
        guard.fire(world.run)
        assert guard.armed() == ["one"]
        assert (guard.UNITS / guard.TIMER).exists()
        (world.root / "b").rmdir()
        guard.fire(world.run)
        assert guard.armed() == []
        assert world.listing()["b"][0] == "before"

    def test_a_journal_that_can_not_be_read_keeps_no_other(self, world: World) -> None:
        two = parse("two", {"files": [{"path": str(world.root / "two"), "content": "x"}]})
        guard.arm(["one", "two"], 60, "#!/bin/true\n", world.run)
        engine.apply(world.control({"path": "one", "content": "x"}), world.run)
        engine.apply(two, world.run)
        load("one").path.write_text("{")
        assert list(guard.fire(world.run)) == ["two"]
        assert list(world.listing()) == ["one"]
        assert guard.armed() == ["one", "two"]

    def test_does_not_apply_what_it_can_not_undo(self, world: World) -> None:
        world.answers[f"systemctl is-active -- {guard.TIMER}"] = (3, "inactive", "")
        with pytest.raises(Exception, match="is-active"):
            guard.arm(["one"], 60, "#!/bin/true\n", world.run)

    def test_its_program_has_all_it_imports(self) -> None:
        folder = Path(guard.__file__).parent
        needed = {path.stem for path in folder.glob("*.py")} - {"module"}
        assert set(guard.SOURCES) == needed


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"fils": []}, "unknown: fils"),
        ({"files": [{"path": "etc/x", "content": ""}]}, "absolute path"),
        ({"files": [{"path": "/etc/../x", "content": ""}]}, "absolute path"),
        ({"files": [{"path": "/etc/x"}]}, "content goes with"),
        ({"files": [{"path": "/etc/x", "state": "absent", "content": ""}]}, "content goes with"),
        ({"files": [{"path": "/etc/x", "content": "", "mode": 644}]}, "mode is a text"),
        ({"files": [{"path": "/etc/x", "content": "a"}, {"path": "/etc/x", "content": "b"}]}, "given twice"),
        ({"reload": ["systemctl daemon-reload"]}, "no command line"),
        ({"checks": [{"run": ["x"], "contains": "(", "why": "y"}]}, r"\("),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        parse("one", raw)
