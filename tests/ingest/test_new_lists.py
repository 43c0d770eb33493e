"""Big lists: many short transactions, one instant for readers; nothing lost whenever a process dies."""

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from app.db.engine import Busy, Database
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.charge_points.lists import set_charge_points
from app.ingest.charge_points.updates import remove_charge_points, update_charge_points
from app.ingest.settle import settle_all
from app.records.charge_point import ChargePoint, EvseParkingSpot, Read
from app.uploads import batch_sizes as pace
from app.uploads import locks as operator_locks
from app.uploads.locks import OPERATOR, holding
from tests.ingest.parking_world import spot_contradictions
from tests.ingest.world import MONDAY, TUESDAY, World, charge_point, contradictions, evse_ids, make_world

#: What everybody is shown who may see all.
SHOWN = """
select count(*), min(max_reservation_minutes), max(max_reservation_minutes) from evse
join location using (list_no, location_id) join operator using (list_no)
"""


class Death(Exception):
    """The process dies here."""


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charge_point_lists, "AT_ONCE", 5)
    monkeypatch.setattr(pace, "MOST", 20)


def evses(numbers: range, minutes: int) -> list[ChargePoint]:
    """Give EVSEs, two to a location, each with a spot that it shares with another one."""
    return [
        charge_point(
            f"DE8ACE{n}",
            location_id=f"L{n // 2}",
            max_reservation_minutes=minutes,
            parking_spots=(EvseParkingSpot(parking_id=f"DEPRKP{n // 3}"),),
        )
        for n in numbers
    ]


async def put(world: World, items: list[ChargePoint], now: Any = MONDAY) -> tuple[int, int, int]:
    whole: list[Read] = list(items)
    report = await set_charge_points(world.database, whole, world.german, None, True, now)
    return report.accepted, report.unchanged, report.removed


async def shown(world: World) -> tuple[int, int, int]:
    return tuple((await world.database.fetch(SHOWN))[0])


async def is_clean(world: World) -> bool:
    """Say whether everything is of a list in force, and everything agrees."""
    other = "where list_no not in (select list_no from operator)"
    left = f"select from evse {other} union all select from location {other} union all select from list_out_of_force"
    agrees = not await contradictions(world.database) and not await spot_contradictions(world.database)
    return agrees and not await world.database.fetch(left)


async def test_shows_readers_the_old_list_or_the_new_one(world: World):
    await put(world, evses(range(200), 1))
    seen: list[tuple[int, int, int]] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            seen.append(await shown(world))

    async def replace() -> None:
        await put(world, evses(range(100, 250), 2), TUESDAY)
        done.set()

    await asyncio.gather(watch(), replace())
    assert list(dict.fromkeys(seen)) in ([(200, 1, 1), (150, 2, 2)], [(200, 1, 1)])
    assert await shown(world) == (150, 2, 2)
    assert await is_clean(world)


async def test_shows_readers_pieces_when_the_list_is_no_list(world: World):
    """The broken twin: what the way ahead is for."""
    await put(world, evses(range(200), 1))
    seen: set[tuple[int, int, int]] = set()
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            seen.add(await shown(world))

    async def replace() -> None:
        for n in range(100, 200, 10):
            await update_charge_points(world.database, list(evses(range(n, n + 10), 2)), world.german, TUESDAY)
            await shown(world)
        done.set()

    await asyncio.gather(watch(), replace())
    assert any(low != high for _, low, high in seen)


async def test_writes_no_more_than_a_piece_in_one_transaction(world: World):
    for minutes in (1, 2):
        await put(world, evses(range(300), minutes))
        largest = "select max(n) from (select count(*) as n from evse group by xmin) as written"
        assert (await world.database.fetch(largest))[0][0] <= 20
        logged = "select max(n) from (select count(*) as n from change where kind = 'EVSE' group by transaction) as l"
        assert (await world.database.fetch(logged))[0][0] <= 20


async def test_logs_each_change_once_and_none_before_it_is_shown(world: World):
    await put(world, evses(range(60), 1))
    rows = await world.database.fetch("select entity_id from change where kind = 'EVSE'")
    assert sorted(row[0] for row in rows) == sorted(await evse_ids(world.database))
    mixed = [*evses(range(20), 1), *evses(range(20, 40), 2), *evses(range(60, 80), 2)]
    assert await put(world, mixed, TUESDAY) == (40, 20, 20)
    rows = await world.database.fetch("select entity_id from change where kind = 'EVSE' order by transaction, id")
    assert sorted(row[0] for row in rows[60:]) == sorted(f"DE8ACE{n}" for n in range(20, 80))


async def test_keeps_the_times_of_what_stays_as_it_is(world: World):
    await put(world, evses(range(20), 1))
    await put(world, [*evses(range(10), 1), *evses(range(10, 20), 2)], TUESDAY)
    rows = await world.database.fetch("select location_id, updated_at from evse order by evse_id")
    assert {row["updated_at"] == MONDAY for row in rows if int(row["location_id"][1:]) < 5} == {True}
    assert {row["updated_at"] == TUESDAY for row in rows if int(row["location_id"][1:]) >= 5} == {True}
    rows = await world.database.fetch("select updated_at from location")
    assert {row["updated_at"] for row in rows} == {MONDAY}


async def test_shows_of_each_location_the_newest_words_whatever_stays_beside_them(world: World):
    def named(*names: str) -> list[ChargePoint]:
        """Give 30 locations with as many EVSEs each as there are names."""
        return [
            charge_point(f"DE8ACE{n}X{m}", location_id=f"L{n}", location_name=name)
            for n in range(30)
            for m, name in enumerate(names)
        ]

    days = (MONDAY + timedelta(days=day) for day in count())
    shown_names: list[set[str]] = []
    for names in (("a", "b"), ("a", "c"), ("a", "c", "d"), ("a",), ("e", "f", "g"), ("a", "f")):
        await put(world, named(*names), next(days))
        shown_names.append({row[0] for row in await world.database.fetch("select location_name from location")})
        assert await is_clean(world)
    assert shown_names == [{"a"}, {"c"}, {"d"}, {"a"}, {"e"}, {"a"}]


async def test_clears_away_what_a_process_wrote_that_died_before_it_was_in_force(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await put(world, evses(range(40), 1))

    async def die(*_: Any) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(charge_point_lists, "note_in_force", die)
        with pytest.raises(Death):
            await put(world, evses(range(20, 80), 2))
    assert (await world.database.fetch("select count(*) from evse"))[0][0] == 100
    assert await shown(world) == (40, 1, 1)
    await settle_all(world.database)
    assert await shown(world) == (40, 1, 1)
    assert await is_clean(world)


@pytest.mark.parametrize("by", ["rounds", "update", "removal", "list"])
async def test_settles_a_list_whose_process_died_when_it_was_in_force(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str
):
    await put(world, evses(range(40), 1))
    settle, calls = charge_point_lists.settle, iter(range(9))

    async def die_the_second_time(*args: Any) -> None:
        if next(calls):
            raise Death
        await settle(*args)

    with monkeypatch.context() as patch:
        patch.setattr(charge_point_lists, "settle", die_the_second_time)
        with pytest.raises(Death):
            await put(world, evses(range(20, 80), 2))
    assert (await world.database.fetch("select count(*) from evse"))[0][0] == 100
    assert await shown(world) == (60, 2, 2)
    one = list(evses(range(79, 80), 3))
    if by == "rounds":
        await settle_all(world.database)
        assert await shown(world) == (60, 2, 2)
    elif by == "update":
        assert (await update_charge_points(world.database, list(one), world.german, TUESDAY)).accepted == 1
        assert await shown(world) == (60, 2, 3)
    elif by == "removal":
        assert (await remove_charge_points(world.database, ["DE8ACE79"], world.german, TUESDAY)).removed == 1
        assert await shown(world) == (59, 2, 2)
    else:
        assert await put(world, one, TUESDAY) == (1, 0, 59)
    await settle_all(world.database)
    assert await is_clean(world)


async def test_lets_writers_wait_for_a_list_without_a_connection(world: World):
    async with holding(world.database, OPERATOR, world.german.operator_no or 0, None):
        waiting = [
            asyncio.create_task(
                update_charge_points(world.database, list(evses(range(n, n + 1), 1)), world.german, MONDAY)
            )
            for n in range(20)
        ]
        french: list[Read] = [charge_point("FRA23E1")]
        assert (await update_charge_points(world.database, french, world.french, MONDAY)).accepted == 1
        assert not any(each.done() for each in waiting)
    assert [report.accepted for report in await asyncio.gather(*waiting)] == [1] * 20


async def test_gives_up_on_an_operator_that_stays_busy(world: World):
    number = world.german.operator_no or 0
    async with holding(world.database, OPERATOR, number, None):
        with pytest.raises(Busy):
            async with operator_locks.holding(world.database, OPERATOR, number, None, patience_s=0.0):
                pass
