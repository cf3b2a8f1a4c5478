"""The description of a deploy system, `deploy.json`: what went into it, and its name made of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from lab_tool import canonical
from lab_tool.imaging.deploy_system.archive import Entry
from lab_tool.imaging.deploy_system.packages import Package


def describe(packages: Iterable[Package], kernel: bytes, entries: Mapping[str, Entry]) -> tuple[str, bytes]:
    """Its id, and what it carries about itself; `entries` are all its files but this."""
    digest = hashlib.sha256()
    for path in sorted(entries):
        entry = entries[path]
        digest.update(f"{entry.mode:o} {hashlib.sha256(entry.data).hexdigest()} {path}\n".encode())
    body: dict[str, canonical.Json] = {
        "v": 1,
        "packages": {package.name: package.version for package in packages},
        "kernel": hashlib.sha256(kernel).hexdigest(),
        "content": digest.hexdigest(),
    }
    name = hashlib.sha256(canonical.dump(body)).hexdigest()
    return name, canonical.dump({"id": name, **body})


def whole(inner: bytes, files: Mapping[str, bytes]) -> bytes:
    """What lies beside the files outside: the same, with the digest of each."""
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    return canonical.dump({**json.loads(inner), "files": digests})
