"""`lab change`: request, approve, reject, list, show, export."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from lab_tool.cli import change_view
from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import LabError, UsageError, VerificationError
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.change_state import ChangeState
    from lab_tool.core.decision import Credential
    from lab_tool.school.model import Risk, School

OPEN = ("overdue", "requested", "approved", "running")
KEY_HELP = "Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519)."


@click.group()
def change() -> None:
    """Changes: requested by one person, approved by another, each with an SSH signature.

    \b
    Examples:
      lab change request patch --room a301 --why "Term starts on Monday"
      lab change approve c-1f2e3d4c5b
      lab change list
    """


def _signed_elsewhere(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of those who decide: a key here, or a signature made on another machine."""
    options = (
        click.option("--as", "person", default="", metavar="PERSON", help="Whose signature it is, with --signature."),
        click.option(
            "--signature", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Made on another machine."
        ),
        click.option("--key", type=click.Path(path_type=Path), help=KEY_HELP),
    )
    for option in options:
        command = option(command)
    return command


@change.command()
@click.argument("verb")
@click.option("--room", "rooms", multiple=True, help="A room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A single host; may be repeated.")
@click.option("--why", required=True, help="The reason, in one line.")
@click.option("--window", default="", metavar="FROM/TO", help="Only then: '2026-11-28 20:00/2026-11-29 06:00'.")
@click.option("--standing", default="", metavar="WEEKLY", help="A prepared procedure: 'Sat 20:00-Sun 06:00'.")
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="The last day of a prepared procedure.")
@click.option("--expires", type=int, metavar="DAYS", help="How long it may wait to be run (default 14).")
@click.option("--risk", type=click.Choice(["low", "medium", "high"]), help="More than the verb has by itself.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="An input of the role, for this run only.")
@click.option("--key", type=click.Path(path_type=Path), help=KEY_HELP)
@output_options
def request(
    verb: str,
    rooms: tuple[str, ...],
    hosts: tuple[str, ...],
    why: str,
    window: str,
    standing: str,
    last_day: datetime | None,
    expires: int | None,
    risk: str | None,
    overrides: tuple[str, ...],
    key: Path | None,
    out: Output,
) -> None:
    """Request that VERB be run on rooms or hosts.

    \b
    Examples:
      lab change request patch --room a301 --why "Term starts on Monday"
      lab change request patch --host a301-07 --why "Try it first" --set patch_scope=full
      lab change request patch --room a301 --why "Exam" --window "2026-11-28 20:00/2026-11-29 06:00"
      lab change request patch --room a301 --why "Weekly patches" --standing "Sat 20:00-Sun 06:00" --last-day 2027-01-31
    """
    from lab_tool.core import change as core
    from lab_tool.core.identity import default_key

    settings, school = _here()
    day: date | None = last_day.date() if last_day else None
    wish = core.Wish(verb, rooms, hosts, why, window, standing, day, expires, cast("Risk | None", risk), overrides)
    state = core.request(settings, school, wish, key or default_key(os.environ), utc_now)
    change_view.requested(school, state, utc_now(), out)


@change.command()
@click.argument("change_id", metavar="CHANGE")
@_signed_elsewhere
@output_options
def approve(change_id: str, key: Path | None, signature: Path | None, person: str, out: Output) -> None:
    """Approve CHANGE: what is signed is shown first.

    \b
    Examples:
      lab change approve c-1f2e3d4c5b
      lab change approve c-1f2e3d4c5b --key ~/.ssh/id_ed25519_sk     a hardware key
      lab change approve c-1f2e3d4c5b --signature c-1f2e3d4c5b.json.sig --as li_ming
    """
    from lab_tool.core import decision
    from lab_tool.core.document import APPROVE_NAMESPACE

    settings, school = _here()

    def show(state: ChangeState) -> None:
        out.line(out.say("change", "to_sign", namespace=APPROVE_NAMESPACE), bold=True)
        change_view.details(school, state, utc_now(), out)
        out.line()

    decided = decision.approve(settings, school, change_id, _credential(key, signature, person), utc_now, show)
    state = decided.state
    command = f"lab run {state.verb} {' '.join(f'--room {room}' for room in state.rooms)}"
    word = "already_approved" if decided.already else "looked_at" if state.emergency else "now_approved"
    next_command = command if state.standing else f"lab run {state.id}"
    out.line(out.say("change", word, id=state.id, person=decided.person, command=next_command), bold=True)
    out.result("change", change_view.as_json(school, state, utc_now()) | {"already": decided.already})


@change.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("--why", required=True, help="The reason, in one line.")
@_signed_elsewhere
@output_options
def reject(change_id: str, why: str, key: Path | None, signature: Path | None, person: str, out: Output) -> None:
    """Reject CHANGE, also an approved one that was not run yet; or take back your own.

    \b
    Example:
      lab change reject c-1f2e3d4c5b --why "Exams that day"
    """
    from lab_tool.core import decision

    settings, school = _here()
    decided = decision.reject(settings, school, change_id, why, _credential(key, signature, person), utc_now)
    word = "already_rejected" if decided.already else "now_rejected"
    out.line(out.say("change", word, id=decided.state.id, person=decided.person), bold=True)
    out.result("change", change_view.as_json(school, decided.state, utc_now()) | {"already": decided.already})


@change.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@output_options
def list_(everything: bool, out: Output) -> None:
    """List changes: emergencies still to be approved first, then what is open.

    \b
    Examples:
      lab change list
      lab change list --all --json
    """
    from lab_tool.core.change_state import STATUSES, all_changes

    settings, school = _here()
    now = utc_now()
    states, damaged = all_changes(settings)
    shown = [state for state in reversed(states) if everything or state.status(now) in OPEN]
    shown.sort(key=lambda state: STATUSES.index(state.status(now)))
    columns = [out.say("change", word) for word in ("id", "status", "verb", "rooms", "hosts", "requester", "why")]
    if shown:
        out.table(columns, [change_view.row(school, state, now, out) for state in shown])
    elif not damaged:
        out.line(out.say("change", "none_open" if states else "none"))
    overdue = sum(state.status(now) == "overdue" for state in states)
    if overdue:
        out.note(out.say("change", "overdue_note", number=overdue))
    out.result(
        "changes",
        {
            "changes": [change_view.as_json(school, state, now) for state in shown],
            "damaged": {name: error.what for name, error in damaged.items()},
        },
    )
    if damaged:
        raise SystemExit(_tell(damaged, out))


@change.command()
@click.argument("change_id", metavar="CHANGE")
@output_options
def show(change_id: str, out: Output) -> None:
    """Show CHANGE: what was asked for, who decided what, and what became of it.

    \b
    Example:
      lab change show c-1f2e3d4c5b
    """
    from lab_tool.core.change_state import get_change

    settings, school = _here()
    state = get_change(settings, change_id)
    change_view.details(school, state, utc_now(), out)
    out.result("change", change_view.as_json(school, state, utc_now()))


@change.command()
@click.argument("change_id", metavar="CHANGE")
@click.option("-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Default: CHANGE.json.")
@output_options
def export(change_id: str, target: Path | None, out: Output) -> None:
    """Write exactly the bytes to sign of CHANGE, to sign them on another machine.

    \b
    Example:
      lab change export c-1f2e3d4c5b -o change.json
    """
    from lab_tool.core.change_state import get_change
    from lab_tool.core.document import APPROVE_NAMESPACE

    settings, school = _here()
    state = get_change(settings, change_id)
    target = target or Path(f"{state.id}.json")
    try:
        target.write_bytes(state.change.signed)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(target)) from error
    change_view.details(school, state, utc_now(), out)
    command = f"ssh-keygen -Y sign -n {APPROVE_NAMESPACE} -f ~/.ssh/id_ed25519 {target.name}"
    then = f"lab change approve {state.id} --signature {target.name}.sig"
    for text in ("", out.say("change", "exported", file=target), f"  {command}"):
        out.line(text)
    for text in (out.say("change", "bring_back", file=target.name), f"  {then}"):
        out.line(text)
    out.result("export", {"id": state.id, "file": str(target), "sign": command, "then": then})


def _here() -> tuple[Settings, School]:
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    return settings, load_school(settings.inventory)


def _credential(key: Path | None, signature: Path | None, person: str) -> Credential:
    from lab_tool.core.decision import Credential
    from lab_tool.core.identity import default_key

    if signature is None:
        if person:
            raise UsageError("--as goes with --signature; with a key, you are whose key it is")
        return Credential(key=key or default_key(os.environ))
    if key is not None:
        raise UsageError("--key signs here, --signature was made elsewhere: give one of them")
    return Credential(signature=signature.read_text(encoding="utf-8", errors="replace"), person=person)


def _tell(damaged: dict[str, LabError], out: Output) -> int:
    for error in damaged.values():
        out.note(str(error))
    return VerificationError.exit_code
