"""Everybody sees exactly what openness, or a contract in force, lets them see; in two ways, each enough alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from sqlalchemy import Column, Integer, MetaData, Table, true

from app.db import migrate
from app.db.cluster import Cluster
from app.db.tables import evse, metadata
from app.live.feeds.parking import SpotFilter
from app.read.plan import Column as Leaf
from app.read.plan import Field, Selection, ToMany, ToOne
from app.read.search import ById, Listing
from app.read.statement import compile_statement
from app.read.statements import STATEMENTS
from app.visibility import rules as visibility
from app.visibility.rules import (
    OFFERED_TARIFF,
    PRIVATE,
    PUBLISHED_SPOT,
    RULES,
    SELECTIONS,
    SPOT_STATUS,
    CallerKind,
    NoVisibilityRule,
    visible,
)
from app.vocabulary import ContractStatus, Role
from tests.hub import Hub, scratch_database
from tests.length import rounds
from tests.visibility_matrix import (
    CAN_CONTRACT,
    OPERATORS,
    ROLES,
    Agreement,
    Matrix,
    State,
    check,
    check_changes,
    check_spots,
    check_subscription,
    matrix,
    question,
    states,
)
from tests.world import VISIBLE_OPERATORS, World

SQL = Path(migrate.__file__).parent / "sql"

#: An id that no partner has; always the same, so that every worker names the same tests.
NO_PARTNER = "00000000-0000-4000-8000-00000000dead"

# ---------------------------------------------------------------- the default world


def everything_seen(hub: Hub, world: World, caller: str | None, arguments: str = "") -> set[str]:
    """Return the party ids of the operators whose EVSEs a caller sees."""
    query = f"{{ evses(first: 500{arguments}) {{ nodes {{ operator {{ partyId }} }} }} }}"
    nodes = hub.ask(query, headers=world.authorization(caller))["evses"]["nodes"]
    return {node["operator"]["partyId"] for node in nodes}


@pytest.mark.parametrize("caller", VISIBLE_OPERATORS)
def test_shows_the_operators_that_contracts_let_a_caller_see(hub: Hub, world: World, caller: str | None) -> None:
    assert everything_seen(hub, world, caller) == VISIBLE_OPERATORS[caller]
    south, north = "minimumLatitude: -90, minimumLongitude: -180", "maximumLatitude: 90, maximumLongitude: 180"
    everywhere = f"within: {{ bounds: {{ {south}, {north} }} }}"
    assert everything_seen(hub, world, caller, ", " + everywhere) == VISIBLE_OPERATORS[caller]
    around = "within: { near: { latitude: 48.4, longitude: 9.99, radiusM: 20000000 } }"
    assert everything_seen(hub, world, caller, ", " + around) == VISIBLE_OPERATORS[caller]
    named = 'filter: { operatorIds: ["DESON", "FRREG", "DE823", "NOFJO", "DEVER", "DERUH", "ZZZZZ"] }'
    assert everything_seen(hub, world, caller, ", " + named) == VISIBLE_OPERATORS[caller]


NOT_THERE_AND_NOT_YOURS: list[tuple[str, Any, Any]] = [
    ("query ($x: EvseId!) { evse(evseId: $x) { evseId location { name } } }", "DE*VER*E9", "DE*VER*E1"),
    ("query ($x: EvseId!) { evse(evseId: $x) { evseId } __schema { queryType { name } } }", "DE*VER*E9", "DE*RUH*E1"),
    ("query ($x: [EvseId!]) { evses(filter: { evseIds: $x }) { nodes { evseId } } }", ["DE*VER*E9"], ["DE*VER*E1"]),
    ("query ($x: [PartyId!]) { evses(filter: { operatorIds: $x }) { nodes { evseId } } }", ["ZZZZZ"], ["DEVER"]),
    ("query ($x: [String!]) { evses(filter: { locationIds: $x }) { nodes { evseId } } }", ["NOWHERE"], ["RUHE"]),
    ("query ($x: ID!) { partner(id: $x) { id name } }", NO_PARTNER, "00000001-0000-4000-8000-000000000005"),
    (
        "query ($x: ID!) { auditLog(partnerId: $x) { nodes { id } } }",
        NO_PARTNER,
        "00000001-0000-4000-8000-000000000006",
    ),
]


@pytest.mark.parametrize(("query", "absent", "foreign"), NOT_THERE_AND_NOT_YOURS)
@pytest.mark.parametrize("caller", [None, "neuling", "wegweiser", "sonnenstrom"])
def test_says_the_same_of_what_is_not_there_and_not_yours(
    hub: Hub, world: World, caller: str | None, query: str, absent: Any, foreign: Any
) -> None:
    def raw(value: Any) -> tuple[int, bytes, list[tuple[str, str]]]:
        response: httpx.Response = hub.post(query, {"x": value}, world.authorization(caller))
        return response.status_code, response.content, [h for h in response.headers.multi_items() if h[0] != "date"]

    assert raw(absent) == raw(foreign)
    seen = hub.post(query, {"x": foreign}, world.authorization("leitstelle"))
    assert seen.content != raw(foreign)[1], "it should be there"


# ---------------------------------------------------------------- a table without a rule

unruled = Table("unruled", MetaData(), Column("id", Integer, primary_key=True), Column("operator_no", Integer))
LEAF = Field("id", Leaf(("id",)))


@pytest.mark.parametrize("caller_kind", CallerKind)
def test_compiles_no_table_without_a_rule(caller_kind: CallerKind) -> None:
    for search in (ById(unruled, ("id",)), Listing(unruled, ("id",))):
        with pytest.raises(NoVisibilityRule, match="unruled"):
            compile_statement(Selection((LEAF,)), search, caller_kind)
    with pytest.raises(NoVisibilityRule, match="unruled"):
        visible(unruled.alias(), caller_kind)


@pytest.mark.parametrize(
    "relation",
    [
        ToOne(unruled, ("operator_no",), ("operator_no",)),
        ToMany(unruled, ("operator_no",), lambda child, no: child.c.operator_no == no, ("id",)),
    ],
)
def test_compiles_no_nested_table_without_a_rule(relation: ToOne | ToMany) -> None:
    selection = Selection((Field("x", relation, (LEAF,)),))
    with pytest.raises(NoVisibilityRule, match="unruled"):
        compile_statement(selection, ById(evse, ("evse_id",)), CallerKind.ADMINISTRATOR)


def test_has_a_rule_for_every_table() -> None:
    assert RULES.keys() == {*metadata.tables}
    assert SELECTIONS.keys() == {PUBLISHED_SPOT, SPOT_STATUS, OFFERED_TARIFF.name}


def test_knows_which_tables_are_private(database_url: str, hub: Hub) -> None:
    async def protected() -> set[str]:
        import asyncpg

        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch("select relname from pg_class where relrowsecurity")
            return {row["relname"] for row in rows}
        finally:
            await connection.close()

    assert hub.run(protected()) == PRIVATE


# ---------------------------------------------------------------- every state, against the model


@pytest.fixture(scope="module")
def made(cluster: Cluster, template: str) -> Iterator[Matrix]:
    with scratch_database(cluster.dsn, template, f"matrix_{uuid4().hex}") as dsn, matrix(dsn) as made:
        yield made


def agreed(one: int, other: int, **more: Any) -> Agreement:
    first, second = (next(each for each in ROLES if each.id == id_) for id_ in sorted((one, other)))
    assert (first, second) in CAN_CONTRACT
    return Agreement(first, second, **{"status": ContractStatus.ACTIVE, "since": None, "until": None, **more})


NOBODY: frozenset[str] = frozenset()

#: An NSP that sees an operator through its EVSP, and one that sees another directly.
CHAIN = (agreed(5, 6), agreed(3, 5), agreed(4, 7))
ALL_AGREED = tuple(agreed(a.id, b.id) for a, b in CAN_CONTRACT)

#: For each condition of a contract in force, states in which only that condition hides something.
TELLING = {
    "status": [State(NOBODY, NOBODY, (agreed(5, 6), agreed(3, 5, status=status))) for status in ContractStatus],
    "begin": [State(NOBODY, NOBODY, (agreed(5, 6), agreed(3, 5, since=2)))],
    "end": [State(NOBODY, NOBODY, (agreed(5, 6), agreed(3, 5, until=-1)))],
    "suspension": [State(NOBODY, frozenset({partner}), CHAIN) for partner in ("Dynamo", "Borealis", "Elektra")],
}

#: Checked by every run, before any state is generated.
ALWAYS_CHECKED = (
    State(NOBODY, NOBODY, CHAIN),
    State(frozenset(OPERATORS), frozenset({"Borealis", "Dynamo"}), CHAIN),
    *(state for states in TELLING.values() for state in states),
)


@pytest.mark.parametrize("state", ALWAYS_CHECKED)
def test_shows_what_the_model_says(made: Matrix, state: State) -> None:
    check(made, state)


@settings(max_examples=rounds(8, full=100))
@given(state=states())
def test_shows_what_the_model_says_in_any_state(made: Matrix, state: State) -> None:
    check(made, state)


def is_caught(twin: Matrix, states: Sequence[State]) -> bool:
    try:
        for state in states:
            check(twin, state)
    except AssertionError:
        return True
    return False


VIEW = """
create or replace view contract_in_force as
select side.from_role_id, side.to_role_id, valid_until from contract
cross join lateral (
    values (first_role_id, second_role_id), (second_role_id, first_role_id)
) as side (from_role_id, to_role_id)
where {conditions}
"""
CONDITIONS = {
    "status": "status = 'ACTIVE'",
    "begin": "(valid_from is null or valid_from <= now())",
    "end": "(valid_until is null or valid_until > now())",
    "suspension": "not exists (select from partner where id in (first_partner_id, second_partner_id)"
    " and suspended_at is not null)",
}


WITHOUT_END = """
create or replace function visible_subjects(viewer_role_id integer, subject_kind text) returns setof integer
language sql stable
as $$
    select subject from viewer_scope where role_id in (0, viewer_role_id) and kind = subject_kind and ended is null
$$
"""
INTACT = (SQL / "visibility.sql").read_text(encoding="utf-8")


@pytest.fixture
def twin(made: Matrix) -> Iterator[Matrix]:
    """The same hub, to break: afterwards its rules in SQL are as they were."""
    yield made
    made.execute(INTACT)
    for table in PRIVATE:
        made.execute(f"alter table {table} enable row level security")


@pytest.mark.parametrize("forgotten", CONDITIONS)
def test_would_notice_a_condition_that_was_forgotten(twin: Matrix, forgotten: str) -> None:
    left = [condition for name, condition in CONDITIONS.items() if name != forgotten]
    twin.execute(VIEW.format(conditions=" and ".join(left)))
    if forgotten == "end":  # reads compare it with their own clock besides
        twin.execute(WITHOUT_END)
    assert is_caught(twin, TELLING[forgotten])


@pytest.fixture
def broken_rule(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that makes every row of a table visible to every caller."""

    def break_rule(table: str) -> None:
        monkeypatch.setitem(visibility.RULES, table, lambda _table, _caller_kind: true())  # type: ignore[arg-type]
        STATEMENTS.clear()

    yield break_rule
    monkeypatch.undo()
    STATEMENTS.clear()


@pytest.mark.parametrize("table", [evse.name, "parking_spot", "partner"])
def test_would_notice_a_rule_that_lets_everybody_pass(
    twin: Matrix, broken_rule: Callable[[str], None], table: str
) -> None:
    broken_rule(table)
    assert is_caught(twin, ALWAYS_CHECKED[:1])


def test_keeps_private_rows_private_without_their_rules(twin: Matrix, broken_rule: Callable[[str], None]) -> None:
    """Row-level security is enough alone."""
    for table in PRIVATE:
        broken_rule(table)
    for contracts in (CHAIN, ALL_AGREED):
        check(twin, State(NOBODY, NOBODY, contracts))


def test_keeps_private_rows_private_without_row_level_security(twin: Matrix) -> None:
    """The rules are enough alone."""
    for table in PRIVATE:
        twin.execute(f"alter table {table} disable row level security")
    for contracts in (CHAIN, ALL_AGREED):
        check(twin, State(NOBODY, NOBODY, contracts))


def test_shows_private_rows_to_nobody_without_both(twin: Matrix, broken_rule: Callable[[str], None]) -> None:
    """The twin of the two tests above: without both, everybody sees everything."""
    for table in PRIVATE:
        twin.execute(f"alter table {table} disable row level security")
        broken_rule(table)
    with pytest.raises(AssertionError):
        check(twin, State(NOBODY, NOBODY, CHAIN))


# ---------------------------------------------------------------- parking spots: their PSOs, their EVSEs, their changes

#: Aurora's and Borealis's contracts with the PSO.
PARKING = (agreed(1, 8), agreed(3, 8))

#: One after the other: what everybody sees comes, goes, and comes back another way.
TURNS = (
    State(NOBODY, NOBODY, CHAIN),
    State(NOBODY, NOBODY, PARKING),
    State(frozenset({"DEAAA"}), NOBODY, (agreed(1, 8, status=ContractStatus.SUSPENDED), *CHAIN)),
    State(NOBODY, NOBODY, (agreed(3, 8, until=-1), agreed(5, 6), agreed(3, 5))),
    State(frozenset(OPERATORS), NOBODY, ()),
    State(NOBODY, NOBODY, ALL_AGREED),
)
SUSPENDING = (
    State(frozenset(OPERATORS), frozenset({"Borealis", "Galvani"}), (*CHAIN, *PARKING)),
    State(NOBODY, frozenset({"Dynamo"}), ALL_AGREED),
    State(NOBODY, NOBODY, ()),
)


def test_tells_changes_of_spots_to_those_who_see_them(made: Matrix) -> None:
    check_changes(made, (*TURNS, *SUSPENDING))


def test_streams_changes_of_spots_to_those_who_see_them(made: Matrix) -> None:
    check_subscription(made, TURNS)


PARKING_VISIBLE = """
create or replace function visible_parking_operators(viewer_role_id integer) returns setof text
language sql stable security definer set search_path = public rows 10
as $$
    select party_id from partner_role where {own}
    union
    select held.party_id from {contracts}
    join partner_role as held on held.id = to_role_id and held.role = 'PSO'
    where from_role_id = viewer_role_id
$$;
"""
OWN = "id = viewer_role_id and role = 'PSO'"
ANY_CONTRACT = "(select first_role_id as from_role_id, second_role_id as to_role_id from contract) as agreed"


@pytest.mark.parametrize(
    ("own", "contracts"), [("role = 'PSO'", "contract_in_force"), (OWN, ANY_CONTRACT)], ids=["whose", "in force"]
)
def test_would_notice_a_condition_on_spots_that_was_forgotten(twin: Matrix, own: str, contracts: str) -> None:
    check(twin, TURNS[3])
    twin.execute(PARKING_VISIBLE.format(own=own, contracts=contracts))
    with pytest.raises(AssertionError, match="spotsListed"):
        check(twin, TURNS[3])


def test_would_notice_evses_of_spots_that_everybody_sees(twin: Matrix, broken_rule: Callable[[str], None]) -> None:
    twin.put(TURNS[1])
    broken_rule(evse.name)
    data = twin.hub.ask(question(twin))
    with pytest.raises(AssertionError, match="served"):
        check_spots(TURNS[1], None, data)


def test_would_notice_places_of_spots_that_everybody_knows(twin: Matrix, broken_rule: Callable[[str], None]) -> None:
    twin.put(TURNS[1])
    broken_rule("parking_place")
    [pso] = [each for each in ROLES if each.role is Role.PSO]
    data = twin.hub.ask(question(twin), headers=twin.headers(pso))
    with pytest.raises(AssertionError, match=r"spotsNear|spotsBoxed"):
        check_spots(TURNS[1], pso, data)


def test_would_notice_what_psos_publish_if_everybody_saw_it(twin: Matrix, broken_rule: Callable[[str], None]) -> None:
    broken_rule(PUBLISHED_SPOT)
    assert is_caught(twin, TURNS)


@pytest.mark.parametrize("way", [check_changes, check_subscription])
def test_would_notice_changes_of_spots_that_everybody_hears(
    twin: Matrix, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None]
) -> None:
    monkeypatch.setattr(SpotFilter, "_is_seen", lambda *_: True)
    with pytest.raises(AssertionError, match=r"named|served|initial"):
        way(twin, TURNS[:2])
