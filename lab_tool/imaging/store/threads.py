"""Work that threads do ahead while its results are taken in order: hashing and compressing leave Python free."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = os.cpu_count() or 1
# So many pieces are ahead of whoever takes them: enough to keep the threads busy, and no more memory than that.
AHEAD = 8 * THREADS
Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_order(pool: ThreadPoolExecutor, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """The result for each piece, in the order of the pieces, with a bounded number under way."""
    waiting: deque[Future[Result]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
