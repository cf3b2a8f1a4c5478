"""Local accounts and the members of groups that make an administrator, beyond those that are meant to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .findings import Finding

# Accounts of people begin here in Debian; `nobody` stands beyond.
FIRST_PERSON, NOBODY = 1000, 65534
NO_LOGIN = ("/nologin", "/false", "/sync")


@dataclass(frozen=True)
class Account:
    """A line of `/etc/passwd`."""

    name: str
    uid: int
    gid: int
    shell: str


def accounts(passwd: str) -> list[Account]:
    """From `/etc/passwd`; lines that name no local account (such as NIS's) are left out."""
    rows = [line.split(":") for line in passwd.splitlines()]
    return [
        Account(row[0], int(row[2]), int(row[3]), row[6])
        for row in rows
        if len(row) == 7 and row[2].isdecimal() and row[3].isdecimal()
    ]


def beyond(found: Sequence[Account], allowed: Sequence[str]) -> Iterator[Finding]:
    """Accounts of people, and others that can log in, that no pattern of `allowed` names; and second superusers."""
    for account in found:
        if account.uid == 0 and account.name != "root":
            yield Finding("admin", "root alone has user id 0", account.name, f"uid0:{account.name}")
        person = account.uid >= FIRST_PERSON and account.uid != NOBODY
        logs_in = account.uid != 0 and not account.shell.endswith(NO_LOGIN)
        if (person or logs_in) and not _named(account.name, allowed):
            yield Finding("account", "no such account", f"{account.name}, user id {account.uid}", account.name)


def admins(found: Sequence[Account], group: str, groups: Sequence[str], allowed: Sequence[str]) -> Iterator[Finding]:
    """Members of `groups`, their own or a further group, that no pattern of `allowed` names. `group`: `/etc/group`."""
    for row in (line.split(":") for line in group.splitlines()):
        if len(row) != 4 or row[0] not in groups or not row[2].isdecimal():
            continue
        first = [account.name for account in found if account.gid == int(row[2])]
        for name in sorted({*first, *filter(None, row[3].split(","))}):
            if name != "root" and not _named(name, allowed):
                yield Finding("admin", f"not in {row[0]}", f"{name} in {row[0]}", f"{row[0]}:{name}")


def _named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
