"""What the hub holds about the driver of one contract: listed and erased at the driver's request, at the console.

Personal are the tokens of the contract, what was answered about them, and which sessions were the driver's. Operators
and providers follow ids that mean nothing outside the hub, so these stay: as tombstones of tokens, and in sessions,
whose times and energy accounting needs. CDRs stay whole: they are vouchers of accounts, and name the contract.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from app.db.engine import Connection, Database, Reading
from app.exchange.actor import Actor, require_administrator, write_as
from app.exchange.audit import Entry, record
from app.exchange.authorisation.retention import BLANK
from app.ids import party_of
from app.uploads.locks import PROVIDER, share

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What is held about a contract. `tokens`: also those in unfinished uploads; `requests`: with their answers."""

    tokens: Sequence[Row]
    requests: Sequence[Row]
    sessions: Sequence[Row]
    cdrs: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased: how many of each. `id` names it in the audit log; None: nothing was. `cdrs`: those that stay."""

    id: UUID | None
    tokens: int
    requests: int
    sessions: int
    cdrs: int


# ---------------------------------------------------------------- what belongs to a contract

#: Removed tokens have lost their contract; the answers that granted one still name both.
_TOKENS: Final = """
select id from authorisation where contract_id = $1
union
select authorisation.id from authorisation_answer as answer
join authorisation on authorisation.id = answer.authorisation_id
where answer.contract_id = $1 and authorisation.removed_at is not null
"""

#: Answers that grant nothing name no contract, but what they are about does.
_ANSWERS: Final = """
select id from authorisation_answer where contract_id = $1
union
select answer.id from authorisation join authorisation_answer as answer on answer.authorisation_id = authorisation.id
where authorisation.contract_id = $1 and answer.contract_id is null
union
select answer.id from session join authorisation_answer as answer on answer.session_id = session.id
where session.contract_id = $1 and answer.contract_id is null
"""

_PROVIDERS: Final = "select id, partner_id from partner_role where role = 'EVSP' and party_id = $1"

#: The parts of unfinished lists of some providers.
_STAGED: Final = """
select list_part.no from upload_list join list_part on list_part.list_no = upload_list.no
where role_id = any($2) and staged
"""


# ---------------------------------------------------------------- listing

_LIST_TOKENS: Final = f"""
select case when removed_at is not null then 'REMOVED' when expires_at <= $3 then 'EXPIRED' else 'IN_FORCE' end
    as status, token_type as type, token_sub_type as sub_type, representation, instance, printed_number, expires_at,
    updated_at
from authorisation where id in ({_TOKENS})
union all
select 'UPLOADED', token_type, token_sub_type, representation, instance, printed_number, expires_at, null
from listed_authorisation where contract_id = $1 and part_no in ({_STAGED})
order by updated_at, expires_at, instance
"""

_LIST_REQUESTS: Final = f"""
select answer.at, partner_role.party_id as operator_id, asked.evse_id, answer.request_id, answer.code,
    answer.description, answer.instance, answer.printed_number, answer.session_id
from authorisation_answer as answer join partner_role on partner_role.id = answer.operator_role_id
left join lateral (
    select evse_id from authorisation_request as request
    where request.operator_role_id = answer.operator_role_id and request.at = answer.at
    and request.session_id is not distinct from answer.session_id
    and request.authorisation_id is not distinct from answer.authorisation_id limit 1
) as asked on true
where answer.id in ({_ANSWERS}) order by answer.at, answer.id
"""

_LIST_SESSIONS: Final = """
select id as session_id, operator_id, evse_id, status, token_type as type, representation, instance, authorised_at,
    connected_at, energy_started_at, energy_ended_at, disconnected_at, ended_at, ended_by as "end",
    energy_kwh
from session where contract_id = $1 order by authorised_at, id
"""


#: Those of which any revision names the contract.
_LIST_CDRS: Final = """
select cdr_id, operator_id, evse_id, status, started_at, ended_at, total, currency
from cdr where id in (select cdr_key from cdr_content where contract_id = $1) order by started_at, id
"""


async def list_personal_data(database: Database, actor: Actor, contract_id: str, now: datetime) -> PersonalData:
    """List what the hub holds about a contract, given without separators and check digit. Raises: Forbidden."""
    require_administrator(actor, "find person")
    async with database.reading() as reader:

        async def rows(sql: str, *args: Any) -> list[Row]:
            return [dict(row) for row in await _read(reader, actor, sql, contract_id, *args)]

        providers = [row["id"] for row in await _read(reader, actor, _PROVIDERS, party_of(contract_id))]
        return PersonalData(
            tokens=await rows(_LIST_TOKENS, providers, now),
            requests=await rows(_LIST_REQUESTS),
            sessions=await rows(_LIST_SESSIONS),
            cdrs=await rows(_LIST_CDRS),
        )


async def _read(reader: Reading, actor: Actor, sql: str, *args: Any) -> list[asyncpg.Record]:
    return await reader.fetch_private(actor.partner_id, actor.is_administrator, sql, *args, role=actor.role_id)


# ---------------------------------------------------------------- erasing

_LOCK_PARTNERS: Final = "select from partner where id = any($1) order by id for no key update"

_UNSTAGE: Final = f"""
delete from listed_authorisation where contract_id = $1 and part_no in ({_STAGED}) returning token_key, token_key_160
"""

#: Every request begins with its answer, and what it finds it reads after that: the ones under way end first, and those
#: that come later see the tokens as removed.
_AWAIT_REQUESTS: Final = "lock table authorisation_answer in share mode"

#: A token keeps its type, which names no person. The key must be another one than that of every token.
_ERASE_TOKENS: Final = """
with held as materialized (
    select id, token_key, token_key_160 from authorisation where id = any($1) order by id for update
)
update authorisation as stood set removed_at = coalesce(removed_at, $2), updated_at = $2, contract_id = null,
    printed_number = null, token_key = 'erased:' || stood.id, token_key_160 = null, token_sub_type = null,
    representation = 'PLAIN', instance = '', content_hash = ''
from held where stood.id = held.id returning held.token_key, held.token_key_160
"""

#: What was asked is known by a hash of the token: the request id stays taken, and is refused when it comes again.
_ERASE_ANSWERS: Final = f"update authorisation_answer set {BLANK}, content_hash = '' where id = any($1)"

_ERASE_SESSIONS: Final = """
with held as materialized (
    select id, token_key, token_key_160 from session where contract_id = $1 order by id for no key update
)
update session as stood set updated_at = $2, contract_id = null, token_key = '', token_key_160 = null,
    token_sub_type = null, representation = 'PLAIN', instance = ''
from held where stood.id = held.id returning held.token_key, held.token_key_160
"""

#: Lists keep the keys of refused items, whose previous records stay. A key that another contract's token has is its.
_ERASE_KEPT: Final = """
with gone as (
    select array_agg(key) as keys from unnest($2::text[]) as key
    where not exists (select from authorisation where token_key = key and provider_role_id = any($1))
)
update list_part set kept_ids = array(select kept from unnest(kept_ids) as kept where kept <> all(gone.keys))
from upload_list, gone
where upload_list.no = list_part.list_no and role_id = any($1) and kept_ids && gone.keys
"""


async def erase_personal_data(database: Database, actor: Actor, contract_id: str, now: datetime) -> Erasure:
    """Erase what the hub holds about a contract, in one transaction; again it erases what came since.

    Followers receive the tokens as removed, and the sessions as changed. The audit log names no contract.
    Raises: Forbidden; Busy while a whole list of the provider is merged.
    """
    require_administrator(actor, "erase person")

    async def work(connection: Connection) -> Erasure:
        providers = await _lock_providers(connection, party_of(contract_id))
        staged = await connection.fetch(_UNSTAGE, contract_id, providers)
        await connection.execute(_AWAIT_REQUESTS)
        token_ids, answer_ids = [await _ids(connection, sql, contract_id) for sql in (_TOKENS, _ANSWERS)]
        tokens = await connection.fetch(_ERASE_TOKENS, token_ids, now)
        await connection.execute(_ERASE_ANSWERS, answer_ids)
        sessions = await connection.fetch(_ERASE_SESSIONS, contract_id, now)
        await connection.execute(_ERASE_KEPT, providers, _keys(*staged, *tokens, *sessions))
        cdrs = len(await connection.fetch(_LIST_CDRS, contract_id))
        counts = {"tokens": len(staged) + len(tokens), "requests": len(answer_ids), "sessions": len(sessions)}
        if not any(counts.values()):
            return Erasure(None, **counts, cdrs=cdrs)
        erasure = Erasure(uuid4(), **counts, cdrs=cdrs)
        await record(connection, actor, now, [Entry("erasePerson", "erasure", erasure.id, frozenset(), counts)])
        return erasure

    return await write_as(database, actor, work)


async def _lock_providers(connection: Connection, party_id: str) -> list[int]:
    """Hold off the uploads of the providers with a party id, whose tokens may be of the contract; return their roles.

    Raises: Later.
    """
    rows = await connection.fetch(_PROVIDERS, party_id)
    role_ids = [row["id"] for row in rows]
    await share(connection, PROVIDER, role_ids)
    await connection.execute(_LOCK_PARTNERS, [row["partner_id"] for row in rows])
    return role_ids


async def _ids(connection: Connection, sql: str, contract_id: str) -> list[UUID]:
    return [row["id"] for row in await connection.fetch(sql, contract_id)]


def _keys(*rows: asyncpg.Record) -> list[str]:
    return sorted({key for row in rows for key in row if key is not None})
