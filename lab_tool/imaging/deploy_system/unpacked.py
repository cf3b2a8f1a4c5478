"""The content of packages in one folder, and programs started from there: this machine needs none of them installed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError
from lab_tool.imaging.deploy_system.packages import Package

_LOADER = "/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
_MERGED = ("bin", "lib", "lib64", "sbin")


class Unpacked:
    """Packages as they lie in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, packages: Iterable[Package], root: Path) -> Unpacked:
        """Unpack `packages` into the empty folder `root`."""
        for package in packages:
            done = process.run(["dpkg-deb", "--extract", str(package.file), str(root)])
            if done.code:
                raise LabError(
                    f"this package can't be unpacked: {done.error_text}",
                    where=str(package.file),
                    next_command=f"rm {package.file}",
                )
        return cls(root)

    def file(self, path: str) -> Path:
        """Where the file that is installed as `path` lies, links followed."""
        for _ in range(10):
            place = next((place for place in self._places(path) if os.path.lexists(place)), None)
            if place is None:
                raise LabError(f"no package brings {path}; the distribution has changed")
            if not place.is_symlink():
                return place
            path = os.path.normpath(Path("/", place.relative_to(self.root)).parent / place.readlink())
        raise LabError(f"{path} is a link without end")

    def _places(self, path: str) -> tuple[Path, ...]:
        relative = path.lstrip("/").removeprefix("usr/")
        merged = relative.partition("/")[0] in _MERGED
        return (self.root / "usr" / relative, self.root / relative) if merged else (self.root / path.lstrip("/"),)

    def linked_with(self, files: Iterable[Path]) -> tuple[str, ...]:
        """Paths of the libraries that `files` (programs, libraries) are linked with, and the loader's."""
        found = {_LOADER}
        for file in files:
            if not _is_dynamic(file):
                continue
            said = self._start(["--list", str(file)], {}).out.decode()
            for line in said.splitlines():
                path = line.partition(" => ")[2].partition(" (")[0].strip()
                if path == "not found":
                    raise LabError(f"no package brings a library that {file.name} needs: {line.strip()}")
                if path.startswith(str(self.root)):
                    found.add(f"/{Path(path).relative_to(self.root)}")
        return tuple(sorted(found))

    def run(self, program: str, *words: str, env: Mapping[str, str] | None = None) -> bytes:
        """Run an unpacked program with its own libraries; what it said. Raises `LabError` when it fails."""
        start = ["--argv0", Path(program).name, str(self.file(program)), *words]
        done = self._start(start, {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})})
        if done.code:
            raise LabError(f"{Path(program).name} failed: {done.error_text}")
        return done.out

    def _start(self, words: Sequence[str], env: Mapping[str, str]) -> process.Completed:
        libraries = ":".join(f"{self.root}{path}" for path in _LIBRARIES)
        return process.run([str(self.file(_LOADER)), "--library-path", libraries, *words], env=env)


def merged(path: str) -> str:
    """`path` as it stands in the deploy system, which has /bin, /sbin and /lib only in /usr; no slash before it."""
    relative = path.lstrip("/")
    return f"usr/{relative}" if relative.partition("/")[0] in _MERGED else relative


def _is_dynamic(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"
