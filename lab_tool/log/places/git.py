"""A git remote as second place: one commit per checkpoint on the branch `checkpoints`, never forced."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from lab_tool import process
from lab_tool.log.keep import keep, kept
from lab_tool.log.note import folder_name
from lab_tool.log.places import PATIENCE, Delivery, PlaceError

BRANCH = "checkpoints"


def send(target: str, delivery: Delivery) -> None:
    """Commit the checkpoint on top of what the remote has, and push."""
    checkpoint = delivery.checkpoint
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        url = _url(target, delivery.base)
        _fetch(work, url)
        folder = work / folder_name(checkpoint.origin)
        folder.mkdir(exist_ok=True)
        keep(folder, checkpoint.file_name, checkpoint.encode(), mode=0o644)
        _git(work, "add", "--all")
        if not _git(work, "status", "--porcelain"):
            return
        _git(work, "commit", "-q", "-m", f"Checkpoint of {checkpoint.origin} at {checkpoint.size} entries")
        _git(work, "push", "-q", url, f"HEAD:refs/heads/{BRANCH}")


def read_back(target: str, origin: str, base: Path) -> list[tuple[str, bytes]]:
    """All checkpoints at the tip of the branch."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        _fetch(work, _url(target, base))
        return kept(work / folder_name(origin))


def _fetch(work: Path, url: str) -> None:
    """The remote's branch in `work`; an unborn one where the remote has none yet."""
    _git(work, "init", "-q", "--template=", f"--initial-branch={BRANCH}")
    if _git(work, "ls-remote", url, f"refs/heads/{BRANCH}"):
        _git(work, "fetch", "-q", "--depth=1", url, f"refs/heads/{BRANCH}")
        _git(work, "reset", "-q", "--hard", "FETCH_HEAD")


def _url(target: str, base: Path) -> str:
    local = base / target
    url = str(local.resolve()) if local.exists() else target
    if url.startswith("-"):
        raise PlaceError("a URL can't begin with a dash", where=url)
    return url


def _git(work: Path, *arguments: str) -> bytes:
    """Run git in `work`; nobody is asked for a password, no hook and no signature gets in between."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {
        **inherited,
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "force",
        "GIT_AUTHOR_NAME": "lab",
        "GIT_AUTHOR_EMAIL": "lab@localhost",
        "GIT_COMMITTER_NAME": "lab",
        "GIT_COMMITTER_EMAIL": "lab@localhost",
    }
    switches = ["-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false"]
    try:
        done = process.run(["git", *switches, *arguments], cwd=work, env=environment, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlaceError(f"git {arguments[0]}: {error}") from error
    if done.code:
        raise PlaceError(f"git {arguments[0]}: {done.error_text}")
    return done.out
