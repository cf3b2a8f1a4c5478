"""Build the demo packages and the apt repository that holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tests.testbed.packages import NEW, OLD, PACKAGES, REPOSITORY, DemoPackage, Suite
from tests.testbed.programs import run


def build(folder: Path, work: Path, distribution: str, codename: str, architecture: str) -> None:
    """Fill `folder` (new) with the repository; `work` is a scratch folder. Names as in `packages`."""
    (folder / "pool").mkdir(parents=True)
    suites: dict[str, list[str]] = {name: [] for name in (codename, *(_codename(suite, codename) for suite in Suite))}
    for package in PACKAGES:
        suites[codename].append(_deb(folder, work, package, OLD))
        suites[_codename(package.suite, codename)].append(_deb(folder, work, package, NEW))
    for name, stanzas in suites.items():
        _index(folder, name, stanzas, _labels(name, distribution, codename), architecture)


def sources(codename: str) -> str:
    """The repository's sources for apt (deb822)."""
    names = " ".join([codename, *(_codename(suite, codename) for suite in Suite)])
    return f"Types: deb\nURIs: file:{REPOSITORY}\nSuites: {names}\nComponents: main\nTrusted: yes\n"


def _codename(suite: Suite, codename: str) -> str:
    return "vendor" if suite is Suite.VENDOR else f"{codename}-{suite}"


def _labels(name: str, distribution: str, codename: str) -> dict[str, str]:
    """How the distribution itself labels such a suite."""
    if name == "vendor":
        return {"Origin": "Lab Vendor", "Label": "Lab Vendor", "Suite": "vendor", "Codename": "vendor"}
    if distribution == "ubuntu":
        return {"Origin": "Ubuntu", "Label": "Ubuntu", "Suite": name, "Codename": codename}
    label = "Debian-Security" if name.endswith("-security") else "Debian"
    return {"Origin": "Debian", "Label": label, "Suite": name.replace(codename, "stable"), "Codename": name}


def _deb(folder: Path, work: Path, package: DemoPackage, version: str) -> str:
    """Build one package into the pool; its stanza for the index."""
    tree = work / f"{package.name}_{version}"
    file = folder / "pool" / f"{package.name}_{version}_all.deb"
    control = {
        "Package": package.name,
        "Version": version,
        "Architecture": "all",
        "Maintainer": "Lab testbed <testbed@localhost>",
        "Section": "misc",
        "Priority": "optional",
        **(package.fields if version == NEW else {}),
        "Description": f"demo package: {package.summary}",
    }
    stanza = _stanza(control)
    _put(tree / "DEBIAN/control", stanza)
    for path, text in package.files.items():
        _put(tree / path, text.replace("{version}", version))
    if package.conffiles:
        _put(tree / "DEBIAN/conffiles", "".join(f"{path}\n" for path in package.conffiles))
    script = package.postinst.get(version)
    if script:
        _put(tree / "DEBIAN/postinst", f'#!/bin/sh\nset -e\n[ "$1" = configure ] || exit 0\n{script}', mode=0o755)
    run("dpkg-deb", "--root-owner-group", "--build", tree, file)
    content = file.read_bytes()
    where = {"Filename": f"pool/{file.name}", "Size": len(content), "SHA256": hashlib.sha256(content).hexdigest()}
    return stanza + _stanza(where)


def _index(folder: Path, name: str, stanzas: Iterable[str], labels: dict[str, str], architecture: str) -> None:
    path = f"main/binary-{architecture}/Packages"
    listing = "\n".join(stanzas)
    _put(folder / "dists" / name / path, listing)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    head = {**labels, "Architectures": architecture, "Components": "main", "Date": "Thu, 01 Jan 2026 00:00:00 UTC"}
    release = f"{_stanza(head)}SHA256:\n {digest} {len(listing.encode())} {path}\n"
    _put(folder / "dists" / name / "Release", release)


def _stanza(fields: dict[str, object] | dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
