"""The messages of graphql-transport-ws: those of a client, parsed and checked.

Source: the protocol's text, PROTOCOL.md of the project graphql-ws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from app.http.refusals import BadRequest
from schema.graphql_request import GraphQLRequest, request_of

PROTOCOL = "graphql-transport-ws"

#: Close codes.
BAD_MESSAGE = 4400
UNAUTHORIZED = 4401
BAD_PROTOCOL = 4406
INIT_TIMEOUT = 4408
NOT_UNIQUE = 4409
TOO_MANY = 4429
TRY_LATER = 1013

MAXIMUM_ID = 100
MAXIMUM_REASON_BYTES = 120

ACK = '{"type":"connection_ack"}'
PONG = '{"type":"pong"}'


class Closing(Exception):
    """The socket must be closed. `code`: the close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Init:
    """`authorization` None: no key, or one in the header of the handshake."""

    authorization: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, which is answered."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping, or an unsolicited one."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Any operation, under an id that the client chose."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """The client ends an operation."""

    id: str


Message = Init | Ping | Pong | Subscribe | Complete


def read_message(text: str | None) -> Message:
    """Parse a message. Raises: Closing when it is none of the protocol. `text` None: it came as bytes."""
    if text is None:
        raise _malformed("messages are text, not bytes")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise _malformed("not a JSON object")
    return _message(cast(Mapping[str, Any], message))


def _message(message: Mapping[str, Any]) -> Message:
    match message.get("type"):
        case "connection_init":
            return Init(_authorization(_payload(message)))
        case "ping":
            _payload(message)
            return Ping()
        case "pong":
            _payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(_id(message), _request(message))
        case "complete":
            return Complete(_id(message))
        case other:
            possible = "connection_init, ping, pong, subscribe, complete"
            raise _malformed(f"`type` is {other!s:.20}; possible: {possible}")


def _malformed(reason: str) -> Closing:
    return Closing(BAD_MESSAGE, reason)


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = message.get("payload")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise _malformed("`payload` is not a JSON object")
    return cast(Mapping[str, Any], payload)


def _authorization(payload: Mapping[str, Any]) -> str | None:
    """Return the first member of that name, in any capitalisation; what is not text is no key."""
    given = (value for name, value in payload.items() if name.lower() == "authorization" and value is not None)
    return next((value if isinstance(value, str) else "" for value in given), None)


def _id(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= MAXIMUM_ID:
        raise _malformed(f"`id` is not text of 1 to {MAXIMUM_ID} characters")
    return id_


def _request(message: Mapping[str, Any]) -> GraphQLRequest:
    if not isinstance(message.get("payload"), dict):
        raise _malformed("`payload` is not a JSON object")
    try:
        return request_of(message["payload"], body_wanted="")
    except BadRequest as error:
        raise _malformed(error.message) from None


# ---------------------------------------------------------------- messages of the hub


def quoted(id_: str) -> str:
    """Write an id as JSON."""
    return orjson.dumps(id_).decode()


def reason_of(text: str) -> str:
    """Cut a reason to what a close frame holds."""
    return text.encode()[:MAXIMUM_REASON_BYTES].decode(errors="ignore")
