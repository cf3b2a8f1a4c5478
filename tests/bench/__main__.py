"""`make bench`: every measurement, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for module in sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py")):
    print(f"\n## {module}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.bench.{module}", *sys.argv[1:]], check=True)
