"""Puts values into a Windows registry that is at rest, through hivex, and reads them back."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab_tool.errors import LabError
from lab_tool.imaging.deploy.registry import CURRENT, Setting

_MAGIC = b"regf"
_SEQUENCES = struct.Struct("<4sII")
_DWORD = 4


class Hive:
    """One hive file. `put` changes a copy in memory; `store` writes it over the file when anything changed."""

    def __init__(self, place: Path) -> None:
        _check(place)
        self._place = place
        self._copy = os.fdopen(os.memfd_create(place.name), "w+b", buffering=0)
        self._copy.write(place.read_bytes())
        try:
            self._hive: Any = importlib.import_module("hivex").Hivex(f"/proc/self/fd/{self._copy.fileno()}", write=True)
        except RuntimeError as error:
            raise LabError(f"this registry hive can't be read: {error}", where=place.name) from error
        self._changed = 0

    def put(self, setting: Setting) -> bool:
        """Set one value and make what keys are missing; False where it is there already."""
        node = self._hive.root()
        for name in self._resolved(setting.key):
            child = self._hive.node_get_child(node, name)
            node = self._hive.node_add_child(node, name) if child is None else child
        if self._stored(node, setting.name) == (setting.code, setting.data):
            return False
        self._hive.node_set_value(node, {"key": setting.name, "t": setting.code, "value": setting.data})
        self._changed += 1
        return True

    def value(self, key: Sequence[str], name: str) -> tuple[int, bytes] | None:
        """Type and bytes of a value; None where there is none."""
        node = self._node(key)
        return None if node is None else self._stored(node, name)

    def has_key(self, key: Sequence[str]) -> bool:
        """Whether there is such a key."""
        return self._node(key) is not None

    def keys(self, key: Sequence[str]) -> list[str]:
        """The names of the keys below one; none where there is no such key."""
        node = self._node(key)
        return [] if node is None else [str(self._hive.node_name(child)) for child in self._hive.node_children(node)]

    def text(self, key: Sequence[str], name: str) -> str:
        """A value that is a text, without what ends it; empty where there is none."""
        stored = self.value(key, name)
        return stored[1].decode("utf-16-le", errors="replace").split("\0")[0] if stored else ""

    def store(self) -> int:
        """Write the file if any value changed, and say how many did. Raises `LabError` where there is no room."""
        if self._changed:
            self._hive.commit(None)
            self._copy.seek(0)
            _overwrite(self._place, self._copy.read())
        changed, self._changed = self._changed, 0
        return changed

    def _node(self, key: Sequence[str]) -> Any:
        node = self._hive.root()
        for name in self._resolved(key):
            node = self._hive.node_get_child(node, name)
            if node is None:
                return None
        return node

    def _stored(self, node: Any, name: str) -> tuple[int, bytes] | None:
        for value in self._hive.node_values(node):
            if self._hive.value_key(value).casefold() == name.casefold():
                code, data = self._hive.value_value(value)
                return int(code), bytes(data)
        return None

    def _resolved(self, key: Sequence[str]) -> Sequence[str]:
        if key[0].casefold() != CURRENT.casefold():
            return key
        select = self._hive.node_get_child(self._hive.root(), "Select")
        stored = self._stored(select, "Current") if select is not None else None
        if stored is None or stored[0] != _DWORD or len(stored[1]) != 4:
            raise LabError("this hive does not say which control set is the current one", where=self._place.name)
        name = f"ControlSet{struct.unpack('<I', stored[1])[0]:03d}"
        if self._hive.node_get_child(self._hive.root(), name) is None:
            raise LabError(f"this hive has no {name}, which it says is the current one", where=self._place.name)
        return (name, *key[1:])


def apply(places: Mapping[str, Path], settings: Sequence[Setting]) -> int:
    """Put the settings into the hives that lie there, and say how many values changed. All can be set before any is."""
    hives = {name: Hive(place) for name, place in places.items()}
    for setting in settings:
        hives[setting.hive].put(setting)
    return sum(hive.store() for hive in hives.values())


def missing(places: Mapping[str, Path], settings: Sequence[Setting]) -> list[Setting]:
    """Which of the settings are not in the files as they are on the disk now."""
    hives = {name: Hive(place) for name, place in places.items()}
    return [
        setting
        for setting in settings
        if hives[setting.hive].value(setting.key, setting.name) != (setting.code, setting.data)
    ]


def _check(place: Path) -> None:
    with place.open("rb") as opened:
        start = opened.read(_SEQUENCES.size)
    if len(start) < _SEQUENCES.size or not start.startswith(_MAGIC):
        raise LabError("this is no registry hive", where=place.name)
    _, first, second = _SEQUENCES.unpack(start)
    if first != second:
        raise LabError(
            "this registry hive was not put away: part of it is in its log, and what is written now would be undone",
            where=place.name,
            next_command="shut that Windows down with: shutdown /s /t 0, then make the image anew",
        )


def _overwrite(place: Path, content: bytes) -> None:
    """Write over a file and keep its rights. What it grows by comes first: a full disk leaves it as it was."""
    size = place.stat().st_size
    with place.open("r+b") as opened:
        try:
            opened.seek(size)
            opened.write(content[size:])
            opened.flush()
            os.fsync(opened.fileno())
        except OSError as error:
            os.truncate(place, size)
            raise LabError(f"the registry can't be written: {error.strerror}", where=place.name) from error
        opened.seek(0)
        opened.write(content[:size])
        opened.truncate(len(content))
        opened.flush()
        os.fsync(opened.fileno())
