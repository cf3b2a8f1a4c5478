"""The witness as it is meant: another account reached by ssh, which can do nothing there but deliver checkpoints."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.log.checkpoint import publish
from lab_tool.log.keep import kept
from lab_tool.log.keys import make_key
from lab_tool.log.note import folder_name, parse
from lab_tool.log.places import read_back
from lab_tool.school.model import SecondPlace
from tests.tamper import forge
from tests.tamper.conftest import ORIGIN, RealLog

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not Path(SSHD).exists(), reason="needs sshd (apt install openssh-server)")


@pytest.fixture
def witness(real_log: RealLog, tmp_path: Path) -> Iterator[SecondPlace]:
    """An sshd of our own on this machine, whose one key may only run `lab log witness`."""
    home = tmp_path / "witness"
    home.mkdir()
    command = [sys.executable, "-m", "lab_tool", "log", "witness"]
    command += ["--store", str(home / "store"), "--keys", str(real_log.signers)]
    client, host = make_key(home / "client", "control node"), make_key(home / "host", "witness")
    public = client.with_suffix(".pub").read_text()
    (home / "authorized_keys").write_text(f'restrict,command="{shlex.join(command)}" {public}')
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {home}/authorized_keys\nPermitRootLogin yes\n"
    )
    host_key = host.with_suffix(".pub").read_text()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", str(home / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        options = f"-o BatchMode=yes -o UserKnownHostsFile={home}/known_hosts -o IdentitiesOnly=yes"
        yield SecondPlace("witness", f"ssh -F none -p {port} -i {client} {options} 127.0.0.1")
    finally:
        daemon.terminate()
        daemon.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("sshd does not listen")


def test_growth_is_accepted_and_a_rewrite_is_not(real_log: RealLog, witness: SecondPlace, tmp_path: Path) -> None:
    policy = replace(real_log.policy, second_places=(witness,))
    assert publish(real_log.settings, policy, real_log.clock).reached, "first"
    real_log.add(3)
    assert publish(real_log.settings, policy, real_log.clock).reached, "grown"
    folder = tmp_path / "witness" / "store" / folder_name(ORIGIN)
    assert [parse(text).size for _, text in kept(folder)] == [30, 34]
    ((_, newest),) = read_back(witness, ORIGIN, real_log.settings.inventory) or []
    assert parse(newest).size == 34

    # All on this machine written anew, with the real key.
    lines = forge.rechained([forge.changed(line, actor="nobody") for line in real_log.lines()])
    real_log.put(lines)
    real_log.forget_index()
    shutil.rmtree(real_log.local)
    published = publish(real_log.settings, policy, real_log.clock)
    assert not published.reached
    assert "contradicts" in published.failed[0].reason
    assert len(kept(folder)) == 2


def test_the_key_opens_nothing_else(witness: SecondPlace) -> None:
    """What the sender asks for is not what is run."""
    done = subprocess.run(
        [*shlex.split(witness.target), "id; cat /etc/passwd"], input=b"", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"root:" not in done.stdout
    assert b"a request begins with" in done.stderr
