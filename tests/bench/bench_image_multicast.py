"""How long a room takes by multicast: four PCs beside one, and beside four downloads at once over the same link.

    python -m tests.bench.bench_image_multicast [--rate 200mbit] [--cells 800] [--pairs 5]

A server and four PCs in network namespaces on one bridge; what the server sends is shaped by `tc tbf` as by a card.
Ours is the sender as the image server starts it and the receiver of the deploy system, which expands each cell, holds
it to its SHA-256 and writes it. What curl and udpcast (where it is installed) receive is thrown
away. Timed from the start of the sender, or of the downloads, to the end of the last PC. Needs root.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab_tool.imaging.format.datagrams import Join
from tests.bench.measure import HEADINGS, ratio
from tests.support.cast_image import CastImage, make_image
from tests.support.cast_network import CastNetwork
from tests.support.cast_room import CastRoom, Running, intact

RATE, CELLS, PAIRS, GOAL = "200mbit", 800, 5, "1.25"
_PORT = 8081
_READY = 1.0


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", default=RATE, help=f"of the server's link, as tc writes it (default {RATE})")
    parser.add_argument("--cells", type=int, default=CELLS, help=f"of the image (default {CELLS})")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"runs of each, in turn (default {PAIRS})")
    options = parser.parse_args()
    # In memory, so that no disk is measured.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name, CastNetwork(4, options.rate) as network:
        folder = Path(name)
        image = make_image(folder / "store", options.cells)
        size = image.pack.stat().st_size / 1e6
        print(f"{size:.0f} MB over a link of {options.rate}, {options.pairs} pairs\n\n{HEADINGS}", flush=True)
        ways: dict[str, Callable[[], float]] = {
            "one": lambda: _multicast(network, folder, image, 1),
            "four": lambda: _multicast(network, folder, image, 4),
            "downloads": lambda: _downloads(network, image, 4),
            "download": lambda: _downloads(network, image, 1),
        }
        if shutil.which("udp-sender"):
            ways["udpcast"] = lambda: _udpcast(network, image, 4)
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.pairs):
            for way, run in ways.items():
                took[way].append(run())
    print(ratio(took["four"], took["one"]).row("multicast to 4, beside multicast to 1", "s", GOAL))
    print(ratio(took["four"], took["downloads"]).row("multicast to 4, beside 4 downloads", "s", ""))
    print(ratio(took["one"], took["download"]).row("multicast to 1, beside 1 download", "s", ""))
    if "udpcast" in took:
        print(ratio(took["four"], took["udpcast"]).row("multicast to 4, beside udpcast to 4", "s", ""))


def _multicast(network: CastNetwork, folder: Path, image: CastImage, count: int) -> float:
    """Seconds until all have it, which is looked at."""
    join = Join("0123456789abcdef", "239.255.70.1", 9100, image.id)
    with tempfile.TemporaryDirectory(dir=folder) as name, CastRoom(network, Path(name)) as room:
        pcs: list[Running] = [room.pc(at, image, join, patience=30, unicast=False) for at in range(count)]
        time.sleep(_READY)
        begin = time.monotonic()
        room.send(image, join, count, rate=0)
        said = [pc.end() for pc in pcs]
        took = time.monotonic() - begin
        if not all(one["complete"] for one in said) or not all(intact(image, [pc.disk for pc in pcs])):
            raise SystemExit(f"not all has arrived: {said}")
        return took


def _downloads(network: CastNetwork, image: CastImage, count: int) -> float:
    """Seconds until so many downloads at once are through."""
    with CastRoom(network, image.root) as room:
        address = network.server.address
        room.program(network.server, "tests.support.range_server", address, str(_PORT), str(image.root))
        time.sleep(_READY)
        url = f"http://{address}:{_PORT}/packs/{image.pack.name}"
        curl = ("curl", "--silent", "--fail", "--output", "/dev/null", url)
        return _timed([network.pcs[at].inside(*curl) for at in range(count)])


def _udpcast(network: CastNetwork, image: CastImage, count: int) -> float:
    """Seconds of udpcast, by hand, with the same file."""
    for node in (network.server, *network.pcs):
        # It asks the routing table which way the group is.
        subprocess.run(node.inside("ip", "route", "replace", "224.0.0.0/4", "dev", "eth0"), check=True)
    options = ("--interface", "eth0", "--nokbd")
    hear = ("udp-receiver", *options, "--rcvbuf", "4m", "--start-timeout", "30", "--file", "/dev/null")
    pcs = [_quiet(network.pcs[at].inside(*hear)) for at in range(count)]
    time.sleep(_READY)
    send = ("udp-sender", *options, "--min-receivers", str(count), "--max-wait", "20", "--full-duplex")
    begin = time.monotonic()
    sender = _quiet(network.server.inside(*send, "--file", str(image.pack)))
    codes = [one.wait(timeout=120) for one in (*pcs, sender)]
    if any(codes):
        raise SystemExit(f"udpcast ended with {codes}")
    return time.monotonic() - begin


def _timed(commands: list[list[str]]) -> float:
    begin = time.monotonic()
    codes = [child.wait(timeout=300) for child in [_quiet(command) for command in commands]]
    if any(codes):
        raise SystemExit(f"{commands[0]} ended with {codes}")
    return time.monotonic() - begin


def _quiet(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
