"""Whether this process, or the one it was forked from, records. Set by the recorder, asked by `lab_recorded`."""

from __future__ import annotations


class Live:
    """The run that is being recorded; empty while nothing is."""

    run = ""
