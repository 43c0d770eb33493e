"""The CDRs of a partner's roles for its accountant: one period, oldest session first, in pages of one snapshot.

Tokens and contract ids are left out: an accountant needs no personal data of drivers.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.db.engine import Database, Reading
from app.errors import NotFound
from app.vocabulary import CdrStatus

AT_ONCE: Final = 1_000

_ROLES: Final = """
select id from partner_role where party_id = $1 and role in ('EVSE_OPERATOR', 'EVSP') and revoked_at is null
"""

#: Each role's and state's CDRs are read in the order of its own index.
_PAGE: Final = """
with page as (
    select distinct found.* from unnest($1::integer[]) as role (id) cross join unnest($2::text[]) as state (word)
    cross join lateral (
        {of_side}
        union all
        {of_other_side}
    ) as found
    order by started_at, id limit $7
)
select page.*, content.start, content."end", content.meter_id, content.total_cost, content.periods
from page join cdr_content as content
    on content.month = page.month and content.cdr_key = page.id and content.revision = page.revision
order by page.started_at, page.id
"""

_SIDE: Final = """
(
    select id, month, started_at, cdr_id, evse_id, operator_id, provider_id, status, revision, currency, total
    from cdr where {column} = role.id and status = state.word
    and started_at >= $3 and started_at < $4 and (started_at, id) > ($5, $6)
    order by started_at, id limit $7
)
"""

_SQL: Final = _PAGE.format(
    of_side=_SIDE.format(column="operator_role_id"), of_other_side=_SIDE.format(column="provider_role_id")
)


@dataclass(frozen=True, slots=True)
class Period:
    """What is exported: the CDRs whose sessions started from `begin` until before `end`."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return "_".join(_shown(each) for each in (self.begin, self.end))


#: In the order of the columns. The period stands in every row, so that a part of a file names it too.
COLUMNS: Final = (
    *("from", "to", "cdrId", "evseId", "operatorId", "providerId", "start", "end", "status", "revision"),
    *("currency", "total", "totalCost", "meterId"),
)


async def export_cdrs(
    database: Database, party_id: str, period: Period, states: Sequence[CdrStatus] = tuple(CdrStatus)
) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield the CDRs of the operator and the EVSP with a party id, as rows of COLUMNS and their `periods`.

    Decimals are texts with all digits. Raises: NotFound when no role has the party id.
    """
    async with database.reading() as reader:
        role_ids = [row["id"] for row in await reader.fetch(_ROLES, party_id)]
        if not role_ids:
            raise NotFound(f"no operator and no EVSP has the party id {party_id}")
        place: tuple[datetime, UUID] = period.begin, UUID(int=0)
        while rows := await _page(reader, role_ids, period, states, place):
            for row in rows:
                yield _row(row, period)
            place = rows[-1]["started_at"], rows[-1]["id"]


async def _page(
    reader: Reading, role_ids: Sequence[int], period: Period, states: Sequence[CdrStatus], place: tuple[datetime, UUID]
) -> list[asyncpg.Record]:
    words = [each.value for each in states]
    return await reader.fetch_private(None, True, _SQL, role_ids, words, period.begin, period.end, *place, AT_ONCE)


def _row(row: asyncpg.Record, period: Period) -> Mapping[str, Any]:
    values = (
        *(_shown(period.begin), _shown(period.end), row["cdr_id"], row["evse_id"], row["operator_id"]),
        *(row["provider_id"], row["start"], row["end"], row["status"], row["revision"], row["currency"]),
        *(_text(row["total"]), _text(row["total_cost"]), row["meter_id"]),
    )
    return {**dict(zip(COLUMNS, values, strict=True)), "periods": row["periods"]}


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")


def _shown(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
