"""The daemon itself, killed in the middle of its work again and again: what it answered is never taken back."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lab_tool.imaging.server.settings import Client, ServerSettings
from lab_tool.settings import PROJECT
from tests.unit.imaging.server.conftest import DEPLOY, Daemon, mac


class SocketLink(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("daemon", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


@pytest.fixture
def config(settings: ServerSettings, tmp_path: Path) -> Path:
    """The file of settings that the role would write."""
    path = tmp_path / "config.json"
    # More than can be served before it is killed for the last time.
    clients = [Client(f"a301-{seat:02d}", mac(seat), "", "a301") for seat in range(1, 256)]
    path.write_text(json.dumps({**asdict(settings), "clients": [asdict(client) for client in clients]}, default=str))
    return path


def start(config: Path, listening: Path) -> subprocess.Popen[bytes]:
    """Start the daemon, and wait until it answers."""
    command = [sys.executable, "-m", "lab_tool.imaging.server", str(config), "--socket", str(listening)]
    child = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        try:
            ask(listening, "GET", "/api/status")
            return child
        except OSError:
            assert child.poll() is None
            time.sleep(0.05)
    raise AssertionError("the daemon does not answer")


def ask(listening: Path, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and answer."""
    link = SocketLink(listening)
    try:
        link.request(method, path, body=json.dumps(body).encode() if body is not None else None)
        answer = link.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if "json" in answer.headers["Content-Type"] else said.decode()
    finally:
        link.close()


def test_what_was_answered_is_kept(settings: ServerSettings, config: Path, daemon: Daemon, tmp_path: Path) -> None:
    daemon.stop()
    daemon.stop = lambda: None
    listening = tmp_path / "socket"
    claimed: dict[int, str] = {}
    tokens: dict[int, str] = {}
    seat = 0
    for _ in range(4):
        child = start(config, listening)
        killer = threading.Timer(0.3, child.send_signal, [signal.SIGKILL])
        try:
            while True:
                seat += 1
                text = daemon.order(seat).dump().decode()
                assert ask(listening, "POST", "/api/orders", {"order": text, "signature": daemon.sign(text)})[0] == 200
                script = ask(listening, "GET", f"/boot/{mac(seat)}.ipxe")[1]
                token = next(part.split("=")[1] for part in script.split() if part.startswith("lab.token="))
                body = {"mac": mac(seat), "token": token, "deploy": DEPLOY, "facts": {}}
                tokens[seat] = token
                status, answer = ask(listening, "POST", "/api/claim", body)
                assert status == 200
                claimed[seat] = answer["session"]
                if killer.ident is None:
                    killer.start()
        except (OSError, http.client.HTTPException):
            # Killed.
            pass
        killer.join()
        child.wait()
    child = start(config, listening)
    try:
        assert claimed
        for seat, session in claimed.items():
            report = {"session": session, "state": "writing", "done": 0, "total": 0, "bytes": 0, "message": ""}
            assert ask(listening, "POST", "/api/report", report) == (200, {"ok": True, "stop": False})
            body = {"mac": mac(seat), "token": tokens[seat], "deploy": DEPLOY, "facts": {}}
            assert ask(listening, "POST", "/api/claim", body)[0] == 403
    finally:
        child.kill()
        child.wait()
    assert not list(settings.state.glob("orders/*.new"))


def test_settings_that_make_no_sense_are_refused(config: Path, tmp_path: Path) -> None:
    good = json.loads(config.read_text())
    client = good["clients"][0]
    for bad in (
        {"slots": 0}, {"more": 1}, {"address": "a b"}, {"arguments": "a || shell"}, {"arguments": "a\nb"},
        {"signers": ["ssh-ed25519"]}, {"networks": ["198.51.100.0/255.0.255.0"]},
        {"clients": [client, {**client, "name": "other"}]},
        {"clients": [client, {**client, "mac": "02:00:00:00:99:99"}]}, {"clients": [{**client, "mac": "x"}]},
    ):  # fmt: skip
        config.write_text(json.dumps({**good, **bad}))
        command = [sys.executable, "-m", "lab_tool.imaging.server", str(config), "--socket", str(tmp_path / "s")]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), bad
        assert "settings" in done.stderr
