"""A PC that a student sits at, another machine that listens, and what the student really tries over SSH."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab_tool.log.query import Query, find
from lab_tool.settings import PROJECT
from tests.integration.conftest import LabRoom
from tests.testbed.room import TestHost

AREAS = ("software", "settings", "network", "session", "power")
SCHOOL = "fd00:1ab::9"
# Addresses set aside for documentation stand for the Internet: the other machine has them too.
INTERNET, INTERNET6 = "192.0.2.1", "2001:db8::1"
CHAT, WEB, OTHER_WEB = 6697, 443, 8088

# Acts that are forbidden to a student, as shell text. What is left behind goes with the home or is named in CLEAN.
FORBIDDEN: Mapping[str, str] = {
    "set the host name": "hostnamectl --no-ask-password set-hostname mine",
    "set the time": "timedatectl --no-ask-password set-time '2020-01-01 00:00:00'",
    "set the time zone": "timedatectl --no-ask-password set-timezone Europe/Paris",
    "set the language": "localectl --no-ask-password set-locale LANG=C",
    "set the address": "ip address add 192.0.2.77/32 dev eth0",
    "set the name server": "echo nameserver 192.0.2.77 >>/etc/resolv.conf",
    "stop a service": "systemctl --no-ask-password stop cron",
    "install a package": "apt-get install --yes lab-demo-service",
    "install with pkexec": "pkexec --disable-internal-agent apt-get install --yes lab-demo-service",
    "become root": "echo pupil | sudo --stdin --prompt= id",
    "run a service as root": "systemd-run --no-ask-password --wait --uid=0 id",
    "run a copy in the home": "cp /bin/true ~/copy && ~/copy",
    "run a copy in /tmp": "cp /bin/true /tmp/copy && /tmp/copy",
    "run a copy in /var/tmp": "cp /bin/true /var/tmp/copy && /var/tmp/copy",
    "run a copy in memory": "cp /bin/true /dev/shm/copy && /dev/shm/copy",
    "run a copy in the session's memory": 'cp /bin/true "$XDG_RUNTIME_DIR/copy" && "$XDG_RUNTIME_DIR/copy"',
    "run it through the loader": "cp /bin/true ~/loaded && /lib*/ld-linux-*.so.2 ~/loaded",
    "run a program from pip": "pip install --user --quiet --no-index --break-system-packages"
    " /srv/labgame-1.0-py3-none-any.whl && ~/.local/bin/labgame",
    "load compiled code from the home": "cp /lib/*/libz.so.1 ~/libz.so && python3 -c 'import ctypes, os;"
    ' ctypes.CDLL(os.path.expanduser("~/libz.so"))\'',
    "have cron run a job": "echo '* * * * * true' | crontab -",
    "have at run a job": "echo true | at now + 1 hour",
    "outlive the session": "loginctl --no-ask-password enable-linger",
    "chat": f"python3 /srv/reach.py {INTERNET} {CHAT} && python3 /srv/reach.py {INTERNET6} {CHAT}",
    "kill the scanner": "kill -9 $(systemctl show --property=MainPID --value lab-scanner)",
}
# Those that the system forbids by itself, whatever the role does.
ALWAYS = {"set the address", "set the name server", "install a package", "kill the scanner"}
# polkit refuses these also before, but only for want of a password: what it says tells the two apart.
BY_PASSWORD = {
    "set the host name",
    "set the time",
    "set the time zone",
    "set the language",
    "stop a service",
    "install with pkexec",
    "run a service as root",
}
ALLOWED: Mapping[str, str] = {
    "run a script": "echo 'print(6 * 7)' >~/hello.py && [ $(python3 ~/hello.py) = 42 ]",
    "write a file": "date >~/notes && cat ~/notes",
    "browse": f"python3 /srv/reach.py {INTERNET} {WEB} && python3 /srv/reach.py {INTERNET6} {WEB}",
}
CLEAN = "crontab -u student -r; rm -f /var/spool/cron/atjobs/a*"

_REACH = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).recv(2) == b"ok" or sys.exit("no answer")
"""
_LISTEN = f"""
import socketserver, threading, time
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"ok")
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address = 10, True
for port in {CHAT}, {WEB}, {OTHER_WEB}:
    threading.Thread(target=Server(("::", port), Answer).serve_forever).start()
"""
_WHEEL = """
import zipfile
about = "labgame-1.0.dist-info/"
with zipfile.ZipFile("/srv/labgame-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("labgame.py", "def play():\\n    print('you win')\\n")
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: labgame\\nVersion: 1.0\\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(about + "entry_points.txt", "[console_scripts]\\nlabgame = labgame:play\\n")
    wheel.writestr(about + "RECORD", "")
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one act."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class StudentRoom:
    """The student's PC, the machine beside it, and the role."""

    lab: LabRoom

    @property
    def pc(self) -> TestHost:
        """Where the student sits."""
        return self.lab.hosts[0]

    @property
    def other(self) -> TestHost:
        """The machine that listens, on an address of the school and on the Internet's."""
        return self.lab.hosts[1]

    def prepare(self) -> None:
        """Packages, listeners, addresses, and an account that can log in and that somebody made an administrator."""
        self.pc.use_stock()
        self.pc.run("apt-get install --yes --no-install-recommends at cron pkexec polkitd python3-pip")
        for address in (f"{SCHOOL}/64 nodad", INTERNET, f"{INTERNET6} nodad"):
            self.other.run(f"ip address add dev eth0 {address}")
        self.wire()
        self.put(self.other, "/srv/listen.py", _LISTEN)
        self.other.run("systemd-run --quiet --unit=lab-listen python3 /srv/listen.py")
        self.put(self.pc, "/srv/reach.py", _REACH)
        self.put(self.pc, "/srv/wheel.py", _WHEEL)
        public = self.key.with_suffix(".pub").read_text(encoding="ascii")
        self.put(self.pc, "/etc/ssh/lab-keys/student", public)
        keys = "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/lab-keys/%u\n"
        self.put(self.pc, "/etc/ssh/sshd_config.d/10-test.conf", keys)
        self.pc.run(
            """
            python3 /srv/wheel.py; systemctl reload ssh; usermod --append --groups sudo student
            echo student:pupil | chpasswd
            systemd-run --quiet --unit=lab-scanner sleep infinity
            """
        )

    def wire(self) -> None:
        """The student's PC has IPv6 too, and its way to the Internet; neither outlives a boot."""
        self.pc.run(
            "ip address add dev eth0 fd00:1ab::8/64 nodad; "
            f"ip route add {INTERNET} dev eth0; ip route add {INTERNET6} dev eth0"
        )

    @property
    def key(self) -> Path:
        """The student's key: the room's own."""
        return self.lab.pcs.private_key

    @staticmethod
    def put(host: TestHost, path: str, text: str) -> None:
        """Write a file on a host, from outside."""
        file = host.root / path.lstrip("/")
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text, encoding="utf-8")

    def student(self, text: str) -> subprocess.CompletedProcess[str]:
        """Log the student in over SSH and run shell text; the session ends with it."""
        return subprocess.run(
            self._ssh(),
            input=text,
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def sitting(self, text: str) -> Iterator[None]:
        """Meanwhile the student is logged in, and has run shell text."""
        with subprocess.Popen(self._ssh(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as session:
            assert session.stdin
            session.stdin.write(f"{text}\n")
            session.stdin.flush()
            yield
            session.kill()

    def _ssh(self) -> list[str]:
        options = ("-o", f"UserKnownHostsFile={self.lab.pcs.known_hosts}", "-o", "BatchMode=yes", "-i", str(self.key))
        return ["ssh", *options, f"student@{self.pc.address}", "bash -s"]

    def tries(self, acts: Mapping[str, str]) -> dict[str, Tried]:
        """Let the student try each act, in one session."""
        script = "".join(
            f'said=$( ( {text} ) 2>&1 </dev/null | base64 --wrap=0; exit ${{PIPESTATUS[0]}} ); echo "$? $said"\n'
            for text in acts.values()
        )
        done = self.student(f"export LC_ALL=C.UTF-8\n{script}")
        lines = [line.partition(" ") for line in done.stdout.splitlines()]
        assert len(lines) == len(acts), done.stdout + done.stderr
        # One of the acts, and where it is not forbidden the session would never end.
        self.pc.run("loginctl disable-linger student", check=False)
        self.gone()
        return {
            name: Tried(int(code), base64.b64decode(said).decode(errors="replace"))
            for name, (code, _, said) in zip(acts, lines, strict=True)
        }

    def gone(self) -> None:
        """Wait until the student's last session has ended, and what its end sets off."""
        state = "systemctl show --property=ActiveState --value user-runtime-dir@$(id --user student).service"
        self.pc.run(f'for i in $(seq 300); do [ "$({state})" != inactive ] || exit 0; sleep 0.1; done; exit 1')

    def play(self, playbook: str, *options: str, **settings: object) -> Mapping[str, Any]:
        """Run a playbook on the student's PC; outcome and evidence as the log has them."""
        given = {"lockdown_controls": dict.fromkeys(foreign(), False), **settings}
        done = self.lab.school.playbook(
            f"playbooks/{playbook}.yml", "--limit", self.pc.name, "-e", json.dumps(given), *options
        )
        run, log = self.lab.last_run(), self.lab.school.state / "log"
        outcomes = find(log, Query(run=run, kinds=("run.finished",)))[0].body["outcomes"]
        evidence = find(log, Query(run=run, kinds=("evidence.read",)))
        assert evidence, done.stdout + done.stderr
        return {**outcomes[self.pc.name], **evidence[-1].body["evidence"]["values"]}


def foreign() -> Iterable[str]:
    """Controls of other areas, which have tests of their own."""
    for file in sorted((PROJECT / "roles/lockdown/vars/controls").glob("*.yml")):
        if file.stem not in (*AREAS, "shared"):
            yield from yaml.safe_load(file.read_text(encoding="utf-8"))[f"__lockdown_{file.stem}"]
