"""Uploads of status, decoded: long ones do not block the event loop."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.ingest.nouns import EVSE_STATUSES
from app.records.status_input import AT_ONCE, Hearing, read_evse_statuses
from app.uploads import yielding
from app.uploads.checks import Refusal
from app.uploads.items import Owner, sort_out
from tests.ingest.world import MONDAY

HEARING = Hearing(MONDAY)
OWNER = Owner(UUID(int=1), 1, "DE8AC", 1)


async def turns_during(work: Any) -> int:
    """Return how often another task ran during `work`."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await work
    counting.cancel()
    return turns


async def test_yields_between_slices_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "YIELD_EVERY_S", 0)
    good = [{"evseId": f"DE8ACE{n}", "major": "AVAILABLE"} for n in range(5 * AT_ONCE)]
    assert await turns_during(read_evse_statuses(good, HEARING)) >= 5
    assert await turns_during(read_evse_statuses([{}] * 5 * AT_ONCE, HEARING)) >= 5


async def test_yields_while_items_are_sorted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "YIELD_EVERY_S", 0)
    items = await read_evse_statuses([{"evseId": "DE8ACE1", "major": "AVAILABLE"}] * 50, HEARING)
    assert await turns_during(sort_out(items, OWNER, EVSE_STATUSES)) >= 50


async def test_counts_items_on_through_its_slices() -> None:
    items: list[Any] = [{"evseId": f"DE8ACE{n}", "major": "AVAILABLE"} for n in range(2 * AT_ONCE + 2)]
    items[AT_ONCE] = items[-1] = {}
    read = await read_evse_statuses(items, HEARING)
    refused = [each.path for each in read if isinstance(each, Refusal)]
    numbers = (AT_ONCE, 2 * AT_ONCE + 1)
    assert refused == [f"evses[{n}].{name}" for n in numbers for name in ("evseId", "major")]
    assert [getattr(each, "evse_id", None) for each in read[:2]] == ["DE8ACE0", "DE8ACE1"]
