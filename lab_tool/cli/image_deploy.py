"""`lab image deploy-system`, `stick`: what PCs boot to be imaged, from the network or from a stick."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab_tool.cli.image_common import SHORT_ID, desk, key_option, size
from lab_tool.cli.output import Output, output_options
from lab_tool.errors import UsageError, VerificationError
from lab_tool.log.text import plain
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.imaging.store.deploy_systems import DeploySystem


@click.group("deploy-system")
def deploy_system() -> None:
    """The small Linux that PCs boot to be imaged: built from the distribution's packages, the same each time.

    \b
    Examples:
      lab image deploy-system build
      lab image deploy-system show
    """


@deploy_system.command()
@click.option("--firmware", multiple=True, metavar="PACKAGE", help="Firmware to take along; may be repeated.")
@click.option("--pin", "pins", multiple=True, metavar="SHA256", help="A server's certificate (default: those set up).")
@key_option
@output_options
def build(firmware: tuple[str, ...], pins: tuple[str, ...], key: Path | None, out: Output) -> None:
    """Build the deploy system, which obeys this control node's key and talks to the school's image servers only.

    \b
    Examples:
      lab image deploy-system build
      lab image deploy-system build --firmware firmware-realtek --firmware firmware-misc-nonfree
    """
    from lab_tool.imaging.deploy_system.api import build_deploy_system
    from lab_tool.imaging.orders.control_key import make_control_key, public_line
    from lab_tool.imaging.store import deploy_systems as core

    here = desk(key)
    core.require_may_build(here)
    servers = core.known_pins(here.settings)
    trusted = {f"--pin {number}": pin for number, pin in enumerate(pins, 1)} or servers
    if not trusted:
        raise UsageError(
            "no image server is set up yet, so the deploy system would not know whom to talk to",
            next_command='lab change request image_server --host SERVER --why "..."',
        )
    make_control_key(here.settings)
    root = here.settings.images
    made = build_deploy_system(
        here.settings,
        root,
        signers=[public_line(here.settings)],
        pins=sorted(set(trusted.values())),
        firmware=firmware,
        progress=lambda text: None if out.json else out.note(plain(text)),
    )
    one = core.find_deploy_system(root, made)
    entry = core.record_built(here, one, trusted, firmware)
    out.line(out.say("image", "deploy_built", id=one.id, size=size(sum(one.files.values()))), bold=True)
    out.note(out.say("image", "recorded", entry=entry.seq))
    out.note(out.say("image", "use_deploy", line=f"image_deploy_system: {one.id}"))
    out.result("image.deploy_system", {**asdict(one), "pins": trusted, "entry": entry.seq})


@deploy_system.command()
@click.argument("ref", metavar="ID", required=False, default="")
@output_options
def show(ref: str, out: Output) -> None:
    """List the deploy systems in the store, or show the one whose id begins with ID: its files and packages.

    \b
    Examples:
      lab image deploy-system show
      lab image deploy-system show 48ec8743a925 --json
    """
    from lab_tool.imaging.store.deploy_systems import deploy_systems, faults_of, find_deploy_system

    root = Settings.from_environment(os.environ).images
    shown = [find_deploy_system(root, ref)] if ref else deploy_systems(root)
    faults = {one.id: faults_of(root, one) for one in shown}
    if shown:
        columns = ("id", "files_column", "size", "packages_column", "state")
        out.table([out.say("image", word) for word in columns], [_row(one, faults[one.id], out) for one in shown])
    else:
        out.line(out.say("image", "no_deploy"))
    if ref:
        for one in shown:
            _details(one, out)
    out.result("image.deploy_systems", [{**asdict(one), "faults": faults[one.id]} for one in shown])
    if any(faults.values()):
        raise SystemExit(VerificationError.exit_code)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--deploy-system", "ref", default="", metavar="ID", help="Which one (default: the last that was built).")
@click.option("--server", default="", metavar="HOST", help="The image server it asks (default: the only one set up).")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@output_options
def stick(file: Path, ref: str, server: str, force: bool, out: Output) -> None:
    """Write a boot stick for PCs that can't boot from the network: a disk image for BIOS and UEFI, as FILE.

    It asks the same server and holds no secret: a PC it starts gets what the server has for its MAC, or nothing.

    \b
    Examples:
      lab image stick stick.img              then: dd if=stick.img of=/dev/sdX bs=4M conv=fsync
      lab image stick stick.img --server srv-02 --deploy-system 48ec8743a925
    """
    from lab_tool.imaging.deploy_system.api import make_stick
    from lab_tool.imaging.store.deploy_systems import faults_of, find_deploy_system, known_pins, require_built
    from lab_tool.school.select import select_hosts

    if file.exists() and not force:
        raise UsageError("it is there already; name another file, or say --force", where=str(file))
    here = desk(None)
    servers = [server] if server else list(known_pins(here.settings))
    if len(servers) != 1:
        raise UsageError(f"there are {len(servers)} image servers: name one", next_command="lab image stick --help")
    (host,) = select_hosts(here.school, (), servers)
    root = here.settings.images
    one = find_deploy_system(root, ref)
    faults = faults_of(root, one)
    if faults:
        raise VerificationError(
            f"the deploy system is not what it was: {', '.join(faults)}",
            where=str(root / "deploy" / one.id),
            next_command="lab image deploy-system build",
        )
    require_built(here.settings, one.id)
    make_stick(root, one.id, file, server=f"http://{host.address}")
    out.line(out.say("image", "stick", file=file, id=one.id[:SHORT_ID], size=size(file.stat().st_size)), bold=True)
    out.line(out.say("image", "stick_asks", host=host.name, address=host.address))
    out.result("image.stick", {"file": str(file), "deploy": one.id, "server": host.name, "bytes": file.stat().st_size})


def _row(one: DeploySystem, faults: list[str], out: Output) -> tuple[str, ...]:
    packages = one.about.get("packages")
    number = str(len(packages)) if isinstance(packages, dict | list) else ""
    state = out.say("image", "not_what_it_was" if faults else "is_whole")
    return (one.id[:SHORT_ID], str(len(one.files)), size(sum(one.files.values())), number, state)


def _details(one: DeploySystem, out: Output) -> None:
    for name, bytes_of in one.files.items():
        out.line(f"  {name}  {size(bytes_of)}")
    packages = one.about.get("packages")
    if isinstance(packages, dict):
        for name, version in sorted(packages.items()):
            out.line(f"  {plain(str(name))} {plain(str(version))}")
