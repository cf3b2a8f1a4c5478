"""Controls on the PC: apply, check, undo. Runs under its own Python (3.9 or newer), with its standard library alone.

A control is data: items (a file, a unit, a package ...) and checks. What an item was like before it was first touched
is kept in a journal, so that undo gives back exactly that. The same code runs without Ansible when the guard fires.
"""
