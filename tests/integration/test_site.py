"""A room of real PCs from fresh to compliant by `lab run`: everything at once, nothing on the second run, and back."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around
from tests.integration.lockdown_room import state_of
from tests.integration.scan_room import HASHES, PLAIN, make_signatures
from tests.support.school import DIRECTOR

pytestmark = pytest.mark.hosts

STUDENTS, SERVERS = ("a301-01", "a301-02"), ("a301-03", "a301-04")
# What a student may not, and would be stopped by this room's controls from doing.
FORBIDDEN = {
    "mount a disk image": "udisksctl loop-setup --no-user-interaction --file /srv/stick.img",
    "set the host name": "hostnamectl --no-ask-password set-hostname mine",
    "install": "pkexec --disable-internal-agent apt-get install --yes rsync",
    "run from home": "cp /bin/true ~/copy && ~/copy",
    "chat": "timeout 3 bash -c '</dev/tcp/192.0.2.1/6697'",
    "kill the scanner": "pkill -x clamd",
}

# What patch, scan and backup brought along stays: their updates, and accounts of their programs.
OTHERS = re.compile(r"etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$|lab-demo-|^[a-z]")


@pytest.fixture(scope="module")
def lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> LabRoom:
    """Two students' PCs as they came, and two servers that scan and backup need, set up by approved changes."""
    pcs = room(4, name="site", names=lambda seat: f"a301-{seat:02d}")
    for host in pcs.hosts:
        host.use_stock()
    for host in pcs.hosts[:2]:
        host.run("apt-get install --yes --no-install-recommends udisks2 pkexec; truncate --size 1M /srv/stick.img")
    built = LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))
    furnish(built)
    signatures = pcs.host(SERVERS[0]).root / "srv/lab-signatures/extra"
    signatures.mkdir(parents=True)
    make_signatures(signatures)
    run(built, "signature_mirror", SERVERS[0], "signature_mirror_databases=false")
    run(built, "backup_server", SERVERS[0], "backup_server_custodian=li_na")
    run(built, "backup_server", SERVERS[1], "backup_server_custodian=wang_fang", "backup_server_off_site=true")
    return built


def furnish(lab: LabRoom) -> None:
    """Two of the room's machines are servers, and each profile has its settings."""
    path = lab.school.inventory / "rooms" / "a301.yml"
    room: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for seat in (3, 4):
        room["differences"][seat]["profile"] = "server"
    path.write_text(yaml.safe_dump(room, allow_unicode=True), encoding="utf-8")
    places = [{"name": server, "server": server, "off_site": server == SERVERS[1]} for server in SERVERS]
    mirror = lab.pcs.host(SERVERS[0]).address
    values: dict[str, dict[str, object]] = {
        "profile_student": {
            "virus_scan_mirror": f"http://{mirror}:8090",
            "virus_scan_databases": [],
            "virus_scan_extra_signatures": [HASHES, PLAIN],
            "virus_scan_engine": "daemon",
            "virus_scan_scope": "home",
            "backup_repositories": places,
            "backup_paths": ["/etc", "/srv"],
        },
        "profile_server": {"backup_server_clients": list(STUDENTS)},
    }
    for group, variables in values.items():
        file = lab.school.inventory / "group_vars" / f"{group}.yml"
        there: dict[str, object] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(yaml.safe_dump({**there, **variables}), encoding="utf-8")


def run(lab: LabRoom, verb: str, host: str, *settings: str) -> None:
    """Set something up by an approved change."""
    options = [part for setting in settings for part in ("--set", setting)]
    state = lab.json("change", "request", verb, "--host", host, *options, "--why", "The room is set up")
    lab.lab("change", "approve", state["id"], person=DIRECTOR)
    lab.lab("run", state["id"])


def everything(lab: LabRoom, *command: str, code: int = 0) -> dict[str, Any]:
    """Have it approved and run on the students' PCs; each one's outcome."""
    hosts = [part for host in STUDENTS for part in ("--host", host)]
    state = lab.json(*command, *hosts, "--why", "Term starts")
    lab.lab("change", "approve", state["id"], person=DIRECTOR)
    outcomes: dict[str, Any] = lab.json("run", state["id"], code=code)["outcomes"]
    return outcomes


def test_from_fresh_to_compliant_and_back(lab: LabRoom) -> None:
    pcs = [lab.pcs.host(name) for name in STUDENTS]
    before = [state_of(pc) for pc in pcs]
    for name, outcome in everything(lab, "change", "request", "site").items():
        assert outcome["outcome"] == "changed", (name, outcome["reason"])
        assert set(outcome["values"]) == {"patch", "virus_scan", "lockdown", "backup", "admin_password"}
    for name, outcome in everything(lab, "change", "request", "site").items():
        assert (outcome["outcome"], outcome["changed"]) == ("ok", []), (name, outcome["reason"])
    for act, text in FORBIDDEN.items():
        tried = pcs[0].run(f"runuser --login student --command '{text}'", check=False)
        assert tried.returncode != 0, f"a student can {act}"
    assert pcs[0].run("pgrep -x clamd").returncode == 0
    drift = lab.json("drift", "--host", STUDENTS[0])
    assert "lockdown" not in str([finding for finding in drift_findings(drift) if finding["kind"] == "control"])
    assert lab.json("status", "--room", "a301")
    undone = everything(lab, "undo", "lockdown")
    assert {outcome["outcome"] for outcome in undone.values()} == {"changed"}
    for pc, was in zip(pcs, before, strict=True):
        gone = set(was) - set(state_of(pc))
        assert [line for line in sorted(gone) if not OTHERS.search(line)] == []


def drift_findings(data: Any) -> list[dict[str, Any]]:
    """Every finding in the answer of `lab drift --json`."""
    if isinstance(data, dict):
        nested = [finding for value in data.values() for finding in drift_findings(value)]
        return [data, *nested] if "kind" in data else nested
    return [finding for item in data for finding in drift_findings(item)] if isinstance(data, list) else []
