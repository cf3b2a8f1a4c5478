"""The deploy system makes a Windows a PC's with what it carries and nothing else: its files are all there is.

Not in a virtual PC: this machine's kernel does, and what is missing in the deploy system is missing here as well.
"""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
import zstandard

from lab_tool.imaging.build.wim import draft_of_wim
from lab_tool.imaging.deploy_system.api import build_deploy_system
from lab_tool.settings import PROJECT, Settings
from lab_tool.signature import public_line
from tests.integration.windows_disk import MIB, SYSTEM, read_file, sound
from tests.integration.windows_fixtures import tools
from tests.support.windows import make_wim, make_windows, value_of
from tests.support.windows_order import order
from tests.testbed.programs import run

__all__ = ["tools"]
_NAME = 110
# In a mount namespace of its own, so that nothing stays mounted.
_INSIDE = """set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs memory "$1/tmp"
cp "$2/volume" "$2/order" "$2/client.py" "$1/tmp"
loop=$(losetup --find --show "$1/tmp/volume")
trap 'losetup --detach "$loop"' EXIT
chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin PYTHONPATH=/usr/lib/lab:/usr/lib/python3/dist-packages \
  /usr/bin/python3 -S /tmp/client.py "$loop"
cp "$1/tmp/volume" "$2/volume"
"""
_CLIENT = """
import json, sys
from pathlib import Path
from lab_tool.imaging.deploy.personal_windows import personalise
from lab_tool.imaging.format.order import Order
order = Order.parse(Path("/tmp/order").read_bytes())
print(json.dumps(personalise(Path(sys.argv[1]), order, {"name": "windows-lab"})))
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a deploy system as its kernel finds them."""
    folder = tmp_path_factory.mktemp("store")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
    settings = Settings(PROJECT, PROJECT / "inventory", folder / "state")
    made = build_deploy_system(settings, folder, signers=[public_line(folder / "key")], pins=[])
    root = folder / "root"
    _unpack((folder / "deploy" / made / "initrd.img").read_bytes(), root)
    (root / "tmp").mkdir(exist_ok=True)
    return root


def test_a_windows_becomes_this_pc_with_what_the_deploy_system_carries(system: Path, tmp_path: Path) -> None:
    make_windows(tmp_path / "tree")
    wim = make_wim(tmp_path / "tree", tmp_path / "lab.wim")
    (tmp_path / "work").mkdir()
    draft = draft_of_wim(wim, 1, tmp_path / "work", name="windows-lab", title="", size=64 * MIB)
    assert draft.partitions[0].device is not None
    volume = draft.partitions[0].device.rename(tmp_path / "volume")
    with volume.open("r+b") as opened:
        opened.truncate(96 * MIB)
    (tmp_path / "order").write_bytes(order().dump())
    (tmp_path / "client.py").write_text(_CLIENT, encoding="utf-8")
    own_mounts = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*own_mounts, "sh", "-c", _INSIDE, "sh", str(system), str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = json.loads(done.stdout)
    assert [line.split()[0] for line in lines] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    assert sound(volume)
    assert value_of(read_file(volume, SYSTEM), r"ControlSet001\Services\USBSTOR", "Start") == 4
    assert b"<ComputerName>a301-07<" in read_file(volume, "Windows/Panther/unattend.xml")
    assert lines[0] in read_file(volume, "ProgramData/ssh/ssh_host_ed25519_key.pub").decode()


def _unpack(initrd: bytes, root: Path) -> None:
    """Write the files of an initramfs (cpio, newc) below a folder."""
    root.mkdir()
    packed = zstandard.ZstdDecompressor().decompressobj().decompress(initrd)
    at = 0
    while True:
        fields = [int(packed[at + start : at + start + 8], 16) for start in range(6, _NAME, 8)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = packed[at + _NAME : at + _NAME + length - 1].decode()
        at = _aligned(at + _NAME + length)
        content = packed[at : at + size]
        at = _aligned(at + size)
        if name == "TRAILER!!!":
            return
        place = root / name
        if stat.S_ISDIR(mode):
            place.mkdir(parents=True, exist_ok=True)
        elif stat.S_ISLNK(mode):
            place.symlink_to(content.decode())
        else:
            place.write_bytes(content)
            place.chmod(stat.S_IMODE(mode))


def _aligned(place: int) -> int:
    return (place + 3) & ~3
