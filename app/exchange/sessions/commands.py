"""What operators report of sessions: that they began, what became known since, and how they ended.

A transaction that changes what is active on an EVSE locks the row of its live status first, as one that writes the
status does: of a session and a status that come at the same time the second one sees the first, and no contradiction is
missed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import combinations
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from app.auth import Caller
from app.db.engine import Connection, Database, Later
from app.errors import BadInput
from app.exchange.actor import CONSOLE, not_found, write_as
from app.exchange.sessions.workflow import SESSION_WORKFLOW, Command
from app.exchange.workflow import Move, NotPossible, advance, advance_one, record_created
from app.vocabulary import SessionEnd, SessionStatus, SessionWarning

#: Clocks of senders may be fast by so much.
AHEAD: Final = timedelta(minutes=5)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
MOST_KWH: Final = Decimal(1_000_000)
#: Digits behind the point.
FINEST_KWH: Final = 6

#: In the order in which they happen, as the API names them.
INSTANTS: Final = {
    "connected_at": "connectedAt",
    "energy_started_at": "energyStartedAt",
    "energy_ended_at": "energyEndedAt",
    "disconnected_at": "disconnectedAt",
}
ORDER: Final = " <= ".join(INSTANTS.values())

EXPIRED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sides:
    """The operator and the provider of a session: their roles and their party ids."""

    operator_role_id: int
    operator_id: str
    provider_role_id: int
    provider_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """What may become known of a session, in any order. None: nothing new."""

    connected_at: datetime | None = None
    energy_started_at: datetime | None = None
    energy_ended_at: datetime | None = None
    disconnected_at: datetime | None = None
    energy_kwh: Decimal | None = None
    evse_id: str | None = None


# ---------------------------------------------------------------- the beginning


async def begin_session(
    connection: Connection,
    actor: Caller,
    sides: Sides,
    evse_id: str | None,
    contract_id: str,
    token: Mapping[str, Any],
    authorised_at: datetime,
    now: datetime,
    warnings: tuple[SessionWarning, ...] = (),
) -> UUID:
    """Write a new session with its history, in the caller's transaction. `token`: the columns of a token."""
    row = {
        **asdict(sides),
        "evse_id": evse_id,
        "contract_id": contract_id,
        **token,
        "authorised_at": authorised_at,
        "warnings": [each.value for each in warnings],
        "updated_at": now,
    }
    await _lock_place(connection, evse_id)
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    session_id = await connection.fetchval(
        f"insert into session ({', '.join(row)}, status) values ({places}, 'ACTIVE') returning id", *row.values()
    )
    # Without what may be erased: the history is append-only, and a hash confirms a guess.
    lasting = {name: value for name, value in row.items() if name not in ("contract_id", *token)}
    move = Move(session_id, Command.BEGIN, content_hash=_hash(lasting))
    await record_created(connection, SESSION_WORKFLOW, [move], actor, now)
    await _refresh_contradictions(connection, evse_id)
    return session_id


async def _lock_place(connection: Connection, evse_id: str | None) -> None:
    if evse_id is not None:
        await connection.execute("select lock_places(array[$1]::text[])", evse_id)


async def _refresh_contradictions(connection: Connection, evse_id: str | None) -> None:
    if evse_id is not None:
        await connection.execute("select refresh_contradictions(array[$1]::text[])", evse_id)


# ---------------------------------------------------------------- what becomes known


async def update_session(database: Database, actor: Caller, session_id: UUID, known: Known, now: datetime) -> UUID:
    """Add what became known of a session of an operator, or correct it; also after its end.

    An EVSE is named once. What changes nothing writes nothing. Raises: NotFound; BadInput.
    """
    _check(known, now)

    async def work(connection: Connection) -> UUID:
        if known.evse_id is not None:
            await _require_own_evse(connection, actor, known.evse_id)
            await _lock_place(connection, known.evse_id)
        stood = await _lock(connection, actor, session_id)
        given = {name: value for name, value in asdict(known).items() if value is not None}
        if all(stood[name] == value for name, value in given.items()):
            return session_id
        merged = {**dict(stood), **given}
        _check_order(merged)
        if stood["evse_id"] not in (None, merged["evse_id"]):
            raise BadInput("the session has an EVSE already; possible: none, or the same one again")
        move = Move(session_id, Command.UPDATE, content_hash=_hash(merged), values=given)
        await advance_one(connection, SESSION_WORKFLOW, move, actor, now)
        await _refresh_contradictions(connection, known.evse_id)
        return session_id

    return await write_as(database, actor, work)


_OWN_EVSE: Final = """
select exists (
    select from evse join operator on operator.no = operator_no where evse_id = $1 and operator.role_id = $2
)
"""


async def has_evse(connection: Connection, operator_role_id: int, evse_id: str) -> bool:
    """Return whether an EVSE is one of an operator's."""
    return await connection.fetchval(_OWN_EVSE, evse_id, operator_role_id)


async def _require_own_evse(connection: Connection, actor: Caller, evse_id: str) -> None:
    if not await has_evse(connection, actor.role_id, evse_id):
        raise BadInput("evseId is not an EVSE of yours")


_LOCK: Final = """
select id, operator_role_id, status, evse_id, authorised_at, ended_at, ended_by, energy_kwh, {instants}
from session where id = $1 and operator_role_id = $2 for no key update
""".format(instants=", ".join(INSTANTS))


async def _lock(connection: Connection, actor: Caller, session_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow(_LOCK, session_id, actor.role_id)
    if row is None:
        raise not_found("session", session_id)
    return row


def _check(known: Known, now: datetime) -> None:
    for name, shown_name in INSTANTS.items():
        check_instant(shown_name, getattr(known, name), now)
    kwh = known.energy_kwh
    if kwh is not None and not (kwh.is_finite() and 0 <= kwh <= MOST_KWH and round(kwh, FINEST_KWH) == kwh):
        raise BadInput(f"energyKwh is not possible; expected 0 to {MOST_KWH} with at most {FINEST_KWH} decimals")


def check_instant(name: str, instant: datetime | None, now: datetime) -> None:
    """Refuse instants that cannot be. Raises: BadInput."""
    if instant is not None and not EARLIEST <= instant <= now + AHEAD:
        raise BadInput(f"{name} is not possible; expected an instant from 2000 on, at most five minutes ahead")


def _check_order(merged: Mapping[str, Any]) -> None:
    """Check every pair, because those between them may not be known."""
    for earlier, later in combinations(INSTANTS, 2):
        if merged[earlier] is not None and merged[later] is not None and merged[earlier] > merged[later]:
            raise BadInput(f"{INSTANTS[earlier]} would be after {INSTANTS[later]}; possible: {ORDER}")


# ---------------------------------------------------------------- the end


async def end_session(
    database: Database, actor: Caller, session_id: UUID, end: SessionEnd, at: datetime | None, now: datetime
) -> UUID:
    """End a session of an operator. The same end again changes nothing; without `at` it is any instant.

    One that expired may still be ended as it was in truth.
    Raises: NotFound; BadInput; NotPossible when it has another end.
    """
    if end is SessionEnd.EXPIRED:
        raise BadInput("end is EXPIRED, which is the hub's; possible: AUTHORISED_STOP, FORCED_DISCONNECT")
    check_instant("at", at, now)

    async def work(connection: Connection) -> UUID:
        evse_id = await connection.fetchval("select evse_id from session where id = $1", session_id)
        await _lock_place(connection, evse_id)
        stood = await _lock(connection, actor, session_id)
        if stood["evse_id"] != evse_id:
            raise Later("the EVSE of the session is being named")
        if stood["status"] == SessionStatus.ENDED and _is_same_end(stood, end, at):
            return session_id
        ended_at = at or max(now, stood["authorised_at"])
        if ended_at < stood["authorised_at"]:
            raise BadInput("at is before authorisedAt of the session; possible: then, or later")
        values = {"ended_at": ended_at}
        move = Move(session_id, Command.END, end, content_hash=_hash({**dict(stood), **values}), values=values)
        await advance_one(connection, SESSION_WORKFLOW, move, actor, now)
        await _refresh_contradictions(connection, stood["evse_id"])
        return session_id

    return await write_as(database, actor, work)


def _is_same_end(stood: asyncpg.Record, end: SessionEnd, at: datetime | None) -> bool:
    if stood["ended_by"] == end and at in (None, stood["ended_at"]):
        return True
    raise NotPossible(f"the session has ended as {stood['ended_by']} already; possible: the same end again")


_OPEN: Final = """
select id, evse_id from session where status = 'ACTIVE' and authorised_at < $1 order by authorised_at limit $2
"""

#: Without those whose EVSE was named meanwhile: its status is not locked.
_LOCK_OPEN: Final = """
select id from session join unnest($1::uuid[], $2::text[]) as open (id, evse_id) using (id)
where session.status = 'ACTIVE' and session.evse_id is not distinct from open.evse_id
order by id for no key update of session
"""


async def expire_sessions(database: Database, now: datetime, after: timedelta) -> int:
    """End the sessions that their operators did not end in time, each batch in a transaction; return how many."""

    async def work(connection: Connection) -> int:
        rows = await connection.fetch(_OPEN, now - after, EXPIRED_AT_ONCE)
        evse_ids = sorted({row["evse_id"] for row in rows if row["evse_id"] is not None})
        await connection.execute("select lock_places($1)", evse_ids)
        locked = await connection.fetch(_LOCK_OPEN, [row["id"] for row in rows], [row["evse_id"] for row in rows])
        moves = [Move(row["id"], Command.EXPIRE) for row in locked]
        advanced = await advance(connection, SESSION_WORKFLOW, moves, CONSOLE, now)
        await connection.execute("select refresh_contradictions($1)", evse_ids)
        return len(advanced.moved)

    total = 0
    while moved := await write_as(database, CONSOLE, work):
        total += moved
    return total


def _hash(row: Mapping[str, Any]) -> bytes:
    """Return a hash of what is known of a session, for its history."""
    return blake2b(orjson.dumps(dict(row), default=str, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
