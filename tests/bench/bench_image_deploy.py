"""What imaging one PC costs beside `zstd -dc | partclone.restore` by hand, and doing it again beside the first time.

    python -m tests.bench.bench_image_deploy [--mib N] [--pairs N] [--links 1gbit,100mbit]

The disk is a loop device on a file for both. The image is an ext4 file system with programs and documents of this
machine, compressed as the store compresses. By hand: from a file on the local disk onto the disk, and `sync`. Ours: the
whole client as the deploy system runs it (order and signature, comparing, HTTP from another process, writing, reading
back, making it this PC, what makes the disk start), until it says that it is done.

Again: over a link shaped by tc to a card's rate, the first time, then unchanged, then with a version in which 5% of the
files' bytes are other. Needs root, loop devices and network namespaces.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_tool.imaging.format.manifest import Partition
from lab_tool.process import run
from tests.bench.measure import HEADINGS, ratio
from tests.support.cast_network import CastNetwork, Node
from tests.support.image_made import MIB, UUIDS, Files, opened
from tests.support.image_pc import DEPLOY, Pc, make_order, make_pc
from tests.support.image_server import serving

SOURCES = ("/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/bin", "/usr/lib")
CHANGED = 0.05
_PORT = 8080


@dataclass(frozen=True, slots=True)
class Image:
    """One version: its id, and the file system in a file."""

    id: str
    file: Path


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=2048, help="MiB of files in the image")
    parser.add_argument("--pairs", type=int, default=3, help="counted runs of each")
    parser.add_argument("--links", default="1gbit,100mbit", help="rates of the link, as tc writes them")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the disk and the image lie")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-image-", dir=options.folder) as name:
        work = Path(name)
        files = Files(work / "srv")
        first = make_image(files, work, options.mib)
        print(f"{options.mib} MiB of files, {first.file.stat().st_size // MIB} MiB file system\n", flush=True)
        with disk(work, first.file.stat().st_size * 2) as device:
            beside_hand(files, first, work, device, options.pairs)
            second = change(files, first, work)
            for link in filter(None, options.links.split(",")):
                again(files, (first, second), work, device, link)


def make_image(files: Files, work: Path, mib: int) -> Image:
    """An image with about so many MiB of files."""
    tree, left = work / "tree", mib * MIB
    for name in ("etc", "home/lab-admin", "usr/lib/systemd"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/passwd").write_text("lab-admin:x:1000:1000::/home/lab-admin:/bin/bash\n", "ascii")
    (tree / "usr/lib/systemd/systemd-networkd").touch()
    for source in SOURCES:
        for path in sorted(Path(source).rglob("*")):
            if left > 0 and path.is_file() and not path.is_symlink():
                target = tree / "files" / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.write_bytes(path.read_bytes())
                    left -= path.stat().st_size
    made = work / "system.img"
    with made.open("wb") as file:
        file.truncate((mib * 3 // 2 + 512) * MIB)
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-U", UUIDS["ext4"], "-d", str(tree), str(made)]
    subprocess.run(argv, check=True)
    return Image(_add(files, made, 1), made)


def change(files: Files, image: Image, work: Path) -> Image:
    """The same with a part of the files' bytes other ones, as an update leaves them."""
    made = work / "changed.img"
    subprocess.run(["cp", "--sparse=always", str(image.file), str(made)], check=True)
    rand = random.Random(7)
    with opened(made, "ext4") as root:
        paths = sorted(path for path in (root / "files").rglob("*") if path.is_file())
        left = CHANGED * sum(path.stat().st_size for path in paths)
        rand.shuffle(paths)
        for path in paths:
            if left <= 0:
                break
            content = path.read_bytes()
            left -= len(content)
            path.write_bytes(content[1:] + content[:1])
    return Image(_add(files, made, 2), made)


def _add(files: Files, made: Path, version: int) -> str:
    system = Partition("system", "ext4", made.stat().st_size, True, "", 0, UUIDS["ext4"])
    return files.add("bench", version, [(system, made)], level=7)


@contextmanager
def disk(work: Path, size: int) -> Iterator[Path]:
    """The virtual disk."""
    file = work / "disk.img"
    with file.open("wb") as opened_file:
        opened_file.truncate(size)
    argv = ["losetup", "--find", "--show", "--direct-io=on", str(file)]
    device = Path(run(argv).out.decode().strip())
    try:
        yield device
    finally:
        run(["losetup", "--detach", str(device)])


def wipe(device: Path) -> None:
    """As it came from the shop."""
    run(["blkdiscard", "--force", str(device)])
    os.sync()


def beside_hand(files: Files, image: Image, work: Path, device: Path, pairs: int) -> None:
    """By hand and ours in turn."""
    packed = work / "system.zst"
    make = f"partclone.ext4 -c -s {image.file} -o - -L {work}/log | zstd -q -7 -T0 -o {packed}"
    subprocess.run(["sh", "-ec", make], check=True, stderr=subprocess.DEVNULL)
    by_hand = f"zstd -dc {packed} | partclone.restore -s - -o {device} -L {work}/log && sync {device}"
    hand, ours, phases = [], [], []
    with served(files, work, device, None) as pc:
        for number in range(pairs + 1):
            wipe(device)
            _cold(packed)
            begin = time.monotonic()
            subprocess.run(["sh", "-ec", by_hand], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            one = time.monotonic() - begin
            wipe(device)
            _cold(*(files.folder / "packs").iterdir())
            seconds, result = imaged(pc, image)
            if number:
                hand.append(one)
                ours.append(seconds)
                phases.append(_phases(result))
    used = files.manifests[image.id].root.used / MIB
    row = ratio([used / seconds for seconds in ours], [used / seconds for seconds in hand])
    print(
        f"{HEADINGS}\n{row.row('MiB a second onto one disk', 'MiB/s', '>= 0.9')}\n\nOurs, last: {phases[-1]}\n",
        flush=True,
    )


def again(files: Files, images: tuple[Image, Image], work: Path, device: Path, link: str) -> None:
    """First, unchanged and changed over a link of that rate."""
    print(f"Over {link}:\n\n| what | seconds | MiB fetched | of the first: seconds | bytes | goal | in each state |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    wipe(device)
    with CastNetwork(1, link) as network, served(files, work, device, network) as pc:
        base: tuple[float, int] | None = None
        for what, image, goal in (
            ("first time", images[0], ""),
            ("again, unchanged", images[0], "<= 0.1"),
            (f"{CHANGED:.0%} changed", images[1], "<= 0.25"),
        ):
            seconds, result = imaged(pc, image, network.pcs[0])
            fetched = int(result["fetched_bytes"])
            base = base or (seconds, fetched)
            print(
                f"| {what} | {seconds:.1f} | {fetched / MIB:.1f} | {seconds / base[0]:.3f} | {fetched / base[1]:.3f} | "
                f"{goal} | {_phases(result)} |",
                flush=True,
            )
    print()


@contextmanager
def served(files: Files, work: Path, device: Path, network: CastNetwork | None) -> Iterator[Pc]:
    """A PC and its server: the API in a thread here or in the server's namespace, the files in another process."""
    address = network.server.address if network else "127.0.0.1"
    inside = network.server.inside if network else lambda *argv: list(argv)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
        if network:
            stack.enter_context(_namespace(network.server))
        there = stack.enter_context(serving(files.folder, place, address))
        argv = inside(sys.executable, "-m", "tests.support.range_server", address, str(_PORT), str(files.folder))
        program = stack.enter_context(subprocess.Popen(argv))
        stack.callback(program.kill)
        there.http = f"http://{address}:{_PORT}"
        time.sleep(1)
        pc = make_pc(place, there, files, MIB)
        pc.disk = device
        yield pc


@contextmanager
def _namespace(node: Node) -> Iterator[None]:
    """Sockets that are made in here belong to that network."""
    with Path("/proc/self/ns/net").open("rb") as own, Path("/run/netns", node.netns).open("rb") as other:
        _setns(other.fileno())
        try:
            yield
        finally:
            _setns(own.fileno())


def _setns(descriptor: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "setns")


def imaged(pc: Pc, image: Image, node: Node | None = None) -> tuple[float, dict[str, Any]]:
    """Seconds of the whole client, and what it reported."""
    pc.give(make_order(pc.files, [image.id], deploy=DEPLOY))
    here = pc.situation
    words = " ".join(f"lab.{name}={getattr(here, name)}" for name in ("api", "http", "pin", "token", "mac"))
    (pc.base / "cmdline").write_text(words, "ascii")
    argv: Sequence[str] = [sys.executable, "-m", "lab_tool.imaging.deploy", "--command-line", f"{pc.base}/cmdline"]
    argv = [*argv, "--disk", str(pc.disk), "--base", str(pc.base)]
    begin = time.monotonic()
    done = run(node.inside(*argv) if node else argv)
    seconds = time.monotonic() - begin
    if done.code:
        raise SystemExit(done.out.decode() + done.err.decode())
    return seconds, pc.result


def _phases(result: dict[str, Any]) -> str:
    return ", ".join(f"{state} {seconds:.1f}" for state, seconds in result["phases"].items())


def _cold(*paths: Path) -> None:
    """Not in memory when it is read."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
