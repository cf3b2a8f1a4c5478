"""The deploy system that runs, fetched once more to be kept on the disk: only if it is the very same.

It comes over plain HTTP as every file does, and what starts from the disk later has this PC in its hands. So it is
unpacked and compared with what the deploy system that runs says of itself.
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
# Bytes unpacked; one is about a tenth of it.
_LONGEST = 1 << 30


def check(situation: Situation, kernel: bytes, initrd: bytes) -> None:
    """Raise `DeployError` unless these are the kernel and the files of the deploy system that runs."""
    own = (situation.base / _ABOUT).read_bytes()
    about = json.loads(own)
    digest, seen = hashlib.sha256(), ""
    try:
        for mode, path, data in _entries(_unpacked(initrd)):
            if path <= seen:
                raise ValueError
            seen = path
            if stat.S_ISDIR(mode):
                continue
            if path != _ABOUT:
                digest.update(f"{mode:o} {hashlib.sha256(data).hexdigest()} {path}\n".encode())
            elif data != own:
                raise ValueError
    except (ValueError, zstandard.ZstdError) as error:
        raise _other() from error
    if (digest.hexdigest(), hashlib.sha256(kernel).hexdigest()) != (about.get("content"), about.get("kernel")):
        raise _other()


def _other() -> DeployError:
    return DeployError("the server's deploy system is another than the one that runs", advice="It is not kept")


def _unpacked(initrd: bytes) -> memoryview:
    reader = zstandard.ZstdDecompressor().decompressobj()
    content = reader.decompress(initrd)
    # Nothing behind it, which the kernel would unpack as well.
    if not reader.eof or reader.unused_data or len(content) > _LONGEST:
        raise ValueError
    return memoryview(content)


def _entries(content: memoryview) -> Iterator[tuple[int, str, memoryview]]:
    """Mode, path and bytes of each entry of a cpio archive ("newc"); nothing may follow its end."""
    at = 0
    while True:
        header = bytes(content[at : at + _HEADER])
        if len(header) != _HEADER or header[:6] != _MAGIC:
            raise ValueError
        fields = [int(header[start : start + 8], 16) for start in range(6, _HEADER, 8)]
        mode, size, length = fields[1], fields[6], fields[11]
        start = at + _HEADER
        path = bytes(content[start : start + length]).rstrip(b"\0").decode("utf-8")
        start += length + -(_HEADER + length) % 4
        at = start + size + -size % 4
        if at > len(content):
            raise ValueError
        if path == _END:
            if at != len(content):
                raise ValueError
            return
        yield mode, path, content[start : start + size]
