"""The log says who begins and ceases to see whom, whatever changes it: contracts, roles, partners, operators, time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg

from app.db.engine import Database
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.contracts import (
    accept_contract,
    end_contract,
    is_pair,
    propose_contract,
    resume_contract,
    set_contract,
    suspend_contract,
)
from app.exchange.operators import set_operator_open
from app.exchange.partners import grant_role, resume_partner, revoke_role, suspend_partner
from app.live.log.cursor import Position
from app.live.log.leader import RefreshViewerScope
from app.live.log.rows import read_position
from app.visibility.viewer_scope import Viewer, read_scope_rows
from app.vocabulary import LogKind, Role
from tests.exchange.world import Member, add_evse, administrator, enrol, nsp, operator, owner, provider, utc_now
from tests.live.log_world import read_since
from tests.waiting import until_locked_out

Seen = set[tuple[int, str, int]]
PRESENT = "select role_id, kind, subject from viewer_scope where ended is null"


async def by_right(connection: asyncpg.Connection) -> Seen:
    """What roles see by contracts, roles and operators as they are: the view that the table follows."""
    return {(*row,) for row in await connection.fetch("select role_id, kind, subject from viewer_scope_in_force")}


async def kept(connection: asyncpg.Connection) -> Seen:
    return {(*row,) for row in await connection.fetch(PRESENT)}


async def party_ids(database: Database) -> dict[int, str]:
    return {row[0]: row[1] for row in await database.fetch("select no, party_id from operator")}


class Replay:
    """What roles saw at positions on the way, as the hub would know it from cursors made there."""

    def __init__(self) -> None:
        self.past: list[tuple[Position, Seen]] = []

    async def note(self, database: Database) -> None:
        async with database.reading() as reader:
            position = await read_position(reader)
            rows = await reader.fetch(PRESENT)
        self.past.append((position, {(*row,) for row in rows}))

    async def check(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("select role_id, kind, subject, began, ended from viewer_scope")
        for position, seen in self.past:
            sees = position.snapshot.sees
            then = {(*row[:3],) for row in rows if sees(row[3]) and not (row[4] is not None and sees(row[4]))}
            assert then == seen


async def check(database: Database, connection: asyncpg.Connection, replay: Replay) -> None:
    assert await kept(connection) == await by_right(connection)
    assert await connection.fetchval("select count(*) from viewer_scope_due") == 0
    await replay.note(database)


async def members(database: Database) -> list[Member]:
    await administrator(database)
    made = [await nsp(database, f"Map {n}") for n in range(2)]
    made += [await provider(database, f"DE7{n}0", f"Provider {n}") for n in range(2)]
    made += [await operator(database, f"DE1{n}1", f"Operator {n}", open_=n == 2) for n in range(3)]
    both = ((Role.PSO, "DE444"), (Role.EVSE_OPERATOR, "DE444"), (Role.EVSP, "DE444"), (Role.NSP, None))
    made += await enrol(database, "All in one", *both)
    await add_evse(database, "DE101", 1)  # stays closed with its revoked role; the others go back
    return made


class World:
    """Random commands of every kind that changes a viewer scope. Most are refused: then nothing may change."""

    def __init__(self, database: Database, database_url: str, dice: random.Random, members: list[Member]) -> None:
        self.database, self.url, self.dice, self.members = database, database_url, dice, members

    async def step(self) -> None:
        move: Callable[[], Awaitable[Any]] = self.dice.choice(
            [self.contract] * 6 + [self.move] * 5 + [self.partner] * 2 + [self.role] * 2 + [self.open] + [self.time] * 2
        )
        with suppress(HubError):
            await move()

    async def contract(self) -> None:
        pairs = [(a, b) for a in self.members for b in self.members if is_pair(a.party.name.role, b.party.name.role)]
        one, other = self.dice.choice(pairs)
        now = utc_now() - timedelta(seconds=1)
        if self.dice.random() < 0.3:
            await propose_contract(self.database, one.caller, one.party, other.party, now)
        else:
            since = self.dice.choice([None, now + timedelta(days=1)])
            await set_contract(self.database, CONSOLE, one.party, other.party, now, since)

    async def move(self) -> None:
        ids = await self.database.fetch_private(None, True, "select id from contract order by created_at, id")
        if ids:
            command = self.dice.choice([accept_contract, suspend_contract, resume_contract, end_contract])
            await command(self.database, CONSOLE, self.dice.choice(ids)[0], utc_now() - timedelta(seconds=1))

    async def partner(self) -> None:
        command = self.dice.choice([suspend_partner, resume_partner, resume_partner])
        await command(self.database, CONSOLE, self.dice.choice(self.members).party.partner_id, utc_now())

    async def role(self) -> None:
        party = self.dice.choice(self.members).party
        command = self.dice.choice([grant_role, grant_role, revoke_role])
        await command(self.database, CONSOLE, party.partner_id, party.name, utc_now())

    async def open(self) -> None:
        party_id = self.dice.choice(["DE101", "DE111", "DE121", "DE444"])
        await set_operator_open(self.database, CONSOLE, party_id, self.dice.random() < 0.5, utc_now())

    async def time(self) -> None:
        """Begin or end all contracts by the clock; that starts no trigger, but the leader's refresh finds it.

        The clock locks no rows, so no transaction may wait for one that it holds.
        """
        column = self.dice.choice(["valid_from", "valid_until"])
        edge = "now() - interval '1 minute'" if column == "valid_from" else "greatest(valid_from, now()) "
        async with owner(self.url) as connection:
            await connection.execute(
                f"""
                set session_replication_role = replica;
                lock table contract in exclusive mode;
                update contract set {column} = {edge} where status = 'ACTIVE' and coalesce({column} > now(), true);
                set session_replication_role = origin;
                select refresh_viewer_scope(now() - interval '5 minutes');
                """
            )


async def test_follows_every_change(database: Database, database_url: str, seed: int):
    replay, start = Replay(), await read_position(database)
    world = World(database, database_url, random.Random(seed), await members(database))
    async with owner(database_url) as connection:
        await check(database, connection, replay)
        for _ in range(150):
            await world.step()
            await check(database, connection, replay)
        await replay.check(connection)
    assert len(await read_since(database, start)) > 5, "hardly anything was changed"


async def test_follows_changes_made_at_once(database: Database, database_url: str, seed: int):
    replay = Replay()
    world = World(database, database_url, random.Random(seed), await members(database))
    async with owner(database_url) as connection:
        for _ in range(15):
            await asyncio.gather(*(world.step() for _ in range(6)))
            # A transaction that began before a contract ended, and committed after that, has undone what the leader
            # had written; the leader refreshes again.
            await connection.execute("select refresh_viewer_scope(now() - interval '5 minutes')")
            await check(database, connection, replay)
        await replay.check(connection)


BEGIN_BY_THE_CLOCK = """
set session_replication_role = replica;
update contract set valid_from = now() - interval '8 minutes';
set session_replication_role = origin;
"""


async def test_follows_what_began_while_the_leader_could_not_write(database: Database, database_url: str):
    """For longer than the refreshes overlap: each goes back to the last one that succeeded."""
    one, other = await nsp(database), await operator(database)
    await set_contract(database, CONSOLE, one.party, other.party, utc_now(), utc_now() + timedelta(days=1))
    refresh = RefreshViewerScope()
    await refresh(database, utc_now() - timedelta(minutes=10))
    async with owner(database_url) as connection:
        await connection.execute(BEGIN_BY_THE_CLOCK)
        assert await kept(connection) != await by_right(connection)
        await refresh(database, utc_now())
        assert await kept(connection) == await by_right(connection)


RAN_OUT = """
set session_replication_role = replica;
update contract set valid_from = now() - interval '1 day', valid_until = now() - interval '1 minute';
update viewer_scope set valid_until = now() - interval '1 minute' where role_id > 0 and ended is null;
set session_replication_role = origin;
"""


async def test_knows_that_a_contract_had_run_out_before_it_was_prolonged(database: Database, database_url: str):
    one, other = await nsp(database), await operator(database)
    await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    viewer = Viewer.of(one.caller)
    async with owner(database_url) as connection:
        await connection.execute(RAN_OUT)
        async with database.reading() as reader:
            base = await read_position(reader)
        await connection.execute("update contract set valid_until = now() + interval '1 day'")
    async with database.reading() as reader:
        present = await read_position(reader)
        rows = await read_scope_rows(reader, [viewer], present.at, base.snapshot.xmax, base.snapshot.xip)
    assert rows.at(viewer, base.snapshot.sees, base.at).operators == frozenset()
    assert rows.present(viewer).operators != frozenset()


CONTRACT = """
insert into contract (first_role_id, first_partner_id, second_role_id, second_partner_id, proposed_by_role_id, status,
    created_at, updated_at)
select least(a.id, b.id), case when a.id < b.id then a.partner_id else b.partner_id end,
    greatest(a.id, b.id), case when a.id < b.id then b.partner_id else a.partner_id end, a.id, 'ACTIVE', now(), now()
from partner_role as a, partner_role as b where (a.id, b.id) = ($1, $2)
"""


async def make_two_links_at_once(database: Database, database_url: str) -> bool:
    """Make both links of a chain in concurrent transactions; return whether its end is logged as visible."""
    map_, seller, seen = await nsp(database), await provider(database), await operator(database, "DE111")
    a, b, c = (member.caller.role_id for member in (map_, seller, seen))
    async with owner(database_url) as first, owner(database_url) as second:
        async with first.transaction():
            await first.execute(CONTRACT, a, b)
            await first.execute("set constraints all immediate")
            other = asyncio.create_task(second.execute(CONTRACT, b, c))
            await until_locked_out(first, task=other)
        await other
        no = await first.fetchval("select no from operator where party_id = 'DE111'")
        return (a, "OPERATOR", no) in await kept(first)


async def test_sees_through_a_chain_whose_links_are_made_at_once(database: Database, database_url: str):
    assert await make_two_links_at_once(database, database_url)


async def test_would_miss_that_chain_without_taking_turns(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute("create or replace function lock_viewer_scope() returns void language sql as 'select'")
    assert not await make_two_links_at_once(database, database_url)


async def test_logs_once_what_everybody_sees(database: Database):
    for number in range(3):
        await nsp(database, f"Map {number}")
    await operator(database, "DE111")
    start = await read_position(database)
    for open_ in (True, True, False):
        await set_operator_open(database, CONSOLE, "DE111", open_, utc_now())
    rows = await read_since(database, start)
    assert [(row.kind, row.role_ids) for row in rows] == [(LogKind.VIEWER_SCOPE, (0,))] * 2


async def test_logs_one_row_for_all_that_a_transaction_changes(database: Database, database_url: str):
    """A register opens hundreds of operators at once."""
    await operator(database, "DE111", open_=True)
    start = await read_position(database)
    names = [f"FR{number:03}" for number in range(300)]
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute(
            "insert into operator (party_id, name, open) select party, party, true from unnest($1::text[]) as party",
            names,
        )
        await connection.execute("update operator set open = false where party_id = 'DE111'")
    [row] = await read_since(database, start)
    parties = await party_ids(database)
    async with owner(database_url) as connection:
        seen = {parties[no] for role, kind, no in await kept(connection) if (role, kind) == (0, "OPERATOR")}
    assert (seen, row.role_ids) == (set(names), (0,))


async def test_logs_nothing_where_no_scope_changes(database: Database):
    map_, seen = await nsp(database), await operator(database, "DE111")
    contract_id = await set_contract(database, CONSOLE, map_.party, seen.party, utc_now())
    seller = await provider(database)
    start = await read_position(database)
    other = await propose_contract(database, map_.caller, map_.party, seller.party, utc_now())
    await end_contract(database, CONSOLE, other, utc_now())
    assert await read_since(database, start) == []
    await end_contract(database, CONSOLE, contract_id, utc_now())
    [row] = await read_since(database, start)
    assert map_.caller.role_id in row.role_ids


async def test_ends_with_a_contract_at_its_last_instant_before_that_is_logged(database: Database, database_url: str):
    """Reads compare the end with their own clock; the leader only logs it."""
    map_, seen = await nsp(database), await operator(database, "DE111")
    viewer, no = Viewer(map_.caller.role_id), (await database.fetch("select no from operator"))[0][0]
    now = utc_now()
    await set_contract(database, CONSOLE, map_.party, seen.party, now)
    async with owner(database_url) as connection:
        await connection.execute("update contract set valid_until = $1", now + timedelta(days=1))
    position = await read_position(database)
    rows = await read_scope_rows(database, [viewer], now, position.snapshot.xmax, position.snapshot.xip)
    assert rows.changes_at == now + timedelta(days=1)
    assert rows.present(viewer).sees_evse_of(no)
    late = await read_scope_rows(database, [viewer], now + timedelta(days=1))
    assert not late.present(viewer).sees_evse_of(no)
    assert rows.at(viewer, position.snapshot.sees, now).sees_evse_of(no)
    assert not rows.at(viewer, position.snapshot.sees, now + timedelta(days=2)).sees_evse_of(no)
    async with owner(database_url) as connection:
        await connection.execute("update viewer_scope set valid_until = now() where valid_until is not null")
    visible = await database.fetch("select visible_operators($1)", map_.caller.role_id)
    assert visible == []


async def test_looks_at_everything_where_triggers_did_not(database: Database, database_url: str):
    """After a restore without triggers, say."""
    map_, seen = await nsp(database), await operator(database, "DE111")
    async with owner(database_url) as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(CONTRACT, map_.caller.role_id, seen.caller.role_id)
        await connection.execute("set session_replication_role = origin")
        assert await kept(connection) != await by_right(connection)
        await connection.execute("select refresh_viewer_scope(null)")
        assert await kept(connection) == await by_right(connection)
