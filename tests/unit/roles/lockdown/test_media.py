"""What lab-media decides: by the policy, the exception, the time, the device."""

from __future__ import annotations

import errno
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab_tool.settings import PROJECT

UNTIL = 1_800_000_000


@pytest.fixture(scope="module")
def lab_media() -> ModuleType:
    """The program, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("lab_media", PROJECT / "roles/lockdown/files/lab_media.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lab_media"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(lab_media: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PC on paper: its own /sys and state, where the program looks for them; no program is started."""
    monkeypatch.setattr(lab_media, "run", lambda *argv: (0, ""))
    monkeypatch.setattr(lab_media, "log", lambda *said: None)
    for name, path in {
        "SYS": "sys",
        "STATE": "state",
        "EXCEPTION": "state/exception.json",
        "CLOCK": "state/clock.json",
        "ADMITTED": "scanned",
        "RUN": "run",
        "PUBLIC": "media",
    }.items():
        monkeypatch.setattr(lab_media, name, tmp_path / path)
    (tmp_path / "state").mkdir()
    (tmp_path / "sys/bus/usb/devices").mkdir(parents=True)
    (tmp_path / "sys/block").mkdir()
    (tmp_path / "sys/class/block").mkdir(parents=True)
    monkeypatch.setattr(lab_media.time, "time", lambda: float(UNTIL - 100))
    return tmp_path


def usb(place: Path, name: str, kind: str, serial: str) -> Path:
    """A USB device with one interface of that kind."""
    path = place / "sys/bus/usb/devices" / name / f"{name}:1.0"
    path.mkdir(parents=True)
    (path.parent / "serial").write_text(f"{serial}\n", encoding="ascii")
    (path / "bInterfaceClass").write_text(f"{kind}\n", encoding="ascii")
    (path / "authorized").write_text("1", encoding="ascii")
    (place / "sys/bus/usb/devices" / path.name).symlink_to(path)
    return path


def admit(place: Path, **changes: object) -> None:
    """Write an exception."""
    grant = {"until": UNTIL, "devices": [], "reason": "A contest", **changes}
    (place / "state/exception.json").write_text(json.dumps(grant), encoding="utf-8")


def grant(lab_media: ModuleType, *devices: str) -> Any:
    """An exception until `UNTIL`."""
    return lab_media.Grant("g", UNTIL, devices)


def test_nothing_is_admitted_without_a_reason_to(lab_media: ModuleType) -> None:
    assert lab_media.decide(False, None, UNTIL, "S1") == "removable media is not admitted here"


def test_an_exception_admits_until_its_end_and_not_at_it(lab_media: ModuleType) -> None:
    assert lab_media.decide(False, grant(lab_media), UNTIL - 1, "S1") == ""
    assert lab_media.decide(False, grant(lab_media), UNTIL, "S1") == "the exception has ended"


def test_an_exception_may_be_for_some_devices(lab_media: ModuleType) -> None:
    assert lab_media.decide(False, grant(lab_media, "S1"), 0, "S1") == ""
    for other in ("S2", ""):
        assert "for other devices" in lab_media.decide(False, grant(lab_media, "S1"), 0, other)


def test_what_the_profile_admits_needs_no_exception(lab_media: ModuleType) -> None:
    assert lab_media.decide(True, None, 0, "") == ""
    assert lab_media.decide(True, grant(lab_media, "S1"), UNTIL + 1, "S2") == ""


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"until": "soon", "devices": []}', '{"until": 1, "devices": "S1"}', '{"until": 1}', "1"]
)
def test_an_exception_that_makes_no_sense_is_none(lab_media: ModuleType, place: Path, text: str) -> None:
    (place / "state/exception.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError):
        lab_media.read_grant(text)
    assert lab_media.why_not("S1") == "removable media is not admitted here"


def test_a_clock_set_back_prolongs_nothing(lab_media: ModuleType) -> None:
    first = lab_media.moment({}, "g", 1000, 50, "boot")
    assert first["time"] == 1000
    # In the same boot: ten seconds later by the kernel's count, an hour earlier by the clock.
    second = lab_media.moment(first, "g", 1000 - 3600, 60, "boot")
    assert second["time"] == 1010
    # After a reboot nobody knows how long it was off, but it is not earlier.
    assert lab_media.moment(second, "g", 500, 5, "other")["time"] == 1010
    assert lab_media.moment(second, "g", 2000, 5, "other")["time"] == 2000


def test_a_clock_that_was_wrong_does_not_end_the_next_exception(lab_media: ModuleType) -> None:
    ahead = lab_media.moment({}, "g", 9_000_000_000, 50, "boot")
    assert lab_media.moment(ahead, "another", 1000, 60, "boot")["time"] == 1000


def test_only_interfaces_for_storage_are_ever_touched(lab_media: ModuleType, place: Path) -> None:
    stick, keyboard = usb(place, "1-1", "08", "S1"), usb(place, "1-2", "03", "K1")
    for path in (stick, keyboard):
        lab_media.interface(path.name)
    lab_media.shut()
    assert (stick / "authorized").read_text() == "0"
    assert (keyboard / "authorized").read_text() == "1"


def test_an_exception_lets_the_device_it_names_through(
    lab_media: ModuleType, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, ...]] = []

    def run(*argv: str) -> tuple[int, str]:
        loaded.append(argv)
        return 0, ""

    monkeypatch.setattr(lab_media, "run", run)
    admit(place, devices=["S1"])
    named, other = usb(place, "1-1", "08", "S1"), usb(place, "1-2", "08", "S2")
    for path in (named, other):
        lab_media.interface(path.name)
    assert [(path / "authorized").read_text() for path in (named, other)] == ["1", "0"]
    assert ("modprobe", "--ignore-install", "usb_storage") in loaded


def test_a_medium_is_told_from_the_pc_s_own_disks(lab_media: ModuleType, place: Path) -> None:
    for name, files in {
        "sda": {"removable": "0"},
        "sdb": {"removable": "1"},
        "mmcblk0": {"removable": "0", "device/type": "MMC"},
        "mmcblk1": {"removable": "0", "device/type": "SD"},
        "loop0": {"removable": "1"},
        "dm-0": {"removable": "0"},
    }.items():
        for file, text in files.items():
            path = place / "sys/block" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="ascii")
        (place / "sys/class/block" / name).symlink_to(place / "sys/block" / name)
    assert lab_media.media() == ["mmcblk1", "sdb"]


def test_the_file_systems_that_are_mounted_are_known_ones(
    lab_media: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer, kind in (((0, "vfat"), "vfat"), ((0, "crypto_LUKS"), None), ((2, ""), None), ((8, "vfat"), None)):
        monkeypatch.setattr(lab_media, "run", lambda *argv, answer=answer: answer)
        found = lab_media._file_system("/dev/sdx1")
        assert (found and found[0]) == kind


def test_everything_it_mounts_is_read_only_and_runs_nothing(lab_media: ModuleType) -> None:
    assert set(lab_media.SAFE) == {"ro", "nosuid", "nodev", "noexec"}
    for _, options in lab_media.FILE_SYSTEMS.values():
        assert not {"rw", "exec", "suid", "dev"} & set(options.split(","))


def test_a_full_disk_does_not_prolong_an_exception(
    lab_media: ModuleType, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is admitted could fill the disk and keep the stick for ever."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lab_media.os, "fsync", full)
    lab_media.EXCEPTION.write_text('{"until": 1000, "devices": [], "reason": "x"}', encoding="utf-8")
    lab_media.tick()
    assert not lab_media.EXCEPTION.exists()
