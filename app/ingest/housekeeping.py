"""What every process of the hub looks after now and then: lists that nobody finished, and those that are over."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from app.db.engine import Database
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.parking import lists as parking_spot_lists
from app.uploads.list_parts import forget_lists

EVERY_S: Final = 60.0
STAGED: Final = (charge_point_lists.STAGED, parking_spot_lists.STAGED)
log = structlog.get_logger(__name__)


async def make_rounds(database: Database) -> None:
    """Forget lists after a day, and what dead processes left of them, for as long as the hub runs."""
    while True:
        try:
            await forget_lists(database, STAGED, datetime.now(UTC))
        except Exception as error:
            # The database may be away for a while; the next round finds the same work.
            log.warning("lists were not looked after", error=repr(error))
        await asyncio.sleep(EVERY_S)
