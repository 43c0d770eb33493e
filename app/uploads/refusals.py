"""When a partner uploaded last, and what was refused of it: the newest refusals, for the partner to look at later."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from app.db.engine import Connection
from app.ids import storable
from app.settings import Settings
from app.uploads.checks import Refusal

REFUSALS_KEPT: Final = Settings().refusals_kept

_NOTE_UPLOAD: Final = "update partner set last_upload_at = greatest(last_upload_at, $2) where id = $1"

_KEEP: Final = """
insert into refusal (partner_id, at, operation, path, index, item_id, code, message)
select $1, $2, $3, path, index, item_id, code, message
from unnest($4::text[], $5::int[], $6::text[], $7::text[], $8::text[]) as refused (path, index, item_id, code, message)
"""

_TRIM: Final = """
delete from refusal where partner_id = $1
and id <= (select id from refusal where partner_id = $1 order by id desc offset $2 limit 1)
"""


async def note_upload(connection: Connection, partner_id: UUID, now: datetime) -> None:
    """Note that a partner uploads now. Locks the partner; everybody does that before locking an operator."""
    await connection.execute(_NOTE_UPLOAD, partner_id, now)


async def keep_refusals(
    connection: Connection,
    partner_id: UUID,
    operation: str,
    refused: Sequence[Refusal],
    now: datetime,
    kept: int,
) -> None:
    """Store the refusals of a partner's upload; delete all but the newest `kept` refusals."""
    newest = refused[max(0, len(refused) - kept) :]
    if newest:
        await connection.execute(_KEEP, partner_id, now, operation, *_columns(newest))
        await connection.execute(_TRIM, partner_id, kept)


def _columns(refused: Sequence[Refusal]) -> list[list[object]]:
    return [
        [storable(each.path) for each in refused],
        [each.index for each in refused],
        [None if each.id is None else storable(each.id) for each in refused],
        [each.code for each in refused],
        [storable(each.message, 2_000) for each in refused],
    ]
