"""The rest of the inventory folder: variable files that Ansible reads, recipes of images, and stray private keys.

Engineers write `group_vars/`, and still nothing there may be a template: whoever may edit the inventory describes
machines, and only whoever may edit roles and playbooks writes what runs. A template in a variable runs on the control
node, so the two would be one; so do the variables that tell Ansible which program to reach hosts with.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lab_tool.imaging.build.recipe import FOLDER, check_recipe
from lab_tool.school.files import (
    IGNORED,
    LARGEST,
    PRIVATE_KEY,
    RefusedFileError,
    other_files,
    private_key_problem,
    read_text,
)
from lab_tool.school.patterns import TEMPLATE_MARKS
from lab_tool.school.problem import Problem, did_you_mean, quote
from lab_tool.school.strict_yaml import FaultyError, line_of, parse

READ_BY_ANSIBLE = frozenset({"", ".yml", ".yaml", ".json"})
VAULT = "$ANSIBLE_VAULT;"
# Set from the rooms; a group's variables would win over some of them in silence.
RESERVED = frozenset(
    {
        "ansible_host",
        "ansible_ssh_host",
        "lab_address6",
        "lab_asset",
        "lab_building",
        "lab_campus",
        "lab_canary",
        "lab_kind",
        "lab_mac",
        "lab_os",
        "lab_out_of_order",
        "lab_profile",
        "lab_room",
        "lab_seat",
        "lab_time_zone",
    }
)
# Ansible starts these, or loads them, on the control node.
PROGRAMS = re.compile(
    r"ansible_(?:ssh|sftp|scp)_(?:\w+_)?(?:args|executable)|ansible_ssh_pkcs11_provider|ansible_\w*kinit_\w+"
)
CONNECTIONS = frozenset({"ssh", "winrm", "psrp"})


def check_other_files(inventory: Path, label: str, groups: Collection[str] | None) -> Iterator[Problem]:
    """Everything wrong with the files that are no room, site or people. `groups` None: their names are not asked."""
    for path in other_files(inventory):
        parts = path.relative_to(inventory).parts
        file = "/".join((label, *parts))
        if path.is_symlink() and not IGNORED.fullmatch(path.name):
            yield Problem(file, 0, "a symbolic link", "Put the file or folder itself here")
        elif parts[0] == "host_vars":
            fix = "What only one seat has stands under differences in its room's file"
            yield Problem(file, 0, "variables of single hosts", fix)
        elif parts[0] == "group_vars" and len(parts) > 1 and _is_read(path, parts[1:]):
            yield from _check_vars(path, file)
            yield from _check_unread(path, file, len(parts))
            group = parts[1] if len(parts) > 2 else path.stem
            if groups is not None and group not in groups:
                yield Problem(file, 0, f"no group is named {group!r}", did_you_mean(group, groups))
        elif parts[0] == FOLDER and not IGNORED.fullmatch(path.name):
            yield from check_recipe(path, file)
        else:
            yield from _check_stray(path, file)


def _is_read(path: Path, parts: tuple[str, ...]) -> bool:
    return path.suffix in READ_BY_ANSIBLE and not any(IGNORED.fullmatch(part) for part in parts)


def _check_unread(path: Path, file: str, depth: int) -> Iterator[Problem]:
    """A group's file beside the group's folder: Ansible reads the folder alone, and says nothing."""
    folder = path.with_suffix("")
    if depth != 2 or not path.suffix or not folder.is_dir():
        return
    moved = folder / f"main{path.suffix}"
    # The same again is what is left of a move that was cut off, and nothing is lost by it.
    if not (moved.is_file() and path.is_file() and moved.read_bytes() == path.read_bytes()):
        what = f"Ansible reads the folder {folder.name}/ and not this file"
        yield Problem(file, 0, what, f"Put what is in it into {folder.name}/{moved.name}")


def _check_vars(path: Path, file: str) -> Iterator[Problem]:
    try:
        text = read_text(path, file)
        # A vaulted file is opaque; who has its password is trusted with what is in it.
        data = None if text.startswith(VAULT) else parse(text, tags=("!vault", "!unsafe"), multi_line=True)
    except RefusedFileError as refused:
        yield refused.problem
        return
    except FaultyError as faulty:
        for fault in faulty.faults:
            yield Problem(file, fault.line, fault.what, fault.fix)
        return
    if data is None:
        return
    if not isinstance(data, dict):
        yield Problem(file, 1, "a file of variables holds 'key: value' lines", "Write one variable a line")
        return
    for name, value in data.items():
        what = _refusal(str(name), value)
        if what:
            yield Problem(file, line_of(text, (name,)), what, "Remove it")
    for where, value in _texts(data, ()):
        if any(mark in value for mark in TEMPLATE_MARKS):
            fix = "Ansible would run it on the control node: write the value here and the template in a role"
            yield Problem(file, line_of(text, where), f"template text: {quote(value)}", fix)


def _refusal(name: str, value: Any) -> str:
    """Why a group may not have that variable; empty where it may."""
    if name in RESERVED:
        return f"{name!r} comes from the rooms' files, and would be replaced for a whole group"
    if PROGRAMS.fullmatch(name):
        return f"{name!r} starts programs on the control node; it belongs in ansible.cfg"
    if name == "ansible_connection" and value not in CONNECTIONS:
        return f"{name!r} is one of {', '.join(sorted(CONNECTIONS))}, not {quote(value)}"
    return ""


def _texts(value: Any, path: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    """Every text in the value, keys included, with the path to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield (*path, key), key
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _texts(item, (*path, at))
    elif isinstance(value, str):
        yield path, value


def _check_stray(path: Path, file: str) -> Iterator[Problem]:
    """Any other file is only looked through for private keys; what can't be read holds none that Git would take."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return
        text = opened.read(LARGEST).decode(errors="replace")
    found = PRIVATE_KEY.search(text)
    if found:
        yield private_key_problem(file, text.count("\n", 0, found.start()) + 1)
