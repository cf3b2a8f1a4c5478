"""Values for a Windows registry, as an order carries them: what may stand there, and its bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab_tool.imaging.format.fields import FormatError

# Where each hive lies on the system's partition.
HIVES = {
    "SOFTWARE": ("Windows", "System32", "config", "SOFTWARE"),
    "SYSTEM": ("Windows", "System32", "config", "SYSTEM"),
    "DEFAULT_USER": ("Users", "Default", "NTUSER.DAT"),
}
# Windows makes this key of a control set as it starts; in a hive at rest there are only the sets.
CURRENT = "CurrentControlSet"
_KEY = re.compile(r"[^\\\0-\x1f]{1,255}(?:\\[^\\\0-\x1f]{1,255})*")
_NAME = re.compile(r"[^\0-\x1f]{0,255}")
_NUMBER = re.compile(r"[0-9]{1,20}|0x[0-9a-f]{1,16}")
_BYTES = re.compile(r"(?:[0-9a-f]{2})*")
FIELDS = ("hive", "key", "name", "type", "value")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value. `code` is the number of its type, `data` what is stored."""

    hive: str
    key: tuple[str, ...]
    name: str
    code: int
    data: bytes

    @property
    def place(self) -> str:
        """Hive, key and name, for a message. Not the value: nobody knows what a school puts there."""
        return "\\".join((self.hive, *self.key, self.name))

    @classmethod
    def read(cls, policy: Mapping[str, str]) -> Setting:
        """From a policy of an order. Raises `FormatError`."""
        if sorted(policy) != sorted(FIELDS):
            raise FormatError(f"a policy with the fields {', '.join(sorted(policy))}")
        hive, key, name = policy["hive"], policy["key"], policy["name"]
        if hive not in HIVES:
            raise FormatError(f"a policy for the hive {hive!r}; there are {', '.join(HIVES)}")
        if not _KEY.fullmatch(key) or not _NAME.fullmatch(name):
            raise FormatError(f"a policy for {hive}\\{key}: {name!r}, which can be no key and name")
        kind = _TYPES.get(policy["type"])
        if kind is None:
            raise FormatError(f"{hive}\\{key}\\{name}: type {policy['type']!r}; there are {', '.join(_TYPES)}")
        code, encode = kind
        data = encode(policy["value"])
        if data is None:
            raise FormatError(f"{hive}\\{key}\\{name}: the value is no {policy['type']}")
        return cls(hive, tuple(key.split("\\")), name, code, data)


def _text(value: str) -> bytes | None:
    return None if "\0" in value else (value + "\0").encode("utf-16-le")


def _texts(value: str) -> bytes | None:
    """A line each. An empty text would end the list."""
    lines = value.split("\n") if value else []
    if "\0" in value or "" in lines:
        return None
    return ("".join(line + "\0" for line in lines) + "\0").encode("utf-16-le")


def _number(form: str) -> Callable[[str], bytes | None]:
    def encode(value: str) -> bytes | None:
        if not _NUMBER.fullmatch(value):
            return None
        try:
            return struct.pack(form, int(value, 16 if value.startswith("0x") else 10))
        except struct.error:
            return None

    return encode


def _binary(value: str) -> bytes | None:
    return bytes.fromhex(value) if _BYTES.fullmatch(value) else None


_TYPES: Mapping[str, tuple[int, Callable[[str], bytes | None]]] = {
    "string": (1, _text),
    "expand": (2, _text),
    "binary": (3, _binary),
    "dword": (4, _number("<I")),
    "multi": (7, _texts),
    "qword": (11, _number("<Q")),
}
