"""What recording costs: a playbook recorded, plain, and recorded by ARA, in turn, on 20 hosts x 20 tasks.

    python -m tests.bench.bench_recorder [--pairs N] [--kind empty|real] [--tasks N] [--ara]

Once with empty tasks (`debug`), once with tasks that do work (a command, a file, a line in a file, a stat). The hosts
are this machine over Ansible's local connection: no network hides what recording costs. ARA is measured where it is
installed (`pip install ara[server]` into the environment) and asked for; it is no dependency. Processor time stands
beside wall time: other work on the machine disturbs it less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

import yaml

from lab_tool.settings import PROJECT
from tests.bench.measure import HEADINGS, Cost, cost, ratio

HOSTS, TASKS = 20, 20
GOALS = {"real": "1.02", "empty": "1.06"}
WORK = (
    lambda n: {"name": f"Command {n}", "ansible.builtin.command": "true", "changed_when": True},
    lambda n: {"name": f"File {n}", "ansible.builtin.copy": {"content": f"{n}", "dest": _target(n), "mode": "0600"}},
    lambda n: {"name": f"Line {n}", "ansible.builtin.lineinfile": {"path": _target(n - 1), "line": "more"}},
    lambda n: {"name": f"Stat {n}", "ansible.builtin.stat": {"path": _target(n - 2)}},
)


def _target(number: int) -> str:
    return f"{{{{ folder }}}}/{{{{ inventory_hostname }}}}-{number}"


def _playbook(folder: Path, name: str, tasks: list[object]) -> Path:
    play = {"name": name, "hosts": "all", "gather_facts": False, "tasks": tasks}
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump([play]), encoding="utf-8")
    return path


def _inventory(folder: Path) -> Path:
    path = folder / "inventory.yml"
    settings = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts: dict[str, dict[str, str]] = {f"a1-{number:02d}": {} for number in range(1, HOSTS + 1)}
    path.write_text(yaml.safe_dump({"all": {"vars": settings, "children": {"room_a1": {"hosts": hosts}}}}), "utf-8")
    return path


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="counted runs of each (default 5, after one not counted)")
    parser.add_argument("--kind", choices=list(GOALS), help="only this kind of task")
    parser.add_argument("--tasks", type=int, default=TASKS, help=f"tasks a host (default {TASKS})")
    parser.add_argument("--ara", action="store_true", help="ARA beside it, where it is installed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inventory = _inventory(folder)
        print(f"{HOSTS} hosts x {options.tasks} tasks, {options.pairs} pairs\n\n{HEADINGS}", flush=True)
        for kind in [options.kind] if options.kind else list(GOALS):
            tasks = [_task(kind, number) for number in range(options.tasks)]
            compare(folder, inventory, _playbook(folder, kind, tasks), kind, len(tasks), options.pairs, ara=options.ara)


def _task(kind: str, number: int) -> object:
    if kind == "real":
        return WORK[number % len(WORK)](number)
    return {"name": f"Say {number}", "ansible.builtin.debug": {"msg": "hello"}}


def compare(folder: Path, inventory: Path, playbook: Path, kind: str, tasks: int, pairs: int, *, ara: bool) -> None:
    """Recorded, plain (and ARA) in turn; every event must be in the log."""
    ways = {"recorded": "lab_recorder", "plain": "none"} | ({"ara": "ara_default"} if ara and _ara() else {})
    spent: dict[str, list[Cost]] = {way: [] for way in ways}
    for number in range(pairs + 1):
        for way, callback in ways.items():
            state = folder / f"state-{kind}-{number}"
            argv = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook), "--limit", "all"]
            argv += ["-e", f"folder={folder}", "--forks", "5"]
            one = cost(argv, env=_environment(state, callback, folder), cwd=PROJECT)
            if number:
                spent[way].append(one)
            if way == "recorded":
                check_complete(state, tasks)
    for way in [way for way in ways if way != "plain"]:
        for measure, goal in (("wall", GOALS[kind] if way == "recorded" else ""), ("cpu", "")):
            series = [[getattr(one, measure) for one in spent[each]] for each in (way, "plain")]
            print(ratio(*series).row(f"{kind} tasks, {measure}: {way} / plain", "s", goal), flush=True)


def check_complete(state: Path, tasks: int) -> None:
    """No event lost: every task has a result of every host."""
    lines = (state / "log" / "entries.jsonl").read_text(encoding="ascii").splitlines()
    finished = [entry for entry in map(json.loads, lines) if entry["kind"] == "task.finished"]
    results = sum(len(hosts) for entry in finished for hosts in entry["body"]["results"].values())
    if results != HOSTS * tasks:
        raise SystemExit(f"{results} results recorded, not {HOSTS * tasks}")


def _environment(state: Path, callback: str, folder: Path) -> dict[str, str]:
    own = {"LAB_STATE": str(state), "ANSIBLE_CALLBACKS_ENABLED": callback, "ANSIBLE_INVENTORY_ENABLED": "yaml"}
    if callback.startswith("ara"):
        import ara.setup  # type: ignore[import-not-found,unused-ignore]

        own |= {"ANSIBLE_CALLBACK_PLUGINS": ara.setup.callback_plugins, "ARA_BASE_DIR": str(folder / "ara")}
    return {**os.environ, **own}


def _ara() -> bool:
    return importlib.util.find_spec("ara") is not None


if __name__ == "__main__":
    main()
