"""What was uploaded, and what became of it: counts and sums per pair of partners, currency and state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import Actor, read_as
from app.vocabulary import CdrStatus, Role


@dataclass(frozen=True, slots=True)
class ReconciliationRow:
    """The CDRs of a pair in one currency and state. `total`: net, exact."""

    operator_id: str
    provider_id: str
    currency: str
    status: CdrStatus
    count: int
    total: Decimal


#: One statement, one snapshot: what was uploaded is the sum over the states, whatever happens meanwhile. All states are
#: named: so an index that begins with role and state has the period too.
_RECONCILE: Final = """
select operator_id, provider_id, currency, status, count(*) as count, sum(total) as total
from cdr
where {side} and status = any($1) and ($2::text is null or $2 in ({counterparties}))
and started_at >= coalesce($3::timestamptz, '-infinity') and started_at < coalesce($4::timestamptz, 'infinity')
group by operator_id, provider_id, currency, status
order by operator_id, provider_id, currency, status
"""

_OF_ALL: Final = _RECONCILE.format(side="true", counterparties="operator_id, provider_id")
_OF_ROLE: Final[Mapping[Role, str]] = {
    Role.EVSE_OPERATOR: _RECONCILE.format(side="operator_role_id = $5", counterparties="provider_id"),
    Role.EVSP: _RECONCILE.format(side="provider_role_id = $5", counterparties="operator_id"),
}


async def reconcile(
    database: Database, actor: Actor, counterparty: str | None, begin: datetime | None, end: datetime | None
) -> list[ReconciliationRow]:
    """Count and add up the CDRs of a role, of all roles for the administrator, by the start of their sessions.

    `begin` is inclusive, `end` exclusive; `counterparty`: the other side's party id, for the administrator either side.
    """
    asked = ([each.value for each in CdrStatus], counterparty, begin, end)
    if actor.is_administrator:
        rows = await read_as(database, actor, _OF_ALL, *asked)
    elif isinstance(actor, Caller) and actor.role in _OF_ROLE:
        rows = await read_as(database, actor, _OF_ROLE[actor.role], *asked, actor.role_id)
    else:
        rows = []
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
