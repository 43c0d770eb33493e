"""What was uploaded, and what became of it: counts and sums per pair of partners, currency and state."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from app.db.engine import Database
from app.exchange.actor import Actor, read_as
from app.vocabulary import CdrStatus


@dataclass(frozen=True, slots=True)
class ReconciliationRow:
    """The CDRs of a pair in one currency and state. `total`: net, exact."""

    operator_id: str
    provider_id: str
    currency: str
    status: CdrStatus
    count: int
    total: Decimal


#: One statement, one snapshot: what was uploaded is the sum over the states, whatever happens meanwhile.
_RECONCILE: Final = """
select operator_id, provider_id, currency, status, count(*) as count, sum(total) as total
from cdr
where {sides} and ($1::text is null or $1 in ({counterparties}))
and ($2::timestamptz is null or started_at >= $2) and ($3::timestamptz is null or started_at < $3)
group by operator_id, provider_id, currency, status
order by operator_id, provider_id, currency, status
"""

#: Not for the administrator, who has none: it sees the sums of all pairs.
_OF_ALL: Final = _RECONCILE.format(sides="true", counterparties="operator_id, provider_id")
_OF_ROLE: Final = _RECONCILE.format(
    sides="(operator_role_id = $4 or provider_role_id = $4)",
    counterparties="case operator_role_id when $4 then provider_id else operator_id end",
)


async def reconcile(
    database: Database, actor: Actor, counterparty: str | None, begin: datetime | None, end: datetime | None
) -> list[ReconciliationRow]:
    """Count and add up the CDRs of a role, of all roles for the administrator, by the start of their sessions.

    `begin` is inclusive, `end` exclusive; `counterparty`: the other side's party id, for the administrator either side.
    """
    asked = (counterparty, begin, end)
    if actor.is_administrator:
        rows = await read_as(database, actor, _OF_ALL, *asked)
    else:
        rows = await read_as(database, actor, _OF_ROLE, *asked, actor.role_id)
    return [
        ReconciliationRow(
            row["operator_id"],
            row["provider_id"],
            row["currency"],
            CdrStatus(row["status"]),
            row["count"],
            row["total"],
        )
        for row in rows
    ]
