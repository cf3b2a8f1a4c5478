"""An image of a disk that was made elsewhere: which of its partitions belong to it, and what must not be in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError, RefusedError
from lab_tool.imaging.build.esp import pack_esp
from lab_tool.imaging.build.inside import LINUX, WINDOWS, look_through, probe
from lab_tool.imaging.build.programs import tool
from lab_tool.imaging.build.survey import Survey
from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.deploy.personal_windows import GENERALIZED, SETUP_STATE
from lab_tool.imaging.store.draft import Draft, DraftPartition

# Types of partitions by their number in an MBR or their id in a GPT, upper case.
EFI = ("EF", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
# Never part of an image: extended ones, GRUB's own, Microsoft's reserved and recovery ones.
_PASSED_OVER = (
    *("5", "F", "85", "27"),
    "21686148-6449-6E6F-744E-656564454649",
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",
    "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC",
)
# Of a PC that was imaged: what survives there, and what is a copy.
_OWN = ("lab-data", "lab-cache")
_SYSTEMS = ("ext4", "xfs", "btrfs", "ntfs")
_SOFTWARE = "Windows/System32/config/SOFTWARE"
_DIRTY_LOG = re.compile(rb"state: <DIRTY>")
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A partition as it was found. `file` holds it, written to at will, or is None for swap; `size` is whole MiB."""

    number: int
    label: str
    type: str
    fs: str
    size: int
    uuid: str
    guid: str
    file: Path | None


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of the image from elsewhere; see `Draft`."""

    name: str
    title: str
    kind: str
    source: dict[str, str]
    parent: str
    changes: str


def belongs(type: str, label: str) -> bool:
    """Whether a partition may be part of an image, by what the table says of it."""
    return type.upper() not in _PASSED_OVER and label not in _OWN


def assemble(pieces: Sequence[Piece], said: Said, work: Path, progress: Callable[[str], None]) -> Draft:
    """The draft; files of its partitions lose identity and secrets. Raises `LabError`: no system, two of them, one that
    can't start from its own partition, one that was not put away clean.
    """
    volumes = [piece for piece in pieces if piece.fs in _SYSTEMS and piece.type.upper() not in EFI]
    found = list(_systems(volumes))
    if len(found) != 1:
        what = "there is no operating system" if not found else f"there are {len(found)} operating systems"
        raise LabError(f"{what} on this disk; an image has exactly one")
    system, family = found[0]
    progress(f"partition {system.number}: {family}")
    survey = _examine(system, family)
    partitions = []
    for piece in pieces:
        if piece.fs == "swap":
            partitions.append(DraftPartition(f"swap-{piece.number}", "swap", piece.size, uuid=piece.uuid))
        elif piece.file and piece.type.upper() not in EFI:
            partitions.append(
                DraftPartition(
                    "system" if piece is system else f"part-{piece.number}",
                    piece.fs,
                    piece.size,
                    piece is system,
                    piece.uuid,
                    piece.guid.lower() if family == WINDOWS and _GUID.fullmatch(piece.guid.lower()) else "",
                    piece.file,
                    tuple(used_ranges(piece.file, piece.fs)),
                )
            )
    return Draft(
        name=said.name,
        family=family,
        title=said.title or said.name,
        kind=said.kind,
        source=said.source,
        partitions=tuple(partitions),
        contents=survey.as_contents(),
        parent=said.parent,
        changes=said.changes,
        esp=_start_files(pieces, work) if family == WINDOWS else None,
        release=survey.release or {"id": family},
    )


def _systems(volumes: Sequence[Piece]) -> Iterator[tuple[Piece, str]]:
    for piece in volumes:
        if piece.file is None:
            continue
        if piece.fs == "xfs":
            _require_clean_xfs(piece.file)
        family, has_kernel = probe(piece.file, piece.fs)
        if family == LINUX and not has_kernel:
            what = f"partition {piece.number}: a Linux whose /vmlinuz and /initrd.img are not on its root partition"
            raise LabError(
                what, next_command="apt-get install linux-image-amd64, on that PC, without a /boot of its own"
            )
        if family:
            yield piece, family


def _examine(system: Piece, family: str) -> Survey:
    assert system.file is not None
    if family == LINUX:
        return look_through(system.file, system.fs, cleaning=True)
    ntfs.inspect(system.file)
    _require_generalized(system.file)
    return look_through(system.file, system.fs, cleaning=False)


def _require_generalized(volume: Path) -> None:
    """A Windows that was not prepared for it can't be told apart from its copies, nor be made another PC's."""
    hive = volume.with_name(f"{volume.name}.hive")
    hive.write_bytes(tool("ntfscat", volume, _SOFTWARE, what="the registry of this Windows").out)
    try:
        read = tool("hivexget", hive, "\\".join(SETUP_STATE), "ImageState", what="its registry", accept=(0, 1))
    finally:
        hive.unlink()
    state = read.out.decode(errors="replace").strip()
    if state != GENERALIZED:
        what = f"this Windows was not prepared for copies of it (its state is {state or 'unknown'})"
        raise RefusedError(what, next_command="in it: sysprep /generalize /oobe /shutdown; then make the image again")


def _require_clean_xfs(file: Path) -> None:
    """What its log has not put in place yet lies on blocks that count as free."""
    told = tool("xfs_logprint", "-t", "-f", file, what="the log of an xfs", accept=(0, 1))
    if _DIRTY_LOG.search(told.out + told.err):
        raise LabError("its file system (xfs) was not put away clean: shut its system down", where=str(file))


def _start_files(pieces: Sequence[Piece], work: Path) -> Path:
    """The files of the EFI partition, from which a Windows starts."""
    efi = next((piece for piece in pieces if piece.type.upper() in EFI and piece.file), None)
    if efi is None or efi.file is None:
        raise LabError("a Windows without an EFI partition: only one that starts by UEFI can be made an image")
    folder = work / "efi"
    folder.mkdir()
    try:
        tool("mcopy", "-s", "-n", "-m", "-i", efi.file, "::*", folder, what="the files of the EFI partition")
        return pack_esp(folder, work / "esp.tar")
    finally:
        shutil.rmtree(folder)
