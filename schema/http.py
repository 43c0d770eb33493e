"""GraphQL over HTTP: from a request's bytes to what is asked, and from an answer to bytes.

Source: https://graphql.github.io/graphql-over-http/draft/
"""

import asyncio
import zlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

import msgspec
import orjson
from msgspec import Raw
from starlette.types import Receive, Scope, Send

from app.errors import HubError
from app.uploads.yielding import sliced

T = TypeVar("T")

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
GRAPHQL_RESPONSE = "application/graphql-response+json"
UTF_8 = frozenset({"", "utf-8", "utf8"})
#: The way of an answer to what was never executed.
REFUSED = "refused"
#: Header values that are longer are not remembered.
KEPT_BYTES = 200
#: Decoding keeps the event loop waiting: so many values take about a fifth of a second.
MAXIMUM_VALUES = 2_000_000
#: A bigger body, and a bigger list in it, is decoded in slices. As much as strangers may send takes 10 ms at worst.
BIG_BYTES = 256_000
SLICE_BYTES = 32_000
NULL = Raw(b"null")
#: Beyond this, compression is left to a thread: it would take more than a millisecond.
COMPRESSED_AT_ONCE_BYTES = 500_000
#: 50 EVSEs, 30 kB: 0.07 ms to a ninth of their size. Level 6 takes twice as long to a tenth.
COMPRESSION_LEVEL = 1


class BadRequest(HubError):
    """The request is not GraphQL over HTTP. `allow`: the methods that are possible."""

    code = "BAD_REQUEST"

    def __init__(self, message: str, hint: str | None = None, status: int = 400, allow: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.allow = allow


# What every request makes is not frozen: that would triple what making it takes.


@dataclass(slots=True)
class Asked:
    """A well-formed request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


@dataclass(slots=True)
class Answer:
    """What goes back: the body, and the way it came about: compiled, executed, or refused before either.

    `status`: None lets the media type decide.
    """

    body: bytes
    way: str = "compiled"
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


# ---------------------------------------------------------------- headers

#: By lower-case name, both as bytes.
Headers = Mapping[bytes, bytes]


def text_of(headers: Headers, name: bytes) -> str:
    """Give a header as text; empty where it is absent."""
    return headers.get(name, b"").decode("latin-1")


def media_type(accept: str) -> str | None:
    """Choose the media type of the answer; None: nothing that the client takes. Without a word from it: JSON."""
    ranges = [_media_range(each) for each in accept.split(",") if each.strip()]
    if not ranges:
        return JSON
    wanted = {name: quality for quality, name in sorted(ranges)}
    anything = max(wanted.get("*/*", 0), wanted.get("application/*", 0))
    modern, plain = wanted.get(GRAPHQL_RESPONSE, 0), wanted.get(JSON, anything)
    if modern and modern >= plain:
        return GRAPHQL_RESPONSE
    return JSON if plain else None


def _media_range(text: str) -> tuple[float, str]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return min(max(float(quality), 0.0), 1.0), name
    except ValueError:
        return 0.0, name


@lru_cache(maxsize=256)
def check_content_type(content_type: bytes) -> None:
    """Raises: BadRequest unless the body is JSON in UTF-8 by its own word."""
    name, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    if name != JSON:
        raise BadRequest(f"Content-Type is {name or 'missing'}; possible: {JSON}", status=415)
    charset = next((each.partition("=")[2].strip('" ') for each in parameters if each.startswith("charset")), "")
    if charset not in UTF_8:
        raise BadRequest(f"the charset is {charset}; possible: utf-8", status=415)


def takes_events(accept: str) -> bool:
    """Say whether the client takes server-sent events, by their name."""
    return EVENT_STREAM in accept.lower() and (
        any(name == EVENT_STREAM and quality > 0 for quality, name in map(_media_range, accept.split(",")))
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client takes. `media` None: events only."""

    media: str | None
    events: bool


def negotiated(headers: Headers) -> Wanted:
    """Choose the media type of the answer. Raises: BadRequest when the client takes none that there is."""
    accept = headers.get(b"accept", b"")
    return (_wanted if len(accept) <= KEPT_BYTES else _wanted.__wrapped__)(accept)


@lru_cache(maxsize=256)
def _wanted(accept: bytes) -> Wanted:
    text = accept.decode("latin-1")
    chosen, events = media_type(text), takes_events(text)
    if chosen is None and not events:
        possible = f"{GRAPHQL_RESPONSE}, {JSON}, {EVENT_STREAM}"
        raise BadRequest(f"nothing in Accept is possible here; possible: {possible}", status=406)
    return Wanted(chosen, events)


def check_head(scope: Scope, headers: Headers, may_get: bool) -> None:
    """Check what can be checked before the body. Raises: BadRequest."""
    method = scope["method"]
    if method == "GET" and may_get:
        return
    if method != "POST":
        possible = "GET, POST" if may_get else "POST"
        raise BadRequest(f"{method} is not possible here; possible: {possible}", status=405, allow=possible)
    content_type = headers.get(b"content-type", b"")
    (check_content_type if len(content_type) <= KEPT_BYTES else check_content_type.__wrapped__)(content_type)
    if b"content-encoding" not in headers:
        return
    encoding = text_of(headers, b"content-encoding")
    if encoding.strip().lower() != "identity":
        raise BadRequest(f"Content-Encoding is {encoding:.40}; possible: identity", "send it uncompressed", status=415)


# ---------------------------------------------------------------- the request


async def read_body(headers: Headers, receive: Receive, maximum_bytes: int, timeout_s: float) -> bytes:
    """Read the body. Raises: BadRequest when it is too large, takes too long or breaks off."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > maximum_bytes:
        raise _too_large(maximum_bytes)
    return await _within(timeout_s, _read_parts(receive, maximum_bytes))


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


async def _read_parts(receive: Receive, maximum_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the body broke off")
        part = message.get("body", b"")
        size += len(part)
        if size > maximum_bytes:
            raise _too_large(maximum_bytes)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(maximum_bytes: int) -> BadRequest:
    return BadRequest(
        f"the body is larger than {maximum_bytes} bytes", "send it in parts; with a key more is possible", status=413
    )


async def read_posted(body: bytes) -> Asked:
    """Read a request; a big one in slices, because decoding holds the event loop. Raises: BadRequest."""
    if len(body) > MAXIMUM_VALUES and body.count(b",") + body.count(b"[") + body.count(b"{") > MAXIMUM_VALUES:
        raise BadRequest(f"the body holds more than {MAXIMUM_VALUES} values", "send it in parts", status=413)
    asked = _json("the body", body) if len(body) <= BIG_BYTES else await _json_in_slices(body)
    return asked_of(asked, body_wanted='send {"query": "...", "variables": {...}}')


def read_query_string(scope: Scope) -> Asked:
    """Read a request sent by GET. Raises: BadRequest."""
    try:
        given = parse_qs(scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadRequest("the query string is not UTF-8 in percent-encoding") from None
    members: dict[str, Any] = {name: values[-1] for name, values in given.items()}
    for name in ("variables", "extensions"):
        if members.get(name):
            members[name] = _json(f"`{name}`", members[name].encode())
        else:
            members.pop(name, None)
    members["operationName"] = members.get("operationName") or None
    return asked_of(members, body_wanted="")


def _json(what: str, text: bytes | Raw) -> Any:
    try:
        return orjson.loads(memoryview(text))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{what} is not JSON in UTF-8: {error}") from None


class _Posted(msgspec.Struct):
    """The members of a request, cut apart and not decoded."""

    variables: dict[str, Raw]
    query: Raw = NULL
    operation_name: Raw = msgspec.field(name="operationName", default=NULL)
    extensions: Raw = NULL


async def _json_in_slices(body: bytes) -> Any:
    """Decode a body as `_json` does, long lists among its variables a few items at a time."""
    posted = _cut(body, _Posted)
    if posted is None:
        return _json("the body", body)
    return {
        "query": _json("`query`", posted.query),
        "operationName": _json("`operationName`", posted.operation_name),
        "extensions": _json("`extensions`", posted.extensions),
        "variables": {name: await _variable(name, text) for name, text in posted.variables.items()},
    }


async def _variable(name: str, text: Raw) -> Any:
    await asyncio.sleep(0)
    items = _cut(text, list[Raw]) if len(memoryview(text)) > BIG_BYTES else None
    if items is None:
        return _json(f"`{name}`", text)
    some, decoded = max(1, len(items) * SLICE_BYTES // len(memoryview(text))), list[Any]()
    async for first in sliced(range(0, len(items), some)):
        decoded += _json(f"`{name}[{first}:{first + some}]`", b"[" + b",".join(items[first : first + some]) + b"]")
    return decoded


def _cut(text: bytes | Raw, into: type[T]) -> T | None:
    """Cut JSON into members that are not decoded; None where it has another shape, or is none."""
    try:
        return msgspec.json.decode(text, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def asked_of(asked: Any, body_wanted: str) -> Asked:
    """Read what decoded JSON asks. Raises: BadRequest."""
    if not isinstance(asked, dict):
        raise BadRequest("the body is not a JSON object", body_wanted)
    members = cast(Mapping[str, Any], asked)
    _member(members, "extensions", dict)
    return Asked(
        _member(members, "query", str, required=True),
        _member(members, "variables", dict) or {},
        _member(members, "operationName", str),
    )


def _member(asked: Mapping[str, Any], name: str, type_: type, required: bool = False) -> Any:
    value = asked.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, type_):
        kind = {str: "text", dict: "a JSON object"}[type_]
        raise BadRequest(f"`{name}` is {'missing' if value is None else 'not ' + kind}; expected {kind}")
    return value


# ---------------------------------------------------------------- the answer

ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"vary", b"accept, accept-encoding"),
    (b"x-content-type-options", b"nosniff"),
)
CONTENT_TYPES = {
    name: (b"content-type", f"{name}; charset=utf-8".encode()) for name in (JSON, GRAPHQL_RESPONSE, EVENT_STREAM)
}


async def send_answer(send: Send, answer: Answer, media: str, compresses: bool) -> None:
    """Answer as GraphQL over HTTP says: a client that knows its media type gets 4xx for what was never executed."""
    status = answer.status or (400 if answer.way == REFUSED and media == GRAPHQL_RESPONSE else 200)
    body, headers = answer.body, [CONTENT_TYPES[media], *ALWAYS, *answer.headers]
    if compresses:
        at_once = len(body) <= COMPRESSED_AT_ONCE_BYTES
        body = _gzip(body) if at_once else await asyncio.to_thread(_gzip, body)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def takes_gzip(headers: Headers) -> bool:
    """Say whether the client takes gzip."""
    given = text_of(headers, b"accept-encoding")
    return any(name == "gzip" and quality > 0 for quality, name in map(_media_range, given.split(",")))


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()
