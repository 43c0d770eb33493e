"""The log says who begins and ceases to see whom, whatever changes it: contracts, roles, partners, operators, time."""

import asyncio
import random
from collections import Counter
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
from app.live.cursor import Position
from app.vocabulary import LogKind, Role
from tests.exchange.world import Member, add_evse, administrator, enrol, nsp, operator, owner, provider, utc_now
from tests.live.log_world import head, read_complete
from tests.waiting import until_locked_out

EVERYBODY = 0
Seen = set[tuple[int, str]]


async def sights_by_right(connection: asyncpg.Connection) -> tuple[Seen, Seen]:
    """Operators and PSOs by the functions that reads ask, for every role but the administrator's."""
    roles = "(select id from partner_role where role <> 'ADMINISTRATOR') as viewer"
    operators = await connection.fetch(
        f"select id, party_id from {roles} cross join lateral visible_operators(id) as no join operator using (no)"
        " union select 0, party_id from operator where open and not suspended"
    )
    psos = await connection.fetch(
        f"select id, pso from {roles} cross join lateral visible_parking_operators(id) as pso"
    )
    return {(*row,) for row in operators}, {(*row,) for row in psos}


async def sights_kept(connection: asyncpg.Connection) -> tuple[Seen, Seen]:
    operators = await connection.fetch(
        "select sight.role_id, party_id from operator_sight as sight join operator on no = operator_no"
    )
    psos = await connection.fetch("select role_id, party_id from parking_sight")
    return {(*row,) for row in operators}, {(*row,) for row in psos}


async def party_ids(database: Database) -> dict[int, str]:
    return {row[0]: row[1] for row in await database.fetch("select no, party_id from operator")}


class Replay:
    """Who sees whom as a reader of the log knows it, beginning with an empty hub.

    Of two transactions at once the one that began to write later may have settled first: rows are counted, not obeyed.
    """

    def __init__(self, start: Position) -> None:
        self.after = start
        self.rows = 0
        self._operators, self._psos = Counter[tuple[int, str]](), Counter[tuple[int, str]]()

    async def catch_up(self, database: Database) -> tuple[Seen, Seen]:
        rows = await read_complete(database, self.after)
        parties = await party_ids(database)
        for row in rows:
            self.after = row.position
            if row.kind is LogKind.SIGHT:
                seen = self._psos if row.operator_nos is None else self._operators
                role = EVERYBODY if row.role_id is None else row.role_id
                listed = [row.entity_id] if row.operator_nos is None else [parties[no] for no in row.operator_nos]
                for party in listed:
                    seen[role, party] += -1 if row.existed else 1
                self.rows += 1
        assert {*self._operators.values(), *self._psos.values()} <= {0, 1}
        return set(self._operators.elements()), set(self._psos.elements())


def with_open(seen: Seen, roles: set[int]) -> Seen:
    """What each role sees in the end: by right, or because everybody does."""
    for_all = {party for role, party in seen if role == EVERYBODY}
    return seen | {(role, party) for role in roles for party in for_all}


async def check(database: Database, connection: asyncpg.Connection, replay: Replay) -> None:
    replayed = await replay.catch_up(database)
    roles = {row[0] for row in await connection.fetch("select id from partner_role where role <> 'ADMINISTRATOR'")}
    operators, psos = await sights_by_right(connection)
    kept_operators, kept_psos = await sights_kept(connection)
    assert (with_open(kept_operators, roles), kept_psos) == (with_open(operators, roles), psos)
    assert replayed == (kept_operators, kept_psos)
    assert await connection.fetchval("select count(*) from sight_due") == 0


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
    """Random commands of every kind that moves a sight. Most are refused: then nothing may change."""

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
        """Let a day pass for all contracts; triggers do not hear of that, the keeper does."""
        column = self.dice.choice(["valid_from", "valid_until"])
        edge = "now() - interval '1 minute'" if column == "valid_from" else "greatest(valid_from, now()) "
        async with owner(self.url) as connection:
            await connection.execute(
                f"""
                set session_replication_role = replica;
                update contract set {column} = {edge} where status = 'ACTIVE' and coalesce({column} > now(), true);
                set session_replication_role = origin;
                select refresh_sights(now() - interval '5 minutes');
                """
            )


async def test_follows_every_change(database: Database, database_url: str, seed: int):
    replay = Replay(await head(database))
    world = World(database, database_url, random.Random(seed), await members(database))
    async with owner(database_url) as connection:
        await check(database, connection, replay)
        for _ in range(150):
            await world.step()
            await check(database, connection, replay)
    assert replay.rows > 5, "hardly anything was changed"


async def test_follows_changes_made_at_once(database: Database, database_url: str, seed: int):
    replay = Replay(await head(database))
    world = World(database, database_url, random.Random(seed), await members(database))
    async with owner(database_url) as connection:
        for _ in range(15):
            await asyncio.gather(*(world.step() for _ in range(6)))
            # A transaction that began before a contract ran out, and settled after that, has set back what the keeper
            # had done; it looks again.
            await connection.execute("select refresh_sights(now() - interval '5 minutes')")
            await check(database, connection, replay)


CONTRACT = """
insert into contract (first_role_id, first_partner_id, second_role_id, second_partner_id, proposed_by_role_id, status,
    created_at, updated_at)
select least(a.id, b.id), case when a.id < b.id then a.partner_id else b.partner_id end,
    greatest(a.id, b.id), case when a.id < b.id then b.partner_id else a.partner_id end, a.id, 'ACTIVE', now(), now()
from partner_role as a, partner_role as b where (a.id, b.id) = ($1, $2)
"""


async def make_two_links_at_once(database: Database, database_url: str) -> bool:
    """Make both links of a chain in transactions that do not see each other; say whether its end is logged as seen."""
    map_, seller, seen = await nsp(database), await provider(database), await operator(database, "DE111")
    a, b, c = (member.caller.role_id for member in (map_, seller, seen))
    async with owner(database_url) as first, owner(database_url) as second:
        async with first.transaction():
            await first.execute(CONTRACT, a, b)
            await first.execute("set constraints all immediate")
            other = asyncio.create_task(second.execute(CONTRACT, b, c))
            await until_locked_out(first, task=other)
        await other
        return (a, "DE111") in (await sights_kept(first))[0]


async def test_sees_through_a_chain_whose_links_are_made_at_once(database: Database, database_url: str):
    assert await make_two_links_at_once(database, database_url)


async def test_would_miss_that_chain_without_taking_turns(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute("create or replace function lock_sights() returns void language sql as 'select'")
    assert not await make_two_links_at_once(database, database_url)


async def test_logs_once_what_everybody_sees(database: Database):
    for number in range(3):
        await nsp(database, f"Map {number}")
    await operator(database, "DE111")
    start = await head(database)
    for open_ in (True, True, False):
        await set_operator_open(database, CONSOLE, "DE111", open_, utc_now())
    rows, parties = await read_complete(database, start), await party_ids(database)
    assert [(row.role_id, [parties[no] for no in row.operator_nos or ()], row.existed) for row in rows] == [
        (None, ["DE111"], False),
        (None, ["DE111"], True),
    ]


async def test_logs_all_that_a_transaction_brings_to_one_in_one_row(database: Database, database_url: str):
    """A register opens hundreds of operators at once; readers go through them together."""
    await operator(database, "DE111", open_=True)
    start = await head(database)
    names = [f"FR{number:03}" for number in range(300)]
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute(
            "insert into operator (party_id, name, open) select party, party, true from unnest($1::text[]) as party",
            names,
        )
        await connection.execute("update operator set open = false where party_id = 'DE111'")
    begun, ended = await read_complete(database, start)
    parties = await party_ids(database)
    assert [sorted(parties[no] for no in row.operator_nos or ()) for row in (begun, ended)] == [names, ["DE111"]]
    assert [(row.role_id, row.existed) for row in (begun, ended)] == [(None, False), (None, True)]


async def test_logs_nothing_where_nobody_begins_or_ceases(database: Database):
    map_, seen = await nsp(database), await operator(database, "DE111")
    contract_id = await set_contract(database, CONSOLE, map_.party, seen.party, utc_now())
    start = await head(database)
    other = await propose_contract(database, map_.caller, map_.party, (await provider(database)).party, utc_now())
    await end_contract(database, CONSOLE, other, utc_now())
    assert await read_complete(database, start) == []
    await end_contract(database, CONSOLE, contract_id, utc_now())
    [row] = [row for row in await read_complete(database, start) if row.role_id == map_.caller.role_id]
    parties = await party_ids(database)
    assert (row.kind, [parties[no] for no in row.operator_nos or ()], row.existed) == (LogKind.SIGHT, ["DE111"], True)


async def test_looks_at_everything_where_triggers_did_not(database: Database, database_url: str):
    """After a restore without triggers, say."""
    map_, seen = await nsp(database), await operator(database, "DE111")
    async with owner(database_url) as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(CONTRACT, map_.caller.role_id, seen.caller.role_id)
        await connection.execute("set session_replication_role = origin")
        assert (map_.caller.role_id, "DE111") not in (await sights_kept(connection))[0]
        await connection.execute("select refresh_sights(null)")
        assert (map_.caller.role_id, "DE111") in (await sights_kept(connection))[0]
