"""Sending an answer in one piece, compressed for clients that accept gzip."""

import asyncio
import zlib
from dataclasses import dataclass

from starlette.types import Send

from app.http.negotiation import JSON, Headers, accepts_gzip

#: Beyond this, compression is left to a thread: it would take more than a millisecond.
COMPRESSED_AT_ONCE_BYTES = 500_000
#: 50 EVSEs, 30 kB: 0.07 ms to a ninth of their size. Level 6 takes twice as long to a tenth.
COMPRESSION_LEVEL = 1
ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"vary", b"accept, accept-encoding"),
    (b"x-content-type-options", b"nosniff"),
)


# Made for every request and so not frozen: that would triple what making it takes.
@dataclass(slots=True)
class Answer:
    """The body, status and headers that go back. `way`: how it came about, for the metrics."""

    body: bytes
    way: str = "answered"
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media: str = JSON


def content_type(media: str) -> tuple[bytes, bytes]:
    """Return the header of a media type in UTF-8."""
    return b"content-type", f"{media}; charset=utf-8".encode()


JSON_TYPE = content_type(JSON)


async def send_answer(send: Send, answer: Answer, request_headers: Headers, gzip_from_bytes: int) -> None:
    """Send an answer; from `gzip_from_bytes` on (0: never) compressed where the client accepts that."""
    body = answer.body
    headers = [JSON_TYPE if answer.media is JSON else content_type(answer.media), *ALWAYS, *answer.headers]
    if 0 < gzip_from_bytes <= len(body) and accepts_gzip(request_headers):
        at_once = len(body) <= COMPRESSED_AT_ONCE_BYTES
        body = _gzip(body) if at_once else await asyncio.to_thread(_gzip, body)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status or 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()
