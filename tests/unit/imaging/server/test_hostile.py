"""Who is in the lab's network may send anything: nothing of it takes an order, a slot or the server's disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lab_tool.imaging.server import answers, capture
from lab_tool.imaging.server.dhcp_log import ignored
from lab_tool.imaging.server.events import KEPT, Events
from lab_tool.imaging.server.settings import ServerSettings
from lab_tool.imaging.server.tokens import SECONDS
from tests.unit.imaging.server.conftest import NOON, OTHER_IMAGE, Daemon, Moment, mac

UNKNOWN = "02-99-99-99-99-99"


@pytest.fixture
def ordered(daemon: Daemon) -> Daemon:
    """A daemon with orders for two PCs."""
    for seat in (1, 2):
        daemon.give(daemon.order(seat))
    return daemon


def test_an_unknown_pc_gets_nothing_and_is_told_of(ordered: Daemon) -> None:
    for name in (UNKNOWN, UNKNOWN.replace("-", ":"), UNKNOWN.replace("-", "")):
        assert ordered.ask("GET", f"/boot/{name}.ipxe")[0] == 404
        assert ordered.ask("GET", f"/boot/{name}.args")[0] == 404
    assert ordered.claim(mac=UNKNOWN.replace("-", ":"))[0] == 403
    (event,) = ordered.ask("GET", "/api/events?since=0")[1]["events"]
    assert (event["kind"], event["about"]) == ("unknown_mac", UNKNOWN.replace("-", ":"))


def test_a_pc_without_an_order_starts_from_its_disk(ordered: Daemon) -> None:
    status, text = ordered.ask("GET", f"/boot/{mac(3)}.ipxe")
    assert (status, "sanboot --no-describe --drive 0x80" in text, "exit" in text) == (200, True, True)
    assert ordered.ask("GET", f"/boot/{mac(3)}.args") == (200, "\n")
    assert ordered.claim(3, "0" * 64)[0] == 403


def test_what_a_pc_is_told_to_start(ordered: Daemon) -> None:
    text = ordered.ask("GET", f"/boot/{mac(1)}.ipxe")[1]
    line = next(line for line in text.splitlines() if line.startswith("kernel"))
    assert line.startswith(
        f"kernel http://198.51.100.1/deploy/{ordered.order().deploy}/vmlinuz initrd=initrd.img lab.api"
    )
    for part in ("lab.api=https://198.51.100.1:443", "lab.http=http://198.51.100.1:80", "lab.pin=" + "a" * 64):
        assert part in line.split()
    assert f"lab.mac={mac(1)}" in line.split()
    assert "console=ttyS0" in line.split()
    assert "boot/${netX/mac:hexhyp}.ipxe" in ordered.ask("GET", "/boot.ipxe")[1]


def test_a_token_is_good_once(ordered: Daemon) -> None:
    token = ordered.token()
    assert ordered.claim(token=token)[0] == 200
    status, said = ordered.claim(token=token)
    assert (status, said["error"]) == (403, "the token was used before")
    assert ordered.kinds() == ["token_refused"]


@pytest.mark.parametrize("spoil", ["00", "zz", "aa" * 100, ""], ids=["short", "no-hex", "long", "empty"])
def test_no_other_token_is_good(ordered: Daemon, spoil: str) -> None:
    body = {"mac": mac(1), "token": spoil, "deploy": ordered.order().deploy, "facts": {}}
    assert ordered.ask("POST", "/api/claim", body)[0] == 403
    token = ordered.token()
    changed = f"{int(token[0], 16) ^ 1:x}{token[1:]}"
    assert ordered.claim(token=changed)[0] == 403
    assert ordered.claim(token=token)[0] == 200


def test_a_token_is_good_for_its_pc_alone(ordered: Daemon) -> None:
    token = ordered.token(1)
    assert ordered.claim(2, token)[0] == 403
    assert ordered.standing(2)["state"] == "open"
    assert ordered.claim(1, token)[0] == 200


def test_a_token_grows_old(ordered: Daemon) -> None:
    token = ordered.token()
    ordered.clock.now += SECONDS + 2
    assert ordered.claim(token=token)[0] == 403


def test_a_token_is_of_one_order(ordered: Daemon) -> None:
    token = ordered.token()
    ordered.give(ordered.order(id="o-" + "f" * 16, issued="2026-11-25T09:00:00.000000Z"))
    assert ordered.claim(token=token)[0] == 403


def test_another_deploy_system_gets_no_order(ordered: Daemon) -> None:
    assert ordered.claim(deploy="b" * 64)[0] == 403
    assert ordered.kinds() == ["deploy_refused"]


def test_a_pc_at_another_pcs_address_gets_nothing(ordered: Daemon) -> None:
    assert ordered.ask("GET", f"/boot/{mac(1)}.ipxe", peer="198.51.100.102")[0] == 404
    assert ordered.ask("GET", f"/boot/{mac(1)}.ipxe", peer="198.51.100.101")[0] == 200
    assert ordered.claim(1, peer="198.51.100.102")[0] == 403
    assert ordered.kinds() == ["wrong_address"]


def test_the_session_that_claimed_last_counts(ordered: Daemon) -> None:
    first, second = ordered.session(), ordered.session()
    assert ordered.report(first, "imaged")[0] == 403
    assert ordered.next(first)[0] == 403
    assert ordered.report(second, "writing")[0] == 200
    assert ordered.standing()["state"] == "claimed"
    assert ordered.kinds() == ["claimed_again", "session_refused"]


def test_sessions_and_tokens_do_not_lie_on_the_disk(ordered: Daemon) -> None:
    token, session = ordered.token(), ordered.session()
    ordered.report(session, "writing")
    kept = b"".join(path.read_bytes() for path in ordered.settings.state.rglob("*") if path.is_file())
    assert session.encode() not in kept
    assert token.encode() not in kept


def test_an_order_gives_only_its_own_images(ordered: Daemon) -> None:
    assert ordered.next(ordered.session(), OTHER_IMAGE)[0] == 403


BAD: list[Any] = [
    b"", b"[]", b"{", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, {"session": 5}, {"session": "x" * 64}, {"a": 1},
    {"session": "0" * 64, "state": "flying", "done": 0, "total": 0, "bytes": 0, "message": ""},
]  # fmt: skip


@pytest.mark.parametrize("path", ["claim", "report", "next", "orders", "commands"])
def test_nonsense_is_refused_without_a_word_of_the_inside(daemon: Daemon, path: str) -> None:
    for body in BAD:
        status, said = daemon.ask("POST", f"/api/{path}", body)
        assert status in (400, 403), body
        assert list(said) == ["error"]


def test_reports_are_held_to_their_form(ordered: Daemon) -> None:
    session = ordered.session()
    faults: list[dict[str, Any]] = [
        {"done": -1}, {"total": True}, {"bytes": "many"}, {"message": "x" * 2001}, {"state": "open"}, {"more": 1},
        {"result": [1]}, {"result": {"x": "y" * 70_000}},
    ]  # fmt: skip
    for wrong in faults:
        assert ordered.report(session, **({"state": "writing"} | wrong))[0] == 400, wrong
    assert ordered.standing()["report"]["state"] == "claimed"


def test_a_huge_body_is_refused(daemon: Daemon) -> None:
    assert daemon.ask("POST", "/api/claim", b"x" * (answers.LONGEST + 1))[0] == 413


def test_a_body_that_does_not_come_is_not_waited_for(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers.read, "__defaults__", (0.2,))
    said = daemon.raw(b"POST /api/claim HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{")
    assert b" 408 " in said.splitlines()[0]
    assert daemon.ask("GET", "/api/status")[0] == 200


def test_a_full_disk_is_told_and_forgets_nothing(ordered: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lab_tool.imaging.server.book.write_whole", full)
        assert ordered.claim()[0] == 507
        assert ordered.give(ordered.order(3))[0] == 507
        assert ordered.standing()["state"] == "open"
        assert ordered.ask("GET", f"/api/orders/{ordered.order(3).id}")[0] == 404
    assert ordered.claim()[0] == 200
    assert "disk_full" in ordered.kinds()


class TestCapture:
    """What a PC sends of its disk."""

    @pytest.fixture
    def session(self, daemon: Daemon) -> str:
        """A PC that is to be captured."""
        daemon.give(daemon.order(action="capture", systems=()))
        return daemon.session()

    def test_parts_are_kept_whole(self, daemon: Daemon, session: str) -> None:
        data = bytes(range(256)) * 20_000
        status, said = daemon.ask("PUT", f"/api/capture/{session}/1.cells", data)
        assert (status, said["size"]) == (200, len(data))
        kept = daemon.settings.incoming / daemon.order().id / "1.cells"
        assert kept.read_bytes() == data
        assert daemon.ask("PUT", f"/api/capture/{session}/1.cells", b"again")[0] == 200
        assert kept.read_bytes() == b"again"

    @pytest.mark.parametrize(
        "name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "..", ".hidden", "a%00b", "a/b", "A", "a.b.c", "x" * 99, "a%5cb"]
    )
    def test_a_name_never_leads_elsewhere(self, daemon: Daemon, session: str, name: str) -> None:
        assert daemon.ask("PUT", f"/api/capture/{session}/{name}", b"x")[0] in (400, 403, 404, 405)
        folder = daemon.settings.incoming
        assert not [path for path in folder.rglob("*") if path.is_file()]

    def test_only_a_pc_that_is_to_be_captured_may_send(self, daemon: Daemon, session: str) -> None:
        daemon.give(daemon.order(2))
        assert daemon.ask("PUT", f"/api/capture/{daemon.session(2)}/1.cells", b"x")[0] == 403
        assert daemon.ask("PUT", f"/api/capture/{'0' * 64}/1.cells", b"x")[0] == 403
        daemon.report(session, "imaged")
        assert daemon.ask("PUT", f"/api/capture/{session}/1.cells", b"x")[0] == 403

    def test_the_reserve_is_never_touched(self, daemon: Daemon, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
        free = capture.room(daemon.settings.state)
        daemon.restart(reserve=free - (8 << 20))
        assert daemon.ask("PUT", f"/api/capture/{session}/big", b"x" * (64 << 20))[0] == 507
        assert daemon.ask("PUT", f"/api/capture/{session}/small", b"x")[0] == 200
        folder = daemon.settings.incoming / daemon.order().id
        assert [path.name for path in folder.iterdir()] == ["small"]
        assert "disk_full" in daemon.kinds()

    def test_a_body_of_unknown_length_is_stopped_at_the_reserve(
        self, daemon: Daemon, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = iter([100 << 20, 0])
        monkeypatch.setattr(capture.receive, "__defaults__", (lambda _: next(left), 5.0))
        daemon.restart(reserve=1)
        piece = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
        head = f"PUT /api/capture/{session}/big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        said = daemon.raw(head + piece * 20 + b"0\r\n\r\n")
        assert b" 507 " in said.splitlines()[0]
        assert list((daemon.settings.incoming / daemon.order().id).iterdir()) == []

    def test_nothing_is_left_of_a_part_that_was_cut_off(
        self, daemon: Daemon, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(capture.receive, "__defaults__", (capture.room, 0.2))
        head = f"PUT /api/capture/{session}/1.cells HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        assert b" 408 " in daemon.raw(head.encode() + b"half").splitlines()[0]
        assert list((daemon.settings.incoming / daemon.order().id).iterdir()) == []

    def test_what_a_killed_server_left_is_swept(self, daemon: Daemon, session: str) -> None:
        folder = daemon.settings.incoming / daemon.order().id
        daemon.ask("PUT", f"/api/capture/{session}/1.cells", b"whole")
        (folder / ".2.cells.abcd").write_bytes(b"half")
        daemon.restart()
        assert [path.name for path in folder.iterdir()] == ["1.cells"]


def test_events_can_not_fill_the_disk(tmp_path: Path) -> None:
    clock = Moment()
    events = Events(tmp_path / "events", clock)
    for number in range(1000):
        events.add("unknown_mac", f"{number}")
    assert events.last == 100
    clock.now += 61
    events.add("unknown_mac", "later")
    assert events.since(100)[0]["left_out"] == 900
    for minute in range(KEPT // 100 * 3):
        clock.now += 61
        for number in range(100):
            events._recent.clear() if number == 0 else None
            events.add("unknown_mac", f"{minute}/{number}")
    assert len((tmp_path / "events").read_bytes().splitlines()) <= 2 * KEPT
    assert len(Events(tmp_path / "events", clock).since(0, 10**9)) == KEPT


def test_half_an_event_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "events"
    Events(path, Moment()).add("disk_full", "a")
    path.write_bytes(path.read_bytes() + b'{"n": 2, "ki')
    again = Events(path, Moment(NOON + 100))
    again.add("disk_full", "b")
    assert [json.loads(line)["about"] for line in path.read_bytes().splitlines()] == ["a", "b"]
    assert again.last == 2


@pytest.mark.parametrize(
    ("line", "mac"),
    [
        ("dnsmasq-dhcp[1]: DHCPDISCOVER(eth0) 02:99:99:99:99:99 ignored", "02:99:99:99:99:99"),
        ("dnsmasq-dhcp[1]: DHCPDISCOVER(eth0) 198.18.0.9 02:99:99:99:99:99 ignored", "02:99:99:99:99:99"),
        ("dnsmasq-dhcp[1]: PXE(eth0) 02:99:99:99:99:99 proxy-ignored", "02:99:99:99:99:99"),
        ("dnsmasq-dhcp[1]: PXE(eth0) 02:1a:b0:00:00:02 proxy", ""),
        ("dnsmasq-dhcp[1]: DHCPDISCOVER(eth0) 02:1a:b0:00:00:02 ", ""),
        ("dnsmasq-dhcp[1]: DHCPACK(eth0) 198.18.0.2 02:1a:b0:00:00:02 ignored", ""),
        ("a line of nothing", ""),
    ],
)
def test_dnsmasq_s_words_for_a_pc_that_it_ignores(line: str, mac: str) -> None:
    assert ignored(line) == mac


def test_who_is_ignored_by_dhcp_is_told_of(daemon: Daemon, settings: ServerSettings) -> None:
    with settings.dhcp_log.open("w") as file:
        file.write("dnsmasq-dhcp[7]: DHCPDISCOVER(eth0) 02:99:99:99:99:98 ignored\n")
        file.write("dnsmasq-dhcp[7]: DHCPDISCOVER(eth0) 02:00:00:00:00:01\n")
        file.write("dnsmasq-dhcp[7]: half a li")
    limit = time.monotonic() + 20
    while not daemon.kinds() and time.monotonic() < limit:
        time.sleep(0.05)
    (event,) = daemon.ask("GET", "/api/events?since=0")[1]["events"]
    assert (event["about"], event["asked"]) == ("02:99:99:99:99:98", "DHCP")
