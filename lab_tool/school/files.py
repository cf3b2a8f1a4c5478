"""Reads the files of an inventory: regular, small, UTF-8, and inside the inventory; nothing else is opened."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_tool.school.problem import Problem
from lab_tool.school.strict_yaml import FaultyError, line_of, parse

# Bytes. A room of 500 machines takes 40 kB.
LARGEST = 1024 * 1024
ROOM_FILE = re.compile(r"[a-z0-9][a-z0-9_]*\.yml")
# Left behind by editors; Ansible ignores them as well.
IGNORED = re.compile(r"\..*|.*~")
# Tabs, control characters, other alphabets' line ends, and characters that hide or reorder text.
UNWANTED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|b3BlbnNzaC1rZXktdjE|PuTTY-User-Key-File|AGE-SECRET-KEY-1", re.IGNORECASE
)


class RefusedFileError(Exception):
    """A file that is not read, or not accepted as text; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read: its name for messages, its text and its plain values."""

    file: str
    text: str
    data: Any

    def problem(self, path: tuple[object, ...], what: str, fix: str = "") -> Problem:
        """A problem at the key or item that `path` leads to."""
        return Problem(self.file, line_of(self.text, path), what, fix)


def read_document(path: Path, file: str) -> tuple[Document | None, list[Problem]]:
    """The document, or None and everything that is wrong with it as text and as YAML."""
    try:
        text = read_text(path, file)
        data = parse(text)
    except RefusedFileError as refused:
        return None, [refused.problem]
    except FaultyError as faulty:
        return None, [Problem(file, fault.line, fault.what, fault.fix) for fault in faulty.faults]
    if not isinstance(data, dict):
        what = "an empty file" if data is None else f"a {type(data).__name__} where 'key: value' lines belong"
        return None, [Problem(file, 1, what, "Fill it in, or remove the file" if data is None else "")]
    return Document(file, text, data), []


def read_text(path: Path, file: str) -> str:
    """The file's text with line ends as `\\n`. Raises `RefusedFileError`."""
    raw = _read_bytes(path, file)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RefusedFileError(Problem(file, line, "not UTF-8", "Save the file as UTF-8")) from error
    # What Windows editors add.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    unwanted = UNWANTED.search(text)
    if unwanted:
        line = text.count("\n", 0, unwanted.start()) + 1
        if unwanted[0] == "\t":
            raise RefusedFileError(Problem(file, line, "a tab", "Use spaces"))
        what = f"an invisible or control character (U+{ord(unwanted[0]):04X})"
        raise RefusedFileError(Problem(file, line, what, "Remove it"))
    private = PRIVATE_KEY.search(text)
    if private:
        raise RefusedFileError(private_key_problem(file, text.count("\n", 0, private.start()) + 1))
    return text


def private_key_problem(file: str, line: int) -> Problem:
    """What to say about a private key that lies in the inventory."""
    fix = "Remove it, make a new key (the old one has been seen) and write only the public line here"
    return Problem(file, line, "private key material", fix)


def _read_bytes(path: Path, file: str) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise RefusedFileError(Problem(file, 0, "a symbolic link", "Put the file itself here")) from error
        what, fix = "no such file", "Create it"
        if not isinstance(error, FileNotFoundError):
            what, fix = f"can't be read: {error.strerror}", "Make it readable"
        raise RefusedFileError(Problem(file, 0, what, fix)) from error
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise RefusedFileError(Problem(file, 0, "not a regular file", "Put a plain text file here"))
        if facts.st_size > LARGEST:
            raise RefusedFileError(Problem(file, 0, f"{facts.st_size:,} bytes, more than 1 MiB", "Split or shorten it"))
        with os.fdopen(handle, "rb", closefd=False) as opened:
            return opened.read(LARGEST + 1)[:LARGEST]
    except OSError as error:
        raise RefusedFileError(Problem(file, 0, f"can't be read: {error.strerror}", "Check the disk")) from error
    finally:
        os.close(handle)


def room_files(folder: Path, file: str) -> tuple[list[str], list[Problem]]:
    """The names of the room files in `folder`, sorted, and what lies there that is none."""
    if folder.is_symlink():
        return [], [Problem(file, 0, "a symbolic link", "Put the folder itself here")]
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not IGNORED.fullmatch(entry.name))
    except OSError as error:
        return [], [Problem(file, 0, f"can't be read: {error.strerror}", "Create the folder with one file a room")]
    fix = "Room files are named <room>.yml, lower case; move others out of this folder"
    good = [name for name in names if ROOM_FILE.fullmatch(name)]
    strangers = [
        Problem(f"{file}/{name!r}", 0, "not a room file", fix) for name in names if not ROOM_FILE.fullmatch(name)
    ]
    return good, strangers


def other_files(inventory: Path) -> Iterator[Path]:
    """Every file and link below `inventory` but `site.yml`, `people.yml` and `rooms/*`; no link is followed."""
    for folder, folders, names in os.walk(inventory):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if here / name != inventory / "rooms")
        yield from (here / name for name in folders if (here / name).is_symlink())
        yield from (
            here / name for name in sorted(names) if here != inventory or name not in ("site.yml", "people.yml")
        )
