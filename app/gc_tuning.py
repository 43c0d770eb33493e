"""Cyclic garbage collection: it stops the whole process while it looks through the live objects.

So it skips objects that stay. 1,000 subscriptions took a tenth of a second every few seconds. The million objects of an
upload, all alive until its end, took a third to a half of its time, and delayed other requests by a tenth of a second
and more.
"""

import gc
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

OLDEST: Final = 2
#: While uploads follow one another, cycles of other requests wait at most so long, and until the last upload ends.
LONGEST_S: Final = 60.0


@dataclass(slots=True)
class _Aside:
    """The objects that were collected once and are frozen since: libraries, subscriptions and others that stay.

    Reference counting frees most objects. Frozen cycles are found in the next full collection, when the number of
    frozen objects has doubled since the last one. `since`: how many were frozen since then, at most.
    """

    alive: int = 0
    since: int = 0
    looking_at_all: bool = True

    def after_collection(self, phase: str, info: Mapping[str, int]) -> None:
        """Freeze the objects that a collection of the oldest generation has left alive."""
        if phase != "stop" or info["generation"] != OLDEST:
            return
        left = len(gc.get_objects(generation=OLDEST))
        gc.freeze()
        if self.looking_at_all:
            self.alive, self.since, self.looking_at_all = left, 0, False
            return
        self.since += left
        if self.since > self.alive:
            self.since = gc.get_freeze_count() - self.alive
        if self.since > self.alive:
            gc.unfreeze()
            self.looking_at_all = True


_aside = _Aside()


def overlook_what_stays() -> None:
    """Collect once, and freeze what stays; later collections mostly visit newer objects only."""
    if _aside.after_collection not in gc.callbacks:
        gc.callbacks.append(_aside.after_collection)
    gc.collect()


@dataclass(slots=True)
class _Rest:
    under_way: int = 0
    began: float = 0.0


_rest = _Rest()


@contextmanager
def resting() -> Generator[None]:
    """Disable cyclic garbage collection inside the block; for code that allocates many objects and no cycles."""
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
