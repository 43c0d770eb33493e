"""Whole lists, merged in one transaction: nothing lost or half shown when a process dies, and no other client waits."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from threading import get_ident
from typing import Any

import asyncpg
import pytest

from app.db.engine import Connection, Database, Session
from app.db.lending import Unavailable
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.charge_points.lists import set_charge_points
from app.ingest.charge_points.rows import content_of, hash_of
from app.ingest.charge_points.tables import lock_statuses
from app.ingest.parking.lists import set_parking_spots
from app.ingest.status.updates import update_status
from app.main import LISTS
from app.records.charge_point import EvseParkingSpot, Read
from app.records.status import EvseStatus
from app.uploads import list_parts, whole_list
from app.uploads.items import Report
from app.uploads.list_parts import ListIncomplete, Part, forget_lists
from app.uploads.whole_list import Listed, ListKind
from app.vocabulary import MajorStatus, Role
from tests.ingest.parking_world import make_pso, spot, spot_contradictions
from tests.ingest.world import MONDAY, TUESDAY, World, charge_point, contradictions, evse_ids, make_world

DIED = (Unavailable, asyncpg.AdminShutdownError, asyncpg.InterfaceError, ConnectionError)


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


def evses(*numbers: int, minutes: int = 1, **more: Any) -> list[Read]:
    return [
        charge_point(
            f"DE8ACE{n}",
            location_id=f"L{n // 2}",
            max_reservation_minutes=minutes,
            parking_spots=(EvseParkingSpot(parking_id=f"DEPRKP{n // 3}"),),
            **more,
        )
        for n in numbers
    ]


async def send(world: World, items: list[Read], part: Part | None = None, now: Any = MONDAY) -> Report:
    return await set_charge_points(world.database, items, world.german, part, True, now)


async def is_sound(world: World) -> bool:
    return not await contradictions(world.database) and not await spot_contradictions(world.database)


async def test_takes_three_write_transactions_at_most(world: World, monkeypatch: pytest.MonkeyPatch):
    counted: list[str] = []
    mine = get_ident()

    def counting(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def count(*args: Any, **more: Any) -> Any:
            if get_ident() == mine:  # the hub that other tests share writes too, in a thread of its own
                counted.append(method.__qualname__)
            return await method(*args, **more)

        return count

    monkeypatch.setattr(Session, "write", counting(Session.write))
    monkeypatch.setattr(Database, "write", counting(Database.write))
    for part in (None, Part("a", 1, True)):
        counted.clear()
        await send(world, evses(1), part)
        assert 0 < len(counted) <= 3, counted


async def die(connection: Connection, *_: Any) -> Any:
    """End the server's process of this connection, as a crash does."""
    await connection.execute("set local role none; select pg_terminate_backend(pg_backend_pid())")


async def test_keeps_acknowledged_parts_when_a_process_dies_in_a_later_one(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await send(world, evses(1, 2), Part("a", 1, False))
    with monkeypatch.context() as patch:
        patch.setattr(list_parts, "_copy", die)
        with pytest.raises(DIED):
            await send(world, evses(3), Part("a", 2, True))
    assert await evse_ids(world.database) == []
    assert (await send(world, evses(3), Part("a", 2, True))).accepted == 3
    kept = "select relname from pg_class where relname = any($1) and relpersistence <> 'p'"
    assert await world.database.fetch(kept, ["upload_list", "list_part", "listed_evse", "listed_parking_spot"]) == []


@pytest.mark.parametrize("step", ["write", "finish"])
async def test_shows_nothing_of_a_merge_that_died(world: World, monkeypatch: pytest.MonkeyPatch, step: str):
    await send(world, evses(1, 2, 3, 4))
    before = await everything(world)
    deadly: ListKind = replace(charge_point_lists.CHARGE_POINT_LIST, **{step: die})
    with monkeypatch.context() as patch:
        patch.setattr(charge_point_lists, "CHARGE_POINT_LIST", deadly)
        with pytest.raises(DIED):
            await send(world, evses(3, 4, 5, minutes=2), Part("a", 1, True), TUESDAY)
    assert await everything(world) == before
    report = await send(world, evses(3, 4, 5, minutes=2), Part("a", 1, True), TUESDAY)
    assert (report.accepted, report.removed) == (3, 2)
    assert await is_sound(world)


async def everything(world: World) -> list[Any]:
    queries = (
        "select * from evse order by 1",
        "select * from location order by 1, 2",
        "select * from change order by 1, 2",
    )
    return [[tuple(row) for row in await world.database.fetch(query)] for query in queries]


LATE = MONDAY + timedelta(hours=25)


async def test_changes_nothing_when_a_list_expires_before_its_merge(world: World, monkeypatch: pytest.MonkeyPatch):
    await send(world, evses(1, 2, 3, 4))
    merge = whole_list.merge

    async def late(*args: Any) -> Any:
        await forget_lists(world.database, LISTS, LATE)
        return await merge(*args)

    await send(world, evses(1, 2), Part("a", 1, False))
    with monkeypatch.context() as patch:
        patch.setattr(whole_list, "merge", late)
        with pytest.raises(ListIncomplete, match="expired"):
            await send(world, evses(5), Part("a", 2, True))
    assert await evse_ids(world.database) == [f"DE8ACE{n}" for n in (1, 2, 3, 4)]
    await send(world, evses(1, 2), Part("a", 1, False))
    assert (await send(world, evses(5), Part("a", 2, True))).removed == 2


@pytest.mark.parametrize("step", ["write", "finish"])
async def test_lets_no_list_expire_that_is_being_merged(world: World, monkeypatch: pytest.MonkeyPatch, step: str):
    await send(world, evses(1, 2, 3, 4))
    kind = charge_point_lists.CHARGE_POINT_LIST

    async def late(*args: Any) -> None:
        await forget_lists(world.database, LISTS, LATE)
        await getattr(kind, step)(*args)

    monkeypatch.setattr(charge_point_lists, "CHARGE_POINT_LIST", replace(kind, **{step: late}))
    await send(world, evses(1, 2, minutes=2), Part("a", 1, False))
    report = await send(world, evses(5), Part("a", 2, True))
    assert (report.accepted, report.removed) == (3, 2)
    assert await evse_ids(world.database) == [f"DE8ACE{n}" for n in (1, 2, 5)]
    assert await send(world, evses(5), Part("a", 2, True)) == report


async def test_stages_a_part_again_that_comes_while_its_list_expires(world: World, monkeypatch: pytest.MonkeyPatch):
    """The housekeeping of one process stops after the first part, and another one takes the same part once more."""
    for number in (1, 2):
        await send(world, evses(number), Part("a", number, False))
    write = Session.write

    async def write_once(self: Session, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        await write(self, work)
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(Session, "write", write_once)
        with pytest.raises(ConnectionError):
            await forget_lists(world.database, LISTS, LATE)
    await send(world, evses(1), Part("a", 1, False))
    assert (await send(world, evses(3), Part("a", 3, True))).accepted == 3
    assert await evse_ids(world.database) == [f"DE8ACE{n}" for n in (1, 2, 3)]


async def time_out(connection: Connection, *_: Any) -> None:
    await connection.execute("set local statement_timeout = 1")
    await connection.execute("select pg_sleep(60)")


async def deadlock(*_: Any) -> None:
    raise asyncpg.DeadlockDetectedError


async def cancel(connection: Connection, *_: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await connection.execute("select pg_sleep(60)")


@pytest.mark.parametrize("fail", [time_out, deadlock, cancel])
async def test_leaves_nothing_of_a_list_in_one_request_that_fails(
    world: World, monkeypatch: pytest.MonkeyPatch, fail: Callable[..., Awaitable[None]]
):
    kind = replace(charge_point_lists.CHARGE_POINT_LIST, finish=fail)
    monkeypatch.setattr(charge_point_lists, "CHARGE_POINT_LIST", kind)
    with pytest.raises((asyncpg.PostgresError, asyncio.CancelledError)):
        await asyncio.create_task(send(world, evses(1, 2)))
    assert await world.database.fetch("select list_id from upload_list") == []
    assert await world.database.fetch("select part_no from listed_evse") == []


async def test_keeps_the_parts_of_a_named_list_that_fails(world: World, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        kind = replace(charge_point_lists.CHARGE_POINT_LIST, finish=time_out)
        patch.setattr(charge_point_lists, "CHARGE_POINT_LIST", kind)
        with pytest.raises(asyncpg.QueryCanceledError):
            await send(world, evses(1, 2), Part("a", 1, True))
    assert (await world.database.fetch("select count(*) from listed_evse"))[0][0] == 2


async def test_forgets_after_an_hour_what_a_dead_process_left_of_a_list_in_one_request(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await send(world, evses(1, 2), Part("whole", 1, False))
    with monkeypatch.context() as patch:
        kind = replace(charge_point_lists.CHARGE_POINT_LIST, finish=die)
        patch.setattr(charge_point_lists, "CHARGE_POINT_LIST", kind)
        with pytest.raises(DIED):
            await send(world, evses(3, 4, 5))
    for hours, items in ((0.9, 5), (1.1, 2), (25, 0)):
        await forget_lists(world.database, LISTS, MONDAY + timedelta(hours=hours))
        assert (await world.database.fetch("select count(*) from listed_evse"))[0][0] == items


async def test_lets_live_status_of_the_same_evses_through(world: World, monkeypatch: pytest.MonkeyPatch):
    assert not await status_waits(world, monkeypatch, charge_point_lists.CHARGE_POINT_LIST)


async def test_would_notice_a_status_that_waits(world: World, monkeypatch: pytest.MonkeyPatch):
    """The broken twin: live status is locked before anything is written."""

    async def lock_all(connection: Connection, _: Listed) -> None:
        await connection.execute(lock_statuses("select id from list_chosen"))

    kind = replace(charge_point_lists.CHARGE_POINT_LIST, prepare=lock_all)
    assert await status_waits(world, monkeypatch, kind)


async def status_waits(world: World, monkeypatch: pytest.MonkeyPatch, kind: ListKind) -> bool:
    """Stop a merge before its last step, set the status of one of its EVSEs, and return whether that waits."""
    await send(world, evses(1, 2, 3, 4))
    stopped, goes_on = asyncio.Event(), asyncio.Event()

    async def finish(connection: Connection, listed: Listed) -> None:
        stopped.set()
        await goes_on.wait()
        await kind.finish(connection, listed)

    monkeypatch.setattr(charge_point_lists, "CHARGE_POINT_LIST", replace(kind, finish=finish))
    merging = asyncio.create_task(send(world, evses(1, 2, 3, 4, minutes=2), now=TUESDAY))
    await stopped.wait()
    word = EvseStatus("DE8ACE1", MajorStatus.AVAILABLE, None, None, TUESDAY)
    args = ([word], [], world.german, Role.EVSE_OPERATOR, TUESDAY, timedelta(days=1))
    saying = asyncio.create_task(update_status(world.database, *args))
    waits = False
    while not saying.done() and not waits:
        rows = await world.database.fetch(
            "select from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"
        )
        waits = bool(rows)
    goes_on.set()
    assert (await saying).accepted == 1
    assert (await merging).accepted == 4
    return waits


async def test_holds_nothing_of_a_list_in_memory_but_counts(world: World, monkeypatch: pytest.MonkeyPatch):
    """Ten thousand ids alone would take more than half a megabyte."""
    pso, merge, peaks = await make_pso(world.database), whole_list.merge, list[int]()

    async def measured(*args: Any) -> Any:
        tracemalloc.start()
        try:
            return await merge(*args)
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    monkeypatch.setattr(whole_list, "merge", measured)
    for word in ("1", "2"):
        for number in (1, 2):
            items = [spot(f"DEPRKP{n}", number=word) for n in range(number - 1, 10_000, 2)]
            part = Part(f"list {word}", number, number == 2)
            report = await set_parking_spots(world.database, items, pso, part, True, MONDAY)
        assert report.accepted == 10_000
    assert max(peaks) < 500_000


@pytest.mark.parametrize("default", [None, False, 0, [], (), "[]"])
def test_leaves_what_is_absent_or_default_out_of_the_hash(default: Any):
    """So a release that adds an optional field leaves every record unchanged."""
    content = content_of(charge_point("DE8ACE1"), None)
    assert hash_of({**content, "added_by_a_release": default}) == hash_of(content)
    assert hash_of({**content, "added_by_a_release": "said"}) != hash_of(content)
    assert hash_of({**content, "guaranteed_power_kw": 0.0}) != hash_of(content)
