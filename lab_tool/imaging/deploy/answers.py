"""What the control node left open in a Windows answer file, and the PC fills in. Standard library only."""

from __future__ import annotations

import base64
import re
import secrets

from lab_tool.imaging.format.fields import FormatError

# Stands where the account's password belongs.
ONE_TIME_PASSWORD = "@@ONE-TIME-PASSWORD@@"
# Setup takes a hidden password for text in UTF-16 with this word behind it, in base64. It hides nothing.
_HIDDEN = "Password"
_COMPUTER = re.compile(r"<ComputerName>([^<]*)</ComputerName>")
# A product key is a secret of the school's, and an order is read by the image server.
_NEVER = ("<ProductKey>", "<PlainText>true</PlainText>", "<AutoLogon>", "<AdministratorPassword>")
_LONGEST_NAME = 15
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def computer_name(host: str) -> str:
    """The name of the PC in Windows: the inventory's, which must do as it is. A shortened one might be another PC's.

    Raises `FormatError`: longer than 15 characters, other than ASCII letters, digits and - within, or digits only.
    """
    if len(host) > _LONGEST_NAME:
        raise FormatError(f"{host}: {len(host)} characters; the name of a Windows PC has {_LONGEST_NAME} at most")
    if not _NAME.fullmatch(host) or host.isdigit():
        raise FormatError(f"{host!r}: the name of a Windows PC is ASCII letters, digits and -, not digits only")
    return host


def check(answers: str, host: str) -> None:
    """Raises `FormatError` unless the answer file names this PC, leaves the password open, and holds no secret."""
    names = _COMPUTER.findall(answers)
    if names != [computer_name(host)]:
        raise FormatError(f"an answer file for {' and '.join(names) or 'no PC'}, not for {host}")
    if answers.count(ONE_TIME_PASSWORD) != 1 or answers.count("<Password>") != 1:
        raise FormatError("an answer file that does not leave exactly one password to the PC")
    secret = next((word for word in _NEVER if word in answers), "")
    if secret:
        raise FormatError(f"an answer file with {secret}, which does not belong in an order")


def complete(answers: str) -> bytes:
    """The answer file with a password that was never anywhere else, and that nobody is told."""
    password = secrets.token_urlsafe(32) + "aA1-"
    hidden = base64.b64encode((password + _HIDDEN).encode("utf-16-le")).decode("ascii")
    return answers.replace(ONE_TIME_PASSWORD, hidden).encode("utf-8")
