"""May this token charge? The single request, and the report of a session that an operator authorised by itself.

An operator is answered from the providers that it has a contract with, as if there were no others: row-level security
hides their tokens from every statement here. Where several of them have the token, the one that uploaded it last
counts: it knows best of a card that changed hands. A repeated request is answered as before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from app.auth import Caller
from app.db.engine import Connection, Database
from app.errors import BadInput, HubError
from app.exchange.actor import write_as
from app.exchange.sessions.commands import Sides, begin_session, check_instant, has_evse
from app.ids import party_of
from app.records.token import Token, columns_of_token, keys_of, token_flaw
from app.vocabulary import ResultCode, SessionWarning, TokenType

LONGEST_REQUEST_ID: Final = 255

#: Columns of an authorisation that an answer keeps.
_SHOWN: Final = (
    *("token_type", "token_sub_type", "representation", "instance"),
    *("contract_id", "printed_number", "expires_at", "updated_at"),
)


class RequestIdReused(HubError):
    """A `requestId` came before, with other content: the answer to that would not fit."""

    code = "REQUEST_ID_REUSED"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request. `authorisation`: the row that counts, granted or expired; `provider_role_id`: who reads
    of the request."""

    code: ResultCode
    description: str
    authorisation: asyncpg.Record | None = None
    provider_role_id: int | None = None
    session_id: UUID | None = None


async def request_authorisation(
    database: Database, caller: Caller, token: Token, evse_id: str | None, request_id: str | None, now: datetime
) -> UUID:
    """Decide whether a token may charge now; granted, that begins a session. Return the id of the answer.

    Raises: BadInput; RequestIdReused.
    """
    _check_token(token)
    asked = ["single", list(keys_of(token)), evse_id]

    async def decide(connection: Connection) -> Decision:
        found = await _find(connection, token)
        if not found:
            return Decision(ResultCode.ROAMING, "no provider that you have a contract with has this token")
        row = next((row for row in found if row["expires_at"] > now), found[0])
        provider = row["provider_role_id"]
        if row["expires_at"] <= now:
            return Decision(ResultCode.INVALID_ID, "the authorisation of this token has expired", row, provider)
        if evse_id is not None and not await has_evse(connection, caller.role_id, evse_id):
            return Decision(ResultCode.INVALID_ID, "evseId is not an EVSE of yours", row, provider)
        sides = _sides(caller, provider, row["party_id"])
        session_id = await begin_session(
            connection, caller, sides, evse_id, row["contract_id"], columns_of_token(token), now, now
        )
        return Decision(ResultCode.OK, "granted", row, provider, session_id)

    return await _answer_once(database, caller, request_id, asked, evse_id, decide, now)


async def start_session(
    database: Database,
    caller: Caller,
    token: Token,
    contract_id: str,
    evse_id: str,
    at: datetime,
    request_id: str | None,
    now: datetime,
) -> UUID:
    """Store a session that an operator authorised from its own copy of the list. Return the id of the answer.

    The energy has flowed, so a session that was not valid is stored all the same, with warnings that both sides see.
    Raises: BadInput; RequestIdReused.
    """
    _check_token(token, remote=True)
    check_instant("at", at, now)
    asked = ["start", list(keys_of(token)), contract_id, evse_id, at.isoformat()]

    async def decide(connection: Connection) -> Decision:
        if not await has_evse(connection, caller.role_id, evse_id):
            return Decision(ResultCode.INVALID_ID, "evseId is not an EVSE of yours")
        contract = await connection.fetchrow(_CONTRACT, caller.role_id, party_of(contract_id), at)
        if contract is None:
            return Decision(ResultCode.ROAMING, "you have had no contract with the provider of this contract id")
        found = [row for row in await _find(connection, token) if row["contract_id"] == contract_id]
        row = next((row for row in found if row["expires_at"] > at), None)
        warnings: tuple[SessionWarning, ...] = ()
        if not contract["in_force"]:
            warnings += (SessionWarning.NO_CONTRACT_THEN,)
        if row is None:
            warnings += (SessionWarning.TOKEN_NOT_VALID,)
        sides = _sides(caller, contract["provider_role_id"], party_of(contract_id))
        session_id = await begin_session(
            connection, caller, sides, evse_id, contract_id, columns_of_token(token), at, now, warnings
        )
        words = "stored, but the hub cannot confirm that it was authorised: see its warnings" if warnings else "stored"
        return Decision(ResultCode.OK, words, row, sides.provider_role_id, session_id)

    return await _answer_once(database, caller, request_id, asked, evse_id, decide, now)


def _check_token(token: Token, remote: bool = False) -> None:
    flaw = token_flaw(token)
    if flaw is not None:
        raise BadInput(f"token{flaw.path}: {flaw.message}")
    if token.type is TokenType.REMOTE and not remote:
        raise BadInput("token.type is REMOTE, which no list has; possible: RFID, ISO_15118")


def _sides(caller: Caller, provider_role_id: int, provider_id: str) -> Sides:
    assert caller.party_id is not None, "operators have a party id"
    return Sides(caller.role_id, caller.party_id, provider_role_id, provider_id)


_FIND: Final = f"""
select authorisation.id, provider_role_id, party_id, {", ".join(_SHOWN)}
from authorisation join partner_role on partner_role.id = provider_role_id
where (token_key = any($1) or token_key_160 = any($1)) and removed_at is null
order by authorisation.updated_at desc, party_id, token_key
"""


async def _find(connection: Connection, token: Token) -> list[asyncpg.Record]:
    """Return the authorisations that answer to a token and that row-level security shows, in the order they count."""
    return await connection.fetch(_FIND, keys_of(token).all)


#: A contract that was accepted at some time; whether one of them was in force at $3. A suspended partner has none.
_CONTRACT: Final = """
select provider.id as provider_role_id, bool_or(
    valid_from <= $3 and (valid_until is null or valid_until > $3)
    and (status in ('ACTIVE', 'ENDED') or contract.updated_at > $3)
    and not exists (select from partner where id in (first_partner_id, second_partner_id) and suspended_at <= $3)
) as in_force
from partner_role as provider
join contract on (first_role_id, second_role_id) in ((provider.id, $1), ($1, provider.id))
where provider.role = 'EVSP' and provider.party_id = $2 and valid_from is not null
group by provider.id order by provider.id desc limit 1
"""


# ---------------------------------------------------------------- answers

#: Two transactions with one request id: the second waits here for the first, and then finds its answer.
_CLAIM: Final = """
insert into authorisation_answer (operator_role_id, request_id, at, content_hash) values ($1, $2, $3, $4)
on conflict (operator_role_id, request_id) do nothing returning id
"""

_ANSWERED: Final = "select id, content_hash from authorisation_answer where operator_role_id = $1 and request_id = $2"

_ANSWER: Final = f"""
update authorisation_answer set code = $2, description = $3, authorisation_id = $4, session_id = $5,
    {", ".join(f"{name} = ${n}" for n, name in enumerate(_SHOWN, 6))}
where id = $1
"""

_RECORD: Final = """
insert into authorisation_request (
    at, operator_role_id, provider_role_id, operator_id, evse_id, code, authorisation_id, session_id
) values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def _answer_once(
    database: Database,
    caller: Caller,
    request_id: str | None,
    asked: list[Any],
    evse_id: str | None,
    decide: Callable[[Connection], Awaitable[Decision]],
    now: datetime,
) -> UUID:
    """Decide a request and keep its answer, in one transaction; a repeated one gets the answer that is kept."""
    if request_id is not None and not (1 <= len(request_id) <= LONGEST_REQUEST_ID and request_id.isprintable()):
        raise BadInput(f"requestId is not possible; expected 1 to {LONGEST_REQUEST_ID} printable characters")
    content_hash = blake2b(orjson.dumps(asked), digest_size=16).digest()

    async def work(connection: Connection) -> UUID:
        answer_id = await connection.fetchval(_CLAIM, caller.role_id, request_id, now, content_hash)
        if answer_id is None:
            return await _answered(connection, caller, request_id, content_hash)
        decision = await decide(connection)
        await _keep(connection, caller, answer_id, decision, evse_id, now)
        return answer_id

    return await write_as(database, caller, work)


async def _answered(connection: Connection, caller: Caller, request_id: str | None, content_hash: bytes) -> UUID:
    row = await connection.fetchrow(_ANSWERED, caller.role_id, request_id)
    assert row is not None, "the answer is there: its row was in the way"
    if row["content_hash"] != content_hash:
        raise RequestIdReused("this requestId came before with other content", "a new request needs an id of its own")
    return row["id"]


async def _keep(
    connection: Connection, caller: Caller, answer_id: UUID, decision: Decision, evse_id: str | None, now: datetime
) -> None:
    row = decision.authorisation
    granted = row if decision.code is ResultCode.OK else None
    shown = [None if granted is None else granted[name] for name in _SHOWN]
    authorisation_id = None if row is None else row["id"]
    await connection.execute(
        _ANSWER, answer_id, decision.code, decision.description, authorisation_id, decision.session_id, *shown
    )
    await connection.execute(
        _RECORD,
        *(now, caller.role_id, decision.provider_role_id, caller.party_id, evse_id),
        *(decision.code, authorisation_id, decision.session_id),
    )
