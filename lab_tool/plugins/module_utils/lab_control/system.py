"""Units, kernel parameters and modules, groups, accounts and packages."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .kind import Json, ProgramError, Run, State, must

RUNNING = ("active", "activating", "reloading")
# Not to be enabled or disabled: they start with something else.
FIXED = ("static", "generated", "transient", "indirect", "alias")
# Without these there is no way in, or nothing that could undo: no list of unwanted packages takes them away.
KEPT = ("network-manager", "openssh-server", "python3", "python3-minimal", "sudo", "systemd", "udev")
APT = ("apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Options::=--force-confold")


class UnitKind:
    """A unit of systemd: enabled, active, masked."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """As systemd has it; a unit that is not there is neither enabled nor active."""
        properties = "LoadState,UnitFileState,ActiveState,ConditionResult,ConditionTimestampMonotonic"
        out = must(run, "systemctl", "show", f"--property={properties}", "--", target)
        found = dict(line.partition("=")[::2] for line in out.splitlines())
        # Only a condition that was looked at says something.
        unmet = found.get("ConditionResult") == "no" and found.get("ConditionTimestampMonotonic", "0") != "0"
        return {
            "there": found.get("LoadState") != "not-found",
            "masked": found.get("LoadState") == "masked",
            "enabled": found.get("UnitFileState", ""),
            "active": found.get("ActiveState") in RUNNING,
            "unmet": unmet,
        }

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it is as wanted; one that can't run here by its own condition counts as active."""
        if "masked" in wanted and wanted["masked"] is not state["masked"]:
            return False
        enabled = state["enabled"].startswith("enabled")
        if "enabled" in wanted and wanted["enabled"] is not enabled and state["enabled"] not in FIXED:
            return False
        active = state["active"] or (state["unmet"] and wanted.get("active", False))
        return "active" not in wanted or wanted["active"] is active

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Unmask first, mask last; nothing that is already so is touched."""
        if wanted.get("masked") is False and state["masked"]:
            must(run, "systemctl", "unmask", "--", target)
        if "enabled" in wanted and state["enabled"] not in FIXED:
            must(run, "systemctl", "enable" if wanted["enabled"] else "disable", "--", target)
        if "active" in wanted and (wanted["active"] is not state["active"]):
            must(run, "systemctl", "start" if wanted["active"] else "stop", "--", target)
        if wanted.get("masked"):
            must(run, "systemctl", "mask", "--now", "--", target)
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Called with the files as they were before: what is gone is only stopped."""
        must(run, "systemctl", "daemon-reload")
        now = self.read(run, target, {})
        if now["masked"] and not before["masked"]:
            must(run, "systemctl", "unmask", "--", target)
            now = self.read(run, target, {})
        if now["active"] and not before["active"]:
            must(run, "systemctl", "stop", "--", target)
        enabled, was = now["enabled"].startswith("enabled"), before["enabled"].startswith("enabled")
        if now["there"] and enabled is not was and now["enabled"] not in FIXED:
            must(run, "systemctl", "enable" if was else "disable", "--", target)
        if before["masked"] and not now["masked"]:
            must(run, "systemctl", "mask", "--", target)
        if before["active"] and not now["active"]:
            must(run, "systemctl", "start", "--", target)

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """A condition of its own keeps it from running."""
        return "can't run here (a condition of its own)" if wanted.get("active") and state["unmet"] else ""


class SysctlKind:
    """A kernel parameter as it is now; the file that sets it at boot is an item of its own."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """Its value, None where this kernel has none, and whether it can be set from here."""
        path = _parameter(target)
        try:
            value: str | None = " ".join(path.read_text(encoding="ascii").split())
        except OSError:
            value = None
        return {"value": value, "settable": os.access(path, os.W_OK)}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it has the value, or can't be given it here."""
        return bool(state["value"] in (None, wanted["value"]) or not state["settable"])

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Set it now."""
        _parameter(target).write_text(wanted["value"] + "\n", encoding="ascii")
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Set the earlier value."""
        if before["value"] is not None and os.access(_parameter(target), os.W_OK):
            _parameter(target).write_text(before["value"] + "\n", encoding="ascii")

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """A container can't set what is the kernel's of its machine."""
        if state["value"] is None:
            return "this kernel has no such parameter"
        return "" if state["settable"] or state["value"] == wanted["value"] else "read-only here"


class ModuleKind:
    """A kernel module that is not to be in the kernel now."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """Whether it is loaded."""
        try:
            lines = Path("/proc/modules").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            # A kernel that loads none.
            lines = []
        loaded = {line.split()[0] for line in lines}
        return {"loaded": target.replace("-", "_") in loaded}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it is not."""
        return not state["loaded"]

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Take it out; fails while something uses it."""
        must(run, "modprobe", "--remove", target)
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Nothing: the kernel loads it when it is next needed."""

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


class MembersKind:
    """Who is in a group beside those whose own group it is."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """The members; none where the group isn't there."""
        try:
            return {"members": sorted(grp.getgrnam(target).gr_mem)}
        except KeyError:
            return {"members": []}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether nobody else is in it."""
        return set(state["members"]) <= set(wanted["only"])

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Take the others out."""
        for user in sorted(set(state["members"]) - set(wanted["only"])):
            must(run, "gpasswd", "--delete", user, target)
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Put back who was in it and still has an account."""
        now = self.read(run, target, {})["members"]
        accounts = {entry.pw_name for entry in pwd.getpwall()}
        for user in sorted((set(before["members"]) - set(now)) & accounts):
            must(run, "gpasswd", "--add", user, target)

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


class AccountKind:
    """Whether an account can log in by password."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """Locked or not; the password itself is not kept."""
        for line in Path("/etc/shadow").read_text(encoding="utf-8").splitlines():
            fields = line.split(":")
            if fields[0] == target:
                return {"there": True, "locked": fields[1][:1] in ("!", "*")}
        return {"there": False, "locked": True}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it is as wanted; one that isn't there is locked."""
        return bool(not state["there"] or state["locked"] is wanted["locked"])

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Lock or unlock the password."""
        must(run, "usermod", "--lock" if wanted["locked"] else "--unlock", target)
        return {}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """As it was."""
        now = self.read(run, target, {})
        if now["there"] and now["locked"] is not before["locked"]:
            must(run, "usermod", "--lock" if before["locked"] else "--unlock", target)

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


class PackageKind:
    """A package that has to be there, or must not."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """The installed version, None if there is none."""
        return {"version": _installed(run).get(target)}

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether it is there, or isn't."""
        return (state["version"] is not None) is wanted["present"]

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Install or remove it; which others came or went with it."""
        # What a power cut left half-done; apt refuses everything else until then.
        run(["dpkg", "--force-confold", "--configure", "-a"])
        before = _installed(run)
        if wanted["present"]:
            must(run, *APT, "--no-install-recommends", "--no-remove", "install", target)
        else:
            needed = _would_go(run, target) & set(KEPT)
            if needed:
                raise ProgramError(f"left where it is: {', '.join(sorted(needed))} would go with it")
            must(run, *APT, "remove", target)
        after = _installed(run)
        gone = {name: version for name, version in before.items() if name not in after}
        return {"added": sorted(after.keys() - before.keys()), "gone": gone}

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Purge what came with it, install what went, in the same version where it is still to be had."""
        now = _installed(run)
        added = [name for name in made.get("added", [] if before["version"] else [target]) if name in now]
        if added:
            others = _would_go(run, *added) - set(added)
            if others:
                raise ProgramError(f"left where it is: {', '.join(sorted(others))} came later and would go with it")
            must(run, *APT, "purge", *added)
        gone = made.get("gone", {target: before["version"]} if before["version"] else {})
        missing = {name: version for name, version in gone.items() if name not in now}
        if not missing:
            return
        try:
            wanted = [f"{name}={version}" for name, version in missing.items()]
            must(run, *APT, "--no-install-recommends", "--no-remove", "install", *wanted)
        except ProgramError:
            must(run, *APT, "--no-install-recommends", "--no-remove", "install", *missing)

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Nothing to add."""
        return ""


def _parameter(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _would_go(run: Run, *targets: str) -> set[str]:
    out = must(run, *APT, "--simulate", "remove", *targets)
    return {line.split()[1] for line in out.splitlines() if line.startswith(("Remv ", "Purg "))}


def _installed(run: Run) -> dict[str, str]:
    out = must(run, "dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Status}\n")
    fields = (line.split() for line in out.splitlines())
    return {
        name: version for name, version, status in (part for part in fields if len(part) == 3) if status == "installed"
    }
