"""The archive is one that others can unpack, and the same for the same content."""

from __future__ import annotations

import stat

import zstandard

from lab_tool.imaging.deploy_system import archive
from lab_tool.imaging.deploy_system.archive import Entry


def read(packed: bytes) -> dict[str, Entry]:
    """An independent reader of the format."""
    raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 24)
    found: dict[str, Entry] = {}
    at = 0
    while True:
        assert raw[at : at + 6] == b"070701"
        fields = [int(raw[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        assert fields[2:4] == [0, 0] and fields[5] == 0, "owner or date"
        name = raw[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = Entry(mode, raw[start : start + size])
        at = (start + size + 3) // 4 * 4


def test_what_goes_in_comes_out() -> None:
    entries = {
        "usr/bin/one": archive.file(b"12345", executable=True),
        "bin": archive.link("usr/bin"),
        "etc/two": archive.file("ä".encode()),
        "init": archive.link("usr/bin/one"),
    }
    found = read(archive.packed(entries))
    assert {name: found[name] for name in entries} == entries
    folders = [name for name, entry in found.items() if stat.S_ISDIR(entry.mode)]
    assert folders == ["etc", "usr", "usr/bin"]
    # The kernel makes no folder for what comes before it.
    assert list(found) == sorted(found)


def test_order_does_not_matter() -> None:
    parts = [(f"folder/{number}", archive.file(b"%d" % number)) for number in range(50)]
    assert archive.packed(dict(parts)) == archive.packed(dict(reversed(parts)))
