"""The least that a PC needs to start from the network: DHCP and TFTP by dnsmasq, the scripts and files by HTTP, and an
API that answers every claim with a refusal. What was asked stands in `folder`/asked, one JSON object a line.

Not the image server: that one has its own tests, and this one shows what the deploy system does by itself.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import secrets
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.testbed.places import NETNS, HostPlace
from tests.testbed.programs import run

_LOADERS = ("undionly.kpxe", "ipxe.efi", "snponly.efi")
CONSOLES = "console=ttyS0 console=tty0 quiet"


class BootServer:
    """A boot server on the address `at`, in a room's namespace, for the PCs on some seats. A context manager.

    `site` is the folder that is served below /deploy/.
    """

    def __init__(self, at: HostPlace, clients: Iterable[HostPlace], site: Path, folder: Path) -> None:
        self.folder, self.at = folder, at
        self._clients = tuple(clients)
        self._had = ""
        self._running: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "asked").touch()
        (folder / "site").mkdir()
        (folder / "site/deploy").symlink_to(site)
        run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=lab", "-days", "9", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        )
        der = ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text(encoding="ascii"))
        self.pin = hashlib.sha256(der).hexdigest()

    @property
    def url(self) -> str:
        """Where it answers by HTTP."""
        return f"http://{self.at.address}"

    def offer(self, deploy: str) -> None:
        """Have PCs start this deploy system; the empty string is for their own disk."""
        self._had = deploy or self._had
        text = json.dumps({"deploy": deploy, "had": self._had, "pin": self.pin, "address": str(self.at.address)})
        (self.folder / "offer").write_text(text, encoding="ascii")

    def asked(self, path: str) -> list[dict[str, Any]]:
        """What came in for a path, in order."""
        lines = (self.folder / "asked").read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if line["path"].startswith(path)]

    def __enter__(self) -> BootServer:
        tftp = self.folder / "tftp"
        tftp.mkdir(exist_ok=True)
        for name in _LOADERS:
            shutil.copy(Path("/usr/lib/ipxe", name), tftp / name)
        self._start("dnsmasq", *self._dnsmasq(tftp))
        self._start(sys.executable, "-m", "tests.vm.boot_server", str(self.folder), str(self.at.address))
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._running:
            program.terminate()
            program.wait()

    def _start(self, *argv: str) -> None:
        inside = ("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={NETNS / self.at.netns}")
        with (self.folder / "log").open("ab") as log:
            self._running.append(subprocess.Popen([*inside, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _dnsmasq(self, tftp: Path) -> list[str]:
        network = self.at.room.network
        return [
            *("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0"),
            *("--interface=eth0", "--bind-interfaces", "--user=root", "--log-dhcp", "--log-facility=-"),
            f"--dhcp-leasefile={self.folder / 'leases'}",
            f"--dhcp-range={network.network_address},static,{network.netmask},1h",
            f"--dhcp-option=option:router,{self.at.room.gateway}",
            *(f"--dhcp-host={client.mac},{client.address}" for client in self._clients),
            *("--dhcp-ignore=tag:!known", "--enable-tftp", f"--tftp-root={tftp}"),
            *("--dhcp-match=set:ipxe,175", "--dhcp-match=set:uefi,option:client-arch,7"),
            *("--dhcp-match=set:uefi,option:client-arch,9", f"--dhcp-boot=tag:ipxe,{self.url}/boot.ipxe"),
            *("--dhcp-boot=tag:!ipxe,tag:uefi,ipxe.efi", "--dhcp-boot=tag:!ipxe,tag:!uefi,undionly.kpxe"),
        ]


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        self._note({})
        offer = json.loads((self.folder / "offer").read_text(encoding="ascii"))
        name = self.path.removeprefix("/boot/").removesuffix(".ipxe")
        if self.path == "/boot.ipxe":
            self._say(200, f"#!ipxe\nchain --replace http://{offer['address']}/boot/${{netX/mac:hexhyp}}.ipxe\n")
        elif name != self.path and offer["deploy"]:
            self._say(200, _script(offer, name.replace("-", "").lower()))
        elif name != self.path:
            self._say(200, _local(offer))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._note(json.loads(body))
        self._say(403, json.dumps({"error": "this is no image server"}))

    def log_message(self, format: str, *words: object) -> None:
        """Nothing: what matters is noted."""

    def _note(self, body: dict[str, Any]) -> None:
        with (self.folder / "asked").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"path": self.path, "from": self.client_address[0], "body": body}) + "\n")

    def _say(self, code: int, text: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _local(offer: dict[str, str]) -> str:
    starter = f"http://{offer['address']}/deploy/{offer['had']}/boot-area/local.efi"
    bios = "iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||\n"
    return f"#!ipxe\n{bios}chain {starter}\n"


def _script(offer: dict[str, str], digits: str) -> str:
    mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    where = offer["address"]
    words = f"lab.api=https://{where}:443 lab.http=http://{where}:80 lab.pin={offer['pin']} lab.mac={mac}"
    files = f"http://{where}/deploy/{offer['deploy']}"
    return (
        f"#!ipxe\nkernel {files}/vmlinuz initrd=initrd.img {words} lab.token={secrets.token_hex(16)} {CONSOLES}\n"
        f"initrd {files}/initrd.img\nboot\n"
    )


def _serve(folder: Path, address: str) -> None:
    handler = type("Handler", (_Handler,), {"folder": folder})

    def make(*words: Any) -> http.server.BaseHTTPRequestHandler:
        made: http.server.BaseHTTPRequestHandler = handler(*words, directory=str(folder / "site"))
        return made

    plain = http.server.ThreadingHTTPServer((address, 80), make)
    closed = http.server.ThreadingHTTPServer((address, 443), make)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    closed.socket = context.wrap_socket(closed.socket, server_side=True)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    closed.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
