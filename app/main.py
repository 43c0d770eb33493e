"""The one place where the hub is put together: settings, pools, schema, web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from fastapi import FastAPI
from starlette.routing import Route

from app.auth import Keys
from app.db.engine import Database
from app.settings import Settings
from schema.build import schema
from schema.route import GraphQLRoute


class Profile(StrEnum):
    """Whom the hub is run for: its developers, or the public."""

    DEVELOPMENT = "DEVELOPMENT"
    PRODUCTION = "PRODUCTION"


def create_app(dsn: str, settings: Settings, profile: Profile) -> FastAPI:
    """Put a hub together; its connections open and close with the application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = await Database.open(dsn, settings)
        keys = Keys(database, settings.key_cache_s)
        app.state.database = database
        route = GraphQLRoute(schema, database, keys, settings.max_body_bytes)
        app.router.routes.insert(0, Route("/graphql", route, methods=None))
        try:
            yield
        finally:
            await database.close()

    return FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
