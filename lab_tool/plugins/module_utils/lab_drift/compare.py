"""Everything that is compared, part by part: a part that can't be read is told, and hides no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import accounts, machine, network, packages, ports, setuid
from .findings import Finding, told

Expected = Mapping[str, Any]
# The command line's exit code, output and errors.
Run = Callable[..., "tuple[int, str, str]"]
SUPPORTED = ("debian", "ubuntu")


def compare(expected: Expected, standard: Expected, controls: Expected, run: Run, now: int) -> dict[str, Any]:
    """The values for the log: what the PC is, the findings, and under `unread` the parts that could not be read."""
    findings: list[Finding] = []
    unread: dict[str, str] = {}
    parts: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "host name": lambda: _names(expected),
        "system": lambda: machine.systems(expected["system"], _system()),
        "network": lambda: _network(expected, standard, run),
        "time zone": lambda: machine.time_zones(expected["time_zone"], machine.time_zone()),
        "clock": lambda: machine.clocks(expected["now"], now, standard["clock_seconds"]),
        "image": lambda: machine.images(expected["image"], machine.image()),
        "packages": lambda: packages.beyond(packages.installed(), standard["packages"]),
        "ports": lambda: ports.beyond(ports.listening(), standard["ports"], ports.holders()),
        "accounts": lambda: _accounts(standard),
        "set-user-ID files": lambda: _setuid(standard, run),
        "controls": lambda: _controls(controls),
    }
    for name, part in parts.items():
        try:
            findings += part()
        except (OSError, ValueError, IndexError, KeyError) as error:
            unread[name] = f"{type(error).__name__}: {error}"
    known = {"system": _system(), "host_name": os.uname().nodename}
    image = {} if "image" in unread else machine.image()
    return {**known, "image": image, **told(findings), "unread": unread}


def supported() -> bool:
    """Whether this is a system whose records these readers know."""
    return _system().startswith(SUPPORTED)


def _system() -> str:
    return machine.system(_text("/etc/os-release"))


def _names(expected: Expected) -> Iterator[Finding]:
    return machine.host_names(expected["host_name"], os.uname().nodename, _text("/etc/hostname").strip())


def _network(expected: Expected, standard: Expected, run: Run) -> Iterator[Finding]:
    wanted = network.Wanted(
        expected["address"], expected["address6"], expected["mac"], expected["gateways"], expected["name_servers"]
    )
    found = network.addresses(_said(run, "ip", "-json", "address", "show"))
    routes = [_said(run, "ip", "-json", family, "route", "show", "default") for family in ("-4", "-6")]
    gateways = network.gateways(*routes) if wanted.gateways else []
    return network.compare(wanted, found, gateways, network.servers(), standard["interfaces"])


def _accounts(standard: Expected) -> Iterator[Finding]:
    found = accounts.accounts(_text("/etc/passwd"))
    yield from accounts.beyond(found, standard["accounts"])
    yield from accounts.admins(found, _text("/etc/group"), standard["admin_groups"], standard["admins"])


def _setuid(standard: Expected, run: Run) -> Iterator[Finding]:
    code, out, err = run(*setuid.search(setuid.places()))
    # 1: a file went away while it looked.
    if code not in (0, 1):
        raise ValueError(f"find ended with {code}: {err.strip()}")
    return setuid.beyond([path for path in out.split("\0") if path], standard["setuid"])


def _controls(controls: Expected) -> Iterator[Finding]:
    """What the lock-down's own checks say is not in effect."""
    for name, result in controls.items():
        if result["wrong"]:
            yield Finding("control", "in effect", "; ".join(map(str, result["wrong"])), name)


def _said(run: Run, *command: str) -> str:
    code, out, err = run(*command)
    if code != 0:
        raise ValueError(f"{' '.join(command)} ended with {code}: {err.strip()}")
    return out


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
