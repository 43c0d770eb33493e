"""Whose pages may ask: those of the origins in the settings. Every client sends its own key, and there are no cookies.

A page may always ask the hub that it comes from. What is no page sends no `Origin`.
"""

from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.setting_checks import listed

log = structlog.get_logger(__name__)

#: Seconds for which a browser keeps the answer.
PREFLIGHT_KEPT_S: Final = 86_400
#: Pages of a developer's own machine.
LOOPBACK: Final = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
METHODS: Final = ("GET", "HEAD", "POST")
EXPOSED: Final = ("Retry-After", "X-Request-Id")


class Origins(CORSMiddleware):
    """The origins whose pages may ask, over HTTP and by WebSocket. `loopback`: also pages of this machine."""

    def __init__(self, app: ASGIApp, origins: str, *, loopback: bool) -> None:
        super().__init__(
            app,
            allow_origins=listed(origins),
            allow_origin_regex=LOOPBACK if loopback else None,
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_KEPT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_of_page = any(name == b"origin" for name, _ in scope["headers"])
        await (super().__call__ if is_of_page else self.app)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin):
            return PlainTextResponse(refusal(origin), 403, {"Vary": "Origin"})
        return super().preflight_response(request_headers)

    def may_open(self, scope: Scope) -> bool:
        """Return whether a WebSocket's handshake comes from no page, from the hub's own or from an allowed one."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        return origin is None or _host(origin) == headers.get("host", "").lower() or self.is_allowed_origin(origin)


def refusal(origin: str) -> str:
    """Return a sentence that names the origin and the setting; it is logged too."""
    log.warning("a page of an origin that is not allowed asked", origin=origin, setting="OCHUB_CORS_ORIGINS")
    return f"pages of {origin} may not ask this hub; its operator can list the origin in OCHUB_CORS_ORIGINS"


def _host(origin: str) -> Any:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
