"""Debian packages, downloaded by this machine's own apt with all that they need; nothing is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError

_NEXT = "apt-get update"
_DOWNLOAD_SECONDS = 3600
_INSTALLS = re.compile(r"Inst (\S+) \((\S+) .*\[(\S+)\]\).*")


@dataclass(frozen=True, slots=True)
class Package:
    """One package file."""

    name: str
    version: str
    file: Path


def download(wanted: Sequence[str], folder: Path) -> tuple[Package, ...]:
    """The packages `wanted` and what they depend on, by name; kept in `folder`, so that the next time only what is new
    has to come.

    Raises `LabError` when the package lists or a package can't be had.
    """
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # No package counts as installed, so that the outcome does not depend on what this machine happens to have.
    (folder / "status").write_bytes(b"")
    options = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "APT::Update::Error-Mode": "any",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "APT::Architecture": "amd64",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", "-y", *(f"-o{name}={value}" for name, value in options.items())]
    _apt([*apt, "update"], "the package lists can't be had")
    _apt([*apt, "autoclean"], "old packages can't be removed")
    _apt([*apt, "install", "--download-only", *wanted], "packages for the deploy system can't be had")
    plan = _apt([*apt, "install", "--simulate", *wanted], "apt does not say what it would install").decode()
    found = (_INSTALLS.fullmatch(line) for line in plan.splitlines())
    return tuple(sorted((_package(match, folder) for match in found if match), key=lambda package: package.name))


def _package(match: re.Match[str], folder: Path) -> Package:
    name, version, architecture = match.groups()
    file = folder / "archives" / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    if not file.is_file():
        raise LabError("apt has downloaded this package and it is not there", where=str(file), next_command=_NEXT)
    return Package(name, version, file)


def _apt(argv: Sequence[str], trouble: str) -> bytes:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = process.run(argv, env=environment, timeout=_DOWNLOAD_SECONDS)
    except FileNotFoundError:
        raise LabError("the deploy system is built from Debian packages, and there is no apt-get here") from None
    if done.code:
        raise LabError(f"{trouble}: {done.error_text}", next_command=_NEXT)
    return done.out
