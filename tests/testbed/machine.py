"""The few settings of this machine that rooms need: raised for the first room, put back after the last."""

from __future__ import annotations

import json
from pathlib import Path

from tests.testbed import places
from tests.testbed.programs import run

_SAVED = places.RUN / "settings.json"
_SYSCTL = Path("/proc/sys")
# At least these values. Forwarding is the hosts' way out; each systemd takes several inotify instances; the neighbour
# table is one for all network namespaces together.
_AT_LEAST = {
    "net/ipv4/ip_forward": 1,
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
    "net/ipv4/neigh/default/gc_thresh1": 4096,
    "net/ipv4/neigh/default/gc_thresh2": 8192,
    "net/ipv4/neigh/default/gc_thresh3": 16384,
}
# Without it, what is sent to a host of a room that is gone would leave by this machine's way to the Internet.
_NOWHERE = ("route", "replace", "unreachable", str(places.RANGE), "metric", "1000")


def prepare() -> None:
    """Raise what is too low, remembering what it was. Hold the machine lock."""
    if not _SAVED.exists():
        was = {
            name: value for name, least in _AT_LEAST.items() if (value := _value(name)) is not None and value < least
        }
        draft = _SAVED.with_suffix(".new")
        draft.write_text(json.dumps(was), encoding="ascii")
        draft.replace(_SAVED)
    for name, least in _AT_LEAST.items():
        value = _value(name)
        if value is not None and value < least:
            (_SYSCTL / name).write_text(str(least), encoding="ascii")
    run("ip", *_NOWHERE)


def restore() -> None:
    """Put back what `prepare` changed. Hold the machine lock, with no room left."""
    if not _SAVED.exists():
        return
    for name, value in json.loads(_SAVED.read_bytes()).items():
        (_SYSCTL / name).write_text(str(value), encoding="ascii")
    run("ip", "route", "delete", *_NOWHERE[2:], check=False)
    _SAVED.unlink()


def _value(name: str) -> int | None:
    try:
        return int((_SYSCTL / name).read_text(encoding="ascii"))
    except OSError:
        return None
