"""/graphql over HTTP, as one thin ASGI callable: FastAPI's router would cost more than the whole answer."""

from contextlib import nullcontext, suppress
from time import perf_counter

from starlette.types import Receive, Scope, Send

from app import metrics
from app.gc_tuning import resting
from app.http.admission import Admitted
from app.http.answers import Answer, send_answer
from app.http.disconnects import ClientLeft, WhileConnected
from app.http.negotiation import JSON, Headers, check_body_type, check_method
from app.http.open_streams import OpenStreams
from app.http.refusals import BadRequest
from schema.endpoint import REFUSED, Accepted, Endpoint, Incoming, refused
from schema.graphql_request import (
    BIG_BYTES,
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    Accepts,
    negotiated,
    read_posted,
    read_query_string,
)
from schema.sse import as_events, stream_events

#: Garbage collection stays on.
COLLECTING = nullcontext[None]()


class GraphQLRoute:
    """POST /graphql, and for developers GET."""

    def __init__(self, endpoint: Endpoint, streams: OpenStreams) -> None:
        self.endpoint = endpoint
        self.admission = endpoint.admission
        self.streams = streams
        self.gzip_from_bytes = endpoint.settings.gzip_from_bytes
        self.methods = ("GET", "POST") if endpoint.development else ("POST",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        began = perf_counter()
        accepts = Accepts(JSON, events=False)
        try:
            accepts = negotiated(headers)
            answer = await self._answer(scope, headers, accepts, receive, send)
        except ClientLeft:
            metrics.REQUESTS.labels("abandoned").inc()
            return
        except Exception as error:
            answer = refused(error)
        if answer is None:
            return
        requests, seconds = metrics.answered(answer.way)
        requests.inc()
        seconds.observe(perf_counter() - began)
        answer = _in_media(answer, accepts.media)
        gzip_from_bytes = 0 if answer.media is EVENT_STREAM else self.gzip_from_bytes
        await send_answer(send, answer, headers, gzip_from_bytes)

    async def _answer(
        self, scope: Scope, headers: Headers, accepts: Accepts, receive: Receive, send: Send
    ) -> Answer | None:
        """Return the answer, and release the request; None: it was streamed."""
        check_method(scope["method"], self.methods)
        if scope["method"] == "POST":
            check_body_type(headers)
        admitted = await self.admission.admit(scope, headers, receive)
        try:
            with resting() if len(admitted.body) > BIG_BYTES else COLLECTING:
                accepted = await self._accept(scope, admitted)
                if accepted.operation.is_mutation:
                    return await self.endpoint.answer(accepted)
                if accepted.operation.is_query:
                    with WhileConnected(scope):
                        return await self.endpoint.answer(accepted)
        finally:
            admitted.held.release()
        if not accepts.events:
            raise BadRequest(f"a subscription is answered by {EVENT_STREAM}, or on a WebSocket", status=406)
        with suppress(ClientLeft), WhileConnected(scope):
            await stream_events(self.endpoint, self.streams, accepted, send)
        return None

    async def _accept(self, scope: Scope, admitted: Admitted) -> Accepted:
        by_get = scope["method"] == "GET"
        request = read_query_string(scope) if by_get else await read_posted(admitted.body)
        admitted.body = b""  # what follows may take long, a stream for days
        return await self.endpoint.accept(Incoming(admitted.caller, admitted.payer, request, by_get))


def _in_media(answer: Answer, media: str | None) -> Answer:
    """Return an answer in the media type that the client accepts.

    As GraphQL over HTTP demands, one that knows GraphQL's own type gets a 4xx for a request that was never executed.
    """
    if media is None and answer.status is None:
        return as_events(answer)
    answer.media = media or JSON
    if answer.way == REFUSED and media == GRAPHQL_RESPONSE:
        answer.status = answer.status or 400
    return answer
