"""`python3 -m lab_tool.imaging.deploy`: what the deploy system runs once the network is there.

    python3 -m lab_tool.imaging.deploy [--command-line FILE] [--disk DEVICE] [--base FOLDER] [--patience SECONDS]

Exit codes: 0 done, start from disk; 1 failed and reported, leave it to a technician (the disk does not start); 2 start
from the network again (the server was away or took the token no more).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab_tool.imaging.deploy.situation import from_command_line


def main(arguments: list[str] | None = None) -> int:
    """Carry out the order for this PC."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command-line", type=Path, default=Path("/proc/cmdline"), help="in place of the kernel's")
    parser.add_argument("--disk", default="", help="this disk, whatever the order says; for tests")
    parser.add_argument(
        "--base", type=Path, default=Path("/"), help="before /etc/lab, /boot-area, /sys, /run; for tests"
    )
    parser.add_argument("--patience", type=float, default=600.0, help="seconds that the server may be away")
    options = parser.parse_args(arguments)
    text = options.command_line.read_text("ascii", "replace")
    situation = from_command_line(text, base=options.base, disk=options.disk, patience=options.patience)
    # Imported late: whatever is wrong with it is shown by the deploy system, as any failure.
    from lab_tool.imaging.deploy.run import run

    return run(situation, show=lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
