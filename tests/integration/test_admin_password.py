"""The role admin_password and `lab password` on real PCs: whatever happens, the holders have what the PC has."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.integration.conftest import HOST_FAILED, REFUSED, LabRoom, school_around, wait_until
from tests.support.school import AUDITOR, DIRECTOR, TECHNICIAN
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts

ACCOUNT = "localadmin"
# Found before the real one by root's PATH on the PC.
CHPASSWD = "usr/local/sbin/chpasswd"
HANGS = "#!/bin/sh\n{first}\necho $$ >/run/hangs\nexec sleep 300\n"


@pytest.fixture(scope="module")
def lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> LabRoom:
    """Two PCs that have their first password, and the programs of this machine watched while they got it."""
    pcs = room(2, name="adminpw", names=lambda seat: f"a301-{seat:02d}")
    built = LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))
    with watched_programs() as seen:
        outcomes = rotate(built)
    (built.school.folder / "seen").write_bytes(b"\n".join(seen))
    assert {outcome["outcome"] for outcome in outcomes.values()} == {"changed"}
    return built


def rotate(lab: LabRoom, *arguments: str) -> Mapping[str, Any]:
    """Run the playbook on the PCs; the outcome of each, by the log, with the values read back."""
    limit = ("--limit", f"room_{lab.school.room}")
    done = lab.school.playbook("playbooks/admin_password.yml", *limit, *arguments)
    (lab.school.folder / "said").write_text(done.stdout + done.stderr, encoding="utf-8")
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    run = lab.last_run()
    evidence = {entry.subject.hosts[0]: entry.body["evidence"] for entry in lab.entries("evidence.read", run=run)}
    (finished,) = lab.entries("run.finished", run=run)
    return {
        host: {**outcome, "values": evidence.get(host, {}).get("values", {})}
        for host, outcome in finished.body["outcomes"].items()
    }


def show(lab: LabRoom, host: TestHost, person: str = TECHNICIAN) -> list[str]:
    """What a holder is shown."""
    passwords: list[str] = lab.json("password", "show", host.name, "--why", "Repair", person=person)["passwords"]
    return passwords


def opens(host: TestHost, password: str) -> bool:
    """Whether the account becomes root on the PC with that password, by sudo and PAM."""
    return host.run(
        f"echo '{password}' | setpriv --reuid {ACCOUNT} --regid {ACCOUNT} --init-groups sudo -S -k -p '' true",
        check=False,
    ).returncode == 0  # fmt: skip


def kept(lab: LabRoom, host: TestHost) -> list[str]:
    """The generations that are kept for a PC."""
    return sorted(path.stem for path in (lab.school.state / "passwords" / host.name).glob("*.age"))


@contextmanager
def watched_programs() -> Iterator[list[bytes]]:
    """All command lines and environments of this machine and of the PCs on it, again and again."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        seen.add((process / name).read_bytes())
                    except OSError:
                        continue

    found: list[bytes] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found += seen


@contextmanager
def hung_run(lab: LabRoom, host: TestHost, first: str) -> Iterator[None]:
    """A run on one PC, killed with all its processes while `chpasswd` there hangs, after doing `first`."""
    (host.root / CHPASSWD).write_text(HANGS.format(first=first), encoding="ascii")
    (host.root / CHPASSWD).chmod(0o755)
    school = lab.school
    run = subprocess.Popen(
        [sys.executable, "-m", "ansible", "playbook", "-i", str(school.inventory / "site.yml"),
         "playbooks/admin_password.yml", "--limit", host.name, "-e", "admin_password_period=0"],
        env={**school.environment(), "ANSIBLE_PRIVATE_KEY_FILE": str(school.state / "keys" / "ssh"),
             "ANSIBLE_SSH_ARGS": f"-o UserKnownHostsFile={school.state / 'known_hosts'}"},
        cwd=PROJECT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: host.run("test -e /run/hangs", check=False).returncode == 0)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        yield
    finally:
        (host.root / CHPASSWD).unlink()
        host.run("kill $(cat /run/hangs); rm /run/hangs", check=False)


def test_each_pc_has_its_own_and_the_holders_can_use_it(lab: LabRoom) -> None:
    first, second = lab.hosts
    (mine,), (same,) = show(lab, first), show(lab, first, DIRECTOR)
    (other,) = show(lab, second)
    assert mine == same != other
    assert len(mine) >= 20
    assert opens(first, mine)
    assert not opens(first, other)


def test_the_secret_is_nowhere_else(lab: LabRoom) -> None:
    host = lab.hosts[0]
    (password,) = show(lab, host)
    field = host.run(f"getent shadow {ACCOUNT}").stdout.split(":")[1]
    assert field.startswith("$6$")
    places = [path for path in (*lab.school.state.rglob("*"), lab.school.folder / "seen") if path.is_file()]
    texts = {str(path): path.read_bytes() for path in places}
    texts["said"] = rotate(lab, "--check", "-vvv")[host.name]["reason"].encode()
    texts["said with -vvv"] = (lab.school.folder / "said").read_bytes()
    texts["journal"] = host.run("journalctl --no-pager; find /tmp /var/tmp /root/.ansible /home -type f -exec cat {} +",
                                check=False).stdout.encode()  # fmt: skip
    # Both were looked at while there was something to see.
    assert b"lab_admin_password_evidence" in texts["journal"]
    assert b"playbooks/admin_password.yml" in texts[str(lab.school.folder / "seen")]
    assert [where for where, text in texts.items() if password.encode() in text or field.encode() in text] == []


def test_what_was_shown_is_replaced_and_what_was_not_is_left(lab: LabRoom) -> None:
    first, second = lab.hosts
    (before,) = show(lab, first)
    rotate(lab)
    untouched = kept(lab, second)
    rows = {row["host"]: row for row in lab.json("password", "list")}
    assert (rows[first.name]["due"], rows[second.name]["due"]) == ("", "")
    (now,) = show(lab, first)
    assert now != before
    assert (opens(first, before), opens(first, now)) == (False, True)
    assert lab.json("password", "list", "--due")[0]["due"] == "it was shown"
    would = rotate(lab, "--check")
    assert would[first.name]["reason"] == "would be replaced: it was shown"
    assert opens(first, now), "a rehearsal changed it"
    outcomes = rotate(lab)
    assert outcomes[first.name]["outcome"] == "changed"
    assert outcomes[first.name]["values"]["due"] == "it was shown"
    assert outcomes[second.name]["outcome"] == "ok"
    assert kept(lab, second) == untouched


def test_only_holders_are_shown_it_and_only_on_record(lab: LabRoom) -> None:
    host, shown = lab.hosts[0], len(lab.entries("password.shown"))
    said = lab.lab("password", "show", host.name, "--why", "Curious", "--json", person=AUDITOR, code=REFUSED)
    assert "does not hold the password" in said
    # On a pipe it would end in a file.
    assert "terminal" in lab.lab("password", "show", host.name, "--why", "Repair", code=2)
    people = lab.school.inventory / "people.yml"
    text = people.read_text(encoding="utf-8")
    try:
        changed = yaml.safe_load(text)
        changed["people"][DIRECTOR]["keys"] = [
            {"key": changed["people"][DIRECTOR]["keys"][0], "last_day": "2026-01-31"}
        ]
        people.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
        said = lab.lab("password", "show", host.name, "--why", "Repair", "--json", person=DIRECTOR, code=REFUSED)
        assert "counts from ever to 2026-01-31" in said
        # One is left: nobody is alone.
        outcome = rotate(lab)[host.name]
        assert outcome["outcome"] == "failed"
        assert "2 must be able to" in outcome["reason"]
    finally:
        people.write_text(text, encoding="utf-8")
    assert len(lab.entries("password.shown")) == shown
    entry_before = lab.entries("password.shown")[-1].seq if shown else -1
    show(lab, host)
    (entry,) = [entry for entry in lab.entries("password.shown") if entry.seq > entry_before]
    assert (entry.actor, entry.body["intent"]["why"], entry.subject.hosts) == (TECHNICIAN, "Repair", (host.name,))
    lab.lab("log", "verify")


def test_a_passphrase_is_asked_for_on_the_terminal(lab: LabRoom) -> None:
    host, key = lab.hosts[0], lab.school.folder / "with-passphrase"
    shutil.copy(lab.school.key(TECHNICIAN), key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", key], check=True)
    said = on_terminal(lab, "open sesame", "password", "show", host.name, "--why", "Repair", "--key", str(key))
    (password,) = re.findall(rf"{ACCOUNT} on {host.name}: ([a-z2-9-]+)", said)
    assert opens(host, password)


def on_terminal(lab: LabRoom, passphrase: str, *arguments: str) -> str:
    """What `lab` says on a terminal, at which somebody types the passphrase whenever it is asked for."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(PROJECT)
        os.execve(sys.executable, [sys.executable, "-m", "lab_tool", *arguments], lab.school.environment())
    said, answered = "", 0
    # A terminal whose program has ended is an error to read from.
    with suppress(OSError):
        while part := os.read(terminal, 4096):
            said += part.decode()
            if said.lower().count("passphrase") > answered and said.rstrip().endswith(":"):
                answered = said.lower().count("passphrase")
                os.write(terminal, f"{passphrase}\n".encode())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    return said


def test_a_full_log_shows_nothing(lab: LabRoom) -> None:
    log = lab.school.state / "log"
    moved = log.rename(log.with_name("log-aside"))
    log.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(log)], check=True)
    try:
        with (log / "filler").open("wb") as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        said = lab.lab("password", "show", lab.hosts[0].name, "--why", "Repair", "--json", code=1)
        assert "can't be written" in said
        assert "passwords" not in said
    finally:
        subprocess.run(["umount", str(log)], check=True)
        log.rmdir()
        moved.rename(log)


def test_killed_before_the_pc_has_it(lab: LabRoom) -> None:
    host = lab.hosts[1]
    rotate(lab)
    old = kept(lab, host)
    with hung_run(lab, host, "true"):
        assert len(kept(lab, host)) == 2
        assert kept(lab, host)[:1] == old
        passwords = show(lab, host)
        assert [opens(host, password) for password in passwords] == [False, True]
    assert rotate(lab)[host.name]["outcome"] == "changed"
    (password,) = show(lab, host)
    assert opens(host, password)


def test_killed_after_the_pc_has_it(lab: LabRoom) -> None:
    host = lab.hosts[1]
    rotate(lab)
    with hung_run(lab, host, '/usr/sbin/chpasswd "$@"'):
        newest = kept(lab, host)[-1]
        rows = {row["host"]: row for row in lab.json("password", "list")}
        assert rows[host.name]["due"] == "a run was cut off"
    outcome = rotate(lab)[host.name]
    # What the PC has is one of those that are kept, so nothing is replaced.
    assert (outcome["outcome"], outcome["values"]["generation"]) == ("ok", newest)
    assert kept(lab, host) == [newest]
    (password,) = show(lab, host)
    assert opens(host, password)


def test_changed_at_the_pc_is_told_and_replaced(lab: LabRoom) -> None:
    host = lab.hosts[0]
    host.run(f"echo '{ACCOUNT}:easy-to-guess' | chpasswd")
    outcome = rotate(lab)[host.name]
    assert outcome["outcome"] == "changed"
    assert outcome["values"]["changed_outside"] is True
    assert not opens(host, "easy-to-guess")
    assert rotate(lab)[host.name]["values"]["changed_outside"] is False


def test_a_password_that_nobody_can_decrypt_any_more_is_replaced(lab: LabRoom) -> None:
    """The PC still has it, and would be told to be in order."""
    host = lab.hosts[0]
    (kept,) = (lab.school.state / "passwords" / host.name).glob("*.age")
    kept.write_bytes(kept.read_bytes()[:-9])
    outcome = rotate(lab)[host.name]
    assert (outcome["outcome"], outcome["values"]["due"][:18]) == ("changed", "the encrypted file")
    (password,) = show(lab, host)
    assert opens(host, password)


def test_other_holders_mean_another_password(lab: LabRoom) -> None:
    host, group_vars = lab.hosts[0], lab.school.inventory / "group_vars" / "all.yml"
    text = group_vars.read_text(encoding="utf-8")
    # What an earlier test was shown is replaced first.
    rotate(lab)
    wider = text.replace(f"[{TECHNICIAN}, {DIRECTOR}]", f"[{TECHNICIAN}, {DIRECTOR}, {AUDITOR}, nobody_known]")
    try:
        group_vars.write_text(wider, encoding="utf-8")
        outcome = rotate(lab)[host.name]
        assert outcome["reason"].startswith("admin_password_holders: nobody_known: not in inventory/people.yml")
        # Somebody without any right is no reader, so nothing changes.
        group_vars.write_text(wider.replace(", nobody_known", ""), encoding="utf-8")
        assert rotate(lab)[host.name]["outcome"] == "ok"
    finally:
        group_vars.write_text(text, encoding="utf-8")


def test_a_pc_that_is_off_keeps_what_it_has(lab: LabRoom) -> None:
    off, on = lab.hosts
    rotate(lab)
    before = kept(lab, off)
    off.off()
    try:
        outcomes = rotate(lab, "-e", "admin_password_period=0")
    finally:
        off.on()
    assert (outcomes[off.name]["outcome"], outcomes[on.name]["outcome"]) == ("unreachable", "changed")
    assert kept(lab, off) == before


def test_two_at_once_and_with_approval(lab: LabRoom) -> None:
    where = ("admin_password", "--room", lab.school.room, "--set", "admin_password_period=0")
    change = str(lab.json("change", "request", *where, "--why", "New passwords")["id"])
    lab.lab("change", "approve", change, person=DIRECTOR)
    first = lab.start("run", change, "--json")
    before = lab.last_run()
    wait_until(lambda: lab.last_run() != before)
    by_hand = lab.school.playbook("playbooks/admin_password.yml", "--limit", lab.hosts[0].name)
    assert by_hand.returncode != 0
    assert "in use" in by_hand.stdout + by_hand.stderr
    said, _ = first.communicate()
    data = json.loads(said[said.index("{") :])["data"]
    assert {outcome["outcome"] for outcome in data["outcomes"].values()} == {"changed"}
    assert first.returncode != HOST_FAILED
    for host in lab.hosts:
        (password,) = show(lab, host)
        assert opens(host, password)
