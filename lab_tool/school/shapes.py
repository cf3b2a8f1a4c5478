"""The shapes of `site.yml`, `people.yml` and `rooms/<room>.yml`: which keys, of which type, required or not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lab_tool.school.patterns import (
    Address,
    Address6,
    Asset,
    Block,
    Block6,
    DayText,
    Folder,
    FreeText,
    Git,
    HostName,
    Id,
    KeyLine,
    Mac,
    Mail,
    Origin,
    PersonId,
    SeatRange,
    TimeZone,
    Witness,
)

ALL = "all"
KINDS = (
    "computer_lab",
    "network_classroom",
    "multimedia_classroom",
    "office",
    "server_room",
    "stage",
    "control_room",
)
Kind = Literal[
    "computer_lab", "network_classroom", "multimedia_classroom", "office", "server_room", "stage", "control_room"
]
Seat = Annotated[int, Field(ge=1, le=999)]


class Shape(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextShape(Shape):
    """A name in both languages."""

    zh: FreeText
    en: FreeText


def _block_only(value: Any) -> Any:
    return {"block": value} if isinstance(value, str) else value


class BlockShape(Shape):
    """Addresses of a room: the block, and the address of its first seat (else the block's first); the others follow."""

    block: Block
    first: Address | None = None


class Block6Shape(Shape):
    """The same for IPv6."""

    block: Block6
    first: Address6 | None = None


class SeatsShape(Shape):
    """All seats of a room: numbers, names, addresses; `per_row` is for the seat map."""

    range: SeatRange
    name: HostName
    addresses: Annotated[BlockShape, BeforeValidator(_block_only)]
    addresses6: Annotated[Block6Shape | None, BeforeValidator(_block_only)] = None
    per_row: Annotated[int, Field(ge=1, le=30)] = 8


class DifferenceShape(Shape):
    """What is known of one seat only, or other than in the rest of the room."""

    mac: Mac | None = None
    asset: Asset | None = None
    os: Id | None = None
    profile: Id | None = None
    address: Address | None = None
    address6: Address6 | None = None
    out_of_order: FreeText | None = None


class RoomShape(Shape):
    """`rooms/<room>.yml`."""

    room: Id
    name: TextShape
    campus: Id
    building: Id
    kind: Kind
    keeper: PersonId
    profile: Id
    os: Id
    seats: SeatsShape
    differences: dict[Seat, DifferenceShape] = {}
    canary: list[Seat] = []


class BuildingShape(Shape):
    """A building and the campus it stands on."""

    name: TextShape
    campus: Id


class SystemShape(TextShape):
    """An operating system, and how Ansible reaches it."""

    connection: Literal["ssh", "winrm", "psrp"] = "ssh"


def _one_line_key(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


class KeyShape(Shape):
    """A public key and the days it is valid, both included."""

    key: KeyLine
    first_day: DayText | None = None
    last_day: DayText | None = None


KeyItem = Annotated[KeyShape, BeforeValidator(_one_line_key)]


class SecondPlaceShape(Shape):
    """Where checkpoints are copied; exactly one of the four."""

    folder: Folder | None = None
    git: Git | None = None
    mail: Mail | None = None
    witness: Witness | None = None

    def targets(self) -> list[tuple[Literal["folder", "git", "mail", "witness"], str]]:
        """The kinds that are given, with their targets."""
        kinds: tuple[Literal["folder", "git", "mail", "witness"], ...] = ("folder", "git", "mail", "witness")
        return [(kind, getattr(self, kind)) for kind in kinds if getattr(self, kind) is not None]


class LogShape(Shape):
    """The log's name, keys and second places."""

    origin: Origin
    keys: list[KeyItem] = []
    second_places: list[SecondPlaceShape] = []
    max_checkpoint_age_days: Annotated[int, Field(ge=1, le=366)] = 8


class LogOnlyShape(Shape):
    """`site.yml`, of which only this is looked at."""

    log: LogShape


class SiteShape(Shape):
    """`site.yml`."""

    plugin: Literal["lab_rooms"]
    school: TextShape
    time_zone: TimeZone
    campuses: dict[Id, TextShape]
    buildings: dict[Id, BuildingShape]
    profiles: dict[Id, TextShape]
    systems: dict[Id, SystemShape]
    log: LogShape
    limits: dict[Id, Annotated[int, Field(ge=0, le=3660)]] = {}


def _listed(value: Any) -> Any:
    return [value] if value == ALL else value


class GrantShape(Shape):
    """Verbs and rooms, lists or `all`, and the highest risk."""

    verbs: Annotated[list[Id], BeforeValidator(_listed)]
    rooms: Annotated[list[Id], BeforeValidator(_listed)]
    up_to: Literal["low", "medium", "high"] = "high"


class ApproveShape(GrantShape):
    """An approver's grant says up to which risk, always."""

    up_to: Literal["low", "medium", "high"]


class PersonShape(Shape):
    """Somebody in `people.yml`; a grant that isn't there grants nothing."""

    name: TextShape
    keys: list[KeyItem] = []
    request: GrantShape | None = None
    approve: ApproveShape | None = None
    run: GrantShape | None = None
    emergency: GrantShape | None = None
    keep: bool = False
    audit: bool = False
    service: bool = False


class PeopleShape(Shape):
    """`people.yml`."""

    people: dict[PersonId, PersonShape]
