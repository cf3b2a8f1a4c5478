"""All that a student's PC is locked down with is given back by undo: before and after are compared line by line."""

from __future__ import annotations

import re
from difflib import unified_diff

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around
from tests.integration.lockdown_room import play, state_of

pytestmark = pytest.mark.hosts

# What stays: the engine's own program and its empty journal, and what the tools of the system keep as the last version.
STAYS = re.compile(
    r"usr/local/lib/lab-lockdown|var/lib/lab( |/lockdown( |/lock ))|etc/(passwd|shadow|group|gshadow)-( |$)|"
    r"^(@@|---|\+\+\+)"
)


@pytest.fixture(scope="module")
def lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> LabRoom:
    """One PC that is not as it came: accounts, rights and settings somebody gave it."""
    pcs = room(1, name="undo", names=lambda seat: f"a301-{seat:02d}")
    (host,) = pcs.hosts
    host.use_stock()
    host.run(
        "echo root:a-password-of-its-own | chpasswd; gpasswd --add student adm; chmod 0700 /etc/cron.d; "
        "echo '# by hand' >>/etc/pam.d/su; echo student >/etc/cron.deny; echo Hello >/etc/issue; chmod 0640 /etc/issue"
    )
    return LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))


def test_undo_gives_back_what_was(lab: LabRoom) -> None:
    (host,) = lab.hosts
    before = state_of(host)
    locked = play(lab, "lockdown", host)
    assert (locked.outcome, locked.reason) == ("changed", "")
    between = [line for line in unified_diff(before, state_of(host), n=0) if not STAYS.search(line)]
    # Enough is different for the comparison to mean something.
    assert len(between) > 100
    assert play(lab, "lockdown_undo", host).outcome == "changed"
    left = [line for line in unified_diff(before, state_of(host), n=0, lineterm="") if not STAYS.search(line)]
    assert left == []
