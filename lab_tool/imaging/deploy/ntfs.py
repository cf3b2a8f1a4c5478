"""NTFS on the PC: whether it may be written to, making it fill its partition, and files that not everybody may change.

`ntfs-3g` gives everybody every right to a file that is made through it. On a PC in a lab that would hand the machine's
keys to whoever sits there, so whatever is written here gets its rights said.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.process import Completed, run

# What ntfs-3g.probe(8) ends with.
_UNFIT = {
    12: "it holds no NTFS",
    13: "its NTFS is damaged",
    14: "its Windows is hibernated or was put to sleep by fast startup; what is written now would be lost or do harm",
    15: "its Windows was not shut down",
    16: "its NTFS is in use",
}
_ACL = "system.ntfs_acl"
_FULL, _READ = 0x1F01FF, 0x1200A9
_SYSTEM, _ADMINISTRATORS, _USERS = (18,), (32, 544), (32, 545)
# The rights of a folder hold for what is made in it later, too.
_INHERITED = 0x03
# Self-relative, a list of rights that is not mixed with the parent's.
_CONTROL = 0x9004
_BOOT = struct.Struct("<3x8sHB")


def inspect(device: Path) -> None:
    """Raises `LabError` unless there is a sound NTFS on the partition that was put away clean."""
    again = "shut that Windows down with: shutdown /s /t 0, after: powercfg /h off; then make the image anew"
    probed = _tool(["ntfs-3g.probe", "--readwrite", str(device)])
    if probed.code:
        what = _UNFIT.get(probed.code, f"it can't be mounted ({probed.error_text})")
        raise LabError(what, where=str(device), next_command=again)
    checked = _tool(["ntfsresize", "--info", "--no-progress-bar", str(device)])
    if checked.code:
        said = _said(checked)
        if "scheduled for check" in said:
            raise LabError("its Windows marked it for a check of the disk", where=str(device), next_command=again)
        raise LabError(f"its NTFS is damaged: {said}", where=str(device))


def grow(device: Path) -> bool:
    """Make the file system fill its partition; False where it does. Ends with one that was checked after the act."""
    inspect(device)
    before = volume_size(device)
    done = _tool(["ntfsresize", "--force", "--force", "--no-progress-bar", str(device)])
    if done.code:
        raise LabError(f"its NTFS can't be made larger: {_said(done)}", where=str(device))
    # ntfsresize asks for a chkdsk at the next start, which would hold up thirty PCs. What that would look at is looked
    # at here: every cluster is accounted for again once the mark is off.
    _tool(["ntfsfix", "--clear-dirty", str(device)])
    inspect(device)
    check_second_boot_sector(device)
    return volume_size(device) != before


def check_second_boot_sector(device: Path) -> None:
    """Raises `LabError` unless the copy of the boot sector at the partition's end is right."""
    checked = _tool(["ntfsfix", "--no-action", str(device)])
    if checked.code:
        raise LabError(f"the second boot sector of its NTFS is wrong: {checked.error_text}", where=str(device))


def volume_size(device: Path) -> int:
    """What its boot sector says of the size of the volume, in bytes."""
    with device.open("rb") as opened:
        start = opened.read(48)
    if len(start) < 48 or start[3:11] != b"NTFS    ":
        raise LabError(_UNFIT[12], where=str(device))
    _, sector, _ = _BOOT.unpack_from(start)
    (sectors,) = struct.unpack_from("<Q", start, 40)
    return int(sectors * sector)


@contextmanager
def mounted(device: Path, *, write: bool = True) -> Iterator[Path]:
    """The file system in a folder of its own. Raises `LabError` where it can only be read and `write` is asked for."""
    # Not a TemporaryDirectory: should the file system stay mounted, that would delete all that is on it.
    folder = tempfile.mkdtemp(prefix="lab-ntfs-")
    try:
        options = "windows_names,noatime" + ("" if write else ",ro")
        done = _tool(["ntfs-3g", "-o", options, str(device), folder])
        if done.code:
            raise LabError(f"its NTFS can't be mounted: {done.error_text}", where=str(device))
        try:
            if write and os.statvfs(folder).f_flag & os.ST_RDONLY:
                raise LabError("its NTFS can only be read: it was not put away clean", where=str(device))
            yield Path(folder)
        finally:
            done = _tool(["umount", folder])
            if done.code:
                # It goes once nobody uses it any more.
                _tool(["umount", "-l", folder])
                raise LabError(f"its NTFS can't be put away: {done.error_text}", where=str(device))
    finally:
        with suppress(OSError):
            Path(folder).rmdir()


def find(root: Path, *names: str) -> Path | None:
    """What lies there under these names in whatever case, as Windows finds it; None where nothing does."""
    place = root
    for name in names:
        exact = place / name
        if exact.exists():
            place = exact
            continue
        folded = name.casefold()
        found = [entry for entry in place.iterdir() if entry.name.casefold() == folded] if place.is_dir() else []
        if not found:
            return None
        place = found[0]
    return place


def folder(root: Path, *names: str, readable: bool = True) -> Path:
    """That folder; what is missing of it is made, and belongs to administrators."""
    place = root
    for name in names:
        found = find(place, name)
        if found is None:
            found = place / name
            found.mkdir()
            restrict(found, readable=readable)
        place = found
    return place


def put(place: Path, content: bytes, *, readable: bool = False) -> None:
    """Write a file that only Windows and its administrators may change, and others read only where `readable`.

    The rights are said before there is anything to read. Raises `LabError` where there is no room.
    """
    try:
        place = find(place.parent, place.name) or place
        place.unlink(missing_ok=True)
        place.touch()
        restrict(place, readable=readable)
        with place.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise LabError(f"{place.name} can't be written to its NTFS: {error.strerror}", where=str(place)) from error


def restrict(place: Path, *, readable: bool) -> None:
    """Full rights for Windows itself and administrators, and for nobody else more than to read."""
    flags = _INHERITED if place.is_dir() else 0
    entries = [_allow(_SYSTEM, _FULL, flags), _allow(_ADMINISTRATORS, _FULL, flags)]
    if readable:
        entries.append(_allow(_USERS, _READ, flags))
    os.setxattr(place, _ACL, descriptor(entries))


def descriptor(entries: Sequence[bytes]) -> bytes:
    """A security descriptor (MS-DTYP 2.4.6) of a thing that administrators own."""
    owner, listed = _sid(_ADMINISTRATORS), b"".join(entries)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(listed), len(entries), 0) + listed
    places = (20, 20 + len(owner), 0, 20 + 2 * len(owner))
    return struct.pack("<BBHIIII", 1, 0, _CONTROL, *places) + owner + owner + acl


def _allow(who: tuple[int, ...], rights: int, flags: int) -> bytes:
    sid = _sid(who)
    return struct.pack("<BBHI", 0, flags, 8 + len(sid), rights) + sid


def _sid(parts: tuple[int, ...]) -> bytes:
    return struct.pack("<BB6s", 1, len(parts), b"\0\0\0\0\0\5") + struct.pack(f"<{len(parts)}I", *parts)


def _said(done: Completed) -> str:
    """What ntfsresize said is wrong: it says so on standard output, before advice of several lines."""
    lines = (done.out + b"\n" + done.err).decode(errors="replace").splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return errors[0] if errors else done.error_text


def _tool(argv: Sequence[str]) -> Completed:
    try:
        return run(argv, env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"})
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed", next_command="apt-get install ntfs-3g") from error
