"""Reading the body of a request, bounded in bytes and time, and the bodies of all requests, bounded in bytes."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive

from app.budget import Subject
from app.db.lending import Overloaded
from app.http.negotiation import Headers
from app.http.refusals import BadRequest

#: A smaller body is not counted: the server buffers as much of each connection anyway.
UNCOUNTED_BYTES = 64_000


class BodyMemory:
    """The bytes of the bodies that this process reads or works on. A caller may take half, and always one body."""

    def __init__(self, most: int, largest: int) -> None:
        self.free = max(most, largest)
        self.most_each = max(most // 2, largest)
        self._held: Counter[Subject] = Counter()

    def take(self, subject: Subject, count: int) -> None:
        """Count more bytes of a caller's. Raises: Overloaded."""
        if count > self.free or self._held[subject] + count > self.most_each:
            raise Overloaded("the bodies of uploads take as much memory as they may", "send it again in a moment")
        self.free -= count
        self._held[subject] += count

    def give_back(self, subject: Subject, count: int) -> None:
        """Count fewer bytes."""
        self.free += count
        self._held[subject] -= count
        if self._held[subject] <= 0:
            del self._held[subject]


class Held:
    """What one body takes of the memory, until it is released."""

    __slots__ = ("_memory", "_subject", "count")

    def __init__(self, memory: BodyMemory, subject: Subject) -> None:
        self._memory = memory
        self._subject = subject
        self.count = 0

    def grow(self, size: int) -> None:
        """Count a body that has so many bytes. Raises: Overloaded."""
        if size > UNCOUNTED_BYTES and size > self.count:
            self._memory.take(self._subject, size - self.count)
            self.count = size

    def release(self) -> None:
        """Count it no longer."""
        if self.count:
            self._memory.give_back(self._subject, self.count)
            self.count = 0


async def read_body(
    headers: Headers, receive: Receive, maximum_bytes: int, timeout_s: float, hint: str, held: Held
) -> bytes:
    """Read the body. `hint`: what the caller can do when it is too large.

    Raises: BadRequest when the body is too large, takes too long or breaks off; Overloaded. What can be known from the
    length is known before anything is read.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        size = int(length[:20])
        if size > maximum_bytes:
            raise _too_large(maximum_bytes, hint)
        held.grow(size)
    try:
        return await _within(timeout_s, _read_parts(receive, maximum_bytes, hint, held))
    except BaseException:
        held.release()
        raise


async def _within(timeout_s: float, reading: Coroutine[Any, Any, bytes]) -> bytes:
    """Do as `asyncio.timeout` does at a quarter of its cost, which every request pays. Raises: BadRequest."""
    task = asyncio.current_task()
    assert task is not None
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(timeout_s, give_up)
    try:
        return await reading
    except asyncio.CancelledError:
        if not late or task.uncancel() > 0:
            raise
        raise BadRequest(f"the body did not arrive within {timeout_s:g} s", status=408) from None
    finally:
        timer.cancel()


async def _read_parts(receive: Receive, maximum_bytes: int, hint: str, held: Held) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the body broke off")
        part = message.get("body", b"")
        size += len(part)
        if size > maximum_bytes:
            raise _too_large(maximum_bytes, hint)
        held.grow(size)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(maximum_bytes: int, hint: str) -> BadRequest:
    return BadRequest(f"the body is larger than {maximum_bytes} bytes", hint, status=413)
