"""The deploy system that runs, fetched once more to be kept on the disk: only if it is the very same.

It comes over plain HTTP as every file does, and what starts from the disk later has this PC in its hands. So it is
unpacked, a piece at a time, and compared with what the deploy system that runs says of itself.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator

import zstandard

from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import DeployError

_ABOUT = "etc/lab/deploy.json"
_MAGIC, _HEADER, _END = b"070701", 110, "TRAILER!!!"
_ZSTD = 0xFD2FB528
# Bytes unpacked; one is about a tenth of it.
_LONGEST = 1 << 30
_PIECE = 1 << 20
_LONGEST_PATH = 4096


def check(situation: Situation, kernel: bytes, initrd: bytes) -> None:
    """Raise `DeployError` unless these are the kernel and the files of the deploy system that runs."""
    own = (situation.base / _ABOUT).read_bytes()
    about = json.loads(own)
    digest, seen = hashlib.sha256(), ""
    try:
        for mode, path, content in _entries(_Unpacked(initrd)):
            if path <= seen:
                raise ValueError
            seen = path
            if stat.S_ISDIR(mode):
                continue
            if path != _ABOUT:
                digest.update(f"{mode:o} {content} {path}\n".encode())
            elif content != hashlib.sha256(own).hexdigest():
                raise ValueError
    except (ValueError, zstandard.ZstdError) as error:
        raise _other() from error
    if (digest.hexdigest(), hashlib.sha256(kernel).hexdigest()) != (about.get("content"), about.get("kernel")):
        raise _other()


def _other() -> DeployError:
    return DeployError("the server's deploy system is another than the one that runs", advice="It is not kept")


class _Unpacked:
    """The archive, unpacked as it is read: a PC has little memory, and a forged one may unpack to anything."""

    def __init__(self, initrd: bytes) -> None:
        # Nothing behind it, which the kernel would unpack as well.
        if _end_of_frame(initrd) != len(initrd):
            raise ValueError
        self._reader = zstandard.ZstdDecompressor().stream_reader(initrd)
        self._left = _LONGEST

    def take(self, length: int) -> bytes:
        """The next bytes, exactly so many. Raises `ValueError`."""
        self._left -= length
        if length > _PIECE or self._left < 0:
            raise ValueError
        found = self._reader.read(length) if length else b""
        if len(found) != length:
            raise ValueError
        return found

    def ended(self) -> bool:
        """Whether nothing more comes."""
        return not self._reader.read(1)


def _end_of_frame(data: bytes) -> int:
    """Where the first zstd frame ends (RFC 8878, 3.1.1), without unpacking it. Raises `ValueError`."""
    if int.from_bytes(data[:4], "little") != _ZSTD:
        raise ValueError
    at, last = zstandard.frame_header_size(data), False
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        if at + 3 > len(data):
            raise ValueError
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == 1 else size)
    return at + (4 if zstandard.get_frame_parameters(data).has_checksum else 0)


def _entries(content: _Unpacked) -> Iterator[tuple[int, str, str]]:
    """Mode, path and SHA-256 of each entry of a cpio archive ("newc"); nothing may follow its end."""
    while True:
        header = content.take(_HEADER)
        if header[:6] != _MAGIC:
            raise ValueError
        fields = [int(header[start : start + 8], 16) for start in range(6, _HEADER, 8)]
        mode, size, length = fields[1], fields[6], fields[11]
        if length > _LONGEST_PATH:
            raise ValueError
        path = content.take(length).rstrip(b"\0").decode("utf-8")
        content.take(-(_HEADER + length) % 4)
        digest = hashlib.sha256()
        for at in range(0, size, _PIECE):
            digest.update(content.take(min(_PIECE, size - at)))
        content.take(-size % 4)
        if path == _END:
            if not content.ended():
                raise ValueError
            return
        yield mode, path, digest.hexdigest()
