"""An endpoint for answers in one piece: from a request's bytes to an answer, with everything between.

GraphQL has a route of its own, because it negotiates media types and streams; both are made of the same parts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from asyncpg import QueryCanceledError
from starlette.types import Receive, Scope, Send

from app.db.lending import TookTooLong, begin_work
from app.errors import Forbidden, HubError, NotFound
from app.http.admission import Admission, Admitted
from app.http.answers import Answer, send_answer
from app.http.disconnects import ClientLeft, WhileConnected
from app.http.negotiation import JSON, check_body_type, check_method
from app.http.refusals import headers_of, log_unforeseen, status_of

Respond = Callable[[Scope, Admitted], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `respond` only reads: it is cancelled when the client leaves, or after `timeout_s`.

    `body_type`: the media type of its bodies. `refuse`: how errors look.
    """

    admission: Admission
    respond: Respond
    methods: tuple[str, ...] = ("POST",)
    body_type: str = JSON
    timeout_s: float = 5.0
    refuse: Callable[[Exception], Answer] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            check_method(scope["method"], self.methods)
            if scope["method"] == "POST":
                check_body_type(headers, self.body_type)
            admitted = await self.admission.admit(scope, headers, receive)
            try:
                answer = await self._respond(scope, admitted)
            finally:
                admitted.held.release()
        except ClientLeft:
            return
        except Exception as error:
            answer = (self.refuse or refused)(error)
        await send_answer(send, answer, headers, self.admission.settings.gzip_from_bytes)

    async def _respond(self, scope: Scope, admitted: Admitted) -> Answer:
        begin_work(admitted.payer.subject, self.timeout_s)
        try:
            with WhileConnected(scope):
                async with asyncio.timeout(self.timeout_s):
                    return await self.respond(scope, admitted)
        except (TimeoutError, QueryCanceledError):
            raise TookTooLong(f"there was no answer within {self.timeout_s:g} s") from None


def refused(error: Exception) -> Answer:
    """Return the answer to a refused request, as JSON; an unforeseen error is logged and shown as an id only."""
    if not isinstance(error, HubError):
        _, message = log_unforeseen(error)
        return _refusal(500, {"code": HubError.code, "message": message})
    shown = {"code": error.code, "message": error.message, "hint": error.hint, "retryAfterS": error.retry_after_s}
    known = {name: value for name, value in shown.items() if value is not None}
    return _refusal(status_of(error) or _status_of_cause(error), known, tuple(headers_of(error)))


def _refusal(status: int, shown: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    return Answer(orjson.dumps(shown), "refused", status, headers)


def _status_of_cause(error: HubError) -> int:
    match error:
        case Forbidden():
            return 403
        case NotFound():
            return 404
        case _:
            return 400
