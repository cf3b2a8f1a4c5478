"""Second places: a folder, a git remote, a mail server, a witness. Each one real."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from lab_tool.errors import RefusedError, UsageError
from lab_tool.log.checkpoint import local_checkpoints, publish
from lab_tool.log.entry import Entry
from lab_tool.log.keep import kept
from lab_tool.log.keys import make_key, trusted_keys
from lab_tool.log.note import folder_name, parse
from lab_tool.log.places import PlaceError, place_name, read_back
from lab_tool.log.verify.sources import Sources, gather
from lab_tool.log.witness import LONGEST_REQUEST, Witness
from lab_tool.school.model import Key, SecondPlace
from lab_tool.settings import Settings
from tests.tamper import forge
from tests.unit.log.conftest import ORIGIN, Clock, policy

Add = Callable[[int], list[Entry]]


@pytest.fixture
def remote(settings: Settings) -> Path:
    """A bare repository that refuses what is not on top of what it has."""
    path = settings.inventory.parent / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    subprocess.run(["git", "-C", str(path), "config", "receive.denyNonFastForwards", "true"], check=True)
    return path


def tip(remote: Path) -> list[str]:
    """Subjects of the remote's commits, newest first."""
    shown = subprocess.run(
        ["git", f"--git-dir={remote}", "log", "--format=%s", "checkpoints"], capture_output=True, text=True, check=True
    )
    return shown.stdout.splitlines()


def test_a_folder(settings: Settings, add: Add, clock: Clock) -> None:
    (settings.inventory.parent / "second").mkdir()
    place = SecondPlace("folder", "../second")
    add(2)
    publish(settings, policy(place), clock)
    publish(settings, policy(place), clock)
    assert read_back(place, ORIGIN, settings.inventory) == local_checkpoints(settings.log)
    assert read_back(place, "another.example/log", settings.inventory) == []


def test_a_folder_that_is_not_mounted(settings: Settings) -> None:
    with pytest.raises(PlaceError, match="not mounted"):
        read_back(SecondPlace("folder", "../nowhere"), ORIGIN, settings.inventory)


def test_a_folder_keeps_what_it_has(settings: Settings, add: Add, clock: Clock) -> None:
    """Another checkpoint under the same name is an error, not a replacement."""
    second = settings.inventory.parent / "second" / folder_name(ORIGIN)
    second.mkdir(parents=True)
    (second / "000000000002-20261124T080003Z.txt").write_bytes(b"somebody's")
    add(2)
    published = publish(settings, policy(SecondPlace("folder", "../second")), clock)
    assert published.failed
    assert (second / "000000000002-20261124T080003Z.txt").read_bytes() == b"somebody's"


def test_a_git_remote(settings: Settings, add: Add, clock: Clock, remote: Path) -> None:
    place = SecondPlace("git", "../remote.git")
    add(2)
    assert publish(settings, policy(place), clock).reached == ("git ../remote.git",)
    add(3)
    assert publish(settings, policy(place), clock).reached
    assert tip(remote) == [f"Checkpoint of {ORIGIN} at {size} entries" for size in (6, 2)]
    assert read_back(place, ORIGIN, settings.inventory) == local_checkpoints(settings.log)


def test_a_git_remote_by_url(settings: Settings, add: Add, clock: Clock, remote: Path) -> None:
    add(2)
    assert publish(settings, policy(SecondPlace("git", f"file://{remote}")), clock).reached
    assert len(tip(remote)) == 1


def test_the_environment_of_a_hook_does_not_confuse_git(
    settings: Settings, add: Add, clock: Clock, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(settings.inventory))
    monkeypatch.setenv("GIT_WORK_TREE", str(settings.inventory))
    add(2)
    assert publish(settings, policy(SecondPlace("git", "../remote.git")), clock).reached
    assert len(tip(remote)) == 1


@pytest.mark.parametrize("url", ["../no.git", "https://127.0.0.1:1/x.git", "--upload-pack=touch /tmp/owned", "ext::sh"])
def test_a_git_remote_that_is_none(settings: Settings, url: str) -> None:
    with pytest.raises(PlaceError):
        read_back(SecondPlace("git", url), ORIGIN, settings.inventory)


class Inbox:
    """What a mail server took in."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 taken"


@pytest.fixture
def mail() -> Iterator[tuple[Inbox, int]]:
    """A real SMTP server on this machine, and its port."""
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    yield inbox, port
    server.stop()


def test_a_mailbox(settings: Settings, add: Add, clock: Clock, mail: tuple[Inbox, int], tmp_path: Path) -> None:
    inbox, port = mail
    add(2)
    place = SecondPlace("mail", f"smtp://127.0.0.1:{port}/auditor@school.example")
    assert publish(settings, policy(place), clock).reached == (place_name(place),)
    (envelope,) = inbox.mails
    assert envelope.rcpt_tos == ["auditor@school.example"]
    assert envelope.mail_from == "lab-log@school.example"
    # A mail that somebody saved is as good as the checkpoint in it.
    saved = tmp_path / "saved.eml"
    assert isinstance(envelope.content, bytes)
    saved.write_bytes(envelope.content)
    signers = tmp_path / "signers"
    signers.write_text(trusted_keys(settings, policy()).keys[0].line + "\n")
    question = gather(Sources(settings, (saved,), keys=signers, log=settings.log), clock.now)
    assert parse(question.shown[-1].text) == parse(local_checkpoints(settings.log)[0][1])
    assert question.shown[-1].place == "--checkpoint"


def test_a_mailbox_cannot_be_asked(settings: Settings) -> None:
    assert read_back(SecondPlace("mail", "smtp://127.0.0.1/x@y"), ORIGIN, settings.inventory) is None


@pytest.mark.parametrize(
    "target",
    [
        "smtp://127.0.0.1:1/x@y",
        "http://127.0.0.1/x@y",
        "smtp://127.0.0.1",
        "smtp:///x@y",
        "smtp://127.0.0.1:99999/x@y",
        "smtp://127.0.0.1:1/x@y%0d%0aBcc: z@y",
        "",
    ],
)
def test_a_mailbox_that_is_none(settings: Settings, add: Add, clock: Clock, target: str) -> None:
    add(1)
    published = publish(settings, policy(SecondPlace("mail", target)), clock)
    assert len(published.failed) == 1


# The witness, over the command line that `ssh` would start on its machine.


@pytest.fixture
def witness(settings: Settings, add: Add, clock: Clock) -> SecondPlace:
    """Another person's machine, with the log's key pinned there."""
    add(2)
    home = settings.inventory.parent / "witness"
    home.mkdir()
    public = make_key(settings.keys / "log", "test").with_suffix(".pub")
    (home / "signers").write_text(public.read_text())
    command = [sys.executable, "-m", "lab_tool", "log", "witness"]
    options = ["--store", str(home / "store"), "--keys", str(home / "signers")]
    return SecondPlace("witness", shlex.join([*command, *options]))


@pytest.fixture
def held(settings: Settings) -> Callable[[], list[int]]:
    """Sizes of what the witness accepted."""
    folder = settings.inventory.parent / "witness" / "store" / folder_name(ORIGIN)
    return lambda: [parse(text).size for _, text in kept(folder)]


@pytest.fixture
def receiver(settings: Settings, clock: Clock, witness: SecondPlace) -> Witness:
    """The same witness, asked without a process between."""
    home = settings.inventory.parent / "witness"
    keys = (Key((home / "signers").read_text().strip(), None, None),)
    return Witness(home / "store", keys, clock())


def test_a_witness_accepts_growth(
    settings: Settings, add: Add, clock: Clock, witness: SecondPlace, held: Callable[[], list[int]]
) -> None:
    assert publish(settings, policy(witness), clock).reached
    add(5)
    assert publish(settings, policy(witness), clock).reached
    add(1)
    assert publish(settings, policy(witness), clock).reached
    assert held() == [2, 8, 10]
    ((_, newest),) = read_back(witness, ORIGIN, settings.inventory) or []
    assert newest == local_checkpoints(settings.log)[-1][1]


def test_the_sender_itself_refuses_to_send_what_contradicts(
    settings: Settings, add: Add, clock: Clock, witness: SecondPlace, held: Callable[[], list[int]]
) -> None:
    publish(settings, policy(witness), clock)
    path = settings.log / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"li-na", b"wu-li"))
    for left in (*(settings.log / "index").glob("*"), *(settings.log / "checkpoints").glob("*")):
        left.unlink()
    published = publish(settings, policy(witness), clock)
    assert "contradicts" in published.failed[0].reason
    assert held() == [2]


def request(old: int, proof: list[str], checkpoint: bytes) -> bytes:
    return "\n".join([f"old {old}", *proof]).encode() + b"\n\n" + checkpoint


@pytest.fixture
def lines(settings: Settings, clock: Clock, witness: SecondPlace) -> list[bytes]:
    """The log that the witness knows: three entries, of which it holds a checkpoint of two."""
    publish(settings, policy(witness), clock)
    return forge.read(settings.log / "entries.jsonl")


def test_a_witness_refuses_another_history(
    settings: Settings, receiver: Witness, lines: list[bytes], held: Callable[[], list[int]]
) -> None:
    """With the real key, and whatever proof: the root it holds is not in there. Both are kept as evidence."""
    other = forge.rechained([forge.changed(line, actor="nobody") for line in lines])
    checkpoint = forge.signed(other, settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    for proof in ([], ["A" * 43 + "="], ["A" * 43 + "="] * 5):
        with pytest.raises(RefusedError, match="does not extend"):
            receiver.answer(request(2, proof, checkpoint.encode()))
    assert held() == [2]
    evidence = kept(receiver.store / folder_name(ORIGIN) / "refused")
    assert [text for _, text in evidence] == [checkpoint.encode()]


def test_a_witness_refuses_a_shorter_history(settings: Settings, receiver: Witness, lines: list[bytes]) -> None:
    checkpoint = forge.signed(lines[:1], settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    with pytest.raises(RefusedError, match="does not extend"):
        receiver.answer(request(2, [], checkpoint.encode()))
    with pytest.raises(RefusedError, match="does not extend"):
        receiver.answer(request(0, [], checkpoint.encode()))


def test_a_witness_refuses_another_root_of_the_same_size(
    settings: Settings, receiver: Witness, lines: list[bytes]
) -> None:
    checkpoint = forge.signed_root(2, bytes(32), settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    with pytest.raises(RefusedError, match="does not extend"):
        receiver.answer(request(2, [], checkpoint.encode()))


def test_a_witness_refuses_to_start_anew(settings: Settings, receiver: Witness, lines: list[bytes]) -> None:
    """`old 0` does not make it forget."""
    other = forge.rechained([forge.changed(line, actor="nobody") for line in lines])
    checkpoint = forge.signed(other, settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    with pytest.raises(RefusedError, match="the proof is for 0"):
        receiver.answer(request(0, [], checkpoint.encode()))


def test_a_witness_accepts_the_same_again(receiver: Witness, lines: list[bytes], held: Callable[[], list[int]]) -> None:
    (text,) = [text for _, text in kept(receiver.store / folder_name(ORIGIN))]
    assert receiver.answer(request(2, [], text)) == b"accepted 2\n"
    assert set(held()) == {2}


def test_a_witness_refuses_a_signature_it_does_not_trust(receiver: Witness, lines: list[bytes], tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger", "x")
    checkpoint = forge.signed(lines, stranger, ORIGIN, "2026-11-24T09:00:00.000000Z")
    with pytest.raises(RefusedError, match="not signed by a key trusted here"):
        receiver.answer(request(2, [], checkpoint.encode()))


def test_a_witness_keeps_logs_apart(settings: Settings, receiver: Witness, lines: list[bytes]) -> None:
    other = forge.signed(lines[:1], settings.keys / "log", "other.example/log", "2026-11-24T09:00:00.000000Z")
    assert receiver.answer(request(0, [], other.encode())) == b"accepted 1\n"
    assert receiver.answer(b"get other.example/log\n") == other.encode()
    assert parse(receiver.answer(f"get {ORIGIN}\n".encode())).size == 2
    assert receiver.answer(b"get nobody\n") == b""
    assert receiver.answer(b"get ../../etc\n") == b""


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", b"old", b"old x\n\n", b"old 2\nnot base64!\n\nx", b"old 2\n\n", b"old -1\n\n\xff", b"get", b"old 2"],
)
def test_nonsense_is_a_usage_error(receiver: Witness, data: bytes) -> None:
    with pytest.raises(UsageError):
        receiver.answer(data)


def test_a_request_without_end_is_a_usage_error(receiver: Witness, lines: list[bytes]) -> None:
    with pytest.raises(UsageError, match="too long"):
        receiver.answer(b"old 2\n" + b"A" * LONGEST_REQUEST)
    (text,) = [text for _, text in kept(receiver.store / folder_name(ORIGIN))]
    with pytest.raises(UsageError, match="too long"):
        receiver.answer(request(2, ["A" * 43 + "="] * 64, text))


@pytest.mark.parametrize("command", ["/no/such/program", "false", "unclosed '", "sh -c 'exit 5'", ""])
def test_a_witness_that_is_not_there(settings: Settings, add: Add, clock: Clock, command: str) -> None:
    add(1)
    published = publish(settings, policy(SecondPlace("witness", command)), clock)
    assert len(published.failed) == 1


def test_one_place_that_fails_does_not_keep_the_others_from_it(settings: Settings, add: Add, clock: Clock) -> None:
    (settings.inventory.parent / "second").mkdir()
    add(1)
    places = (SecondPlace("witness", "false"), SecondPlace("folder", "../second"), SecondPlace("mail", "x"))
    published = publish(settings, policy(*places), clock)
    assert published.reached == ("folder ../second",)
    assert len(published.failed) == 2
