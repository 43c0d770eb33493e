"""What every process of the hub looks after now and then: lists that nobody finished."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from app.db.engine import Database
from app.ingest import settle, spot_versions
from app.ingest.lists import forget_lists

EVERY_S: Final = 60.0
log = structlog.get_logger(__name__)


async def make_rounds(database: Database) -> None:
    """Settle what dead processes left, and forget lists after a day, for as long as the hub runs."""
    while True:
        try:
            await settle.settle_all(database)
            await spot_versions.settle_all(database)
            await forget_lists(database, datetime.now(UTC))
        except Exception as error:
            # The database may be away for a while; the next round finds the same work.
            log.warning("lists were not looked after", error=repr(error))
        await asyncio.sleep(EVERY_S)
