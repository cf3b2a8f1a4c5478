"""Controls as they stand in the role's data; what is wrong in one is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
PATH_KEYS = {"path", "state", "content", "mode", "owner", "group"}
PATH_STATES = ("file", "absent", "directory", "mode", "block")
UNIT_KEYS = {"name", "enabled", "active", "masked", "restarted"}
CHECK_KEYS = {"run", "contains", "lacks", "rc", "why"}
KEYS = {
    "packages",
    "files",
    "units",
    "sysctl",
    "members",
    "accounts",
    "unload",
    "reload",
    "before_undo",
    "checks",
    "lockout",
}


class DefinitionError(ValueError):
    """A control that makes no sense; says which, where and why."""


@dataclass(frozen=True)
class Item:
    """One thing on the PC and what it has to be. `kind` names who knows how; kind and target are once in a control."""

    kind: str
    target: str
    wanted: Mapping[str, Any]

    @property
    def key(self) -> str:
        """As the journal and people know it: `path /etc/x`, `unit ssh.service`."""
        return f"{self.kind} {self.target}"


@dataclass(frozen=True)
class Check:
    """What has to be in effect: a program that only reads, and what it has to answer. `rc` None: any exit code does."""

    run: tuple[str, ...]
    contains: str
    lacks: str
    rc: int | None
    why: str


@dataclass(frozen=True)
class Control:
    """One control. `restart` are units to restart after a change, `reload` and `before_undo` command lines."""

    id: str
    items: tuple[Item, ...]
    checks: tuple[Check, ...] = ()
    restart: tuple[str, ...] = ()
    reload: tuple[tuple[str, ...], ...] = ()
    before_undo: tuple[tuple[str, ...], ...] = ()
    lockout: bool = field(default=False)


def parse(name: str, raw: Mapping[str, Any]) -> Control:
    """The control `name` from its data. Raises `DefinitionError`."""
    if not NAME.match(name):
        raise DefinitionError(f"{name!r} can't be a control's id")
    _known(name, raw, KEYS)
    items = tuple(_items(name, raw))
    twice = sorted({item.key for item in items if [other.key for other in items].count(item.key) > 1})
    if twice:
        raise DefinitionError(f"{name}: given twice: {', '.join(twice)}")
    return Control(
        id=name,
        items=items,
        checks=tuple(_check(name, check) for check in raw.get("checks", ())),
        restart=tuple(str(unit["name"]) for unit in raw.get("units", ()) if unit.get("restarted")),
        reload=tuple(_argv(name, line) for line in raw.get("reload", ())),
        before_undo=tuple(_argv(name, line) for line in raw.get("before_undo", ())),
        lockout=bool(raw.get("lockout", False)),
    )


def _items(name: str, raw: Mapping[str, Any]) -> Iterator[Item]:
    """In the order in which they are applied; undone in the reverse."""
    packages = raw.get("packages", {})
    _known(f"{name}: packages", packages, {"present", "absent"})
    for word in ("present", "absent"):
        yield from (Item("package", str(package), {"present": word == "present"}) for package in packages.get(word, ()))
    yield from (_path(name, file) for file in raw.get("files", ()))
    sysctl = {str(key): " ".join(str(value).split()) for key, value in raw.get("sysctl", {}).items()}
    if sysctl:
        text = "".join(f"{key} = {value}\n" for key, value in sysctl.items())
        file = {"path": f"/etc/sysctl.d/60-lab-{name}.conf", "content": f"# Control {name}.\n{text}"}
        yield _path(name, file)
    yield from (Item("sysctl", key, {"value": value}) for key, value in sysctl.items())
    for members in raw.get("members", ()):
        _known(f"{name}: members", members, {"group", "only"})
        yield Item("members", str(members["group"]), {"only": [str(user) for user in members["only"]]})
    for account in raw.get("accounts", ()):
        _known(f"{name}: accounts", account, {"name", "locked"})
        yield Item("account", str(account["name"]), {"locked": bool(account["locked"])})
    yield from (Item("module", str(module), {}) for module in raw.get("unload", ()))
    for unit in raw.get("units", ()):
        _known(f"{name}: units", unit, UNIT_KEYS)
        wanted = {key: bool(unit[key]) for key in ("enabled", "active", "masked") if key in unit}
        yield Item("unit", str(unit["name"]), wanted)


def _path(name: str, raw: Mapping[str, Any]) -> Item:
    _known(f"{name}: files", raw, PATH_KEYS)
    path, state = str(raw.get("path", "")), str(raw.get("state", "file"))
    where = f"{name}: {path or 'a file without a path'}"
    if not path.startswith("/") or "/../" in path or state not in PATH_STATES:
        raise DefinitionError(f"{where}: needs an absolute path and a state of {', '.join(PATH_STATES)}")
    if ("content" in raw) is not (state in ("file", "block")):
        raise DefinitionError(f"{where}: content goes with the states file and block, and they with it")
    if state == "block":
        return Item("block", path, {"name": name, "content": str(raw["content"]).rstrip("\n") + "\n"})
    wanted: dict[str, Any] = {"state": state}
    if state != "absent":
        usual = {"file": "0644", "directory": "0755"}.get(state)
        if "mode" in raw and not isinstance(raw["mode"], str):
            raise DefinitionError(f"{where}: mode is a text such as '0644'")
        mode = raw.get("mode", usual)
        wanted["mode"] = int(mode, 8) if mode is not None else None
        for key in ("owner", "group"):
            wanted[key] = str(raw.get(key, "root")) if state != "mode" or key in raw else None
    if state == "file":
        wanted["content"] = str(raw["content"])
    return Item("path", path, wanted)


def _check(name: str, raw: Mapping[str, Any]) -> Check:
    _known(f"{name}: checks", raw, CHECK_KEYS)
    contains, lacks = str(raw.get("contains", "")), str(raw.get("lacks", ""))
    for pattern in (contains, lacks):
        try:
            re.compile(pattern)
        except re.error as error:
            raise DefinitionError(f"{name}: checks: {pattern!r}: {error}") from None
    usual = None if contains or lacks else 0
    code = raw.get("rc", usual)
    return Check(_argv(name, raw.get("run", ())), contains, lacks, None if code is None else int(code), str(raw["why"]))


def _argv(name: str, line: Any) -> tuple[str, ...]:
    if isinstance(line, str) or not isinstance(line, Sequence) or not line:
        raise DefinitionError(f"{name}: {line!r} is no command line: a list of words is")
    return tuple(str(word) for word in line)


def _known(where: str, raw: Mapping[str, Any], known: set[str]) -> None:
    odd = sorted(set(raw) - known)
    if odd:
        raise DefinitionError(f"{where}: unknown: {', '.join(odd)}")
