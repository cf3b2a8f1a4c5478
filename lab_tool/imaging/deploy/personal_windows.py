"""Makes a Windows that was written to a partition that of this PC: answer file, registry, access by SSH.

Nothing here was ever seen by a Windows: see roles/image/WINDOWS.md.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import answers, hive, ntfs
from lab_tool.imaging.deploy.registry import HIVES, Setting
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.order import Order
from lab_tool.process import run

GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
SETUP_STATE = ("Microsoft", "Windows", "CurrentVersion", "Setup", "State")
KEY_TYPES = ("ed25519", "ecdsa", "rsa")
_SERVICE = ("CurrentControlSet", "Services", "sshd")
_OURS = (
    # The service that answers SSH starts by itself.
    Setting("SYSTEM", _SERVICE, "Start", 4, (2).to_bytes(4, "little")),
    # Setup looks here first of all: nothing on a stick or left in the image comes before our answers.
    Setting("SYSTEM", ("Setup",), "UnattendFile", 1, "C:\\Windows\\Panther\\unattend.xml\0".encode("utf-16-le")),
)
# Keys only, for one account. Rights on the files are held by sshd itself: it takes none that others may write.
_SSHD = """\
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
StrictModes yes
AllowUsers {account}
AuthorizedKeysFile __PROGRAMDATA__/ssh/administrators_authorized_keys
Subsystem sftp sftp-server.exe
"""


def personalise(device: Path, order: Order, identity: Mapping[str, object]) -> tuple[str, ...]:
    """Make the Windows on the partition `device` the one of the PC in the order, whose signature was checked.

    The file system fills the partition afterwards. `identity` is what the PC will state about its image. Returns the
    public lines of its new SSH host keys. Raises `LabError`; what was begun must not be started then: carried out
    again, the order writes the image anew.
    """
    settings = [*wanted(order), *_OURS]
    ntfs.grow(device)
    with ntfs.mounted(device) as root:
        places = hives_of(root, settings)
        check_windows(places, root)
        hive.apply(places, settings)
        _put_answers(root, answers.complete(order.personal.unattend))
        lines = _put_access(root, order.personal.account, order.personal.keys)
        _put_identity(root, {**identity, "policies": len(settings)})
    read_back(device, settings)
    return lines


def wanted(order: Order) -> list[Setting]:
    """The values for the registry that the order asks for.

    Raises `LabError` for an order that no Windows can be made of; to be asked before anything is written.
    """
    try:
        settings = [Setting.read(policy) for policy in order.personal.policies]
        answers.check(order.personal.unattend, order.personal.hostname)
    except FormatError as error:
        raise LabError(f"the order can't be carried out on Windows: {error}", where=order.id) from error
    return settings


def read_back(device: Path, settings: Sequence[Setting]) -> None:
    """Mount the partition anew, for reading, and raise `LabError` unless every setting is there."""
    with ntfs.mounted(device, write=False) as root:
        lost = hive.missing(hives_of(root, settings), settings)
    if lost:
        raise LabError(f"{len(lost)} registry values did not stay, such as {lost[0].place}", where=str(device))
    ntfs.inspect(device)
    ntfs.check_second_boot_sector(device)


def hives_of(root: Path, settings: Sequence[Setting]) -> dict[str, Path]:
    """Where the hives lie that the settings are for, and those that every Windows has. Raises `LabError`."""
    wanted = {"SOFTWARE", "SYSTEM"} | {setting.hive for setting in settings}
    found = {name: ntfs.find(root, *HIVES[name]) for name in sorted(wanted)}
    lacking = next((name for name, place in found.items() if place is None), None)
    if lacking:
        raise LabError("this Windows has no such registry hive", where="\\".join(HIVES[lacking]))
    return {name: place for name, place in found.items() if place is not None}


def check_windows(places: Mapping[str, Path], root: Path) -> None:
    """Raises `LabError` unless this Windows takes an answer file, and can be reached once it runs."""
    state = hive.Hive(places["SOFTWARE"]).text(SETUP_STATE, "ImageState")
    reachable = hive.Hive(places["SYSTEM"]).has_key(_SERVICE)
    if state != GENERALIZED:
        raise LabError(
            f"this Windows was not prepared for copies of it (its state is {state or 'unknown'})",
            next_command="in it: sysprep /generalize /oobe /shutdown",
        )
    if not reachable or ntfs.find(root, "Windows", "System32", "OpenSSH", "sshd.exe") is None:
        raise LabError(
            "this Windows has no OpenSSH server: nobody could reach it",
            next_command="in it: Add-WindowsCapability -Online -Name OpenSSH.Server~~~~0.0.1.0",
        )


def _put_answers(root: Path, content: bytes) -> None:
    panther = ntfs.folder(root, "Windows", "Panther")
    for name in ("unattend.xml", "autounattend.xml"):
        # Of whoever made the image; Setup would look there as well.
        old = ntfs.find(panther, "Unattend", name)
        if old is not None:
            old.unlink()
    ntfs.put(panther / "unattend.xml", content)


def _put_access(root: Path, account: str, keys: Sequence[str]) -> tuple[str, ...]:
    """Keys that may log in, and this PC's own: made here, none that came with the image stays."""
    place = ntfs.folder(root, "ProgramData", "ssh")
    ntfs.restrict(place, readable=True)
    for old in list(place.iterdir()):
        if old.name.casefold().startswith("ssh_host_"):
            old.unlink()
    authorized = "".join(f"{key}\n" for key in keys)
    ntfs.put(place / "administrators_authorized_keys", authorized.encode("ascii"))
    ntfs.put(place / "sshd_config", _SSHD.format(account=account).encode("ascii"), readable=True)
    lines = []
    with tempfile.TemporaryDirectory(prefix="lab-keys-") as folder:
        for kind in KEY_TYPES:
            secret = Path(folder, f"ssh_host_{kind}_key")
            made = run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(secret)])
            if made.code:
                raise LabError(f"no SSH host key can be made: {made.error_text}")
            public = secret.with_suffix(".pub").read_bytes()
            ntfs.put(place / secret.name, secret.read_bytes())
            ntfs.put(place / f"{secret.name}.pub", public, readable=True)
            lines.append(" ".join(public.decode("ascii").split()[:2]))
    return tuple(lines)


def _put_identity(root: Path, identity: Mapping[str, object]) -> None:
    text = json.dumps(identity, sort_keys=True, indent=1) + "\n"
    ntfs.put(ntfs.folder(root, "ProgramData", "lab") / "image.json", text.encode("utf-8"), readable=True)
