"""`lab drift` on real PCs: a clean one has no findings, each change is found by its id, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.integration.conftest import HOST_FAILED, LabRoom
from tests.support.school import AUDITOR, Seat, make_school
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts

CONTROLS = [
    control
    for path in sorted((PROJECT / "roles/lockdown/vars/controls").glob("*.yml"))
    for control in yaml.safe_load(path.read_text(encoding="utf-8")).get(f"__lockdown_{path.stem}", ())
]
# What these PCs have beside a school's. They are not locked down.
STANDARD: dict[str, Any] = {
    "drift_packages": ["lab-demo-*"],
    "drift_time_zone": "Etc/UTC",
    "lockdown_controls": dict.fromkeys(CONTROLS, False),
}
# Everything a check could have touched, with times of change; what boots and runs changes by itself is left out.
LISTING = (
    "find /etc /usr /var/lib/dpkg /var/lib/apt /var/lib/lab /home /root /boot -xdev -printf '%p %m %u %s %C@\\n' "
    "2>/dev/null || true; systemctl list-unit-files --no-legend | grep -v transient"
)


@pytest.fixture(scope="module")
def lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRoom]:
    """Three PCs, in a school that knows what they have."""
    pcs = room(3, name="drift", names=lambda seat: f"drift-{seat:02d}")
    seats = [Seat(host.name, host.address, host.mac) for host in pcs.hosts]
    folder = tmp_path_factory.mktemp("school") / "s"
    school = make_school(folder, "drift", seats, ssh_key=pcs.private_key, known_hosts=pcs.known_hosts)
    built = LabRoom(pcs, school)
    say(built, STANDARD)
    yield built


def say(lab: LabRoom, values: dict[str, Any]) -> None:
    """Give the room these variables."""
    (lab.school.inventory / "group_vars" / "room_drift.yml").write_text(yaml.safe_dump(values), encoding="utf-8")


def found(lab: LabRoom, host: TestHost) -> dict[str, dict[str, str]]:
    """The findings of a PC by id."""
    answer = lab.json("drift", "--host", host.name, person=AUDITOR)
    return {finding["id"]: finding for finding in answer["outcomes"][host.name]["values"]["findings"]}


def test_a_clean_room_has_no_findings_and_is_left_as_it_is(lab: LabRoom) -> None:
    for host in lab.hosts:
        host.wait_for_boot()
    before = listings(lab)
    answer = lab.json("drift", "--room", "drift", person=AUDITOR)
    assert {host.name: outcome_of(answer, host) for host in lab.hosts} == {host.name: ("ok", []) for host in lab.hosts}
    assert [now ^ then for now, then in zip(listings(lab), before, strict=True)] == [set(), set(), set()]
    assert not lab.entries("task.changed", run=answer["run"])
    assert lab.entries("run.started", run=answer["run"])[0].body["check"] is True


def listings(lab: LabRoom) -> list[set[str]]:
    """What is on each PC, a line each."""
    return [set(host.run(LISTING).stdout.splitlines()) for host in lab.hosts]


def outcome_of(answer: Any, host: TestHost) -> tuple[str, list[str]]:
    """Outcome and the ids of findings."""
    outcome = answer["outcomes"][host.name]
    return outcome["outcome"], [finding["id"] for finding in outcome["values"].get("findings", ())]


CHANGES = {
    "host_name": ("hostname games", "hostname drift-01"),
    "host_name:stored": ("echo games > /etc/hostname", "echo drift-01 > /etc/hostname"),
    "admin:sudo:student": ("usermod -aG sudo student", "gpasswd -d student sudo"),
    "account:mallory": ("useradd -m mallory", "userdel -r mallory 2>/dev/null"),
    "port:tcp/8080": (
        "systemd-run --unit=listener --quiet python3 -m http.server 8080 --bind ::",
        "systemctl stop listener",
    ),
    "port:udp/69": (
        "systemd-run --unit=tftp --quiet python3 -c "
        "'import socket,time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind((\"0.0.0.0\", 69)); time.sleep(999)'",
        "systemctl stop tftp",
    ),
    "package:lab-demo-editor": ("true", "true"),
    "time_zone": (
        "ln -sf /usr/share/zoneinfo/Europe/Paris /etc/localtime",
        "ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime",
    ),
    "setuid_foreign:/home/student/helper": (
        "install -m 4755 /bin/true /home/student/helper",
        "rm /home/student/helper",
    ),
    "setuid:/usr/bin/find": ("chmod u+s /usr/bin/find", "chmod u-s /usr/bin/find"),
    "address_beyond:203.0.113.9": (
        "ip address add 203.0.113.9/24 dev lo scope global",
        "ip address del 203.0.113.9/24 dev lo",
    ),
}


def test_each_change_is_found_by_its_id(lab: LabRoom) -> None:
    host = lab.hosts[0]
    # The package was there before: the school thinks otherwise now.
    say(lab, {**STANDARD, "drift_packages": ["lab-demo-[!e]*"]})
    try:
        for change, _ in CHANGES.values():
            host.run(change)
        findings = wait_for(lambda: found(lab, host), "port:tcp/8080", "port:udp/69")
        assert set(findings) == set(CHANGES)
        assert findings["port:tcp/8080"]["found"] == "python3 on ::"
        assert findings["host_name"]["found"] == "games"
        assert findings["setuid:/usr/bin/find"]["found"] == "of findutils"
        data = lab.json("status", "--host", host.name)
        assert {"what": "found", "level": "red", "verb": "drift", "days": 0, "count": len(CHANGES), "text": ""} in data[
            "causes"
        ]
    finally:
        for _, mend in CHANGES.values():
            host.run(mend, check=False)
        say(lab, STANDARD)
    assert found(lab, host) == {}


def wait_for(ask: Callable[[], dict[str, Any]], *wanted: str) -> dict[str, Any]:
    """Programs that were started a moment ago take one to open their port."""
    for _ in range(5):
        findings = ask()
        if set(wanted) <= set(findings):
            break
    return findings


def test_what_the_inventory_says_otherwise_is_found(lab: LabRoom) -> None:
    host = lab.hosts[1]
    file = lab.school.inventory / "rooms" / "drift.yml"
    before = file.read_text(encoding="utf-8")
    wrong = yaml.safe_load(before)
    wrong["differences"][2] |= {"mac": "02:00:00:00:00:99", "os": "ubuntu2404", "address6": "2001:db8::7"}
    wrong["seats"]["addresses6"] = "2001:db8::/64"
    file.write_text(yaml.safe_dump(wrong, allow_unicode=True, sort_keys=False), encoding="utf-8")
    host.run('mkdir -p /etc/lab && echo \'{"id": "lab-1"}\' > /etc/lab/image.json')
    say(
        lab,
        {**STANDARD, "drift_gateways": ["192.0.2.254"], "drift_name_servers": ["192.0.2.253"], "drift_image": "lab-2"},
    )
    try:
        expected = {"mac", "system", "address:ipv6", "gateway", "name_servers", "image"}
        assert set(found(lab, host)) == expected
    finally:
        file.write_text(before, encoding="utf-8")
        say(lab, STANDARD)
        host.run("rm -r /etc/lab")


def test_what_can_t_be_read_is_no_clean_bill(lab: LabRoom) -> None:
    host = lab.hosts[1]
    host.run("mv /usr/bin/find /usr/bin/find.away; hostname games")
    try:
        answer = lab.json("drift", "--host", host.name, code=HOST_FAILED)
        assert outcome_of(answer, host) == ("failed", ["host_name"])
        assert "set-user-ID files" in answer["outcomes"][host.name]["reason"]
    finally:
        host.run(f"mv /usr/bin/find.away /usr/bin/find; hostname {host.name}")


def test_a_pc_that_is_off_is_accounted_for(lab: LabRoom) -> None:
    host = lab.hosts[2]
    host.off()
    try:
        answer = lab.json("drift", "--room", "drift", code=HOST_FAILED)
        assert {name: each["outcome"] for name, each in answer["outcomes"].items()} == {
            "drift-01": "ok",
            "drift-02": "ok",
            "drift-03": "unreachable",
        }
        assert ("ended", "yellow") in {
            (cause["what"], cause["level"]) for cause in lab.json("status", "--host", host.name)["causes"]
        }
    finally:
        host.on()


def test_a_sample_runs_on_those_drawn_and_on_nobody_else(lab: LabRoom) -> None:
    answer = lab.json("drift", "--all", "--sample", "50%", "--seed", "lottery 17", person=AUDITOR)
    assert list(answer["outcomes"]) == answer["draw"]["hosts"]
    assert len(answer["outcomes"]) == 2
    drawn, started = lab.entries("drift.drawn")[-1], lab.entries("run.started")[-1]
    assert drawn.seq < started.seq
    checked = lab.json("drift", "check-draw", answer["run"], person=AUDITOR)
    assert (checked["fair"], checked["run"]) == (True, answer["run"])
    lab.lab("log", "verify", person=AUDITOR)


@pytest.mark.skipif(not CONTROLS, reason="no control is defined")
def test_controls_that_are_not_in_effect_are_found(lab: LabRoom) -> None:
    host = lab.hosts[0]
    say(lab, {**STANDARD, "lockdown_controls": {**STANDARD["lockdown_controls"], **dict.fromkeys(CONTROLS[:3], True)}})
    before = host.run(LISTING).stdout
    try:
        findings = found(lab, host)
        assert findings
        assert set(findings) <= {f"control:{control}" for control in CONTROLS[:3]}
        assert {finding["severity"] for finding in findings.values()} == {"red"}
        assert host.run(LISTING).stdout == before
    finally:
        say(lab, STANDARD)
