"""A status that expires is published once, and written into the history."""

import asyncio
from datetime import datetime, timedelta

import pytest

from app.db.engine import Database
from app.ingest.charge_points.updates import remove_charge_points
from app.ingest.status.expiry import sweep
from tests.ingest.status_world import (
    StatusWorld,
    evse,
    history,
    last_logged,
    log,
    make_status_world,
    rows,
    spot,
)
from tests.ingest.world import MONDAY


def after(minutes: float) -> datetime:
    return MONDAY + timedelta(minutes=minutes)


@pytest.fixture
async def world(database: Database) -> StatusWorld:
    return await make_status_world(database)


async def entries(database: Database) -> list[tuple[datetime, str]]:
    return [(row["due"], row["entity_id"]) for row in await database.fetch("select * from status_expiry order by 1, 3")]


async def test_announces_a_status_at_the_instant_of_its_ttl_and_only_once(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", "RESERVED", ttl=after(5)))
    since = await last_logged(world.database)
    assert await sweep(world.database, after(5) - timedelta(microseconds=1)) == 0
    assert await sweep(world.database, after(5)) == 1
    assert await sweep(world.database, after(6)) == 0
    assert [row[1:] for row in await log(world.database, since)] == [("EVSE_STATUS", "DE8ACE1", True)]
    assert await history(world.database, "DE8ACE1") == [
        (MONDAY, "AVAILABLE", "RESERVED"),
        (after(5), "UNKNOWN", None),
    ]
    assert (await rows(world.database, "evse_status"))["DE8ACE1"]["due"] is None
    assert await entries(world.database) == []


async def test_keeps_one_entry_for_a_status_that_is_renewed(world: StatusWorld):
    for minute in range(0, 10, 3):
        await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(minute + 5)), now=after(minute))
    assert await entries(world.database) == [(after(5), "DE8ACE1")]
    since = await last_logged(world.database)
    assert await sweep(world.database, after(13)) == 0
    assert await entries(world.database) == [(after(14), "DE8ACE1")]
    assert await log(world.database, since) == []
    assert await sweep(world.database, after(14)) == 1


async def test_announces_in_time_what_was_shortened(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(30)))
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(5)))
    assert await sweep(world.database, after(5)) == 1
    assert await sweep(world.database, after(30)) == 0
    assert await entries(world.database) == []


async def test_forgets_entries_of_what_is_unknown_or_gone(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(5)), evse("DE8ACE2", "AVAILABLE", ttl=after(5)))
    await world.say(evse("DE8ACE1", "UNKNOWN"), now=after(1))
    await remove_charge_points(world.database, ["DE8ACE2"], world.german, after(2))
    since = await last_logged(world.database)
    assert await sweep(world.database, after(5)) == 0
    assert await log(world.database, since) == await entries(world.database) == []


async def test_leaves_the_announcement_to_whoever_writes_first(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(5)))
    await world.say(evse("DE8ACE1", "NOT_AVAILABLE", "CHARGING", ttl=after(30)), now=after(6))
    since = await last_logged(world.database)
    assert await sweep(world.database, after(7)) == 0
    assert await log(world.database, since) == []
    assert await sweep(world.database, after(30)) == 1
    assert await history(world.database, "DE8ACE1") == [
        (MONDAY, "AVAILABLE", None),
        (after(5), "UNKNOWN", None),
        (after(6), "NOT_AVAILABLE", "CHARGING"),
        (after(30), "UNKNOWN", None),
    ]


async def test_says_that_an_evse_is_free_again_when_the_word_about_its_spot_runs_out(world: StatusWorld):
    await world.say(evse("DE8ACE2", "AVAILABLE", ttl=after(50)), spots=[spot("DEPRKP2", "NOT_AVAILABLE", ttl=after(5))])
    since = await last_logged(world.database)
    assert await sweep(world.database, after(5)) == 1
    assert [row[1:] for row in await log(world.database, since)] == [
        ("PARKING_STATUS", "DEPRKP2", None),
        ("EVSE_STATUS", "DE8ACE2", False),
    ]
    assert (await rows(world.database, "evse_status"))["DE8ACE2"]["blocked_until"] is None


async def test_says_so_also_when_the_spot_is_heard_of_before_the_sweep(world: StatusWorld):
    await world.say(evse("DE8ACE2", "AVAILABLE", ttl=after(50)), spots=[spot("DEPRKP2", "NOT_AVAILABLE", ttl=after(5))])
    since = await last_logged(world.database)
    await world.say(spots=[spot("DEPRKP2", "AVAILABLE")], now=after(6))
    assert [row[1:] for row in await log(world.database, since)] == [
        ("PARKING_STATUS", "DEPRKP2", None),
        ("EVSE_STATUS", "DE8ACE2", False),
    ]


async def test_shares_the_work_among_several_and_takes_it_in_small_parts(world: StatusWorld):
    evses = [evse(f"DE8ACE{n}", "AVAILABLE", ttl=after(n)) for n in (1, 2, 3)]
    await world.say(*evses, spots=[spot(f"DEPRKP{n}", "NOT_AVAILABLE", ttl=after(n)) for n in (1, 2)])
    since = await last_logged(world.database)
    swept = await asyncio.gather(*(sweep(world.database, after(10), chunk=2) for _ in range(3)))
    assert sum(swept) == 5
    assert sorted({row[2] for row in await log(world.database, since)}) == [
        "DE8ACE1",
        "DE8ACE2",
        "DE8ACE3",
        "DEPRKP1",
        "DEPRKP2",
    ]


async def test_takes_the_oldest_first(world: StatusWorld):
    await world.say(*(evse(f"DE8ACE{n}", "AVAILABLE", ttl=after(9 - n)) for n in (1, 2, 3)))
    since = await last_logged(world.database)
    assert await sweep(world.database, after(10), chunk=1) == 3
    assert [row[2] for row in await log(world.database, since)] == ["DE8ACE3", "DE8ACE2", "DE8ACE1"]
