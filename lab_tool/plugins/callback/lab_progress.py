"""Callback `lab_progress`: one JSON line an event on standard output, for `lab run` to draw from."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from ansible.plugins.callback import CallbackBase

from lab_tool.recording.live import Live

DOCUMENTATION = """
name: lab_progress
type: stdout
short_description: Events for lab run, one JSON line each
description:
  - Names of hosts and tasks and states; of results only the first line of a failure's message, which lab shows on a
    terminal and stores nowhere.
"""


class CallbackModule(CallbackBase):
    """Prints `{"event": ..., "host": ..., "task": ...}`; the recorder, not this, writes the log."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lab_progress"

    def __init__(self) -> None:
        super().__init__()
        Live.progress = os.dup(sys.stdout.fileno())

    def _say(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task begins."""
        self._say("task", task=(task.get_ds() or {}).get("name") or task.action)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A host begins a task."""
        self._say("start", host=host.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Done, with or without a change."""
        self._say("changed" if result.is_changed() else "ok", host=result.host.get_name())

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Nothing to do."""
        self._say("ok", host=result.host.get_name())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Failed."""
        message = "" if result.result.get("censored") else str(result.result.get("msg") or "")
        self._say("failed", host=result.host.get_name(), message=message.partition("\n")[0][:300])

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Not reached."""
        message = str(result.result.get("msg") or "")
        self._say("unreachable", host=result.host.get_name(), message=message.partition("\n")[0][:300])
