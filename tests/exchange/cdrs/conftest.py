import pytest

from app.db.engine import Database
from tests.exchange.cdrs.world import World, make_world


@pytest.fixture
async def world(database: Database, database_url: str) -> World:
    return await make_world(database, database_url)
