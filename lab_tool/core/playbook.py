"""Starts `ansible-playbook` for a run and reads its events. Its exit code is interpreted by nobody but the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab_tool import process
from lab_tool.core.interruption import Interruption
from lab_tool.settings import Settings

# What Ansible and ssh need from the caller's environment; everything else, secrets and ANSIBLE_* alike, stays out.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TERM", "TZ", "SSH_AUTH_SOCK")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `lab_progress`: `event` is task, start, step, ok, changed, failed or unreachable.

    A step tells where a host is inside of a long task: `state`, bytes `done` of `total`, bytes a second.
    """

    event: str
    host: str = ""
    task: str = ""
    message: str = ""
    state: str = ""
    done: int = 0
    total: int = 0
    rate: int = 0


Progress = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class PlayEnd:
    """How the process ended: its exit code, and what it said on standard error."""

    code: int
    said: str


def environment(settings: Settings, run: str, caller: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of Ansible: this project's configuration, and nothing that could turn the recorder off."""
    key = settings.keys / "ssh"
    # No personal configuration of ssh: it could lead elsewhere. How soon a PC counts as gone stands in ansible.cfg.
    ssh = (
        f"-F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={settings.known_hosts} "
        "-o StrictHostKeyChecking=yes"
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
    interruption: Interruption,
) -> PlayEnd:
    """Run the playbook on exactly `hosts` (never empty), which inherits the descriptors `locks`.

    The run's folder must be there. Raises `OSError` when nothing could be started.
    """
    folder = settings.runs / run
    (folder / "hosts").write_text("\n".join(hosts) + "\n", encoding="utf-8")
    (folder / "settings.json").write_text(json.dumps(overrides), encoding="utf-8")
    argv = command(settings, playbook, folder, check=check, forks=min(len(hosts), 50))
    # The first is the lock of the first host by name; by it the recorder knows that it runs inside this run.
    surroundings = environment(settings, run, os.environ) | {"LAB_LOCK": str(locks[0])}
    with tempfile.TemporaryFile() as said:
        child = process.start(argv, env=surroundings, pass_fds=locks, err=said)
        interruption.watch(child)
        for event in _events(child):
            # What is drawn decides nothing: a terminal that went away ends no run.
            with suppress(Exception):
                progress(event)
        code = child.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    return PlayEnd(code, text)


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
