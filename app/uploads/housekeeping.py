"""Housekeeping in every process of the hub: deletes lists that were never finished, and those that expired."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import structlog

from app.db.engine import Database
from app.uploads.list_parts import StagedAs, forget_lists

EVERY_S: Final = 60.0
log = structlog.get_logger(__name__)


async def run_housekeeping(database: Database, kinds: Collection[StagedAs]) -> None:
    """Delete expired lists of these kinds, and staged rows that dead processes left, until cancelled."""
    while True:
        try:
            await forget_lists(database, kinds, datetime.now(UTC))
        except Exception as error:
            # The database may be unreachable temporarily; the next run finds the same work.
            log.warning("housekeeping of lists failed", error=repr(error))
        await asyncio.sleep(EVERY_S)
