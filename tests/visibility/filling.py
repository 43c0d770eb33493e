"""Worlds become rows of a hub's database."""

from typing import Any

import asyncpg

from app.auth import hash_secret, new_secret
from app.records.token import Token as SentToken
from app.records.token import columns_of_token
from app.vocabulary import TokenType
from tests.visibility.worlds import (
    AFTER,
    BEFORE,
    CURRENCIES,
    INDIVIDUAL,
    OPERATORS,
    Changed,
    Shared,
    Token,
    TokenState,
    World,
    Worlds,
    chain_of,
)
from tests.visibility_matrix import ADD_CONTRACT, ADD_OPERATOR, ADD_ROLE, LONG_AGO, LONG_HENCE, Matrix, contract_row


async def put(made: Matrix, worlds: Worlds, moment: int) -> None:
    """Bring worlds to a moment, in one transaction."""
    async with made.owner.transaction():
        for world in worlds.worlds:
            if moment == BEFORE:
                await _add_parties(made, world)
            await _put_contracts(made.owner, world, moment)
            await _put_tokens(made.owner, world, moment)
            await _add_shared(made.owner, world, moment)
            if moment == AFTER:
                await made.owner.executemany(CHANGE_SESSION, _changes(world))
                await made.owner.executemany(CHANGE_CDR, _changed_cdrs(world))
    made.hub.database.committed()


async def _add_parties(made: Matrix, world: World) -> None:
    owner, roles = made.owner, world.roles
    ids = {each.partner: each.partner_id for each in roles}
    await owner.executemany("insert into partner (id, name) values ($1, $2)", [(id_, n) for n, id_ in ids.items()])
    await owner.executemany(ADD_ROLE, [(each.id, each.partner_id, each.role.value, each.party_id) for each in roles])
    made.secrets |= {each: new_secret() for each in roles}
    await owner.executemany(ADD_KEY, [_key(world, n, made.secrets[each]) for n, each in enumerate(roles)])
    refusals = [(world.numbered(n), ids[name]) for n, name in enumerate(world.partners)]
    await owner.executemany(ADD_REFUSAL, refusals)
    noted = [(no, roles[0].id, [ids[name] for name in names]) for no, names in world.noted.items()]
    await owner.executemany(ADD_AUDIT, noted)
    await owner.executemany(ADD_CHAIN, list(world.chains))
    histories = (sorted(each, key=lambda role: role.id) for each in world.histories)
    numbered = enumerate((chain_of(each), *(role.id for role in each)) for each in histories)
    await owner.executemany(ADD_HISTORY, [(*chain, world.numbered(n), *ids_) for n, (chain, *ids_) in numbered])
    answers = [(world.id_of("answer", n), roles[n].id) for n in OPERATORS]
    await owner.executemany(ADD_ANSWER, answers)
    await owner.executemany(ADD_OPERATOR, [(roles[n].party_id, roles[n].id) for n in OPERATORS])
    for add, rows in zip(ADD_TARIFF, _tariff_rows(world), strict=True):
        await owner.executemany(add, rows)


def _key(world: World, n: int, secret: str) -> tuple[Any, ...]:
    role = world.roles[n]
    return world.id_of("key", n), role.id, role.partner_id, secret[:12], hash_secret(secret)


async def _put_contracts(owner: asyncpg.Connection, world: World, moment: int) -> None:
    state, roles = world.states[moment], [each.id for each in world.roles]
    await owner.execute("delete from contract where first_role_id = any($1::int[])", roles)
    await owner.executemany(ADD_CONTRACT, [contract_row(each) for each in state.contracts])
    suspended = [each.partner_id for each in world.roles if each.partner in state.suspended]
    await owner.execute(SUSPEND, [each.partner_id for each in world.roles], suspended)
    revoked = [world.id_of("key", n) for n in world.draft.moments[moment].revoked]
    await owner.execute("update api_key set revoked_at = now() where id = any($1::uuid[])", revoked)


async def _put_tokens(owner: asyncpg.Connection, world: World, moment: int) -> None:
    if moment == BEFORE:
        await owner.executemany(ADD_TOKEN, [_token_row(each) for each in world.tokens])
    moved = [each for each in world.tokens if moment == BEFORE or each.states[BEFORE] is not each.states[AFTER]]
    await owner.executemany(PUT_TOKEN, [(each.id, *_state_row(each, moment)) for each in moved])


def _sent(instance: str) -> SentToken:
    return SentToken(instance=instance, type=TokenType.RFID)


def _token_row(token: Token) -> tuple[Any, ...]:
    sent = columns_of_token(_sent(token.instance))
    return token.id, token.provider.id, sent["token_key"], sent["token_key_160"], token.instance


def _state_row(token: Token, moment: int) -> tuple[Any, ...]:
    state = token.states[moment]
    named = (None, None) if state is TokenState.REMOVED else (token.contract_id, token.printed_number)
    return (*named, state is TokenState.EXPIRED, state is TokenState.REMOVED, state.value.encode())


async def _add_shared(owner: asyncpg.Connection, world: World, moment: int) -> None:
    sessions = [each for each in world.sessions if each.draft.appears == moment]
    await owner.executemany(ADD_SESSION, [_session_row(world, each) for each in sessions])
    requests = [each for each in world.requests if each.draft.appears == moment]
    await owner.executemany(ADD_REQUEST, [_request_row(world, each) for each in requests])
    cdrs = [each for each in world.cdrs if each.draft.appears == moment]
    for add in ADD_CDR:
        await owner.executemany(add, [_cdr_row(each) for each in cdrs])


def _session_row(world: World, session: Shared) -> tuple[Any, ...]:
    assert session.provider is not None
    operator, provider = session.operator, session.provider
    contradictions = ["SEVERAL_SESSIONS"] if session.contradicts(session.draft.appears) else []
    sides = (operator.id, provider.id, operator.party_id, provider.party_id)
    return (session.id, *sides, f"{provider.party_id}C{world.number:08}", f"S{world.number}", contradictions)


def _request_row(world: World, request: Shared) -> tuple[Any, ...]:
    provider, draft = request.provider, request.draft
    token = None if draft.token is None else world.tokens[draft.token].id
    session = None if draft.session is None else world.id_of("session", draft.session)
    return (request.number, request.operator.id, provider and provider.id, request.operator.party_id, token, session)


def _cdr_row(cdr: Shared) -> tuple[Any, ...]:
    """Return the arguments of ADD_CDR. No two are of the same EVSE."""
    assert cdr.provider is not None
    operator, provider = cdr.operator, cdr.provider
    return cdr.id, operator.id, provider.id, operator.party_id, provider.party_id, cdr.number


def _changed_cdrs(world: World) -> list[tuple[Any, ...]]:
    return [(each.id,) for each in world.cdrs if each.draft.appears == BEFORE and each.draft.changed is Changed.STATUS]


def _tariff_rows(world: World) -> tuple[list[tuple[Any, ...]], ...]:
    """Return the arguments of each statement of ADD_TARIFF."""
    tariffs = world.tariffs
    return (
        [(each.id, each.operator.party_id) for each in tariffs],
        [(each.id, number, currency) for each in tariffs for number, currency in CURRENCIES.items()],
        [(each.id, each.recipient.party_id, INDIVIDUAL) for each in tariffs],
    )


def _changes(world: World) -> list[tuple[Any, ...]]:
    """Return the sessions that were there before and change, with their energy and contradictions afterwards."""
    return [
        (each.id, each.draft.changed is Changed.ENERGY, ["SEVERAL_SESSIONS"] if each.contradicts(AFTER) else [])
        for each in world.sessions
        if each.draft.appears == BEFORE and each.news_for(each.operator)
    ]


ADD_KEY = """
insert into api_key (id, role_id, partner_id, prefix, secret_hash, created_at) values ($1, $2, $3, $4, $5, now())
"""
ADD_REFUSAL = """
insert into refusal (id, partner_id, at, operation, path, index, code, message)
overriding system value values ($1, $2, now(), 'o', 'p', 0, 'C', 'm')
"""
ADD_AUDIT = """
insert into audit_log (id, at, actor_role_id, action, subject, subject_id, details, partner_ids)
overriding system value values ($1, now(), $2, 'a', 's', 'i', '{}', $3)
"""
ADD_CHAIN = "insert into workflow_chain values ($1, $2, 1, '')"
ADD_HISTORY = """
insert into workflow_history (first_partner_id, second_partner_id, no, first_role_id, second_role_id, subject,
    subject_id, at, command, to_state, prev_hash, hash)
values ($1, $2, $3, $4, $5, 's', 'i', now(), 'c', 't', '', '')
"""
ADD_ANSWER = """
insert into authorisation_answer (id, operator_role_id, at, content_hash) values ($1, $2, now(), '')
"""
SUSPEND = """
update partner set suspended_at = case when id = any($2::uuid[]) then now() end where id = any($1::uuid[])
"""
ADD_TOKEN = """
insert into authorisation (id, provider_role_id, token_key, token_key_160, instance, token_type, representation,
    removed_at, expires_at, content_hash, updated_at)
values ($1, $2, $3, $4, $5, 'RFID', 'PLAIN', now(), now(), '', now())
"""
PUT_TOKEN = f"""
update authorisation set contract_id = $2, printed_number = $3, expired = $4, removed_at = case when $5 then now() end,
    content_hash = $6, updated_at = now(),
    expires_at = case when $4 then '{LONG_AGO}'::timestamptz else '{LONG_HENCE}' end
where id = $1
"""
ADD_SESSION = """
insert into session (id, operator_role_id, provider_role_id, operator_id, provider_id, contract_id, token_key,
    token_type, representation, instance, status, authorised_at, updated_at, contradictions)
values ($1, $2, $3, $4, $5, $6, '', 'RFID', 'PLAIN', $7, 'ACTIVE', now(), now(), $8)
"""
ADD_REQUEST = """
insert into authorisation_request (id, at, operator_role_id, provider_role_id, operator_id, code, authorisation_id,
    session_id)
overriding system value values ($1, now(), $2, $3, $4, 'OK', $5, $6)
"""
CHANGE_SESSION = """
update session set energy_kwh = case when $2 then 1 end, contradictions = $3 where id = $1
"""
#: Each of them takes the same row.
ADD_CDR = (
    """
insert into cdr (id, operator_role_id, provider_role_id, operator_id, provider_id, cdr_id, evse_id, month, status,
    revision, content_hash, started_at, ended_at, currency, total, created_at, updated_at)
select $1::uuid, $2::int, $3::int, $4, $5, $4 || 'C' || $6::int, $4 || 'E' || $6::int, '2026-01-01', 'ACCEPTED', 1, '',
    '2026-01-01', '2026-01-02', 'EUR', 1, now(), now()
""",
    """
insert into cdr_content (cdr_key, operator_role_id, provider_role_id, month, revision, at, content_hash, token_type,
    representation, instance, contract_id, start, "end", address, country, charge_point_type, connector_standards,
    connector_formats, periods, currency, warnings)
select $1::uuid, $2::int, $3::int, '2026-01-01', 1, now(), '', 'RFID', 'PLAIN', 'I' || $6::int, $5 || 'C' || $4,
    '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', 'Weg', 'DEU', 'AC', 'CHADEMO', 'CABLE', '[]', 'EUR', '[]'
""",
    """
insert into cdr_occupancy (cdr_key, operator_role_id, evse_id, during)
select $1::uuid, $2::int, $4 || 'E' || $6::int, tstzrange('2026-01-01', '2026-01-02')
where $3::int is not null and $5::text is not null
""",
)
CHANGE_CDR = "update cdr set status = 'APPROVED', updated_at = now() where id = $1"
ADD_TARIFF = (
    """
insert into tariff (tariff_id, operator_no, content_hash, updated_at, default_updated_at)
select $1, no, '', now(), now() from operator where party_id = $2
""",
    """
insert into individual_tariff (tariff_id, number, operator_no, currency, elements, content_hash)
select $1, $2, operator_no, $3, '[]', '' from tariff where tariff_id = $1
""",
    """
insert into tariff_recipient (tariff_id, party_id, number, operator_no, updated_at)
select $1, $2, $3, operator_no, now() from tariff where tariff_id = $1
""",
)
