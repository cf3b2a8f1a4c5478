"""What the daemon is told by the role: one file of JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from lab_tool.imaging.format.fields import DIGEST, Fields, FormatError, read_json
from lab_tool.imaging.format.order import HOST, MAC
from lab_tool.signature import is_public_line

FILE = Path("/etc/lab-image-server/config.json")
_ADDRESS = re.compile(r"[0-9a-zA-Z.:-]{1,253}")
_OR_ADDRESS = re.compile(r"[0-9a-fA-F.:]{0,45}")
_NETWORK = re.compile(r"[0-9.]{7,15}/[0-9.]{7,15}")
_PATH = re.compile(r"/[a-zA-Z0-9._/-]+")
# Nothing that iPXE would take for a command or a setting of its own.
_ARGUMENTS = re.compile(r"[a-zA-Z0-9=,._:/ -]*")


@dataclass(frozen=True, slots=True)
class Client:
    """A PC of the inventory: the server answers these and nobody else."""

    name: str
    mac: str
    address: str
    room: str


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`address` is where PCs reach this server, `pin` the SHA-256 of its certificate (DER).

    At most `slots` PCs fetch at a time; a room is gathered for `gather` seconds, for at most `streams` streams at once
    (of `stream_rate` Mbit/s, 0 for what the network takes; over `stream_hops` - 1 routers);
    `wake_interval` seconds lie between two PCs that are switched on; `reserve` bytes of the disk stay free of captures.
    """

    address: str
    pin: str
    state: Path
    served: Path
    dhcp_log: Path
    slots: int
    gather: int
    streams: int
    stream_rate: int
    stream_hops: int
    wake_interval: int
    reserve: int
    arguments: str
    networks: tuple[str, ...]
    signers: tuple[str, ...]
    clients: tuple[Client, ...]

    @property
    def broadcasts(self) -> tuple[str, ...]:
        """The addresses of everybody in the PCs' networks."""
        return tuple(str(ip_network(text, strict=False).broadcast_address) for text in self.networks)

    @property
    def incoming(self) -> Path:
        """Where captured systems are received, one folder an order."""
        return self.state / "incoming"

    @classmethod
    def parse(cls, data: bytes) -> ServerSettings:
        """The settings in that JSON. Raises `FormatError`."""
        fields = read_json(data, "the settings of the image server", 64 << 20)
        settings = cls(
            address=fields.text("address", _ADDRESS),
            pin=fields.text("pin", DIGEST),
            state=Path(fields.text("state", _PATH)),
            served=Path(fields.text("served", _PATH)),
            dhcp_log=Path(fields.text("dhcp_log", _PATH)),
            slots=fields.number("slots", 10_000),
            gather=fields.number("gather", 86_400),
            streams=fields.number("streams", 100),
            stream_rate=fields.number("stream_rate", 1_000_000),
            stream_hops=fields.number("stream_hops", 255),
            wake_interval=fields.number("wake_interval", 3_600),
            reserve=fields.number("reserve"),
            arguments=fields.text("arguments", _ARGUMENTS),
            networks=fields.texts("networks", _NETWORK),
            signers=fields.texts("signers", longest=10_000),
            clients=fields.each("clients", _client),
        )
        fields.end()
        try:
            _ = settings.broadcasts
        except ValueError as error:
            raise FormatError("the settings of the image server: networks are ADDRESS/MASK") from error
        if not settings.slots:
            raise FormatError("the settings of the image server: no PC could ever fetch (slots is 0)")
        if not all(is_public_line(line) for line in settings.signers):
            raise FormatError("the settings of the image server: signers are lines `type base64`")
        for what in ("name", "mac"):
            values = [getattr(client, what) for client in settings.clients]
            if len(set(values)) != len(values):
                raise FormatError(f"the settings of the image server: two clients have the same {what}")
        return settings


def _client(fields: Fields) -> Client:
    return Client(
        name=fields.text("name", HOST),
        mac=fields.text("mac", MAC),
        address=fields.text("address", _OR_ADDRESS),
        room=fields.text("room"),
    )
