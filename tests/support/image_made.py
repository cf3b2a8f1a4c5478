"""Small images for tests of the client, made of real file systems, and an image server's files to get them from."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.format.cells import CELL_SIZE, CellList, cell_numbers
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.packs import PackWriter, dump_index

MIB = 1024 * 1024
NOTHING = hashlib.sha256(b"").hexdigest()
UUIDS = {"ext4": "6a6e0a51-3f0e-4bb7-9d43-0f0f2c6f0a01", "swap": "6a6e0a51-3f0e-4bb7-9d43-0f0f2c6f0a02"}
_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-U", UUIDS["ext4"]],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", f"uuid={UUIDS['ext4']}"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-U", UUIDS["ext4"]],
    "ntfs": ["mkfs.ntfs", "-q", "-F", "-f"],
    "vfat": ["mkfs.vfat"],
}
_PASSWD = "root:x:0:0:root:/root:/bin/bash\nlab-admin:x:1000:1000::/home/lab-admin:/bin/bash\n"


@dataclass(slots=True)
class Files:
    """What an image server has below /srv/lab-image."""

    folder: Path
    manifests: dict[str, Manifest] = field(default_factory=dict)

    def put(self, name: str, content: bytes) -> str:
        """A file, and the SHA-256 of what is in it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def add(
        self,
        name: str,
        version: int,
        parts: Sequence[tuple[Partition, Path | None]],
        family: str = "linux",
        level: int = 3,
    ) -> str:
        """An image of these partitions, each with the file that holds it; the image's id."""
        made, pack_path = [], self.folder / "pack"
        self.folder.mkdir(parents=True, exist_ok=True)
        with pack_path.open("wb") as out:
            pack = PackWriter(out, level)
            for part, device in parts:
                made.append(self._part(part, device, pack) if device else part)
        pack_path.rename(self._made(f"packs/{pack.id}.pack"))
        self.put(f"packs/{pack.id}.idx", dump_index(pack.places))
        manifest = Manifest(
            name=name,
            version=version,
            made="2026-11-24T10:00:00Z",
            by="li",
            family=family,
            title=f"System {name}",
            kind="recipe",
            source={},
            parent="",
            changes="",
            partitions=tuple(made),
            packs=(pack.id,),
            contents=NOTHING,
        )
        self.put(f"images/{manifest.id}/manifest.json", manifest.dump())
        self.manifests[manifest.id] = manifest
        return manifest.id

    def _part(self, part: Partition, device: Path, pack: PackWriter) -> Partition:
        cells = []
        ranges = used_ranges(device, part.fs)
        with device.open("rb") as file:
            for number in cell_numbers(ranges):
                file.seek(number * CELL_SIZE)
                content = _only_used(file.read(CELL_SIZE), number * CELL_SIZE, ranges)
                digest = hashlib.sha256(content).digest()
                pack.add(digest, content)
                cells.append((number, digest))
        listed = CellList(part.size, cells)
        self.put(f"cells/{listed.digest}", listed.dump())
        return Partition(part.name, part.fs, part.size, part.grows, listed.digest, listed.used, part.uuid, part.guid)

    def _made(self, name: str) -> Path:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return self.folder / name


def _only_used(content: bytes, at: int, ranges: Sequence[tuple[int, int]]) -> bytes:
    kept = bytearray(len(content))
    for start, end in ranges:
        low, high = max(start, at), min(end, at + len(content))
        if low < high:
            kept[low - at : high - at] = content[low - at : high - at]
    return bytes(kept)


def file_system(path: Path, fs: str, size: int, fill: Callable[[Path], None] | None = None) -> Path:
    """A file system of that kind in a file."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run([*_MAKE[fs], str(path)], check=True, capture_output=True)
    if fill:
        with opened(path, fs) as root:
            fill(root)
    return path


@contextmanager
def opened(path: Path, fs: str, offset: int = 0, size: int = 0) -> Iterator[Path]:
    """What is in the file system in a file (or in a part of one), mounted."""
    with TemporaryDirectory(prefix="lab-test-") as folder:
        limits = f",offset={offset},sizelimit={size}" if size else ""
        quiet = ",nouuid" if fs == "xfs" else ""
        subprocess.run(["mount", "-t", fs, "-o", f"loop{limits}{quiet}", str(path), folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def linux_tree(root: Path, data: int = 24 * MIB, seed: bytes = b"a") -> None:
    """Enough of a Linux that the client can make it a PC's, and files of `data` bytes that don't compress well."""
    texts = {
        "etc/passwd": _PASSWD,
        "etc/hostname": "image\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/fstab": "UUID=old / ext4 defaults 0 1\nUUID=old-swap none swap sw 0 0\n/dev/sr0 /media auto noauto 0 0\n",
        "etc/ssh/ssh_host_ed25519_key": "of the image",
        "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 OFTHEIMAGE image",
        "etc/sudoers.d/README": "",
        "usr/lib/systemd/systemd-networkd": "",
        "usr/share/zoneinfo/Asia/Shanghai": "TZif",
        "vmlinuz": "kernel",
        "initrd.img": "initramfs",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    (root / "home/lab-admin").mkdir(parents=True)
    for number in range(-(-data // MIB)):
        (root / f"home/{number}").write_bytes(_noise(seed + b"%d" % number))


def _noise(seed: bytes) -> bytes:
    return hashlib.shake_128(seed).digest(MIB)


def linux_image(
    files: Files, work: Path, fs: str = "ext4", version: int = 1, name: str = "debian-lab", uuid: str = UUIDS["ext4"]
) -> str:
    """An image with a root that grows and swap; its id. Only ext4 takes another `uuid`."""
    size = 320 * MIB if fs == "xfs" else 160 * MIB if fs == "btrfs" else 64 * MIB
    seed = f"{name}{version}".encode()
    root = file_system(work / f"{name}-{version}-{fs}.img", fs, size, lambda tree: linux_tree(tree, seed=seed))
    if uuid != UUIDS["ext4"]:
        subprocess.run(["tune2fs", "-U", uuid, str(root)], check=True, capture_output=True)
    system = Partition("system", fs, size, True, "", 0, uuid)
    return files.add(name, version, [(system, root), (Partition("swap", "swap", 8 * MIB, False, "", 0), None)])
