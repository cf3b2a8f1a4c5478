"""Everything of the project that runs for a verb, file by file."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lab_tool.errors import UsageError
from lab_tool.rules import Verb

PLUGINS = "lab_tool/plugins"
CONFIG = "ansible.cfg"
ROLES = "roles"
# Made from the sources by Python.
MADE = "__pycache__"
YAML = (".yml", ".yaml")
ROLE_TASKS = {f"{prefix}{name}" for prefix in ("", "ansible.builtin.") for name in ("import_role", "include_role")}
PLAYBOOK_TASKS = frozenset({"import_playbook", "ansible.builtin.import_playbook"})


def content_of(project: Path, verb: Verb) -> dict[str, str]:
    """SHA-256 (hexadecimal) of each file that runs for `verb`, by its path in the project.

    These are the playbook and the playbooks it imports, whatever lies beside it and is no playbook (Ansible looks there
    for tasks, variables, plugins and roles), its roles and their dependencies, this project's plugins, what the verb
    brings along, and Ansible's configuration. Raises `UsageError` for what is missing, is no plain file, or names a
    role by a template.
    """
    files = {CONFIG: project / CONFIG}
    roles: set[str] = set()
    for playbook in _playbooks(project, project / verb.playbook):
        files[_name(project, playbook)] = playbook
        roles |= set(_roles_in(project, playbook, "roles"))
        files |= {name: path for name, path in _below(project, playbook.parent).items() if not _is_playbook(path)}
    for role in _closure(project, roles):
        files |= _below(project, project / ROLES / role)
    files |= _below(project, project / PLUGINS)
    for name in verb.brings:
        path = project / name
        files |= _below(project, path) if path.is_dir() else {name: path}
    return {name: _digest(name, path) for name, path in sorted(files.items())}


def _playbooks(project: Path, first: Path) -> list[Path]:
    found: list[Path] = []
    waiting = [first]
    while waiting:
        playbook = waiting.pop()
        if playbook in found:
            continue
        if not playbook.is_file():
            raise UsageError("there is no such playbook", where=_name(project, playbook))
        found.append(playbook)
        for part in _mappings(_read(project, playbook)):
            imported = [part[key] for key in PLAYBOOK_TASKS & part.keys()]
            waiting += [playbook.parent / _plain_name(project, playbook, name) for name in imported]
    return found


def _closure(project: Path, roles: set[str]) -> list[str]:
    """The roles, and all that they name in turn."""
    found: set[str] = set()
    waiting = set(roles)
    while waiting:
        role = waiting.pop()
        folder = project / ROLES / role
        if not folder.is_dir():
            raise UsageError("there is no such role", where=f"{ROLES}/{role}")
        found.add(role)
        for path in _below(project, folder).values():
            if path.suffix in YAML and path.parent.name in ("tasks", "handlers", "meta"):
                waiting |= set(_roles_in(project, path, "dependencies")) - found
    return sorted(found)


def _roles_in(project: Path, path: Path, listed_under: str) -> Iterator[str]:
    """The roles a file names: in the list under that key, and in its tasks."""
    for part in _mappings(_read(project, path)):
        listed = part.get(listed_under)
        for item in listed if isinstance(listed, list) else ():
            name = (item.get("role") or item.get("name")) if isinstance(item, dict) else item
            if name is not None:
                yield _plain_name(project, path, name)
        for key in ROLE_TASKS & part.keys():
            value = part[key]
            yield _plain_name(project, path, value.get("name") if isinstance(value, dict) else value)


def _is_playbook(path: Path) -> bool:
    """Whether the file is a list of plays."""
    if path.suffix not in YAML or path.is_symlink():
        return False
    try:
        plays = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    known = {"hosts", *PLAYBOOK_TASKS}
    return (
        isinstance(plays, list)
        and bool(plays)
        and all(isinstance(play, dict) and known & play.keys() for play in plays)
    )


def _plain_name(project: Path, path: Path, name: object) -> str:
    """A name as it stands, since what a template stands for can't be known before it runs."""
    if not isinstance(name, str) or not name or "{{" in name or "=" in name or ".." in name or name.startswith("/"):
        raise UsageError(f"{name!r} is no plain name, so what would run can't be told", where=_name(project, path))
    return name


def _mappings(data: Any) -> Iterator[dict[Any, Any]]:
    """Every mapping in the data, from the outside in."""
    if isinstance(data, dict):
        yield data
        for value in data.values():
            yield from _mappings(value)
    elif isinstance(data, list):
        for item in data:
            yield from _mappings(item)


class _Loader(yaml.CSafeLoader):
    """YAML as Ansible writes it: `!vault` and `!unsafe` are texts here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def _read(project: Path, path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"not readable as YAML: {error}", where=_name(project, path)) from error


def _below(project: Path, folder: Path) -> dict[str, Path]:
    """All files below a folder. A folder that is a link is listed as a file, and refused as one."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != MADE)
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*links, *names):
            path = Path(parent) / name
            found[_name(project, path)] = path
    return found


def _digest(name: str, path: Path) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError("a link or no plain file: what it stands for could change unseen", where=name)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"can't be read: {error.strerror}", where=name) from error


def _name(project: Path, path: Path) -> str:
    return path.relative_to(project).as_posix()
