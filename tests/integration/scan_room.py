"""PCs for the role virus_scan, a mirror of signatures on the control node, and files that the signatures know."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab_tool.plugins.module_utils.lab_virus_scan.engine import EICAR
from tests.integration.conftest import LabRoom, wait_until
from tests.integration.patch_room import PatchRoom, Result

DAY = 86_400
PROGRAM = "/usr/local/libexec/lab-scan"
# Known to the signatures made here: the field's test file, and one of this test's own.
EICAR_FILE, OWN_FILE = b"".join(EICAR), b"before " + b"lab" + b"-own-test-" + b"file after\n"
EICAR_NAME, OWN_NAME = "Lab.Test.Eicar", "Lab.Test.Own"
PLAIN, HASHES = "lab.ndb", "lab.hdb"


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
    """A PC `pc`, and a machine `mirror` that its signatures come from."""

    def __init__(self, lab: LabRoom) -> None:
        mirror = lab.hosts[1]
        self.signatures = mirror.root / "srv/lab-signatures/extra"
        self.settings: Mapping[str, object] = {
            "virus_scan_mirror": f"http://{mirror.address}:8090",
            "virus_scan_databases": [],
            "virus_scan_extra_signatures": [HASHES, PLAIN],
            "virus_scan_engine": "daemon",
            "virus_scan_scope": "paths",
            "virus_scan_paths": ["/srv/scanned"],
            "virus_scan_tidy": [],
        }
        super().__init__(lab, {"pc": self.settings, "mirror": {}})

    def scan(self, *, check: bool = False, **settings: object) -> Result:
        """Scan the PC with these settings besides; what the log says of it."""
        given = {**self.settings, **{f"virus_scan_{key}": value for key, value in settings.items()}}
        return self.run("playbooks/virus_scan.yml", "pc", given, check=check)

    def serve(self, *, check: bool = False, **settings: object) -> Result:
        """Set the mirror up."""
        given = {f"signature_mirror_{key}": value for key, value in settings.items()}
        return self.run("playbooks/signature_mirror.yml", "mirror", given, check=check)

    def run(self, playbook: str, name: str, settings: Mapping[str, object], *, check: bool = False) -> Result:
        """Run a playbook on one of them with its settings."""
        self.set(name, settings)
        said = self.playbook(playbook, (name,), *(("--check", "--diff") if check else ()))
        assert "PLAY RECAP" in said, said
        return self._results(self.lab.last_run())[name]

    def lab_scan(self, *arguments: str) -> tuple[int, str]:
        """Run `lab-scan` on the PC; its exit code, and what it said."""
        done = self["pc"].run(f"{PROGRAM} {' '.join(arguments)}", check=False)
        return done.returncode, done.stdout + done.stderr

    def begin(self, *roots: str) -> None:
        """Start a scan as the role would, and don't wait for it."""
        job = {
            "nonce": "test",
            "roots": roots,
            "excluded": [],
            "allowed": [],
            "largest": 400 * 1024**2,
            "limit": 600,
            "resume_age": DAY,
            "now": int(time.time()),
        }
        plant(self["pc"].root, "/var/lib/lab/virus_scan/job.json", json.dumps(job).encode(), 0o600)
        self["pc"].run(f"systemd-run --quiet --collect --unit=lab-virus-scan --property=Nice=19 {PROGRAM} --job")

    def end(self) -> dict[str, Any]:
        """Wait for the scan; what it came to."""
        pc = self["pc"]
        wait_until(lambda: pc.run("systemctl is-active lab-virus-scan", check=False).returncode != 0)
        result: dict[str, Any] = json.loads((pc.root / "var/lib/lab/virus_scan/result.json").read_bytes())
        return result


def plant(root: Path, path: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> Path:
    """Put a file on a PC, seen from outside."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    os.chown(file, *owner)
    return file
