"""Big lists of parking spots: many short transactions, one instant for readers, whatever operators link meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database, Session
from app.ingest.charge_points.updates import remove_charge_points, update_charge_points
from app.ingest.parking import lists as parking_spot_lists
from app.ingest.parking.lists import set_parking_spots
from app.ingest.parking.updates import remove_parking_spots, update_parking_spots
from app.ingest.spot_versions import settle_all
from app.records.charge_point import ChargePoint, EvseParkingSpot
from app.records.parking_spot import ParkingSpot
from app.uploads import batch_sizes as pace
from app.uploads.items import Owner
from tests.ingest.parking_world import make_pso, spot, spot_contradictions
from tests.ingest.world import LYON, MONDAY, ULM, World, charge_point, make_world

#: What everybody is shown who may see all: how many, and which words.
SHOWN = "select count(*), min(number), max(number) from parking_spot"


class Death(Exception):
    """The process dies here."""


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


@pytest.fixture
async def pso(database: Database) -> Owner:
    return await make_pso(database)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking_spot_lists, "AT_ONCE", 0)
    monkeypatch.setattr(pace, "MOST", 20)


def spots(numbers: range, word: str) -> list[ParkingSpot]:
    return [spot(f"DEPRKP{n}", number=word) for n in numbers]


def linked(evse_id: str, *parking_ids: str, **more: Any) -> ChargePoint:
    return charge_point(evse_id, parking_spots=tuple(EvseParkingSpot(parking_id=id_) for id_ in parking_ids), **more)


async def put(world: World, pso: Owner, items: list[ParkingSpot]) -> tuple[int, int, int]:
    report = await set_parking_spots(world.database, items, pso, None, True, MONDAY)
    return report.accepted, report.unchanged, report.removed


async def shown(world: World) -> tuple[Any, ...]:
    return tuple((await world.database.fetch(SHOWN))[0])


async def leftovers(world: World) -> list[Any]:
    """Give what no list, spot or reader has any use for."""
    rows = await world.database.fetch(
        """
        select 'list', no::text from spot_list
        union all select 'ending', parking_id from parking_spot_version where until_no is not null
        union all select 'double', parking_id from parking_spot_version group by 2 having count(*) > 1
        union all select 'without a spot', parking_id from parking_status
        where parking_id not in (select parking_id from parking_spot)
        """
    )
    return [tuple(row) for row in rows] + await spot_contradictions(world.database)


async def test_shows_readers_the_old_list_or_the_new_one(world: World, pso: Owner):
    await put(world, pso, spots(range(200), "old"))
    seen = await seen_during(world, lambda: put(world, pso, spots(range(100, 250), "new")))
    assert seen <= {(200, "old", "old"), (150, "new", "new")}
    assert await shown(world) == (150, "new", "new")
    assert await leftovers(world) == []


async def test_shows_readers_pieces_when_the_list_is_no_list(world: World, pso: Owner):
    """The broken twin: what the way ahead is for."""
    await put(world, pso, spots(range(200), "old"))

    async def replace() -> None:
        for n in range(0, 200, 10):
            await update_parking_spots(world.database, list(spots(range(n, n + 10), "new")), pso, MONDAY)
            await asyncio.sleep(0.01)

    assert (200, "new", "old") in await seen_during(world, replace)


async def seen_during(world: World, work: Callable[[], Awaitable[Any]]) -> set[tuple[Any, ...]]:
    seen: set[tuple[Any, ...]] = set()
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            seen.add(await shown(world))

    async def replace() -> None:
        await work()
        done.set()

    await asyncio.gather(watch(), replace())
    return seen


async def test_writes_no_more_than_a_piece_in_one_transaction(world: World, pso: Owner):
    for word in ("old", "new"):
        await put(world, pso, spots(range(300), word))
        largest = "select max(n) from (select count(*) as n from parking_spot_version group by xmin) as written"
        assert (await world.database.fetch(largest))[0][0] <= 20
        logged = "select max(n) from (select count(*) as n from change group by transaction) as logged"
        assert (await world.database.fetch(logged))[0][0] <= 20


async def test_logs_each_change_once_and_none_before_it_is_shown(
    world: World, pso: Owner, monkeypatch: pytest.MonkeyPatch
):
    told = "select entity_id, existed from change where kind = 'PARKING_SPOT' order by transaction, id"
    await put(world, pso, spots(range(60), "old"))
    rows = await world.database.fetch(told)
    assert sorted(map(tuple, rows)) == sorted((f"DEPRKP{n}", False) for n in range(60))
    early: list[Any] = []
    flip = parking_spot_lists.flip

    async def look_and_flip(*args: Any) -> None:
        early.extend((await world.database.fetch(told))[60:])
        await flip(*args)

    monkeypatch.setattr(parking_spot_lists, "flip", look_and_flip)
    mixed = [*spots(range(20), "old"), *spots(range(20, 40), "new"), *spots(range(60, 80), "new")]
    assert await put(world, pso, mixed) == (40, 20, 20)
    assert early == []
    rows = (await world.database.fetch(told))[60:]
    assert sorted(map(tuple, rows)) == sorted((f"DEPRKP{n}", n < 60) for n in range(20, 80))


async def test_leaves_nothing_of_a_list_whose_process_died_before_it_was_in_force(
    world: World, pso: Owner, monkeypatch: pytest.MonkeyPatch
):
    await put(world, pso, spots(range(40), "old"))
    await die_at(world, pso, monkeypatch, "note_in_force")
    assert (await world.database.fetch("select count(*) from parking_spot_version"))[0][0] == 100
    assert await shown(world) == (40, "old", "old")
    link = [linked("DE8ACE1", "DEPRKP0", "DEPRKP30", "DEPRKP70", "DEPRKP90")]
    await update_charge_points(world.database, list(link), world.german, MONDAY)
    assert await spot_contradictions(world.database) == []
    await settle_all(world.database)
    assert await shown(world) == (42, "old", "old")
    assert await leftovers(world) == []


@pytest.mark.parametrize("by", ["rounds", "update", "removal", "return", "link", "list"])
async def test_settles_a_list_whose_process_died_when_it_was_in_force(
    world: World, pso: Owner, monkeypatch: pytest.MonkeyPatch, by: str
):
    await update_parking_spots(world.database, list(spots(range(40), "old")), pso, MONDAY)
    calls, settle = iter(range(9)), parking_spot_lists.settle

    async def die_the_second_time(*args: Any) -> None:
        if next(calls):
            raise Death
        await settle(*args)

    await die_at(world, pso, monkeypatch, "settle", die_the_second_time)
    assert (await world.database.fetch("select count(*) from parking_spot_version"))[0][0] == 100
    assert await shown(world) == (60, "new", "new")
    database, some = world.database, list(spots(range(79, 80), "newer"))
    if by == "update":
        assert (await update_parking_spots(database, list(some), pso, MONDAY)).accepted == 1
        assert await shown(world) == (60, "new", "newer")
    elif by == "removal":
        assert (await remove_parking_spots(database, ["DEPRKP79"], pso, MONDAY)).removed == 1
        assert await shown(world) == (59, "new", "new")
    elif by == "return":
        assert (await update_parking_spots(database, list(spots(range(5), "new")), pso, MONDAY)).accepted == 5
        assert await shown(world) == (65, "new", "new")
    elif by == "link":
        await update_charge_points(database, [linked("DE8ACE1", "DEPRKP1", "DEPRKP50")], world.german, MONDAY)
        assert await shown(world) == (61, "new", "new")
    elif by == "list":
        assert await put(world, pso, some) == (1, 0, 59)
    before = await shown(world)
    await settle_all(database)
    assert await shown(world) == before
    assert await leftovers(world) == []


async def die_at(world: World, pso: Owner, monkeypatch: pytest.MonkeyPatch, step: str, dying: Any = None) -> None:
    """Let a process die that puts a list of 60 in force where 40 stand."""

    async def die(*_: Any) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(parking_spot_lists, step, dying or die)
        with pytest.raises(Death):
            await put(world, pso, spots(range(20, 80), "new"))


IDS = [f"DEPRKP{n}" for n in range(6)]
SOME = st.lists(st.sampled_from(IDS), unique=True, max_size=3)
SAID = st.dictionaries(st.sampled_from(IDS), st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1)
LISTS = st.lists(st.tuples(st.booleans(), SAID), min_size=2, max_size=3)
LINKS = st.lists(st.tuples(st.integers(0, 2), st.none() | SOME), min_size=40, max_size=40)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists=LISTS, links=LINKS)
async def test_shows_whole_lists_to_all_whatever_operators_link_meanwhile(
    world: World,
    pso: Owner,
    lists: list[tuple[bool, dict[str, tuple[str, bool]]]],
    links: list[tuple[int, list[str] | None]],
):
    """After each transaction of a list an EVSE links other spots, or goes. Some lists are none, but updates."""
    database, acts = world.database, iter(links)
    reader = Reader(database)
    await reader.look_at_all()
    stages: list[dict[str, str]] = [await published(database)]

    async def act() -> None:
        for which, ids in acts:
            if ids is None:
                await remove_charge_points(database, [f"DE8ACE{which}"], world.german, MONDAY)
            else:
                at = {"location_id": f"L{which}", "position": ULM if which else LYON}
                await update_charge_points(database, [linked(f"DE8ACE{which}", *ids, **at)], world.german, MONDAY)
            break
        assert await spot_contradictions(database) == []
        assert await published(database) in stages[-2:]
        await reader.follow()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "MOST", 1)
        patch.setattr(pace, "LEAST", 1)
        patch.setattr(Session, "write", followed_by(act))
        for whole, said in lists:
            stages.append(({} if whole else stages[-1]) | {id_: word for id_, (word, _) in said.items()})
            items = [spot(id_, ULM_OR_NOWHERE[placed], number=word) for id_, (word, placed) in said.items()]
            if whole:
                await put(world, pso, items)
            else:
                await update_parking_spots(database, list(items), pso, MONDAY)
            assert await published(database) == stages[-1]
            stages = stages[-1:]
    assert await leftovers(world) == []
    await reader.follow()
    told = dict(reader.spots)
    await reader.look_at_all()
    assert told == reader.spots


ULM_OR_NOWHERE = {True: (ULM.longitude, ULM.latitude), False: None}


def followed_by(act: Callable[[], Awaitable[None]]) -> Any:
    """Let something else be written after each transaction of a session."""
    write = Session.write

    async def write_and_act(self: Session, work: Any) -> Any:
        result = await write(self, work)
        await act()
        return result

    return write_and_act


class Reader:
    """Follows the log, and looks again at the spots it names, as apps do."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.spots: dict[str, Any] = {}
        self.position = (0, 0)

    async def look_at_all(self) -> None:
        await self.follow()
        self.spots = await self._look("true")

    async def follow(self) -> None:
        rows = await self.database.fetch(
            "select transaction, id, entity_id from change where (transaction, id) > ($1, $2) order by 1, 2",
            *self.position,
        )
        named = [row["entity_id"] for row in rows]
        self.position = (rows[-1]["transaction"], rows[-1]["id"]) if rows else self.position
        there = await self._look("parking_id = any($1)", named)
        self.spots = {id_: each for id_, each in self.spots.items() if id_ not in named} | there

    async def _look(self, condition: str, *args: Any) -> dict[str, Any]:
        rows = await self.database.fetch(
            f"select parking_id, number, operator_nos, longitude, latitude from parking_spot where {condition}", *args
        )
        return {row["parking_id"]: tuple(row) for row in rows}


async def published(database: Database) -> dict[str, str]:
    rows = await database.fetch("select parking_id, number from parking_spot where content_hash is not null")
    return {row["parking_id"]: row["number"] for row in rows}
