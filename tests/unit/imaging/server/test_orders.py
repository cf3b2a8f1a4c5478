"""Orders come from the control node alone, each once; what became of them survives a kill."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lab_tool.imaging.format.order import OrderedSystem
from tests.unit.imaging.server.conftest import NOON, Daemon, mac

EARLIER, LATER = "2026-11-25T07:00:00.000000Z", "2026-11-25T15:00:00.000000Z"


def test_an_order_from_giving_to_its_end(daemon: Daemon) -> None:
    order = daemon.order()
    assert daemon.give(order) == (200, {"id": order.id, "state": "open"})
    status, given = daemon.claim()
    assert status == 200
    assert given["order"].encode() == order.dump()
    assert daemon.standing()["state"] == "claimed"
    assert daemon.standing()["facts"] == {"memory": 4}
    for state in ("checking", "receiving", "writing", "verifying", "personalising", "rebooting"):
        assert daemon.report(given["session"], state) == (200, {"ok": True, "stop": False})
        assert daemon.standing()["report"]["state"] == state
    daemon.clock.now += 7
    assert daemon.standing()["report"]["age"] == 7
    daemon.report(given["session"], "imaged", result={"cells_sha256": "ab"})
    assert (daemon.standing()["state"], daemon.standing()["result"]) == ("imaged", {"cells_sha256": "ab"})
    # The PC starts from its disk from now on.
    status, text = daemon.ask("GET", f"/boot/{mac(1)}.ipxe")
    assert (status, "sanboot" in text, "kernel" in text) == (200, True, False)


def test_an_order_that_failed_is_over(daemon: Daemon) -> None:
    daemon.give(daemon.order())
    session = daemon.session()
    daemon.report(session, "failed", message="the disk is too small")
    assert daemon.standing()["state"] == "failed"
    assert daemon.standing()["report"]["message"] == "the disk is too small"
    assert daemon.next(session)[0] == 409


def test_a_forged_order_is_refused_and_told(daemon: Daemon, control_keys: tuple[Path, Path]) -> None:
    true = daemon.order().dump().decode()
    signature = daemon.sign(true)
    forged = true.replace("a301-01", "a301-02")
    assert daemon.ask("POST", "/api/orders", {"order": forged, "signature": signature})[0] == 403
    assert daemon.ask("POST", "/api/orders", {"order": true, "signature": ""})[0] == 403
    daemon.key = control_keys[1]
    assert daemon.give(daemon.order())[0] == 403
    assert daemon.command("withdraw", "o-" + "0" * 16)[0] == 403
    assert daemon.standing() == {"error": "there is no such order"}
    assert daemon.kinds() == ["order_refused", "command_refused"]


def test_the_same_order_again_changes_nothing(daemon: Daemon) -> None:
    daemon.give(daemon.order())
    session = daemon.session()
    assert daemon.give(daemon.order())[1]["state"] == "claimed"
    assert daemon.give(daemon.order(issued=LATER))[1]["state"] == "claimed"
    assert daemon.report(session, "writing")[0] == 200
    daemon.report(session, "imaged", result={})
    assert daemon.give(daemon.order())[1]["state"] == "imaged"


def test_a_newer_order_takes_the_place_of_an_older_one(daemon: Daemon) -> None:
    daemon.give(daemon.order())
    session = daemon.session()
    newer = daemon.order(id="o-" + "f" * 16, issued=LATER)
    assert daemon.give(newer)[1]["state"] == "open"
    assert (daemon.standing()["state"], daemon.standing()["why"]) == ("withdrawn", f"replaced by {newer.id}")
    assert daemon.report(session, "writing") == (200, {"ok": False, "stop": True})
    older = daemon.order(id="o-" + "e" * 16, issued=EARLIER)
    status, said = daemon.give(older)
    assert (status, said["error"]) == (409, f"a newer order of a301-01 is here: {newer.id}")


@pytest.mark.parametrize("before", [True, False], ids=["before-it-came", "afterwards"])
def test_a_withdrawn_order_can_not_be_given_again(daemon: Daemon, before: bool) -> None:
    order = daemon.order()
    if not before:
        daemon.give(order)
    assert daemon.command("withdraw", order.id) == (200, {"orders": {order.id: "withdrawn"}})
    for _ in range(2):
        assert daemon.give(order)[1]["state"] == "withdrawn"
        assert daemon.give(daemon.order(issued=LATER))[1]["state"] == "withdrawn"
        assert "sanboot" in daemon.ask("GET", f"/boot/{mac(1)}.ipxe")[1]
        daemon.restart()


def test_a_pc_is_told_to_stop(daemon: Daemon) -> None:
    order = daemon.order()
    daemon.give(order)
    session = daemon.session()
    assert daemon.next(session)[1] == {"do": "fetch"}
    daemon.command("withdraw", order.id)
    assert daemon.report(session, "writing") == (200, {"ok": False, "stop": True})
    assert daemon.ask("GET", "/api/status")[1]["fetching"] == 0


def test_what_came_to_its_end_can_not_be_withdrawn(daemon: Daemon) -> None:
    order = daemon.order()
    daemon.give(order)
    daemon.report(daemon.session(), "imaged", result={})
    assert daemon.command("withdraw", order.id)[1] == {"orders": {order.id: "imaged"}}


def test_an_order_is_not_handed_out_after_its_time(daemon: Daemon) -> None:
    until = daemon.order(notes={"until": LATER})
    daemon.give(until)
    token = daemon.token()
    daemon.clock.now = NOON + 86_400
    assert daemon.standing()["state"] == "expired"
    assert daemon.claim(token=token)[0] == 403
    assert "sanboot" in daemon.ask("GET", f"/boot/{mac(1)}.ipxe")[1]
    # Unlike one that was withdrawn it may be given again, by a newer signature.
    assert daemon.give(until)[1]["state"] == "expired"
    assert daemon.give(daemon.order(issued=LATER, notes={"until": "2026-11-27T00:00:00.000000Z"}))[1]["state"] == "open"


def test_a_pc_that_began_in_time_may_finish(daemon: Daemon) -> None:
    daemon.give(daemon.order(notes={"until": LATER}))
    daemon.session()
    daemon.clock.now = NOON + 86_400
    assert daemon.report(daemon.session(), "imaged", result={})[1]["ok"] is True


def test_an_order_for_a_pc_of_another_server_is_refused(daemon: Daemon) -> None:
    assert daemon.give(daemon.order(mac="02:00:00:00:99:99"))[0] == 409
    assert daemon.give(daemon.order(host="b101-01"))[0] == 409


def test_an_order_for_what_the_server_does_not_hold_is_refused(daemon: Daemon) -> None:
    missing = daemon.order(systems=(OrderedSystem("b" * 64, "debian-lab", 4, True),))
    status, said = daemon.give(missing)
    assert (status, "run image_server again" in said["error"]) == (409, True)
    assert daemon.give(daemon.order(deploy="c" * 64))[0] == 409


def test_everything_survives_a_kill(daemon: Daemon) -> None:
    for seat in (1, 2, 3):
        daemon.give(daemon.order(seat))
    token, session = daemon.token(1), daemon.session(2)
    done = daemon.session(3)
    daemon.report(done, "imaged", result={"host_keys": ["x"]})
    daemon.report(session, "writing", done=5)
    daemon.ask("GET", "/boot/02-99-99-99-99-99.ipxe")
    daemon.restart()
    assert [daemon.standing(seat)["state"] for seat in (1, 2, 3)] == ["open", "claimed", "imaged"]
    assert daemon.standing(2)["report"]["done"] == 5
    assert daemon.standing(3)["result"] == {"host_keys": ["x"]}
    assert daemon.claim(1, token)[0] == 200
    assert daemon.claim(1, token)[0] == 403
    assert daemon.report(session, "verifying")[0] == 200
    assert daemon.kinds() == ["unknown_mac", "token_refused"]


def test_a_damaged_record_stays_closed(daemon: Daemon) -> None:
    daemon.give(daemon.order())
    path = daemon.settings.state / "orders" / f"{daemon.order().id}.json"
    path.write_bytes(path.read_bytes()[:50])
    daemon.restart()
    assert daemon.give(daemon.order())[1]["state"] == "withdrawn"


def test_pcs_are_switched_on_in_order_and_once(daemon: Daemon) -> None:
    orders = [daemon.order(seat) for seat in (1, 2, 3)]
    for order in orders:
        daemon.give(order)
    daemon.command("withdraw", orders[1].id)
    status, said = daemon.command("wake", *[order.id for order in orders], "o-" + "9" * 16)
    assert status == 200
    assert said["orders"] == {
        orders[0].id: "open", orders[1].id: "withdrawn", orders[2].id: "open", "o-" + "9" * 16: "unknown",
    }  # fmt: skip
    limit = time.monotonic() + 20
    while len(daemon.woken) < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    assert daemon.woken == [mac(1), mac(3)]


def test_half_a_file_is_never_there(daemon: Daemon) -> None:
    daemon.give(daemon.order())
    folder = daemon.settings.state / "orders"
    assert [path.name for path in folder.iterdir()] == [f"{daemon.order().id}.json"]
    assert json.loads((folder / f"{daemon.order().id}.json").read_bytes())["state"] == "open"
