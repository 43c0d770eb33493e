"""What the clock does to authorisations: they expire, and what is not needed any more of personal data is deleted."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from app.db.engine import Connection, Database
from app.db.staging import rows_of
from app.settings import Settings

AT_ONCE: Final = 1_000

_EXPIRE: Final = """
update authorisation set expired = true where id in (
    select id from authorisation where removed_at is null and not expired and expires_at <= $1
    order by expires_at limit $2 for no key update skip locked
)
"""

#: Takes the authorisation out of an answer.
BLANK: Final = """
token_type = null, token_sub_type = null, representation = null, instance = null, contract_id = null,
printed_number = null, expires_at = null, updated_at = null
"""

_DELETE_REMOVED: Final = f"""
with gone as (
    delete from authorisation where id in (
        select id from authorisation where removed_at < $1 order by removed_at limit $2 for update skip locked
    ) returning id
), blanked as (
    update authorisation_answer set {BLANK} where authorisation_id in (select id from gone)
)
select from gone
"""

_DELETE_ANSWERS: Final = """
delete from authorisation_answer where id in (select id from authorisation_answer where at < $1 order by at limit $2)
"""


async def log_expired(database: Database, now: datetime) -> None:
    """Log the authorisations that have expired by now: followers of changes receive them as removed."""
    await _repeat(database, _EXPIRE, now)


def forget_personal_data(settings: Settings) -> Callable[[Database, datetime], Awaitable[None]]:
    """Return the duty to delete removed tokens and old answers. Cursors expire before the tokens that they name."""
    removed_for = timedelta(days=max(settings.removed_token_days, settings.cursor_days + 1))
    answered_for = timedelta(days=max(1, settings.authorisation_request_days))

    async def forget(database: Database, now: datetime) -> None:
        await _repeat(database, _DELETE_REMOVED, now - removed_for)
        await _repeat(database, _DELETE_ANSWERS, now - answered_for)

    return forget


async def _repeat(database: Database, sql: str, instant: datetime) -> None:
    """Run a statement, as the hub itself, until it finds nothing more; each time in a short transaction."""

    async def work(connection: Connection) -> int:
        return rows_of(await connection.execute(sql, instant, AT_ONCE))

    while await database.write(work, administrator=True) == AT_ONCE:
        pass
