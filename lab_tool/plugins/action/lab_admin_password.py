"""Action plugin `lab_admin_password`: give a PC's local administrator a new password when it is due."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ansible.plugins.action import ActionBase

from lab_tool.clock import utc_now, utc_text
from lab_tool.core import password_store as store
from lab_tool.core.passwords import Policy, age, make, readers, shown_generations, why_due
from lab_tool.errors import LabError
from lab_tool.school.load import load_people
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_admin_password
short_description: Replace the password of a PC's local administrator when it is due
description:
  - The password is made on the control node, kept there only encrypted to its holders' keys by age, and reaches the PC
    as a hash. The encrypted file is on the disk before the PC is touched, and the one before it stays until the new one
    was read back from the PC. However a run ends, the holders have what the PC has.
  - It is due when it is older than the period, was shown, is not the one that is kept, or was for other holders.
  - Fails with a message that holds no secret.
options:
  account:
    description: The local account.
  period:
    description: Days until a password is due.
  holders:
    description: Ids of the people who may read it.
  least_holders:
    description: How many of them must be able to.
"""


class ActionModule(ActionBase):
    """Reads what the PC has, compares it with what is kept, and replaces it if that is due."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, msg, kept, fingerprint}`, where `kept` is what the evidence tells and holds no secret."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self._rotate(task_vars or {})}
        except (LabError, OSError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _rotate(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        settings = Settings.from_environment(os.environ)
        host = str(task_vars["inventory_hostname"])
        policy = Policy.read({f"admin_password_{name}": value for name, value in self._task.args.items()})
        folder, now = store.folder_of(settings, host), utc_now()
        people, zone = load_people(settings.inventory)
        who = readers(people, policy, now.astimezone(ZoneInfo(zone)).date())

        found = self._on_pc({"account": policy.account}, task_vars)
        if found.get("failed") or found.get("unreachable"):
            return found
        kept = store.generations(folder)
        mine = (one for one in kept if one.account == policy.account and one.fingerprint == found["fingerprint"])
        current = next(mine, None)
        outside = bool(kept) and current is None
        due = why_due(current, policy, who, shown_generations(settings.log, host), now)
        if outside:
            due = "the PC had another one than is kept: changed there, or set up anew"
        if current is not None and not store.is_whole(folder, current):
            due = "the encrypted file that was kept of it is gone or damaged: nobody can read it"
        if not due and current is not None:
            if not self._task.check_mode:
                store.keep_only(folder, current)
            return {"changed": False, "msg": "not due", **_told(current, policy, now, "", outside)}
        if self._task.check_mode:
            told = _told(current, policy, now, due, outside) if current else {"kept": {"due": due}}
            return {"changed": True, "msg": f"would be replaced: {due}", **told}

        made, data, hashed = make(policy, who, now)
        store.add(folder, made, data)
        done = self._on_pc({"account": policy.account, "hash": hashed}, task_vars)
        if done.get("failed") or done.get("unreachable"):
            return done
        if done["fingerprint"] != made.fingerprint:
            raise LabError("the PC does not hold the password that was set")
        store.keep_only(folder, made)
        return {"changed": True, "msg": f"replaced: {due}", **_told(made, policy, now, due, outside)}

    def _on_pc(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask or change the PC; of a result only what is known to hold no secret."""
        done = self._execute_module(module_name="lab_account_password", module_args=arguments, task_vars=task_vars)
        kept = {name: done[name] for name in ("failed", "unreachable", "fingerprint") if name in done}
        if done.get("failed") or done.get("unreachable"):
            # The connection's words, or those of our module; a module that broke may have told its arguments.
            own = "fingerprint" in done or bool(done.get("unreachable"))
            kept["msg"] = str(done.get("msg", "")) if own else "the module that reads and sets the password broke"
        elif "fingerprint" not in done:
            kept |= {"failed": True, "msg": "the PC did not say which password it has"}
        return kept


def _told(one: store.Generation, policy: Policy, now: datetime, due: str, outside: bool) -> dict[str, Any]:
    kept = {
        "generation": one.id,
        "made": utc_text(one.made),
        "age_days": age(one, now),
        "period_days": policy.period,
        "readers": len(one.readers),
        "ciphertext": one.ciphertext,
        "due": due,
        "changed_outside": outside,
    }
    return {"kept": kept, "fingerprint": one.fingerprint}
