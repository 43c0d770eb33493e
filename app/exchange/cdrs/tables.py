"""The tables of CDRs, written as sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import orjson

from app.auth import Caller
from app.db.engine import Connection
from app.ids import normalise_tariff_id
from app.records.cdr import Cdr
from app.uploads.checks import Refusal


@dataclass(frozen=True, slots=True)
class Accepted:
    """A CDR whose content is to be written: the key and the month of its row, and the number of the revision."""

    cdr: Cdr
    key: UUID
    month: date
    revision: int
    provider_role_id: int
    warnings: Sequence[Refusal] = ()


#: The columns of a new row that are not the same for all of an upload, with their types.
_NEW: Final = {
    "id": "uuid",
    "cdr_id": "text",
    "evse_id": "text",
    "provider_role_id": "integer",
    "operator_id": "text",
    "provider_id": "text",
    "month": "date",
    "content_hash": "bytea",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "currency": "text",
    "total": "numeric",
    "session_id": "uuid",
}

_CONTENT: Final = {
    "month": "date",
    "cdr_key": "uuid",
    "revision": "integer",
    "provider_role_id": "integer",
    "content_hash": "bytea",
    "token_type": "text",
    "token_sub_type": "text",
    "representation": "text",
    "instance": "text",
    "contract_id": "text",
    "start": "text",
    '"end"': "text",
    "duration": "text",
    "house_number": "text",
    "address": "text",
    "city": "text",
    "zip_code": "text",
    "country": "text",
    "charge_point_type": "text",
    "connector_standards": "text",
    "connector_formats": "text",
    "connector_tariff_ids": "text",
    "ratings": "json",
    "meter_id": "text",
    "periods": "json",
    "total_cost": "numeric",
    "currency": "text",
    "warnings": "json",
}


def _unnested(columns: dict[str, str], first: int) -> str:
    """Return the rows of arrays, given from parameter `first` on. Documents come as texts."""
    arrays = ", ".join(f"${n}::{_sent_as(type_)}[]" for n, type_ in enumerate(columns.values(), first))
    return f"unnest({arrays}) as said ({', '.join(columns)})"


def _sent_as(type_: str) -> str:
    return "text" if type_ == "json" else type_


#: Ids that a former holder of the party id left are passed over: the sender cannot see their rows.
_INSERT: Final = f"""
insert into cdr (
    operator_role_id, status, revision, created_at, updated_at, {", ".join(_NEW)}
)
select $1, 'ACCEPTED', 1, $2, $2, said.* from {_unnested(_NEW, 3)} order by cdr_id, evse_id
on conflict do nothing returning id
"""

_OCCUPY: Final = """
insert into cdr_occupancy (cdr_key, operator_role_id, evse_id, during)
select key, $1, evse_id, tstzrange(started_at, ended_at)
from unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[]) as said (key, evse_id, started_at, ended_at)
order by evse_id, started_at
on conflict (cdr_key) do update set during = excluded.during where cdr_occupancy.during <> excluded.during
"""

_FREE: Final = "delete from cdr_occupancy where cdr_key = any($1)"

_INSERT_CONTENT: Final = f"""
insert into cdr_content (operator_role_id, at, {", ".join(_CONTENT)})
select $1, $2, {", ".join(f"said.{name}" + ("::json" if type_ == "json" else "") for name, type_ in _CONTENT.items())}
from {_unnested(_CONTENT, 3)}
"""


async def insert_cdrs(connection: Connection, caller: Caller, accepted: Sequence[Accepted], now: datetime) -> set[UUID]:
    """Write new CDRs as accepted; return the keys of those whose ids were free."""
    rows = [_row(each) for each in accepted]
    columns = [list(column) for column in zip(*rows, strict=True)]
    inserted = await connection.fetch(_INSERT, caller.role_id, now, *columns) if rows else []
    return {row["id"] for row in inserted}


def _row(accepted: Accepted) -> tuple[Any, ...]:
    cdr = accepted.cdr
    return (
        *(accepted.key, cdr.cdr_id, cdr.evse_id, accepted.provider_role_id, cdr.operator_id, cdr.provider_id),
        *(accepted.month, cdr.content_hash, cdr.started_at, cdr.ended_at, cdr.sent.currency, cdr.total),
        cdr.session_id,
    )


async def write_contents(connection: Connection, caller: Caller, accepted: Sequence[Accepted], now: datetime) -> None:
    """Write the contents of new CDRs and of revisions, and occupy their times instead of those before."""
    if not accepted:
        return
    cdrs = [each.cdr for each in accepted]
    await connection.execute(
        _OCCUPY,
        caller.role_id,
        [each.key for each in accepted],
        [each.evse_id for each in cdrs],
        [each.started_at for each in cdrs],
        [each.ended_at for each in cdrs],
    )
    columns = [list(column) for column in zip(*map(_content, accepted), strict=True)]
    await connection.execute(_INSERT_CONTENT, caller.role_id, now, *columns)


def _content(accepted: Accepted) -> tuple[Any, ...]:
    cdr, sent = accepted.cdr, accepted.cdr.sent
    token, address, connector = sent.token, sent.address, sent.connector
    tariff_id = None if connector.tariff_id is None else normalise_tariff_id(connector.tariff_id)
    return (
        *(accepted.month, accepted.key, accepted.revision, accepted.provider_role_id, cdr.content_hash),
        *(token.type.value, None if token.sub_type is None else token.sub_type.value, token.representation.value),
        *(token.instance, cdr.contract_id, sent.start, sent.end, sent.duration),
        *(address.house_number, address.address, address.city, address.zip_code, address.country),
        *(sent.charge_point_type.value, connector.standard.value, connector.format.value, tariff_id),
        *(None if sent.ratings is None else _document(msgspec.structs.asdict(sent.ratings)), sent.meter_id),
        *(_document(msgspec.to_builtins(sent.periods)), cdr.total_cost, sent.currency),
        _document([msgspec.structs.asdict(each) for each in accepted.warnings]),
    )


def _document(value: Any) -> str:
    return orjson.dumps(value).decode()


async def free_times(connection: Connection, keys: Sequence[UUID]) -> None:
    """Give up the times of rejected CDRs."""
    if keys:
        await connection.execute(_FREE, keys)


async def make_months(connection: Connection, months: Sequence[date]) -> None:
    """Create the partitions of some months that have none."""
    for month in months:
        await connection.fetchval("select make_month('cdr_content', $1)", month)


_MISSING: Final = """
select month from unnest($1::date[]) as month
where to_regclass('cdr_content_' || to_char(month, 'YYYYMMDD')) is null
"""


async def months_without_partition(connection: Connection, accepted: Sequence[Accepted]) -> list[date]:
    """Return the months of some CDRs whose contents would go to the default partition."""
    months = sorted({each.month for each in accepted})
    return [month for (month,) in await connection.fetch(_MISSING, months)] if months else []
