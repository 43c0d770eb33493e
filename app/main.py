"""The one place where the hub is put together: settings, pools, schema, web application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import metrics
from app.auth import Keys
from app.db.engine import Database
from app.db.migrate import newest_revision
from app.settings import Settings
from schema.build import schema
from schema.ide import ide_routes
from schema.route import GraphQLRoute

READY_WITHIN_S = 2.0
GRAPHQL = "/graphql"


class Profile(StrEnum):
    """Whom the hub is run for: its developers, or the public."""

    DEVELOPMENT = "DEVELOPMENT"
    PRODUCTION = "PRODUCTION"


class Hub(FastAPI):
    """FastAPI for what is asked now and then; POST /graphql goes past its layers, a fifth of a small answer's cost."""

    graphql: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == GRAPHQL and scope["method"] == "POST" and self.graphql:
            await self.graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(dsn: str, settings: Settings, profile: Profile) -> Hub:
    """Put a hub together; its connections open and close with the application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        database = await Database.open(dsn, settings)
        app.state.database = database
        hub.graphql = GraphQLRoute(schema, database, Keys(database, settings.key_cache_s), settings.max_body_bytes)
        hub.router.routes.append(Route(GRAPHQL, hub.graphql, methods=None))
        try:
            yield
        finally:
            await database.close()

    hub = Hub(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    hub.get("/healthz")(healthz)
    hub.get("/readyz")(readyz)
    hub.get("/metrics")(metrics_page)
    if profile is Profile.DEVELOPMENT:
        hub.router.routes.extend(ide_routes())
    return hub


async def healthz() -> Response:
    """Say that the process answers; nothing else is looked at."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Say whether the database answers and has this version's schema; 503 when not."""
    database: Database = request.app.state.database
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            rows = await database.fetch("select version_num from alembic_version")
    except Exception as error:
        return JSONResponse({"status": "unavailable", "database": type(error).__name__}, 503)
    found, expected = (rows[0][0] if rows else None), newest_revision()
    ready = found == expected
    state = {"status": "ok" if ready else "schema behind", "schema": found, "expectedSchema": expected}
    return JSONResponse(state, 200 if ready else 503)


async def metrics_page(request: Request) -> Response:
    """Give Prometheus what was counted."""
    database: Database = request.app.state.database
    for name, pool in (("reads", database.reads), ("planned", database.planned), ("writes", database.writes)):
        metrics.CONNECTIONS.labels(name, "idle").set(pool.get_idle_size())
        metrics.CONNECTIONS.labels(name, "open").set(pool.get_size())
    return PlainTextResponse(metrics.rendered(), media_type="text/plain; version=0.0.4; charset=utf-8")
