"""A Debian root file system, made of packages by mmdebstrap as this control node's own apt gets them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from lab_tool.imaging.build.apt import Apt, apt_here, without_passwords
from lab_tool.imaging.build.programs import tool
from lab_tool.imaging.build.recipe import DebianShape, Recipe
from lab_tool.imaging.build.tidy import write

# The date that programs write into what they make while packages are set up: a fixed one, so that they make it again.
INSTALL_EPOCH = 1_577_836_800
# What a PC needs to start from this tree, to be reached and to be run by Ansible.
_BASE = (
    "ca-certificates",
    "dbus",
    "e2fsprogs",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
    "zstd",
)
_FILE_SYSTEM = {"ext4": (), "xfs": ("xfsprogs",), "btrfs": ("btrfs-progs",)}
_KEYRINGS = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}
# Who else may look after the network; systemd-networkd does where none of them is installed.
_PREPARE = """set -eu
[ -e /usr/sbin/ifup ] || [ -e /usr/sbin/NetworkManager ] || systemctl enable systemd-networkd.service
systemctl enable ssh.service
for name in vmlinuz initrd.img; do
  [ -e "/$name" ] || ln -s "boot/$(ls /boot | grep "^$name-" | sort -V | tail -n 1)" "/$name"
done
test -e /vmlinuz && test -e /initrd.img
rm -f /vmlinuz.old /initrd.img.old
"""
_NAMESPACE = uuid.UUID("5b0d3c5e-6f0e-5d0b-9f1e-1d9a3f5c7a11")


def uuid_of(image: str, what: str) -> str:
    """The id of one of an image's file systems: the same in all its versions."""
    return str(uuid.uuid5(_NAMESPACE, f"{image}/{what}"))


def packages_of(recipe: Recipe, base: Sequence[str] = _BASE) -> list[str]:
    """Everything that is installed by name, sorted."""
    shape = recipe.shape
    return sorted({*base, *_FILE_SYSTEM[recipe.system.fs], shape.kernel, *shape.firmware, *shape.packages})


def make_tree(
    recipe: Recipe,
    origin: DebianShape,
    tree: Path,
    work: Path,
    progress: Callable[[str], None],
    left_out: Sequence[str] = (),
    apt: Apt | None = None,
) -> None:
    """Make the root file system `tree`, which must not exist; `work` is an empty folder. `left_out` are patterns of
    paths that are not unpacked; `apt` is another way to packages than this control node's own. Raises `LabError`.
    """
    apt = apt or apt_here(origin.suite, origin.components)
    sources, options, prepare = work / apt.file_name, work / "apt.conf", work / "prepare.sh"
    sources.write_text(apt.sources, encoding="utf-8")
    options.write_text(apt.options, encoding="utf-8")
    prepare.write_text(_PREPARE, encoding="utf-8")
    progress(f"packages of {origin.suite}")
    tool(
        "mmdebstrap",
        "--mode=root",
        f"--variant={origin.variant}",
        "--format=directory",
        f"--include={','.join(packages_of(recipe))}",
        f"--aptopt={options}",
        *(f"--dpkgopt=path-exclude={path}" for path in left_out),
        f"--customize-hook=copy-in {prepare} /root",
        '--customize-hook=chroot "$1" sh /root/prepare.sh',
        '--customize-hook=rm "$1/root/prepare.sh"',
        origin.suite,
        tree,
        sources,
        what=f"the root file system of {recipe.shape.image}",
        env={"SOURCE_DATE_EPOCH": str(INSTALL_EPOCH), "HOME": "/root"},
        contained=True,
    )
    _settings(recipe, tree)


def _settings(recipe: Recipe, tree: Path) -> None:
    """What is the same on every PC of the image; what is not, the PC is told when it is written."""
    shape, system = recipe.shape, recipe.system
    passes = {"ext4": "errors=remount-ro 0 1"}.get(system.fs, "defaults 0 0")
    lines = [f"UUID={uuid_of(shape.image, 'system')} / {system.fs} {passes}"]
    if shape.swap_mib:
        lines.append(f"UUID={uuid_of(shape.image, 'swap')} none swap sw,nofail 0 0")
    write(tree / "etc/fstab", "\n".join([*lines, ""]))
    # How this control node reaches its mirror, its proxy for instance, is no PC's.
    (tree / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    for path in [tree / "etc/apt/sources.list", *sorted((tree / "etc/apt/sources.list.d").glob("*"))]:
        if path.is_file():
            write(path, without_passwords(path.read_text(encoding="utf-8")))
