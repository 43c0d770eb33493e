"""The tables of tariffs, written as sets.

All writers of an operator's tariffs lock its partner first (`note_upload`), so no two of them meet.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from app.db.engine import Connection
from app.exchange.tariffs.rows import Moved, Shown, TariffRow, moved
from app.visibility.tariff_audience import ALL_BUT

_STORED: Final = "select tariff_id, content_hash from tariff where tariff_id = any($1)"

_DEFAULTS: Final = """
select tariff.tariff_id, individual_tariff.content_hash, default_updated_at
from tariff join individual_tariff on individual_tariff.tariff_id = tariff.tariff_id and number = 0
where tariff.tariff_id = any($1)
"""

_NAMED: Final = """
select tariff_id, party_id, content_hash, updated_at
from tariff_recipient join individual_tariff using (tariff_id, number) where tariff_id = any($1)
"""

_PUT: Final = """
insert into tariff (tariff_id, operator_no, content_hash, updated_at, default_updated_at)
select tariff_id, $1, content_hash, $2, default_updated_at
from unnest($3::text[], $4::bytea[], $5::timestamptz[]) as said (tariff_id, content_hash, default_updated_at)
on conflict (tariff_id) do update set content_hash = excluded.content_hash, updated_at = excluded.updated_at,
    default_updated_at = excluded.default_updated_at
"""

_CLEAR: Final = "delete from individual_tariff where tariff_id = any($1)"

_PUT_INDIVIDUAL: Final = """
insert into individual_tariff (tariff_id, number, operator_no, currency, elements, content_hash)
select tariff_id, number, $1, currency, elements::json, content_hash
from unnest($2::text[], $3::integer[], $4::text[], $5::text[], $6::bytea[])
    as said (tariff_id, number, currency, elements, content_hash)
"""

_PUT_RECIPIENTS: Final = """
insert into tariff_recipient (tariff_id, party_id, number, operator_no, updated_at)
select tariff_id, party_id, number, $1, updated_at
from unnest($2::text[], $3::text[], $4::integer[], $5::timestamptz[])
    as said (tariff_id, party_id, number, updated_at)
on conflict (tariff_id, party_id) do update set number = excluded.number, updated_at = excluded.updated_at
"""

_LOG: Final = """
insert into change (kind, entity_id, existed, operator_nos, longitudes, latitudes, recipients)
select 'TARIFF', tariff_id, existed, array[$1::integer], '{{0}}', '{{0}}', string_to_array(recipients, ',')
from {said} as said (tariff_id, existed, recipients)
"""

_LOG_WRITTEN: Final = _LOG.format(said="unnest($2::text[], $3::boolean[], $4::text[])")

_REMOVE: Final = f"""
with removed as (
    delete from tariff where tariff_id = any($2) and operator_no = $1 returning tariff_id
), logged as (
    {_LOG.format(said=f"(select tariff_id, true, '{ALL_BUT}' from removed order by tariff_id)")}
)
select tariff_id from removed
"""


async def merge(connection: Connection, operator_no: int, rows: Sequence[TariffRow], now: datetime) -> int:
    """Write an operator's tariffs whole; return how many are new or changed."""
    stored = {each[0]: each[1] for each in await connection.fetch(_STORED, [row.tariff_id for row in rows])}
    changed = [row for row in rows if stored.get(row.tariff_id) != row.content_hash]
    if changed:
        before = await _shown_before(connection, [row.tariff_id for row in changed])
        await _write(connection, operator_no, [moved(row, before.get(row.tariff_id), now) for row in changed], now)
    return len(changed)


async def _shown_before(connection: Connection, tariff_ids: Sequence[str]) -> Mapping[str, Shown]:
    shown = {each[0]: Shown(each[1], each[2]) for each in await connection.fetch(_DEFAULTS, tariff_ids)}
    for tariff_id, party_id, content_hash, since in await connection.fetch(_NAMED, tariff_ids):
        shown[tariff_id].named[party_id] = content_hash, since
    return shown


async def _write(connection: Connection, operator_no: int, written: Sequence[Moved], now: datetime) -> None:
    tariff_ids = [each.row.tariff_id for each in written]
    individual = [
        (each.row.tariff_id, number, row) for each in written for number, row in enumerate(each.row.individual)
    ]
    recipients = [
        (each.row.tariff_id, party_id, each.numbers.get(party_id, 0), since)
        for each in written
        for party_id, since in each.since.items()
    ]
    hashes, defaults = [each.row.content_hash for each in written], [each.default_since for each in written]
    await connection.execute(_PUT, operator_no, now, tariff_ids, hashes, defaults)
    await connection.execute(_CLEAR, tariff_ids)
    await connection.execute(
        _PUT_INDIVIDUAL,
        operator_no,
        [tariff_id for tariff_id, _, _ in individual],
        [number for _, number, _ in individual],
        [row.currency for _, _, row in individual],
        [row.elements for _, _, row in individual],
        [row.content_hash for _, _, row in individual],
    )
    if recipients:
        await connection.execute(_PUT_RECIPIENTS, operator_no, *(list(each) for each in zip(*recipients, strict=True)))
    existed, logged = [each.existed for each in written], [",".join(each.recipients) for each in written]
    await connection.execute(_LOG_WRITTEN, operator_no, tariff_ids, existed, logged)


async def remove(connection: Connection, operator_no: int, tariff_ids: Sequence[str]) -> set[str]:
    """Remove tariffs of an operator; return the ids of those that were there."""
    return {each[0] for each in await connection.fetch(_REMOVE, operator_no, tariff_ids)}
