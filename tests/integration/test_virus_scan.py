"""The roles virus_scan and signature_mirror on real machines: the real ClamAV, nginx, and signatures made for this."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import DIRECTOR, LabRoom, school_around
from tests.integration.scan_room import (
    DAY,
    EICAR_FILE,
    EICAR_NAME,
    HASHES,
    OWN_FILE,
    OWN_NAME,
    PLAIN,
    ScanRoom,
    make_signatures,
    plant,
)
from tests.testbed.faults import FAULTS

pytestmark = pytest.mark.hosts

PUPIL = (1500, 1500)
FOLDER = "/srv/scanned"


@pytest.fixture(scope="module")
def pcs(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> ScanRoom:
    """A PC that ClamAV is installed on, and a mirror that serves signatures."""
    built = room(2, name="scan", names=lambda seat: f"a301-{seat:02d}")
    for host in built.hosts:
        host.use_stock()
    room_of_pcs = ScanRoom(LabRoom(built, school_around(built, tmp_path_factory.mktemp("school") / "s")))
    pc = room_of_pcs["pc"]
    pc.run(f"useradd --create-home --uid {PUPIL[0]} pupil; mkdir {FOLDER}; mkdir -m 1777 {FOLDER}/open")
    room_of_pcs.signatures.mkdir(parents=True)
    make_signatures(room_of_pcs.signatures)
    served = room_of_pcs.serve(databases=False)
    assert (served.outcome, served.reason) == ("changed", "")
    plant(pc.root, f"{FOLDER}/letter.txt", b"Dear all\n")
    first = room_of_pcs.scan()
    assert (first.outcome, first.reason) == ("changed", ""), first
    return room_of_pcs


def test_a_second_run_changes_nothing(pcs: ScanRoom) -> None:
    served = pcs.serve(databases=False)
    assert (served.outcome, served.values["served"], served.values["extra_count"]) == ("ok", 2, 2)
    result = pcs.scan()
    assert (result.outcome, result.reason) == ("ok", ""), result
    assert result.values["scanned"]["files"] == 1
    assert result.values["found"] == [] and result.values["complete"] is True
    assert result.values["signatures"]["age_hours"] == 0
    assert [each["name"] for each in result.values["signatures"]["files"]] == [HASHES, PLAIN]


def test_finds_are_put_away_and_named(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    plant(pc.root, f"{FOLDER}/a/eicar.com", EICAR_FILE)
    plant(pc.root, "/home/pupil/own.bin", OWN_FILE, 0o640, PUPIL)
    result = pcs.scan(paths=[FOLDER, "/home"])
    assert result.outcome == "changed"
    assert result.reason.startswith("2 found and quarantined: ")
    assert f"{EICAR_NAME}.UNOFFICIAL in {FOLDER}/a/eicar.com" in result.reason
    found = {find["path"]: find for find in result.values["found"]}
    own = found["/home/pupil/own.bin"]
    assert own["signature"] == f"{OWN_NAME}.UNOFFICIAL"
    assert {entry["id"] for entry in result.values["quarantine"]} == {find["quarantine"] for find in found.values()}
    assert not (pc.root / "home/pupil/own.bin").exists()
    kept = pc.root / "var/lib/lab/quarantine" / own["quarantine"]
    assert (kept.stat().st_mode & 0o7777, kept.stat().st_uid, kept.read_bytes()) == (0, 0, OWN_FILE)
    assert pc.run("su pupil -c 'ls /var/lib/lab/quarantine'", check=False).returncode != 0
    known = json.loads(kept.with_suffix(".json").read_text(encoding="ascii"))
    assert (known["uid"], known["mode"], known["size"]) == (PUPIL[0], 0o640, len(OWN_FILE))


def test_a_file_is_given_back_by_an_approved_change_alone(pcs: ScanRoom) -> None:
    (entry,) = [each for each in pcs.scan(paths=["/home"]).values["quarantine"] if each["path"].startswith("/home")]
    identifier = entry["id"]
    lab, host = pcs.lab, pcs["pc"]
    request = ("--host", host.name, "--set", f"virus_scan_quarantine={identifier}", "--why", "It is his own program")
    change = str(lab.json("change", "request", "virus_scan_restore", *request)["id"])
    lab.lab("run", change, code=5)
    assert not (host.root / "home/pupil/own.bin").exists()
    lab.lab("change", "approve", change, person=DIRECTOR)
    answer = lab.json("run", change)
    assert answer["outcomes"][host.name]["outcome"] == "changed"
    back = host.root / "home/pupil/own.bin"
    assert (back.read_bytes(), back.stat().st_mode & 0o7777, back.stat().st_uid) == (OWN_FILE, 0o640, PUPIL[0])
    (told,) = lab.entries("evidence.read", run=answer["run"])
    assert told.body["evidence"]["values"]["quarantine"] == identifier
    # It stays where it is once its hash is allowed.
    result = pcs.scan(paths=["/home"], allowed=[entry["sha256"]])
    assert (result.reason, result.values["scanned"]["allowed"]) == ("", 1)
    back.unlink()
