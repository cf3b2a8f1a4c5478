"""A secret planted in every place a run can hold one is found in nothing that is written down."""

from __future__ import annotations

from tests.unit.recording.conftest import Bench

SECRET = "correct-horse-battery-staple"


def test_no_secret_reaches_the_log(bench: Bench) -> None:
    target = bench.folder / "secret"
    tasks = [
        {
            "name": "Write {{ planted }}",
            "ansible.builtin.copy": {"content": "{{ planted }}\n", "dest": str(target), "mode": "0600"},
        },
        {
            "name": "Print",
            "ansible.builtin.shell": "echo $PLANTED {{ planted }}; echo {{ planted }} >&2",
            "register": "out",
        },
        {"name": "Debug", "ansible.builtin.debug": {"var": "out"}},
        {"name": "Fact", "ansible.builtin.set_fact": {"kept": "{{ planted }}"}},
        {"name": "Hidden", "ansible.builtin.command": "echo {{ planted }}", "no_log": True, "changed_when": True},
        {
            "name": "Loop",
            "ansible.builtin.command": "echo {{ item }}",
            "loop": ["{{ planted }}"],
            "changed_when": True,
        },
        {"name": "Fail", "ansible.builtin.fail": {"msg": "password {{ planted }} refused"}, "ignore_errors": True},
        {
            "name": "Fail in a command",
            "ansible.builtin.command": "sh -c 'echo {{ planted }} >&2; exit 3'",
            "changed_when": False,
        },
    ]
    bench.play(tasks, "--limit", "a1-01", "--diff", "-e", f"planted={SECRET}", PLANTED=SECRET)
    written = [path for path in bench.state.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]
    # The run did get that far: the secret was there to be found.
    assert target.read_text(encoding="utf-8").strip() == SECRET
    assert len(bench.entries("task.failed")) == 2
