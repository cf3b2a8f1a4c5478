"""PCs for the role virus_scan, a mirror of signatures on the control node, and files that the signatures know."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from lab_tool.plugins.module_utils.lab_virus_scan.engine import EICAR
from tests.integration.conftest import LabRoom
from tests.integration.patch_room import PatchRoom, Result

DAY = 86_400
# Known to the signatures made here: the field's test file, and one of this test's own.
EICAR_FILE, OWN_FILE = b"".join(EICAR), b"before " + b"lab" + b"-own-test-" + b"file after\n"
EICAR_NAME, OWN_NAME = "Lab.Test.Eicar", "Lab.Test.Own"
PLAIN, HASHES = "lab.ndb", "lab.hdb"


class QuietHandler(SimpleHTTPRequestHandler):
    """Says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nowhere."""


@contextmanager
def served(folder: Path, address: str) -> Iterator[str]:
    """Serve a folder over HTTP; its address."""
    server = ThreadingHTTPServer((address, 0), partial(QuietHandler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def make_signatures(folder: Path, age: float = 0.0) -> None:
    """A small base that knows both files, so many days old."""
    digest = hashlib.md5(EICAR_FILE, usedforsecurity=False).hexdigest()
    own = b"lab" + b"-own-test-" + b"file"
    texts = {HASHES: f"{digest}:{len(EICAR_FILE)}:{EICAR_NAME}\n", PLAIN: f"{OWN_NAME}:0:*:{own.hex()}\n"}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")
        then = time.time() - age * DAY
        os.utime(folder / name, (then, then))


class ScanRoom(PatchRoom):
    """PCs whose signatures come from `mirror`, an address that serves the folder `signatures`."""

    def __init__(self, lab: LabRoom, names: tuple[str, ...], mirror: str, signatures: Path) -> None:
        self.settings: Mapping[str, object] = {
            "virus_scan_mirror": mirror,
            "virus_scan_databases": [],
            "virus_scan_extra_signatures": [HASHES, PLAIN],
            "virus_scan_engine": "daemon",
            "virus_scan_scope": "paths",
            "virus_scan_paths": ["/srv/scanned"],
            "virus_scan_tidy": [],
        }
        super().__init__(lab, {name: self.settings for name in names})
        self.signatures = signatures

    def scan(self, name: str, *, check: bool = False, **settings: object) -> Result:
        """Run the playbook on a PC with these settings besides; what the log says of it."""
        self.set(name, {**self.settings, **{f"virus_scan_{key}": value for key, value in settings.items()}})
        options = ("--check", "--diff") if check else ()
        said = self.playbook("playbooks/virus_scan.yml", (name,), *options)
        print(said)
        assert "PLAY RECAP" in said, said
        return self._results(self.lab.last_run())[name]


def plant(root: Path, path: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> Path:
    """Put a file on a PC, seen from outside."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    os.chown(file, *owner)
    return file
