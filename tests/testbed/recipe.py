"""What the hosts' root file system is made of: this machine's own apt settings, a list of packages, and a script."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import packages, repository, stock
from tests.testbed.errors import RoomError
from tests.testbed.programs import run

PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "needrestart",
    "nftables",
    "openssh-server",
    "procps",
    "psmisc",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
_KEYRINGS = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}
_PREPARE = Path(__file__).with_name("prepare.sh")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Also taken over, where they are: the keys this machine's apt trusts, its passwords for mirrors, its certificates.
_TRUST = (
    "etc/apt/trusted.gpg.d",
    "etc/apt/auth.conf.d",
    "usr/local/share/ca-certificates",
    "etc/ssl/certs/ca-certificates.crt",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what comes out, but for the mirror's content.

    `sources`: the file that says where this machine's own packages come from; `options`: how its apt gets there.
    """

    distribution: str
    codename: str
    architecture: str
    sources: Path
    options: str

    @property
    def digest(self) -> str:
        """Names the result in the cache."""
        makers = (
            Path(__file__),
            _PREPARE,
            Path(packages.__file__),
            Path(repository.__file__),
            Path(stock.__file__),
            self.sources,
        )
        content = "\0".join([repr(self), *(file.read_text(encoding="utf-8") for file in makers)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def write(self, work: Path) -> None:
        """Put down in `work` all that `command` takes in."""
        demo = work / "lab-packages"
        repository.build(demo, work / "debs", self.distribution, self.codename, self.architecture)
        for name, text in (
            ("lab-demo.sources", repository.sources(self.codename)),
            ("installed", " ".join(packages.INSTALLED)),
            ("held", " ".join(packages.HELD)),
            ("stock", " ".join(stock.PACKAGES)),
            ("stock.sources", stock.sources()),
            ("stock.release", "\n".join(stock.LABELS)),
        ):
            (demo / name).write_text(f"{text.rstrip()}\n", encoding="utf-8")
        (work / "apt.conf").write_text(self.options, encoding="utf-8")

    def command(self, work: Path, target: Path) -> tuple[str | Path, ...]:
        """The program that makes the root file system `target` of what lies in `work`."""
        included = [*PACKAGES, *(_KEYRINGS[name] for name in (self.distribution,) if name in _KEYRINGS)]
        prepare = f'chroot "$1" env -i PATH={_PATH} sh /root/{_PREPARE.name} {self.codename}'
        return (
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--format=directory",
            # The demo packages' lists stay: their updates are pending from the first boot.
            "--skip=cleanup/apt/lists",
            f"--include={','.join(included)}",
            f"--aptopt={work / 'apt.conf'}",
            f"--customize-hook=copy-in {work / 'lab-packages'} /srv",
            f"--customize-hook=copy-in {_PREPARE} /root",
            f"--customize-hook={prepare}",
            f"--customize-hook={self._copy_trust()}",
            self.codename,
            target,
            self.sources,
        )

    def _copy_trust(self) -> str:
        """Shell text: what this machine trusts, and the keyrings its sources name, go into the root at $1."""
        lines = self.sources.read_text(encoding="utf-8").splitlines()
        named = " ".join(line.partition(":")[2] for line in lines if line.startswith("Signed-By:")).split()
        wanted = [*(path.lstrip("/") for path in named if path.startswith("/")), *_TRUST]
        there = " ".join(path for path in wanted if Path("/", path).exists())
        return f'tar --create --dereference --directory / {there} | tar --extract --directory "$1"' if there else "true"


def recipe_here() -> Recipe:
    """The recipe for this machine: its own distribution, release and mirror. Raises `RoomError` where apt has none."""
    release = platform.freedesktop_os_release()
    folder = Path("/etc/apt")
    names = (f"sources.list.d/{release['ID']}.sources", "sources.list")
    sources = next((folder / name for name in names if (folder / name).exists()), None)
    if sources is None:
        raise RoomError(f"{folder}: neither {' nor '.join(names)} says where this machine's own packages come from")
    architecture = run("dpkg", "--print-architecture").stdout.strip()
    return Recipe(release["ID"], release["VERSION_CODENAME"], architecture, sources, _options())


def _options() -> str:
    """How this machine's apt reaches its mirror (proxy, certificates, retries ...), as apt options."""
    dump = run("apt-config", "dump").stdout.splitlines()
    kinds = tuple(f"Acquire::{kind}" for kind in ("http", "Check-", "Retries", "ForceIPv", "Max-"))
    proxies = [
        f'Acquire::{kind}::Proxy "{url}";' for kind in ("http", "https") if (url := os.environ.get(f"{kind}_proxy"))
    ]
    own = ['Acquire::Languages "none";', 'APT::Install-Recommends "false";']
    return "\n".join([*(line for line in dump if line.startswith(kinds)), *proxies, *own, ""])
