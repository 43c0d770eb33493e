"""Who may write an operator's EVSEs when: short writers one after the other, or a whole list for as long as it takes.

Short writers lock the operator's row for their transaction. A list takes many transactions, and none may be long, so it
holds a lock of its session, which costs no transaction id; writers that find it do not wait on a connection, but look
again a little later.
"""

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID
from zlib import crc32

from app.db.engine import PATIENCE_S, Connection, Database, Later, Session, look_again

#: Kinds of advisory locks, each followed by a number of that kind.
OPERATOR: Final = 1
PARKING_OPERATOR: Final = 2
PROVIDER: Final = 3
#: An operator's contracts with PSOs, shared by those that write its links; see `bring_spot_contracts` in SQL.
SPOT_CONTRACTS: Final = 4


def parking_operator_number(party_id: str) -> int:
    """Return a PSO's number for its locks, by party id alone. Two PSOs with one number only wait for each other."""
    return crc32(party_id.encode()) - 2**31


#: These statements take 1 row or 20,000, into tables that may have been empty when the connection was made: a plan kept
#: from then can be a hundred times too slow. Planning again costs less than a millisecond.
_PLAN_AGAIN: Final = "set local plan_cache_mode = force_custom_plan"

_SHARE: Final = """
select coalesce(bool_and(pg_try_advisory_xact_lock_shared($1, no)), true) from unnest($2::int[]) as no
"""

_LOCK: Final = "select no, role_id from operator where no = any($1) order by no for no key update"


async def lock_operators(connection: Connection, operator_nos: Iterable[int]) -> dict[int, int | None]:
    """Lock the EVSEs of these operators until the transaction's end. Return the role that holds each operator.

    All writers lock in the order of the numbers, so that writers of several operators never deadlock. The lock also
    delays claims and releases of the operators, but no reads. Raises: Later.
    """
    await connection.execute(_PLAN_AGAIN)
    numbers = sorted(set(operator_nos))
    await share(connection, OPERATOR, numbers)
    rows = await connection.fetch(_LOCK, numbers)
    return {row["no"]: row["role_id"] for row in rows}


async def share(connection: Connection, kind: int, numbers: Sequence[int]) -> None:
    """Hold off whole lists of these parties until the transaction's end. Raises: Later."""
    if not await connection.fetchval(_SHARE, kind, numbers):
        raise Later("a whole list of yours is being merged")


@asynccontextmanager
async def holding(
    database: Database,
    kind: int,
    number: int,
    partner: UUID | None,
    role: int | None = None,
    *,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[Session]:
    """Be the only writer of an operator's EVSEs, a PSO's spots or a provider's tokens for several transactions.

    Raises: Busy.
    """
    until = time.monotonic() + patience_s
    while True:
        async with database.session(partner, role) as session:
            if await session.connection.fetchval("select pg_try_advisory_lock($1, $2)", kind, number):
                try:
                    yield session
                finally:
                    await session.connection.fetchval("select pg_advisory_unlock($1, $2)", kind, number)
                return
        await look_again(until, Later("something else of yours is being written"))
