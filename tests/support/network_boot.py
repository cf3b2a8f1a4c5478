"""A network card that asks to be started: DHCP with PXE's options, and what it is answered.

`python -m tests.support.network_boot MAC --arch 7` prints each answer as a line of JSON. Only the standard library, so
that it also runs in a network namespace.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import time
from typing import Any

_COOKIE = b"\x63\x82\x53\x63"
_MESSAGE = {1: "discover", 2: "offer", 5: "ack"}
_BINDTODEVICE = 25


def discover(mac: str, arch: int, ipxe: bool, number: int) -> bytes:
    """What a card of that MAC and firmware sends to all."""
    head = struct.pack(
        ">BBBBLHH4s4s4s4s16s64s128s", 1, 1, 6, 0, number, 0, 0x8000, *[bytes(4)] * 4,
        bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0"), b"", b"",
    )  # fmt: skip
    vendor = f"PXEClient:Arch:{arch:05d}:UNDI:002001".encode()
    options = {53: b"\x01", 55: bytes([1, 3, 6, 12, 43, 60, 66, 67, 97]), 57: b"\x05\xc0", 60: vendor}
    options |= {93: struct.pack(">H", arch), 94: b"\x01\x02\x01", 97: b"\0" + b"\x11" * 16}
    if ipxe:
        options |= {77: b"iPXE", 175: b"\xb1\x01\x01"}
    body = b"".join(bytes([code, len(value)]) + value for code, value in sorted(options.items()))
    return head + _COOKIE + body + b"\xff"


def read(packet: bytes) -> dict[str, Any]:
    """What an answer says."""
    options: dict[int, bytes] = {}
    at = packet.index(_COOKIE) + 4
    while at < len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        options[packet[at]] = options.get(packet[at], b"") + packet[at + 2 : at + 2 + packet[at + 1]]
        at += 2 + packet[at + 1]
    file = packet[108:236].split(b"\0")[0] or options.get(67, b"").rstrip(b"\0")
    return {
        "kind": _MESSAGE.get(options.get(53, b"\0")[0], ""),
        "address": socket.inet_ntoa(packet[16:20]),
        "server": socket.inet_ntoa(options.get(54, bytes(4))),
        "next": socket.inet_ntoa(packet[20:24]),
        "file": file.decode("ascii", "replace"),
        "pxe": options.get(60, b"").startswith(b"PXEClient"),
        "menu": options.get(43, b"").hex(),
    }


def ask(mac: str, arch: int, ipxe: bool, interface: str, patience: float, ask_also: str = "") -> list[dict[str, Any]]:
    """All answers within so many seconds. With `ask_also` that server is asked for the boot file, as PXE does."""
    number = int.from_bytes(os.urandom(4))
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        link.setsockopt(socket.SOL_SOCKET, _BINDTODEVICE, interface.encode())
        link.bind(("", 68))
        packet = discover(mac, arch, ipxe, number)
        if ask_also:
            # The request to a boot server: by now the card has an address. A BIOS names the first entry of the menu.
            packet = packet.replace(b"\x35\x01\x01", b"\x35\x01\x03", 1)
            packet = packet[:12] + _own_address(ask_also) + packet[16:]
            if arch == 0:
                packet = packet[:-1] + b"\x2b\x07\x47\x04\x80\0\0\0\xff" + b"\xff"
            link.sendto(packet, (ask_also, 4011))
        else:
            link.sendto(packet, ("255.255.255.255", 67))
        limit = time.monotonic() + patience
        while (left := limit - time.monotonic()) > 0:
            link.settimeout(left)
            try:
                said = link.recv(4096)
            except TimeoutError:
                break
            if struct.unpack(">L", said[4:8])[0] == number:
                answers.append(read(said))
    return answers


def _own_address(server: str) -> bytes:
    """The address that this machine has towards the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect((server, 4011))
        return socket.inet_aton(link.getsockname()[0])


def main() -> int:
    """Print each answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mac")
    parser.add_argument("--arch", type=int, default=0)
    parser.add_argument("--ipxe", action="store_true")
    parser.add_argument("--interface", default="eth0")
    parser.add_argument("--patience", type=float, default=3.0)
    parser.add_argument("--boot-server", default="")
    given = parser.parse_args()
    for answer in ask(given.mac, given.arch, given.ipxe, given.interface, given.patience, given.boot_server):
        print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
