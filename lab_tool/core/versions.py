"""Which tool, which Ansible and which state of the repository a run was made with."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from lab_tool import __version__, process
from lab_tool.canonical import Json


def versions(project: Path) -> dict[str, Json]:
    """`{lab, ansible, python, commit, dirty}`; commit is empty and dirty true where there is no git to ask."""
    return {
        "lab": __version__,
        "ansible": metadata.version("ansible-core"),
        "python": platform.python_version(),
        **_git(project),
    }


def _git(project: Path) -> dict[str, Json]:
    try:
        head = process.run(["git", "rev-parse", "HEAD"], cwd=project)
        status = process.run(["git", "status", "--porcelain"], cwd=project)
    except FileNotFoundError:
        return {"commit": "", "dirty": True}
    if head.code or status.code:
        return {"commit": "", "dirty": True}
    return {"commit": head.out.decode().strip(), "dirty": bool(status.out.strip())}
