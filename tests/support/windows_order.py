"""Orders that make a PC one with Windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab_tool.imaging.format.order import Order, OrderedSystem, Personal
from lab_tool.imaging.orders.policies import windows_policies
from lab_tool.imaging.orders.unattend import answer_file

MAC = "02:00:00:0a:03:07"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFq5mJ0mA4m1rHqQ0o5nY4gq3lq1n8mC1kz0o1y2a3b4"


def personal(host: str = "a301-07", **fields: object) -> Personal:
    """A PC of a school in Shanghai."""
    given: dict[str, object] = {
        "hostname": host,
        "address": "10.3.1.7",
        "prefix": 24,
        "gateway": "10.3.1.254",
        "dns": ("10.0.0.53", "10.0.0.54"),
        "account": "lab-admin",
        "keys": (KEY,),
        "time_zone": "Asia/Shanghai",
        **fields,
    }
    return Personal(**given)  # type: ignore[arg-type]


def order(host: str = "a301-07", policies: Sequence[Mapping[str, str]] | None = None, answers: str = "") -> Order:
    """The order for it, with the school's policies and the answer file unless others are given."""
    chosen = windows_policies() if policies is None else tuple(policies)
    answers = answers or answer_file(personal(host), MAC)
    return Order(
        id="o-0123456789abcdef",
        host=host,
        room="a301",
        mac=MAC,
        action="image",
        issued="2026-09-01T00:00:00.000000Z",
        run="",
        change="",
        deploy="",
        systems=(OrderedSystem("0" * 64, "windows-lab", 1, True),),
        personal=personal(host, unattend=answers, policies=chosen),
    )


def policy(hive: str, key: str, name: str, kind: str, value: str) -> Mapping[str, str]:
    """One value for a registry."""
    return {"hive": hive, "key": key, "name": name, "type": kind, "value": value}
