"""The one place where the hub is put together: settings, pools, schema, web application."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry import Schema
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import metrics
from app.auth import Keys
from app.budget import Budgets
from app.db.engine import Database
from app.db.migrate import newest_revision
from app.exchange.authorisation import lists as authorisation_lists
from app.exchange.authorisation.retention import forget_personal_data, log_expired
from app.exchange.sessions.commands import expire_sessions
from app.guides.site import guide_routes
from app.http.admission import Admission
from app.http.open_streams import OpenStreams
from app.http.origins import Origins
from app.http.uvicorn_limits import GRACE_S
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.parking import lists as parking_spot_lists
from app.ingest.status.expiry import sweep
from app.live.log.leader import CLEARING_EVERY_S, Duty, Every, lead
from app.live.log.wake_up import Bus
from app.live.stream.fanout import Fanout
from app.setting_checks import listed
from app.settings import Settings
from app.uploads.housekeeping import run_housekeeping
from schema import build
from schema.endpoint import Endpoint, Source
from schema.errors import shown
from schema.ide import ide_routes
from schema.route import GraphQLRoute
from schema.subscription import FEEDS, ChangeSource
from schema.ws import SocketRoute

READY_WITHIN_S = 2.0

SESSIONS_EXPIRE_EVERY_S = 60

#: What comes as whole lists.
LISTS = (charge_point_lists.STAGED, parking_spot_lists.STAGED, authorisation_lists.STAGED)
LOOKED_EVERY_S = 1.0
GRAPHQL = "/graphql"


class Profile(StrEnum):
    """Whom the hub is run for: its developers, or the public."""

    DEVELOPMENT = "DEVELOPMENT"
    PRODUCTION = "PRODUCTION"


class Hub(FastAPI):
    """FastAPI for what is asked now and then; POST /graphql goes past its layers, a fifth of a small answer's cost."""

    graphql: ASGIApp | None = None
    sockets: ASGIApp | None = None
    streams: OpenStreams | None = None
    #: What stands before everything else.
    entrance: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.entrance(scope, receive, send)

    def lead(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["path"] == GRAPHQL and scope["method"] == "POST" and self.graphql:
            return self.graphql(scope, receive, send)
        if scope["type"] == "websocket" and scope["path"] == GRAPHQL and self.sockets:
            return self.sockets(scope, receive, send)
        return super().__call__(scope, receive, send)

    def stop(self) -> None:
        """End what would otherwise stay open for ever: the server is about to stop."""
        if self.streams is not None:
            self.streams.stop()


def create_app(
    dsn: str, settings: Settings, profile: Profile, schema: Schema = build.schema, source: Source | None = None
) -> Hub:
    """Put a hub together; its connections open and close with the application.

    `source`: what the subscriptions of `schema` are fed by.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        database = await Database.open(dsn, settings)
        app.state.database, app.state.watch = database, Watch(database)
        keys = Keys(database, settings.key_cache_s)
        kept = timedelta(days=settings.cursor_days)
        fanout = Fanout(database, FEEDS, shown, settings.max_subscriptions, kept)
        admission = Admission(keys, Budgets(settings), settings)
        endpoint = Endpoint(schema, database, admission, profile is Profile.DEVELOPMENT, source)
        if source is None:
            endpoint.source = ChangeSource(endpoint.core, fanout)
        hub.streams = OpenStreams(keys, settings)
        graphql = GraphQLRoute(endpoint, hub.streams)
        origins = Origins(graphql, settings.cors_origins, loopback=profile is Profile.DEVELOPMENT)
        hub.graphql = origins
        hub.sockets = SocketRoute(endpoint, hub.streams, origins.may_open)
        hub.router.routes.append(Route(GRAPHQL, hub.graphql, methods=None))
        try:
            async with (
                Bus.open(dsn, settings) as bus,
                _running(lead(dsn, settings, bus, _duties(settings))),
                _running(fanout.run(bus.wait)),
                _running(run_housekeeping(database, LISTS)),
                _running(hub.streams.watch()),
            ):
                app.state.bus, app.state.fanout = bus, fanout
                database.committed = bus.announce
                yield
                await hub.streams.drain(GRACE_S)
        finally:
            await database.close()

    hub = Hub(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    hub.entrance = _behind_proxies(hub.lead, settings)
    hub.get("/healthz")(healthz)
    hub.get("/readyz")(readyz)
    hub.get("/metrics")(metrics_page)
    hub.router.routes.extend(guide_routes())
    if profile is Profile.DEVELOPMENT:
        hub.router.routes.extend(ide_routes())
    return hub


@dataclass(frozen=True, slots=True)
class Look:
    """How the database was found, as /readyz shows it."""

    body: Mapping[str, Any]
    is_ready: bool = False


class Watch:
    """The state of the database for health checks: read at most once a second, however many there are."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._looking: asyncio.Task[Look] | None = None
        self._looked_at = 0.0

    async def look(self) -> Look:
        """Return the state of the database, read at most a second ago."""
        now = time.monotonic()
        if self._looking is None or (self._looking.done() and now > self._looked_at + LOOKED_EVERY_S):
            self._looking, self._looked_at = asyncio.create_task(_look(self.database)), now
        return await asyncio.shield(self._looking)


async def _look(database: Database) -> Look:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            rows = await database.fetch("select version_num from alembic_version")
            found, expected = (rows[0][0] if rows else None), newest_revision()
    except Exception as error:
        return Look({"status": "unavailable", "database": type(error.__cause__ or error).__name__})
    schema = {"schema": found, "expectedSchema": expected}
    is_current = found == expected
    return Look({"status": "ok" if is_current else "schema behind", **schema}, is_current)


def _duties(settings: Settings) -> Sequence[Duty]:
    """Return what the leader does besides its own duties."""

    async def expire(database: Database, now: datetime) -> None:
        await expire_sessions(database, now, timedelta(hours=settings.session_expiry_h))

    return (
        *(sweep, log_expired, Every(SESSIONS_EXPIRE_EVERY_S, expire)),
        Every(CLEARING_EVERY_S, forget_personal_data(settings)),
    )


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run something beside the block, until its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _behind_proxies(application: ASGIApp, settings: Settings) -> ASGIApp:
    """Trust the client addresses that the configured proxies forward, and no others."""
    proxies = listed(settings.trusted_proxies)
    return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, application), proxies)) if proxies else application


async def healthz() -> Response:
    """Answer that the process runs; nothing else is checked."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Answer 200 when the database answers and has this version's schema, else 503."""
    watch: Watch = request.app.state.watch
    look = await watch.look()
    return JSONResponse(look.body, 200 if look.is_ready else 503)


async def metrics_page(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    database: Database = request.app.state.database
    for name, pool in database.pools.items():
        metrics.CONNECTIONS.labels(name, "idle").set(pool.get_idle_size())
        metrics.CONNECTIONS.labels(name, "open").set(pool.get_size())
    return PlainTextResponse(metrics.rendered(), media_type="text/plain; version=0.0.4; charset=utf-8")
