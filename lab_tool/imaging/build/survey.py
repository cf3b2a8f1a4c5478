"""What is in a root file system: its packages, its files, which release it is. For `lab image show` and `diff`."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("var/lib/dpkg/status")
# The second is a link to the first, or somebody wrote it.
_RELEASES = ("usr/lib/os-release", "etc/os-release")
_RELEASE_FIELDS = {"ID": "id", "VERSION_ID": "version", "VERSION_CODENAME": "codename", "PRETTY_NAME": "title"}
_KERNEL = re.compile(r"vmlinuz-(.+)")
_DIGITS = 16
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Survey:
    """Packages by name, files by path: `mode size sha256[:16]`, mode in octal; of a link, a hash of where it leads."""

    packages: dict[str, str]
    files: dict[str, str]
    release: dict[str, str]

    def as_contents(self) -> dict[str, dict[str, str]]:
        """As the store keeps it."""
        return {"packages": self.packages, "files": self.files}


def survey(root: Path) -> Survey:
    """Look through a root file system. Nothing outside it is read."""
    paths = list(_paths(root))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        told = list(pool.map(_tell, paths))
    files = {f"/{path.relative_to(root)}": text for path, text in zip(paths, told, strict=True) if text}
    return Survey(packages(root), dict(sorted(files.items())), release(root))


def packages(root: Path) -> dict[str, str]:
    """Installed packages and their versions, as dpkg knows them."""
    path = root / _STATUS
    if not path.is_file():
        return {}
    found = {}
    for stanza in path.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed") and "Package" in fields:
            found[fields["Package"]] = fields.get("Version", "")
    return dict(sorted(found.items()))


def release(root: Path) -> dict[str, str]:
    """Which system it is: id, version, codename, title, kernel, architecture; what is known of them."""
    facts = {}
    for path in (root / name for name in _RELEASES):
        if path.is_symlink() or not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key in _RELEASE_FIELDS:
                facts[_RELEASE_FIELDS[key]] = value.strip("\"'")
    kernel = root / "vmlinuz"
    match = _KERNEL.fullmatch(kernel.readlink().name) if kernel.is_symlink() else None
    if match:
        facts["kernel"] = match[1]
    return facts


def _paths(root: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(here, name)
            if path.is_symlink() or name in names:
                yield path


def _tell(path: Path) -> str:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        digest = hashlib.sha256(os.fsencode(path.readlink()))
    elif stat.S_ISREG(facts.st_mode):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    else:
        return ""
    return f"{facts.st_mode:o} {facts.st_size} {digest.hexdigest()[:_DIGITS]}"
