"""What recording costs: a playbook recorded, plain, and recorded by ARA, in turn, on 20 hosts x 20 tasks.

    python -m tests.bench.bench_recorder [--pairs N]

Once with empty tasks (`debug`), once with tasks that do work (a command, a file, a line in a file, a stat). The hosts
are this machine over Ansible's local connection: no network hides what recording costs. ARA is measured where it is
installed (`pip install ara[server]` into the environment); it is no dependency.
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
from tests.bench.measure import HEADINGS, cost, ratio

HOSTS, TASKS = 20, 20
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
    pairs: int = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inventory = _inventory(folder)
        empty = [{"name": f"Say {n}", "ansible.builtin.debug": {"msg": "hello"}} for n in range(TASKS)]
        work = [WORK[n % len(WORK)](n) for n in range(TASKS)]
        print(f"{HOSTS} hosts x {TASKS} tasks, {pairs} pairs\n\n{HEADINGS}")
        for title, tasks, goal in (("real work", work, "1.02"), ("empty tasks", empty, "1.06")):
            playbook = _playbook(folder, title.replace(" ", "-"), list(tasks))
            compare(folder, inventory, playbook, title, goal, pairs)


def compare(folder: Path, inventory: Path, playbook: Path, title: str, goal: str, pairs: int) -> None:
    """Recorded, plain (and ARA) in turn; every event must be in the log."""
    ways = {"recorded": "lab_recorder", "plain": "none"} | ({"ara": "ara_default"} if _ara() else {})
    wall: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(pairs + 1):
        for way, callback in ways.items():
            state = folder / f"state-{title}-{number}"
            argv = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook), "--limit", "all"]
            argv += ["-e", f"folder={folder}", "--forks", "5"]
            spent = cost(argv, env=_environment(state, callback, folder), cwd=PROJECT)
            if number:
                wall[way].append(spent.wall)
            if way == "recorded":
                check_complete(state)
    print(ratio(wall["recorded"], wall["plain"]).row(f"{title}: recorded / plain", "s", goal))
    if "ara" in wall:
        print(ratio(wall["ara"], wall["plain"]).row(f"{title}: ARA / plain", "s", ""))


def check_complete(state: Path) -> None:
    """No event lost: every task has a result of every host."""
    lines = (state / "log" / "entries.jsonl").read_text(encoding="ascii").splitlines()
    finished = [entry for entry in map(json.loads, lines) if entry["kind"] == "task.finished"]
    results = sum(len(hosts) for entry in finished for hosts in entry["body"]["results"].values())
    if results != HOSTS * TASKS:
        raise SystemExit(f"{results} results recorded, not {HOSTS * TASKS}")


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
