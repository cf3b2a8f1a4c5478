"""An order: what one PC is to become. Signed by the control node; a PC does nothing without one that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab_tool.imaging.format.fields import DIGEST, NAME, Fields, FormatError, read_json

NAMESPACE = "lab-image-order"
# The name under which the control node's key stands where orders are checked.
SIGNER = "control"
ACTIONS = ("image", "capture")
ORDER_ID = re.compile(r"o-[0-9a-f]{16}")
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
HOST = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ADDRESS = re.compile(r"[0-9.]{7,15}")
_OR_ADDRESS = re.compile(r"(?:[0-9.]{7,15})?")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}")


@dataclass(frozen=True, slots=True)
class OrderedSystem:
    """One image for the disk; the one that is `default` starts unless somebody chooses another."""

    image: str
    name: str
    version: int
    default: bool


@dataclass(frozen=True, slots=True)
class Personal:
    """What makes a PC this PC and no other. No secret: keys that are secret are made on the PC itself.

    `account` is the one that Ansible logs in with, by any of `keys` (public lines). `policies` are values for the
    Windows registry, `unattend` its answer file; both empty for Linux.
    """

    hostname: str
    address: str
    prefix: int
    gateway: str
    dns: tuple[str, ...]
    account: str
    keys: tuple[str, ...]
    time_zone: str
    unattend: str = ""
    policies: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """`disk` is empty where the PC has one disk only, else its path or name below `/dev/disk/by-id`. `data` is the
    least size of a partition whose content survives, `cache` that of one that keeps a copy of the images; bytes, 0 for
    none. `deploy` is the id of the deploy system that is to do it. The action `capture` sends the disk's system as it
    is and changes nothing.
    """

    id: str
    host: str
    room: str
    mac: str
    action: str
    issued: str
    run: str
    change: str
    deploy: str
    systems: tuple[OrderedSystem, ...]
    personal: Personal
    disk: str = ""
    data: int = 0
    cache: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The bytes that are signed: sorted keys, ASCII."""
        body: dict[str, Any] = {"v": 1, "type": "order", **asdict(self)}
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")

    @property
    def default(self) -> OrderedSystem:
        """The system that starts."""
        return next(system for system in self.systems if system.default)

    @classmethod
    def parse(cls, data: bytes) -> Order:
        """The order in those bytes, whose signature the caller has checked. Raises `FormatError`."""
        fields = read_json(data, "the order")
        if fields.number("v") != 1:
            raise FormatError("an order of a version that is not known here")
        fields.choice("type", ("order",))
        order = cls(
            id=fields.text("id", ORDER_ID),
            host=fields.text("host", HOST),
            room=fields.text("room"),
            mac=fields.text("mac", MAC),
            action=fields.choice("action", ACTIONS),
            issued=fields.text("issued"),
            run=fields.text("run"),
            change=fields.text("change"),
            deploy=fields.text("deploy", longest=64),
            systems=fields.each("systems", _system),
            personal=_personal(fields.inner("personal")),
            disk=fields.text("disk"),
            data=fields.number("data"),
            cache=fields.number("cache"),
            notes=fields.mapping("notes"),
        )
        fields.end()
        if order.action == "image" and [system.default for system in order.systems].count(True) != 1:
            raise FormatError("an order without exactly one system that starts")
        return order


def _system(fields: Fields) -> OrderedSystem:
    return OrderedSystem(
        image=fields.text("image", DIGEST),
        name=fields.text("name", NAME),
        version=fields.number("version"),
        default=fields.flag("default"),
    )


def _personal(fields: Fields) -> Personal:
    personal = Personal(
        hostname=fields.text("hostname", HOST),
        address=fields.text("address", _ADDRESS),
        prefix=fields.number("prefix", 32),
        gateway=fields.text("gateway", _OR_ADDRESS),
        dns=fields.texts("dns", _ADDRESS),
        account=fields.text("account", _ACCOUNT),
        keys=fields.texts("keys", _KEY, 10_000),
        time_zone=fields.text("time_zone"),
        unattend=fields.text("unattend", longest=100_000),
        policies=fields.each("policies", _policy),
    )
    fields.end()
    return personal


def _policy(fields: Fields) -> Mapping[str, str]:
    return {name: fields.text(name, longest=10_000) for name in ("hive", "key", "name", "type", "value")}
