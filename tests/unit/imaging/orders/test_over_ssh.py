"""Parts are read with the keys and known hosts of the runs, to their end, and from an order's folder only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.orders.over_ssh import INCOMING, OverSsh
from lab_tool.settings import PROJECT, Settings
from tests.support.captured import ORDER, send

# In place of ssh: notes how it was called, and runs what it was to run there, in another folder.
SSH = """#!/bin/sh
printf '%s\\n' "$@" >{folder}/called
for last; do :; done
last=$(printf %s "$last" | sed -e 's/^sudo -n //' -e 's|{incoming}|{folder}/incoming|')
eval "$last" | {through}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OverSsh:
    """A server that is this machine."""
    state = tmp_path / "state"
    (state / "keys").mkdir(parents=True)
    (state / "keys/ssh").touch()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    send(tmp_path / "incoming" / ORDER)
    ssh(tmp_path, "cat")
    return OverSsh(Settings(PROJECT, tmp_path, state), "10.3.1.2", "lab-admin", 2222, ORDER)


def ssh(folder: Path, through: str) -> None:
    """What stands in place of ssh; its output goes through a filter."""
    path = folder / "bin/ssh"
    path.write_text(SSH.format(folder=folder, incoming=INCOMING, through=through))
    path.chmod(0o755)


def test_files_come_as_they_are(source: OverSsh, tmp_path: Path) -> None:
    folder = tmp_path / "incoming" / ORDER
    there = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert source.sizes() == there
    with source.read(sorted(there)) as files:
        assert {name: content.read() for name, content in files} == {
            path.name: path.read_bytes() for path in folder.iterdir()
        }


def test_the_server_has_to_be_the_one_that_is_known(source: OverSsh, tmp_path: Path) -> None:
    source.sizes()
    called = (tmp_path / "called").read_text().splitlines()
    settings = source.settings
    for words in (
        ["-F", "none"],
        ["-o", f"UserKnownHostsFile={settings.known_hosts}"],
        ["-o", "StrictHostKeyChecking=yes"],
        ["-o", "BatchMode=yes"],
        ["-i", str(settings.keys / "ssh")],
        ["-l", "lab-admin"],
        ["-p", "2222"],
        ["--", "10.3.1.2"],
    ):
        assert words in [called[at : at + 2] for at in range(len(called))], words
    assert called[-1].startswith("sudo -n find ")


@pytest.mark.parametrize("through", ["head -c 300000", "head -c 100", "true"])
def test_a_connection_that_breaks_off_is_told(source: OverSsh, tmp_path: Path, through: str) -> None:
    names = sorted(source.sizes())
    ssh(tmp_path, through)
    with pytest.raises(LabError), source.read(names) as files:
        for _, content in files:
            content.read()


def test_a_server_that_refuses_is_told(source: OverSsh, tmp_path: Path) -> None:
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    with pytest.raises(LabError, match="Host key verification failed"):
        source.sizes()
    with pytest.raises(LabError, match="Host key verification failed"), source.read(["table.json"]) as files:
        list(files)


@pytest.mark.parametrize("order", ["", "..", "o-0123456789abcdef/../x", "o-$(reboot)"])
def test_what_is_no_order_is_asked_of_nobody(source: OverSsh, tmp_path: Path, order: str) -> None:
    with pytest.raises(UsageError, match="no id of an order"):
        OverSsh(source.settings, source.address, source.user, source.port, order).sizes()
    assert not (tmp_path / "called").exists()
