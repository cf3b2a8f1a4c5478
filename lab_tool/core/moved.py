"""What is different between two plans, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Names in one line; the rest is counted.
MOST_NAMES = 10


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Each thing that moved from one plan's JSON to another's."""
    before, after = old["plan"], new["plan"]
    if before["verb"] != after["verb"]:
        yield f"the verb was {before['verb']}, is {after['verb']}"
    yield from _hosts(before, after)
    yield from _rooms(old, new)
    yield from _machines(before["machines"], after["machines"])
    yield from _policy(before["policy"], after["policy"], _sources(old, new))
    yield from _files(before["content"], after["content"])
    for name in sorted(before["settings"].keys() | after["settings"].keys()):
        was, now = before["settings"].get(name, "unset"), after["settings"].get(name, "unset")
        if was != now:
            yield f"the setting {name} was {was}, is {now}"
    for name, was in before["versions"].items():
        now = after["versions"].get(name)
        if was != now:
            yield f"{name} was {was}, is {now}"


def listed(names: Sequence[str]) -> str:
    """Up to ten names, and how many more."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _hosts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    added = sorted(set(after["hosts"]) - set(before["hosts"]))
    gone = sorted(set(before["hosts"]) - set(after["hosts"]))
    repaired = [host for host in added if host in before["excluded"]]
    broken = [host for host in gone if host in after["excluded"]]
    new = [host for host in added if host not in repaired]
    lost = [host for host in gone if host not in broken]
    for names, what in (
        (new, "new"),
        (lost, "gone"),
        (repaired, "not out of order any more"),
        (broken, "out of order"),
    ):
        if names:
            yield f"{what}: {listed(names)}"
    for host in sorted(before["excluded"].keys() | after["excluded"].keys()):
        was, now = before["excluded"].get(host), after["excluded"].get(host)
        if was != now and host not in (*repaired, *broken):
            yield f"{host} was {was or 'not left out'}, is {now or 'not asked for any more'}"


def _rooms(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """A room asked for with all its hosts is another one when it has other hosts."""
    was, now = set(old["plan"]["whole_rooms"]), set(new["plan"]["whole_rooms"])
    if was - now:
        beside = new["about"].get("not_asked", [])
        yield f"new in {', '.join(sorted(was - now))}: {listed(beside)}"
    if now - was:
        beside = old["about"].get("not_asked", [])
        yield f"gone from {', '.join(sorted(now - was))}: {listed(beside)}"


def _machines(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for host in sorted(before.keys() & after.keys()):
        for name in sorted(before[host].keys() | after[host].keys()):
            was, now = before[host].get(name, ""), after[host].get(name, "")
            if was != now:
                yield f"{name} of {host} was {was or 'unset'}, is {now or 'unset'}"


def _policy(before: Mapping[str, str], after: Mapping[str, str], sources: str) -> Iterator[str]:
    hosts = sorted(host for host in before.keys() & after.keys() if before[host] != after[host])
    if hosts:
        yield f"variables of {listed(hosts)}{sources}"


def _sources(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The inventory's files that changed, as the likely reason why variables did."""
    was, now = old["about"].get("inventory", {}), new["about"].get("inventory", {})
    files = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return f" (changed: {listed(files)})" if files else ""


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            change = "is new" if name not in before else "is gone" if name not in after else "changed"
            yield f"{name} {change}"
