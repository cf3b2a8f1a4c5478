"""What each kind of text in an inventory may look like: allow-lists, so that no value is code to anything it reaches.

Values reach Ansible (which runs templates on the control node), shells on the PCs, SSH and people. The patterns run in
pydantic's regex engine, where `$` means the very end.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

TEMPLATE_MARKS = ("{{", "{%", "{#", "}}", "%}", "#}")
SHELL_MARKS = frozenset("`$;|&<>\\'\"*~!^=[]{}\n")
# A single quote ends a quoted word in a shell; a typographic one (U+2019) does not.
FREE_PUNCTUATION = " .,:_/()+@#%·、。，：；？！（）《》“”—…№\u2018\u2019\u2013-"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, what it means in words, and how to put a value right."""

    regex: str
    what: str
    fix: str


ID = Pattern(
    r"^[a-z0-9][a-z0-9_]{0,30}$",
    "an id: lower-case letters, digits and _",
    "It becomes the end of an Ansible group name, such as room_a301",
)
PERSON_ID = Pattern(
    r"^[a-z][a-z0-9_-]{0,30}$", "a person's id: lower-case letters, digits, _ and -", "Such as wang_fang"
)
FREE_TEXT = Pattern(
    r"^[\p{L}\p{N}（《“(][\p{L}\p{M}\p{N}" + FREE_PUNCTUATION + "]{0,79}$",
    "plain words, at most 80 characters",
    f"Beside letters and digits these may stand in a name or a reason: {FREE_PUNCTUATION.strip()}",
)
HOST_NAME = Pattern(
    r"^[a-z0-9-]*#{1,3}[a-z0-9-]*$",
    "a pattern of host names: lower-case letters, digits, -, and ### for the seat's number",
    "Such as a301-##, which makes a301-07 of seat 7",
)
SEAT_RANGE = Pattern(r"^[1-9][0-9]{0,2}-[1-9][0-9]{0,2}$", "a range of seats from 1 to 999", "Such as 1-40")
MAC = Pattern(
    r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$",
    "a MAC address: six pairs of hexadecimal digits with colons between",
    "Such as 02:00:00:0a:03:07",
)
ASSET = Pattern(
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$",
    "an asset number: letters, digits and . _ / -",
    'Such as IT-2024-0107; one of digits only stands in quotes: "20240107"',
)
ADDRESS = Pattern(r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", "an IPv4 address", "Such as 192.0.2.7")
BLOCK = Pattern(r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$", "an IPv4 block", "Such as 192.0.2.0/26")
ADDRESS6 = Pattern(r"^[0-9A-Fa-f:]{2,39}$", "an IPv6 address", "Such as 2001:db8:301::7")
BLOCK6 = Pattern(r"^[0-9A-Fa-f:]{2,39}/[0-9]{1,3}$", "an IPv6 block", "Such as 2001:db8:301::/64")
KEY_LINE = Pattern(
    r"^[a-z0-9@.-]{7,40} [A-Za-z0-9+/]{40,4000}={0,2}( [A-Za-z0-9@._+-]{1,80})?$",
    "one line of a public key file: type, key, and at most one word of comment",
    "Copy the line from ~/.ssh/id_ed25519.pub",
)
DAY = Pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a day", "Such as 2026-09-01")
TIME_ZONE = Pattern(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", "a time zone", "Such as Asia/Shanghai")
ORIGIN = Pattern(r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9._-]+)+$", "the log's name", "Such as school.example/lab-log")
FOLDER = Pattern(r"^[A-Za-z0-9./_][A-Za-z0-9./_+-]{0,199}$", "a folder", "Such as ../checkpoints")
# git starts a program of the URL's choosing for `ext::program` and the like.
GIT = Pattern(
    r"^(https://|ssh://|file:///|[a-z0-9_-]+@[A-Za-z0-9.-]+:|/|\./|\.\./)[A-Za-z0-9/._~][A-Za-z0-9/._~@+-]*"
    r"(:[0-9]{1,5}/[A-Za-z0-9/._~+-]*)?$",
    "a git repository: https://, ssh://, user@host:path, or a path",
    "Such as https://git.school.example/checkpoints.git",
)
MAIL = Pattern(
    r"^smtps?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$",
    "a mail server and a mailbox",
    "Such as smtp://mail.school.example:25/auditor@school.example",
)
WITNESS = Pattern(
    r"^[A-Za-z0-9./][A-Za-z0-9 ./:@_+-]{0,199}$",
    "a command: a program and its words, without quotes",
    "Such as ssh lab-witness@witness.school.example",
)
IMAGE_NAME = Pattern(
    r"^[a-z0-9][a-z0-9-]{0,62}$", "the name of an image: lower-case letters, digits and -", "Such as debian-lab"
)
PACKAGE_NAME = Pattern(r"^[a-z0-9][a-z0-9+.-]{1,99}$", "the name of a package", "Such as python3")
FILE_PATH = Pattern(r"^[A-Za-z0-9./_][A-Za-z0-9./_+-]{0,254}$", "the path of a file", "Such as /srv/images/windows.wim")

Id = Annotated[str, StringConstraints(pattern=ID.regex)]
PersonId = Annotated[str, StringConstraints(pattern=PERSON_ID.regex)]
FreeText = Annotated[str, StringConstraints(pattern=FREE_TEXT.regex)]
HostName = Annotated[str, StringConstraints(pattern=HOST_NAME.regex)]
SeatRange = Annotated[str, StringConstraints(pattern=SEAT_RANGE.regex)]
Mac = Annotated[str, StringConstraints(pattern=MAC.regex, to_lower=True)]
Asset = Annotated[str, StringConstraints(pattern=ASSET.regex)]
Address = Annotated[str, StringConstraints(pattern=ADDRESS.regex)]
Block = Annotated[str, StringConstraints(pattern=BLOCK.regex)]
Address6 = Annotated[str, StringConstraints(pattern=ADDRESS6.regex)]
Block6 = Annotated[str, StringConstraints(pattern=BLOCK6.regex)]
KeyLine = Annotated[str, StringConstraints(pattern=KEY_LINE.regex)]
DayText = Annotated[str, StringConstraints(pattern=DAY.regex)]
TimeZone = Annotated[str, StringConstraints(pattern=TIME_ZONE.regex)]
Origin = Annotated[str, StringConstraints(pattern=ORIGIN.regex)]
Folder = Annotated[str, StringConstraints(pattern=FOLDER.regex)]
Git = Annotated[str, StringConstraints(pattern=GIT.regex)]
Mail = Annotated[str, StringConstraints(pattern=MAIL.regex)]
Witness = Annotated[str, StringConstraints(pattern=WITNESS.regex)]
ImageName = Annotated[str, StringConstraints(pattern=IMAGE_NAME.regex)]
PackageName = Annotated[str, StringConstraints(pattern=PACKAGE_NAME.regex)]
FilePath = Annotated[str, StringConstraints(pattern=FILE_PATH.regex)]

BY_REGEX = {value.regex: value for value in list(globals().values()) if isinstance(value, Pattern)}


def code_in(text: str) -> str:
    """What in `text` is template or shell text, in words; empty where nothing is."""
    if any(mark in text for mark in TEMPLATE_MARKS):
        return "template text"
    odd = next((character for character in text if character in SHELL_MARKS), "")
    return f"shell text ({odd!r})" if odd else ""


def unwelcome_in(text: str) -> str:
    """The first character of a free text that may not stand there, in words."""
    for character in text:
        if unicodedata.category(character)[0] not in "LMN" and character not in FREE_PUNCTUATION:
            return f"{character!r} (U+{ord(character):04X})"
    return ""
