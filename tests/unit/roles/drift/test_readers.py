"""What the readers make of a PC's own records, and what they find in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_drift import accounts, machine, network, packages, ports, setuid
from lab_tool.plugins.module_utils.lab_drift.findings import KINDS, LONGEST, MOST, Finding, reason, told
from lab_tool.rules import VERBS

MAC = "02:00:00:05:00:07"
WANTED = network.Wanted("192.0.2.7", "", MAC, [], [])


def ids(findings: Iterable[Finding]) -> list[str]:
    """Their ids."""
    return [finding.id for finding in findings]


def link(name: str, mac: str, *addresses: dict[str, object]) -> dict[str, object]:
    """An interface as `ip -json` tells of it."""
    usual: dict[str, object] = {"scope": "global", "family": "inet"}
    return {"ifname": name, "address": mac, "addr_info": [{**usual, **each} for each in addresses]}


class TestFindings:
    def test_the_worst_come_first_and_the_rest_is_counted(self) -> None:
        many = [Finding("package", "", "", f"p{number:03d}") for number in range(MOST + 5)]
        values = told([*many, Finding("host_name", "a", "b")])
        assert len(values["findings"]) == MOST
        assert values["findings"][0]["id"] == "host_name"
        assert (values["red"], values["yellow"], values["untold"]) == (1, MOST + 5, {"package": 6})
        assert reason(values).startswith(f"{MOST + 6} findings: host_name, package:p000")

    def test_none_needs_no_words(self) -> None:
        assert reason(told([])) == ""

    def test_whatever_a_file_is_called_it_is_one_short_line(self) -> None:
        found = Finding("setuid_foreign", "", "of no package", "/tmp/a\n\x1b[31m\udcff" + "x" * 500).as_json()
        assert found["id"].isprintable()
        assert len(found["id"]) == LONGEST + len("setuid_foreign:")

    def test_each_rule_is_one_of_the_verb(self) -> None:
        assert {rule for _, rule in KINDS.values()} <= set(VERBS["drift"].rules)


class TestNetwork:
    def compare(self, links: list[dict[str, object]], wanted: network.Wanted = WANTED, **more: list[str]) -> list[str]:
        found = network.addresses(json.dumps(links))
        said = (more.get("routes", []), more.get("dns", []), more.get("ignored", []))
        return ids(network.compare(wanted, found, *said))

    def test_as_it_should_be(self) -> None:
        local: dict[str, object] = {"local": "fe80::1", "family": "inet6", "scope": "link"}
        assert (
            self.compare(
                [
                    link("lo", "", {"local": "127.0.0.1", "scope": "host"}),
                    link("eth0", MAC, {"local": "192.0.2.7"}, local),
                ]
            )
            == []
        )

    @pytest.mark.parametrize(
        ("links", "expected"),
        [
            ([link("eth0", MAC, {"local": "192.0.2.8"})], ["address", "address_beyond:192.0.2.8"]),
            ([link("eth0", "02:00:00:05:00:08", {"local": "192.0.2.7"})], ["mac"]),
            (
                [link("eth0", MAC, {"local": "192.0.2.7"}), link("usb0", "x", {"local": "10.0.0.2", "dynamic": True})],
                ["address_beyond:10.0.0.2"],
            ),
            # What a router made the PC give itself is nobody's doing; an address set by hand is.
            (
                [
                    link(
                        "eth0",
                        MAC,
                        {"local": "192.0.2.7"},
                        {"local": "2001:db8::1", "family": "inet6", "dynamic": True},
                    )
                ],
                [],
            ),
            (
                [link("eth0", MAC, {"local": "192.0.2.7"}, {"local": "2001:db8::1", "family": "inet6"})],
                ["address_beyond:2001:db8::1"],
            ),
            ([], ["address"]),
        ],
    )
    def test_addresses(self, links: list[dict[str, object]], expected: list[str]) -> None:
        assert self.compare(links) == expected

    def test_what_the_inventory_does_not_know(self) -> None:
        wanted = network.Wanted("192.0.2.7", "2001:db8::7", "", ["192.0.2.1"], ["192.0.2.2", "192.0.2.3"])
        own = [link("eth0", MAC, {"local": "192.0.2.7"})]
        found = self.compare(own, wanted, routes=["192.0.2.9"], dns=["8.8.8.8"])
        assert found == ["address:ipv6", "mac_unknown", "gateway", "name_servers"]
        assert self.compare(own, wanted, routes=["192.0.2.1"], dns=["192.0.2.3", "192.0.2.2"]) == found[:2]

    def test_interfaces_that_do_not_matter(self) -> None:
        bridge = link("virbr0", "x", {"local": "10.0.0.1"})
        assert self.compare([link("eth0", MAC, {"local": "192.0.2.7"}), bridge], ignored=["virbr*"]) == []

    def test_routes_of_both_families(self) -> None:
        assert network.gateways('[{"gateway":"fe80::1"}]', '[{"gateway":"192.0.2.1"},{"dev":"ppp0"}]', "") == [
            "192.0.2.1",
            "fe80::1",
            "ppp0",
        ]

    @pytest.mark.parametrize("said", ["", "[[]]", '[{"ifname": 1, "addr_info": [{"scope": "global"}]}]'])
    def test_an_answer_nobody_expects(self, said: str) -> None:
        with pytest.raises(ValueError):
            network.addresses(said)

    def test_name_servers(self, tmp_path: Path) -> None:
        file = tmp_path / "resolv.conf"
        file.write_text("# nameserver 1.1.1.1\nnameserver 192.0.2.2\nsearch x\nnameserver\n", encoding="ascii")
        assert network.servers([str(tmp_path / "none"), str(file)]) == ["192.0.2.2"]


class TestMachine:
    def test_host_name(self) -> None:
        assert ids(machine.host_names("a301-07", "a301-07.school.example", "A301-07")) == []
        assert ids(machine.host_names("a301-07", "games", "a301-7")) == ["host_name", "host_name:stored"]

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ('PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\n', "debian12"),
            ('ID=ubuntu\nVERSION_ID="24.04"\n', "ubuntu2404"),
            ("nonsense", ""),
        ],
    )
    def test_system(self, text: str, name: str) -> None:
        assert machine.system(text) == name

    def test_time_zone(self, tmp_path: Path) -> None:
        local, name = tmp_path / "localtime", tmp_path / "timezone"
        assert machine.time_zone(local, name) == "UTC"
        name.write_text("Asia/Shanghai\n", encoding="ascii")
        assert machine.time_zone(local, name) == "Asia/Shanghai"
        local.symlink_to("/usr/share/zoneinfo/Europe/Paris")
        assert machine.time_zone(local, name) == "Europe/Paris"
        assert ids(machine.time_zones("UTC", "Etc/UTC")) == []
        assert ids(machine.time_zones("Asia/Shanghai", "")) == ["time_zone"]

    @pytest.mark.parametrize(("here", "found"), [(1060, []), (940, []), (1061, ["clock"]), (0, ["clock"])])
    def test_clock(self, here: int, found: list[str]) -> None:
        assert ids(machine.clocks(1000, here, 60)) == found

    def test_image(self, tmp_path: Path) -> None:
        file = tmp_path / "image.json"
        assert machine.image(file) == {}
        assert ids(machine.images("lab-2", {})) == []
        file.write_text('{"id": "lab-1", "version": 3, "password": "x", "name": ["y"]}', encoding="ascii")
        assert machine.image(file) == {"id": "lab-1", "version": "3"}
        assert ids(machine.images("lab-2", machine.image(file))) == ["image"]
        file.write_text("[]", encoding="ascii")
        with pytest.raises(ValueError, match="no record"):
            machine.image(file)


class TestPackages:
    STATUS = """\
Package: base
Status: install ok installed
Priority: required
Version: 1
Depends: libneeded (>= 1), virtual | other

Package: libneeded
Status: install ok installed
Priority: optional
Version: 1

Package: real
Status: install ok installed
Priority: optional
Version: 1
Provides: virtual (= 1)

Package: game
Status: install ok installed
Priority: optional
Architecture: amd64
Version: 2-1
Depends: libgame
Description: fun
 More: fun

Package: libgame
Status: install ok installed
Architecture: all
Version: 3

Package: gone
Status: deinstall ok config-files
Version: 1
"""
    MARKS = """\
Package: libgame
Architecture: amd64
Auto-Installed: 1

Package: game
Architecture: i386
Auto-Installed: 1
"""

    @pytest.fixture
    def installed(self, tmp_path: Path) -> list[packages.Package]:
        (tmp_path / "status").write_text(self.STATUS, encoding="utf-8")
        (tmp_path / "marks").write_text(self.MARKS, encoding="utf-8")
        return packages.installed(tmp_path / "status", tmp_path / "marks")

    def test_what_somebody_asked_for_is_found_and_nothing_else(self, installed: list[packages.Package]) -> None:
        assert ids(packages.beyond(installed, [])) == ["package:game"]

    def test_the_standard_takes_its_needs_along(self, installed: list[packages.Package]) -> None:
        assert ids(packages.beyond(installed, ["ga*"])) == []

    def test_without_marks_a_library_that_only_the_find_needs_is_found_too(self, tmp_path: Path) -> None:
        (tmp_path / "status").write_text(self.STATUS, encoding="utf-8")
        found = packages.installed(tmp_path / "status", tmp_path / "none")
        assert ids(packages.beyond(found, [])) == ["package:game", "package:libgame"]


class TestPorts:
    HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    REST = "00000000:00000000 00:00000000 00000000     0        0"
    CLIENTS = range(32768, 61000)

    def table(self, *rows: tuple[str, str, int]) -> str:
        return self.HEAD + "".join(
            f"   0: {at} 00000000:0000 {state} {self.REST} {inode} 1\n" for at, state, inode in rows
        )

    def test_tcp(self) -> None:
        text = self.table(("00000000:0016", "0A", 5), ("0100007F:1F90", "0A", 6), ("0702000A:0016", "01", 7))
        assert ports.read("tcp", text, self.CLIENTS) == [ports.Port("tcp", 22, "0.0.0.0", 5)]

    def test_tcp6_loopback_and_mapped(self) -> None:
        rows = (
            ("00000000000000000000000000000000:1F90", "0A", 5),
            ("00000000000000000000000001000000:1F91", "0A", 6),
            ("0000000000000000FFFF00000100007F:1F92", "0A", 7),
        )
        assert [port.number for port in ports.read("tcp6", self.table(*rows), self.CLIENTS)] == [8080]

    def test_udp_of_clients_is_no_service(self) -> None:
        text = self.table(("00000000:0045", "07", 5), ("00000000:D000", "07", 6), ("0702000A:0045", "01", 7))
        assert [port.number for port in ports.read("udp", text, self.CLIENTS)] == [69]

    def test_beyond(self) -> None:
        found = [ports.Port("tcp", 22, "::", 1), ports.Port("tcp", 80, "::", 2), ports.Port("tcp", 80, "0.0.0.0", 3)]
        (finding,) = ports.beyond(found, ["tcp/22"], {2: "nginx"})
        assert (finding.id, finding.found) == ("port:tcp/80", "nginx, unknown program on 0.0.0.0, ::")
        assert ids(ports.beyond(found, ["tcp/20-80"], {})) == []
        assert ids(ports.beyond(found, ["udp/22-80"], {})) == ["port:tcp/22", "port:tcp/80"]

    @pytest.mark.parametrize("item", ["22", "tcp/", "sctp/1", "tcp/1-"])
    def test_an_item_that_is_none_is_no_silent_pass(self, item: str) -> None:
        with pytest.raises(ValueError, match="no port"):
            list(ports.beyond([], [item], {}))


class TestAccounts:
    PASSWD = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
postgres:x:105:110::/var/lib/postgresql:/bin/bash
student:x:1001:1001::/home/student:/bin/bash
mallory:x:1002:27::/home/mallory:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
+@netgroup
"""
    GROUP = "root:x:0:\nsudo:x:27:lab-admin,student,eve\nusers:x:100:eve\n"

    def test_accounts(self) -> None:
        found = accounts.accounts(self.PASSWD)
        assert ids(accounts.beyond(found, ["student"])) == ["admin:uid0:toor", "account:postgres", "account:mallory"]
        assert ids(accounts.beyond(found, ["student", "post*", "mallory"])) == ["admin:uid0:toor"]

    def test_members_of_admin_groups_also_by_their_first_group(self) -> None:
        found = accounts.accounts(self.PASSWD)
        assert ids(accounts.admins(found, self.GROUP, ["sudo", "root"], ["lab-admin"])) == [
            "admin:root:toor",
            "admin:sudo:eve",
            "admin:sudo:mallory",
            "admin:sudo:student",
        ]


class TestSetuid:
    def test_of_a_package_or_of_none(self, tmp_path: Path) -> None:
        (tmp_path / "util.list").write_text("/.\n/bin\n/bin/mount\n/usr/bin/find\n", encoding="utf-8")
        (tmp_path / "login:amd64.list").write_text("/bin/su\n", encoding="utf-8")
        paths = ["/usr/bin/su", "/bin/mount", "/usr/bin/find", "/tmp/x"]
        found = list(setuid.beyond(paths, ["/usr/bin/mount"], tmp_path))
        assert ids(found) == ["setuid:/usr/bin/su", "setuid:/usr/bin/find", "setuid_foreign:/tmp/x"]
        assert [finding.found for finding in found] == ["of login", "of util", "of no package"]

    def test_where_it_is_looked(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mounts"
        (tmp_path / "a b").mkdir()
        mounts.write_text(
            "overlay / overlay rw 0 0\nproc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid 0 0\n"
            f"server:/x {tmp_path} nfs rw 0 0\n/dev/sdb /nonexistent ext4 rw 0 0\n",
            encoding="utf-8",
        )
        assert setuid.places(mounts) == ["/"]

    def test_one_disk_is_looked_through_once(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mounts"
        (tmp_path / "a b").mkdir()
        inner = str(tmp_path / "a b").replace(" ", "\\040")
        mounts.write_text(f"/dev/sda {inner} ext4 rw 0 0\n/dev/sda {tmp_path} ext4 rw 0 0\n", encoding="utf-8")
        assert setuid.places(mounts) == [str(tmp_path)]
