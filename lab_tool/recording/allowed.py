"""Which fields of a task's result may be stored. Everything not named here is left out: output, arguments, contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab_tool.canonical import Json, dump

# Facts about what was acted on. No output, no message, no argument: those may hold secrets.
FIELDS = ("rc", "state", "mode", "owner", "group", "uid", "gid", "size", "path", "dest", "enabled", "attempts")
# Which items of a loop are worth a word.
FLAGS = ("changed", "failed", "unreachable")
# Modules of this project say what they say on purpose.
OWN_MODULE = "lab_"
# Where a diff is made by the package manager from package names, not from file contents.
PACKAGE_ACTIONS = frozenset({"apt", "ansible.builtin.apt", "ansible.legacy.apt"})
STATE_KEYS = frozenset({"path", "state", "mode", "owner", "group"})
LONGEST_TEXT = 500
MOST_CHANGES = 200
LONGEST_DIFF = 16_000
LONGEST_EVIDENCE = 1024 * 1024


def is_evidence(action: str) -> bool:
    """Whether the action is one of this project's modules that read the outcome back."""
    return action.startswith(OWN_MODULE) and action.endswith("_evidence")


def why_no_evidence(action: str, evidence: Any) -> str:
    """What is wrong with what a module said it read back; empty for nothing.

    It comes from the PC, which may be anybody's by now: it speaks for the verb of its module alone, and nothing in it
    ends the run of the others.
    """
    verb = action.removeprefix(OWN_MODULE).removesuffix("_evidence")
    if not isinstance(evidence, Mapping) or evidence.get("verb") != verb:
        return f"it is none of {verb}"
    texts = all(isinstance(evidence.get(key), str) for key in ("outcome", "reason"))
    if not texts or not isinstance(evidence.get("values"), Mapping):
        return "outcome, reason or values is missing"
    try:
        size = len(dump(evidence))
    except (TypeError, ValueError, RecursionError) as error:
        return str(error)
    return f"it has {size} bytes" if size > LONGEST_EVIDENCE else ""


def result_fields(action: str, result: Mapping[str, Any]) -> dict[str, Json]:
    """The storable fields of one result (of each item, where the task loops: under `items`)."""
    kept: dict[str, Json] = {
        field: _short(result[field]) for field in FIELDS if isinstance(result.get(field), str | int | bool)
    }
    if action.startswith(OWN_MODULE) and isinstance(result.get("msg"), str):
        kept["msg"] = _short(result["msg"])
    if action.startswith(OWN_MODULE) and isinstance(result.get("changes"), list):
        kept["changes"] = [_short(line) for line in result["changes"] if isinstance(line, str)][:MOST_CHANGES]
    diff = _diff(action, result.get("diff"))
    if diff:
        kept["diff"] = diff
    items = result.get("results")
    if isinstance(items, list):
        kept["items"] = [
            {**{flag: True for flag in FLAGS if item.get(flag)}, **result_fields(action, item)}
            for item in items
            if isinstance(item, Mapping) and any(item.get(flag) for flag in FLAGS)
        ]
    return kept


def unreachable_reason(result: Mapping[str, Any]) -> str:
    """What the connection said: text of SSH or WinRM, not of a module."""
    message = result.get("msg")
    return _short(message) if isinstance(message, str) else ""


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + "..."
    return value


def _diff(action: str, diff: Any) -> list[Json]:
    """Package lists as text, file states as a few fields, text files as counts of lines; never their contents."""
    if isinstance(diff, Mapping):
        diff = [diff]
    if not isinstance(diff, list):
        return []
    kept: list[Json] = []
    for part in diff:
        if not isinstance(part, Mapping):
            continue
        if action in PACKAGE_ACTIONS and isinstance(part.get("prepared"), str):
            kept.append({"packages": part["prepared"][:LONGEST_DIFF]})
            continue
        before, after = part.get("before"), part.get("after")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            kept.append({"before": _state(before), "after": _state(after)})
        elif isinstance(before, str) and isinstance(after, str):
            kept.append({"lines_before": len(before.splitlines()), "lines_after": len(after.splitlines())})
    return kept


def _state(part: Mapping[str, Any]) -> dict[str, Json]:
    return {key: _short(part[key]) for key in sorted(STATE_KEYS & part.keys()) if isinstance(part[key], str | int)}
