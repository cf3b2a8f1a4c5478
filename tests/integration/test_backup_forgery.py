"""A forged index against the server's own prune: a real repository, on a host of its own."""

from __future__ import annotations

import json
import time

import pytest

from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.integration.forgery import Forger

pytestmark = pytest.mark.hosts

PROGRAM = PROJECT / "roles/backup_server/files/lab_backup_retention.py"
TOP, NAME, PASSWORD = "/srv/lab-backup", "pc", "secret"
RESTIC = f"runuser -u lab-backup -- env RESTIC_PASSWORD={PASSWORD} restic --no-cache -r {TOP}/{NAME}"
SERVER = f"""
apt-get install --yes --no-install-recommends restic
useradd --system lab-backup
install -d -o root -g lab-backup -m 0750 {TOP}
install -d -o lab-backup -m 0700 {TOP}/{NAME}
install -d -m 0700 /etc/lab-backup-server/keys /var/lib/lab-backup-server/seen /saved
chmod 0755 /saved
echo {PASSWORD} > /etc/lab-backup-server/keys/{NAME}
cd /saved && head -c 300000 /dev/urandom > a && head -c 300000 /dev/urandom > b
{RESTIC} init && {RESTIC} backup /saved && echo more > c && {RESTIC} backup /saved
"""


def test_a_forged_index_makes_the_server_throw_nothing_away(room: BuildRoom) -> None:
    (host,) = room(1, name="forgery").hosts
    host.use_stock()
    host.run(SERVER)
    settings = {"path": TOP, "user": "lab-backup", "days": 365}
    (host.root / "etc/lab-backup-server/config.json").write_text(json.dumps(settings), "ascii")
    (host.root / "usr/local/sbin/lab-backup-retention").write_bytes(PROGRAM.read_bytes())
    blobs = [line.split() for line in host.run(f"{RESTIC} list blobs --no-lock").stdout.splitlines()]
    forger = Forger(host.run(f"cat {TOP}/{NAME}/keys/*").stdout, PASSWORD)
    forged = []
    for name, data in forger.claim([(kind, blob) for kind, blob in blobs if kind == "data"]).items():
        kind, _, file = name.partition("/")
        path = f"{TOP}/{NAME}/{kind}/" + (f"{file[:2]}/{file}" if kind == "data" else file)
        (host.root / path[1:]).write_bytes(data)
        host.run(f"chown lab-backup {path}")
        forged.append(path)
    # The first real one is due.
    now = int(time.time())
    listed = json.loads(host.run(f"{RESTIC} snapshots --no-lock --json").stdout)
    real = sorted((one for one in listed if one["paths"] == ["/saved"]), key=lambda one: str(one["time"]))
    seen = {one["id"]: {"first": now - 60, "kept": 0} for one in listed}
    seen[real[0]["id"]] = {"first": now - 400 * 86400, "kept": 400 * 86400}
    (host.root / f"var/lib/lab-backup-server/seen/{NAME}.json").write_text(
        json.dumps({"at": now, "seen": seen}), "ascii"
    )

    done = host.run("python3 /usr/local/sbin/lab-backup-retention", check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(host.run("cat /var/lib/lab-backup-server/report.json").stdout)
    assert "claimed twice and is not sound, so nothing was forgotten" in report["clients"][NAME]["trouble"]
    # What came in is taken out, and nothing is lost.
    host.run(f"rm {' '.join(forged)}")
    host.run(
        f"{RESTIC} restore {real[1]['id']} --no-lock --target /tmp/back --verify && cmp /saved/a /tmp/back/saved/a"
    )
