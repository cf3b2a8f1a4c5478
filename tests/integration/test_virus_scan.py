"""The roles virus_scan and signature_mirror on real machines: the real ClamAV, nginx, and signatures made for this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.scan_room import (
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
from tests.support.school import DIRECTOR
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
    rehearsed = room_of_pcs.scan(check=True)
    assert (rehearsed.outcome, rehearsed.reason.split(";")[0]) == ("changed", "would scan"), rehearsed
    assert pc.run("command -v clamd", check=False).returncode != 0
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


def test_hostile_names_break_nothing(pcs: ScanRoom) -> None:
    """Names meant for a terminal, a shell, a log; links, pipes and devices are neither followed nor waited for."""
    pc = pcs["pc"]
    place = pc.root / FOLDER.lstrip("/") / "open"
    names = [
        b"new\nline",
        b"\x1b[2J\x1b]0;owned\x07",
        b"\xff\xfe",
        "\u202egnp.exe".encode(),
        b"-rf",
        b"$(reboot)",
        b"'; x",
    ]
    for name in names:
        file = os.fsencode(place) + b"/" + name
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as opened:
            opened.write(EICAR_FILE)
        os.chown(file, *PUPIL)
    plant(pc.root, "/opt/elsewhere/eicar", EICAR_FILE)
    os.mkfifo(place / "pipe")
    for link, target in (("link", "/opt/elsewhere/eicar"), ("folder", "/opt/elsewhere"), ("loop", ".")):
        (place / link).symlink_to(target)
    result = pcs.scan()
    assert result.values["found_count"] == len(names), result
    assert {find["trouble"] for find in result.values["found"]} == {""}
    assert all(find["path"].isprintable() for find in result.values["found"])
    assert f"{FOLDER}/open/\\x1b[2J\\x1b]0;owned\\x07" in {find["path"] for find in result.values["found"]}
    assert sorted(path.name for path in place.iterdir()) == ["folder", "link", "loop", "pipe"]
    assert (pc.root / "opt/elsewhere/eicar").read_bytes() == EICAR_FILE
    pcs.lab.lab("log", "verify")
    assert "\x1b" not in pcs.lab.lab("log", "show", "--kind", "evidence.read", "--json")
    for path in place.iterdir():
        path.unlink()


def test_a_pupil_who_swaps_a_folder_for_a_link_gains_nothing(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    secret = plant(pc.root, "/root/secret/report", EICAR_FILE, 0o600)
    swap = f"""cd {FOLDER}/open; while :; do
        mkdir -p d; cp ../bait d/report; mv d e; ln -s /root/secret d; sleep 0.002; rm d; rm -rf e; done"""
    plant(pc.root, f"{FOLDER}/bait", EICAR_FILE)
    pc.run(f"systemd-run --quiet --collect --unit=swap --uid=pupil sh -c '{swap}' 2>/dev/null")
    caught = 0
    try:
        for _ in range(12):
            pcs.begin(f"{FOLDER}/open")
            caught += len(pcs.end()["found"])
            assert (secret.read_bytes(), secret.stat().st_mode & 0o7777) == (EICAR_FILE, 0o600)
    finally:
        pc.run(f"systemctl stop swap; rm -rf {FOLDER}/open/* {FOLDER}/bait")
    # Else the pupil was not quick enough to be any danger.
    assert caught


def test_another_system_is_not_supported_yet(pcs: ScanRoom) -> None:
    for playbook, name in (("virus_scan", "scanning Windows"), ("signature_mirror", "a mirror on Windows")):
        result = pcs.run(f"playbooks/{playbook}.yml", "pc", {"lab_os": "windows11"})
        assert (result.outcome, result.reason) == ("failed", f"{name} is not supported yet")


def test_an_ordinary_user_can_neither_stop_nor_ask_the_scanner(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    assert pcs.lab_scan(FOLDER)[0] == 0
    for attempt in (
        "pkill -9 clamd; kill -9 $(pidof clamd)",
        "systemctl stop clamav-daemon.service",
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/clamav/clamd.ctl\")'",
        "/usr/local/libexec/lab-scan /tmp",
        "cat /var/lib/lab/quarantine/*",
    ):
        assert pc.run(f"su pupil -s /bin/sh -c '{attempt}'", check=False).returncode != 0, attempt
    assert pc.run("systemctl is-active clamav-daemon.service").stdout.strip() == "active"
    assert pc.run("ps -o ni= -p $(pidof clamd)").stdout.strip() == "19"


def make_many(pcs: ScanRoom, total: int = 20_000) -> int:
    """So many files that a scan of them takes seconds."""
    pcs["pc"].run(f"rm -rf /srv/many; mkdir /srv/many; cd /srv/many; seq {total} | split -l 1 -a 4 -")
    return total


def progress(pcs: ScanRoom) -> int:
    """How many files a scan has noted as done; 0 also where it has noted nothing."""
    noted = pcs["pc"].root / "var/lib/lab/virus_scan/progress.json"
    try:
        return int(json.loads(noted.read_bytes())["files"])
    except FileNotFoundError:
        return 0


def test_a_scan_that_was_cut_off_goes_on_there(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    total = make_many(pcs)
    pcs.begin("/srv/many")
    wait_until(lambda: progress(pcs) > 0)
    pc.run("systemctl stop lab-virus-scan")
    done = progress(pcs)
    assert 0 < done < total
    # Nothing before that point is looked at again, so a find there is not noticed by this scan, but by the next.
    plant(pc.root, "/srv/many/aaaa", EICAR_FILE)
    pcs.begin("/srv/many")
    rest = pcs.end()
    assert (rest["before"], rest["files"], rest["complete"], rest["found"]) == (done, total - done, True, [])
    assert progress(pcs) == 0
    pcs.begin("/srv/many")
    again = pcs.end()
    assert (again["before"], again["files"], len(again["found"])) == (0, total + 1, 1)
    pc.run("rm -r /srv/many")


def test_a_time_limit_defers(pcs: ScanRoom) -> None:
    result = pcs.scan(time_limit=0)
    assert (result.outcome, result.reason) == ("deferred", "the time was up after 0 files; the next scan goes on there")


def test_old_signatures_are_no_proof_of_a_clean_pc(pcs: ScanRoom) -> None:
    make_signatures(pcs.signatures, age=5.1)
    stamp_in_the_past(pcs)
    result = pcs.scan()
    assert result.outcome == "failed"
    assert result.reason == "the signatures are 5 days old, the limit is 3 days"
    assert result.values["signatures"]["age_hours"] == 122
    assert pcs.lab_scan(FOLDER) == (2, "the signatures are 5 days old, the limit is 3 days\n")
    # Finding is better than nothing.
    plant(pcs["pc"].root, f"{FOLDER}/eicar", EICAR_FILE)
    code, said = pcs.lab_scan(FOLDER)
    assert (code, said.splitlines()) == (1, [f"{FOLDER}/eicar: {EICAR_NAME}.UNOFFICIAL", "1 found in 2 files"])
    (pcs["pc"].root / FOLDER.lstrip("/") / "eicar").unlink()


def stamp_in_the_past(pcs: ScanRoom) -> None:
    """What lies on the PC goes, so that what is fetched is what the mirror has."""
    pcs["pc"].run("rm /var/lib/clamav/lab.*")


def test_a_mirror_with_a_corrupt_file_replaces_no_good_one(pcs: ScanRoom) -> None:
    make_signatures(pcs.signatures)
    assert pcs.scan().reason == ""
    (pcs.signatures / HASHES).write_text("no signature\n", encoding="ascii")
    later = time.time() + 60
    os.utime(pcs.signatures / HASHES, (later, later))
    result = pcs.scan()
    assert result.outcome == "ok"
    assert result.reason.startswith("signatures could not be fetched: Failed to load new database: Malformed database")
    make_signatures(pcs.signatures)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (f"echo garbage > {HASHES}", "clamd does not start: "),
        (f"rm {PLAIN}", f"signatures are missing: {PLAIN}"),
        (f"touch -d '+2 days' {PLAIN}", f"signatures are dated in the future: {PLAIN} ("),
        (f"touch -d '-80 hours' {PLAIN}", "the signatures are 3 days old, the limit is 3 days"),
        ("echo 00000000000000000000000000000000:12345:X > lab.hdb", "the engine does not find the EICAR test file"),
    ],
    ids=["corrupt", "missing", "future", "old", "useless"],
)
def test_signatures_that_prove_nothing(pcs: ScanRoom, damage: str, says: str) -> None:
    pc = pcs["pc"]
    pc.run("cp -a /var/lib/clamav /root/good")
    try:
        pc.run(f"cd /var/lib/clamav; {damage}")
        code, said = pcs.lab_scan(FOLDER)
        assert (code, said.startswith(says)) == (2, True), said
    finally:
        pc.run("rm -r /var/lib/clamav; mv /root/good /var/lib/clamav")
    assert pcs.lab_scan(FOLDER) == (0, "1 files are clean\n")


def test_an_engine_that_is_down_is_started_or_told(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    pc.run("systemctl stop clamav-daemon.socket clamav-daemon.service")
    assert pcs.lab_scan(FOLDER)[0] == 0
    pc.run("kill -9 $(pidof clamd)")
    assert pcs.lab_scan(FOLDER)[0] == 0
    pc.run("systemctl stop clamav-daemon.socket clamav-daemon.service; chmod -x /usr/sbin/clamd")
    code, said = pcs.lab_scan(FOLDER)
    assert (code, said.startswith("clamd does not start: ")) == (2, True), said
    pc.run("chmod +x /usr/sbin/clamd")
    assert pcs.lab_scan(FOLDER)[0] == 0


def test_an_engine_that_dies_in_the_middle_is_no_end(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    total = make_many(pcs)
    pcs.begin("/srv/many")
    wait_until(lambda: progress(pcs) > 0)
    pc.run("kill -9 $(pidof clamd)")
    result = pcs.end()
    assert (result["complete"], result["files"], result["unreadable"]["count"]) == (True, total, 0), result
    pc.run("rm -r /srv/many")


def test_a_full_disk_closes_the_find_where_it_is(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    file = plant(pc.root, f"{FOLDER}/big", EICAR_FILE.ljust(len(EICAR_FILE)))
    pc.fill_disk(16 * 1024**2)
    try:
        pcs.begin(FOLDER)
        (find,) = pcs.end()["found"]
    finally:
        pc.free_disk()
    assert find["trouble"] == "No space left on device (closed to everybody where it is)"
    assert (file.stat().st_mode & 0o7777, file.stat().st_uid) == (0, 0)
    pcs.begin(FOLDER)
    (find,) = pcs.end()["found"]
    assert find["trouble"] == "" and not file.exists()


def test_the_whole_disk_with_little_memory_means_an_engine_on_demand(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    plant(pc.root, f"{FOLDER}/eicar", EICAR_FILE)
    pc.run(f"cp {FOLDER}/eicar /dev/shm/; cp {FOLDER}/eicar /tmp/; mv {FOLDER}/eicar /var/")
    # What is left out only takes time.
    exclude = ["/usr/*", "/srv/lab-*", "/var/lib/*", "/root/secret", "/opt/elsewhere"]
    result = pcs.scan(engine="auto", daemon_memory=10**7, scope="disk", paths=[], exclude=exclude)
    assert result.values["engine"] == "on_demand"
    assert [find["path"] for find in result.values["found"]] == ["/dev/shm/eicar", "/tmp/eicar", "/var/eicar"], result
    assert result.outcome == "changed" and result.values["complete"] is True
    assert result.values["scanned"]["foreign"] > 0 and result.values["unreadable"]["count"] == 0
    assert pc.run("pidof clamd", check=False).returncode != 0
    assert pc.run("systemctl is-enabled clamav-daemon.socket", check=False).stdout.strip() == "disabled"
    assert pcs.lab_scan(FOLDER)[0] == 0
    assert pc.run("pidof clamd", check=False).returncode != 0


def test_somebody_at_the_pc_matters_where_the_school_says_so(pcs: ScanRoom) -> None:
    pc = pcs["pc"]
    pc.cause(FAULTS["user-logged-in"])
    try:
        result = pcs.scan(logged_in="defer")
    finally:
        pc.mend(FAULTS["user-logged-in"])
    assert (result.outcome, result.reason) == ("deferred", "somebody is logged in")


def test_the_disk_is_tidied_and_nothing_else(pcs: ScanRoom) -> None:
    """What goes by its change time can't be made old here: tests/unit/roles/virus_scan tries that."""
    pc = pcs["pc"]
    pc.run(
        """
        mkdir /etc/keep /tmp/new; head -c 50000 /dev/zero | tee /etc/keep/file.1 /tmp/new/file >/var/log/old.log.2.gz
        cp /etc/keep/file.1 /var/log/young.log.2.gz; cp /etc/keep/file.1 /var/cache/apt/archives/x_1_all.deb
        ln -s /etc/keep /var/log/keep
        touch -d '-400 days' /etc/keep/file.1 /tmp/new/file /var/log/old.log.2.gz
        touch -d '-100 days' /var/log/young.log.2.gz
        """
    )
    items = ["temporary", "journal", "logs", "packages", "trash", "trim"]
    said = pcs.scan(check=True, tidy=items).values["tidied"]
    assert said["freed"] >= 100_000 and (pc.root / "var/log/old.log.2.gz").exists()
    result = pcs.scan(tidy=items)
    tidied = result.values["tidied"]
    assert (result.outcome, tidied["freed"]) == ("changed", said["freed"])
    assert {item: each["files"] for item, each in tidied["items"].items() if each["files"]} == {
        "logs": 1,
        "packages": 1,
    }
    assert tidied["notes"] == ["trim: the disk of a container is not its own"]
    pc.run("ls /tmp/new/file /etc/keep/file.1 /var/log/young.log.2.gz && ! ls /var/log/old.log.2.gz")


def test_a_mirror_that_can_not_fetch_says_so(pcs: ScanRoom) -> None:
    """The real tool, installed by its hashes without an index, run by its unit as its own account; no way out."""
    mirror = pcs["mirror"]
    wheels = mirror.root / "srv/wheels"
    version = mirror.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").stdout.strip()
    requirements = PROJECT / "roles/signature_mirror/files/requirements.txt"
    options = ("--quiet", "--require-hashes", "--only-binary", ":all:", "--python-version", version)
    pip = [sys.executable, "-m", "pip", "download", *options, "--dest", str(wheels), "--requirement", str(requirements)]
    subprocess.run(pip, check=True)
    result = pcs.serve(wheels="/srv/wheels")
    assert result.outcome == "failed"
    assert result.reason.startswith(
        "there are no signatures; the last fetching ended with: exit-code: Failed to update"
    )
    assert result.values["served"] == 2
    assert mirror.run("systemctl is-enabled lab-signatures.timer").stdout.strip() == "enabled"
    assert pcs.serve(databases=False).outcome == "changed"
    assert mirror.run("systemctl is-enabled lab-signatures.timer", check=False).stdout.strip() == "disabled"
