"""Each rule of visibility, each policy and each function that filters by the caller is broken once, and is noticed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import true

from app.db.cluster import Cluster
from app.db.tables import metadata
from app.live.feeds.authorisation import AuthorisationFilter
from app.live.feeds.sides import SidesFilter
from app.live.stream.fanout import Fanout
from app.live.stream.feed import Had
from app.read.statements import STATEMENTS
from app.records.token import Token as SentToken
from app.records.token import columns_of_token
from app.visibility import rules, viewer_scope
from app.visibility.rules import PRIVATE, PUBLISHED_SPOT, RULES, SELECTIONS, SPOT_STATUS
from app.vocabulary import ContractStatus, Role, TokenType
from schema.build import schema
from schema.field import read_of
from schema.types import tariff as tariff_types
from tests.hub import scratch_database
from tests.visibility.twin import (
    SELECTED_FROM,
    STATE,
    Twin,
    compare,
    fill,
    looked,
    make_twin,
    operators_seen_by,
    without_row_level_security,
)
from tests.visibility.worlds import AFTER
from tests.visibility.worlds import PROVIDERS as PROVIDERS_OF_WORLD
from tests.visibility_matrix import (
    ADD_CONTRACT,
    ADMINISTRATOR,
    ALWAYS_OPEN,
    EVSP,
    NSP,
    OPERATOR,
    PSO,
    ROLES,
    Agreement,
    Held,
    contract_row,
)


@pytest.fixture(scope="module")
def twin(cluster: Cluster, template: str) -> Iterator[Twin]:
    with scratch_database(cluster.dsn, template, f"twin_{uuid4().hex}") as dsn, make_twin(dsn) as made:
        yield made


@pytest.fixture
def forgetting() -> Iterator[None]:
    """Statements are compiled again after the test."""
    yield
    STATEMENTS.clear()


# ---------------------------------------------------------------- rules


#: tests/test_visibility.py and tests/read/test_spot_statements.py break those.
OF_SPOTS = {PUBLISHED_SPOT, SPOT_STATUS}


@pytest.mark.parametrize("table", sorted({*RULES, *SELECTIONS} - OF_SPOTS))
def test_notices_each_rule_that_is_broken(
    twin: Twin, forgetting: None, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Also where row-level security is off: each of the two is enough alone."""
    if table in RULES:
        fill(twin, metadata.tables[table])
    with without_row_level_security(twin, SELECTED_FROM.get(table, table)):
        STATEMENTS.clear()
        twin.run(twin.check_rule(table))
        break_rule(monkeypatch, table)
        with pytest.raises(AssertionError):
            twin.run(twin.check_rule(table))


#: Private tables whose rows root fields and streams show. Rows of the others are shown below these, or not at all.
SHOWN = (
    *("audit_log", "authorisation", "authorisation_request", "cdr", "contract", "individual_tariff", "partner"),
    *("refusal", "session", "tariff"),
)
#: What must be broken, too: the range in which an index finds the individual tariffs of a caller says the same.
ALSO = {"individual_tariff": [(tariff_types, "is_number_shown", lambda *_: true())]}


@pytest.mark.parametrize("table", SHOWN)
def test_notices_each_rule_that_is_broken_in_answers(
    twin: Twin, forgetting: None, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    for target, attribute, value in ALSO.get(table, ()):
        monkeypatch.setattr(target, attribute, value)
    with without_row_level_security(twin, table):
        break_rule(monkeypatch, table)
        with pytest.raises(AssertionError):
            twin.check_everything()


def test_needs_no_row_level_security(twin: Twin) -> None:
    with ExitStack() as stack:
        for table in PRIVATE:
            stack.enter_context(without_row_level_security(twin, table))
        twin.check_everything()


def break_rule(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """Make every row of a table, or of a selection, visible to every caller."""
    of_kind: Any = rules.RULES if table in RULES else rules.SELECTIONS
    monkeypatch.setitem(of_kind, table, lambda _table, _caller_kind: true())
    STATEMENTS.clear()


# ---------------------------------------------------------------- policies

POLICIES = "select tablename, policyname, cmd, qual from pg_policies where schemaname = 'public' order by 1, 2"


def test_notices_each_policy_that_is_broken(twin: Twin) -> None:
    policies = twin.fetch(POLICIES)
    assert {each["tablename"] for each in policies} == PRIVATE
    for table in sorted(PRIVATE):
        twin.run(check_policies(twin, table))
    assert [(table, name) for table, name, *policy in policies if not is_noticed(twin, table, name, *policy)] == []


def is_noticed(twin: Twin, table: str, name: str, command: str, condition: str | None) -> bool:
    """Return whether anything fails while a policy lets all rows pass, or none where it does already."""
    broken = "with check (false)" if command == "INSERT" else f"using ({condition != 'true'})"
    try:
        twin.run(check_policies(twin, table, f"alter policy {name} on {table} {broken}"))
    except (AssertionError, asyncpg.InsufficientPrivilegeError):
        return True
    return False


async def check_policies(twin: Twin, table: str, *changes: str) -> None:
    async with twin.trial(*changes) as connection:
        await twin.check_policies(table, connection)


# ---------------------------------------------------------------- functions

#: Functions of the database that decide by the caller, or that give rows with their owner's rights.
DECIDING = """
select proname from pg_proc where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype
and provolatile <> 'v' and (
    prosecdef and proretset
    or prosrc ~ 'hub\\.|hub_role|hub_partner|hub_administrator|visible_subjects|viewer_scope|viewer_role_id'
) and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e') order by 1
"""

KNOWN = "asked.key in (a.token_key, a.token_key_160)"
#: For each of them what is broken: a piece of its text, and what takes its place.
BREAKS: Mapping[str, Sequence[tuple[str, str]]] = {
    "hub_partner": [("current_setting('hub.partner', true)", "(select max(id::text) from partner)")],
    "hub_role": [("current_setting('hub.role', true)", "'5'")],
    "hub_administrator": [("= 'on'", "<> 'off'")],
    "authenticate": [
        ("and partner_role.revoked_at is null", ""),
        ("and partner.suspended_at is null", ""),
        ("and api_key.revoked_at is null", ""),
        ("and (expires_at is null or expires_at > now())", ""),
    ],
    "visible_subjects": [
        ("role_id in (0, viewer_role_id)", "true"),
        ("kind = subject_kind", "true"),
        ("and ended is null", ""),
        ("and (valid_until is null or valid_until > now())", ""),
    ],
    "visible_operators": [("and role = 'ADMINISTRATOR'", ""), ("and revoked_at is null", "")],
    "visible_parking_operators": [("id in (select visible_subjects(viewer_role_id, 'PSO'))", "role = 'PSO'")],
    "visible_providers": [("and role in ('EVSE_OPERATOR', 'EVSP')", ""), ("and revoked_at is null", "")],
    "operators_of_provider": [
        ("and provider.revoked_at is null", ""),
        ("and operators.ended is null", ""),
        ("and (operators.valid_until is null or operators.valid_until > now())", ""),
        ("provider.id in (select visible_subjects(viewer_role_id, 'EVSP'))", "true"),
        ("and role = 'ADMINISTRATOR'", ""),
        ("'ADMINISTRATOR' and revoked_at is null", "'ADMINISTRATOR'"),
    ],
    "tariff_providers": [
        ("provider.role = 'EVSP' and ", ""),
        ("and provider.revoked_at is null", ""),
        ("viewer.role = 'NSP' and", ""),
        ("provider.id in (select visible_subjects(viewer_role_id, 'EVSP'))", "true"),
        ("viewer.id = viewer_role_id and", ""),
        ("and viewer.revoked_at is null", ""),
    ],
    "tariff_provider": [
        (
            "tariff_providers(viewer_role_id)",
            "(select id as role_id, party_id from partner_role where role = 'EVSP') as known",
        ),
        ("coalesce(asked, (select party_id from partner_role where id = viewer_role_id))", "party_id"),
        ("coalesce(asked, (select party_id from partner_role where id = viewer_role_id))", "coalesce(asked, party_id)"),
    ],
    "known_tokens": [
        ("case hub_role() when first_role_id then second_role_id else first_role_id end", "first_role_id"),
        ("hub_role() in (first_role_id, second_role_id) and ", ""),
        ("and valid_from is not null", ""),
        ("a.token_key in (asked.key, asked.key_160) and a.provider_role_id = asked.provider_role_id", KNOWN),
        ("a.token_key_160 in (asked.key, asked.key_160) and a.provider_role_id = asked.provider_role_id", KNOWN),
    ],
    "occupied_times": [
        ("where id = hub_role() and role = 'EVSE_OPERATOR'", "where party_id = left(asked.evse_id, 5) limit 1"),
        ("and role = 'EVSE_OPERATOR'", ""),
    ],
    "removed_tokens": [
        ("scope.role_id = hub_role()", "true"),
        ("and role in ('EVSE_OPERATOR', 'EVSP')", ""),
        ("when reader.until >= a.updated_at then a.instance", "when true then a.instance"),
    ],
}
#: These give the stream the sides of rows; who is sent what is decided in memory: see below.
SERVES_ALL = {
    *("authorisation_states", "authorisations_of", "session_sides", "authorisation_request_sides", "cdr_sides"),
    *("tariff_states", "tariffs_of"),
}

#: A contract that ended, and one that the clock ended and the leader has not looked at. And roles that were revoked.
PAST = """
insert into partner_role (id, partner_id, role, party_id, revoked_at) overriding system value
select id, (select id from partner limit 1), role, party_id, now() from (values
    (7001, 'ADMINISTRATOR', null), (7002, 'EVSE_OPERATOR', 'ZZOLD'), (7003, 'EVSP', 'ZZOLD'), (7004, 'NSP', null)
) as former (id, role, party_id);
insert into viewer_scope (role_id, kind, subject, began, ended, ended_at, valid_until)
select role_id, kind, subject, 1, ended, ended_at, valid_until
from (values (null::bigint, null::timestamptz, now()), (1, now(), null)) as past (ended, ended_at, valid_until)
cross join (
    values (4, 'EVSP', 5), (7, 'PSO', 8), (4, 'PSO', 8)
    union all select role_id, 'OPERATOR', (select no from operator where party_id = 'DECCC')
    from (values (2), (5), (6)) as viewer (role_id)
) as scope (role_id, kind, subject);
insert into viewer_scope (role_id, kind, subject, began)
values (7002, 'EVSP', 5, 1), (7004, 'EVSP', 5, 1), (6, 'EVSP', 7003, 1);
insert into viewer_scope (role_id, kind, subject, began)
select 7003, 'OPERATOR', no, 1 from operator where party_id = 'DECCC';
"""
FORMER = [
    Held(7001, "Former", ADMINISTRATOR, None),
    Held(7002, "Former", OPERATOR, "ZZOLD"),
    Held(7004, "Former", NSP, None),
]
PROVIDERS = [*(each for each in ROLES if each.role is EVSP), Held(7003, "Former", EVSP, "ZZOLD")]


async def check_functions(twin: Twin, *changes: str) -> None:
    """Call the functions in everybody's name. `changes`: what is broken meanwhile."""
    async with twin.trial(PAST, *changes) as connection:
        for caller in (*ROLES, *FORMER):
            await _check_visible(connection, caller)
        for caller in twin.worlds.worlds[0].roles:
            await _check_caller(connection, caller)
        await _check_removed_tokens(twin, connection)
        await _check_claims(twin, connection)
        await _check_keys(twin, connection)


async def _check_visible(connection: asyncpg.Connection, caller: Held) -> None:
    async def found(sql: str, *args: Any) -> set[Any]:
        return await looked(connection, caller, sql, caller.id, *args)

    connected = STATE.connected(caller)
    is_former = caller in FORMER
    operators = {ALWAYS_OPEN} if is_former else operators_seen_by(caller)
    seen = await found("select party_id from visible_operators($1) as no join operator using (no)")
    compare(seen, operators, "visible_operators", caller)
    psos = {each.party_id for each in (caller, *connected) if each.role is PSO}
    assert await found("select * from visible_parking_operators($1)") == psos, caller
    reads = caller.role in (OPERATOR, EVSP) and not is_former
    providers = {each.id for each in (caller, *connected) if each.role is EVSP and reads}
    assert await found("select * from visible_providers($1)") == providers, caller
    for provider in PROVIDERS if caller not in FORMER[1:] else ():  # their rows of PAST are not possible in truth
        may = caller in (ROLES[-1], provider) or provider in connected
        customers = {each.party_id for each in STATE.connected(provider) if each.role is OPERATOR and may}
        sql = "select party_id from operators_of_provider($1, $2) as no join operator using (no)"
        assert await found(sql, provider.party_id) == customers, (caller, provider)
    read = {caller.id} if caller.role is EVSP else providers_of(caller)
    assert await found("select role_id from tariff_providers($1)") == read, caller
    for provider in (None, *PROVIDERS):
        meant = caller.id if provider is None else provider.id
        wanted = {meant if meant in read else None}
        asked = provider and provider.party_id
        assert await found("select tariff_provider($1, $2)", asked) == wanted, (caller, provider)


def providers_of(caller: Held) -> set[int]:
    """Return the providers that an NSP has contracts with."""
    return {each.id for each in STATE.connected(caller) if caller.role is NSP and each.role is EVSP}


async def _check_caller(connection: asyncpg.Connection, caller: Held) -> None:
    known = await looked(connection, caller, "select hub_partner(), hub_role(), hub_administrator()")
    assert known == {(caller.partner_id, caller.id, False)}


async def _check_removed_tokens(twin: Twin, connection: asyncpg.Connection) -> None:
    """A token that changed after its reader's contract ended is named by its hash."""
    world = twin.worlds.worlds[0]
    borealis, dynamo = world.roles[2], world.roles[3]
    ended = (
        f"insert into viewer_scope values ({borealis.id}, 'EVSP', {dynamo.id}, null, 1, 2, now() - interval '1 year')"
    )
    await connection.execute(ended)
    tokens = {each.id: each for each in world.tokens}
    for caller in (None, ROLES[-1], *world.roles):
        readable = {(id_, tokens[id_].instance) for id_ in twin.worlds.rows("authorisation", caller)}
        if caller == borealis:
            own = [each for each in world.tokens if each.provider == dynamo]
            readable = {(each.id, sha256(each.instance.encode()).hexdigest()) for each in own}
        found = await looked(connection, caller, "select id, instance from removed_tokens($1)", list(tokens))
        compare(found, readable, "removed_tokens", caller)


TOKEN_KEYS = ("token_key", "token_key_160")


async def _check_claims(twin: Twin, connection: asyncpg.Connection) -> None:
    """Who has had a contract with a provider knows its tokens; what is occupied, the operator of the EVSE."""
    world = twin.worlds.worlds[0]
    await connection.execute("update contract set valid_from = '2026-01-01'")
    proposed = Agreement(world.roles[2], world.roles[3], ContractStatus.PROPOSED, None, None)
    await connection.execute(ADD_CONTRACT, *contract_row(proposed))
    agreed = [each.sides for each in world.states[AFTER].contracts]
    asked = [(world.roles[n], card) for n in PROVIDERS_OF_WORLD for card in range(3)]
    keys = [columns_of_token(SentToken(instance=world.card(card), type=TokenType.RFID)) for _, card in asked]
    given = [[provider.id for provider, _ in asked], *([each[name] for each in keys] for name in TOKEN_KEYS)]
    had = {(each.provider, each.instance) for each in world.tokens}
    evses = [f"{each.operator.party_id}E{each.number}" for each in world.cdrs]
    times = [datetime(2026, 1, 1, hours, tzinfo=UTC) for hours in (1, 2)]
    for caller in (None, ROLES[-1], *world.roles):
        known = {
            place
            for place, (provider, card) in enumerate(asked, 1)
            if (provider, world.card(card)) in had and any({caller, provider} == set(sides) for sides in agreed)
        }
        assert await looked(connection, caller, "select known_tokens($1, $2, $3)", *given) == known, caller
        own = {place for place, each in enumerate(world.cdrs, 1) if each.operator == caller}
        sql = "select occupied_times($1, $2, $3, array_fill(null::uuid, array[$4::int]), '{}')"
        spans = ([time] * len(evses) for time in times)
        assert await looked(connection, caller, sql, evses, *spans, len(evses)) == own, caller


#: What ends a key; $1 is the id of its role.
ENDS = (
    "update partner_role set revoked_at = now() where id = $1",
    "update partner set suspended_at = now() where id = (select partner_id from partner_role where id = $1)",
    "update api_key set revoked_at = now() where role_id = $1",
    "update api_key set expires_at = now() where role_id = $1",
)


async def _check_keys(twin: Twin, connection: asyncpg.Connection) -> None:
    role = twin.worlds.worlds[0].roles[0]
    secret_hash = await connection.fetchval("select secret_hash from api_key where role_id = $1", role.id)
    sql = "select role_id from authenticate($1)"
    assert await looked(connection, None, sql, secret_hash) == {role.id}
    for end in ENDS:
        async with twin.trial() as inner:
            await inner.execute(end, role.id)
            assert await looked(inner, None, sql, secret_hash) == set(), end


def test_breaks_each_function_that_decides_by_the_caller(twin: Twin) -> None:
    deciding = {row["proname"] for row in twin.fetch(DECIDING)}
    assert deciding == BREAKS.keys() | SERVES_ALL
    twin.run(check_functions(twin))


@pytest.mark.parametrize(("name", "n"), [(name, n) for name, breaks in BREAKS.items() for n in range(len(breaks))])
def test_notices_each_function_that_is_broken(twin: Twin, name: str, n: int) -> None:
    with pytest.raises(AssertionError):
        twin.run(check_functions(twin, broken(twin, name, *BREAKS[name][n])))


def broken(twin: Twin, name: str, piece: str, instead: str) -> str:
    """Return the definition of a function with a piece replaced."""
    [(definition,)] = twin.fetch("select pg_get_functiondef($1::text::regproc)", name)
    assert definition.count(piece) == 1, definition
    return definition.replace(piece, instead)


# ---------------------------------------------------------------- streams, which are matched in memory

EVERYBODY = "array(select id from partner_role)"


@dataclass(frozen=True)
class Break:
    """Something in memory that lets a stream tell too much. `functions`: what in the database must be broken, too."""

    patches: Sequence[tuple[Any, str, Any]] = ()
    functions: Sequence[tuple[str, str, str]] = ()


SIDES = "array[operator_role_id, provider_role_id]"
SOME_SIDES = f"array_remove({SIDES}, null)"
STREAM_BREAKS = {
    "tokens of any provider": Break(
        [
            (Fanout, "_readers", lambda self, *_: defaultdict(lambda: list(self._all))),
            (AuthorisationFilter, "has", lambda _self, state, _scope: state.in_force),
            (AuthorisationFilter, "had", lambda *_: Had.SURELY),
        ]
    ),
    "tokens for an NSP": Break([(viewer_scope, "READS_TOKENS", frozenset(Role))]),
    "entities of other sides": Break([(SidesFilter, "_is_side", lambda *_: True), (SidesFilter, "roles", None)]),
    "sessions, by their sides in the database": Break(
        functions=[("session_sides", SIDES, EVERYBODY), ("session_inserted", SIDES, EVERYBODY)]
    ),
    "CDRs, by their sides in the database": Break(
        functions=[("cdr_sides", SIDES, EVERYBODY), ("cdr_inserted", SIDES, EVERYBODY)]
    ),
    "requests, by their sides in the database": Break(
        functions=[
            ("authorisation_request_sides", SOME_SIDES, EVERYBODY),
            ("authorisation_requested", SOME_SIDES, EVERYBODY),
        ]
    ),
    "contradictions, by their change": Break(
        functions=[
            (
                "session_updated",
                "then array[fresh.operator_role_id]",
                "then array[fresh.operator_role_id, fresh.provider_role_id]",
            )
        ]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM_BREAKS)
def test_notices_streams_that_tell_too_much(twin: Twin, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    break_ = STREAM_BREAKS[name]
    for target, attribute, value in break_.patches:
        monkeypatch.setattr(target, attribute, value)
    right = [twin.fetch("select pg_get_functiondef($1::text::regproc)", each)[0][0] for each, *_ in break_.functions]
    try:
        for each in break_.functions:
            twin.execute(broken(twin, *each))
        with pytest.raises(AssertionError):
            twin.check_everything()
    finally:
        for each in right:
            twin.execute(each)


def test_notices_contradictions_that_a_provider_reads(twin: Twin, forgetting: None) -> None:
    session: Any = schema._schema.type_map["Session"]
    field = session.fields["contradictions"]
    read: Any = read_of(field.extensions["strawberry-definition"], "Session")
    right = read.sql
    try:
        object.__setattr__(read, "sql", lambda _operator, found, _arguments: found)
        STATEMENTS.clear()
        with pytest.raises(AssertionError):
            twin.check_everything()
    finally:
        object.__setattr__(read, "sql", right)


def test_shows_what_the_model_says_where_nothing_is_broken(twin: Twin) -> None:
    twin.check_everything()
