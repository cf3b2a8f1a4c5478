"""How fast a stream goes."""

from __future__ import annotations

from lab_tool.imaging.server.cast_pace import Pace

A, B, C = b"A", b"B", b"C"


def _go(pace: Pace, seconds: float, lost: dict[bytes, float], begin: float = 0.0) -> float:
    """Send as much as it lets, while each receiver has to ask for that part; bit/s."""
    now, end, sent, parts = begin, begin + seconds, 0, 0
    asked = dict.fromkeys(lost, 0)
    while now < end:
        wait = pace.wait(now)
        if wait:
            now += wait
            continue
        pace.spend(14_000)
        sent += 14_000
        parts += 10
        for name, share in lost.items():
            asked[name] = int(parts * share)
        pace.judge(asked, parts, now)
    return 8 * sent / seconds


def test_it_keeps_to_the_limit() -> None:
    assert 0.95 < _go(Pace(50e6, 0), 5, {A: 0, B: 0}) / 50e6 < 1.02


def test_it_grows_while_nothing_is_lost() -> None:
    pace = Pace(900e6, 0)
    _go(pace, 5, {A: 0, B: 0, C: 0})
    assert pace.rate == 900e6


def test_one_bad_cable_does_not_slow_it_and_a_slow_network_does() -> None:
    one, network = Pace(300e6, 0), Pace(300e6, 0)
    _go(one, 5, {A: 0, B: 0, C: 0.3})
    _go(network, 5, {A: 0.2, B: 0, C: 0.3})
    assert one.rate == 300e6
    assert network.rate < 50e6


def test_it_never_stands_still() -> None:
    pace = Pace(0, 0)
    _go(pace, 30, {A: 0.9, B: 0.9})
    assert pace.rate >= 8e6
