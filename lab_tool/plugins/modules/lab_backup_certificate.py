"""Ansible module `lab_backup_certificate`: sign a backup server's key with the school's own authority."""

from __future__ import annotations

import fcntl
import ipaddress
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: lab_backup_certificate
short_description: Sign a backup server's key with the school's own authority
description:
  - For the control node. Makes the authority the first time (C(ca.key), C(ca.crt), by openssl); a school that has one
    of its own puts it there beforehand. The server's own key never leaves the server.
  - Signs anew where the certificate is for another key or address, of another authority, or ends within 60 days.
author: lab-tool
attributes:
  check_mode:
    description: Signs nothing.
    support: full
options:
  folder:
    description: Where authority and certificates are kept.
    type: path
    required: true
  server:
    description: The inventory's name of the server.
    type: str
    required: true
  address:
    description: The address or name that PCs reach it by.
    type: str
    required: true
  request:
    description: The server's certificate request (PEM).
    type: str
    required: true
"""

EXAMPLES = """
- name: Sign the server's key
  lab_backup_certificate:
    folder: state/backup
    server: b001-01
    address: 198.51.100.20
    request: "{{ __backup_server_request.content | b64decode }}"
  delegate_to: localhost
"""

RETURN = """
certificate:
  description: The server's certificate (PEM).
  returned: success
  type: str
"""

AUTHORITY_DAYS, SERVER_DAYS, RENEW_SECONDS = "3650", "825", str(60 * 86400)
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def main() -> None:
    """Entry point."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={"folder": {"type": "path", "required": True}, "server": text, "address": text, "request": text},
        supports_check_mode=True,
    )
    given = module.params
    top = Path(given["folder"])
    certificate = top / "servers" / given["server"] / "server.crt"
    if module.check_mode:
        module.exit_json(changed=not certificate.exists(), certificate=_text(certificate))
    certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (top / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=top) as work:
        fcntl.flock(lock, fcntl.LOCK_EX)
        request = Path(work) / "request"
        request.write_text(given["request"], encoding="ascii")
        made = _authority(module, top)
        signed = not _holds(module, top, certificate, request)
        if signed:
            _sign(module, top, certificate, request)
    module.exit_json(changed=made or signed, certificate=_text(certificate))


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


def _openssl(module: Any, *arguments: str) -> str:
    code, out, err = module.run_command(["openssl", *arguments])
    if code:
        module.fail_json(msg=f"openssl {arguments[0]}: {(err.strip().splitlines() or ['no reason given'])[-1]}")
    return str(out)


def _authority(module: Any, top: Path) -> bool:
    """Make the authority where there is none; whether it was made."""
    key, certificate = top / "ca.key", top / "ca.crt"
    if certificate.exists():
        return False
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign"]
    subject = ["-subj", "/CN=lab backup authority"]
    # Whole or not at all: of half a certificate on a full disk nothing would ever come.
    new_key, new = top / "ca.key.new", top / "ca.crt.new"
    where = ["-keyout", str(new_key), "-out", str(new), "-days", AUTHORITY_DAYS]
    _openssl(module, "req", "-x509", *CURVE, *subject, *extensions, *where)
    new_key.chmod(0o600)
    new_key.replace(key)
    new.replace(certificate)
    return True


def _holds(module: Any, top: Path, certificate: Path, request: Path) -> bool:
    """Whether the certificate is of this authority, for this key and address, and has time left."""
    if not certificate.exists():
        return False
    path = str(certificate)
    of_authority = module.run_command(["openssl", "verify", "-CAfile", str(top / "ca.crt"), path])[0] == 0
    lasting = module.run_command(["openssl", "x509", "-in", path, "-noout", "-checkend", RENEW_SECONDS])[0] == 0
    kind = "-checkip" if _is_address(module.params["address"]) else "-checkhost"
    said = _openssl(module, "x509", "-in", path, "-noout", kind, module.params["address"])
    same = _openssl(module, "x509", "-in", path, "-noout", "-pubkey") == _openssl(
        module, "req", "-in", str(request), "-noout", "-pubkey"
    )
    return of_authority and lasting and "does match" in said and same


def _sign(module: Any, top: Path, certificate: Path, request: Path) -> None:
    server, address = module.params["server"], module.params["address"]
    names = f"DNS:{server}," + (f"IP:{address}" if _is_address(address) else f"DNS:{address}")
    extensions = request.with_name("extensions")
    extensions.write_text(
        f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n", encoding="ascii"
    )
    new = request.with_name("certificate")
    authority = ["-CA", str(top / "ca.crt"), "-CAkey", str(top / "ca.key"), "-CAcreateserial"]
    what = ["-in", str(request), "-out", str(new), "-days", SERVER_DAYS, "-extfile", str(extensions)]
    _openssl(module, "x509", "-req", *authority, *what)
    new.replace(certificate)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
