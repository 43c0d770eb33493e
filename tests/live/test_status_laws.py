"""Rows, log and history are right, whatever is published and linked or expires, in any order and concurrently.

Readers compute what they see from rows; the rule in `app.combined_status` is the second opinion. The law of the
log: the status delivered last for an EVSE is that at its last log row; once the sweeper ran, it is the present one.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.combined_status import PAIRS, Shown
from app.db.engine import Database
from app.ingest.status.expiry import sweep
from tests.ingest.status_world import (
    StatusWorld,
    differing,
    evse,
    history,
    make_status_world,
    rows,
    shown_by_rule,
    spot,
)
from tests.length import rounds
from tests.waiting import until_locked_out

EVSES = ["DE8ACE1", "DE8ACE2", "DE8ACE3"]
SPOTS = ["DEPRKP1", "DEPRKP2"]

minutes = st.integers(1, 90)
ats = st.sampled_from([None, None, None, -0.5, -2, -70, -150, 4])
evse_words = st.tuples(st.just("evse"), st.sampled_from(EVSES), st.sampled_from(PAIRS), st.none() | minutes, ats)
spot_words = st.tuples(
    st.just("spot"), st.sampled_from(SPOTS), st.sampled_from(["AVAILABLE", "NOT_AVAILABLE", "UNKNOWN"]), minutes, ats
)
uploads = st.tuples(st.sampled_from(["german", "pso"]), st.lists(evse_words | spot_words, min_size=1, max_size=4))
links = st.tuples(st.just("link"), st.sampled_from(EVSES), st.sets(st.sampled_from(SPOTS)))
contracts = st.tuples(st.just("contract"), st.just(None))
ticks = st.tuples(st.just("tick"), st.sampled_from([0.1, 1, 20, 65]))
steps = st.lists(uploads | uploads | links | contracts | ticks | st.just(("sweep", None)), max_size=14)


@pytest.fixture
async def world(database: Database) -> StatusWorld:
    return await make_status_world(database)


@dataclass
class Follower:
    """A reader of the log only: the state of each entity at its last log row."""

    database: Database
    position: int = 0
    told: dict[str, Shown] = field(default_factory=dict)

    async def follow(self, now: datetime) -> None:
        shown = await shown_by_rule(self.database, now)
        found = await self.database.fetch(
            "select id, entity_id, was_available, kind from change where id > $1 order by id", self.position
        )
        left = {row["entity_id"] for row in found if row["was_available"]}
        for id_ in {row["entity_id"] for row in found}:
            before, after = self.told.get(id_), shown.get(id_)
            was_available = id_ in EVSES and before is not None and before.major == "AVAILABLE"
            if was_available and after is not None and after.major != "AVAILABLE":
                assert id_ in left, f"{id_}: clients that follow available EVSEs do not learn that it no longer is"
            if after is not None:
                self.told[id_] = after
        self.position = max((row["id"] for row in found), default=self.position)

    async def assert_up_to_date(self, now: datetime) -> None:
        shown = await shown_by_rule(self.database, now)
        behind = {
            id_: (self.told.get(id_), state) for id_, state in shown.items() if not _same(self.told.get(id_), state)
        }
        assert behind == {}


def _same(told: Shown | None, state: Shown) -> bool:
    return (("UNKNOWN", None) if told is None else (told.major, told.minor)) == (state.major, state.minor)


def ahead() -> datetime:
    """Return an instant that is not past before a test ends: links are checked by the database's own clock."""
    return datetime.now(UTC) + timedelta(minutes=30)


async def start_over(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    nothing = "ttl = null, at = null, expires_at = null, updated_at = null, due = null"
    await connection.execute(f"update evse_status set major = 'UNKNOWN', minor = null, blocked_until = null, {nothing}")
    await connection.execute(f"update parking_status set status = 'UNKNOWN', {nothing}")
    await connection.execute("truncate change, status_history, status_expiry")
    await connection.close()


async def take(world: StatusWorld, step: Any, now: datetime) -> None:
    match step:
        case ("link", evse_id, spots):
            # Links are checked by the database's own clock, which is behind the test's: what expired by the test's is
            # published first, as it would be if there were one clock.
            await sweep(world.database, now)
            await world.link(evse_id, *sorted(spots))
        case ("sweep", _):
            await sweep(world.database, now, chunk=2)
        case ("contract", _):
            # By the database's own clock, too.
            await sweep(world.database, now)
            await world.contract()
        case ("tick", _):
            # Where the PSO's word ran out the operator's counts: blocks begin then when that is published.
            await sweep(world.database, now)
        case (by, said):
            evses = [evse(id_, *pair, **_times(ttl, at, now)) for what, id_, pair, ttl, at in said if what == "evse"]
            spots = [spot(id_, state, **_times(ttl, at, now)) for what, id_, state, ttl, at in said if what == "spot"]
            await world.say(*(evses if by == "german" else ()), by=by, now=now, spots=spots)


def _times(ttl: int | None, at: float | None, now: datetime) -> dict[str, datetime]:
    given = {"ttl": None if ttl is None else now + timedelta(minutes=ttl)}
    given["at"] = None if at is None else now + timedelta(minutes=at)
    return {name: value for name, value in given.items() if value is not None}


@settings(
    max_examples=rounds(10, full=40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
async def test_rows_log_and_history_agree_with_the_rule(world: StatusWorld, database_url: str, steps: list[Any]):
    await start_over(database_url)
    now = ahead()
    follower = Follower(world.database)
    for step in steps:
        if step[0] == "tick":
            now += timedelta(minutes=step[1])
        await take(world, step, now)
        assert await differing(world.database, now) == []
        await follower.follow(now)
    await sweep(world.database, now)
    await follower.follow(now)
    await follower.assert_up_to_date(now)
    await _assert_history_ends_with_what_stands(world.database, now)


async def _assert_history_ends_with_what_stands(database: Database, now: datetime) -> None:
    for id_, row in (await rows(database, "evse_status")).items():
        kept = await history(database, id_)
        # A status that expired before it was received is closed by its successor only.
        stands = row["expires_at"] is not None and (row["expires_at"] > now or row["updated_at"] >= row["expires_at"])
        expected = (row["major"], row["minor"]) if stands else ("UNKNOWN", None)
        assert (kept[-1][1:] if kept else ("UNKNOWN", None)) == expected, (id_, kept, row)


_LINKS_WITHOUT_WAITING = """
create or replace function links_changed() returns trigger language plpgsql as $$
begin
    perform refresh_blocked((select array_agg(distinct evse_id) from touched), now());
    return null;
end
$$
"""


@pytest.mark.parametrize("broken", [False, True])
async def test_a_spot_that_is_taken_while_it_is_linked_blocks(world: StatusWorld, database_url: str, broken: bool):
    """The twin that does not wait for the writer of the spot sees neither the other's link nor its status."""
    owner = await asyncpg.connect(database_url)
    if broken:
        await owner.execute(_LINKS_WITHOUT_WAITING)
    now = ahead()
    await world.say(evse("DE8ACE3", "AVAILABLE"), now=now)
    link = """
        insert into evse_parking_spot (evse_id, parking_id, operator_no, contracted)
        select evse_id, 'DEPRKP1', operator_no, true from evse where evse_id = 'DE8ACE3'
    """
    async with world.database.writes.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(link)
        taking = asyncio.create_task(world.say(by="pso", now=now, spots=[spot("DEPRKP1", "NOT_AVAILABLE")]))
        await until_locked_out(owner, task=taking)
        await transaction.commit()
    await taking
    await owner.close()
    assert len(await differing(world.database, now)) == (1 if broken else 0)


async def test_many_who_write_evses_and_their_spots_at_once_leave_what_the_rule_says(world: StatusWorld, seed: int):
    chance = random.Random(seed)
    now = ahead()

    async def speak(by: str) -> None:
        for _ in range(12):
            said = [evse(id_, "AVAILABLE" if chance.random() < 0.8 else "NOT_AVAILABLE") for id_ in EVSES]
            spots = [
                spot(id_, "NOT_AVAILABLE" if chance.random() < 0.7 else "AVAILABLE", ttl=now + timedelta(minutes=9))
                for id_ in SPOTS
            ]
            chance.shuffle(said)
            chance.shuffle(spots)
            await world.say(*(said[:2] if by == "german" else ()), by=by, now=now, spots=spots[: chance.randint(0, 2)])

    async def relink() -> None:
        for _ in range(12):
            await world.link(chance.choice(EVSES), *chance.sample(SPOTS, chance.randint(0, 2)))

    await asyncio.gather(*(speak(by) for by in ("german", "pso", "pso", "german")), relink(), relink())
    assert await differing(world.database, now) == []
    follower = Follower(world.database)
    await follower.follow(now)
    await follower.assert_up_to_date(now)
