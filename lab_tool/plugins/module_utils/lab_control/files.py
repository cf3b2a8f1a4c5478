"""Files, folders, and blocks of text in files that belong to others."""

from __future__ import annotations

import base64
import errno
import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .kind import Json, Run, State


class PathKind:
    """What stands at a path: contents, permissions, or that nothing does."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """Type, mode, numeric owners and contents; empty where nothing is. A link is not followed.

        Where only permissions are wanted, contents are no business of ours: neither kept (`/etc/shadow`), nor given
        back over what others wrote meanwhile.
        """
        return _look(target, contents=wanted["state"] != "mode")

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it is as wanted; wanted permissions of what isn't there hold."""
        if wanted["state"] == "absent":
            return not state
        if wanted["state"] == "mode" and not state:
            return True
        kind = {"file": ("file",), "directory": ("directory",), "mode": ("file", "directory")}[wanted["state"]]
        if state.get("type") not in kind or any(state[key] != value for key, value in _ids(wanted).items()):
            return False
        return "content" not in wanted or state["content"] == _code(wanted["content"].encode())

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Make it so. Returns the folders that had to be made."""
        path = Path(target)
        if wanted["state"] == "absent":
            _remove(path)
            return {}
        made = _make_parents(path)
        ids = _ids(wanted)
        if wanted["state"] == "file":
            if state.get("type") == "directory":
                raise OSError(errno.EISDIR, "a folder stands where a file has to be", target)
            write(path, wanted["content"].encode(), ids["mode"], ids["uid"], ids["gid"])
        else:
            if wanted["state"] == "directory" and not state:
                path.mkdir(mode=0o700)
            elif state.get("type") == "link":
                raise OSError(errno.ELOOP, "a link, whose target is left alone", target)
            os.chown(path, ids.get("uid", -1), ids.get("gid", -1))
            # After chown, which takes away the set-user-id bit.
            path.chmod(ids.get("mode", int(state.get("mode", 0o755))))
        return {"folders": made}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Give back what stood there before."""
        path = Path(target)
        kind = before.get("type")
        if kind is None:
            _remove(path, keep_full=True)
            for folder in reversed(made.get("folders", ())):
                _remove(Path(folder), keep_full=True)
        elif "content" not in before:
            if _look(target, contents=False).get("type") == kind:
                os.chown(path, before["uid"], before["gid"])
                path.chmod(before["mode"])
        elif kind == "file":
            _make_parents(path)
            write(path, base64.b64decode(before["content"]), before["mode"], before["uid"], before["gid"])
        elif kind == "link":
            _remove(path)
            path.symlink_to(before["content"])

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


class BlockKind:
    """Lines between two markers of ours in a file that belongs to somebody else."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """The block's text; None without one."""
        text = _text(target)
        _, block, _ = _split(text or "", wanted["name"])
        return {"there": text is not None, "block": block, "name": wanted["name"]}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether the block says what is wanted."""
        return bool(state["block"] == wanted["content"])

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Put the block where it is, or at the end."""
        _put_block(target, wanted["name"], wanted["content"])
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Take the block out, or give back the earlier one; a file that was not there goes with it."""
        if _text(target) is None:
            return
        _put_block(target, before["name"], before["block"])
        if not before["there"] and _text(target) == "":
            Path(target).unlink()

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


def write(path: Path, content: bytes, mode: int, uid: int, gid: int) -> None:
    """Write a file whole or not at all, on the disk when this returns."""
    _refuse_others(path.parent)
    # A dot: sudo, cron and run-parts look past such a name.
    unfinished = path.with_name(f".{path.name}.lab")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refuse_others(folder: Path) -> None:
    """Where somebody else may write, what root writes could be led elsewhere."""
    for place in (folder, *folder.parents):
        seen = place.lstat()
        loose = stat.S_IMODE(seen.st_mode) & 0o022 and not seen.st_mode & stat.S_ISVTX
        if not stat.S_ISLNK(seen.st_mode) and (seen.st_uid != 0 or loose):
            raise OSError(errno.EPERM, "others may write there", str(place))


def _look(target: str, *, contents: bool = True) -> dict[str, Any]:
    try:
        seen = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, Any] = {"mode": stat.S_IMODE(seen.st_mode), "uid": seen.st_uid, "gid": seen.st_gid}
    if stat.S_ISREG(seen.st_mode):
        return {"type": "file", **({"content": _code(Path(target).read_bytes())} if contents else {}), **found}
    if stat.S_ISLNK(seen.st_mode):
        return {"type": "link", "content": str(Path(target).readlink()), **found}
    if stat.S_ISDIR(seen.st_mode):
        return {"type": "directory", **found}
    return {"type": "other", **found}


def _ids(wanted: Mapping[str, Any]) -> dict[str, int]:
    """Wanted mode and owners as numbers; without what nobody wants."""
    ids = {}
    if wanted.get("mode") is not None:
        ids["mode"] = int(wanted["mode"])
    if wanted.get("owner") is not None:
        ids["uid"] = pwd.getpwnam(wanted["owner"]).pw_uid
    if wanted.get("group") is not None:
        ids["gid"] = grp.getgrnam(wanted["group"]).gr_gid
    return ids


def _code(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _make_parents(path: Path) -> list[str]:
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    return [str(folder) for folder in reversed(missing)]


def _remove(path: Path, *, keep_full: bool = False) -> None:
    """Remove a file, link or empty folder; a folder with something in it stays if that is wanted."""
    if not path.is_symlink() and path.is_dir():
        try:
            path.rmdir()
        except OSError as error:
            if not (keep_full and error.errno == errno.ENOTEMPTY):
                raise
    else:
        path.unlink(missing_ok=True)


def _text(target: str) -> str | None:
    try:
        return Path(target).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def _split(text: str, name: str) -> tuple[str, str | None, str]:
    """What stands before the block, in it (None: there is none), and after it."""
    first, last = f"# BEGIN lab {name}\n", f"# END lab {name}\n"
    end = text.find(last)
    # The nearest one before the end: where somebody deleted the end of an earlier one, what follows is theirs.
    start = text.rfind(first, 0, max(end, 0))
    if start < 0:
        return text, None, ""
    return text[:start], text[start + len(first) : end], text[end + len(last) :]


def _put_block(target: str, name: str, content: str | None) -> None:
    path = Path(target)
    before, _, after = _split(_text(target) or "", name)
    if content is not None and before and not before.endswith("\n"):
        before += "\n"
    block = "" if content is None else f"# BEGIN lab {name}\n{content}# END lab {name}\n"
    seen = path.stat() if path.exists() else None
    mode, uid, gid = (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) if seen else (0o644, 0, 0)
    write(path.resolve(), (before + block + after).encode(errors="surrogateescape"), mode, uid, gid)
