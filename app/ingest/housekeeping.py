"""Housekeeping in every process of the hub: deletes lists that were never finished, and those that expired."""

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


async def run_housekeeping(database: Database) -> None:
    """Delete expired lists, and staged rows that dead processes left, until cancelled."""
    while True:
        try:
            await forget_lists(database, STAGED, datetime.now(UTC))
        except Exception as error:
            # The database may be unreachable temporarily; the next run finds the same work.
            log.warning("housekeeping of lists failed", error=repr(error))
        await asyncio.sleep(EVERY_S)
