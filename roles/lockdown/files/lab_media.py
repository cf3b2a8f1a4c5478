#!/usr/bin/python3 -I
"""Decide which removable media may be used, and let nothing else in. Written by the role lockdown; see its README.

lab-media interface NAME   udev: a USB interface for storage has come
lab-media plug BLOCK       a removable block device is there: refuse it, or scan it and mount what is clean
lab-media unplug BLOCK     it is gone, or has to go: unmount
lab-media settle           at boot, and when an exception begins or is ended: make everything as it has to be now
lab-media tick             end an exception whose time has come
lab-media status           what is admitted, as JSON
lab-media check WHAT       modules or devices: what is not as it has to be; exit code 1 if there is anything
lab-media give-back        before this program goes: leave nothing mounted, give USB interfaces back
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import syslog
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SELF = "/usr/local/libexec/lab-media"
SCANNER = "/usr/local/libexec/lab-scan"
ADMITTED = Path("/etc/lab/media-scanned")  # there: whatever is scanned clean is admitted
STATE = Path("/var/lib/lab/media")
EXCEPTION, CLOCK = STATE / "exception.json", STATE / "clock.json"
RUN = Path("/run/lab-media")  # only root gets in
PUBLIC = Path("/media/lab")
SYS = Path("/sys")
MODULES = ("usb_storage", "uas")
SHUT_MODULES = (*MODULES, "firewire_sbp2")
STORAGE = "08"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
SAFE = ("ro", "nosuid", "nodev", "noexec")
# By what blkid calls it: the kernel's name, and options with which everybody can read and nothing is written.
FILE_SYSTEMS = {
    "vfat": ("vfat", "utf8,umask=222"),
    "exfat": ("exfat", "umask=222"),
    "ntfs": ("ntfs3", "umask=222"),
    "iso9660": ("iso9660", "mode=0444,dmode=0555"),
    "udf": ("udf", "umask=222"),
    "ext4": ("ext4", "noload"),
}
NOT_MEDIA = ("loop", "ram", "zram", "dm-", "md", "nbd")
# A disk with anything mounted elsewhere, or swapped to, is the PC's own.
MOUNTED_BY_PEOPLE = ("/media/", "/run/media/", "/mnt", str(RUN))
LIST = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "lab-media@*")


class RefusedError(Exception):
    """Why a medium can't be used."""


@dataclass(frozen=True)
class Grant:
    """An approved exception: until when (seconds since 1970), for which serial numbers (none: any)."""

    id: str
    until: int
    devices: tuple[str, ...]


def read_grant(text: str) -> Grant:
    """The exception of that text. Raises `ValueError`."""
    try:
        raw = json.loads(text)
        until = raw["until"]
        devices = tuple(str(device) for device in raw["devices"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no exception: {error!r}") from None
    if not isinstance(until, int) or not isinstance(raw["devices"], list):
        raise ValueError("no exception: until is a number, devices a list")
    return Grant(hashlib.sha256(text.encode()).hexdigest()[:16], until, devices)


def moment(seen: dict[str, object], grant: str, now: int, up: int, boot: str) -> dict[str, object]:
    """The latest time that is known to have been reached, from what was `seen` last: never before that.

    Setting the clock back prolongs nothing: within a boot time goes on by the kernel's own count (`up`), and over a
    boot it begins where it was. A new exception begins with the clock as it is.
    """
    latest = now
    if seen.get("grant") == grant:
        before, counted = int(str(seen["time"])), int(str(seen["up"]))
        latest = max(now, before + up - counted if seen["boot"] == boot else before)
    return {"grant": grant, "time": latest, "up": up, "boot": boot}


def decide(scanned: bool, grant: Grant | None, at: int, serial: str) -> str:
    """Empty if the medium may be scanned and then used; otherwise why not."""
    if scanned:
        return ""
    if grant is None:
        return "removable media is not admitted here"
    if at >= grant.until:
        return "the exception has ended"
    if grant.devices and serial not in grant.devices:
        return f"the exception is for other devices (serial number {serial or 'none'})"
    return ""


def log(text: str, priority: int = syslog.LOG_WARNING) -> None:
    """One line in the journal, and on the terminal of who runs this by hand."""
    syslog.syslog(priority, text)
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def run(*argv: str) -> tuple[int, str]:
    """Run a program; exit code and output. udev has no path of its own."""
    try:
        done = subprocess.run(argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        return 127, str(error)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace").strip()


@contextmanager
def alone() -> Iterator[None]:
    """One of these at a time decides."""
    RUN.mkdir(mode=0o700, exist_ok=True)
    with (RUN / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def text_of(path: Path) -> str:
    """What a small file says, empty where it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


# What is admitted now.


def grant_now(*, note: bool = False) -> tuple[Grant | None, int]:
    """The exception that was written, whether its time has come or not, and the time that counts (`note` it)."""
    try:
        grant = read_grant(EXCEPTION.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, int(time.time())
    except (OSError, ValueError) as error:
        log(f"the exception can't be read, so there is none: {error}")
        return None, int(time.time())
    try:
        seen = json.loads(CLOCK.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        seen = {}
    up = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    now = moment(seen, grant.id, int(time.time()), up, text_of(Path("/proc/sys/kernel/random/boot_id")))
    if note:
        try:
            _note(now)
        except OSError as error:
            # A full disk prolongs nothing: the end comes by what is known without it.
            log(f"the time that was reached can't be noted: {error}")
    return grant, int(str(now["time"]))


def _note(now: dict[str, object]) -> None:
    new = CLOCK.with_suffix(".new")
    with new.open("w", encoding="utf-8") as handle:
        json.dump(now, handle)
        handle.flush()
        os.fsync(handle.fileno())
    new.replace(CLOCK)


def why_not(serial: str) -> str:
    """Why a device can't be used now; empty if it may be scanned."""
    return decide(ADMITTED.exists(), *grant_now(), serial)


def anything_admitted() -> bool:
    """Whether any device at all could be."""
    grant, at = grant_now()
    return ADMITTED.exists() or (grant is not None and at < grant.until)


# Devices.


def storage_interfaces() -> list[Path]:
    """The USB interfaces that are for storage: these only, never a keyboard or mouse, not even of the same device."""
    found = (SYS / "bus/usb/devices").glob("*/bInterfaceClass")
    return [path.parent for path in found if text_of(path) == STORAGE]


def interface_of(block: str) -> Path | None:
    """The USB interface behind a block device."""
    here = (SYS / "class/block" / block).resolve()
    return next((path for path in here.parents if (path / "bInterfaceClass").exists()), None)


def serial_of(block: str) -> str:
    """Its serial number: of the USB device, or of the card."""
    interface = interface_of(block)
    return text_of(interface.parent / "serial" if interface else SYS / "class/block" / block / "device/serial")


def media() -> list[str]:
    """The removable block devices of this PC; the udev rules say the same."""
    return [path.name for path in sorted((SYS / "block").glob("*")) if _is_medium(path)]


def _is_medium(path: Path) -> bool:
    if path.name.startswith(NOT_MEDIA):
        return False
    outside = any(text_of(parent / "removable") == "removable" for parent in path.resolve().parents)
    return (
        interface_of(path.name) is not None
        or text_of(path / "removable") == "1"
        or text_of(path / "device/type") == "SD"
        or outside
    )


def nodes(block: str) -> list[str]:
    """The block device's partitions, or itself."""
    parts = sorted(path.parent.name for path in (SYS / "class/block" / block).glob("*/partition"))
    return [f"/dev/{name}" for name in parts or [block]]


def mounts(block: str) -> list[tuple[str, list[str]]]:
    """Where its file systems are mounted, the last first, and with which options."""
    devices = {path.stat().st_rdev for path in map(Path, {f"/dev/{block}", *nodes(block)}) if path.exists()}
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        major, minor = fields[2].split(":")
        if os.makedev(int(major), int(minor)) in devices:
            found.append((fields[4].encode().decode("unicode_escape"), fields[5].split(",")))
    return found[::-1]


def is_own(block: str) -> bool:
    """Whether the PC itself runs from it: such a disk is never touched."""
    swaps = text_of(Path("/proc/swaps"))
    held = any(any((SYS / "class/block" / Path(node).name / "holders").glob("*")) for node in nodes(block))
    used = any(not where.startswith(MOUNTED_BY_PEOPLE) for where, _ in mounts(block))
    return used or (held and interface_of(block) is None) or any(f"{node} " in swaps for node in nodes(block))


def authorise(interface: Path, *, yes: bool) -> None:
    """Let the kernel use a USB interface, or take it away."""
    (interface / "authorized").write_text("1" if yes else "0", encoding="ascii")
    if yes and not (interface / "driver").exists():
        run("sh", "-c", f"echo {interface.name} > {SYS}/bus/usb/drivers_probe")


def load_modules() -> None:
    """What the files of the control keep out of the kernel, while something may be admitted."""
    for module in MODULES:
        run("modprobe", "--ignore-install", module)


# Acts.


def interface(name: str) -> None:
    """udev: a USB interface for storage has come."""
    path = SYS / "bus/usb/devices" / name
    if text_of(path / "bInterfaceClass") != STORAGE or _own_behind(path):
        return
    with alone():
        reason = why_not(text_of(path.resolve().parent / "serial"))
        if reason:
            authorise(path, yes=False)
            log(f"USB storage at {name} refused: {reason}")
        else:
            load_modules()


def plug(block: str) -> None:
    """Refuse a medium, or scan it and mount what is clean."""
    run("udevadm", "settle", "--timeout=30")
    if text_of(SYS / "class/block" / block / "size") == "0":
        return
    if is_own(block):
        log(f"{block} is in use by the PC itself, and left alone")
        return
    unplug(block)
    try:
        _admit(block)
    except (RefusedError, OSError) as error:
        refuse(block, str(error))


def _admit(block: str) -> None:
    with alone():
        reason = why_not(serial_of(block))
    if reason:
        raise RefusedError(reason)
    staged = [_stage(node) for node in nodes(block) if _file_system(node)]
    if not staged:
        raise RefusedError("it has no file system that can be scanned")
    for path in staged:
        code, said = run(SCANNER, str(path))
        if code:
            found = "a virus was found" if code == 1 else "it could not be scanned"
            raise RefusedError(f"{found}: {said.splitlines()[-1][:200] if said else f'exit code {code}'}")
    with alone():
        # The scan may have taken longer than the exception lasted.
        reason = why_not(serial_of(block))
        if reason:
            raise RefusedError(reason)
        for path in staged:
            _publish(block, path)


def _file_system(node: str) -> tuple[str, str] | None:
    code, said = run("blkid", "--probe", "--match-tag", "TYPE", "--output", "value", node)
    return FILE_SYSTEMS.get(said) if code == 0 else None


def _stage(node: str) -> Path:
    """Mount it where only root gets in."""
    kind, options = _file_system(node) or ("", "")
    path = RUN / "scanning" / Path(node).name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    code, said = run("mount", "-t", kind, "-o", ",".join((*SAFE, options)), node, str(path))
    if code:
        raise RefusedError(f"{node} can't be mounted: {said[:200]}")
    return path


def _publish(block: str, staged: Path) -> None:
    """Mount for everybody what was scanned, and see that nothing can be run from it."""
    path = PUBLIC / staged.name
    path.mkdir(parents=True, exist_ok=True)
    code, said = run("mount", "--bind", str(staged), str(path))
    if code:
        raise RefusedError(f"{path}: {said[:200]}")
    run("umount", str(staged))
    options = dict(mounts(block)).get(str(path), [])
    if not set(SAFE) <= set(options):
        raise RefusedError(f"{path} is not mounted {','.join(SAFE)}")
    log(f"{staged.name} scanned and clean, mounted at {path}", syslog.LOG_NOTICE)


def unplug(block: str) -> None:
    """Unmount all of it, also what its device has already gone away from."""
    for where, _ in mounts(block):
        run("umount", "--lazy", where)
    for folder in (RUN / "scanning", PUBLIC):
        for path in folder.glob(f"{block}*"):
            if re.fullmatch(rf"{re.escape(block)}(p?[0-9]+)?", path.name):
                run("umount", "--lazy", str(path))
                path.rmdir()


def refuse(block: str, reason: str) -> None:
    """Make a medium unusable until it is plugged in anew."""
    log(f"{block} refused: {reason}")
    unplug(block)
    device = SYS / "class/block" / block / "device"
    usb = interface_of(block)
    if usb is not None:
        authorise(usb, yes=False)
    elif text_of(device / "type") == "SD":
        (SYS / "bus/mmc/drivers/mmcblk/unbind").write_text(device.resolve().name, encoding="ascii")
    elif block.startswith("sd"):
        (device / "delete").write_text("1", encoding="ascii")


def settle() -> None:
    """Make everything as it has to be now."""
    tick()
    if not anything_admitted():
        shut()
        return
    load_modules()
    grant, at = grant_now()
    if grant is not None:
        watch(grant, at)
    for path in storage_interfaces():
        serial = text_of(path.resolve().parent / "serial")
        authorise(path, yes=_own_behind(path) or not why_not(serial))
    _, units = run(*LIST)
    for block in media():
        if not re.search(rf"lab-media@{re.escape(block)}\.service \s*loaded \s*activ", units):
            run("systemctl", "--no-block", "restart", f"lab-media@{block}.service")


def watch(grant: Grant, at: int) -> None:
    """Have the PC end the exception itself: at its moment, by the clock or by the time that passes, whichever is first.

    Once a minute besides: so it also notes how late it is.
    """
    run("systemctl", "stop", "lab-media-until.timer")
    end = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(grant.until))
    moments = (f"--on-active={max(1, grant.until - at)}", f"--on-calendar={end}")
    accuracy = "--timer-property=AccuracySec=1s"
    code, said = run("systemd-run", "--collect", "--unit=lab-media-until", *moments, accuracy, SELF, "tick")
    if code:
        log(f"no timer for the end of the exception; it will be a minute late: {said[:200]}")
    run("systemctl", "start", "lab-media-tick.timer")


def tick() -> None:
    """End an exception whose time has come."""
    grant, at = grant_now(note=True)
    if grant is None or at < grant.until:
        return
    log("the exception for removable media has ended", syslog.LOG_NOTICE)
    with alone():
        EXCEPTION.unlink(missing_ok=True)
        CLOCK.unlink(missing_ok=True)
    shut()


def shut() -> None:
    """Take away whatever is not admitted now."""
    for block in media():
        if why_not(serial_of(block)) and not is_own(block):
            run("systemctl", "stop", f"lab-media@{block}.service")
            refuse(block, "it is not admitted any longer")
    for path in storage_interfaces():
        if why_not(text_of(path.resolve().parent / "serial")) and not _own_behind(path):
            authorise(path, yes=False)
    if not anything_admitted():
        run("modprobe", "--remove", "uas")
        run("modprobe", "--remove", "usb_storage")
        run("systemctl", "stop", "lab-media-tick.timer", "lab-media-until.timer")


def _own_behind(path: Path) -> bool:
    here = path.resolve()
    return any(interface_of(block) == here and is_own(block) for block in media())


def give_back() -> None:
    """Leave nothing mounted, no exception, and the USB interfaces to the kernel."""
    for block in media():
        if not is_own(block):
            unplug(block)
    run("systemctl", "stop", "lab-media-tick.timer", "lab-media-until.timer")
    for file in (EXCEPTION, CLOCK):
        file.unlink(missing_ok=True)
    for path in storage_interfaces():
        authorise(path, yes=True)


def status() -> None:
    """What is admitted, for the control node."""
    grant, at = grant_now()
    told = {"until": grant.until, "devices": list(grant.devices)} if grant else None
    mounted = sorted(path.name for path in PUBLIC.glob("*")) if PUBLIC.exists() else []
    admits = "scanned" if ADMITTED.exists() else "never"
    print(json.dumps({"admits": admits, "exception": told, "time": at, "clock": int(time.time()), "mounted": mounted}))


def check(what: str) -> int:
    """Say what is in effect and must not be; its number."""
    wrong = list(_wrong_modules() if what == "modules" else _wrong_devices())
    for text in wrong:
        print(text)
    return min(len(wrong), 1)


def _wrong_modules() -> Iterator[str]:
    for module in SHUT_MODULES:
        code, said = run("modprobe", "--show-depends", module)
        # Where there is no such program, or no such module, none can be loaded by it.
        if "install /bin/false" not in said and not (code and ("not found" in said or code == 127)):
            yield f"the kernel would load {module}"
    # A container's kernel is not its own.
    if run("systemd-detect-virt", "--container", "--quiet")[0] and not anything_admitted():
        loaded = {line.split()[0] for line in text_of(Path("/proc/modules")).splitlines()}
        yield from (f"{module} is in the kernel" for module in SHUT_MODULES if module in loaded)


def _wrong_devices() -> Iterator[str]:
    for path in storage_interfaces():
        reason = why_not(text_of(path.resolve().parent / "serial"))
        if reason and text_of(path / "authorized") != "0" and not _own_behind(path):
            yield f"USB storage at {path.name} can be used"
    for block in media():
        if is_own(block):
            continue
        for node in {f"/dev/{block}", *nodes(block)}:
            found = Path(node).stat()
            if found.st_uid or stat.S_IMODE(found.st_mode) & 0o077:
                yield f"{node} can be read by others than root"
        for where, options in mounts(block):
            if not where.startswith((str(PUBLIC), str(RUN))) or not set(SAFE) <= set(options):
                yield f"{where} is mounted, and not by lab-media"


ACTS = {
    "interface": interface,
    "plug": plug,
    "unplug": unplug,
    "settle": settle,
    "tick": tick,
    "status": status,
    "check": check,
    "give-back": give_back,
}


def main(words: list[str]) -> int:
    """Entry point."""
    syslog.openlog("lab-media", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    act = ACTS.get(words[0] if words else "")
    if act is None:
        print(__doc__)
        return 2
    return int(act(*words[1:]) or 0)  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
