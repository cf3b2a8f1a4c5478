"""Local passwords: who may read one, when it is due, and that what is kept is whole."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from lab_tool import secret
from lab_tool.core import password_store as store
from lab_tool.core.passwords import Policy, make, readers, why_due
from lab_tool.errors import LabError, RefusedError
from lab_tool.school.model import Key, Person
from tests.support.office import PATCHING, key_of, person

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
TODAY = NOW.date()
POLICY = Policy("localadmin", 90, ("head", "tech"), 2)
PEOPLE = {
    "tech": person("tech", request=PATCHING),
    "head": person("head", approve=PATCHING),
    "second": person("second", run=PATCHING),
}


def test_passwords_are_long_readable_and_never_the_same() -> None:
    made = {secret.new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){4}[a-hjkmnp-z2-9]{4}", password) for password in made)
    assert {character for password in made for character in password} == {*secret.ALPHABET, "-"}


def test_each_reader_can_decrypt_it_and_nobody_else() -> None:
    kept, data, hashed = make(POLICY, readers(PEOPLE, POLICY, TODAY), NOW)
    password = secret.decrypt(data, key_of("tech"))
    assert secret.decrypt(data, key_of("head")) == password
    with pytest.raises(LabError, match="age could not decrypt"):
        secret.decrypt(data, key_of("second"))
    assert hashed.startswith("$6$")
    assert password.encode() not in data
    assert (kept.fingerprint, kept.ciphertext) == (store.digest(hashed.encode()), store.digest(data))
    assert secret.crypt_hash(password) != hashed, "without a salt of its own"


def test_unknown_holders_are_refused() -> None:
    with pytest.raises(RefusedError, match="nobody_known: not in inventory"):
        readers(PEOPLE, replace(POLICY, holders=("head", "tech", "nobody_known")), TODAY)


@pytest.mark.parametrize(
    "left",
    [
        person("tech"),
        person("tech", request=PATCHING, service=True),
        person("tech", request=PATCHING, keys=()),
        replace(PEOPLE["tech"], keys=(replace(PEOPLE["tech"].keys[0], last_day=date(2026, 11, 23)),)),
        replace(PEOPLE["tech"], keys=(replace(PEOPLE["tech"].keys[0], first_day=date(2026, 11, 25)),)),
        replace(PEOPLE["tech"], keys=(Key("sk-ssh-ed25519@openssh.com AAAA", None, None),)),
    ],
    ids=["no right", "service", "no key", "key ended", "key not yet", "key in hardware"],
)
def test_who_has_left_reads_nothing_and_nobody_is_alone(left: Person) -> None:
    people = {**PEOPLE, "tech": left}
    wider = replace(POLICY, holders=("head", "tech", "second"))
    assert set(readers(people, wider, TODAY)) == {"head", "second"}
    with pytest.raises(RefusedError, match="only head could read the password, and 2 must"):
        readers(people, POLICY, TODAY)


def test_when_it_is_due() -> None:
    who = readers(PEOPLE, POLICY, TODAY)
    kept, _, _ = make(POLICY, who, NOW)
    assert why_due(kept, POLICY, who, (), NOW) == ""
    assert why_due(kept, POLICY, who, (), NOW + timedelta(days=89, hours=23)) == ""
    assert why_due(kept, POLICY, who, (), NOW + timedelta(days=90)) == "it is 90 days old"
    assert why_due(kept, POLICY, who, {kept.id}, NOW) == "it was shown"
    assert why_due(kept, POLICY, who, {"g-another"}, NOW) == ""
    assert why_due(None, POLICY, who, (), NOW) == "none is kept yet"
    assert why_due(kept, replace(POLICY, account="other"), who, (), NOW) == "the account was localadmin"
    assert why_due(kept, POLICY, {"head": who["head"]}, (), NOW) == "who may read it has changed"
    assert why_due(kept, replace(POLICY, period=0), who, (), NOW) == "it is 0 days old"
    assert "from the future" in why_due(kept, POLICY, who, (), NOW - timedelta(days=2))


def test_what_is_kept_is_read_again_and_only_the_last_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "passwords" / "a301-01"
    who = readers(PEOPLE, POLICY, TODAY)
    first, data, _ = make(POLICY, who, NOW)
    second, later, _ = make(POLICY, who, NOW + timedelta(seconds=1))
    store.add(folder, first, data)
    store.add(folder, second, later)
    assert store.generations(folder) == [first, second]
    assert store.ciphertext(folder, first) == data
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    store.keep_only(folder, second)
    assert sorted(path.name for path in folder.iterdir()) == [f"{second.id}.age", f"{second.id}.json"]


def test_a_file_that_was_cut_off_or_exchanged_is_told(tmp_path: Path) -> None:
    who = readers(PEOPLE, POLICY, TODAY)
    kept, data, _ = make(POLICY, who, NOW)
    # Cut off before it was said what it is: it never reached the PC.
    (tmp_path / "g-20260101T000000-0000.age").write_bytes(data)
    assert store.generations(tmp_path) == []
    store.add(tmp_path, kept, data)
    assert store.is_whole(tmp_path, kept)
    (tmp_path / f"{kept.id}.age").write_bytes(data[:-20])
    with pytest.raises(LabError, match="not the file that was written"):
        store.ciphertext(tmp_path, kept)
    assert not store.is_whole(tmp_path, kept)
    (tmp_path / f"{kept.id}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LabError, match="not what this tool writes"):
        store.generations(tmp_path)
