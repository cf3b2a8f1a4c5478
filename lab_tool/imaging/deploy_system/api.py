"""Builds the deploy system into the store of images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab_tool.errors import UsageError
from lab_tool.imaging.deploy_system import archive, boot_area, contents, kernel, packages, python
from lab_tool.imaging.deploy_system.archive import Entry
from lab_tool.imaging.deploy_system.description import describe, whole
from lab_tool.imaging.deploy_system.stick import make_stick
from lab_tool.imaging.deploy_system.unpacked import Unpacked, merged
from lab_tool.imaging.format.fields import DIGEST
from lab_tool.imaging.store.durable import settle
from lab_tool.log.store import sync_folder
from lab_tool.settings import Settings
from lab_tool.signature import is_public_line

__all__ = ["build_deploy_system", "make_stick"]

_SCRIPTS = {"init": "init.sh", "lease": "lease.sh"}
Progress = Callable[[str], None]


def build_deploy_system(
    settings: Settings,
    store_root: Path,
    *,
    signers: Sequence[str],
    pins: Sequence[str],
    firmware: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> str:
    """The id of the deploy system that lies, once this returns, complete in `store_root`/deploy/<id>/.

    `signers` are the public keys (`type base64`) whose orders it carries out, `pins` the certificates of the servers
    that it talks to, `firmware` more packages whose files below /lib/firmware are taken along. The same packages,
    code and arguments give the same bytes.
    """
    _check(signers, pins)
    folder = store_root / "deploy"
    folder.mkdir(parents=True, exist_ok=True)
    progress("fetching packages")
    cache = settings.state / "cache/deploy-system"
    chosen = packages.download((*contents.PACKAGES, *firmware), cache)
    # Not in the store's own folder under its final name: whoever looks finds a whole one or none.
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        progress(f"unpacking {len(chosen)} packages")
        (work / "packages").mkdir()
        unpacked = Unpacked.of(chosen, work / "packages")
        progress("choosing drivers, programs and modules of Python")
        boot_files = boot_area.files(unpacked, _new(work, "boot-area"))
        entries = _entries(unpacked, work, boot_files)
        entries["etc/lab/trust/signers"] = _lines(signers)
        entries["etc/lab/trust/pins"] = _lines(pins)
        vmlinuz = kernel.image(unpacked)
        name, inner = describe(chosen, vmlinuz, entries)
        progress("packing")
        entries["etc/lab/deploy.json"] = archive.file(inner)
        files = {
            "vmlinuz": vmlinuz,
            "initrd.img": archive.packed(entries),
            **{f"boot-area/{part}": data for part, data in boot_files.items()},
        }
        _place(_new(work, "out"), {**files, "deploy.json": whole(inner, files)}, folder / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return name


def _check(signers: Sequence[str], pins: Sequence[str]) -> None:
    if not signers:
        raise UsageError("a deploy system that trusts no key would carry out no order")
    for line in signers:
        if not is_public_line(line):
            raise UsageError(f"not an SSH public key: {line[:80]!r}")
    for pin in pins:
        if not DIGEST.fullmatch(pin):
            raise UsageError(f"not the SHA-256 of a certificate: {pin[:80]!r}")


def _entries(unpacked: Unpacked, work: Path, boot_files: dict[str, bytes]) -> dict[str, Entry]:
    """All files but those that say whom it trusts and who it is."""
    entries = {merged(path): archive.link(target) for path, target in contents.LINKS.items()}
    entries |= {name: archive.link(f"usr/{name}") for name in ("bin", "lib", "lib64", "sbin")}
    entries |= kernel.modules(unpacked, _new(work, "modules"))
    entries |= python.files(unpacked, _new(work, "python"), Path(__file__).parents[2])
    entries |= _programs(unpacked, entries, work)
    entries |= {f"boot-area/{name}": archive.file(data) for name, data in boot_files.items()}
    entries |= _firmware(unpacked)
    entries |= {path.lstrip("/"): archive.file(unpacked.file(path).read_bytes()) for path in contents.SETTINGS}
    for name, source in _SCRIPTS.items():
        entries[f"usr/lib/lab/{name}"] = archive.file(Path(__file__).with_name(source).read_bytes(), executable=True)
    # Who is who, for programs that ask (ssh-keygen does).
    entries["etc/passwd"] = archive.file(b"root:x:0:0:root:/root:/bin/false\n")
    entries["etc/group"] = archive.file(b"root:x:0:\n")
    # The kernel puts its own files there.
    for name in ("dev", "proc", "sys"):
        entries[f"{name}/.keep"] = archive.file(b"")
    return entries


def _programs(unpacked: Unpacked, entries: dict[str, Entry], work: Path) -> dict[str, Entry]:
    """The programs, and the libraries that they and the modules of Python are linked with."""
    paths = (*contents.PROGRAMS, *contents.LIBRARIES)
    extensions = [work / "python" / path for path in entries if path.endswith(".so")]
    libraries = unpacked.linked_with([*(unpacked.file(path) for path in paths), *extensions])
    return {
        merged(path): archive.file(unpacked.file(path).read_bytes(), executable=True) for path in (*paths, *libraries)
    }


def _firmware(unpacked: Unpacked) -> dict[str, Entry]:
    root = unpacked.root / "lib/firmware"
    files = (path for path in root.rglob("*") if path.is_file())
    return {merged(str(path.relative_to(unpacked.root))): archive.file(path.read_bytes()) for path in files}


def _lines(lines: Sequence[str]) -> Entry:
    return archive.file("".join(f"{line}\n" for line in sorted(set(lines))).encode("ascii"))


def _new(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    return folder


def _place(out: Path, files: dict[str, bytes], target: Path) -> None:
    """Put the finished files in place, durably and all at once; one that is there already is the same or damaged."""
    for name, data in files.items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as opened:
            opened.write(data)
            settle(opened)
        path.chmod(0o644)
    out.chmod(0o755)
    if target.exists():
        if all((target / name).is_file() and (target / name).read_bytes() == data for name, data in files.items()):
            return
        shutil.rmtree(target)
    out.rename(target)
    sync_folder(target.parent)
