"""The areas baseline and access of the role lockdown: tried from outside and by people's accounts on real PCs."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.lockdown_room import only, play
from tests.integration.patch_room import Result
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts

# Made up, and good enough for the control that asks for good ones.
PASSWORDS = {"root": "Kettle-42-harbour", "localadmin": "Violet-17-engine", "student": "Meadow-93-copper"}
REST = 12
SETTINGS: dict[str, object] = {"lockdown_faillock_tries": 3, "lockdown_faillock_seconds": REST}


def ssh(lab: LabRoom, host: TestHost, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Log in from this machine with the room's key."""
    return subprocess.run(
        ["ssh", "-F", "none", "-i", lab.pcs.private_key, "-o", f"UserKnownHostsFile={lab.pcs.known_hosts}",
         "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10", "-l", user, *arguments],
        text=True, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def becomes(host: TestHost, user: str, other: str) -> bool:
    """Whether `user` becomes `other` by su, with the right password."""
    password = PASSWORDS[other]
    done = host.run(f"echo '{password}' | runuser -u {user} -- su {other} -c true", check=False)
    return done.returncode == 0


def sudo(host: TestHost, *passwords: str) -> bool:
    """Whether the local administrator becomes root by sudo, typing these passwords one after the other."""
    typed = "\\n".join(passwords)
    done = host.run(f"printf '{typed}\\n' | runuser -u localadmin -- sudo -S -k -p '' true", check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def open_lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> LabRoom:
    """Two PCs with accounts whose passwords are known and that the room's key opens; nothing is locked down yet."""
    pcs = room(2, name="access", names=lambda seat: f"a301-{seat:02d}")
    key = pcs.private_key.with_name(pcs.private_key.name + ".pub").read_text(encoding="ascii").strip()
    for host in pcs.hosts:
        host.use_stock()
        host.run("useradd --create-home --groups sudo localadmin")
        for user, password in PASSWORDS.items():
            host.run(
                f"echo '{user}:{password}' | chpasswd; home=$(getent passwd {user} | cut -d: -f6); "
                f"install -d -m 700 -o {user} $home/.ssh; echo '{key}' >$home/.ssh/authorized_keys; "
                f"chown {user} $home/.ssh/authorized_keys"
            )
    return LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))


@pytest.fixture(scope="module")
def was_open(open_lab: LabRoom) -> dict[str, bool]:
    """What was possible on the first PC before: else that it isn't afterwards says nothing."""
    host = open_lab.hosts[0]
    return {
        "root by SSH": ssh(open_lab, host, "root", host.address, "true").returncode == 0,
        "student by SSH": ssh(open_lab, host, "student", host.address, "true").returncode == 0,
        "forwarding": "SSH-2.0" in ssh(open_lab, host, "lab-admin", "-W", "127.0.0.1:22", host.address).stdout,
        "student to localadmin": becomes(host, "student", "localadmin"),
        "localadmin to root by su": becomes(host, "localadmin", "root"),
        "localadmin by sudo": sudo(host, PASSWORDS["localadmin"]),
        "wrong passwords don't count": sudo(host, *["wrong"] * 2) or sudo(host, PASSWORDS["localadmin"]),
    }


@pytest.fixture(scope="module")
def locked(open_lab: LabRoom, was_open: object) -> Result:
    """What the run said of the first PC."""
    return play(open_lab, "lockdown", open_lab.hosts[0], {**only("baseline", "access"), **SETTINGS})


def test_everything_was_open_and_is_in_effect(was_open: dict[str, bool], locked: Result) -> None:
    assert [name for name, possible in was_open.items() if not possible] == []
    assert (locked.outcome, locked.reason, locked.values["wrong"]) == ("changed", "", {})
    wanted = [control for control, on in only("baseline", "access")["lockdown_controls"].items() if on]
    assert sorted(locked.values["in_effect"]) == sorted(wanted)


def test_ssh_lets_in_the_management_account_and_nobody_else(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    admin = ssh(open_lab, host, "lab-admin", host.address, "id -un")
    assert admin.stdout == "lab-admin\n"
    assert "belongs to the school" in admin.stderr
    for user in ("root", "student", "localadmin"):
        refused = ssh(open_lab, host, user, host.address, "true")
        assert refused.returncode == 255
        assert "Permission denied" in refused.stderr
    # What it would take instead of a key: nothing.
    by_password = ssh(open_lab, host, "lab-admin", "-o", "PubkeyAuthentication=no", host.address, "true")
    assert "Permission denied (publickey)" in by_password.stderr


def test_ssh_forwards_nothing(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    through = ssh(open_lab, host, "lab-admin", "-W", "127.0.0.1:22", host.address)
    assert "SSH-2.0" not in through.stdout
    assert "administratively prohibited" in through.stderr


def test_su_is_for_administrators_and_root_has_no_password(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    assert not becomes(host, "student", "localadmin")
    assert not becomes(host, "localadmin", "root")
    assert becomes(host, "localadmin", "student")


def test_an_account_rests_after_wrong_passwords_and_is_free_again(open_lab: LabRoom, locked: Result) -> None:
    host, right = open_lab.hosts[0], PASSWORDS["localadmin"]
    assert sudo(host, right)
    assert not sudo(host, "wrong", "wrong", "wrong")
    assert not sudo(host, right), "the right password was taken after three wrong ones"
    wait_until(lambda: sudo(host, right), REST + 30)
    assert "localadmin" in host.run("cat /var/log/sudo.log").stdout


def test_programs_of_users_get_what_the_baseline_says(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    made = host.run("su student -c 'rm -f ~/new; touch ~/new; stat -c %a ~/new; ulimit -H -c'").stdout.split()
    assert made == ["640", "0"]
    assert host.run("echo student:student12 | chpasswd", check=False).returncode != 0
    assert host.run("runuser -u student -- chsh -s /bin/sh student", check=False).returncode != 0


def test_what_a_killed_run_did_not_confirm_is_confirmed_by_the_next(open_lab: LabRoom, locked: Result) -> None:
    """Nothing is left to change, and still the PC would undo it: after the evidence said that it is in effect."""
    host = open_lab.hosts[0]
    host.run("""echo '["access_ssh"]' >/var/lib/lab/lockdown/guard.json""")
    again = play(open_lab, "lockdown", host, {**only("baseline", "access"), **SETTINGS})
    assert (again.outcome, again.reason) == ("ok", "")
    assert (
        host.run(
            "cd /etc/systemd/system && ls lab-lockdown-guard* /var/lib/lab/lockdown/guard.json", check=False
        ).stdout
        == ""
    )
    assert "access_ssh" in again.values["in_effect"]


def test_a_careless_right_is_told(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    host.run("echo 'student ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/careless")
    try:
        careless = play(open_lab, "lockdown", host, {**only("baseline", "access"), **SETTINGS})
    finally:
        host.run("rm /etc/sudoers.d/careless")
    assert careless.outcome == "failed"
    assert careless.values["wrong"] == {"access_sudo": ["somebody becomes root without a password"]}


def test_the_local_password_is_kept_on_a_locked_pc(open_lab: LabRoom, locked: Result) -> None:
    host = open_lab.hosts[0]
    assert play(open_lab, "admin_password", host).outcome == "changed"
    shown = open_lab.json("password", "show", host.name, "--why", "Repair")
    assert sudo(host, *shown["passwords"])


def test_a_pc_that_refuses_the_control_node_takes_it_back(open_lab: LabRoom) -> None:
    """SSH would let in an account that isn't there: nobody can log in to say that it stays."""
    host = open_lab.hosts[1]
    before = host.run("sshd -T").stdout
    wrong = {"__lockdown_ssh_accounts": ["nobody-here"], "lockdown_guard_seconds": 30}
    refused = play(open_lab, "lockdown", host, {**only("access"), **wrong})
    assert refused.outcome == "failed"
    assert "undone by the PC, since nobody logged in in time" in refused.reason
    assert "access_ssh" in refused.values["rolled_back"]
    assert host.run("sshd -T").stdout == before
    assert ssh(open_lab, host, "lab-admin", host.address, "true").returncode == 0
