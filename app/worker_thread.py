"""Work beside the event loop: one thread for what would keep every request waiting.

Only one, because Python runs one at a time anyway: more of them would only wait for each other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREAD = ThreadPoolExecutor(1, "beside")


async def beside(work: Callable[[], T]) -> T:
    """Do what takes milliseconds and shares nothing that changes."""
    return await asyncio.get_running_loop().run_in_executor(THREAD, work)
