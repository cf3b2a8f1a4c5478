"""Canonical JSON: one value, one sequence of bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

type_error = "canonical JSON takes objects, arrays, strings, integers, booleans and null, not {}"

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | bool | None


def dump(value: Json) -> bytes:
    """The canonical bytes of `value`: keys sorted, no white space, everything but ASCII escaped, no line end.

    ASCII only, so that U+2028, CR LF, terminal escapes and Chinese all stay on one line. Raises `TypeError` for a
    float or any other type, whose text is not the same everywhere.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _check(value: object) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(type_error.format(f"a key of {type(key).__name__}"))
            _check(item)
        return
    if isinstance(value, list | tuple):
        for item in value:
            _check(item)
        return
    raise TypeError(type_error.format(type(value).__name__))
