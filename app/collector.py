"""Python's collector of cycles: it holds up the whole process while it looks through what is alive.

An upload makes a million objects that are all alive until it ends. To look through them again and again took a third to
a half of its time, and nobody else was answered for a tenth of a second and more.
"""

import gc
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

#: Where one upload follows the other, cycles that others leave wait so long, and as long as the last upload takes.
LONGEST_S: Final = 60.0


@dataclass(slots=True)
class _Rest:
    under_way: int = 0
    began: float = 0.0


_rest = _Rest()


@contextmanager
def resting() -> Generator[None]:
    """Let the collector rest during the block, which makes much and leaves no cycles."""
    if _rest.under_way and time.monotonic() > _rest.began + LONGEST_S:
        yield
        return
    if not _rest.under_way:
        _rest.began = time.monotonic()
        gc.disable()
    _rest.under_way += 1
    try:
        yield
    finally:
        _rest.under_way -= 1
        if not _rest.under_way:
            gc.enable()
