"""What the deploy system consists of. All of it comes from the distribution's own packages."""

from __future__ import annotations

PACKAGES = (
    "btrfs-progs",
    "busybox",
    "dosfstools",
    "e2fsprogs",
    "efibootmgr",
    "fdisk",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "kmod",
    "libhivex-bin",
    "linux-image-amd64",
    "mount",
    "mtools",
    "ntfs-3g",
    "openssh-client",
    "partclone",
    "parted",
    "python3-hivex",
    "python3-minimal",
    "python3-zstandard",
    "shim-signed",
    "util-linux",
    "xfsprogs",
)
# Programs that the client starts; for those not named here there is busybox.
PROGRAMS = (
    "/bin/btrfs",
    "/bin/busybox",
    "/bin/efibootmgr",
    "/bin/findmnt",
    "/bin/kmod",
    "/bin/lsblk",
    "/bin/mount",
    "/bin/ntfs-3g",
    "/bin/ntfs-3g.probe",
    "/bin/ntfsfix",
    "/bin/umount",
    "/sbin/blkdiscard",
    "/sbin/blkid",
    "/sbin/blockdev",
    "/sbin/dumpe2fs",
    "/sbin/e2fsck",
    "/sbin/losetup",
    "/sbin/mke2fs",
    "/sbin/mkfs.btrfs",
    "/sbin/mkfs.ext4",
    "/sbin/mkfs.fat",
    "/sbin/mkfs.vfat",
    "/sbin/mkfs.xfs",
    "/sbin/mkswap",
    "/sbin/mount.ntfs-3g",
    "/sbin/ntfsresize",
    "/sbin/partprobe",
    "/sbin/resize2fs",
    "/sbin/sfdisk",
    "/sbin/tune2fs",
    "/sbin/wipefs",
    "/sbin/xfs_repair",
    "/usr/bin/hivexget",
    "/usr/bin/hivexsh",
    "/usr/bin/mtools",
    "/usr/bin/partx",
    "/usr/bin/python3.11",
    "/usr/bin/ssh-keygen",
    "/usr/sbin/partclone.btrfs",
    "/usr/sbin/partclone.ext4",
    "/usr/sbin/partclone.ntfs",
    "/usr/sbin/partclone.vfat",
    "/usr/sbin/partclone.xfs",
    "/usr/sbin/xfs_admin",
    "/usr/sbin/xfs_db",
    "/usr/sbin/xfs_growfs",
)
# Names under which a program is also called.
LINKS = {
    "/init": "usr/lib/lab/init",
    "/usr/bin/python3": "python3.11",
    "/usr/sbin/mount.ntfs": "mount.ntfs-3g",
    **{f"/usr/sbin/{name}": "../bin/kmod" for name in ("lsmod", "modprobe")},
    # After merging /bin into /usr/bin these stand where scripts look for them.
    **{
        f"/usr/bin/{name}": "busybox"
        for name in (
            *("ash", "awk", "basename", "cat", "chmod", "chroot", "cp", "cut", "date", "dd", "df", "dirname", "dmesg"),
            *("echo", "env", "expr", "false", "find", "grep", "head", "hostname", "id", "kill", "ln", "ls", "mkdir"),
            *("mknod", "mktemp", "mv", "printf", "ps", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "sh"),
            *("sleep", "sort", "stat", "stty", "sync", "tail", "tee", "test", "timeout", "touch", "tr", "true"),
            *("uname", "uniq", "wc", "wget", "xargs"),
        )
    },
    **{
        f"/usr/sbin/{name}": "../bin/busybox"
        for name in ("halt", "hwclock", "ip", "poweroff", "reboot", "swapoff", "sysctl", "udhcpc")
    },
}
# What programs read: sizes and features of new file systems, where libraries for character sets lie.
SETTINGS = (
    "/etc/mke2fs.conf",
    "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/gconv-modules-extra.conf",
)
# Loaded by name while a program runs, so that no list of what it is linked with shows them.
LIBRARIES = (
    "/lib/x86_64-linux-gnu/libgcc_s.so.1",
    # The character sets of a Windows registry; that of names on an EFI partition, for mtools.
    "/usr/lib/x86_64-linux-gnu/gconv/IBM850.so",
    "/usr/lib/x86_64-linux-gnu/gconv/ISO8859-1.so",
    "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
)
# Below kernel/ in the modules' folder: a file, or all of a folder. What they need comes along.
MODULES = (
    "arch/x86/crypto/crc32c-intel.ko",
    "arch/x86/crypto/crct10dif-pclmul.ko",
    "crypto/blake2b_generic.ko",
    "crypto/crc32c_generic.ko",
    "crypto/crct10dif_generic.ko",
    "crypto/xxhash_generic.ko",
    "drivers/ata",
    "drivers/block/loop.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/char/hw_random",
    "drivers/hid/hid-generic.ko",
    "drivers/hid/usbhid/usbhid.ko",
    "drivers/hv",
    "drivers/message/fusion",
    "drivers/mmc",
    "drivers/net/ethernet",
    "drivers/net/hyperv",
    "drivers/net/mdio",
    "drivers/net/phy",
    "drivers/net/usb",
    "drivers/net/virtio_net.ko",
    "drivers/net/vmxnet3",
    "drivers/nvme/host",
    "drivers/pci/controller",
    "drivers/scsi/aacraid",
    "drivers/scsi/hpsa.ko",
    "drivers/scsi/hv_storvsc.ko",
    "drivers/scsi/isci",
    "drivers/scsi/megaraid/megaraid_sas.ko",
    "drivers/scsi/mpt3sas",
    "drivers/scsi/sd_mod.ko",
    "drivers/scsi/smartpqi",
    "drivers/scsi/virtio_scsi.ko",
    "drivers/scsi/vmw_pvscsi.ko",
    "drivers/usb/host",
    "drivers/usb/storage",
    "drivers/virtio",
    "fs/btrfs",
    "fs/efivarfs",
    "fs/ext4",
    "fs/fat",
    "fs/fuse",
    "fs/nls/nls_ascii.ko",
    "fs/nls/nls_cp437.ko",
    "fs/nls/nls_iso8859-1.ko",
    "fs/nls/nls_utf8.ko",
    "fs/xfs",
    "net/packet/af_packet.ko",
)
# Network cards of data centres, which bring large drivers of other things along.
MODULES_LEFT_OUT = (
    "drivers/net/ethernet/mellanox/mlxsw",
    "drivers/net/ethernet/netronome",
    "drivers/net/ethernet/chelsio",
    "drivers/net/usb/rndis_wlan.ko",
    "drivers/infiniband",
    "net/mac80211",
)
# Parts of Python's standard library that nothing here can want.
PYTHON_LEFT_OUT = frozenset(
    (
        *("EXTERNALLY-MANAGED", "LICENSE.txt", "__phello__", "asyncio", "curses", "dbm", "distutils"),
        *("ensurepip", "idlelib", "lib2to3", "multiprocessing", "pydoc_data", "sqlite3", "test", "tkinter"),
        *("turtledemo", "unittest", "venv", "wsgiref", "xml", "xmlrpc", "zoneinfo", "__pycache__"),
        *("aifc.py", "antigravity.py", "asynchat.py", "asyncore.py", "cProfile.py", "cgi.py", "cgitb.py"),
        *("chunk.py", "colorsys.py", "crypt.py", "doctest.py", "ftplib.py", "imaplib.py", "imghdr.py"),
        *("mailbox.py", "mailcap.py", "modulefinder.py", "netrc.py", "nntplib.py", "nturl2path.py", "pdb.py"),
        *("pickletools.py", "pipes.py", "poplib.py", "profile.py", "pstats.py", "pydoc.py", "rlcompleter.py"),
        *("sched.py", "shelve.py", "sitecustomize.py", "smtpd.py", "smtplib.py", "sndhdr.py", "sunau.py"),
        *("tabnanny.py", "telnetlib.py", "this.py", "timeit.py", "trace.py", "turtle.py", "uu.py", "wave.py"),
        *("webbrowser.py", "xdrlib.py", "zipapp.py"),
    )
)
# Character sets and modules in C, by how their names begin.
PYTHON_NAMES_LEFT_OUT = (
    *(f"encodings/{start}" for start in ("big5", "charmap", "cp1", "cp2", "cp3", "cp5", "cp6", "cp7", "cp8", "cp9")),
    *(f"encodings/{start}" for start in ("euc", "gb", "hex", "hp", "hz", "iso", "johab", "koi", "kz", "mac", "mbcs")),
    *(
        f"encodings/{start}"
        for start in ("oem", "palmos", "ptcp", "quopri", "rot", "shift", "tis", "uu", "zlib", "bz2")
    ),
    *(f"lib-dynload/{start}" for start in ("_codecs_", "_test", "_xx", "xx", "_sqlite", "_curses", "_tkinter", "_dbm")),
    *(f"lib-dynload/{start}" for start in ("_gdbm", "audioop", "ossaudiodev", "nis", "_crypt", "_asyncio", "_multi")),
    *(f"config-3.11{end}" for end in ("/", "-")),
)
# This project's own code that runs on the PC.
CODE = (
    "__init__.py",
    "canonical.py",
    "errors.py",
    "process.py",
    "signature.py",
    "school/__init__.py",
    "school/model.py",
    "imaging/__init__.py",
    "imaging/pinned.py",
    "imaging/build/__init__.py",
    "imaging/build/used.py",
    "imaging/format",
    "imaging/deploy",
)
