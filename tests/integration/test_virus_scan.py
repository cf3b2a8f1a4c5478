"""The role virus_scan on a real PC with the real ClamAV, and signatures made for this test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around
from tests.integration.scan_room import EICAR_FILE, EICAR_NAME, OWN_FILE, OWN_NAME, ScanRoom, make_signatures, plant, served

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def pcs(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanRoom]:
    """One PC with ClamAV in reach, and a mirror."""
    built = room(1, name="scan", names=lambda seat: f"a301-{seat:02d}")
    built.hosts[0].use_stock()
    signatures = tmp_path_factory.mktemp("signatures")
    make_signatures(signatures)
    lab = LabRoom(built, school_around(built, tmp_path_factory.mktemp("school") / "s"))
    with served(signatures, built.control) as mirror:
        yield ScanRoom(lab, ("pc",), mirror, signatures)


def test_a_clean_pc_is_clean(pcs: ScanRoom) -> None:
    plant(pcs["pc"].root, "/srv/scanned/letter.txt", b"Dear all\n")
    first = pcs.scan("pc")
    assert (first.outcome, first.reason) == ("changed", ""), first
    print(first)
    second = pcs.scan("pc")
    assert (second.outcome, second.reason) == ("ok", ""), second
    assert second.values["scanned"]["files"] == 1


def test_finds_are_put_away_and_named(pcs: ScanRoom) -> None:
    root = pcs["pc"].root
    plant(root, "/srv/scanned/a/eicar.com", EICAR_FILE)
    plant(root, "/srv/scanned/b/own.bin", OWN_FILE)
    result = pcs.scan("pc")
    print(result)
    assert result.outcome == "changed"
    assert EICAR_NAME in result.reason and OWN_NAME in result.reason
