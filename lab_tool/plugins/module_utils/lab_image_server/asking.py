"""Ask an image server what a PC asks: files over HTTP, a boot file over TFTP, figures over TLS."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TIMEOUT = 20.0
_PIECE = 1 << 20
_READ, _DATA = 1, 3
_THREADS = 4


def certificate(address: str, port: int = 443) -> str:
    """SHA-256 of the certificate (DER) that answers there. Raises `OSError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((address, port), TIMEOUT) as plain, context.wrap_socket(plain) as link:
        return hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()


def status(address: str, port: int = 443) -> dict[str, Any]:
    """What the daemon says of itself. Raises `OSError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    link = http.client.HTTPSConnection(address, port, timeout=TIMEOUT, context=context)
    try:
        link.request("GET", "/api/status")
        answer = link.getresponse()
        said = answer.read(_PIECE)
        if answer.status != 200:
            raise OSError(f"it answers {answer.status}")
        found = json.loads(said)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError("it gives no proper answer") from error
    finally:
        link.close()
    return dict(found)


def head(address: str, path: str, port: int = 80) -> tuple[int, bytes]:
    """Status and the beginning of what is answered over plain HTTP. Raises `OSError`."""
    link = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read(4096)
    except http.client.HTTPException as error:
        raise OSError("it gives no proper answer") from error
    finally:
        link.close()


def wrong_files(address: str, files: list[dict[str, Any]], port: int = 80) -> list[str]:
    """Which files come otherwise than they should, whole and by their hash, to somebody who fetches them."""
    with ThreadPoolExecutor(_THREADS) as pool:
        sound = list(pool.map(lambda one: _is_sound(address, one, port), files))
    return [one["path"] for one, is_sound in zip(files, sound, strict=True) if not is_sound]


def _is_sound(address: str, one: dict[str, Any], port: int) -> bool:
    link = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    found, size = hashlib.sha256(), 0
    try:
        link.request("GET", "/" + one["path"])
        answer = link.getresponse()
        if answer.status != 200:
            return False
        while True:
            piece = answer.read(_PIECE)
            if not piece:
                break
            size += len(piece)
            found.update(piece)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
    return bool(size == one["size"] and found.hexdigest() == one["sha256"])


def tftp(address: str, name: str, port: int = 69) -> bytes:
    """A file over TFTP (RFC 1350). Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(TIMEOUT)
        link.sendto(struct.pack(">H", _READ) + name.encode() + b"\0octet\0", (address, port))
        parts: list[bytes] = []
        while True:
            packet, peer = link.recvfrom(2048)
            kind, number = struct.unpack(">HH", packet[:4])
            if kind != _DATA:
                raise OSError(packet[4:].rstrip(b"\0").decode("utf-8", "replace")[:100] or "no such file")
            if number == (len(parts) + 1) & 0xFFFF:
                parts.append(packet[4:])
            link.sendto(struct.pack(">HH", 4, number), peer)
            if len(packet) < 516:
                return b"".join(parts)


def udp_ports() -> set[int]:
    """The UDP ports that somebody on this machine listens on."""
    found = set()
    for name in ("udp", "udp6"):
        path = Path("/proc/net") / name
        if path.exists():
            lines = path.read_text(encoding="ascii").splitlines()[1:]
            found |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return found
