"""The table of authorisations, written as sets.

All writers of a provider's authorisations lock its partner first (`note_upload`), so no two of them meet. Of one token
a provider has one row: a plain token replaces the entry with its SHA-160 hash, and the other way round.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection
from app.db.staging import rows_of
from app.db.tables import listed_authorisation

#: What a provider says of a token: the columns that its table and that of lists have in common.
COLUMNS: Final = tuple(column.name for column in listed_authorisation.columns)[2:]

_TYPES: Final = {"expires_at": "timestamptz", "content_hash": "bytea"}

#: Authorisations to write, given as columns from $3 on.
NAMED: Final = f"""
select * from unnest({", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(COLUMNS, 3))})
as said ({", ".join(COLUMNS)})
"""

_TAKEN_AWAY: Final = "removed_at = $1, contract_id = null, printed_number = null, updated_at = $1"

#: The same token in another representation, which is no other entry.
_REPLACE: Final = f"""
update authorisation as stood set {_TAKEN_AWAY} from ({NAMED}) as said
where stood.provider_role_id = $2 and stood.removed_at is null
and stood.token_key_160 = said.token_key_160 and stood.token_key <> said.token_key
"""

_MERGE: Final = """
insert into authorisation as stood (provider_role_id, {names}, expired, updated_at)
select $2, {said_names}, said.expires_at <= $1, $1 from ({said}) as said order by token_key
on conflict (token_key, provider_role_id) do update set
    {news}, expired = excluded.expired, removed_at = null, updated_at = excluded.updated_at
where stood.content_hash <> excluded.content_hash or stood.removed_at is not null
"""

_REMOVE: Final = f"""
with named as (
    select key, index from unnest($3::text[], $4::int[]) as named (key, index)
),
found as (
    select named.index, stood.id from named join authorisation as stood
    on stood.provider_role_id = $2 and stood.removed_at is null and stood.token_key = named.key
    union
    select named.index, stood.id from named join authorisation as stood
    on stood.provider_role_id = $2 and stood.removed_at is null and stood.token_key_160 = named.key
),
removed as (
    update authorisation set {_TAKEN_AWAY} where id in (select id from found) returning id
)
select index, id from found join removed using (id)
"""

_REMOVE_KEYS: Final = f"""
update authorisation as stood set {_TAKEN_AWAY} from ({{keys}}) as gone
where stood.provider_role_id = $2 and stood.token_key = gone.id
"""


def columns_of(rows: Collection[Mapping[str, Any]]) -> list[list[Any]]:
    """Return rows as the arguments of NAMED."""
    return [[row[name] for row in rows] for name in COLUMNS]


async def merge(connection: Connection, now: datetime, provider_role_id: int, said: str, *args: Any) -> int:
    """Write what a provider says of some tokens; return how many authorisations are new or changed.

    `said`: a SELECT of COLUMNS; its parameters `args` begin with $3.
    """
    texts = {"said": said, "names": ", ".join(COLUMNS)}
    texts["said_names"] = ", ".join(f"said.{name}" for name in COLUMNS)
    texts["news"] = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "token_key")
    return rows_of(await connection.execute(_MERGE.format(**texts), now, provider_role_id, *args))


async def replace(connection: Connection, now: datetime, provider_role_id: int, *columns: Sequence[Any]) -> None:
    """Remove the authorisations of the same tokens in another representation. `columns`: the arguments of NAMED."""
    await connection.execute(_REPLACE, now, provider_role_id, *columns)


async def remove(
    connection: Connection, now: datetime, provider_role_id: int, keys: Sequence[str], indices: Sequence[int]
) -> tuple[set[int], int]:
    """Remove the authorisations that answer to some keys; return the indices that found one, and how many went."""
    rows = await connection.fetch(_REMOVE, now, provider_role_id, keys, indices)
    return {row["index"] for row in rows}, len({row["id"] for row in rows})


async def remove_keys(connection: Connection, now: datetime, provider_role_id: int, keys: str, *args: Any) -> None:
    """Remove the authorisations with these keys: a SELECT of `id`s, whose parameters begin with $3."""
    await connection.execute(_REMOVE_KEYS.format(keys=keys), now, provider_role_id, *args)
