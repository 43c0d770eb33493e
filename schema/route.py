"""/graphql over HTTP, as one thin ASGI callable: FastAPI's router would cost more than the whole answer."""

from contextlib import nullcontext
from time import perf_counter

from starlette.types import Receive, Scope, Send

from app import metrics
from app.auth import Caller
from app.budget import Payer
from app.gc_tuning import resting
from schema.door import Asking, Door, Entry, refused
from schema.http import (
    BIG_BYTES,
    EVENT_STREAM,
    JSON,
    Answer,
    BadRequest,
    Headers,
    Wanted,
    check_head,
    negotiated,
    read_body,
    read_posted,
    read_query_string,
    send_answer,
    takes_gzip,
    text_of,
)
from schema.sse import as_events, stream_events
from schema.streams import Streams

#: The collector does not rest.
ALERT = nullcontext[None]()


class GraphQLRoute:
    """POST /graphql, and for developers GET."""

    def __init__(self, door: Door, streams: Streams) -> None:
        self.door = door
        self.streams = streams
        self.settings = door.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        began = perf_counter()
        wanted = Wanted(JSON, events=False)
        try:
            wanted = negotiated(headers)
            answer = await self._answer(scope, headers, wanted, receive, send)
        except Exception as error:
            answer = refused(error)
        if answer is None:
            return
        requests, seconds = metrics.answered(answer.way)
        requests.inc()
        seconds.observe(perf_counter() - began)
        await self._send(send, answer, wanted, headers)

    async def _answer(
        self, scope: Scope, headers: Headers, wanted: Wanted, receive: Receive, send: Send
    ) -> Answer | None:
        """Give the answer, and let go of the request; None: it was streamed."""
        caller, payer, body = await self._let_in(scope, headers, receive)
        # During a big one the collector rests.
        with resting() if len(body) > BIG_BYTES else ALERT:
            by_get = scope["method"] == "GET"
            asked = read_query_string(scope) if by_get else await read_posted(body)
            del body  # what follows may take long, a stream for days
            entry = await self.door.enter(Asking(caller, payer, asked, by_get))
            if not entry.operation.is_subscription:
                return await self.door.answer(entry)
        await self._stream(entry, wanted, receive, send)
        return None

    async def _let_in(self, scope: Scope, headers: Headers, receive: Receive) -> tuple[Caller | None, Payer, bytes]:
        """Say who asks and who pays, and read the body. Raises: BadRequest, Unauthenticated, RateLimited."""
        check_head(scope, headers, may_get=self.door.development)
        client = scope.get("client")
        address = client[0] if client else ""
        caller = None
        if b"authorization" in headers:
            caller = await self.door.caller(text_of(headers, b"authorization"), address)
        payer = await self.door.payer(caller, address)
        if scope["method"] == "GET":
            return caller, payer, b""
        settings = self.settings
        maximum_bytes = settings.max_body_bytes if caller else settings.max_anonymous_body_bytes
        return caller, payer, await read_body(headers, receive, maximum_bytes, settings.body_timeout_s)

    async def _stream(self, entry: Entry, wanted: Wanted, receive: Receive, send: Send) -> None:
        if not wanted.events:
            raise BadRequest(f"a subscription is answered by {EVENT_STREAM}, or on a WebSocket", status=406)
        await stream_events(self.door, self.streams, entry, receive, send)

    async def _send(self, send: Send, answer: Answer, wanted: Wanted, headers: Headers) -> None:
        if wanted.media is None and answer.status is None:
            await send_answer(send, as_events(answer), EVENT_STREAM, compresses=False)
            return
        smallest = self.settings.gzip_from_bytes
        compresses = 0 < smallest <= len(answer.body) and takes_gzip(headers)
        await send_answer(send, answer, wanted.media or JSON, compresses)
