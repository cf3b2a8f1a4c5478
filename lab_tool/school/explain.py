"""Says in words what does not fit a shape, at the line where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lab_tool.school.files import Document
from lab_tool.school.patterns import BY_REGEX, FREE_TEXT, code_in, unwelcome_in
from lab_tool.school.problem import LONGEST_QUOTE, Problem, did_you_mean, quote
from lab_tool.school.shapes import Shape
from lab_tool.school.strict_yaml import MOST_FAULTS

ShapeType = TypeVar("ShapeType", bound=Shape)
# What pydantic's error types ask for, and what that looks like.
WANTED = {
    "string_type": ("text", ""),
    "int_type": ("a whole number", "Such as 7"),
    "bool_type": ("true or false", ""),
    "list_type": ("a list", "Such as [1, 2] or [a301, b101]"),
    "dict_type": ("'key: value' lines", ""),
    "model_type": ("'key: value' lines", ""),
    "model_attributes_type": ("'key: value' lines", ""),
}
# Typed while the Chinese input method is on, these look like the signs of YAML and are none.
FULL_WIDTH = "：，"
QUOTES = "'\""
# pydantic's mark for an error in a key itself.
KEY_MARK = "[key]"


def fit(document: Document, shape: type[ShapeType]) -> tuple[ShapeType | None, list[Problem]]:
    """The document in its shape, or None and every place where it does not fit."""
    try:
        return shape.model_validate(document.data), []
    except ValidationError as error:
        found = error.errors(include_url=False)[:MOST_FAULTS]
        return None, [_problem(document, details, shape) for details in found]


def _problem(document: Document, details: ErrorDetails, shape: type[Shape]) -> Problem:
    path = tuple(step for step in details["loc"] if step != KEY_MARK)
    what, fix = EXPLAIN.get(details["type"], _unforeseen)(details, shape)
    return document.problem(path, what, fix)


def _name(details: ErrorDetails) -> str:
    """`seats.range`, for a message."""
    name = ".".join(str(step) for step in details["loc"] if step != KEY_MARK)
    return name if len(name) <= LONGEST_QUOTE else f"{name[:LONGEST_QUOTE]}..."


def _missing(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    return f"{_name(details)!r} is missing", "Add it"


def _unknown_key(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    key = details["loc"][-1]
    code = code_in(str(key))
    if code:
        return f"{code} as a key: {quote(key)}", "Remove it"
    wide = next((sign for sign in FULL_WIDTH if sign in str(key)), "")
    if wide:
        return f"unknown key {quote(key)}", f"Type the signs of YAML in ASCII, not {wide}"
    return f"unknown key {quote(key)}", did_you_mean(key, _fields(shape)) or "Remove it"


@cache
def _fields(shape: type[Shape]) -> frozenset[str]:
    """Every key of the shape and of the shapes inside it."""
    schema = shape.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


def _wrong_type(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    value, (wanted, fix) = details["input"], WANTED[details["type"]]
    if value is None:
        return f"{_name(details)!r} is empty", f"Write {wanted}, or remove the line"
    if isinstance(value, bool):
        return f"{_name(details)!r} must be {wanted}, not {str(value).lower()}", fix or "Write it in words"
    if details["type"] == "string_type" and isinstance(value, int):
        return f"{_name(details)!r} must be text, not {quote(value)}", f'Put it in quotes: "{value}"'
    return f"{_name(details)!r} must be {wanted}, not {quote(value)}", fix


def _mismatch(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    value = details["input"]
    pattern = BY_REGEX[details["ctx"]["pattern"]]
    code = code_in(value)
    if pattern is FREE_TEXT and any(sign in value for sign in QUOTES) and not code.startswith("template"):
        return (
            f"a quotation mark in {_name(details)!r}: {quote(value)}",
            "Write a typographic one: \u2019 \u201c \u201d",
        )
    if code:
        return f"{code} in {_name(details)!r}: {quote(value)}", f"Values are never code. {pattern.fix}"
    if pattern is FREE_TEXT and (unwelcome := unwelcome_in(value)):
        return f"{unwelcome} may not stand in {_name(details)!r}", pattern.fix
    return f"{_name(details)!r} must be {pattern.what}, not {quote(value)}", pattern.fix


def _not_listed(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    code = code_in(str(details["input"]))
    if code:
        return f"{code} in {_name(details)!r}: {quote(details['input'])}", "Write the plain value"
    known = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    return f"unknown {_name(details)} {quote(details['input'])}", did_you_mean(details["input"], known)


def _out_of_bounds(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    limits: Mapping[str, Any] = details["ctx"]
    words = ", ".join(f"{'at least' if sign == 'ge' else 'at most'} {limit}" for sign, limit in limits.items())
    return f"{_name(details)!r} must be {words}, not {quote(details['input'])}", ""


def _unforeseen(details: ErrorDetails, shape: type[Shape]) -> tuple[str, str]:
    return f"{_name(details)!r}: {details['msg']}", ""


EXPLAIN: dict[str, Callable[[ErrorDetails, type[Shape]], tuple[str, str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "string_pattern_mismatch": _mismatch,
    "literal_error": _not_listed,
    "greater_than_equal": _out_of_bounds,
    "less_than_equal": _out_of_bounds,
    **dict.fromkeys(WANTED, _wrong_type),
}
