"""Structured logs on standard error. No line holds a secret: the last step before writing masks what looks like one."""

import logging
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from app.settings import Settings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]

MASK = "***"

#: What looks like a secret, and what stands there instead. A key that was cut short or mistyped is masked as well.
#: No word boundaries: in a line of JSON the text before may end in an escaped character, like the n of a line break.
SECRETS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(ochub)(?:_|%5f)[0-9a-z]{16,}", rf"\1_{MASK}"),
        (r"""(authorization\\?["']?\s*[:=,]\s*(?:b(?=["']))?\\?["']?)[^"'\\\r\n,)\]}]+""", rf"\1{MASK}"),
        (r"(bearer)\s+(?!\*)[a-z0-9._~+/=-]{8,}", rf"\1 {MASK}"),
        # Passwords in URLs that were typed by hand may have slashes and at signs that are not escaped.
        (r"""(postgres(?:ql)?(?:\+\w+)?://[^\s:/@"']*:)[^\s"']*@""", rf"\1{MASK}@"),
        (r"""(://[^\s:/?#@"']+:)[^\s/?#@"']+@""", rf"\1{MASK}@"),
        (r"""((?:password|secret)\\?["']?\s*[:=]\s*)(\\?["'])(.*?)\2""", rf"\1\2{MASK}\2"),
        (r"""(password\s*=\s*)[^\s&"'\\*]+""", rf"\1{MASK}"),
        # The database and its driver quote rows and arguments, which may hold tokens and contract ids.
        (r"(detail:\s+)(?:(?!\\n)[^\r\n])+", rf"\1{MASK}"),
        (r"(invalid input for query argument \$\d+: )(?:(?!\\n)[^\r\n])+", rf"\1{MASK}"),
    )
)

#: Names of values that are secrets whatever they look like.
SECRET_NAMES = frozenset({"authorization", "database_url", "dsn", "password", "secret"})

#: Requests that succeed within this time are logged at level debug only; /metrics counts them.
SLOW_REQUEST_S = 1.0
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

#: Libraries that tell every step at level info.
QUIET_LOGGERS = ("alembic", "asyncio", "httpx", "sqlalchemy", "uvicorn")


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send the hub's own events and those of every library one way: to `stream`, by default to standard error."""
    stream = stream or cast(TextIO, sys.stderr)
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    before: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    after: list[Processor] = [
        structlog.processors.format_exc_info,
        _mask_names,
        *_renderers(settings.log_format, stream),
        _mask_line,
    ]
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_libraries(level, stream, before, after)


def masked(text: str) -> str:
    """Replace whatever looks like a key, a credential of a request or the password of a database URL."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


def log_requests(application: Application) -> Application:
    """Assign an id to every request, shown in its log lines and its answer, and log those that fail or take long."""
    log = structlog.get_logger("ochub.request")

    async def logged(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
            return
        request_id = _request_id(scope)
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id.encode())
        begin = time.perf_counter()
        try:
            await application(scope, receive, answer.send)
        finally:
            _tell(log, scope, answer.status, time.perf_counter() - begin)

    return logged


class _Answer:
    """The way back of one request: sees the status pass by and adds the request's id to the headers."""

    __slots__ = ("_request_id", "_send", "status")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._request_id = request_id
        #: 0: nothing was answered, because the caller went away or the request is a WebSocket.
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
        await self._send(message)


def _request_id(scope: Message) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _tell(log: Any, scope: Message, status: int, duration_s: float) -> None:
    if status >= 500:
        tell = log.error
    elif status >= 400 or (duration_s >= SLOW_REQUEST_S and scope["type"] == "http"):
        tell = log.warning
    else:
        tell = log.debug
    # The query string stays out: a GraphQL query sent by GET carries its variables there.
    tell(
        "request",
        method=scope.get("method", "WEBSOCKET"),
        path=scope["path"],
        status=status,
        duration_ms=round(duration_s * 1000, 1),
    )


def _renderers(log_format: str, stream: TextIO) -> list[Processor]:
    if log_format == "text" or (log_format == "auto" and stream.isatty()):
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(_dump)]


def _dump(event: EventDict, default: Any = None, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z).decode()
    except orjson.JSONEncodeError:
        # A lone surrogate or an integer beyond 64 bits must not cost the line.
        plain = {key: str(value).encode("ascii", "backslashreplace").decode() for key, value in event.items()}
        return orjson.dumps(plain).decode()


def _mask_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # Here, because colours between name and value would hide them from the patterns.
    for name in SECRET_NAMES & event.keys():
        event[name] = MASK
    return event


def _mask_line(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return masked(line)


def _route_libraries(level: int, stream: TextIO, before: list[Processor], after: list[Processor]) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[_forget_meta, *after],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


def _forget_meta(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in ("_record", "_from_structlog", "color_message"):
        event.pop(key, None)
    return event
