"""What becomes of uploaded tariffs; an upload is one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.exchange.tariffs.rows import row_of
from app.exchange.tariffs.tables import merge, remove
from app.ids import normalise_tariff_id, separated_party_id, separated_tariff_id
from app.records.tariff import Tariff
from app.uploads.batches import batches
from app.uploads.checks import Refusal
from app.uploads.items import NotItsOperator, Noun, Owner, Report, by_index, read_ids, sort_out
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals, note_upload
from app.uploads.yielding import yielding

TARIFFS: Final = Noun[Tariff](
    argument="tariffs",
    id_field="tariffId",
    id_argument="tariffIds",
    id_name="a Tariff-ID",
    name="tariff",
    id_of=lambda record: record.tariff_id,
    normalise=normalise_tariff_id,
    separated=separated_tariff_id,
)

#: How many tariffs one statement takes; each may have a thousand individual tariffs.
AT_ONCE: Final = 100


async def update_tariffs(
    database: Database,
    items: Sequence[Tariff | Refusal],
    owner: Owner,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Add or replace tariffs of an operator; what cannot go in is refused and keeps its previous record.

    The same upload again changes nothing. Of several items for one tariff the last one counts.
    Raises: NotItsOperator.
    """
    own, refused = await sort_out(items, owner, TARIFFS)
    rows = [row_of(each) async for each in yielding(own.values())]
    rows.sort(key=lambda row: row.tariff_id)

    async def work(connection: Connection) -> Report:
        operator_no = await _begin(connection, owner, now)
        written = 0
        for some in batches(rows, AT_ONCE):
            written += await merge(connection, operator_no, some, now)
        report = Report(written, len(rows) - written, 0, by_index(refused))
        await keep_refusals(connection, owner.partner_id, "updateTariffs", report.refused, now, refusals_kept)
        return report

    return await database.write(work, owner.partner_id, role=owner.role_id)


async def remove_tariffs(
    database: Database, tariff_ids: Sequence[Any], owner: Owner, now: datetime, *, refusals_kept: int = REFUSALS_KEPT
) -> Report:
    """Remove tariffs of an operator by their ids in any spelling; one named twice counts once more as unchanged.

    An unknown id and another operator's are refused with the same message. Raises: NotItsOperator.
    """
    named, malformed = await read_ids(tariff_ids, TARIFFS)

    async def work(connection: Connection) -> Report:
        operator_no = await _begin(connection, owner, now)
        removed = await remove(connection, operator_no, sorted({*named.values()}))
        absent = [TARIFFS.absent(index, id_, owner) for index, id_ in named.items() if id_ not in removed]
        refused = by_index((*malformed, *absent))
        await keep_refusals(connection, owner.partner_id, "removeTariffs", refused, now, refusals_kept)
        return Report(0, len(tariff_ids) - len(refused) - len(removed), len(removed), refused)

    return await database.write(work, owner.partner_id, role=owner.role_id)


_OPERATOR: Final = """
select no from operator join partner_role on partner_role.id = role_id
where role_id = $1 and partner_role.party_id = $2 and revoked_at is null for share of partner_role
"""


async def _begin(connection: Connection, owner: Owner, now: datetime) -> int:
    """Begin an upload, and lock the operator's role against revocation; return its number. Raises: NotItsOperator."""
    await connection.execute("set local plan_cache_mode = force_custom_plan")
    await note_upload(connection, owner.partner_id, now)
    number: int | None = await connection.fetchval(_OPERATOR, owner.role_id, owner.party_id)
    if number is None:
        raise NotItsOperator(f"the role that acts here does not hold operator {separated_party_id(owner.party_id)}")
    return number
