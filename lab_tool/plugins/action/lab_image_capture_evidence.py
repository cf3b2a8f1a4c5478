"""Action plugin `lab_image_capture_evidence`: read back whether all that a captured PC sent is here, cell by cell."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from lab_tool.errors import LabError
from lab_tool.imaging.orders.parts import incoming, verify
from lab_tool.recording.live import tell
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_capture_evidence
short_description: Read back whether all that a captured PC sent is on the control node
description:
  - Runs on the control node, since that is where the outcome is. Every cell that the PC listed is expanded and hashed.
  - Fails, evidence and all, where the outcome is C(failed).
options:
  order: {description: The order's id.}
  read_back: {description: What the PC reported in the end; C(cells_sha256) is the SHA-256 of its table.}
  would: {description: What would be done, in check mode.}
  in_use: {description: Whether the PC was left alone because somebody works at it.}
  failure: {description: What failed before this, if anything.}
"""
VERB = "image_capture"
# What the PC reported, as far as it is kept.
TOLD = ("sent_bytes", "compared_bytes", "seconds")


class ActionModule(ActionBase):
    """Reads the control node's disk; does not connect to the PC."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{evidence: {verb, outcome, reason, values}}`; values are order, host, cells (SHA-256 of the PC's table),
        different_cells, parts, bytes (of the parts), and what the PC reported.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        outcome, reason, values = self._judge(str((task_vars or {})["inventory_hostname"]))
        evidence = {"verb": VERB, "outcome": outcome, "reason": reason, "values": values}
        failed = {"failed": True, "msg": reason} if outcome == "failed" else {}
        return {**result, **failed, "changed": False, "evidence": evidence}

    def _judge(self, host: str) -> tuple[str, str, dict[str, Any]]:
        inputs = self._task.args
        if inputs.get("failure"):
            return "failed", str(inputs["failure"]), {}
        if boolean(inputs.get("in_use", False), strict=False):
            return "deferred", "somebody is logged in", {}
        if self._task.check_mode:
            return "ok", str(inputs.get("would", "")), {}
        order, told = str(inputs["order"]), dict(inputs["read_back"])
        folder, table = incoming(Settings.from_environment(os.environ), order), str(told.get("cells_sha256", ""))
        try:
            whole = verify(folder, table, lambda done, total: tell(host, "verifying", done, total))
        except (LabError, OSError) as error:
            return "failed", str(error), {}
        found = {"different_cells": whole.cells, "parts": whole.parts, "bytes": whole.bytes}
        # The log takes whole numbers only.
        reported = {name: round(told[name]) for name in TOLD if isinstance(told.get(name), int | float)}
        return "ok", "", {"order": order, "host": host, "cells": table, **found, **reported}
