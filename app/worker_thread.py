"""A worker thread for computations that would block the event loop for milliseconds.

Only one, because Python runs one thread at a time: more of them would wait for each other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREAD = ThreadPoolExecutor(1, "worker")


async def in_worker_thread(work: Callable[[], T]) -> T:
    """Run a computation that shares no mutable state in the worker thread, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(THREAD, work)
