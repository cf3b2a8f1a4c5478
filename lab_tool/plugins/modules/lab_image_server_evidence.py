"""Ansible module `lab_image_server_evidence`: read back what an image server does."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_image_server import asking

DOCUMENTATION = """
module: lab_image_server_evidence
short_description: Read back what an image server does
description:
  - Asks as a PC does. Every file that is to be served is fetched over HTTP and hashed; boot files come over TFTP; the
    certificate is the one that answers; the daemon tells how many PCs it knows.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: A server that is not set up yet is no failure.
    support: full
options:
  address:
    description: The address that PCs reach it by. Without it nothing is read.
    type: str
    default: ""
  path:
    description: The folder that is served.
    type: path
    default: /srv/lab-image
  files:
    description: What is to be served; each with C(path), C(size) and C(sha256).
    type: list
    elements: dict
    default: []
  images:
    description: The images that are to be served, by id, as people name them.
    type: dict
    default: {}
  deploy_systems:
    description: Ids of the deploy systems that are to be served.
    type: list
    elements: str
    default: []
  clients:
    description: How many PCs it is to know.
    type: int
    default: 0
  dhcp:
    description: What its DHCP is to do.
    type: str
    choices: [proxy, full, none]
    default: none
  boot_files:
    description: Names of the boot files, the same over TFTP as on its disk.
    type: list
    elements: str
    default: []
  boot_folder:
    description: Where they lie on its disk.
    type: path
    default: /usr/lib/ipxe
  repaired:
    description: Files that were served and wrong, and were replaced just now.
    type: list
    elements: str
    default: []
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back what the server does
  lab_image_server_evidence:
    address: 198.51.100.20
    files: "{{ __image_server_wanted.files }}"
    clients: 30
    dhcp: proxy
"""

RETURN = """
evidence:
  description: >
    verb (C(image_server)), outcome, reason, and as values: address; pin (SHA-256 of the certificate); images (by id);
    deploy_systems; files and bytes (that were fetched and hashed); damaged and repaired (paths); clients; dhcp; free
    (bytes).
  returned: always
  type: dict
"""

SERVICES = ("lab-image-server.service", "nginx.service")
# A daemon that began a moment ago may not answer yet.
ATTEMPTS, BETWEEN = 40, 0.25
DHCP_PORTS = {"proxy": (67, 69, 4011), "full": (67, 69), "none": ()}


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    texts: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "address": text,
            "path": {"type": "path", "default": "/srv/lab-image"},
            "files": {"type": "list", "elements": "dict", "default": []},
            "images": {"type": "dict", "default": {}},
            "deploy_systems": texts,
            "clients": {"type": "int", "default": 0},
            "dhcp": {"type": "str", "choices": ["proxy", "full", "none"], "default": "none"},
            "boot_files": texts,
            "boot_folder": {"type": "path", "default": "/usr/lib/ipxe"},
            "repaired": texts,
            "failure": text,
        },
        supports_check_mode=True,
    )
    given = module.params
    values: dict[str, Any] = {}
    wrong = [given["failure"]] if given["failure"] else []
    if given["address"] and not wrong:
        wrong = _read(module, values)
    if module.check_mode and not given["failure"]:
        wrong = []
    outcome, reason = ("failed", "; ".join(wrong)) if wrong else ("ok", "")
    end(module, "image_server", outcome, reason, values)


def _read(module: Any, values: dict[str, Any]) -> list[str]:
    given, wrong = module.params, []
    values.update({name: given[name] for name in ("address", "images", "deploy_systems", "dhcp", "repaired")})
    values.update(pin="", clients=0, files=0, bytes=0, damaged=[])
    values["free"] = shutil.disk_usage(given["path"]).free if Path(given["path"]).is_dir() else 0
    services = SERVICES + (() if given["dhcp"] == "none" else ("lab-image-dhcp.service",))
    for name in services:
        code, said, _ = module.run_command(["systemctl", "is-active", name])
        if code:
            wrong.append(f"{name} is {said.strip() or 'not there'}")
    if module.check_mode and wrong:
        return wrong
    wrong += _daemon(given, values) + _boot(given)
    values["damaged"] = asking.wrong_files(given["address"], given["files"])
    values["files"] = len(given["files"]) - len(values["damaged"])
    values["bytes"] = sum(one["size"] for one in given["files"] if one["path"] not in values["damaged"])
    if values["damaged"]:
        wrong.append(
            f"{len(values['damaged'])} files are not served as they should be: {', '.join(values['damaged'][:5])}"
        )
    return wrong


def _daemon(given: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What is wrong with what the daemon says of itself."""
    said = ""
    for _ in range(ATTEMPTS):
        try:
            found = asking.status(given["address"])
            values["pin"], values["clients"] = asking.certificate(given["address"]), found["clients"]
        except (OSError, KeyError) as error:
            said = str(error)
            time.sleep(BETWEEN)
            continue
        if values["clients"] == given["clients"]:
            return []
        return [f"the daemon knows {values['clients']} PCs, and not {given['clients']}"]
    return [f"the daemon does not answer as a PC asks it: {said[:200]}"]


def _boot(given: dict[str, Any]) -> list[str]:
    """What is wrong with how a PC starts from the network."""
    wrong, address = [], given["address"]
    try:
        code, said = asking.head(address, "/boot.ipxe")
        if code != 200 or not said.startswith(b"#!ipxe"):
            wrong.append(f"the first boot script is answered by {code}")
        code, _ = asking.head(address, "/api/status")
        if code != 404:
            wrong.append("orders can be reached without TLS")
    except OSError as error:
        wrong.append(f"boot scripts are not served: {error}")
    closed = [port for port in DHCP_PORTS[given["dhcp"]] if port not in asking.udp_ports()]
    if closed:
        return [*wrong, f"nobody listens on UDP {', '.join(map(str, closed))}"]
    for name in given["boot_files"] if given["dhcp"] != "none" else []:
        try:
            same = asking.tftp(address, name) == (Path(given["boot_folder"]) / name).read_bytes()
        except OSError as error:
            wrong.append(f"{name} does not come over TFTP: {error}")
            continue
        if not same:
            wrong.append(f"{name} comes otherwise over TFTP than it lies on the disk")
    return wrong


if __name__ == "__main__":
    main()
