"""What every patch module does the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .programs import Programs

LOCK_TIMEOUT_SPEC: dict[str, Any] = {"type": "int", "default": 600}


def programs(module: Any, lock_timeout: int = 0) -> Programs:
    """Programs started through the module, as Ansible wants it: and never asking anybody anything."""

    def run(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        code, out, err = module.run_command(list(argv), environ_update=dict(environment), handle_exceptions=False)
        return int(code), str(out), str(err)

    return Programs(run, lock_timeout)
