"""GraphQL over HTTP: from the bytes of a request to its document and variables, and the media type of its answer.

Source: https://graphql.github.io/graphql-over-http/draft/
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

import msgspec
import orjson
from msgspec import Raw
from starlette.types import Scope

from app.http.negotiation import CACHED_BYTES, JSON, Headers, media_ranges
from app.http.refusals import BadRequest
from app.uploads.yielding import yielding

T = TypeVar("T")

EVENT_STREAM = "text/event-stream"
GRAPHQL_RESPONSE = "application/graphql-response+json"
#: Decoding blocks the event loop: so many values take about a fifth of a second.
MAXIMUM_VALUES = 2_000_000
#: A bigger body, and a bigger list in it, is decoded in slices. The most that is accepted without a key takes 10 ms.
BIG_BYTES = 256_000
SLICE_BYTES = 32_000
NULL = Raw(b"null")


# Made for every request and so not frozen: that would triple what making it takes.
@dataclass(slots=True)
class GraphQLRequest:
    """A well-formed request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


# ---------------------------------------------------------------- the media type of the answer


def media_type(accept: str) -> str | None:
    """Choose the media type of the answer; None: the client accepts none. Without `Accept`: JSON."""
    accepted = media_ranges(accept)
    if not accepted:
        return JSON
    anything = max(accepted.get("*/*", 0), accepted.get("application/*", 0))
    modern, plain = accepted.get(GRAPHQL_RESPONSE, 0), accepted.get(JSON, anything)
    if modern and modern >= plain:
        return GRAPHQL_RESPONSE
    return JSON if plain else None


@dataclass(frozen=True, slots=True)
class Accepts:
    """What the client accepts. `media` None: server-sent events only."""

    media: str | None
    events: bool


def negotiated(headers: Headers) -> Accepts:
    """Choose the media type of the answer. Raises: BadRequest when the client accepts none that is possible."""
    accept = headers.get(b"accept", b"")
    return (_accepted if len(accept) <= CACHED_BYTES else _accepted.__wrapped__)(accept)


@lru_cache(maxsize=256)
def _accepted(accept: bytes) -> Accepts:
    text = accept.decode("latin-1")
    chosen, events = media_type(text), media_ranges(text).get(EVENT_STREAM, 0) > 0
    if chosen is None and not events:
        possible = f"{GRAPHQL_RESPONSE}, {JSON}, {EVENT_STREAM}"
        raise BadRequest(f"nothing in Accept is possible here; possible: {possible}", status=406)
    return Accepts(chosen, events)


# ---------------------------------------------------------------- the request


async def read_posted(body: bytes) -> GraphQLRequest:
    """Read a request; a big one in slices, because decoding blocks the event loop. Raises: BadRequest."""
    if len(body) > MAXIMUM_VALUES and body.count(b",") + body.count(b"[") + body.count(b"{") > MAXIMUM_VALUES:
        raise BadRequest(f"the body holds more than {MAXIMUM_VALUES} values", "send it in parts", status=413)
    asked = _json("the body", body) if len(body) <= BIG_BYTES else await _json_in_slices(body)
    return request_of(asked, body_wanted='send {"query": "...", "variables": {...}}')


def read_query_string(scope: Scope) -> GraphQLRequest:
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
    return request_of(members, body_wanted="")


def _json(what: str, text: bytes | Raw) -> Any:
    try:
        return orjson.loads(memoryview(text))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{what} is not JSON in UTF-8: {error}") from None


class _Posted(msgspec.Struct):
    """The members of a request, split and not decoded."""

    variables: dict[str, Raw]
    query: Raw = NULL
    operation_name: Raw = msgspec.field(name="operationName", default=NULL)
    extensions: Raw = NULL


async def _json_in_slices(body: bytes) -> Any:
    """Decode a body as `_json` does, long lists among its variables a few items at a time."""
    posted = _split(body, _Posted)
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
    items = _split(text, list[Raw]) if len(memoryview(text)) > BIG_BYTES else None
    if items is None:
        return _json(f"`{name}`", text)
    some, decoded = max(1, len(items) * SLICE_BYTES // len(memoryview(text))), list[Any]()
    async for first in yielding(range(0, len(items), some)):
        decoded += _json(f"`{name}[{first}:{first + some}]`", b"[" + b",".join(items[first : first + some]) + b"]")
    return decoded


def _split(text: bytes | Raw, into: type[T]) -> T | None:
    """Split JSON into members that are not decoded; None where it has another shape, or is invalid."""
    try:
        return msgspec.json.decode(text, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def request_of(asked: Any, body_wanted: str) -> GraphQLRequest:
    """Read a request from decoded JSON. Raises: BadRequest."""
    if not isinstance(asked, dict):
        raise BadRequest("the body is not a JSON object", body_wanted)
    members = cast(Mapping[str, Any], asked)
    _member(members, "extensions", dict)
    return GraphQLRequest(
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
