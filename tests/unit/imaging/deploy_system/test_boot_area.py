"""What starts a disk is told where it lies."""

from __future__ import annotations

import struct

from lab_tool.imaging.deploy.layout import GRUB_START
from lab_tool.imaging.deploy_system import boot_area


def test_the_first_sector_goes_on_with_the_core_and_the_core_with_its_rest() -> None:
    code = boot_area._boot_code(bytes(range(256)) * 2)
    assert len(code) == 440
    assert struct.unpack_from("<Q", code, 0x5C)[0] * 512 == GRUB_START
    core = boot_area._core(bytes(1300))
    assert len(core) == 1536
    assert struct.unpack_from("<Q", core, 500)[0] * 512 == GRUB_START + 512


def test_the_menu_is_looked_for_on_the_own_disk_first() -> None:
    early = boot_area._early("LABBOOT")
    assert '--hint="$disk,gpt2"' in early and early.index("regexp") < early.index("search")
