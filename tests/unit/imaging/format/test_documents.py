"""Manifests and orders: every field there, of its kind, and nothing else; one document, one sequence of bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.imaging.format.cells import ALIGNMENT
from lab_tool.imaging.format.fields import Fields, FormatError, read_json
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.order import Order, OrderedSystem, Personal

SYSTEM = Partition("system", "ext4", 4 * ALIGNMENT, True, "c" * 64, 5, "u-1", "")
SWAP = Partition("swap", "swap", ALIGNMENT, False, "", 0)
MANIFEST = Manifest(
    name="debian-lab",
    version=3,
    made="2026-11-24T10:20:30.000000Z",
    by="li_na",
    family="linux",
    title="计算机教室",
    kind="recipe",
    source={"recipe": "debian-lab"},
    parent="",
    changes="Patches of November",
    partitions=(SYSTEM, SWAP),
    packs=("d" * 64,),
    contents="e" * 64,
    release={"ID": "debian"},
)
PERSONAL = Personal(
    hostname="a301-07",
    address="192.0.2.7",
    prefix=24,
    gateway="",
    dns=("192.0.2.1",),
    account="lab-admin",
    keys=("ssh-ed25519 AAAA",),
    time_zone="Asia/Shanghai",
    policies=({"hive": "SOFTWARE", "key": "Policies", "name": "NoAutoUpdate", "type": "dword", "value": "1"},),
)
ORDER = Order(
    id="o-0123456789abcdef",
    host="a301-07",
    room="a301",
    mac="02:00:00:05:00:07",
    action="image",
    issued="2026-11-24T10:20:30.000000Z",
    run="r-1",
    change="c-1",
    deploy="f" * 64,
    systems=(OrderedSystem("a" * 64, "debian-lab", 3, True), OrderedSystem("b" * 64, "windows-lab", 1, False)),
    personal=PERSONAL,
    notes={"until": "2026-11-25T10:20:30.000000Z"},
)


def read_manifest(data: bytes) -> Manifest:
    """As it is read where its id is known to be that of its bytes."""
    return Manifest.parse(data, hashlib.sha256(data).hexdigest())


Read = Callable[[bytes], Any]
DOCUMENTS: list[Any] = [
    pytest.param(MANIFEST, read_manifest, id="manifest"),
    pytest.param(ORDER, Order.parse, id="order"),
]
either = pytest.mark.parametrize(("document", "read"), DOCUMENTS)


def canonical(value: Any) -> bytes:
    """As both are written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field and item in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def altered(document: bytes, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> bytes:
    """The document, with a change to what holds the end of that path."""
    value = json.loads(document)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return canonical(value)


@either
def test_it_is_read_as_it_was_written(document: Any, read: Read) -> None:
    assert read(document.dump()) == document
    assert document.dump() == canonical(json.loads(document.dump()))
    assert document.dump().isascii()


@either
def test_no_field_may_be_missing(document: Any, read: Read) -> None:
    data = document.dump()
    for path in places(json.loads(data)):
        # Of texts by name and of lists, one less is another document and no broken one.
        if isinstance(path[-1], str) and path[0] not in ("source", "release", "notes"):
            with pytest.raises(FormatError):
                read(altered(data, path, lambda holder, key: holder.pop(key)))


@either
def test_no_field_may_be_added(document: Any, read: Read) -> None:
    data = document.dump()
    folders = {path[:-1] for path in places(json.loads(data)) if isinstance(path[-1], str)}
    free = {("source",), ("release",), ("notes",)}
    assert len(folders - free) > 2
    for folder in folders - free:
        with pytest.raises(FormatError):
            read(altered(data, (*folder, "extra"), lambda holder, key: holder.update({key: "x"})))


@either
@pytest.mark.parametrize("wrong", [None, 1.5, True, -1, "\n", [], {}, [1], {"a": 1}, "x" * 200_000], ids=str)
def test_every_field_has_its_kind(document: Any, read: Read, wrong: Any) -> None:
    """Whatever stands in a field in its place: it is refused, or it is what such a field may hold."""
    data = document.dump()

    def put(holder: Any, key: Any) -> None:
        holder[key] = wrong

    refused = 0
    for path in places(json.loads(data)):
        forged = altered(data, path, put)
        try:
            read_again = read(forged)
        except FormatError:
            refused += 1
            continue
        assert read_again.dump() == forged
    assert refused > 20


@either
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(document: Any, read: Read, data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)


@either
@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'"x"', b"{" * 100_000, b"[" * 100_000, b"1" * 5000, b"NaN", b'{"v":' + b"9" * 5000],
)
def test_what_is_no_document(document: Any, read: Read, data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)


@either
def test_another_version_of_the_format_is_refused(document: Any, read: Read) -> None:
    with pytest.raises(FormatError, match="not known here"):
        read(altered(document.dump(), ("v",), lambda holder, key: holder.update(v=2)))


def test_one_is_not_taken_for_the_other() -> None:
    with pytest.raises(FormatError):
        Order.parse(MANIFEST.dump())
    with pytest.raises(FormatError):
        read_manifest(ORDER.dump())


def test_a_manifest_is_held_to_its_id() -> None:
    data = MANIFEST.dump()
    assert Manifest.parse(data, MANIFEST.id).id == MANIFEST.id
    for at in range(len(data)):
        with pytest.raises(FormatError, match="not the one that was signed"):
            Manifest.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], MANIFEST.id)


@pytest.mark.parametrize(
    "other",
    [
        json.dumps(json.loads(MANIFEST.dump())).encode(),
        MANIFEST.dump() + b"\n",
        MANIFEST.dump().replace(b'"v":1', b'"v":1,"v":1'),
        json.dumps(json.loads(MANIFEST.dump()), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
    ],
)
def test_the_same_in_other_bytes_is_refused(other: bytes) -> None:
    """Else it would have two ids: of the bytes that were signed, and of what it says."""
    with pytest.raises(FormatError, match="in other bytes"):
        read_manifest(other)


@pytest.mark.parametrize(
    "fields",
    [
        {"partitions": ()},
        {"partitions": (SWAP,)},
        {"partitions": (SYSTEM, SYSTEM)},
        {"partitions": (SYSTEM, SWAP, SWAP)},
        {"partitions": (replace(SYSTEM, cells=""),)},
        {"partitions": (SYSTEM, replace(SWAP, cells="c" * 64))},
        {"partitions": (replace(SYSTEM, size=ALIGNMENT + 1),)},
        {"partitions": (replace(SYSTEM, size=0),)},
        {"partitions": (replace(SYSTEM, name="System"),)},
        {"partitions": (replace(SYSTEM, guid="x"),)},
        {"name": "../etc"},
        {"name": ""},
        {"contents": "E" * 64},
        {"packs": ("../../etc/passwd",)},
        {"esp": "e" * 63},
        {"parent": "debian-lab/2"},
        {"changes": "x" * 10_001},
    ],
)
def test_what_is_no_manifest(fields: dict[str, Any]) -> None:
    made = replace(MANIFEST, **fields)
    with pytest.raises(FormatError):
        Manifest.parse(made.dump(), made.id)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "o-1"},
        {"mac": "02-00-00-05-00-07"},
        {"mac": "02:00:00:05:00:0G"},
        {"host": "a301-07; reboot"},
        {"action": "wipe"},
        {"systems": ()},
        {"systems": tuple(replace(system, default=True) for system in ORDER.systems)},
        {"systems": tuple(replace(system, default=False) for system in ORDER.systems)},
        {"data": -1},
        {"personal": replace(PERSONAL, hostname="$(reboot)")},
        {"personal": replace(PERSONAL, hostname="a" * 64)},
        {"personal": replace(PERSONAL, address="::1")},
        {"personal": replace(PERSONAL, prefix=33)},
        {"personal": replace(PERSONAL, account="root\n")},
        {"personal": replace(PERSONAL, account="-x")},
        {"personal": replace(PERSONAL, keys=('command="x" ssh-ed25519 AAAA',))},
        {"personal": replace(PERSONAL, keys=("ssh-ed25519 AAAA\nssh-ed25519 BBBB",))},
        {"personal": replace(PERSONAL, dns=("192.0.2.1 evil",))},
        {"personal": replace(PERSONAL, policies=({"hive": "SOFTWARE"},))},
    ],
)
def test_what_is_no_order(fields: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Order.parse(replace(ORDER, **fields).dump())


def test_an_order_for_capture_names_no_system() -> None:
    order = replace(ORDER, action="capture", systems=())
    assert Order.parse(order.dump()) == order
    assert (MANIFEST.root, ORDER.default) == (SYSTEM, ORDER.systems[0])


def test_fields_are_read_once() -> None:
    fields = read_json(b'{"a": "x", "b": {"c": "y"}, "d": true, "e": ["p", "q"]}', "it")
    assert (fields.text("a"), fields.flag("d"), fields.texts("e")) == ("x", True, ("p", "q"))
    assert fields.mapping("b") == {"c": "y"}
    fields.end()
    with pytest.raises(FormatError, match="a is missing"):
        fields.text("a")
    with pytest.raises(FormatError, match="unknown b, c"):
        Fields({"b": 1, "c": 2}, "it").end()
    with pytest.raises(FormatError, match="has 30 bytes"):
        read_json(b" " * 30, "it", longest=29)
