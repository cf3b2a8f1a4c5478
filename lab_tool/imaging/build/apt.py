"""How this control node's own apt gets packages: builders of images go the same way. No mirror is named anywhere."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.process import run

_FOLDER = Path("/etc/apt")
_STATED = re.compile(r"Acquire::(?:https?|Check-|Retries|ForceIPv|Max-|AllowInsecure)")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_OPTIONS = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Apt:
    """`sources` is a text for apt, as deb822 where `deb822`, else one line each; `options` an apt.conf."""

    sources: str
    deb822: bool
    options: str

    @property
    def file_name(self) -> str:
        """What the file of the sources must be called, so that apt reads it as what it is."""
        return "machine.sources" if self.deb822 else "machine.list"


def apt_here(suite: str, components: Sequence[str], folder: Path = _FOLDER) -> Apt:
    """The way to packages of the release `suite`, with the components where any are named. Raises `LabError`."""
    release = platform.freedesktop_os_release()
    own = release.get("VERSION_CODENAME", "")
    names = (f"sources.list.d/{release['ID']}.sources", "sources.list")
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        what = f"neither {' nor '.join(names)} says where this machine's own packages come from"
        raise LabError(what, where=str(folder), next_command="apt-get update")
    deb822 = found.suffix == ".sources"
    text = found.read_text(encoding="utf-8")
    lines = _stanzas(text, own, suite, components) if deb822 else _lines(text, own, suite, components)
    return Apt("\n".join(lines) + "\n", deb822, _options())


def without_passwords(sources: str) -> str:
    """Sources as they may lie on every PC."""
    return _PASSWORD.sub("", sources)


def _stanzas(text: str, own: str, suite: str, components: Sequence[str]) -> Iterator[str]:
    for stanza in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in stanza.splitlines() if ":" in line and not line.startswith("#"))
        suites = fields.get("Suites", "").split()
        if not any(_is_own(word, own) for word in suites):
            yield from (*stanza.splitlines(), "")
            continue
        for line in stanza.splitlines():
            key = line.partition(":")[0]
            if key == "Suites":
                yield f"Suites: {' '.join(_suite(word, own, suite) for word in suites)}"
            elif key == "Components" and components:
                yield f"Components: {' '.join(components)}"
            else:
                yield line
        yield ""


def _lines(text: str, own: str, suite: str, components: Sequence[str]) -> Iterator[str]:
    for line in text.splitlines():
        options = _OPTIONS.search(line)
        words = _OPTIONS.sub("", line, count=1).split()
        if len(words) < 4 or words[0] not in ("deb", "deb-src"):
            continue
        kind, url, named, *stated = words
        middle = [options[0]] if options else []
        wanted = components if _is_own(named, own) and components else stated
        yield " ".join([kind, *middle, url, _suite(named, own, suite), *wanted])


def _is_own(word: str, own: str) -> bool:
    """Whether a suite is of this machine's release, such as its updates."""
    rest = word.removeprefix(own)
    return bool(own) and rest != word and (not rest or rest.startswith(("-", "/")))


def _suite(word: str, own: str, suite: str) -> str:
    """`bookworm-security` becomes that of the other release."""
    return suite + word.removeprefix(own) if _is_own(word, own) else word


def _options() -> str:
    """Proxies, certificates, retries."""
    dump = run(["apt-config", "dump"]).out.decode(errors="replace").splitlines()
    proxies = [
        f'Acquire::{kind}::Proxy "{url}";' for kind in ("http", "https") if (url := os.environ.get(f"{kind}_proxy"))
    ]
    own = ['Acquire::Languages "none";', 'APT::Install-Recommends "false";']
    return "\n".join([*(line for line in dump if _STATED.match(line)), *proxies, *own, ""])
