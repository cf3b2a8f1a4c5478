"""The answer file that a Windows finds at its first start: roles/image/templates/unattend.xml.j2, filled in.

It holds no secret: an order is read by the image server. The account's password is left open, and made by the PC.
"""

from __future__ import annotations

import re
from functools import cache

import jinja2

from lab_tool.errors import UsageError
from lab_tool.imaging.deploy import answers
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.order import MAC, Personal
from lab_tool.rules.data import read
from lab_tool.settings import PROJECT

TEMPLATES = PROJECT / "roles" / "image" / "templates"
_LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z]{2}")
# The longest name that Windows gives a local account, and those that it keeps for itself.
_LONGEST_ACCOUNT = 20
_OWN_ACCOUNTS = ("administrator", "guest", "defaultaccount", "wdagutilityaccount", "system", "none", "sshd")


def answer_file(personal: Personal, mac: str, locale: str = "zh-CN") -> str:
    """The answer file of a PC; its network card is known by its MAC.

    Raises `UsageError`: a name, time zone or language that Windows does not know, an account that it keeps for itself.
    """
    if not MAC.fullmatch(mac):
        raise UsageError(f"{personal.hostname}: {mac!r} is no MAC address")
    if not _LOCALE.fullmatch(locale):
        raise UsageError(f"{personal.hostname}: {locale!r} is no language such as zh-CN")
    if len(personal.account) > _LONGEST_ACCOUNT or personal.account in _OWN_ACCOUNTS:
        raise UsageError(
            f"{personal.hostname}: Windows can't have an account {personal.account} of ours",
            next_command=f"name another in ansible_user, at most {_LONGEST_ACCOUNT} characters",
        )
    try:
        name = answers.computer_name(personal.hostname)
    except FormatError as error:
        raise UsageError(str(error), next_command="give the room shorter names: name: in inventory/rooms/") from error
    text = _template().render(
        personal=personal,
        computer_name=name,
        time_zone=windows_zone(personal.time_zone),
        interface=mac.replace(":", "-"),
        locale=locale,
        password=answers.ONE_TIME_PASSWORD,
    )
    answers.check(text, personal.hostname)
    return text


def windows_zone(zone: str) -> str:
    """What Windows calls a time zone such as Asia/Shanghai. Raises `UsageError` where it has no name for it."""
    found = _zones().get(zone)
    if found is None:
        raise UsageError(f"Windows has no time zone {zone}", where="inventory/site.yml")
    return found


@cache
def _zones() -> dict[str, str]:
    return {zone: name for name, entry in read("windows_zones.yml").items() for zone in entry["zones"].split()}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("unattend.xml.j2")
