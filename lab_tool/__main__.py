"""`python -m lab_tool` is `lab`."""

from lab_tool.cli import main

main()
