"""Long loops that yield to other tasks every few milliseconds."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

#: At most so long without looking up; what is done with one item takes far less. A request with many round trips to the
#: database waits for so long at each.
YIELD_EVERY_S: Final = 0.0005


async def yielding(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items in order, and control to the event loop whenever a few milliseconds have passed."""
    until = time.monotonic() + YIELD_EVERY_S
    for item in items:
        yield item
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + YIELD_EVERY_S
