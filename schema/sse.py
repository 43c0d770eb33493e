"""graphql-sse, each operation on a connection of its own ("distinct connections mode").

Source: the protocol's text, PROTOCOL.md of the project graphql-sse. A refusal that HTTP has a status for (no valid key,
a spent budget, a malformed body) is answered with it instead of the stream; errors in the document come as an event.
"""

import asyncio
from typing import Any

from starlette.types import Send

from app import metrics
from app.errors import Unauthenticated
from app.http.answers import ALWAYS, Answer, content_type
from app.http.open_streams import FORBIDDEN, OpenStreams
from app.http.send_queue import SendQueue
from app.live.stream.sink import Subscription
from app.settings import Settings
from schema.endpoint import Accepted, Endpoint, shown_errors
from schema.graphql_request import EVENT_STREAM
from schema.root_fields import encode

COMPLETE = "event: complete\ndata:\n\n"
COMMENT = ":\n\n"
#: The last one keeps proxies from buffering the answer until it is complete.
HEADERS = [content_type(EVENT_STREAM), *ALWAYS, (b"x-accel-buffering", b"no")]


def next_event(result: str) -> str:
    """Write a GraphQL result as an event. JSON has no line breaks but between its words."""
    if "\n" in result or "\r" in result:
        result = result.replace("\r", " ").replace("\n", " ")
    return f"event: next\ndata: {result}\n\n"


def as_events(answer: Answer) -> Answer:
    """Write an answer as a stream of one result."""
    return Answer((next_event(answer.body.decode()) + COMPLETE).encode(), answer.way, 200, media=EVENT_STREAM)


async def stream_events(endpoint: Endpoint, streams: OpenStreams, accepted: Accepted, send: Send) -> None:
    """Answer with a stream. Raises: HubError, Invalid, GraphQLError, before anything was sent."""
    stream = EventStream(accepted, endpoint.settings)
    subject = accepted.incoming.payer.subject
    streams.enter(stream, subject)
    try:
        streams.subscriptions.take(subject)
        weight = 1
        try:
            subscription = await endpoint.subscribe(accepted, stream)
            stream.begin(subscription)
            streams.subscriptions.weigh(subject, subscription.weight - 1)
            weight = subscription.weight
            metrics.REQUESTS.labels("subscribed").inc()
            await stream.run(send)
        finally:
            stream.end()
            streams.subscriptions.give_back(subject, weight)
    finally:
        streams.leave(stream, subject)


class EventStream:
    """One subscription on one connection, which is where its pages go."""

    def __init__(self, accepted: Accepted, settings: Settings) -> None:
        caller = accepted.incoming.caller
        self.secret_hash = caller.secret_hash if caller else None
        self.queue = SendQueue(settings.socket_buffer_bytes, self._flow)
        self.ready = True
        self.subscription: Subscription | None = None
        self._keepalive_s = settings.keepalive_s
        self._alive: asyncio.TimerHandle | None = None

    def begin(self, subscription: Subscription) -> None:
        """Start with the subscription whose pages are sent."""
        self.subscription = subscription
        self._flow(not self.queue.full)
        self._stay_alive()

    def close(self, code: int, reason: str) -> None:
        """End the stream: with an error where the key is no longer valid, else bare, so that the client reconnects."""
        self.queue.clear()
        if code == FORBIDDEN:
            self.fail(shown_errors(Unauthenticated(reason)))
        else:
            self.end()

    async def run(self, send: Send) -> None:
        """Write until the subscription ends."""

        async def write(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await write(COMMENT)
        await self.queue.run(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _flow(self, ready: bool) -> None:
        if not ready:
            self.ready = False
        elif not self.ready and self.subscription is not None:
            self.ready = True
            self.subscription.resume()

    def _stay_alive(self) -> None:
        if not self.queue.full:
            self.queue.put(COMMENT)
        self._alive = asyncio.get_running_loop().call_later(self._keepalive_s, self._stay_alive)

    # ---------------------------------------------------------------- the sink

    def page(self, result: str) -> None:
        self.queue.put(next_event(result))

    def fail(self, errors: list[dict[str, Any]]) -> None:
        self.page(encode({"errors": errors}).decode())
        self.complete()

    def complete(self) -> None:
        self.queue.put(COMPLETE)
        self.end()

    def end(self) -> None:
        """End the subscription; what was queued is still written."""
        if self._alive is not None:
            self._alive.cancel()
            self._alive = None
        self.queue.close()
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()
