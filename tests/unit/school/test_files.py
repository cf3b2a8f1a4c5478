"""Files that are not read, or are no YAML of ours: refused at once, whatever is in them."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from lab_tool.school.files import LARGEST
from tests.unit.school.small import A301, only, refusal, replace

ROOM = "rooms/a301.yml"
FOREIGN = [
    ("a tab", b"room:\ta301\n", 1),
    ("a tab", b"# a comment\n#\there\n", 2),
    ("not UTF-8", "room: a301\nname: {zh: 机房}\n".encode("gb18030"), 2),
    ("not UTF-8", b"room: \xc0\xaf\n", 1),
    ("U+0000", b"room: a301\x00\n", 1),
    ("U+001B", b"room: a301\n# \x1b[2J\n", 2),
    ("U+000D", b"room: a301\r# hidden\n", 1),
    ("U+0085", "room: a301\u0085os: x\n".encode(), 1),
    ("U+2028", "room: a301\n# \u2028os: x\n".encode(), 2),
    ("U+202E", "room: a301\n# \u202edesrever\n".encode(), 2),
    ("U+200B", "room: a3\u200b01\n".encode(), 1),
    ("U+FEFF", "room: a301\n\ufeffos: x\n".encode(), 2),
    ("an empty file", b"", 1),
    ("an empty file", b"# nothing but a comment\n", 1),
    ("an empty file", b"---\n...\n", 1),
    ("a list where", b"- a\n- b\n", 1),
    ("a str where", b"hello\n", 1),
    ("an invisible or control character (U+001B) in a value", b'room: "\\e[31m"\n', 1),
    ("an invisible or control character (U+200B) in a value", b'room: "a\\u200b301"\n', 1),
    ("an invisible or control character (U+000A) in a value", b"room: |\n  a301\n  b\n", 1),
    ("key 'os' stands twice (first in line 1)", b"os: a\nroom: b\nos: c\n", 3),
    ("key 'os' stands twice", b'os: a\n"os": c\n', 2),
    ("key 'mac' stands twice", b"differences:\n  1: {mac: a, mac: b}\n", 2),
    ("an anchor or alias (x)", b"name: &x {zh: a, en: b}\n", 1),
    ("an anchor or alias (x)", b"name: &x [*x]\n", 1),
    (
        "a YAML tag ('tag:yaml.org,2002:python/object/apply:os.system')",
        b"room: !!python/object/apply:os.system [id]\n",
        1,
    ),
    ("a YAML tag ('!vault')", b"room: !vault abc\n", 1),
    ("a YAML tag ('tag:yaml.org,2002:binary')", b"a: b\nroom: !!binary aWQ=\n", 2),
    ("a YAML tag ('tag:yaml.org,2002:str')", b"!!str room: a\n", 1),
    ("expected a single document", b"room: a301\n---\nroom: a302\n", 2),
    ("a key that is a list or a mapping", b"? [a, b]\n: c\n", 1),
    ("not readable as YAML", b"room: a301\n  os: b\n", 2),
    ("not readable as YAML", b"room: 'a301\n", 2),
    ("not readable as YAML", b"room: @a301\n", 1),
    ("nested deeper than 12 levels", b"a: " + b"[" * 13 + b"]" * 13 + b"\n", 1),
]


@pytest.mark.parametrize(("words", "content", "line"), FOREIGN)
def test_text_that_is_refused(inventory: Path, words: str, content: bytes, line: int) -> None:
    path = inventory / ROOM
    path.write_bytes(content)
    problems = [problem for problem in refusal(inventory) if problem.file == str(path)]
    assert words in problems[0].what
    assert problems[0].line == line


@pytest.mark.parametrize("file", ["site.yml", "people.yml", ROOM, "group_vars/all.yml"])
@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? ", "a: [", "&a [", "!!x ["])
def test_a_deep_file_ends_neither_the_program_nor_the_day(inventory: Path, file: str, opening: str) -> None:
    """Deep nesting overflows the stack of YAML's C parser, which ends the whole process."""
    (inventory / file).write_text(opening * (LARGEST // len(opening) - 1), encoding="utf-8")
    begin = time.process_time()
    problems = [problem for problem in refusal(inventory) if problem.file == str(inventory / file)]
    assert problems
    assert time.process_time() - begin < 2


def test_many_laughs(inventory: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    (inventory / ROOM).write_text("\n".join(lines), encoding="utf-8")
    assert refusal(inventory)[0].what == "an anchor or alias (a)"


@pytest.mark.parametrize(
    "line", ["k{n}: 1\n", "a: 1\n", "- 1\n", "{n}: {{mac: 1}}\n", "differences: {{1: {{mac: x}}}}\n", '"\\e{n}": 1\n']
)
def test_a_file_full_of_mistakes_is_refused_soon(inventory: Path, line: str) -> None:
    text = "".join(line.format(n=number) for number in range(LARGEST // 40))
    (inventory / ROOM).write_text(text[:LARGEST], encoding="utf-8")
    begin = time.process_time()
    problems = [problem for problem in refusal(inventory) if problem.file.endswith(ROOM)]
    assert 0 < len(problems) <= 50
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("file", ["site.yml", "people.yml", ROOM])
def test_a_file_too_large(inventory: Path, file: str) -> None:
    (inventory / file).write_bytes(b"#" * 10_000_000)
    assert "10,000,000 bytes, more than 1 MiB" in [problem.what for problem in refusal(inventory)]


@pytest.mark.parametrize("file", ["site.yml", "people.yml", ROOM, "group_vars/all.yml"])
def test_a_pipe_does_not_keep_anybody_waiting(inventory: Path, file: str) -> None:
    (inventory / file).unlink(missing_ok=True)
    os.mkfifo(inventory / file)
    assert (str(inventory / file), "not a regular file") in [(each.file, each.what) for each in refusal(inventory)]


def test_a_folder_in_place_of_a_room(inventory: Path) -> None:
    (inventory / "rooms/c1.yml").mkdir()
    assert only(inventory).what == "not a regular file"


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("file", ["site.yml", "people.yml", ROOM])
def test_a_link_in_place_of_a_file(inventory: Path, file: str, inside: bool) -> None:
    path = inventory / file
    target = path.with_suffix(".real") if inside and file != ROOM else inventory.parent / "elsewhere.yml"
    path.rename(target)
    path.symlink_to(target)
    assert (str(path), "a symbolic link") in [(each.file, each.what) for each in refusal(inventory)]


def test_a_link_to_the_password_file_shows_nothing_of_it(inventory: Path) -> None:
    (inventory / "rooms/c1.yml").symlink_to("/etc/passwd")
    assert "root:" not in str(only(inventory))


def test_a_link_in_place_of_the_folder_of_rooms(inventory: Path) -> None:
    (inventory / "rooms").rename(inventory.parent / "elsewhere")
    (inventory / "rooms").symlink_to(inventory.parent / "elsewhere")
    assert (str(inventory / "rooms"), "a symbolic link") in [(each.file, each.what) for each in refusal(inventory)]


@pytest.mark.parametrize(
    "name", ["c1.yaml", "c1.yml.bak", "C1.yml", "c-1.yml", "README.md", "c1", "机房.yml", "c1 .yml"]
)
def test_no_room_is_passed_over_in_silence(inventory: Path, name: str) -> None:
    (inventory / "rooms" / name).write_text(A301, encoding="utf-8")
    assert only(inventory).what == "not a room file"


def test_a_file_name_can_not_speak_to_the_terminal(inventory: Path) -> None:
    (inventory / "rooms" / "\x1b[2J\udcff.yml").write_text(A301, encoding="utf-8")
    assert only(inventory).file.isprintable()


def test_a_file_nobody_may_read(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for everybody but root."""
    real = os.open

    def closed(path: Path, flags: int) -> int:
        if str(path).endswith(ROOM):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr("lab_tool.school.files.os.open", closed)
    problems = [problem for problem in refusal(inventory) if problem.file.endswith(ROOM)]
    assert [(problem.what, problem.fix) for problem in problems] == [
        ("can't be read: Permission denied", "Make it readable")
    ]


@pytest.mark.parametrize("file", ["site.yml", "people.yml", ROOM, "group_vars/all.yml", "notes.txt", "rules/more.yml"])
@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ",
        "PuTTY-User-Key-File-3: ssh-ed25519",
        "AGE-SECRET-KEY-1QQQQQQ",
    ],
)
def test_no_private_key_lies_in_the_inventory(inventory: Path, file: str, text: str) -> None:
    path = inventory / file
    path.parent.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"# first line\n# {text}\n{before}", encoding="utf-8")
    problems = [(problem.file, problem.line, problem.what) for problem in refusal(inventory)]
    assert (str(path), 2, "private key material") in problems


def test_a_public_key_is_no_private_key(inventory: Path) -> None:
    (inventory / "notes.txt").write_text("-----BEGIN PUBLIC KEY-----\n", encoding="utf-8")
    assert not refusal(inventory)


def test_yaml_line_numbers_survive_comments_and_folding(inventory: Path) -> None:
    replace(inventory / ROOM, "campus: north", "# one\n\n# two\ncampus:\n  nowhere")
    assert [problem.line for problem in refusal(inventory)] == [6]
