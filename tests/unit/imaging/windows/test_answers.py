"""The answer file: from the inventory to what Setup reads, and the password that only the PC ever knew."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as Xml

import pytest

from lab_tool.errors import UsageError
from lab_tool.imaging.deploy import answers
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.orders.unattend import answer_file, windows_zone
from lab_tool.rules.data import read
from tests.support.windows_order import MAC, personal

NAMES = {"u": "urn:schemas-microsoft-com:unattend"}
ADD = "{http://schemas.microsoft.com/WMIConfig/2002/State}action"


def values(text: str, where: str, component: str, path: str) -> list[str]:
    """The texts at a path of a component in one of Setup's passes."""
    tree = Xml.fromstring(text)
    base = f"u:settings[@pass='{where}']/u:component[@name='Microsoft-Windows-{component}']"
    steps = "/".join(f"u:{step}" for step in path.split("/"))
    return [element.text or "" for element in tree.findall(f"{base}/{steps}", NAMES)]


def test_every_field_comes_from_the_inventory() -> None:
    text = answer_file(personal(), MAC)
    assert values(text, "specialize", "Shell-Setup", "ComputerName") == ["a301-07"]
    assert values(text, "specialize", "Shell-Setup", "TimeZone") == ["China Standard Time"]
    card = "Interfaces/Interface"
    assert values(text, "specialize", "TCPIP", f"{card}/Identifier") == ["02-00-00-0a-03-07"]
    assert values(text, "specialize", "TCPIP", f"{card}/UnicastIpAddresses/IpAddress") == ["10.3.1.7/24"]
    assert values(text, "specialize", "TCPIP", f"{card}/Routes/Route/NextHopAddress") == ["10.3.1.254"]
    assert values(text, "specialize", "TCPIP", f"{card}/Ipv4Settings/DhcpEnabled") == ["false"]
    servers = values(text, "specialize", "DNS-Client", f"{card}/DNSServerSearchOrder/IpAddress")
    assert servers == ["10.0.0.53", "10.0.0.54"]
    for field in ("InputLocale", "SystemLocale", "UILanguage", "UserLocale"):
        assert values(text, "oobeSystem", "International-Core", field) == ["zh-CN"]
    account = "UserAccounts/LocalAccounts/LocalAccount"
    assert values(text, "oobeSystem", "Shell-Setup", f"{account}/Name") == ["lab-admin"]
    assert values(text, "oobeSystem", "Shell-Setup", f"{account}/Group") == ["Administrators"]
    assert values(text, "oobeSystem", "Shell-Setup", f"{account}/Password/PlainText") == ["false"]


def test_settings_of_a_network_card_stand_in_the_order_that_setup_asks_for() -> None:
    tree = Xml.fromstring(answer_file(personal(), MAC))
    card = tree.find(".//u:component[@name='Microsoft-Windows-TCPIP']//u:Interface", NAMES)
    assert card is not None and card.get(ADD) == "add"
    names = [element.tag.split("}")[1] for element in card]
    assert names == ["Ipv4Settings", "Identifier", "UnicastIpAddresses", "Routes"]


def test_without_gateway_and_name_servers_nothing_empty_is_left() -> None:
    text = answer_file(personal(gateway="", dns=()), MAC, locale="en-US")
    assert "Routes" not in text and "DNS-Client" not in text
    assert all((element.text or "").strip() for element in Xml.fromstring(text).iter() if not len(element))


@pytest.mark.parametrize(
    "host", ["a301-07-student-pc", "机房-01", "a301_07", "a301.07", "-a301", "a301-", "12345", "", "a301-07\n"]
)
def test_a_name_that_windows_can_not_have_is_refused(host: str) -> None:
    with pytest.raises(UsageError) as error:
        answer_file(personal(host), MAC)
    assert "give the room shorter names" in error.value.next_command


def test_fifteen_characters_are_a_name() -> None:
    assert "<ComputerName>a301-07-student<" in answer_file(personal("a301-07-student"), MAC)
    assert answers.computer_name("a301-07-student") == "a301-07-student"


@pytest.mark.parametrize(
    "field",
    [
        {"account": "administrator"},
        {"account": "a-name-that-is-too-long-for-it"},
        {"time_zone": "Asia/Nowhere"},
        {"time_zone": "China Standard Time"},
    ],
)
def test_what_windows_does_not_know_is_refused(field: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        answer_file(personal(**field), MAC)


@pytest.mark.parametrize(
    ("mac", "locale"), [("", "zh-CN"), ("02-00-00-0a-03-07", "zh-CN"), (MAC, "chinese"), (MAC, "")]
)
def test_no_card_and_no_language_is_refused(mac: str, locale: str) -> None:
    with pytest.raises(UsageError):
        answer_file(personal(), mac, locale)


def test_values_are_text_in_the_answer_file_whatever_they_hold() -> None:
    text = answer_file(personal(gateway="<x>&"), MAC)
    assert values(text, "specialize", "TCPIP", "Interfaces/Interface/Routes/Route/NextHopAddress") == ["<x>&"]


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Asia/Shanghai", "China Standard Time"),
        ("Asia/Hong_Kong", "China Standard Time"),
        ("Asia/Urumqi", "Central Asia Standard Time"),
        ("Asia/Taipei", "Taipei Standard Time"),
        ("Europe/Berlin", "W. Europe Standard Time"),
        ("UTC", "UTC"),
    ],
)
def test_time_zones_have_their_windows_names(zone: str, name: str) -> None:
    assert windows_zone(zone) == name


def test_no_zone_has_two_windows_names() -> None:
    zones = [zone for entry in read("windows_zones.yml").values() for zone in entry["zones"].split()]
    assert len(zones) == len(set(zones)) > 500


def test_the_password_is_made_on_the_pc_and_differs_each_time() -> None:
    text = answer_file(personal(), MAC)
    made = [answers.complete(text) for _ in range(2)]
    hidden = [values(one.decode(), "oobeSystem", "Shell-Setup", _PASSWORD)[0] for one in made]
    assert hidden[0] != hidden[1]
    for one in hidden:
        password = base64.b64decode(one).decode("utf-16-le")
        assert password.endswith("Password") and len(password) > 40


_PASSWORD = "UserAccounts/LocalAccounts/LocalAccount/Password/Value"


@pytest.mark.parametrize(
    ("replace", "by"),
    [
        ("<ComputerName>a301-07<", "<ComputerName>a301-08<"),
        ("<ComputerName>a301-07</ComputerName>", ""),
        (answers.ONE_TIME_PASSWORD, "geheim"),
        ("<TimeZone>", "<ProductKey>A</ProductKey><TimeZone>"),
        ("<PlainText>false", "<PlainText>true"),
        ("<UserAccounts>", "<AutoLogon></AutoLogon><UserAccounts>"),
    ],
)
def test_an_answer_file_with_a_secret_or_for_another_pc_is_refused(replace: str, by: str) -> None:
    text = answer_file(personal(), MAC)
    answers.check(text, "a301-07")
    with pytest.raises(FormatError):
        answers.check(text.replace(replace, by), "a301-07")
