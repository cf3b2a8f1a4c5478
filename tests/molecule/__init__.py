"""Molecule scenarios of the roles, on real hosts. All: `make molecule`; one: `python -m tests.molecule patch`."""
