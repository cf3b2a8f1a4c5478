"""What is fetched from a mirror gets the date it has there; freshclam is played, the mirror is real."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy
from threading import Thread

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan import mirror
from lab_tool.plugins.module_utils.lab_virus_scan.fetch import fetch

NOW = 1_795_000_000
THEN = NOW - 5 * 86_400


class Handler(SimpleHTTPRequestHandler):
    """Says nothing; with `dated` false, not even how old a file is."""

    dated = True

    def log_message(self, format: str, *args: object) -> None:
        """Nowhere."""

    def send_header(self, keyword: str, value: str) -> None:
        """Leave the date out."""
        if self.dated or keyword != "Last-Modified":
            super().send_header(keyword, value)


class Undated(Handler):
    """A mirror that keeps no dates."""

    dated = False


@contextmanager
def served(folder: Path, handler: type[Handler] = Handler) -> Iterator[str]:
    """Serve a folder; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A mirror's folder with one file, five days old."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "mirror/school.ndb").write_text("signature", encoding="ascii")
    os.utime(tmp_path / "mirror/school.ndb", (THEN, THEN))
    return tmp_path / "mirror"


def fetched(there: Path, url: str, *, code: int = 0, said: str = "", arrives: bool = True) -> tuple[str, int]:
    """What `fetch` says, and the date of what lies here then; freshclam leaves the time of the download."""
    here = there.parent / "here"

    def freshclam(argv: list[str]) -> tuple[int, str]:
        assert argv[0] == "freshclam"
        if arrives:
            copy(there / "school.ndb", here)
        return code, said

    trouble = fetch(freshclam, url, [], ["school.ndb"], str(here))
    file = here / "school.ndb"
    return trouble, int(file.stat().st_mtime) if file.exists() else -1


def test_a_file_is_as_old_as_on_the_mirror(there: Path) -> None:
    with served(there) as url:
        assert fetched(there, url) == ("", THEN)


def test_without_a_date_it_is_no_proof_of_freshness(there: Path) -> None:
    with served(there, Undated) as url:
        assert fetched(there, url) == ("the mirror does not say how old school.ndb is", 0)


def test_what_was_refused_makes_the_one_that_is_here_no_younger(there: Path) -> None:
    old = there.parent / "here/school.ndb"
    old.write_text("signature", encoding="ascii")
    os.utime(old, (1000, 1000))
    said = "WARNING: x\nERROR: Failed to load new database: Malformed database\nERROR: Update failed.\n"
    with served(there) as url:
        trouble, date = fetched(there, url, code=8, said=said, arrives=False)
    assert (trouble, date) == ("Failed to load new database: Malformed database", 1000)


def test_what_did_not_come_is_told(there: Path) -> None:
    with served(there) as url:
        assert fetched(there, url, arrives=False) == ("school.ndb could not be fetched", -1)
        assert fetched(there, url, code=58, arrives=False)[0] == "freshclam ended with 58"


def test_a_mirror_is_asked_for_what_it_holds(tmp_path: Path) -> None:
    for name in ("official", "extra"):
        (tmp_path / name).mkdir()
    (tmp_path / "extra/school.ndb").write_text("x", encoding="ascii")

    def run(argv: list[str]) -> tuple[int, str]:
        started = "ExecMainStartTimestampMonotonic=7\nResult=exit-code\n"
        return 0, started if argv[0] == "systemctl" else "10:00 - ERROR:  no way out\nfailed\n"

    with served(tmp_path / "extra") as url:
        wanted = mirror.Wanted(str(tmp_path), False, 2, url)
        trouble, values = mirror.read(run, wanted, NOW)
        assert (trouble, values["served"], values["fetched"]) == ("", 1, "never")
        (tmp_path / "extra/link.ndb").symlink_to("/etc/hostname-of-nowhere")
        assert mirror.read(run, wanted, NOW)[0] == ""
        trouble, _ = mirror.read(run, mirror.Wanted(str(tmp_path), True, 2, url), NOW)
        assert trouble == "there are no signatures; the last fetching ended with: exit-code: no way out"
    assert mirror.read(run, wanted, NOW)[0] == "not served: school.ndb"
    (tmp_path / "extra/school.ndb").unlink()
    assert mirror.read(run, wanted, NOW)[0] == "there is nothing to serve"
