"""What a PC that starts from the network is told: to start the deploy system, or its own disk."""

from __future__ import annotations

import re

from lab_tool.imaging.server.settings import ServerSettings

_FORMS = re.compile(r"(?:[0-9a-f]{12}|(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2})")
_BIOS = "iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||\n"
# Out of the boot area of a deploy system: iPXE's own way back to UEFI hangs on some firmware.
_STARTER = "boot-area/local.efi"


def mac_of(name: str) -> str:
    """The MAC in the name of a script, with colons; empty when there is none. iPXE writes it in several ways."""
    lower = name.lower()
    if not _FORMS.fullmatch(lower):
        return ""
    digits = re.sub("[:-]", "", lower)
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def first(settings: ServerSettings) -> str:
    """The script that is the same for all: fetch one's own; who gets none starts from its disk."""
    return f"#!ipxe\nchain --replace http://{settings.address}/boot/${{netX/mac:hexhyp}}.ipxe ||\n{_local(settings)}"


def local(settings: ServerSettings) -> str:
    """Start from the disk."""
    return "#!ipxe\n" + _local(settings)


def _local(settings: ServerSettings) -> str:
    starters = sorted((settings.served / "deploy").glob(f"*/{_STARTER}"), key=lambda path: path.stat().st_mtime)
    if not starters:
        return f"{_BIOS}exit\n"
    path = starters[-1].relative_to(settings.served).as_posix()
    return f"{_BIOS}iseq ${{platform}} efi && chain http://{settings.address}/{path} ||\nexit\n"


def arguments(settings: ServerSettings, mac: str, token: str) -> str:
    """The deploy system's kernel command line for one PC."""
    own = (
        f"lab.api=https://{settings.address}:443 lab.http=http://{settings.address}:80 "
        f"lab.pin={settings.pin} lab.token={token} lab.mac={mac}"
    )
    return f"{own} {settings.arguments}".strip()


def deploy(settings: ServerSettings, deploy_system: str, line: str) -> str:
    """Start the deploy system; where that fails, ask again from the start, since the token grows old."""
    folder = f"http://{settings.address}/deploy/{deploy_system}"
    return (
        "#!ipxe\n"
        f"kernel {folder}/vmlinuz initrd=initrd.img {line} || goto again\n"
        f"initrd {folder}/initrd.img || goto again\n"
        "boot || goto again\n"
        ":again\n"
        "echo The image server did not send the deploy system. Trying again.\n"
        "sleep 10\n"
        f"chain --replace http://{settings.address}/boot.ipxe || goto again\n"
    )
