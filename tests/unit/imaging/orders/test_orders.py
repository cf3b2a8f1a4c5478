"""What an order is made of, and the host keys that come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab_tool import process
from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders.host_keys import replace_host_keys
from lab_tool.imaging.orders.make import Occasion, make_order
from lab_tool.imaging.orders.wanted import Wanted
from lab_tool.settings import PROJECT, Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGluZXZlcnRoZWxlc3NhbGtleXRoYXRpc25vbmU"
VARIABLES = {"lab_mac": "02:00:00:00:00:07", "ansible_host": "10.3.1.7", "lab_room": "a301", "ansible_user": "admin"}
INPUTS: dict[str, Any] = {
    "systems": ["debian-lab"],
    "versions": {"debian-lab": "a" * 64},
    "deploy": "d" * 64,
    "prefix": 24,
    "gateway": "10.3.1.1",
    "dns": ["10.3.1.1"],
    "disk": "",
    "data_mib": 10,
    "cache_mib": 0,
}
OCCASION = Occasion("r-1", "c-1", "2026-11-24T10:00:00.000000Z", "2026-11-24T12:00:00.000000Z")


def manifest(name: str = "debian-lab", version: int = 3) -> Manifest:
    """A Linux image of one partition."""
    system = Partition("system", "ext4", 1 << 20, True, "c" * 64, 0)
    return Manifest(name, version, "", "chen_jie", "linux", "", "recipe", {}, "", "", (system,), ("e" * 64,), "f" * 64)


def wanted(**inputs: object) -> Wanted:
    """What seat 7 is to become."""
    return Wanted.read("a301-07", VARIABLES, {**INPUTS, **inputs})


def order(one: Wanted, occasion: Occasion = OCCASION) -> Order:
    """The order for it."""
    images = {name: manifest(name) for name in one.systems}
    return make_order(one, images, (KEY,), occasion)


def test_an_order_says_what_the_inventory_says() -> None:
    made = order(wanted())
    assert Order.parse(made.dump()) == made
    assert (made.host, made.mac, made.personal.address) == ("a301-07", "02:00:00:00:00:07", "10.3.1.7")
    assert made.data == 10 * 1024 * 1024
    assert made.default.name == "debian-lab"


def test_a_run_that_is_resumed_finds_the_order_it_gave() -> None:
    later = replace(OCCASION, issued="2026-11-24T11:00:00.000000Z", until="2026-11-24T13:00:00.000000Z")
    assert order(wanted(), later).id == order(wanted()).id


@pytest.mark.parametrize(
    "other",
    [
        order(wanted(disk="sda")),
        order(wanted(gateway="10.3.1.2")),
        order(wanted(), replace(OCCASION, run="r-2")),
        order(wanted(), OCCASION.again(1)),
    ],
)
def test_whatever_differs_is_another_order(other: Order) -> None:
    assert other.id != order(wanted()).id


def test_of_two_systems_the_first_starts() -> None:
    two = wanted(systems=["b", "a"], versions={"a": "a" * 64, "b": "b" * 64})
    assert order(two).default.name == "b"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"systems": []}, "no image is named"),
        ({"versions": {}}, "no version of debian-lab is promoted"),
        ({"deploy": ""}, "no deploy system"),
    ],
)
def test_what_is_missing_is_refused(inputs: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wanted(**inputs)


def test_a_pc_without_a_mac_is_refused() -> None:
    with pytest.raises(UsageError, match="no MAC"):
        Wanted.read("a301-07", {**VARIABLES, "lab_mac": ""}, INPUTS)


def test_new_host_keys_take_the_place_of_the_old_and_of_no_others(tmp_path: Path) -> None:
    settings = Settings(PROJECT, tmp_path, tmp_path)
    for name in ("old", "new", "other"):
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)])
    old, new, other = ((tmp_path / f"{name}.pub").read_text() for name in ("old", "new", "other"))
    settings.known_hosts.write_text(f"10.3.1.7 {old}a301-07 {old}10.3.1.8 {other}")
    replace_host_keys(settings, ("a301-07", "10.3.1.7"), [new])
    kept = settings.known_hosts.read_text()
    assert old.split()[1] not in kept
    assert f"a301-07,10.3.1.7 {' '.join(new.split()[:2])}\n" in kept
    assert f"10.3.1.8 {other.split()[0]}" in kept


@pytest.mark.parametrize("lines", [[], ["ssh-ed25519 AAAA\n10.0.0.1 ssh-ed25519 AAAA BBBB", "no key"]])
def test_what_is_no_key_is_not_written(tmp_path: Path, lines: list[str]) -> None:
    settings = Settings(PROJECT, tmp_path, tmp_path)
    with pytest.raises(LabError, match="no usable host keys"):
        replace_host_keys(settings, ("a301-07",), lines)
    assert not settings.known_hosts.exists()
