"""Action plugin `lab_recorded`: the first task of every playbook; fails unless the recorder is live."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from lab_tool.recording.live import Live

DOCUMENTATION = """
name: lab_recorded
short_description: Fail unless this run is being recorded
description:
  - Ansible goes on without a callback that it can't load. This task runs in a process forked from the one that loads
    the recorder, so it knows whether the recorder lives there, and stops the host before anything is changed.
"""


class ActionModule(ActionBase):
    """Asks `Live`, touches nothing and connects to nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed: false}`, or a failure."""
        super().run(tmp, task_vars)
        if not Live.run:
            raise AnsibleActionFail(
                "This run is not recorded, so it changes nothing. The callback lab_recorder is not loaded: "
                "run from the project folder with its ansible.cfg, or use `lab run`."
            )
        return {"changed": False}
