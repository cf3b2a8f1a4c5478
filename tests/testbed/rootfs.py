"""The root file system that all hosts share: built once from this machine's own apt settings, then only read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import packages, repository
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
_PREPARE = Path(__file__).with_name("prepare.sh")
_UNUSED_DAYS = 30
# Should the builder be killed, so is everything that mmdebstrap started; else it would go on writing into the cache.
_CONTAINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what comes out, but for the mirror's content."""

    distribution: str
    codename: str
    architecture: str
    sources: Path
    options: str

    @property
    def digest(self) -> str:
        """Names the result in the cache."""
        own = [*PACKAGES, repr(self), self.sources.read_text(encoding="utf-8")]
        files = [_PREPARE, Path(packages.__file__), Path(repository.__file__), Path(__file__)]
        content = "\0".join([*own, *(file.read_text(encoding="utf-8") for file in files)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def base() -> Path:
    """The root file system, built first when the cache (`LAB_TESTBED_CACHE`) has none of this recipe: about a minute.

    Raises `RoomError`.
    """
    cache = Path(os.environ.get("LAB_TESTBED_CACHE") or "/var/cache/lab-testbed").absolute()
    recipe = _recipe()
    result = cache / recipe.digest
    cache.mkdir(parents=True, exist_ok=True)
    with _one_builder(cache):
        if not result.exists():
            _build(recipe, cache, result)
        os.utime(result)
    return result / "root"


def _recipe() -> Recipe:
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


@contextmanager
def _one_builder(cache: Path) -> Iterator[None]:
    """Two builders at once: the second waits, and finds the first one's work."""
    handle = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(recipe: Recipe, cache: Path, result: Path) -> None:
    _sweep(cache)
    work = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        repository.build(
            work / "lab-packages", work / "debs", recipe.distribution, recipe.codename, recipe.architecture
        )
        _put(work / "lab-packages/lab-demo.sources", repository.sources(recipe.codename))
        _put(work / "lab-packages/installed", " ".join(packages.INSTALLED))
        _put(work / "lab-packages/held", " ".join(packages.HELD))
        _put(work / "apt.conf", recipe.options)
        (work / "new").mkdir()
        keyring = "ubuntu-keyring" if recipe.distribution == "ubuntu" else "debian-archive-keyring"
        run(
            *_CONTAINED,
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--format=directory",
            "--skip=cleanup/apt/lists",
            f"--include={','.join([*PACKAGES, keyring])}",
            f"--aptopt={work / 'apt.conf'}",
            f"--customize-hook=copy-in {work / 'lab-packages'} /srv",
            f"--customize-hook=copy-in {_PREPARE} /root",
            f'--customize-hook=chroot "$1" env -i PATH={_PATH} sh /root/prepare.sh {recipe.codename}',
            f"--customize-hook={_copy_trust(recipe.sources)}",
            recipe.codename,
            work / "new" / "root",
            recipe.sources,
            timeout=1800,
        )
        (work / "new").rename(result)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy_trust(sources: Path) -> str:
    """Shell text: what this machine trusts (the keyrings its sources name, its CAs) goes into the root at $1."""
    named = [
        line.split(":", 1)[1].split()
        for line in sources.read_text("utf-8").splitlines()
        if line.startswith("Signed-By:")
    ]
    keyrings = [path for paths in named for path in paths if path.startswith("/")]
    wanted: list[str | Path] = [
        *keyrings,
        "/etc/apt/trusted.gpg.d",
        "/etc/apt/auth.conf.d",
        "/usr/local/share/ca-certificates",
        _CA_BUNDLE,
    ]
    there = " ".join(str(Path(path).relative_to("/")) for path in wanted if Path(path).exists())
    return f'tar --create --dereference --directory / {there} | tar --extract --directory "$1"'


def _sweep(cache: Path) -> None:
    """Remove what a killed builder left, and what nobody used for a month. Hold the cache's lock."""
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    for path in cache.iterdir():
        old = time.time() - path.stat().st_mtime > _UNUSED_DAYS * 86400
        if path.is_dir() and (path.name.startswith("building-") or old) and str(path) not in mounted:
            shutil.rmtree(path, ignore_errors=True)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
