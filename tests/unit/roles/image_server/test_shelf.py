"""What is served is whole and wanted: damage is seen, what an order needs stays, what comes damaged is not taken."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_image_server import shelf

IMAGE, PACK, CELLS, ESP, DEPLOY = (hashlib.sha256(name).hexdigest() for name in (b"i", b"p", b"c", b"e", b"d"))
MANIFEST = json.dumps({"partitions": [{"cells": CELLS}, {"cells": ""}], "packs": [PACK], "esp": ESP}).encode()
FILES = {
    f"packs/{PACK}.pack": b"pack",
    f"packs/{PACK}.idx": b"index",
    f"cells/{CELLS}": b"cells",
    f"esp/{ESP}.tar": b"esp",
    f"images/{IMAGE}/manifest.sig": b"signature",
    f"images/{IMAGE}/manifest.json": MANIFEST,
    f"deploy/{DEPLOY}/vmlinuz": b"kernel",
    f"deploy/{DEPLOY}/deploy.json": b"{}",
}


def wanted(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """These files, as the control node names them."""
    return [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which all of it is served."""
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


@pytest.fixture
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of orders."""
    return tmp_path_factory.mktemp("orders")


def order(orders: Path, state: str) -> None:
    """An order that names the image."""
    text = json.dumps({"deploy": DEPLOY, "systems": [{"image": IMAGE}]})
    (orders / "o-1.json").write_text(json.dumps({"state": state, "text": text}))


def test_all_is_there(folder: Path, orders: Path) -> None:
    assert shelf.look(folder, wanted(FILES)) == ([], [])
    assert shelf.surplus(folder, wanted(FILES), orders) == []


@pytest.mark.parametrize("path", sorted(FILES))
def test_any_damage_is_seen(folder: Path, path: str) -> None:
    data = FILES[path]
    for spoilt in (data[:-1], bytes([data[0] ^ 1]) + data[1:], data + b"\0"):
        (folder / path).write_bytes(spoilt)
        assert shelf.look(folder, wanted(FILES)) == ([], [path])
    (folder / path).unlink()
    assert shelf.look(folder, wanted(FILES)) == ([path], [])
    (folder / path).symlink_to("/etc/passwd")
    assert shelf.look(folder, wanted(FILES)) == ([path], [])


@pytest.mark.parametrize("state", ["open", "claimed"])
def test_what_an_order_needs_stays(folder: Path, orders: Path, state: str) -> None:
    (folder / "packs/other.pack").write_bytes(b"x")
    order(orders, state)
    assert shelf.surplus(folder, [], orders) == ["packs/other.pack"]


@pytest.mark.parametrize("state", ["imaged", "failed", "withdrawn"])
def test_what_no_order_needs_goes(folder: Path, orders: Path, state: str) -> None:
    order(orders, state)
    (orders / "o-2.json").write_text("{")
    assert sorted(shelf.surplus(folder, [], orders)) == sorted(FILES)
    shelf.sweep(folder, shelf.surplus(folder, [], orders))
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert list((folder / "images").iterdir()) == []


def test_what_comes_is_put_in_place(tmp_path: Path) -> None:
    staging = Path(shelf.stage(tmp_path, ""))
    assert staging.stat().st_mode & 0o777 == 0o700
    for path, data in FILES.items():
        (staging / shelf.staged_name(path)).write_bytes(data)
    assert shelf.take(tmp_path, wanted(FILES)) == ""
    assert shelf.look(tmp_path, wanted(FILES)) == ([], [])
    assert list(staging.iterdir()) == []


def test_what_comes_damaged_never_gets_there(tmp_path: Path) -> None:
    staging = Path(shelf.stage(tmp_path, ""))
    path = f"packs/{PACK}.pack"
    (staging / shelf.staged_name(path)).write_bytes(b"pocked")
    assert "not what it should be" in shelf.take(tmp_path, wanted(FILES)[:1])
    assert not (tmp_path / path).exists()
    (staging / shelf.staged_name(path)).symlink_to("/etc/passwd")
    assert "did not come" in shelf.take(tmp_path, wanted(FILES)[:1])
    (staging / shelf.staged_name(path)).unlink()
    assert "did not come" in shelf.take(tmp_path, wanted(FILES)[:1])


def test_what_an_earlier_run_left_half_copied_is_gone(tmp_path: Path) -> None:
    staging = Path(shelf.stage(tmp_path, ""))
    (staging / "half").write_bytes(b"x")
    assert list(Path(shelf.stage(tmp_path, "")).iterdir()) == []
