"""Strict reading of JSON that may come from anybody: every field there, of its type, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
T = TypeVar("T")


class FormatError(ValueError):
    """Bytes that are not what they are said to be; the text says what is wrong with them."""


class Fields:
    """One JSON object that is read field by field; `end` refuses what nobody asked for."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{what} is no object")
        self._left: dict[str, Any] = dict(value)
        self._what = what

    def text(self, name: str, pattern: re.Pattern[str] | None = None, longest: int = 1000) -> str:
        """A string, at most `longest` characters, that fits `pattern` entirely."""
        value = self._take(name, str)
        if len(value) > longest or (pattern and not pattern.fullmatch(value)):
            raise FormatError(f"{self._what}: {name} is {value[:80]!r}")
        return value

    def number(self, name: str, most: int = 1 << 62) -> int:
        """A whole number, from 0 to `most`."""
        value = self._take(name, int)
        if isinstance(value, bool) or not 0 <= value <= most:
            raise FormatError(f"{self._what}: {name} is {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._take(name, bool)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the words."""
        value = self._take(name, str)
        if value not in choices:
            raise FormatError(f"{self._what}: {name} is {value[:80]!r}, none of {', '.join(choices)}")
        return value

    def texts(self, name: str, pattern: re.Pattern[str] | None = None, longest: int = 1000) -> tuple[str, ...]:
        """A list of strings, each as `text` takes it."""
        parts = self._take(name, list)
        return tuple(Fields({name: part}, self._what).text(name, pattern, longest) for part in parts)

    def each(self, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """A list of objects, each read to its end by `read`."""
        found = []
        for at, part in enumerate(self._take(name, list)):
            fields = Fields(part, f"{self._what}: {name}[{at}]")
            found.append(read(fields))
            fields.end()
        return tuple(found)

    def inner(self, name: str) -> Fields:
        """An object, to be read and ended by the caller."""
        return Fields(self._take(name, dict), f"{self._what}: {name}")

    def mapping(self, name: str) -> Mapping[str, str]:
        """An object whose values are all strings."""
        value = self._take(name, dict)
        if not all(isinstance(item, str) for item in value.values()):
            raise FormatError(f"{self._what}: {name} holds more than texts")
        return dict(value)

    def end(self) -> None:
        """Refuse fields that were not read."""
        if self._left:
            raise FormatError(f"{self._what}: unknown {', '.join(sorted(self._left))}")

    def _take(self, name: str, kind: type[T]) -> T:
        if name not in self._left:
            raise FormatError(f"{self._what}: {name} is missing")
        value = self._left.pop(name)
        if not isinstance(value, kind):
            raise FormatError(f"{self._what}: {name} is no {kind.__name__}")
        return value


def read_json(data: bytes, what: str, longest: int = 1 << 20) -> Fields:
    """The fields of one JSON object of at most `longest` bytes."""
    if len(data) > longest:
        raise FormatError(f"{what} has {len(data)} bytes")
    try:
        return Fields(json.loads(data), what)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is no JSON") from error
