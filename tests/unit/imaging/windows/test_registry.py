"""Values for a registry: what may stand in an order, and its bytes."""

from __future__ import annotations

import pytest

from lab_tool.imaging.deploy.registry import Setting
from lab_tool.imaging.format.fields import FormatError
from tests.support.windows_order import policy


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("dword", "4", (4, b"\4\0\0\0")),
        ("dword", "0xff", (4, b"\xff\0\0\0")),
        ("qword", str(2**40), (11, (2**40).to_bytes(8, "little"))),
        ("string", "机房", (1, "机房\0".encode("utf-16-le"))),
        ("string", "", (1, b"\0\0")),
        ("expand", "%x%", (2, "%x%\0".encode("utf-16-le"))),
        ("multi", "a\nb", (7, "a\0b\0\0".encode("utf-16-le"))),
        ("multi", "", (7, b"\0\0")),
        ("binary", "00ff", (3, b"\0\xff")),
    ],
)
def test_every_type_has_the_bytes_that_windows_stores(kind: str, value: str, stored: tuple[int, bytes]) -> None:
    read = Setting.read(policy("SOFTWARE", r"A\B", "n", kind, value))
    assert (read.code, read.data) == stored
    assert read.key == ("A", "B")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hive", "SAM"),
        ("hive", "../SOFTWARE"),
        ("key", ""),
        ("key", r"A\\B"),
        ("key", "A\\"),
        ("key", "A\0B"),
        ("name", "n\n"),
        ("type", "link"),
        ("value", "-1"),
        ("value", str(2**32)),
        ("value", "0xfg"),
        ("value", ""),
    ],
)
def test_what_can_be_no_number_is_refused(field: str, value: str) -> None:
    with pytest.raises(FormatError):
        Setting.read({**policy("SOFTWARE", r"A\B", "n", "dword", "1"), field: value})


@pytest.mark.parametrize(
    ("kind", "value"), [("binary", "0"), ("binary", "xx"), ("multi", "a\n\nb"), ("string", "a\0b")]
)
def test_what_the_type_can_not_hold_is_refused(kind: str, value: str) -> None:
    with pytest.raises(FormatError):
        Setting.read(policy("SOFTWARE", "A", "n", kind, value))


def test_a_field_too_many_or_too_few_is_refused() -> None:
    whole = dict(policy("SOFTWARE", "A", "n", "dword", "1"))
    with pytest.raises(FormatError, match="fields"):
        Setting.read({**whole, "remove": "yes"})
    del whole["value"]
    with pytest.raises(FormatError, match="fields"):
        Setting.read(whole)


def test_a_refusal_does_not_show_the_value() -> None:
    with pytest.raises(FormatError) as error:
        Setting.read(policy("SOFTWARE", "A", "n", "dword", "AAAAA-BBBBB"))
    assert "AAAAA" not in str(error.value)
