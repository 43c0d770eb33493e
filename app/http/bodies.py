"""Reading the body of a request, bounded in bytes and time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive

from app.http.negotiation import Headers
from app.http.refusals import BadRequest


async def read_body(headers: Headers, receive: Receive, maximum_bytes: int, timeout_s: float, hint: str) -> bytes:
    """Read the body. `hint`: what the caller can do when it is too large.

    Raises: BadRequest when the body is too large, takes too long or breaks off.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > maximum_bytes:
        raise _too_large(maximum_bytes, hint)
    return await _within(timeout_s, _read_parts(receive, maximum_bytes, hint))


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


async def _read_parts(receive: Receive, maximum_bytes: int, hint: str) -> bytes:
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
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(maximum_bytes: int, hint: str) -> BadRequest:
    return BadRequest(f"the body is larger than {maximum_bytes} bytes", hint, status=413)
