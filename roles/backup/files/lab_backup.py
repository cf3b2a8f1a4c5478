#!/usr/bin/python3
"""lab-backup: one backup of this PC into each of its repositories. What to save stands in /etc/lab-backup.

    lab-backup --tag TAG

Databases are dumped and hooks are run into a spool only root can read, then restic saves the paths and the spool into
one repository after the other; what fails in one does not keep another from being done. The result is one line of JSON
on standard output, and lies in /var/lib/lab-backup/result.json. Exit code 0 when nothing was amiss, 1 otherwise.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/lab-backup")
STATE = Path("/var/lib/lab-backup")
SPOOL = STATE / "spool"
CACHE = Path("/var/cache/lab-backup")
LOCKED = "already locked"
# Seconds to wait for a repository that the server tidies or for another backup, and between two looks at the first.
PATIENCE, PAUSE = 1800, 15
# Of what restic says, the last lines and no more.
LINES = 6
DUMPS = {
    "postgresql": ["runuser", "-u", "postgres", "--", "pg_dumpall", "--clean", "--if-exists"],
    "mariadb": [
        "mariadb-dump",
        "--all-databases",
        "--single-transaction",
        "--routines",
        "--events",
        "--triggers",
        "--flush-privileges",
    ],
}


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default="timer", help="a tag for the snapshots (default: timer)")
    tag = parser.parse_args().tag
    settings = json.loads((SETTINGS / "config.json").read_text(encoding="utf-8"))
    with (STATE / "lock").open("w") as lock:
        if not taken(lock.fileno()):
            return tell({"tag": tag, "troubles": ["another backup of this PC is still at work"], "places": {}})
        # Whatever this starts keeps the lock: after this process is killed, too, restic may still be at work.
        os.set_inheritable(lock.fileno(), True)
        os.nice(settings["nice"])
        try:
            troubles = fill_spool(settings)
            troubles += [f"there is no {path}" for path in settings["paths"] if not os.path.lexists(path)]
            places = {place: save(settings, place, tag) for place in settings["places"]}
        finally:
            empty_spool()
    result = {"tag": tag, "troubles": troubles, "places": places}
    (STATE / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return tell(result)


def taken(lock: int) -> bool:
    """Take the lock, or wait for whoever holds it; whether that came about."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(1)


def tell(result: dict[str, Any]) -> int:
    """Print the result; the exit code that goes with it."""
    print(json.dumps(result), flush=True)
    places = result["places"].values()
    return int(bool(result["troubles"]) or any(place["code"] or place["unreadable"] for place in places))


def fill_spool(settings: dict[str, Any]) -> list[str]:
    """Dump the databases and run the hooks; what failed."""
    empty_spool()
    troubles = []
    for number, database in enumerate(settings["databases"], 1):
        kind, path = database["kind"], database.get("path") or ""
        try:
            if kind == "sqlite":
                dump_sqlite(path, SPOOL / f"{number}-{Path(path).name}")
            else:
                dump(DUMPS[kind], SPOOL / f"{number}-{kind}.sql")
        except (OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
            why = f"exit code {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else error
            troubles.append(f"dump of {kind} {path}".rstrip() + f": {why}")
    return troubles + run_hooks(SETTINGS / "hooks.d")


def dump(argv: list[str], target: Path) -> None:
    """Write what a program prints into the spool; what it says of errors stays in this PC's journal."""
    with target.open("wb") as out:
        subprocess.run(argv, stdout=out, cwd="/", check=True, stdin=subprocess.DEVNULL)


def dump_sqlite(path: str, target: Path) -> None:
    """Copy with SQLite's own backup, which is whole whatever writes meanwhile, and look whether it is sound."""
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    copy = sqlite3.connect(target)
    try:
        source.backup(copy)
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"not sound: {found}")
    finally:
        copy.close()
        source.close()


def run_hooks(folder: Path) -> list[str]:
    """Run what lies there, as root, with LAB_BACKUP_SPOOL; only what root alone may write."""
    troubles = []
    for hook in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = hook.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            troubles.append(f"hook {hook.name}: not a file that only root may write")
            continue
        target = SPOOL / hook.name
        target.mkdir(mode=0o700)
        environment = {**os.environ, "LAB_BACKUP_SPOOL": str(target)}
        try:
            code = subprocess.run(
                [str(hook)], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
            ).returncode
        except OSError as error:
            troubles.append(f"hook {hook.name}: {error.strerror}")
            continue
        if code:
            troubles.append(f"hook {hook.name}: exit code {code}")
    return troubles


def empty_spool() -> None:
    """Dumps hold what is in the databases: they don't stay longer than they must."""
    shutil.rmtree(SPOOL, ignore_errors=True)
    SPOOL.mkdir(mode=0o700)


def save(settings: dict[str, Any], place: str, tag: str) -> dict[str, Any]:
    """Save into one repository. A lock that nobody holds any more is removed, one that is held is waited for."""
    deadline = time.monotonic() + PATIENCE
    again = True
    while True:
        result = restic_backup(settings, place, tag)
        if LOCKED in result["said"] and time.monotonic() < deadline:
            restic(place, "unlock")
            time.sleep(0 if again else PAUSE)
        elif not (result["refused"] and again):
            return result
        again = False


def restic(place: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run restic on a repository to its end."""
    return subprocess.run(
        command(place, *arguments), env=environment_of(place), capture_output=True, text=True, check=False
    )


def command(place: str, *arguments: str) -> list[str]:
    """The command line; addresses and passwords stand in files, where a process list does not show them."""
    return ["restic", "--cacert", str(SETTINGS / "places" / place / "ca.pem"), *arguments]


def environment_of(place: str) -> dict[str, str]:
    """restic's environment, and nothing of the caller's that could lead it elsewhere."""
    folder = SETTINGS / "places" / place
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "RESTIC_REPOSITORY_FILE": str(folder / "repository"),
        "RESTIC_PASSWORD_FILE": str(folder / "password"),
        "RESTIC_CACHE_DIR": str(CACHE),
        # A line of progress every hundred seconds: nobody watches.
        "RESTIC_PROGRESS_FPS": "0.01",
    }


def restic_backup(settings: dict[str, Any], place: str, tag: str) -> dict[str, Any]:
    """One `restic backup`, ended early when the server takes nothing more.

    restic tries ten times; but of an upload that was cut off the append-only server keeps the torn file, so that each
    further try is refused (403). Begun anew, the same data gets another name and is taken.
    """
    arguments = ["backup", "--json", "--host", settings["host"], "--tag", f"lab,{tag}", "--exclude-caches"]
    if settings["one_file_system"]:
        arguments += [text for mount in mounts_below(settings["paths"]) for text in ("--exclude", f"{mount}/*")]
    arguments += ["--limit-upload", str(settings["upload_limit"])] if settings["upload_limit"] else []
    arguments += ["--exclude-file", str(SETTINGS / "excludes"), "--files-from-verbatim", str(SETTINGS / "paths")]
    child = subprocess.Popen(
        ["ionice", "-c", "3", *command(place, *arguments)],
        env=environment_of(place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,
    )
    result: dict[str, Any] = {"snapshot": "", "files": 0, "bytes": 0, "added": 0, "unreadable": 0, "vanished": 0}
    said: list[str] = []
    refused = False
    for line in child.stdout or ():
        message = read_json(line)
        if message.get("message_type") == "summary":
            result |= {
                "snapshot": message["snapshot_id"],
                "files": message["total_files_processed"],
                "bytes": message["total_bytes_processed"],
                "added": message["data_added"],
            }
        elif message.get("message_type") == "error":
            # What went away between being listed and being read is no loss of what is there.
            gone = not os.path.lexists(str(message.get("item") or "/"))
            result["vanished" if gone else "unreadable"] += 1
        elif not message:
            said.append(line.strip())
            if "returned error, retrying" in line and "(403)" in line and not refused:
                refused = True
                child.send_signal(signal.SIGINT)
    code = child.wait()
    # 3: a snapshot was made, and some files could not be read; counted above, and those that vanished are none.
    code = 0 if code == 3 and result["snapshot"] else code or int(refused)
    return {**result, "code": code, "refused": refused, "said": "\n".join(said[:LINES] + said[LINES:][-LINES:])}


def mounts_below(paths: list[str]) -> list[str]:
    """What is mounted below the paths, as patterns of restic.

    Not left to `--one-file-system`, which compares device numbers: on an overlay a file has another than its folder,
    and restic would then save folders only, and call it a success.
    """
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mounts = {re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines}
    tops = [path.rstrip("/") + "/" for path in paths]
    found = sorted(mount for mount in mounts if any(mount.startswith(top) and mount != top for top in tops))
    return [re.sub(r"([\\*?\[])", r"\\\1", mount) for mount in found]


def read_json(line: str) -> dict[str, Any]:
    """The message on a line; empty where it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
