"""Python's collector of cycles: it holds up the whole process while it looks through what is alive.

So it is kept from looking again and again at what stays anyhow. 1,000 subscriptions took a tenth of a second every few
seconds. The million objects of an upload, all alive until it ends, took a third to a half of its time, and nobody else
was answered for a tenth of a second and more.
"""

import gc
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

OLDEST: Final = 2
#: Where one upload follows the other, cycles that others leave wait so long, and as long as the last upload takes.
LONGEST_S: Final = 60.0


@dataclass(slots=True)
class _Aside:
    """What the collector has looked through once and overlooks since: libraries, subscriptions, whatever else stays.

    Most of what goes is freed without the collector. Cycles that were set aside are found when there is twice as much
    aside as was alive when all was looked through. `since`: how much was set aside since then, at most.
    """

    alive: int = 0
    since: int = 0
    looking_at_all: bool = True

    def after_collection(self, phase: str, info: Mapping[str, int]) -> None:
        """Set aside what a collection of the oldest has left alive."""
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
    """Have the collector look through what stays once, and then, most of the time, only at what came since."""
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
