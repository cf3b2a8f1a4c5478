"""Stands for the network card of a PC that is off: writes a line for each magic packet with its MAC.

Started with a network interface and a MAC, in the namespace of the room.
"""

from __future__ import annotations

import socket
import sys


def main(interface: str, mac: str) -> None:
    """Listen until killed."""
    wanted = b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16
    every_protocol = socket.htons(3)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol) as link:
        link.bind((interface, 0))
        while True:
            if wanted in link.recv(65536):
                print("wake", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
