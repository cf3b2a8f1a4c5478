"""A server and PCs on one switch, each in a network namespace, with no way out: for streams and what disturbs them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.errors import RoomError
from tests.testbed.programs import run

_NETNS = Path("/run/netns")
_PREFIX = "labcast"
# Of a run that was killed, something may be left; namespaces' names hold the process that made them.
_NAME = re.compile(rf"{_PREFIX}([0-9]+)-.+")


def reason_not_available() -> str:
    """Empty when namespaces can be made here; otherwise one sentence that says why not."""
    if os.geteuid() != 0:
        return "Network namespaces need root."
    missing = [program for program in ("ip", "tc", "nft") if shutil.which(program) is None]
    if missing:
        return f"Missing: {' '.join(missing)} (packages iproute2 and nftables)."
    try:
        done = run("unshare", "--net", "ip", "link", "add", "br0", "type", "bridge", check=False)
    except RoomError as error:
        return str(error)
    return "" if done.returncode == 0 else "This root may not make network namespaces."


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the network."""

    netns: str
    address: str

    def inside(self, *argv: str) -> list[str]:
        """The command line that runs `argv` in its namespace."""
        return ["ip", "netns", "exec", self.netns, *argv]


class CastNetwork:
    """A context: `server` and `pcs`, gone at its end."""

    def __init__(self, pcs: int, rate: str = "") -> None:
        """`rate` shapes what the server sends, as a card would (in the words of tc: 200mbit), empty: not at all."""
        self._name = f"{_PREFIX}{os.getpid()}"
        self._rate = rate
        self.server = Node(f"{self._name}-server", "198.18.70.1")
        self.pcs = tuple(Node(f"{self._name}-pc{at}", f"198.18.70.{10 + at}") for at in range(1, pcs + 1))

    def __enter__(self) -> CastNetwork:
        _remove_leftovers()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def disturb(self, pc: Node, percent: int) -> None:
        """Lose that part of all datagrams that arrive at the PC, by chance; 0 for a good cable."""
        rule = f"udp dport 1-65535 numgen random mod 100 < {percent} drop"
        chain = f"chain lost {{\n type filter hook prerouting priority raw\n {rule}\n}}\n"
        # Without it many datagrams are one packet up to here, and are lost together.
        run("ip", "-n", f"{self._name}-switch", "link", "set", f"p{1 + self.pcs.index(pc)}", "gso_max_segs", "1")
        empty = "table ip cast {}\ndelete table ip cast\n"
        run(*pc.inside("nft", "-f", "-"), input=empty + (f"table ip cast {{\n{chain}}}\n" if percent else ""))

    def _make(self) -> None:
        switch = f"{self._name}-switch"
        nodes = (self.server, *self.pcs)
        _ip(f"netns add {switch}", *(f"netns add {node.netns}" for node in nodes))
        _ip(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set br0 up",
            *(f"link add p{at} type veth peer name eth0 netns {node.netns}" for at, node in enumerate(nodes)),
            *(f"link set p{at} master br0 up" for at in range(len(nodes))),
            netns=switch,
        )
        for node in nodes:
            _ip(
                "link set lo up",
                f"address add {node.address}/24 brd + dev eth0",
                "link set eth0 up",
                netns=node.netns,
            )
        if self._rate:
            shape = ("rate", self._rate, "burst", "256k", "latency", "50ms")
            run("tc", "-n", self.server.netns, "qdisc", "add", "dev", "eth0", "root", "tbf", *shape)

    def _remove(self) -> None:
        _delete(self._name)


def _remove_leftovers() -> None:
    """What runs left that are no more."""
    for path in _NETNS.glob(f"{_PREFIX}*") if _NETNS.is_dir() else ():
        named = _NAME.fullmatch(path.name)
        if named and not Path("/proc", named[1]).exists():
            _delete(f"{_PREFIX}{named[1]}")


def _delete(name: str) -> None:
    for path in sorted(_NETNS.glob(f"{name}-*")) if _NETNS.is_dir() else ():
        run("ip", "netns", "delete", path.name, check=False)


def _ip(*commands: str, netns: str = "") -> None:
    inside: Sequence[str] = ("-n", netns) if netns else ()
    run("ip", *inside, "-batch", "-", input="".join(f"{command}\n" for command in commands))
