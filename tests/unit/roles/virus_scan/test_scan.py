"""A scan: limits, finds, an engine that fails; the engine is played, the files are real."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan import quarantine, scan
from lab_tool.plugins.module_utils.lab_virus_scan.clamd import Answer, Clamd, EngineError
from lab_tool.plugins.module_utils.lab_virus_scan.mounts import Mounts
from lab_tool.plugins.module_utils.lab_virus_scan.scan import Job, Report, Scan
from lab_tool.plugins.module_utils.lab_virus_scan.walk import Walk

NOW = 1_795_000_000
DAY = 86_400


class Played(Clamd):
    """Answers by what is in a file: `bad`, `error`, `deep`, `death`; each file takes a second of `time`."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.asked: list[bytes] = []
        self.lives = True

    def ping(self) -> bool:
        return self.lives

    def scan(self, descriptor: int) -> Answer:
        self.time += 1.0
        content = os.pread(descriptor, 99, 0)
        self.asked.append(content)
        if content == b"death":
            raise EngineError("clamd does not answer")
        return {
            b"bad": Answer(signature="Eicar"),
            b"error": Answer(error="Can't allocate memory"),
            b"deep": Answer(signature="Heuristics.Limits.Exceeded.MaxRecursion"),
        }.get(content, Answer())


@pytest.fixture
def engine() -> Played:
    """One engine for all scans of a test."""
    return Played()


@pytest.fixture
def perform(tmp_path: Path, engine: Played, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """Scan `files` below a folder, with other values of the job."""
    monkeypatch.setattr(scan, "PROGRESS", str(tmp_path / "progress.json"))
    put = partial(quarantine.put, folder=str(tmp_path / "quarantine"))
    monkeypatch.setattr(quarantine, "put", put)
    job = Job([str(tmp_path / "files")], [], [], 1000, 3600, 7 * DAY, NOW)

    def run(**changes: object) -> Report:
        wanted = replace(job, **changes)  # type: ignore[arg-type]
        return Scan(wanted, engine, Walk(Mounts()), lambda: engine.time).run()

    return run


def write(tmp_path: Path, *contents: str) -> list[Path]:
    """Files with these contents, in that order."""
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03d}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content, encoding="ascii")
    return paths


def test_everything_is_scanned_once(tmp_path: Path, engine: Played, perform: Callable[..., Report]) -> None:
    write(tmp_path, "a", "b", "", "c")
    report = perform()
    assert (report.complete, report.files, report.size, engine.asked) == (True, 4, 3, [b"a", b"b", b"c"])


def test_time_up_is_no_end_and_the_rest_is_scanned_next(
    tmp_path: Path, engine: Played, perform: Callable[..., Report]
) -> None:
    write(tmp_path, *"abcdefgh")
    first = perform(limit=3)
    assert (first.complete, first.files, first.before) == (False, 3, 0)
    second = perform(limit=3, now=NOW + DAY)
    assert (second.complete, second.files, second.before, second.pass_started) == (False, 3, 3, NOW)
    third = perform(limit=3)
    assert (third.complete, third.files, third.before) == (True, 2, 6)
    assert engine.asked == [letter.encode() for letter in "abcdefgh"]
    assert perform().before == 0


@pytest.mark.parametrize("changes", [{"excluded": ["/x"]}, {"now": NOW + 8 * DAY}, {"resume": False}])
def test_another_scan_or_a_late_one_begins_anew(
    tmp_path: Path, perform: Callable[..., Report], changes: dict[str, object]
) -> None:
    write(tmp_path, *"abcd")
    perform(limit=2)
    report = perform(**changes)
    assert (report.before, report.files) == (0, 4)


def test_a_progress_that_can_not_be_read_is_none(tmp_path: Path, perform: Callable[..., Report]) -> None:
    write(tmp_path, *"abcd")
    (tmp_path / "progress.json").write_text("{", encoding="ascii")
    assert perform().files == 4


def test_what_can_not_be_scanned_is_counted_and_named(tmp_path: Path, perform: Callable[..., Report]) -> None:
    paths = write(tmp_path, "error", "deep", "x" * 2000, "fine")
    report = perform()
    assert report.unreadable.some == [f"{paths[0]}: Can't allocate memory"]
    assert report.partial.some == [f"{paths[1]}: MaxRecursion", f"{paths[2]}: too large"]
    assert report.found == [] and report.complete


def test_an_engine_that_dies_of_one_file_is_asked_for_the_next(tmp_path: Path, perform: Callable[..., Report]) -> None:
    write(tmp_path, "death", "fine")
    report = perform()
    assert (report.complete, report.unreadable.count, report.trouble) == (True, 1, "")


def test_an_engine_that_is_gone_ends_it(tmp_path: Path, engine: Played, perform: Callable[..., Report]) -> None:
    write(tmp_path, "a", "death", "never")
    engine.lives = False
    report = perform()
    assert (report.complete, report.trouble, b"never" in engine.asked) == (False, "clamd does not answer", False)
    write(tmp_path, "a", "death", "death", "death", "never")
    engine.lives = True
    assert perform().trouble == "clamd does not answer"


def test_a_find_that_is_allowed_stays(tmp_path: Path, perform: Callable[..., Report]) -> None:
    paths = write(tmp_path, "bad")
    report = perform(quarantine=False)
    digest = report.found[0]["sha256"]
    report = perform(allowed=[digest])
    assert (report.found, report.allowed, paths[0].exists()) == ([], 1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may own what is closed to everybody")
def test_finds_are_put_away_while_the_scan_goes_on(tmp_path: Path, perform: Callable[..., Report]) -> None:
    paths = write(tmp_path, "a", "bad", "b", "bad")
    report = perform()
    assert [find["trouble"] for find in report.found] == ["", ""]
    assert [path.exists() for path in paths] == [True, False, True, False]
    assert report.complete


def test_too_many_finds_are_for_a_person(
    tmp_path: Path, perform: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MOST_FINDS", 2)
    write(tmp_path, *["bad"] * 5)
    report = perform(quarantine=False)
    assert (report.complete, len(report.found), report.trouble) == (False, 2, "2 finds; the scan stopped there")
