"""The role image_server on a real PC, asked as PCs ask it that start from the network, and as somebody who is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab_tool.clock import utc_now
from lab_tool.errors import RefusedError
from lab_tool.imaging.orders import control_key
from lab_tool.imaging.pinned import PinError, Pinned
from lab_tool.imaging.server.wake import magic
from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.image_server_room import DEPLOY_FILES, MIB, ImageServerRoom
from tests.integration.patch_room import Result
from tests.testbed.programs import run

pytestmark = pytest.mark.hosts

UNKNOWN = "02:99:99:99:99:99"
BIOS, EFI, EFI_HTTP_CLASS = 0, 7, 9


@pytest.fixture(scope="module")
def image_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> ImageServerRoom:
    """A server that is not set up yet, a store with one image and a deploy system."""
    pcs = room(3, name="images", names=lambda seat: f"a301-{seat:02d}")
    pcs.hosts[0].use_stock()
    built = ImageServerRoom(LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s")))
    built.add_image(1)
    built.add_deploy_system()
    return built


@pytest.fixture(scope="module")
def first(image_room: ImageServerRoom) -> Result:
    """Set up by the role."""
    return image_room.play()


@pytest.fixture
def server(image_room: ImageServerRoom, first: Result) -> Iterator[ImageServerRoom]:
    """A server that is set up."""
    assert first.outcome == "changed", first.reason
    yield image_room


def test_it_ends_set_up_and_read_back(server: ImageServerRoom, first: Result) -> None:
    values = first.values
    assert values["images"] == {server.versions["debian-lab"]: "debian-lab/1"}
    assert values["deploy_systems"] == [server.deploy]
    assert (values["clients"], values["damaged"], values["dhcp"]) == (2, [], "full")
    assert values["files"] == 5 + 3
    assert values["bytes"] > 3 * MIB
    assert len(values["pin"]) == 64


def test_again_changes_nothing(server: ImageServerRoom) -> None:
    again = server.play()
    assert (again.outcome, again.changed) == ("ok", ())


@pytest.mark.parametrize(("arch", "file"), [(BIOS, "undionly.kpxe"), (EFI, "ipxe.efi"), (EFI_HTTP_CLASS, "ipxe.efi")])
def test_a_known_pc_gets_its_address_and_the_file_of_its_firmware(
    server: ImageServerRoom, arch: int, file: str
) -> None:
    (offer,) = server.asks(server.pc.mac, arch)
    assert (offer["kind"], offer["address"], offer["file"]) == ("offer", server.pc.address, file)
    assert offer["next"] == server.server.address
    (second,) = server.asks(server.pc.mac, arch, ipxe=True)
    assert second["file"] == f"http://{server.server.address}/boot.ipxe"


def test_an_unknown_pc_gets_nothing_and_becomes_an_event(server: ImageServerRoom) -> None:
    assert server.asks(UNKNOWN) == []
    wait_until(lambda: any(event["about"] == UNKNOWN for event in server.events()))
    assert server.get("/boot/02-99-99-99-99-98.ipxe")[0] == 404
    found = {event["about"]: event["asked"] for event in server.events() if event["kind"] == "unknown_mac"}
    assert found == {UNKNOWN: "DHCP", "02:99:99:99:99:98": "boot script"}


def test_scripts_lead_from_the_first_to_the_disk_or_the_deploy_system(server: ImageServerRoom) -> None:
    status, text = server.get("/boot.ipxe")
    assert (status, b"/boot/${netX/mac:hexhyp}.ipxe" in text) == (200, True)
    path = f"/boot/{server.pc.mac.replace(':', '-')}.ipxe"
    assert b"sanboot --no-describe --drive 0x80" in server.get(path)[1]
    order = server.order(server.pc)
    assert server.control.give(order).state == "open"
    script = server.get(path)[1].decode()
    assert f"kernel http://{server.server.address}/deploy/{server.deploy}/vmlinuz" in script
    assert f"lab.pin={server.pin}" in script
    for name, data in DEPLOY_FILES.items():
        assert server.get(f"/deploy/{server.deploy}/{name}") == (200, data)
    server.control.command("withdraw", [order.id], utc_now)
    assert b"sanboot" in server.get(path)[1]


def claim(server: ImageServerRoom, order_of: str) -> dict[str, object]:
    """Claim the order of the PC of that MAC, as its deploy system does."""
    script = server.get(f"/boot/{order_of.replace(':', '-')}.ipxe")[1].decode()
    token = next(part.split("=")[1] for part in script.split() if part.startswith("lab.token="))
    body = {"mac": order_of, "token": token, "deploy": server.deploy, "facts": {}}
    status, answer = Pinned(f"https://{server.server.address}:443", server.pin).call("POST", "/api/claim", body)
    assert status == 200, answer
    again = Pinned(f"https://{server.server.address}:443", server.pin).call("POST", "/api/claim", body)
    assert again[0] == 403
    return answer


def test_an_order_reaches_its_pc_and_survives_a_kill(server: ImageServerRoom) -> None:
    order = server.order(server.pc)
    server.control.give(order)
    answer = claim(server, server.pc.mac)
    assert str(answer["order"]).encode() == order.dump()
    api = Pinned(f"https://{server.server.address}:443", server.pin)
    image = server.versions["debian-lab"]
    assert api.call("POST", "/api/next", {"session": answer["session"], "image": image}) == (200, {"do": "fetch"})
    server.server.run("systemctl kill --signal=KILL lab-image-server")

    def reported() -> bool:
        body = {"session": answer["session"], "state": "writing", "done": 1, "total": 2, "bytes": 1, "message": ""}
        return api.call("POST", "/api/report", body)[0] == 200

    wait_until(reported)
    assert server.control.standing(order.id).report["state"] == "writing"
    body = {"session": answer["session"], "state": "imaged", "done": 2, "total": 2, "bytes": 2, "message": ""}
    assert api.call("POST", "/api/report", {**body, "result": {"host_keys": []}})[0] == 200
    assert server.control.standing(order.id).state == "imaged"


def test_orders_are_the_control_node_s_alone(server: ImageServerRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    text = server.order(server.pc)
    other = server.lab.school.key("li_na")
    monkeypatch.setattr(control_key, "control_key", lambda _: other)
    with pytest.raises(RefusedError, match="not signed by the control node"):
        server.control.give(text)
    assert "order_refused" in [event["kind"] for event in server.events()]


def test_another_certificate_is_nobody_s(server: ImageServerRoom) -> None:
    with pytest.raises(PinError):
        Pinned(f"https://{server.server.address}:443", "0" * 64).call("GET", "/api/status")


def test_parts_of_files_can_be_fetched_and_nothing_else(server: ImageServerRoom) -> None:
    image = server.store.read(server.versions["debian-lab"])
    pack = image.manifest.packs[0]
    whole = server.store.pack_path(pack).read_bytes()
    assert server.get(f"/packs/{pack}.pack", Range="bytes=100-199") == (206, whole[100:200])
    assert server.get(f"/images/{image.id}/manifest.json") == (200, image.data)
    for path in (
        "/", "/packs/", "/packs/..%2f..%2f..%2fetc/passwd", "/../etc/passwd", "/.staging/x", "/api/status",
        "/api/orders", "/deploy/%2e%2e/%2e%2e/etc/shadow",
    ):  # fmt: skip
        assert server.get(path)[0] in (400, 403, 404), path
    assert server.get(f"/packs/{pack}.pack", "PUT")[0] == 403
    assert server.get(f"/packs/{pack}.pack", "DELETE")[0] == 403


def test_the_daemon_has_no_more_than_it_needs(server: ImageServerRoom) -> None:
    shown = server.server.run(
        "process=$(systemctl show --property=MainPID --value lab-image-server);"
        " grep -E '^(Uid|CapEff)' /proc/$process/status;"
        " id -u lab-image; stat -c '%U %a' /etc/lab-image-server/server.key /var/lib/lab-image-server"
    ).stdout.split()
    assert shown[1] == shown[shown.index("0000000000000000") + 1] != "0"
    assert shown[-4:] == ["root", "600", "lab-image", "700"]
    assert server.server.run("runuser -u lab-image -- cat /etc/lab-image-server/server.key", check=False).returncode


def test_pcs_are_switched_on_one_by_one(server: ImageServerRoom) -> None:
    order = server.order(server.other)
    server.control.give(order)
    listener = server.pc.run(
        "timeout 20 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        ' s.bind(("", 9)); open("/run/listening", "w"); open("/run/woken", "wb").write(s.recv(2000))\''
        " >/dev/null 2>&1 & echo started"
    )
    assert listener.stdout == "started\n"
    wait_until(lambda: server.pc.run("test -e /run/listening", False).returncode == 0)
    server.control.command("wake", [order.id], utc_now)
    wait_until(lambda: not server.pc.run("test -s /run/woken", False).returncode, 15)
    assert server.pc.run("od -An -tx1 -v /run/woken | tr -d ' \\n'").stdout == magic(server.other.mac).hex()
    server.control.command("withdraw", [order.id], utc_now)


class TestPublishing:
    """What lies on the server is what the store holds of what the inventory names."""

    def test_damage_is_noticed_by_the_evidence_and_mended_by_the_role(self, server: ImageServerRoom) -> None:
        pack = server.store.read(server.versions["debian-lab"]).manifest.packs[0]
        path = server.served(f"packs/{pack}.pack")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        # In check mode nothing is mended, and what would be done is told.
        assert server.play(check=True).values["damaged"] == [f"packs/{pack}.pack"]
        mended = server.play()
        assert (mended.outcome, mended.values["repaired"]) == ("changed", [f"packs/{pack}.pack"])
        assert path.read_bytes() == server.store.pack_path(pack).read_bytes()

    def test_a_new_version_comes_and_an_old_one_goes_when_no_order_names_it(self, server: ImageServerRoom) -> None:
        old = server.versions["debian-lab"]
        order = server.order(server.pc)
        server.control.give(order)
        new = server.add_image(2).id
        assert server.play().values["images"] == {new: "debian-lab/2"}
        assert server.served(f"images/{old}/manifest.json").exists()
        assert server.control.standing(order.id).state == "open"
        server.control.command("withdraw", [order.id], utc_now)
        assert server.play().outcome == "changed"
        assert not server.served(f"images/{old}").exists()
        assert not server.served(f"packs/{server.store.read(old).manifest.packs[0]}.pack").exists()
        assert server.served(f"images/{new}/manifest.json").exists()

    def test_what_is_there_is_not_copied_again(self, server: ImageServerRoom) -> None:
        paths = list(server.served("packs").iterdir())
        before = {path: path.stat().st_ino for path in paths}
        server.add_image(3)
        server.play()
        assert {path: path.stat().st_ino for path in paths if path.exists()}.items() <= before.items()

    def test_a_full_server_is_refused_before_anything_is_copied(self, server: ImageServerRoom) -> None:
        before = sorted(path.name for path in server.served("").rglob("*"))
        server.add_image(4, 8)
        free = int(server.server.run("df --output=avail -B1 /srv | tail -1").stdout)
        refused = server.play(image_server_reserve_mib=free // MIB - 4)
        assert refused.outcome == "failed"
        assert "nothing was copied" in refused.reason
        assert sorted(path.name for path in server.served("").rglob("*")) == before
        assert server.play().outcome == "changed"

    def test_an_image_that_nobody_signed_is_not_published(self, server: ImageServerRoom) -> None:
        good = server.versions["debian-lab"]
        image = server.add_image(5)
        (server.settings.images / "images" / image.id / "manifest.sig").write_text("-----BEGIN SSH SIGNATURE-----\n")
        refused = server.play()
        assert (refused.outcome, "is not used" in refused.reason) == ("failed", True)
        assert not server.served(f"images/{image.id}").exists()
        server.give(good)

    def test_a_pack_that_is_damaged_in_the_store_never_gets_served(self, server: ImageServerRoom) -> None:
        good = server.versions["debian-lab"]
        pack = server.add_image(6).manifest.packs[0]
        path = server.store.pack_path(pack)
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[7] ^= 1
        path.write_bytes(data)
        refused = server.play()
        assert (refused.outcome, "damaged in the store or on the way" in refused.reason) == ("failed", True)
        assert not server.served(f"packs/{pack}.pack").exists()
        server.give(good)
        assert server.play().outcome in ("ok", "changed")


@pytest.fixture(scope="module")
def beside(image_room: ImageServerRoom, first: Result) -> Iterator[ImageServerRoom]:
    """A school's own DHCP on the room's gateway, which knows everybody and nothing of starting."""
    place = image_room.pc.place.room
    image_room.given["image_server_dhcp"] = "proxy"
    assert image_room.play().outcome == "changed"
    folder = image_room.lab.school.folder
    command = [
        "ip", "netns", "exec", place.name, "dnsmasq", "--port=0", "--conf-file=/dev/null", "--interface=br0",
        "--bind-interfaces", "--no-ping", f"--dhcp-range={place.network[200]},{place.network[250]},255.255.252.0,1h",
        f"--dhcp-leasefile={folder}/leases", f"--pid-file={folder}/dnsmasq.pid", "--user=root",
    ]  # fmt: skip
    run(*command)
    yield image_room
    run("kill", (folder / "dnsmasq.pid").read_text().strip())


class TestBesideAnotherDhcp:
    """Proxy mode: the school's own DHCP gives addresses, this server says what to start."""

    @pytest.mark.parametrize(("arch", "file"), [(BIOS, "undionly.kpxe"), (EFI, "ipxe.efi")])
    def test_a_known_pc_gets_an_address_of_one_and_a_file_of_the_other(
        self, beside: ImageServerRoom, arch: int, file: str
    ) -> None:
        answers = {answer["server"]: answer for answer in beside.asks(beside.pc.mac, arch)}
        theirs, ours = answers[str(beside.pc.place.room.gateway)], answers[beside.server.address]
        assert (theirs["pxe"], theirs["file"]) == (False, "")
        assert theirs["address"] != "0.0.0.0"
        assert (ours["pxe"], ours["address"]) == (True, "0.0.0.0")
        told = ours["file"] or beside.asks(beside.pc.mac, arch, at=beside.server.address)[0]["file"]
        assert told == file

    def test_ipxe_is_told_the_script(self, beside: ImageServerRoom) -> None:
        for arch in (BIOS, EFI):
            answers = {answer["server"]: answer for answer in beside.asks(beside.pc.mac, arch, ipxe=True)}
            ours = answers[beside.server.address]
            assert ours["file"] == f"http://{beside.server.address}/boot.ipxe"

    def test_an_unknown_pc_gets_an_address_of_the_school_and_nothing_of_ours(self, beside: ImageServerRoom) -> None:
        stranger = "02:99:99:99:99:97"
        (answer,) = beside.asks(stranger)
        assert answer["server"] == str(beside.pc.place.room.gateway)
        wait_until(lambda: stranger in [event["about"] for event in beside.events()])


def test_a_restart_of_the_machine_loses_nothing(server: ImageServerRoom) -> None:
    order = server.order(server.pc)
    server.control.give(order)
    server.server.reboot()
    wait_until(lambda: server.get("/boot.ipxe")[0] == 200)
    assert server.control.standing(order.id).state == "open"
    assert server.asks(server.pc.mac)
    claim(server, server.pc.mac)


def test_without_dhcp_it_answers_none(server: ImageServerRoom) -> None:
    assert server.play(image_server_dhcp="none").values["dhcp"] == "none"
    assert [one for one in server.asks(server.pc.mac) if one["server"] == server.server.address] == []


def test_inputs_that_would_be_settings_of_their_own_are_refused(server: ImageServerRoom) -> None:
    for given in (
        {"image_server_address": "1.2.3.4;"}, {"image_server_arguments": "a || shell"}, {"image_server_slots": 0},
        {"image_server_subnets": [{"network": "10.0.0.0\n", "netmask": "255.0.0.0"}]},
    ):  # fmt: skip
        assert "must be an IPv4 address" in server.said(**given)


def test_what_is_kept_of_a_run_holds_no_secret(server: ImageServerRoom) -> None:
    key = (server.server.root / "etc/lab-image-server/server.key").read_text().splitlines()[1]
    log = b"".join(path.read_bytes() for path in (server.settings.log).rglob("*") if path.is_file())
    assert key.encode() not in log
