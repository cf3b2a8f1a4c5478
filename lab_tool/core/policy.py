"""The variables of hosts as Ansible sees them, as digests: they hold whatever a school puts into `group_vars`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab_tool import process
from lab_tool.core.playbook import environment
from lab_tool.errors import LabError, UsageError
from lab_tool.settings import Settings

# What tells one machine from another, and how it is reached: in a plan as it is.
IDENTITY = frozenset({"ansible_host", "lab_address6", "lab_asset", "lab_mac", "lab_seat"})
# What is told apart beforehand: a machine out of order is in no plan.
LEFT_OUT = frozenset({"lab_out_of_order"})
UNSAFE = "__ansible_unsafe"


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """One host: which machine it is, and the digest (SHA-256, hexadecimal) of every other variable it has."""

    identity: Mapping[str, str]
    digest: str


def policies(settings: Settings, hosts: tuple[str, ...], gathers: tuple[str, ...] = ()) -> dict[str, HostPolicy]:
    """The policy of each host, from one call of `ansible-inventory`; what it `gathers` are variables of all others.

    Raises `LabError` when Ansible can't read the inventory, `UsageError` when it does not know a host.
    """
    variables = _known_variables(settings, hosts)
    gathered = {
        host: found
        for host, known in variables.items()
        if (found := {name: known[name] for name in gathers if name in known})
    }
    more = {"lab_gathered": gathered} if gathers else {}
    return {host: _policy({**variables[host], **more}) for host in hosts}


def variables_of(settings: Settings, hosts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every variable of each host, as Ansible sees them; values that hold text are plain.

    Raises as `policies` does.
    """
    variables = _known_variables(settings, hosts)
    return {host: {name: _plain(value) for name, value in variables[host].items()} for host in hosts}


def inventory_files(settings: Settings, rooms: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 (hexadecimal) of the files that variables of these rooms come from, to name the one that moved."""
    folder = settings.inventory
    files = [folder / "site.yml", *(folder / "rooms" / f"{room}.yml" for room in rooms)]
    files += (folder / "group_vars").rglob("*")
    return {
        f"inventory/{path.relative_to(settings.inventory).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def _known_variables(settings: Settings, hosts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    variables = _host_variables(settings)
    unknown = [host for host in hosts if host not in variables]
    if unknown:
        raise UsageError(f"Ansible knows no host {', '.join(unknown[:10])}", next_command="ansible-inventory --graph")
    return variables


def _policy(variables: Mapping[str, Any]) -> HostPolicy:
    rest = {name: value for name, value in variables.items() if name not in IDENTITY | LEFT_OUT}
    # Not canonical JSON, which has no floats; this one is written and compared on one machine.
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    identity = {name: _text(variables[name]) for name in sorted(IDENTITY & variables.keys())}
    return HostPolicy(identity, hashlib.sha256(text.encode()).hexdigest())


def _text(value: Any) -> str:
    """A plain value; Ansible wraps those that it must not read as templates."""
    return str(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value[UNSAFE] if UNSAFE in value else {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _host_variables(settings: Settings) -> dict[str, dict[str, Any]]:
    """Variables by host: those of the inventory, and of the folders beside the playbooks."""
    inventory, playbooks = settings.inventory / "site.yml", settings.project / "playbooks"
    done = process.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "inventory",
            "--list",
            "-i",
            str(inventory),
            "--playbook-dir",
            str(playbooks),
        ],
        env=environment(settings, "", os.environ),
        cwd=settings.project,
    )
    if done.code != 0:
        raise LabError(f"Ansible can't read the inventory: {done.error_text}", next_command="lab rooms check")
    variables: dict[str, dict[str, Any]] = json.loads(done.out)["_meta"]["hostvars"]
    return variables
