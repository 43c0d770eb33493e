"""Refused requests: the status and the headers that belong to each cause."""

from collections.abc import Iterator
from uuid import uuid4

import structlog

from app.budget import RateLimited
from app.db.lending import Overloaded, TookTooLong
from app.errors import HubError, Unauthenticated

log = structlog.get_logger(__name__)


class BadRequest(HubError):
    """The request is not one that this address answers.

    `allow`: the methods that are possible.
    """

    code = "BAD_REQUEST"

    def __init__(self, message: str, hint: str | None = None, status: int = 400, allow: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.allow = allow


class TooManyOpen(HubError):
    """A caller has as many sockets or subscriptions open as it may."""

    code = "TOO_MANY_OPEN"


def log_unforeseen(error: BaseException) -> tuple[str, str]:
    """Log an unforeseen error. Return the id of the log entry, and the message that is shown instead of the error's."""
    id_ = uuid4().hex[:12]
    log.error("unforeseen error", error_id=id_, exc_info=error)
    return id_, f"the hub failed to answer this; its log has the reason under {id_}"


def status_of(error: HubError) -> int | None:
    """Return the status of a refusal by this room; None for errors of what was asked."""
    match error:
        case BadRequest():
            return error.status
        case Unauthenticated():
            return 401
        case RateLimited() | TooManyOpen():
            return 429
        case Overloaded() | TookTooLong():
            return 503
        case _:
            return None


def headers_of(error: HubError) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that belong to a refusal."""
    if error.retry_after_s is not None:
        yield b"retry-after", str(error.retry_after_s).encode()
    match error:
        case Unauthenticated():
            yield b"www-authenticate", b"Bearer"
        case BadRequest(status=405):
            yield b"allow", error.allow.encode()
        case BadRequest(status=408):
            yield b"connection", b"close"
        case _:
            pass
