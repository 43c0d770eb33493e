"""What becomes known of sessions, how they end, and what contradicts them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.requests import request_authorisation
from app.exchange.sessions import commands
from app.exchange.sessions.commands import INSTANTS, Known, end_session, expire_sessions, update_session
from app.exchange.workflow import find_tampered
from app.ingest.charge_points.updates import remove_charge_points
from app.ingest.status.expiry import sweep
from app.ingest.status.updates import update_status
from app.live.log.rows import read_position
from app.records.status import EvseStatus
from app.records.token import Token
from app.vocabulary import LogKind, MajorStatus, Role, SessionEnd, TokenType
from tests.exchange.authorisation.world import World, item, make_world, owner_of
from tests.exchange.world import Member, add_evse, held_back, look, owner, refused, utc_now
from tests.live.log_world import ids, read_since
from tests.waiting import until_locked_out

EVSE = "DE8ACE1"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def world(database: Database) -> World:
    world = await make_world(database)
    for number in (1, 2):
        await add_evse(database, "DE8AC", number)
    await add_evse(database, "DE8AD", 1)
    await world.update(item("01"))
    return world


async def begin(world: World, evse_id: str | None = EVSE, now: datetime | None = None) -> UUID:
    token = Token(instance="01", type=TokenType.RFID)
    answer_id = await request_authorisation(
        world.database, world.operator.caller, token, evse_id, None, now or utc_now()
    )
    [row] = await look(world.database, "select session_id from authorisation_answer where id = $1", answer_id)
    assert row["session_id"] is not None
    return row["session_id"]


async def session_of(world: World, session_id: UUID) -> dict[str, Any]:
    [row] = await look(world.database, "select * from session where id = $1", session_id)
    return dict(row)


async def update(world: World, session_id: UUID, by: Member | None = None, **known: Any) -> UUID:
    caller = (by or world.operator).caller
    return await update_session(world.database, caller, session_id, Known(**known), utc_now())


async def end(world: World, session_id: UUID, how: str = "AUTHORISED_STOP", at: datetime | None = None) -> UUID:
    return await end_session(world.database, world.operator.caller, session_id, SessionEnd(how), at, utc_now())


async def contradictions(world: World, *session_ids: UUID) -> list[list[str]]:
    return [(await session_of(world, each))["contradictions"] for each in session_ids]


async def say(world: World, status: str, evse_id: str = EVSE, ttl: datetime | None = None) -> None:
    now = utc_now()
    said = EvseStatus(evse_id, MajorStatus(status), None, ttl, now)
    sender = owner_of(world.operator)
    report = await update_status(world.database, [said], [], sender, Role.EVSE_OPERATOR, now, timedelta(hours=1))
    assert report.refused_items == 0


async def test_know_more_in_any_order_of_arrival(world: World):
    session_id = await begin(world)
    plugged = utc_now() - timedelta(hours=1)
    await update(world, session_id, energy_ended_at=plugged + timedelta(minutes=40), energy_kwh=Decimal("7.50"))
    await update(world, session_id, connected_at=plugged)
    await update(world, session_id, energy_started_at=plugged + timedelta(minutes=1))
    row = await session_of(world, session_id)
    assert (row["connected_at"], row["energy_kwh"], row["disconnected_at"]) == (plugged, Decimal("7.50"), None)
    history = await look(world.database, "select command from workflow_history where subject = 'session' order by no")
    assert [each["command"] for each in history] == ["begin", "update", "update", "update"]


async def test_write_nothing_personal_into_the_history(world: World):
    await world.update(item("02", contract="DE8AAC00000002"))
    now = utc_now()
    for instance in ("01", "02"):
        token = Token(instance=instance, type=TokenType.RFID)
        await request_authorisation(world.database, world.operator.caller, token, None, None, now)
    rows = await look(world.database, "select content_hash from workflow_history where subject = 'session'")
    assert [each["content_hash"] for each in rows] == [rows[0]["content_hash"]] * 2


async def test_write_nothing_for_what_is_known(world: World):
    session_id = await begin(world)
    at = utc_now()
    for _ in range(2):
        await update(world, session_id, connected_at=at)
    assert len(await look(world.database, "select from workflow_history where subject = 'session'")) == 2


async def test_log_each_change_once(world: World):
    session_id = await begin(world)
    start = await read_position(world.database)
    await update(world, session_id, connected_at=utc_now(), energy_kwh=Decimal(3))
    await end(world, session_id, at=utc_now())
    rows = [row for row in await read_since(world.database, start) if row.kind == LogKind.SESSION]
    assert ids(rows) == [str(session_id)] * 2


@pytest.mark.parametrize("first", INSTANTS)
async def test_refuse_instants_in_another_order(world: World, first: str):
    session_id = await begin(world)
    at = utc_now() - timedelta(hours=1)
    names = list(INSTANTS)
    await update(world, session_id, None, **{first: at})
    for later in names[names.index(first) + 1 :]:
        code, message = await refused(update(world, session_id, None, **{later: at - timedelta(seconds=1)}))
        assert code == "BAD_INPUT"
        assert INSTANTS[first] in message
        assert INSTANTS[later] in message


@pytest.mark.parametrize(
    "known",
    [
        {"connected_at": datetime(1999, 1, 1, tzinfo=UTC)},
        {"disconnected_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"energy_kwh": Decimal(-1)},
        {"energy_kwh": Decimal("NaN")},
        {"energy_kwh": Decimal(10**7)},
        {"energy_kwh": Decimal("0.0000001")},
        {"evse_id": "DE8ADE1"},
        {"evse_id": "DE8ACE99"},
        {"evse_id": "DE8ACE2"},
    ],
)
async def test_refuse_what_cannot_be(world: World, known: Mapping[str, Any]):
    session_id = await begin(world)
    before = await session_of(world, session_id)
    code, _ = await refused(update(world, session_id, **known))
    assert code == "BAD_INPUT"
    assert await session_of(world, session_id) == before


async def test_name_an_evse_once(world: World):
    session_id = await begin(world, None)
    await update(world, session_id, evse_id=EVSE)
    await update(world, session_id, evse_id=EVSE)
    assert (await session_of(world, session_id))["evse_id"] == EVSE


async def test_are_their_operators_alone(world: World):
    session_id = await begin(world)
    now = utc_now()
    for member in (world.provider, world.stranger):
        theirs = await refused(update(world, session_id, member, connected_at=now))
        none = await refused(update(world, uuid4(), member, connected_at=now))
        assert theirs[0] == none[0] == "NOT_FOUND"
        ending = end_session(world.database, member.caller, session_id, SessionEnd.AUTHORISED_STOP, now, now)
        assert (await refused(ending))[0] == "NOT_FOUND"


async def test_end_once(world: World):
    session_id = await begin(world)
    at = utc_now()
    await end(world, session_id, "FORCED_DISCONNECT", at)
    await end(world, session_id, "FORCED_DISCONNECT", at)
    await end(world, session_id, "FORCED_DISCONNECT")
    row = await session_of(world, session_id)
    assert (row["status"], row["ended_by"], row["ended_at"]) == ("ENDED", "FORCED_DISCONNECT", at)
    assert (await refused(end(world, session_id)))[0] == "NOT_POSSIBLE"
    assert (await refused(end(world, session_id, "FORCED_DISCONNECT", at + timedelta(seconds=1))))[0] == "NOT_POSSIBLE"
    await update(world, session_id, energy_kwh=Decimal(5))
    assert (await session_of(world, session_id))["energy_kwh"] == 5


async def test_refuse_an_end_that_cannot_be(world: World):
    session_id = await begin(world)
    assert (await refused(end(world, session_id, "EXPIRED")))[0] == "BAD_INPUT"
    assert (await refused(end(world, session_id, at=utc_now() - timedelta(days=1))))[0] == "BAD_INPUT"
    assert (await session_of(world, session_id))["status"] == "ACTIVE"


async def test_end_when_they_began_if_clocks_differ(world: World):
    ahead = utc_now() + timedelta(minutes=3)
    session_id = await begin(world, now=ahead)
    await end(world, session_id)
    assert (await session_of(world, session_id))["ended_at"] == ahead


async def test_expire_and_may_still_be_ended_in_truth(world: World):
    ids = [await begin(world), await begin(world, None)]
    assert await expire_sessions(world.database, utc_now(), timedelta(hours=1)) == 0
    assert await expire_sessions(world.database, utc_now() + timedelta(hours=2), timedelta(hours=1)) == 2
    assert {(await session_of(world, each))["ended_by"] for each in ids} == {"EXPIRED"}
    assert await contradictions(world, *ids) == [[], []]
    await end(world, ids[0], at=utc_now())
    row = await session_of(world, ids[0])
    assert (row["status"], row["ended_by"]) == ("ENDED", "AUTHORISED_STOP")
    assert await find_tampered(world.database, CONSOLE) == ()


async def test_are_contradicted_by_a_free_evse_whatever_came_first(world: World):
    await say(world, "AVAILABLE")
    session_id = await begin(world)
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]
    await say(world, "NOT_AVAILABLE")
    assert await contradictions(world, session_id) == [[]]
    await say(world, "AVAILABLE")
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]
    await end(world, session_id)
    assert await contradictions(world, session_id) == [[]]


async def test_are_contradicted_by_a_free_evse_until_that_expires(world: World):
    """By the clock of the hub: the database's may be another."""
    await say(world, "AVAILABLE", ttl=utc_now() + timedelta(minutes=1))
    session_id = await begin(world)
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]
    await sweep(world.database, utc_now() + timedelta(minutes=2))
    assert await contradictions(world, session_id) == [[]]
    await say(world, "AVAILABLE")
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]


async def test_lose_and_find_their_evse(world: World):
    await say(world, "AVAILABLE")
    session_id = await begin(world)
    await remove_charge_points(world.database, [EVSE], owner_of(world.operator), now=utc_now())
    assert await contradictions(world, session_id) == [[]]
    await add_evse(world.database, "DE8AC", 1)
    await say(world, "AVAILABLE")
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]


async def test_mark_the_evses_where_they_are_active(world: World):
    marked = "select has_session from evse_status where evse_id = $1"
    first, second, third = await begin(world), await begin(world), await begin(world, None)
    await end(world, third)
    await update(world, third, evse_id="DE8ACE2")
    seen = []
    for step in (lambda: end(world, first), lambda: end(world, second)):
        await step()
        seen += [row["has_session"] for row in await look(world.database, marked, EVSE)]
    assert seen == [True, False]
    assert [row["has_session"] for row in await look(world.database, marked, "DE8ACE2")] == [False]


async def test_contradict_each_other_on_one_evse(world: World):
    first, second = await begin(world), await begin(world, None)
    assert await contradictions(world, first, second) == [[], []]
    await update(world, second, evse_id=EVSE)
    assert await contradictions(world, first, second) == [["SEVERAL_SESSIONS"]] * 2
    await end(world, first)
    assert await contradictions(world, first, second) == [[], []]


async def test_miss_no_contradiction_of_what_comes_at_the_same_time(world: World):
    for _ in range(10):
        await say(world, "NOT_AVAILABLE")
        session_id, _ = await asyncio.gather(begin(world), say(world, "AVAILABLE"))
        assert "EVSE_AVAILABLE" in (await contradictions(world, session_id))[0]
        await end(world, session_id)


FREE = f"""
update evse_status set major = 'AVAILABLE', at = now(), updated_at = now(), expires_at = now() + interval '1 hour',
    due = now() + interval '1 hour'
where evse_id = '{EVSE}'
"""


async def test_begin_after_a_status_that_is_being_written(world: World, database_url: str):
    [session_id] = await held_back(database_url, FREE, [begin(world)])
    assert await contradictions(world, session_id) == [["EVSE_AVAILABLE"]]


async def test_would_miss_that_status_without_its_lock(world: World, database_url: str, monkeypatch):
    """The broken twin of the test above."""

    async def lock_nothing(_connection: object, _evse_id: str | None) -> None: ...

    monkeypatch.setattr(commands, "_lock_place", lock_nothing)
    [session_id] = await held_back(database_url, FREE, [begin(world)])
    assert await contradictions(world, session_id) == [[]]


async def test_wait_for_another_session_before_they_hold_a_chain(world: World, database_url: str):
    """A transaction that updates the other session needs the chain next: neither would end."""
    first, second = await begin(world), await begin(world)
    async with (
        owner(database_url) as holder,
        owner(database_url) as watcher,
        asyncio.TaskGroup() as group,
        holder.transaction(),
    ):
        await holder.execute("update session set energy_kwh = 1 where id = $1", first)
        group.create_task(end(world, second))
        await until_locked_out(watcher, 1)
        await holder.execute("select from workflow_chain for update nowait")
    assert await contradictions(world, first, second) == [[], []]


async def test_end_where_their_evse_was_named_meanwhile(world: World, database_url: str):
    """The end locks the status of the EVSE that the session has by then, and frees the other session there."""
    first, second = await begin(world), await begin(world, None)
    naming = f"update session set evse_id = '{EVSE}' where id = '{second}'"
    await held_back(database_url, naming, [end(world, second)])
    assert await contradictions(world, first, second) == [[], []]
    assert (await session_of(world, second))["status"] == "ENDED"


async def test_do_not_expire_where_their_evse_is_being_named(world: World, database_url: str):
    session_id = await begin(world, None)
    naming = f"update session set evse_id = '{EVSE}' where id = '{session_id}'"
    late = utc_now() + timedelta(hours=2)
    assert await held_back(database_url, naming, [expire_sessions(world.database, late, timedelta(hours=1))]) == [0]
    assert await expire_sessions(world.database, late, timedelta(hours=1)) == 1


async def test_end_and_expire_at_the_same_time(world: World):
    """Whichever comes first, the session ends as its operator reports."""
    late = utc_now() + timedelta(hours=2)
    ids = [await begin(world, each) for each in (EVSE, EVSE, "DE8ACE2", None)]
    expiring = [expire_sessions(world.database, late, timedelta(hours=1)) for _ in range(2)]
    await asyncio.gather(*expiring, *(end(world, each) for each in ids))
    rows = [await session_of(world, each) for each in ids]
    assert [(row["status"], row["ended_by"], row["contradictions"]) for row in rows] == [
        ("ENDED", "AUTHORISED_STOP", [])
    ] * 4
    assert await find_tampered(world.database, CONSOLE) == ()
