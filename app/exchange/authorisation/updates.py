"""What becomes of uploaded authorisations; an upload is one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.exchange.authorisation.tables import NAMED, columns_of, merge, remove, replace
from app.ids import party_of, separated_party_id
from app.records.authorisation import Authorisation, key_of_refused, read_authorisation, read_token
from app.records.token import Token, columns_of_token, keys_of
from app.uploads.batches import batches
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.content import content_hash
from app.uploads.items import NotItsOperator, Owner, Report, by_index, worth_keeping
from app.uploads.locks import PROVIDER, share
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals, note_upload
from app.uploads.yielding import yielding

#: Count up when the same authorisation must be written again because its row came to mean something else.
LAYOUT: Final = 1

#: How many authorisations one statement takes.
AT_ONCE: Final = 1_000


@dataclass(slots=True)
class ReadAuthorisations:
    """What an upload holds. `kept`: keys of refused items, whose previous records stay."""

    items: dict[int, Authorisation] = field(default_factory=dict[int, Authorisation])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    kept: set[str] = field(default_factory=set[str])


async def read_authorisations(raw: Sequence[Any], owner: Owner) -> ReadAuthorisations:
    """Check the items of an upload. Of several for one token the last one counts."""
    found = ReadAuthorisations()
    async for index, item in yielding(enumerate(raw)):
        read = read_authorisation(item, index)
        if isinstance(read, Authorisation) and party_of(read.contract_id) == owner.party_id:
            found.items[index] = read
            continue
        found.refused += worth_keeping(read if isinstance(read, list) else [_foreign(index, owner)], len(found.refused))
        key = key_of_refused(item)
        if key is not None:
            found.kept.add(key)
    await _drop_doubles(found)
    return found


def _foreign(index: int, owner: Owner) -> Refusal:
    message = f"expected a Contract-ID under your party id {separated_party_id(owner.party_id)}"
    path = f"authorisations[{index}].contractId"
    return Refusal(path=path, index=index, code=RefusalCode.INVALID_ID, message=message)


async def _drop_doubles(found: ReadAuthorisations) -> None:
    last: dict[str, int] = {}
    async for index, item in yielding(list(found.items.items())):
        for key in keys_of(item.token).all:
            last[key] = index
    async for index, item in yielding(list(found.items.items())):
        counting = max(last[key] for key in keys_of(item.token).all)
        if counting != index:
            del found.items[index]
            message = f"this token stands in the upload again; authorisations[{counting}] counts"
            path = f"authorisations[{index}].token"
            found.refused.append(Refusal(path=path, index=index, code=RefusalCode.DUPLICATE, message=message))


async def update_authorisations(
    database: Database, read: ReadAuthorisations, owner: Owner, now: datetime, *, refusals_kept: int = REFUSALS_KEPT
) -> Report:
    """Add or change authorisations of a provider; what cannot go in is refused and keeps its previous record.

    The same upload again changes nothing. Raises: NotItsOperator; Busy.
    """
    rows = [row_of(item) async for item in yielding(read.items.values())]
    rows.sort(key=lambda row: row["token_key"])

    async def work(connection: Connection) -> Report:
        await begin(connection, owner, now)
        written = 0
        for some in batches(rows, AT_ONCE):
            columns = columns_of(some)
            await replace(connection, now, owner.role_id, *columns)
            written += await merge(connection, now, owner.role_id, NAMED, *columns)
        report = Report(written, len(rows) - written, 0, by_index(read.refused))
        await keep_refusals(
            connection, owner.partner_id, "updateRoamingAuthorisationList", report.refused, now, refusals_kept
        )
        return report

    return await database.write(work, owner.partner_id, role=owner.role_id)


async def remove_authorisations(
    database: Database, raw: Sequence[Any], owner: Owner, now: datetime, *, refusals_kept: int = REFUSALS_KEPT
) -> Report:
    """Remove authorisations of a provider, named by their tokens in any representation that they answer to.

    Raises: NotItsOperator; Busy.
    """
    tokens: dict[int, Token] = {}
    malformed: list[Refusal] = []
    async for index, item in yielding(enumerate(raw)):
        read = read_token(item, index)
        if isinstance(read, Token):
            tokens[index] = read
        else:
            malformed += worth_keeping(read, len(malformed))
    named = [(key, index) async for index, token in yielding(tokens.items()) for key in keys_of(token).all]

    async def work(connection: Connection) -> Report:
        await begin(connection, owner, now)
        found: set[int] = set()
        removed = 0
        for some in batches(named, AT_ONCE):
            keys, indices = [key for key, _ in some], [index for _, index in some]
            hits, gone = await remove(connection, now, owner.role_id, keys, indices)
            found, removed = found | hits, removed + gone
        refused = by_index((*malformed, *_absent(tokens, found)))
        await keep_refusals(connection, owner.partner_id, "removeRoamingAuthorisations", refused, now, refusals_kept)
        return Report(0, 0, removed, refused)

    return await database.write(work, owner.partner_id, role=owner.role_id)


def _absent(tokens: Collection[int], found: Collection[int]) -> list[Refusal]:
    message = "this token is not in your list"
    return [
        Refusal(path=f"tokens[{index}]", index=index, code=RefusalCode.INVALID_ID, message=message)
        for index in tokens
        if index not in found
    ]


def row_of(item: Authorisation) -> dict[str, Any]:
    """Return an authorisation as columns, with a hash over what its provider says; absent fields are no part of it."""
    content: dict[str, Any] = {
        **columns_of_token(item.token),
        "contract_id": item.contract_id,
        "printed_number": item.printed_number,
        "expires_at": item.expires_at,
    }
    return {**content, "content_hash": content_hash(content, LAYOUT)}


_HOLDS: Final = """
select from partner_role where id = $1 and role = 'EVSP' and party_id = $2 and revoked_at is null for share
"""


async def begin(connection: Connection, owner: Owner, now: datetime) -> None:
    """Begin an upload of a provider, and lock its role against revocation. Raises: NotItsOperator."""
    await connection.execute("set local plan_cache_mode = force_custom_plan")
    await share(connection, PROVIDER, [owner.role_id])
    await note_upload(connection, owner.partner_id, now)
    if not await connection.fetch(_HOLDS, owner.role_id, owner.party_id):
        raise NotItsOperator(f"the role that acts here does not hold provider {separated_party_id(owner.party_id)}")
