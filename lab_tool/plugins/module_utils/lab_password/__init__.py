"""Reading and setting a local account's password on a PC."""
