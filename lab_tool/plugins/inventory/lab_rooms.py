"""Inventory plugin `lab_rooms`: the school's rooms as Ansible hosts, groups and variables."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from lab_tool.school.ansible_view import populate
from lab_tool.school.load import load_school
from lab_tool.school.model import School
from lab_tool.school.problem import InventoryError

DOCUMENTATION = """
name: lab_rooms
short_description: The rooms of a school as hosts, groups and variables
description:
  - Reads C(site.yml), C(people.yml) and C(rooms/*.yml) of the folder that the source lies in.
  - An inventory with anything wrong in it is refused whole; C(lab rooms check) shows the same messages.
  - Values are never templates. Every one is checked against an allow-list, and is handed to Ansible as untrusted
    text, which Ansible does not template.
  - "Groups: C(campus_*), C(building_*), C(room_*), C(kind_*), C(os_*), C(profile_*) and C(ring_canary)."
  - "Variables: C(ansible_host), C(lab_room), C(lab_seat), C(lab_campus), C(lab_building), C(lab_kind), C(lab_profile),
    C(lab_os), C(lab_canary), C(lab_mac), C(lab_asset), C(lab_out_of_order), C(lab_time_zone); C(lab_address6) in rooms
    that have IPv6."
options:
  plugin:
    description: Marks the source as one for this plugin.
    required: true
    choices: [lab_rooms]
"""

EXAMPLES = """
# inventory/site.yml
plugin: lab_rooms
school: {zh: 示例中学, en: Example school}
# ... campuses, buildings, profiles, systems, log: see the file itself
"""


class InventoryModule(BaseInventoryPlugin):
    """Reads the school and hands it to Ansible."""

    NAME = "lab_rooms"

    def verify_file(self, path: str) -> bool:
        """Whether the source is a school's `site.yml`."""
        return bool(super().verify_file(path)) and Path(path).name == "site.yml"

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill `inventory`. Raises `AnsibleParserError`, after every problem was shown on a line of its own."""
        super().parse(inventory, loader, path, cache)
        refuse_to_skip_the_gate()
        with lasting_objects():
            populate(inventory, self._school(path))

    def _school(self, path: str) -> School:
        try:
            return load_school(Path(path).parent)
        except InventoryError as error:
            # Ansible would fold the lines of an exception's message into one paragraph.
            self.display.error(str(error), wrap_text=False)
            if not constants.INVENTORY_ANY_UNPARSED_IS_FAILED:
                # Without the project's ansible.cfg, Ansible would warn, do nothing and exit 0.
                raise SystemExit(1) from None
            count = len(error.problems)
            raise AnsibleParserError(f"the inventory is refused: {count} problem{'s' * (count > 1)}") from None


def refuse_to_skip_the_gate() -> None:
    """A playbook's first task asks whether the run is recorded; no option may leave it out."""
    if "always" in context.CLIARGS.get("skip_tags", ()) or context.CLIARGS.get("start_at_task"):
        raise AnsibleParserError(
            "--start-at-task and --skip-tags always leave out the task that makes sure of the record. "
            "Choose tasks with --tags"
        )


@contextmanager
def lasting_objects() -> Iterator[None]:
    """Keep the garbage collector from what is made inside: a large school is a million objects that all stay.

    Walking them again and again is a tenth of the time of `ansible-inventory --list`, and touching them takes them out
    of the memory that is shared with the workers Ansible forks.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
