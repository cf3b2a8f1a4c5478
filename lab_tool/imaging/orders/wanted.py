"""What is wanted of one PC: inputs of the role `image` and what the inventory knows, before it is an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab_tool.errors import UsageError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """`systems` are names of images, the first one starts; `versions` says which id of each. Sizes in bytes.

    To capture a PC (`action`) no image is needed, and nothing of what makes a PC this PC.
    """

    host: str
    room: str
    mac: str
    address: str
    systems: tuple[str, ...]
    versions: Mapping[str, str]
    deploy: str
    prefix: int
    gateway: str
    dns: tuple[str, ...]
    account: str
    time_zone: str
    disk: str
    data: int
    cache: int
    action: str = "image"

    @classmethod
    def read(cls, host: str, variables: Mapping[str, Any], inputs: Mapping[str, Any]) -> Wanted:
        """From Ansible's variables of the host and the role's inputs. Raises `UsageError`: something is missing."""
        where = f"inventory/rooms/{variables.get('lab_room', '')}.yml"
        mac, address = str(variables.get("lab_mac", "")), str(variables.get("ansible_host", ""))
        if not mac:
            raise UsageError(f"{host} has no MAC address: it can't be told from other PCs", where=where)
        action = str(inputs.get("action") or "image")
        systems, versions = _images(host, inputs) if action == "image" else ((), {})
        if not inputs["deploy"]:
            raise UsageError("no deploy system is named", next_command="lab image deploy-system build")
        return cls(
            host=host,
            room=str(variables.get("lab_room", "")),
            mac=mac,
            address=address,
            systems=systems,
            versions=versions,
            deploy=str(inputs["deploy"]),
            prefix=int(inputs.get("prefix") or 0),
            gateway=str(inputs.get("gateway") or ""),
            dns=tuple(str(server) for server in inputs.get("dns") or ()),
            account=str(variables.get("ansible_user", "lab-admin")),
            time_zone=str(variables.get("lab_time_zone", "UTC")),
            disk=str(inputs["disk"]),
            data=int(inputs.get("data_mib") or 0) * MIB,
            cache=int(inputs.get("cache_mib") or 0) * MIB,
            action=action,
        )


def _images(host: str, inputs: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, str]]:
    systems = tuple(str(name) for name in inputs["systems"])
    versions = {str(name): str(image) for name, image in inputs["versions"].items()}
    if not systems:
        raise UsageError(f"no image is named for {host}", next_command="see image_systems in roles/image/README.md")
    unknown = [name for name in systems if name not in versions]
    if unknown:
        raise UsageError(
            f"no version of {', '.join(unknown)} is promoted for {host}",
            next_command=f"lab image promote {unknown[0]}/VERSION --ring all --why ...",
        )
    return systems, versions
