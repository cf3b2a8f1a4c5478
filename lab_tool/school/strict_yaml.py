"""A small, strict part of YAML: one document of mappings, lists, text, whole numbers, true, false and nothing.

No anchors, aliases, tags, merge keys or duplicate keys. Plain text stays text: `no`, `12:30:45`, `1e3` and
`2026-09-01` are what they look like, not a truth value, a base-60 number, a float or a date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

# A file with more is not read to its end.
MOST_FAULTS = 50
UNTAGGED = "untagged"
# The deepest place in an inventory is people.yml, people -> id -> keys -> [n] -> first_day.
DEEPEST = 12
WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,8})")
WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
LINE_ENDS = str.maketrans("", "", "\n")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something this part of YAML does not have; `line` from 1."""

    line: int
    what: str
    fix: str


class FaultyError(Exception):
    """The text can't be read; `faults` is never empty."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults


class _Composer(yaml.CBaseLoader):
    """Nodes with their lines from the C parser, without YAML's own ideas of types.

    The depth is counted where the C code calls back into Python: it recurses on the C stack, and 200 kB of `[` end the
    whole process otherwise.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return UNTAGGED

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            line = current_node.start_mark.line + 1 if current_node is not None else 1
            raise FaultyError(Fault(line, f"nested deeper than {DEEPEST} levels", "Write it flat"))

    def ascend_resolver(self) -> None:
        self._depth -= 1


def parse(text: str, *, tags: Sequence[str] = (), multi_line: bool = False) -> Any:
    """The document as dicts, lists, str, int, bool and None; None also for an empty one.

    `tags` may stand before a value (which then counts as text); `multi_line` admits line breaks inside text.
    Raises `FaultyError` with everything that is wrong.
    """
    root = _compose(text)
    if root is None:
        return None
    if "&" in text or "*" in text:
        _refuse_aliases(text)
    builder = _Builder(frozenset(tags), multi_line)
    data = builder.value(root)
    if builder.faults:
        raise FaultyError(*builder.faults)
    return data


def line_of(text: str, path: Sequence[object]) -> int:
    """The line of the key or item that `path` leads to; where it ends early, of the last that is there."""
    node = _compose(text)
    line = 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


@lru_cache(maxsize=2)
def _compose(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        said = ", ".join(part for part in (error.context, error.problem) if part)
        what = f"not readable as YAML: {said}"
        raise FaultyError(Fault(line, what, "Check indentation, quotes and brackets around this line")) from error
    except yaml.YAMLError as error:
        fault = Fault(1, f"not readable as YAML: {str(error).splitlines()[0]}", "Write it as YAML in UTF-8")
        raise FaultyError(fault) from error
    return node


def _refuse_aliases(text: str) -> None:
    """An alias is one node in many places: nine lines of them can stand for billions of values."""
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        anchor = getattr(event, "anchor", None)
        if anchor:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise FaultyError(Fault(line, f"an anchor or alias ({anchor})", "Write the value out where it is needed"))


class _Builder:
    """Turns nodes into plain values and collects what must not be there."""

    def __init__(self, tags: frozenset[str], multi_line: bool) -> None:
        self._tags = tags
        self._multi_line = multi_line
        self.faults: list[Fault] = []

    def value(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            text = self._text(node)
            if node.style:
                return text
            return int(text) if WHOLE_NUMBER.fullmatch(text) else WORDS.get(text, text)
        self._refuse_tag(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return self._mapping(node)

    def _text(self, node: yaml.ScalarNode) -> str:
        self._refuse_tag(node)
        text: str = node.value
        if not text.isprintable() and not (self._multi_line and text.translate(LINE_ENDS).isprintable()):
            odd = next(character for character in text if not character.isprintable())
            self._fault(node, f"an invisible or control character (U+{ord(odd):04X}) in a value", "Remove it")
        return text

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, "a key that is a list or a mapping", "Write a plain word before the colon")
                continue
            text = self._text(key)
            name = int(text) if WHOLE_NUMBER.fullmatch(text) and not key.style else text
            if name in data:
                first = next(other for other, _ in node.value if other.value == text)
                what = f"key {key.value!r} stands twice (first in line {first.start_mark.line + 1})"
                self._fault(key, what, "Remove one: YAML would keep only the last")
            data[name] = self.value(value)
        return data

    def _refuse_tag(self, node: yaml.Node) -> None:
        if node.tag is not UNTAGGED and node.tag not in self._tags:
            self._fault(node, f"a YAML tag ({node.tag!r})", "Remove it: an inventory holds plain values")

    def _fault(self, node: yaml.Node, what: str, fix: str) -> None:
        self.faults.append(Fault(node.start_mark.line + 1, what, fix))
        if len(self.faults) >= MOST_FAULTS:
            raise FaultyError(*self.faults)
