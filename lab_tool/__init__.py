"""`lab`: plans, gates, runs and records changes to the machines of a school."""

__version__ = "0.1.0"
