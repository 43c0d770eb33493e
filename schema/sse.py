"""graphql-sse, each operation on a connection of its own ("distinct connections mode").

Source: the protocol's text, PROTOCOL.md of the project graphql-sse. What HTTP has a status for (no good key, a spent
budget, a body that is none) is answered with it instead of the stream; what is wrong with the document, as an event.
"""

import asyncio
from typing import Any

from starlette.types import Receive, Send

from app import metrics
from app.errors import Unauthenticated
from app.live.outlet import Subscription
from app.settings import Settings
from schema.door import Door, Entry, shown_errors
from schema.http import ALWAYS, CONTENT_TYPES, EVENT_STREAM, Answer
from schema.outbox import Outbox
from schema.root_fields import encode
from schema.streams import FORBIDDEN, Streams

COMPLETE = "event: complete\ndata:\n\n"
COMMENT = ":\n\n"
#: Proxies that keep an answer back until it is whole are told not to.
HEADERS = [CONTENT_TYPES[EVENT_STREAM], *ALWAYS, (b"x-accel-buffering", b"no")]


def next_event(result: str) -> str:
    """Write a GraphQL result as an event. JSON has no line breaks but between its words."""
    if "\n" in result or "\r" in result:
        result = result.replace("\r", " ").replace("\n", " ")
    return f"event: next\ndata: {result}\n\n"


def as_events(answer: Answer) -> Answer:
    """Write an answer as a stream of one result."""
    return Answer((next_event(answer.body.decode()) + COMPLETE).encode(), answer.way, 200)


async def stream_events(door: Door, streams: Streams, entry: Entry, receive: Receive, send: Send) -> None:
    """Answer with a stream. Raises: HubError, Invalid, GraphQLError, before anything was sent."""
    stream = EventStream(entry, door.settings)
    subject = entry.asking.payer.subject
    streams.enter(stream, subject)
    try:
        streams.subscriptions.take(subject)
        try:
            stream.begin(await door.subscribe(entry, stream))
            metrics.REQUESTS.labels("subscribed").inc()
            await stream.run(receive, send)
        finally:
            stream.end()
            streams.subscriptions.give_back(subject)
    finally:
        streams.leave(stream, subject)


class EventStream:
    """One subscription on one connection: where its pages go."""

    def __init__(self, entry: Entry, settings: Settings) -> None:
        caller = entry.asking.caller
        self.secret_hash = caller.secret_hash if caller else None
        self.outbox = Outbox(settings.socket_buffer_bytes, self._flow)
        self.ready = True
        self.subscription: Subscription | None = None
        self._keepalive_s = settings.keepalive_s
        self._alive: asyncio.TimerHandle | None = None

    def begin(self, subscription: Subscription) -> None:
        """Take what feeds the stream."""
        self.subscription = subscription
        self._flow(not self.outbox.full)
        self._stay_alive()

    def close(self, code: int, reason: str) -> None:
        """End the stream: with an error where the key has ended, else bare, so that the client comes back."""
        self.outbox.drop("")
        if code == FORBIDDEN:
            self.fail(shown_errors(Unauthenticated(reason)))
        else:
            self.end()

    async def run(self, receive: Receive, send: Send) -> None:
        """Write until the subscription or the client ends."""

        async def write(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await write(COMMENT)
        hearing = asyncio.create_task(self._hear(receive))
        try:
            await self.outbox.run(write)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            hearing.cancel()

    async def _hear(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()
        self.outbox.close(now=True)

    def _flow(self, ready: bool) -> None:
        if not ready:
            self.ready = False
        elif not self.ready and self.subscription is not None:
            self.ready = True
            self.subscription.resume()

    def _stay_alive(self) -> None:
        if not self.outbox.full:
            self.outbox.put(COMMENT)
        self._alive = asyncio.get_running_loop().call_later(self._keepalive_s, self._stay_alive)

    # ---------------------------------------------------------------- what comes of it

    def page(self, result: str) -> None:
        self.outbox.put(next_event(result))

    def fail(self, errors: list[dict[str, Any]]) -> None:
        self.page(encode({"errors": errors}).decode())
        self.complete()

    def complete(self) -> None:
        self.outbox.put(COMPLETE)
        self.end()

    def end(self) -> None:
        """Stop what feeds the stream; what was put is still written."""
        if self._alive is not None:
            self._alive.cancel()
            self._alive = None
        self.outbox.close()
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()
