"""Starts `ansible-playbook` for a run and reads its events. Its exit code is interpreted by nobody but the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab_tool import process
from lab_tool.settings import Settings

# What Ansible and ssh need from the caller's environment; everything else, secrets and ANSIBLE_* alike, stays out.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TERM", "TZ", "SSH_AUTH_SOCK")
# Seconds from the polite signal to the hard one.
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `lab_progress`: `event` is task, start, ok, changed, failed or unreachable."""

    event: str
    host: str = ""
    task: str = ""
    message: str = ""


Progress = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class PlayEnd:
    """How the process ended: its exit code, the end of what it said on standard error, and what interrupted it."""

    code: int
    said: str
    interrupted: str


def environment(settings: Settings, run: str, caller: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of Ansible: this project's configuration, and nothing that could turn the recorder off."""
    key = settings.keys / "ssh"
    # Numbers are seconds: a PC that is switched off in mid-task is found unreachable within half a minute.
    ssh = (
        f"-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={settings.known_hosts} "
        "-o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=6"
    )
    own = {
        # Not the caller's ~/.ansible, whose plugins nobody approved.
        "ANSIBLE_HOME": str(settings.state / "ansible"),
        "ANSIBLE_CONFIG": str(settings.project / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "lab_progress",
        "ANSIBLE_SSH_ARGS": ssh,
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "LAB_RUN": run,
        "LAB_STATE": str(settings.state),
        "LAB_INVENTORY": str(settings.inventory),
    }
    if key.exists():
        own["ANSIBLE_PRIVATE_KEY_FILE"] = str(key)
    return {name: caller[name] for name in PASSED_ON if name in caller} | own


def command(settings: Settings, playbook: Path, folder: Path, *, check: bool, forks: int) -> list[str]:
    """The command line. Host list and settings lie in files of the run's folder: a process list shows neither."""
    # Debian's util-linux: if `lab` is killed, Ansible is told to end, and its workers with it.
    watched = ["setpriv", "--pdeathsig", "TERM"]
    ansible = [sys.executable, "-m", "ansible", "playbook"]
    arguments = ["-i", str(settings.inventory / "site.yml"), "--limit", f"@{folder / 'hosts'}", "--forks", str(forks)]
    overrides = ["--extra-vars", f"@{folder / 'settings.json'}"]
    return [*watched, *ansible, *arguments, *overrides, *(["--check", "--diff"] if check else []), str(playbook)]


def play(
    settings: Settings,
    run: str,
    playbook: Path,
    *,
    hosts: Sequence[str],
    overrides: Mapping[str, object],
    check: bool,
    locks: Sequence[int],
    progress: Progress,
) -> PlayEnd:
    """Run the playbook on exactly `hosts` (never empty), which inherits the descriptors `locks`; Ctrl-C ends it."""
    folder = settings.runs / run
    folder.mkdir(parents=True, mode=0o700)
    (folder / "hosts").write_text("\n".join(hosts) + "\n", encoding="utf-8")
    (folder / "settings.json").write_text(json.dumps(overrides), encoding="utf-8")
    argv = command(settings, playbook, folder, check=check, forks=min(len(hosts), 50))
    with tempfile.TemporaryFile() as said:
        # The first is the lock of the first host by name; by it the recorder knows that it runs inside this run.
        surroundings = environment(settings, run, os.environ) | {"LAB_LOCK": str(locks[0])}
        child = process.start(argv, env=surroundings, pass_fds=locks, err=said)
        interrupted = ""
        try:
            for event in _events(child):
                progress(event)
        except KeyboardInterrupt:
            interrupted = "interrupted"
        with uninterrupted():
            code = _end(child, politely=bool(interrupted))
        said.seek(0)
        text = said.read().decode(errors="replace")
    return PlayEnd(code, text[-4000:], interrupted)


def _events(child: subprocess.Popen[bytes]) -> Iterator[Event]:
    if child.stdout is None:
        return
    for line in child.stdout:
        try:
            fields = json.loads(line)
            yield Event(**fields)
        except (ValueError, TypeError):
            # Something else wrote to standard output: not an event.
            continue


def _end(child: subprocess.Popen[bytes], *, politely: bool) -> int:
    """Wait for the end of the process, telling it to end first when interrupted."""
    if politely:
        child.terminate()
    try:
        return child.wait(PATIENCE if politely else None)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no second Ctrl-C keep a run from being told to end, or its end from being recorded."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
