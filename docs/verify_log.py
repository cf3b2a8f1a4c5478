#!/usr/bin/env python3
"""Verify a log without the tool that wrote it: Python and ssh-keygen, nothing else. The format is in LOG.md.

    verify_log.py SIGNERS entries.jsonl CHECKPOINT...     the whole log
    verify_log.py SIGNERS proof.json                      one entry, as `lab log prove` gives it

Bring SIGNERS (OpenSSH allowed signers, principal lab-log) and the newest checkpoints from somebody other than who
runs the log. MAX_AGE_DAYS=0 in the environment takes checkpoints of any age. Exit code 1: it does not verify.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

ARMOR = r"-----BEGIN SSH SIGNATURE-----\n[^-]+-----END SSH SIGNATURE-----"
NOTE = re.compile(rf"(.+\n([0-9]+)\n(\S+)\ntime ([-0-9T:.Z]+)\n)\n({ARMOR})\n")
KEYS = {"v", "seq", "time", "actor", "kind", "subject", "body", "prev"}
said = []


def say(kind, text):
    said.append(kind)
    print(f"{kind}: {text}")


def leaf(line):
    return sha256(b"\0" + line).digest()


def node(left, right):
    return sha256(b"\1" + left + right).digest()


def root(hashes):
    half = 1 << (len(hashes) - 1).bit_length() - 1 if len(hashes) > 1 else 0
    return node(root(hashes[:half]), root(hashes[half:])) if half else [*hashes, sha256().digest()][0]


def once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def read(line):
    """The entry of a line; an empty one where it is none."""
    try:
        entry = json.loads(line.decode("ascii"), object_pairs_hook=once)
        canonical = f',"kind":"{entry["kind"]}","prev":"'.encode() in line
        types = (type(entry["seq"]), type(entry["time"])) == (int, str)
        return entry if canonical and types and entry.keys() == KEYS else {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def checkpoint(signers, text, name):
    """(size, root, time) if somebody in `signers` signed it."""
    match = NOTE.fullmatch(text)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_text(match[5] if match else "")
        command = f"ssh-keygen -Y verify -I lab-log -n lab-checkpoint -s {file.name} -f".split()
        when = "-Overify-time=" + re.sub(r"\D", "", match[4])[:14] if match else ""
        utc = {**os.environ, "TZ": "UTC"}
        if match and not subprocess.run([*command, signers, when], input=match[1].encode(), env=utc, check=False,
                                        capture_output=True).returncode:  # fmt: skip
            return int(match[2]), base64.b64decode(match[3]), match[4]
    return say("forged", f"forged signature or altered checkpoint: {name}")


def fault(at, lines, entries):
    """What is wrong with line `at`, the first that does not follow from those before it."""
    number = entries[at].get("seq", at)
    after = entries[at + 1] if at + 1 < len(lines) else {}
    if entries[at] and number == at and after.get("seq") != at:
        edited = at if after and after["prev"] != leaf(lines[at]).hex() else max(at - 1, 0)
        return say("edit", f"entry {edited}: edited, the chain is broken at it")
    if lines[at] in lines[:at]:
        return say("duplicate", f"entry {number}: there a second time, at line {at + 1}")
    if number > at and at in [entry.get("seq") for entry in entries[at:]]:
        return say("reordering", f"entry {at}: put into another order")
    if not entries[at] or after.get("seq") == at + 1:
        return say("edit", f"entry {at}: edited, it is not an entry, or not the one of this place")
    if number <= at:
        return say("insertion", f"entry {number}: inserted, it is there with two different texts")
    return say("deletion", f"entries {at} to {number - 1}: deleted")


def whole_log(signers, log, names):
    *lines, torn = Path(log).read_bytes().split(b"\n") if Path(log).exists() else [b""]
    entries, hashes = list(map(read, lines)), list(map(leaf, lines))
    links = ["0" * 64, *(each.hex() for each in hashes)]
    fits = [entry and (entry["seq"], entry["prev"]) == (at, links[at]) for at, entry in enumerate(entries)]
    if not all(fits):
        fault(next(at for at, fit in enumerate(fits) if not fit), lines, entries)
    times = [entry.get("time", "") for entry in entries]
    for at in (at for at in range(1, len(times)) if times[at] < times[at - 1]):
        print(f"note: the clock goes backwards at entry {at}")
    print(f"note: {len(torn)} bytes at the end are torn" if torn else "", end="\n" if torn else "")
    held = sorted(note for name in names if (note := checkpoint(signers, Path(name).read_text(errors="replace"), name)))
    good = [note for note in held if note[0] <= len(lines) and root(hashes[: note[0]]) == note[1]]
    for size, _, time in [note for note in held if note[0] <= len(lines) and note not in good][:1]:
        first = max((note[0] for note in good if note[0] < size), default=0)
        kind = "stolen_key" if good and good[-1][0] >= size else "rechained" if good else "replaced"
        say(kind, f"entries {first} to {size - 1}: rewritten, the checkpoint of {time} over {size} entries disagrees")
    newest = max(held, default=(0, b"", "never"))
    if newest[0] > len(lines) and all(fits):
        say("truncation" if lines else "deleted_all", f"entries {len(lines)} to {newest[0] - 1}: cut off at the end")
    if len({note[:2] for note in held}) > len({note[0] for note in held}):
        say("fork", "forked history: two signed checkpoints of one size have different roots")
    told = max((each["body"]["size"] for each in entries if each.get("kind") == "checkpoint.published"), default=0)
    if told > newest[0]:
        say("rolled_back", f"an old checkpoint shown as new: the log tells of one over {told} entries")
    days = int(os.environ.get("MAX_AGE_DAYS", "8"))
    if days and held and max(note[2] for note in held) < (datetime.now(UTC) - timedelta(days)).isoformat():
        say("stale", f"an old checkpoint shown as new: the newest is of {newest[2]}")
    if not said:
        cover = f"the first {good[-1][0]} are as they were at {good[-1][2]}" if good else "NO checkpoint was compared"
        print(f"{len(lines)} entries in an unbroken chain; {cover}")


def one_entry(signers, path):
    proof = json.loads(Path(path).read_bytes(), object_pairs_hook=once)
    line, held = proof["entry"].encode(), checkpoint(signers, proof["checkpoint"], path)
    first, last, top = proof["seq"], held[0] - 1 if held else -1, leaf(line)
    for other in map(bytes.fromhex, proof["proof"]):  # RFC 9162, section 2.1.3.2
        right = first % 2 == 1 or first == last
        top = node(other, top) if right else node(top, other)
        while right and first and first % 2 == 0:
            first, last = first >> 1, last >> 1
        first, last = first >> 1, last >> 1
    if held and last == 0 and top == held[1] and read(line)["seq"] == proof["seq"]:
        return print(f"was entry {proof['seq']} of {held[0]} at {held[2]}: {proof['entry']}")
    return say("unproved", "the entry does not lead to a signed root")


if len(sys.argv) == 3 and sys.argv[2].endswith(".json"):
    one_entry(sys.argv[1], sys.argv[2])
else:
    whole_log(sys.argv[1], sys.argv[2], sys.argv[3:])
sys.exit(1 if said else 0)
