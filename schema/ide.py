"""GraphiQL for developers, with examples."""

from starlette.routing import BaseRoute


def ide_routes() -> list[BaseRoute]:
    return []
