"""The roles backup and backup_server on real PCs: a server in the school, one off site, and a PC that is saved."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BuildRoom
from tests.integration.backup_room import BackupRoom
from tests.integration.conftest import REFUSED, LabRoom, school_around, wait_until
from tests.integration.patch_room import Result
from tests.support.school import DIRECTOR, SmallSchool

pytestmark = pytest.mark.hosts

FILES = """
mkdir -p /data/small /data/odd
cd /data/small && seq 3000 | xargs -n 500 touch && for n in 1 500 3000; do echo $n > $n; done
head -c 3000000 /dev/urandom > /data/big
echo strange > '/data/odd/a [b]*? $HOME'
ln -s ../big /data/odd/link
mkdir -p /data/mounted && mount -t tmpfs none /data/mounted && echo other > /data/mounted/file
sqlite3 /data/marks.db "create table marks(pupil, mark); insert into marks values('x', 5)"
"""
DATABASES = [{"kind": "sqlite", "path": "/data/marks.db"}, {"kind": "postgresql"}]
BOTH = ("school", "off_site")


@pytest.fixture(scope="module")
def backup_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> BackupRoom:
    """Servers set up, and a PC with files and databases."""
    pcs = room(3, name="backup", names=lambda seat: f"a301-{seat:02d}")
    for host in pcs.hosts:
        host.use_stock()
    built = BackupRoom(LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s")))
    built["pc"].run("apt-get install --yes --no-install-recommends postgresql sqlite3")
    built["pc"].run(FILES)
    built["pc"].run(
        "runuser -u postgres -- psql -qc \"create table pupils(name text); insert into pupils values('li')\""
    )
    return built


@pytest.fixture(scope="module")
def served(backup_room: BackupRoom) -> dict[str, Result]:
    """Both servers, set up by the role."""
    return backup_room.play("backup_server", *BOTH)


@pytest.fixture(scope="module")
def first(backup_room: BackupRoom, served: object) -> Result:
    """The first backup."""
    return backup_room.backup(backup_databases=DATABASES)


@pytest.fixture
def pc(backup_room: BackupRoom, first: object) -> Iterator[BackupRoom]:
    """A room with a first backup, whose servers are whole again afterwards."""
    yield backup_room
    for name in BOTH:
        backup_room[name].run("systemctl start lab-backup-server; rm -f /srv/fill")


def direct(room: BackupRoom, tag: str) -> dict[str, Any]:
    """Start the program on the PC itself, as its timer does; what it says."""
    done = room["pc"].run(f"lab-backup --tag {tag}", check=False)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_servers_end_append_only_and_in_somebody_s_keeping(served: dict[str, Result]) -> None:
    for name, custodian in (("school", "li_na"), ("off_site", "wang_fang")):
        assert served[name].outcome == "changed", served[name].reason
        values = served[name].values
        assert (values["append_only"], values["private"], values["custodian"]) == (True, True, custodian)
        assert (values["off_site"], values["days"]) == (name == "off_site", 365)


def test_less_than_half_a_year_is_refused(backup_room: BackupRoom, served: object) -> None:
    said = backup_room.said("backup_server", "school", backup_server_retention_days=182)
    assert "183 (half a year) or more" in said
    assert "changed=0" in said
    host = backup_room["school"]
    host.run("""sed -i 's/"days": 365/"days": 30/' /etc/lab-backup-server/config.json""")
    done = host.run("lab-backup-retention", check=False)
    assert (done.returncode, "less than half a year" in done.stderr) == (1, True)
    host.run("""sed -i 's/"days": 30/"days": 365/' /etc/lab-backup-server/config.json""")


def test_both_places_hold_the_snapshot(backup_room: BackupRoom, first: Result) -> None:
    assert first.outcome == "changed", first.reason
    for name in BOTH:
        value = first.values["repositories"][name]
        assert value["snapshot"] in backup_room.restic(name, "snapshots --json")
        assert value["files"] > 3000
        assert value["bytes"] > 3_000_000
        assert (value["snapshots"], value["future"], value["trouble"]) == (1, [], "")
        assert value["check"]["damage"] == ""
        listed = backup_room.restic(name, f"ls {value['snapshot']}")
        assert "/data/odd/a [b]*? $HOME" in listed
        assert "/data/mounted/file" not in listed


def test_databases_come_back_whole(backup_room: BackupRoom, first: Result) -> None:
    snapshot = first.values["repositories"]["off_site"]["snapshot"]
    spool = "/var/lib/lab-backup/spool"
    assert "insert into pupils" not in backup_room["pc"].run(f"ls -la {spool}").stdout
    dump = backup_room.restic("off_site", f"dump {snapshot} {spool}/2-postgresql.sql")
    assert "CREATE TABLE public.pupils" in dump
    copy = backup_room["off_site"]
    backup_room.restic("off_site", f"dump {snapshot} {spool}/1-marks.db > /tmp/marks.db")
    copied = copy.run("tail -c +1 /tmp/marks.db | grep -c 'SQLite format 3'", check=False)
    assert copied.stdout.strip() == "1"


def test_secrets_stand_in_files_of_root_and_nowhere_else(backup_room: BackupRoom, first: Result) -> None:
    state = backup_room.lab.school.state
    secrets = [path.read_text("ascii").strip() for path in state.glob("backup/servers/*/*/*") if path.is_file()]
    secrets += [backup_room[name].run("cat /etc/lab-backup-server/keys/*").stdout.strip() for name in BOTH]
    assert len(secrets) == 6
    log = (state / "log" / "entries.jsonl").read_text("ascii")
    journals = "".join(host.run("journalctl -o cat").stdout for host in backup_room.pcs.values())
    for secret in secrets:
        assert secret not in log
        assert secret not in journals
    loose = "find /etc/lab-backup -perm /077; find /var/lib/lab-backup /var/cache/lab-backup -maxdepth 0 -perm /077"
    assert backup_room["pc"].run(loose).stdout == ""
    assert {path.stat().st_mode & 0o77 for path in state.glob("backup/**/*") if path.is_file()} <= {0, 0o44}


ATTACK = r"""
import json, ssl, urllib.error, urllib.request, base64, sys
url = open("/etc/lab-backup/places/school/repository").read().strip().removeprefix("rest:")
scheme, rest = url.split("//")
account, rest = rest.split("@")
base = scheme + "//" + rest
context = ssl.create_default_context(cafile="/etc/lab-backup/places/school/ca.pem")
def ask(method, path, body=None, account=account):
    request = urllib.request.Request(base + path, data=body, method=method)
    request.add_header("Accept", "application/vnd.x.restic.rest.v2")
    request.add_header("Authorization", "Basic " + base64.b64encode(account.encode()).decode())
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
found = {}
for kind in ("snapshots", "keys", "index", "data"):
    name = json.loads(ask("GET", kind + "/")[1])[0]["name"]
    found["delete " + kind] = ask("DELETE", f"{kind}/{name}")[0]
    found["overwrite " + kind] = ask("POST", f"{kind}/{name}", b"x")[0]
found["delete config"] = ask("DELETE", "config")[0]
found["overwrite config"] = ask("POST", "config", b"x")[0]
found["delete all"] = ask("DELETE", "")[0]
found["around"] = ask("DELETE", "locks/..%2fconfig")[0]
found["replace"] = ask("PUT", "config", b"x")[0]
base = base.rsplit("/", 2)[0] + "/a301-99/"
found["another's"] = ask("GET", "config")[0]
found["a stranger"] = ask("GET", "config", account="a301-99:guess")[0]
print(json.dumps(found))
"""


def test_a_pc_taken_over_can_delete_and_overwrite_nothing(pc: BackupRoom) -> None:
    before = pc["school"].run(f"find {pc.repository('school')} -type f | sort | xargs sha256sum").stdout
    (pc["pc"].root / "root/attack.py").write_text(ATTACK, encoding="utf-8")
    found = json.loads(pc["pc"].run("python3 /root/attack.py").stdout)
    assert set(found.values()) <= {301, 401, 403, 404, 405}, found
    assert {found[name] for name in found if name.startswith(("delete", "overwrite"))} <= {403, 405}
    assert pc["school"].run(f"find {pc.repository('school')} -type f | sort | xargs sha256sum").stdout == before
    where = "RESTIC_REPOSITORY_FILE=/etc/lab-backup/places/school/repository"
    key = "RESTIC_PASSWORD_FILE=/etc/lab-backup/places/school/password"
    restic = f"{where} {key} restic --no-cache --cacert /etc/lab-backup/places/school/ca.pem"
    assert pc["pc"].run(f"{restic} forget --keep-last 1 --prune latest", check=False).returncode != 0
    assert '"id"' in pc.restic("school", "snapshots --json")


def test_an_interrupted_backup_goes_on_next_time(pc: BackupRoom) -> None:
    host = pc["pc"]
    host.run("head -c 30000000 /dev/urandom > /data/later")
    host.run("""sed -i 's/"upload_limit": 0/"upload_limit": 500/' /etc/lab-backup/config.json""")
    host.run("setsid lab-backup --tag cut > /dev/null 2>&1 & echo $! > /run/cut")
    wait_until(lambda: host.run("pgrep -x restic", check=False).returncode == 0)
    wait_until(lambda: pc["school"].run(f"ls {pc.repository('school')}/locks").stdout != "")
    assert "https:" not in host.run("ps -eo args").stdout
    host.run("pkill -KILL -f '[l]ab-backup --tag cut'; pkill -KILL -x restic")
    host.run("""sed -i 's/"upload_limit": 500/"upload_limit": 0/' /etc/lab-backup/config.json""")
    done = direct(pc, "again")
    assert [place["code"] for place in done["places"].values()] == [0, 0], done
    assert "cut" not in pc.restic("school", "snapshots")
    assert "no errors were found" in pc.restic("school", "check --no-lock --read-data")
    host.run("rm /data/later")


def test_a_dump_or_hook_that_fails_is_told_and_the_rest_is_saved(pc: BackupRoom) -> None:
    host = pc["pc"]
    host.run("""
    cp -p /etc/lab-backup/config.json /root/config.json
    sed -i 's|"databases": \\[|&{"kind": "mariadb"}, {"kind": "sqlite", "path": "/data/big"}, |' \
      /etc/lab-backup/config.json
    cd /etc/lab-backup/hooks.d
    printf '#!/bin/sh\\necho saved > $LAB_BACKUP_SPOOL/file\\n' > good
    printf '#!/bin/sh\\nexit 3\\n' > bad
    printf '#!/bin/sh\\n' > loose
    chmod 700 good bad; chmod 777 loose
    """)
    done = direct(pc, "hooks")
    host.run("mv /root/config.json /etc/lab-backup/config.json; rm /etc/lab-backup/hooks.d/*")
    told = "\n".join(done["troubles"])
    for words in ("dump of mariadb: ", "dump of sqlite /data/big: ", "hook bad: exit code 3", "hook loose: not a file"):
        assert words in told
    assert "good" not in told
    assert "saved" in pc.restic(
        "school", f"dump {done['places']['school']['snapshot']} /var/lib/lab-backup/spool/good/file"
    )


def test_a_flipped_byte_and_a_wrong_key_are_found(pc: BackupRoom) -> None:
    school, off_site = pc["school"], pc["off_site"]
    # The largest pack holds the file's data; a byte in its middle.
    pack = school.run(f"find {pc.repository('school')}/data -type f -printf '%s %p\\n' | sort -n | tail -1").stdout
    pack = pack.split()[1]
    flip = (
        f"python3 -c \"import os; p='{pack}'; os.chmod(p, 0o600); f = open(p, 'r+b'); f.seek(1000); b = f.read(1); "
        'f.seek(1000); f.write(bytes([b[0] ^ 1]))"'
    )
    school.run(flip)
    where = pc.repository("off_site")
    off_site.run(f"mv {where} {where}.real; mkdir {where}; chown lab-backup: {where}")
    off_site.run(f"echo other > /tmp/other; chmod 644 /tmp/other; runuser -u lab-backup -- restic -r {where} "
                 "--no-cache -p /tmp/other init")  # fmt: skip
    result = pc.backup(backup_databases=DATABASES)
    school.run(flip)
    off_site.run(f"rm -r {where}; mv {where}.real {where}")
    assert result.outcome == "failed"
    assert "school: part 1 of 1: " in result.reason
    assert "off_site: it does not open with this PC's password" in result.reason
    assert result.values["repositories"]["school"]["check"]["damage"]


def test_one_place_lost_and_the_other_full(pc: BackupRoom) -> None:
    pc["school"].run("systemctl stop lab-backup-server")
    pc["pc"].run("head -c 20000000 /dev/urandom > /data/new")
    pc["off_site"].fill_disk(1024**2)
    result = pc.backup(backup_databases=DATABASES)
    pc["off_site"].free_disk()
    assert result.outcome == "failed"
    assert "school: the server does not answer" in result.reason
    assert "off_site: the server can't store the data: its disk is full or broken" in result.reason
    # With room again, what was torn off there is no hindrance; the place that is lost is named, the other is done.
    result = pc.backup(backup_databases=DATABASES)
    pc["pc"].run("rm /data/new")
    assert result.outcome == "failed"
    done = result.values["repositories"]["off_site"]["snapshot"]
    assert result.reason == f"school: the server does not answer (off_site has {done[:8]})"
    assert done in pc.restic("off_site", "snapshots --json")


def test_a_clock_that_is_wrong_is_refused(pc: BackupRoom) -> None:
    """The PC's clock is the test machine's own, so Python on it is told another time."""
    late = "import time\n_real = time.time\ntime.time = lambda: _real() + 3600\n"
    (pc["pc"].root / "opt/late").mkdir(parents=True)
    (pc["pc"].root / "opt/late/sitecustomize.py").write_text(late, encoding="ascii")
    (pc["pc"].root / "opt/late/python").write_text('#!/bin/sh\nPYTHONPATH=/opt/late exec python3 "$@"\n', "ascii")
    (pc["pc"].root / "opt/late/python").chmod(0o755)
    result = pc.backup(backup_databases=DATABASES, ansible_python_interpreter="/opt/late/python")
    assert result.outcome == "failed"
    assert result.reason.startswith("the PC's clock is 3")
    assert "s ahead of the control node's (limit 300 s)" in result.reason


def test_restored_files_are_compared(pc: BackupRoom) -> None:
    result = pc.play("backup_test", "pc", backup_test_seed=4711, backup_test_files=50)["pc"]
    assert result.outcome == "ok", result.reason
    assert result.values["seed"] == 4711
    for name in BOTH:
        assert result.values["repositories"][name]["files"] == 50
        assert result.values["repositories"][name]["live"] > 40
    assert pc["pc"].run("ls -d /var/tmp/lab-backup-test-*", check=False).returncode != 0


def test_a_restore_needs_somebody_else_s_approval_and_writes_over_nothing(pc: BackupRoom) -> None:
    lab, name = pc.lab, pc["pc"].name
    values = lab.school.inventory / "group_vars" / "all.yml"
    settings = {"backup_repositories": pc.settings["pc"]["backup_repositories"]}
    values.write_text(values.read_text("utf-8") + json.dumps(settings)[1:-1] + "\n", "utf-8")
    ask = ("restore", name, "/data/odd", "--to", "/srv/odd", "--from", "off_site", "--why", "Lost")
    change = str(lab.json(*ask)["id"])
    lab.lab("run", change, code=REFUSED)
    lab.lab("change", "approve", change, code=REFUSED)
    assert not (pc["pc"].root / "srv/odd").exists()
    lab.lab("change", "approve", change, person=DIRECTOR)
    answer = lab.json("run", change)
    assert answer["outcomes"][name]["outcome"] == "changed"
    evidence = lab.entries("evidence.read", run=answer["run"])[0].body["evidence"]["values"]
    assert (evidence["place"], evidence["files"], evidence["live"]) == ("off_site", 1, 1)
    assert pc["pc"].run("cat '/srv/odd/data/odd/a [b]*? $HOME'").stdout == "strange\n"
    again = pc.play("backup_restore", "pc", backup_restore_path="/data", backup_restore_to="/srv/odd")["pc"]
    assert (again.outcome, again.reason) == ("failed", "/srv/odd is there already, and a restore writes over nothing")


def test_everything_comes_back_on_an_empty_machine(pc: BackupRoom) -> None:
    """The off-site server plays the new machine: nothing of the PC is on it but what it serves to others."""
    settings: dict[str, Any] = {
        **pc.settings["pc"],
        "backup_restore_of": pc["pc"].name,
        "backup_restore_from": "school",
    }
    settings |= {"backup_restore_path": "/", "backup_restore_to": "/srv/new"}
    result = pc.play("backup_restore", "off_site", **settings)["off_site"]
    assert result.outcome == "changed", result.reason
    assert result.values["files"] > 3000
    tree = "find . -path ./mounted -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
    assert pc["off_site"].run(f"cd /srv/new/data; {tree}").stdout == pc["pc"].run(f"cd /data; {tree}").stdout
    assert pc["off_site"].run("readlink /srv/new/data/odd/link").stdout == "../big\n"
    assert not (pc["off_site"].root / "run/lab-backup-restore").exists()


def test_the_control_node_rises_from_ashes(pc: BackupRoom, tmp_path: Path) -> None:
    """The PC plays the control node: it has its state, saves itself by its timer's unit, and burns."""
    school = pc.lab.school
    there: dict[str, Any] = {
        "backup_control_node": "/srv/lab",
        "backup_timer": "hourly",
        "backup_paths": ["/etc/hostname"],
    }
    pc["pc"].run("mkdir -p /srv/lab/inventory /srv/lab/state")
    result = pc.backup(**there)
    assert result.outcome == "changed", result.reason
    assert pc["pc"].run("systemctl is-active lab-backup.timer").stdout == "active\n"
    pc.lab.lab("log", "checkpoint")
    for part in ("inventory", "state"):
        shutil.copytree(school.folder / part, pc["pc"].root / "srv/lab" / part, dirs_exist_ok=True)
    pc["pc"].run("systemctl start lab-backup.service && rm -r /srv/lab")

    # The custodian of the off-site server, with the server's own key.
    snapshot = json.loads(pc.restic("off_site", "snapshots --tag timer --json").splitlines()[-1])[-1]["id"]
    key, where = f"/etc/lab-backup-server/keys/{pc['pc'].name}", pc.repository("off_site")
    restic = f"restic --no-cache --no-lock -r {where} -p {key}"
    pc["off_site"].run(f"{restic} dump {snapshot} /srv/lab --archive tar > /var/tmp/lab.tar")
    with tarfile.open(pc["off_site"].root / "var/tmp/lab.tar") as tar:
        tar.extractall(tmp_path, filter="tar")
    new = SmallSchool(tmp_path / "srv/lab", school.room)
    new.folder.chmod(0o755)
    assert not (new.state / "keys").exists()
    assert not (new.state / "backup").exists()
    # People have their own keys; the one to the PCs is put there by hand.
    shutil.copytree(school.folder / "people", new.folder / "people")
    (new.state / "keys").mkdir(mode=0o700)
    shutil.copy(school.state / "keys" / "ssh", new.state / "keys" / "ssh")
    risen = BackupRoom(LabRoom(pc.lab.pcs, new))
    before = len(pc.lab.entries())
    risen.lab.lab("log", "verify")
    assert len(risen.lab.entries()) == before

    # And on: new passwords are let in by the servers' own keys.
    assert {one.outcome for one in risen.play("backup_server", *BOTH).values()} == {"changed"}
    result = risen.backup(backup_paths=["/etc/hostname"])
    assert result.outcome == "changed", result.reason
    assert result.values["repositories"]["school"]["snapshots"] > 1
    risen.lab.lab("log", "key-lost", "--why", "The control node burnt")
    risen.lab.lab("log", "verify")


def test_forged_snapshots_push_nothing_out(pc: BackupRoom) -> None:
    """The PC adds snapshots of the future, one a week; the real ones are younger than the retention."""
    real = [one["short_id"] for one in json.loads(pc.restic("school", "snapshots --json").splitlines()[-1])]
    pc["pc"].run("""
    export RESTIC_REPOSITORY_FILE=/etc/lab-backup/places/school/repository
    export RESTIC_PASSWORD_FILE=/etc/lab-backup/places/school/password
    for month in 01 02 03; do
      restic --no-cache --cacert /etc/lab-backup/places/school/ca.pem \\
        backup --tag lab --time "2036-$month-01 00:00:00" /etc/hostname
    done
    """)
    host, name = pc["school"], pc["pc"].name
    host.run("lab-backup-retention")
    found = json.loads(host.run("cat /var/lib/lab-backup-server/report.json").stdout)["clients"][name]
    assert (len(found["odd"]), found["forgotten"], found["snapshots"]) == (3, 0, len(real) + 3)
    # Half a year and more of the server's own watch: the two oldest are due, whatever the forged ones say.
    memory = Path(f"var/lib/lab-backup-server/seen/{name}.json")
    known = json.loads((host.root / memory).read_text("ascii"))
    for key in sorted(known["seen"], key=lambda one: known["seen"][one]["first"])[:2]:
        known["seen"][key]["kept"] = 366 * 86400
    (host.root / memory).write_text(json.dumps(known), "ascii")
    host.run("systemctl start lab-backup-retention")
    left = [one["short_id"] for one in json.loads(pc.restic("school", "snapshots --json").splitlines()[-1])]
    assert set(real[2:]) <= set(left)
    assert len(left) == len(real) + 1
    assert "no errors were found" in pc.restic("school", "check --no-lock --read-data")
    result = pc.play("backup_server", "school")["school"]
    assert result.outcome == "failed"
    assert f"{name} has snapshots dated later than they came in" in result.reason
    assert len(result.values["repositories"][name]["odd"]) == 3
