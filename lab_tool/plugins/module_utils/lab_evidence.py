"""How a module that reads an outcome back ends: the same for every verb, since the log is judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def end(module: Any, verb: str, outcome: str, reason: str, values: Mapping[str, Any]) -> None:
    """End `module` with its evidence; it fails, evidence and all, where the outcome is `failed`."""
    evidence = {"verb": verb, "outcome": outcome, "reason": reason, "values": values}
    if outcome == "failed":
        module.fail_json(msg=reason, evidence=evidence)
    module.exit_json(changed=False, evidence=evidence)
