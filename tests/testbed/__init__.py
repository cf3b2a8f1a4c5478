"""The room builder: real lab PCs on this machine, for tests, the demo and developers.

A room is a bridge in a network namespace of its own and a number of PCs on it. A PC is a Debian (or Ubuntu) system
with systemd and sshd under systemd-nspawn: its own disk (copy-on-write on one cached root file system), address, MAC,
machine-id, SSH host key and control group. `room.build_room()` is the way in; `python -m tests.testbed --help` is the
same for the hand.

From the outside in: `room` and `host` are what others use; `faults` is what can be broken on a host; `registry` knows
every room of this machine and `teardown` removes one, also one whose builder was killed; `rootfs`, `recipe`,
`packages` and `repository` make the root file system; `network`, `storage`, `cgroups`, `boot` and `identity` each
make one part of a host; `places` holds all names, so that what belongs to a room can be found by its number alone.
"""
