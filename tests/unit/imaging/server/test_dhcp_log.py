"""What dnsmasq says is read, and does not fill the disk however fast it is said."""

from __future__ import annotations

from pathlib import Path

from lab_tool.imaging.server.dhcp_log import DhcpLog

LINE = b"dnsmasq-dhcp[1]: DHCPDISCOVER(eth0) 02:00:00:00:00:ff ignored\n"


def test_a_flood_of_questions_does_not_fill_the_disk(tmp_path: Path) -> None:
    path, told = tmp_path / "log", list[str]()
    log, largest = DhcpLog(path, told.append), 0
    for _ in range(60):
        with path.open("ab") as file:
            file.write(LINE * (3 * 1024 * 1024 // len(LINE)))
        log.look()
        largest = max(largest, path.stat().st_size)
    assert largest < 70 * 1024 * 1024
    assert set(told) == {"02:00:00:00:00:ff"}
