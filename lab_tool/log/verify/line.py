"""One line of the log, read strictly."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, NoReturn

# As the format says; a longer line is read in part and refused.
LONGEST_LINE = 16 * 1024 * 1024
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
KEYS = frozenset({"v", "seq", "time", "actor", "kind", "subject", "body", "prev"})
NO_PREV = "0" * 64


class LineError(ValueError):
    """A line that is no entry. `why` is a key of the words under `why.`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of a key that stands there twice, one reader shows the one and another the other."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise LineError("key_twice")
    return fields


def _no_float(text: str) -> NoReturn:
    raise LineError("float")


_read = json.JSONDecoder(object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float).raw_decode


def read(line: bytes) -> dict[str, Any]:
    """The fields of a line with its line end. Raises `LineError`."""
    if len(line) > LONGEST_LINE:
        raise LineError("too_long")
    try:
        text = line.decode("ascii")
        fields, end = _read(text)
    except LineError:
        raise
    except UnicodeDecodeError as error:
        raise LineError("not_ascii") from error
    except (ValueError, RecursionError) as error:
        raise LineError("not_json") from error
    if text[end:] != "\n":
        raise LineError("not_json")
    if type(fields) is not dict or fields.keys() != KEYS or type(fields["v"]) is not int or fields["v"] != 1:
        raise LineError("not_entry")
    if (
        type(fields["seq"]) is not int
        or type(fields["prev"]) is not str
        or type(fields["actor"]) is not str
        or type(fields["kind"]) is not str
        or type(fields["subject"]) is not dict
        or type(fields["body"]) is not dict
        or type(fields["time"]) is not str
        or not TIME.fullmatch(fields["time"])
    ):
        raise LineError("wrong_type")
    # What is looked for in lines that are not parsed stands there as canonical JSON writes it.
    if f',"kind":"{fields["kind"]}","prev":"' not in text:
        raise LineError("not_canonical")
    return fields


def leaf(line: bytes) -> bytes:
    """The leaf hash of a line with its line end."""
    return sha256(b"\x00" + line[:-1]).digest()
