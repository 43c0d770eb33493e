"""The whole list of a provider's authorisations, as `app.uploads.whole_list` merges it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.db.tables import listed_authorisation
from app.exchange.authorisation.tables import COLUMNS, merge, remove_keys
from app.exchange.authorisation.updates import ReadAuthorisations, begin, row_of
from app.records.authorisation import Authorisation
from app.records.token import keys_of
from app.uploads.checks import RefusalCode
from app.uploads.items import Noun, Owner, Reason, Report
from app.uploads.list_parts import REFUSALS_OF_LIST, ListRefusal, Part, StagedAs
from app.uploads.locks import PROVIDER
from app.uploads.refusals import REFUSALS_KEPT
from app.uploads.whole_list import AT_ONCE, Listed, ListKind, Refused, Upload, take_in

#: Tokens have no id that a message may show.
AUTHORISATIONS: Final = Noun[Authorisation](
    argument="authorisations",
    id_field="token",
    id_argument="tokens",
    id_name="a token",
    name="authorisation",
    id_of=lambda item: keys_of(item.token).key,
    normalise=str,
    separated=lambda _: "this token",
    personal=True,
)

STAGED: Final = StagedAs(
    operation="setRoamingAuthorisationList",
    removal="removeRoamingAuthorisations",
    noun=AUTHORISATIONS,
    table=listed_authorisation.name,
    columns=COLUMNS,
    id="token_key",
)


async def set_authorisations(
    database: Database,
    read: ReadAuthorisations,
    owner: Owner,
    part: Part | None,
    confirmed: bool,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Replace a provider's whole list, or keep one part of it; the part that completes the list merges it.

    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals; Busy.
    """

    async def beginning(connection: Connection) -> None:
        await begin(connection, owner, now)

    upload = Upload(
        *(owner, owner.role_id, owner.role_id, beginning, part, read.items, _row_of, read.refused),
        *(confirmed, now, refusals_kept, sorted(read.kept)),
    )
    return await take_in(database, AUTHORISATION_LIST, upload)


def _row_of(_: int, item: Authorisation) -> Mapping[str, Any]:
    return row_of(item)


# ---------------------------------------------------------------- merging

_ARE_HASHED: Final = """
select exists (
    select from listed_authorisation join list_part on list_part.no = part_no
    where list_no = $1 and token_key = token_key_160
)
"""

#: Entries with the SHA-160 hash of a token that stands in the list plain.
_DOUBLE: Final = """
delete from list_chosen as chosen using listed_authorisation as hashed
where hashed.part_no = chosen.part_no and hashed.place = chosen.place and hashed.token_key = hashed.token_key_160
and exists (
    select from list_chosen as other join listed_authorisation as plain using (part_no, place)
    where plain.token_key_160 = hashed.token_key and plain.token_key <> hashed.token_key
)
returning chosen.number, chosen.place, chosen.id
"""


#: Of a token that the list has in another representation the previous record does not stay.
_RELEASE: Final = """
delete from list_kept as kept using authorisation as stood, list_chosen as chosen
join listed_authorisation as listed using (part_no, place)
where stood.provider_role_id = $1 and stood.token_key = kept.id and stood.token_key_160 = listed.token_key_160
"""


async def _refuse(connection: Connection, listed: Listed) -> Refused:
    refused = Refused()
    if await connection.fetchval(_ARE_HASHED, listed.no):
        reason = Reason(".token", RefusalCode.DUPLICATE, "this token stands in the list plain as well; that one counts")
        rows = await connection.fetch(_DOUBLE)
        refused.count = len(rows)
        refused.refusals += [
            ListRefusal(row["number"], AUTHORISATIONS.refusal(row["place"], row["id"], reason))
            for row in rows[:REFUSALS_OF_LIST]
        ]
    await connection.execute(_RELEASE, listed.key)
    return refused


#: So many changes make old statistics of the table misleading.
MANY: Final = 10_000

_CHANGED: Final = f"""
select {", ".join(f"listed.{name}" for name in COLUMNS)}
from list_changed join listed_authorisation as listed using (part_no, place) where n > $3 and n <= $4
"""

_REMOVED: Final = "select id from list_removed where n > $3 and n <= $4"


async def _write(connection: Connection, listed: Listed, above: int, to: int) -> None:
    await merge(connection, listed.now, listed.key, _CHANGED, above, to)


async def _finish(connection: Connection, listed: Listed) -> None:
    count = await connection.fetchval("select count(*) from list_removed")
    for low in range(0, count, AT_ONCE):
        await remove_keys(connection, listed.now, listed.key, _REMOVED, low, low + AT_ONCE)
    if await connection.fetchval("select count(*) from list_changed") >= MANY:
        await connection.execute("select analyse_authorisations()")


AUTHORISATION_LIST: Final = ListKind(
    staged=STAGED,
    lock=PROVIDER,
    standing="""
        select token_key as id, content_hash from authorisation where provider_role_id = $1 and removed_at is null
    """,
    order=None,
    refuse=_refuse,
    prepare=None,
    write=_write,
    finish=_finish,
)
