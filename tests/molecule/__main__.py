"""`python -m tests.molecule [SCENARIO ...]`: Molecule's whole sequence for each scenario, on hosts of the testbed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from lab_tool.settings import PROJECT
from tests.testbed.available import reason_not_available

SCENARIOS = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/molecule.yml")))


def main() -> int:
    """Exit code of Molecule; 0 with a reason where there can be no hosts, unless LAB_REQUIRE_HOSTS=1."""
    parser = argparse.ArgumentParser(prog="python -m tests.molecule", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--step", default="test", help="one of Molecule's own commands instead, such as converge")
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}, only {', '.join(SCENARIOS)}")
    reason = reason_not_available()
    if reason:
        print(f"molecule: skipped. {reason}", file=sys.stderr)
        return int(os.environ.get("LAB_REQUIRE_HOSTS") == "1")
    codes = [molecule(options.step, scenario) for scenario in options.scenarios or SCENARIOS]
    return max(codes, default=0)


def molecule(step: str, scenario: str) -> int:
    """Run one of Molecule's commands on a scenario; its exit code."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MOLECULE_GLOB": str(Path(__file__).parent / "*" / "molecule.yml"),
        # What Molecule makes goes where this project's throw-away files go.
        "MOLECULE_EPHEMERAL_DIRECTORY": str(PROJECT / ".cache" / "molecule" / scenario),
    }
    return subprocess.run(
        ["molecule", step, "--scenario-name", scenario], env=environment, cwd=PROJECT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
