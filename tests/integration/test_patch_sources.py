"""Where the updates come from, and who is there: package lists that prove nothing, a cache, sessions; on real PCs."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.patch_room import PatchRoom, version

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def patch_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> PatchRoom:
    """Two PCs, patched once."""
    pcs = room(2, name="sources", names=lambda seat: f"a301-{seat:02d}")
    lab = LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))
    built = PatchRoom(lab, {"plain": {}, "cached": {}})
    assert {result.outcome for result in built.patch().values()} == {"changed"}
    return built


@pytest.mark.parametrize(
    ("release", "says"),
    [
        ("sed -i '/^Date/a Valid-Until: Fri, 02 Jan 2026 00:00:00 UTC' {}/dists/*-security/Release", "expired"),
        ("sed -i '/^Trusted/d' /etc/apt/sources.list.d/lab-demo.sources", "not signed"),
    ],
)
def test_lists_that_prove_nothing_are_a_failure(patch_room: PatchRoom, release: str, says: str) -> None:
    host = patch_room["plain"]
    host.run("cp -a /srv/lab-packages /srv/kept; cp /etc/apt/sources.list.d/lab-demo.sources /srv/kept.sources")
    try:
        host.run(release.format("/srv/lab-packages"))
        result = patch_room.patch("plain")["plain"]
        assert result.outcome == "failed"
        assert says in result.reason
    finally:
        host.run(
            "rm -rf /srv/lab-packages; mv /srv/kept /srv/lab-packages; "
            "mv /srv/kept.sources /etc/apt/sources.list.d/lab-demo.sources; apt-get update"
        )


def test_a_pc_without_the_sources_of_its_updates_is_not_up_to_date(patch_room: PatchRoom) -> None:
    host = patch_room["plain"]
    host.run(
        ". /etc/os-release; "
        'sed -i "s/^Suites:.*/Suites: $VERSION_CODENAME vendor/" /etc/apt/sources.list.d/lab-demo.sources'
    )
    result = patch_room.patch("plain")["plain"]
    assert result.outcome == "failed"
    assert result.reason.startswith("no source of updates in scope is set up")


def test_somebody_over_ssh_counts_and_ansible_does_not(patch_room: PatchRoom) -> None:
    host = patch_room["plain"]
    assert '"count": 0' in _sessions(patch_room)
    options = ["-tt", "-F", str(patch_room.lab.pcs.folder / "ssh_config"), "-o", "BatchMode=yes"]
    with subprocess.Popen(["ssh", *options, host.name, "sleep 3600"], stdin=subprocess.DEVNULL) as login:
        wait_until(lambda: "lab-admin" in host.run("who").stdout)
        assert '"count": 1' in _sessions(patch_room)
        login.terminate()


def _sessions(patch_room: PatchRoom) -> str:
    play = [{"hosts": "all", "become": True, "gather_facts": False, "tasks": [{"lab_sessions": None}]}]
    path = patch_room.lab.school.folder / "sessions.yml"
    path.write_text(yaml.safe_dump(play), encoding="utf-8")
    return patch_room.playbook(str(path), ("plain",), "-v")


def test_packages_come_through_the_cache(patch_room: PatchRoom) -> None:
    """The mirror's name is known to nobody but the cache, which has its files. Without the setting, no cache."""
    host = patch_room["cached"]
    host.run(
        """
mkdir -p /srv/cache/http: /srv/sources
ln -s /srv/lab-packages /srv/cache/http:/mirror.example
systemd-run --quiet --unit=cache --working-directory=/srv/cache python3 -m http.server 3142
apt-get install --yes --allow-downgrades lab-demo-editor=1.0
mv /etc/apt/sources.list.d/* /srv/sources
. /etc/os-release
for suite in $VERSION_CODENAME $VERSION_CODENAME-security; do
  echo "deb [trusted=yes] http://mirror.example $suite main" >> /etc/apt/sources.list.d/mirror.list
done
"""
    )
    patch_room.set("cached", {"patch_cache_url": "http://127.0.0.1:3142"})
    assert patch_room.patch("cached", check=True)["cached"].reason == "1 update would be installed"
    result = patch_room.patch("cached")["cached"]
    assert result.outcome == "changed", result.reason
    assert version(host, "lab-demo-editor") == "1.1"
    patch_room.set("cached", {})
    assert "mirror.example" in patch_room.patch("cached")["cached"].reason
    assert not (host.root / "etc/apt/apt.conf.d/99lab-cache").exists()
