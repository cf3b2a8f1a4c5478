"""A room's network: a bridge in a namespace of its own, a port for each host, one link to this machine.

Between this machine and the hosts addresses are as they are; what hosts send further out goes under this machine's
address. Rooms don't reach each other, and nothing from outside reaches a room.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.testbed import places
from tests.testbed.places import NETNS, HostPlace, RoomPlace
from tests.testbed.programs import run

# Small enough for a way out that is itself a tunnel.
MTU = 1400


def create(room: RoomPlace, hosts: Sequence[HostPlace]) -> None:
    """Make the room's bridge, its link to this machine and a namespace with `eth0` for each host."""
    prefix = room.network.prefixlen
    _ip(
        f"netns add {room.name}",
        *(f"netns add {host.netns}" for host in hosts),
        f"link add {room.name} mtu {MTU} type veth peer name uplink mtu {MTU} netns {room.name}",
        f"address add {room.control}/30 dev {room.name}",
        f"link set {room.name} up",
        f"route add {room.network} via {room.link}",
    )
    _ip(
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0",
        f"address add {room.gateway}/{prefix} dev br0",
        "link set br0 up",
        f"address add {room.link}/30 dev uplink",
        "link set uplink up",
        f"route add default via {room.control}",
        *(
            f"link add {host.port} mtu {MTU} type veth peer name eth0 mtu {MTU} address {host.mac} netns {host.netns}"
            for host in hosts
        ),
        *(f"link set {host.port} master br0 up" for host in hosts),
        netns=room.name,
    )
    run("ip", "netns", "exec", room.name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    for host in hosts:
        _ip(
            "link set lo up",
            f"address add {host.address}/{prefix} brd + dev eth0",
            "link set eth0 up",
            f"route add default via {room.gateway}",
            netns=host.netns,
        )
    run("nft", "-f", "-", input=_gate(room))


def plug(host: HostPlace, *, connected: bool) -> None:
    """Put the host's cable in, or pull it: without it the address answers nothing at all."""
    run("ip", "-n", host.room.name, "link", "set", host.port, "up" if connected else "down")


def remove(room: RoomPlace) -> None:
    """Remove all of it; no error for what is not there."""
    if _exists(room):
        # A connection left open would go on sending to these addresses, by then through some other link.
        run("ss", "--kill", "dst", str(room.network), check=False)
        run("ip", "link", "delete", room.name)
    run("nft", "-f", "-", input=f"table ip {room.name} {{}}\ndelete table ip {room.name}\n")
    if NETNS.is_dir():
        for path in NETNS.iterdir():
            if path.name == room.name or path.name.startswith(f"{room.name}-"):
                run("ip", "netns", "delete", path.name)


def _exists(room: RoomPlace) -> bool:
    return os.path.lexists(f"/sys/class/net/{room.name}")


def _gate(room: RoomPlace) -> str:
    return f"""\
table ip {room.name} {{
  chain forward {{
    type filter hook forward priority 0
    ip saddr {room.network} ip daddr {places.RANGE} drop
    oifname {room.name} ct state != {{ established, related }} drop
  }}
  chain out {{
    type nat hook postrouting priority srcnat
    ip saddr {room.network} ip daddr != {places.RANGE} masquerade
  }}
}}
"""


def _ip(*commands: str, netns: str = "") -> None:
    """Many commands of ip(8) in one process."""
    inside = ("-n", netns) if netns else ()
    run("ip", *inside, "-batch", "-", input="".join(f"{command}\n" for command in commands))
