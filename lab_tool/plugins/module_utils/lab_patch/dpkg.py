"""What dpkg was left in the middle of, and finishing it."""

from __future__ import annotations

from pathlib import Path

from .programs import Programs

# dpkg's journal: not empty only after it was cut off.
JOURNAL = "/var/lib/dpkg/updates"
FORMAT = "${db:Status-Abbrev}|${binary:Package}|${db:Status-Status}\n"
# What needs nothing more, in the second letter of the state.
SETTLED = "nic"
# States in which only unpacking it again helps.
DAMAGED = ("reinst-required", "half-installed")
CONFFILES = ("--force-confdef", "--force-confold")


def unfinished(programs: Programs) -> dict[str, str]:
    """Packages that are neither properly installed nor properly gone, with their state in dpkg's words."""
    _, out, _ = programs("dpkg-query", "--show", "--showformat", FORMAT)
    found = {}
    for line in out.splitlines():
        abbreviated, name, state = line.split("|")
        if abbreviated[1] not in SETTLED:
            found[name] = state
        elif abbreviated[2:].strip():
            found[name] = "reinst-required"
    return found


def was_cut_off() -> bool:
    """Whether dpkg's journal holds steps it never finished."""
    folder = Path(JOURNAL)
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


def repair(programs: Programs) -> None:
    """Finish what was begun, and let apt mend what that leaves; removes nothing.

    Says nothing on success: ask `unfinished` again. What an update still to come mends stays as it is until then.
    """
    programs.locking("dpkg", *CONFFILES, "--configure", "--pending")
    options = [part for option in CONFFILES for part in ("-o", f"DPkg::Options::={option}")]
    timeout = f"DPkg::Lock::Timeout={programs.lock_timeout}"
    apt = ("apt-get", "-qq", "--yes", "--no-remove", "-o", timeout, *options)
    for name, state in unfinished(programs).items():
        if state in DAMAGED:
            _, version, _ = programs("dpkg-query", "--show", "--showformat", "${Version}", name)
            # The same version again, since another may be out of scope; that one only where this is nowhere to be had.
            if programs(*apt, "install", "--reinstall", f"{name}={version}")[0] != 0:
                programs(*apt, "install", "--reinstall", name)
    programs(*apt, "install", "--fix-broken")
