"""The caches of documents and statements: the latest, within bounds; and what runs in the worker thread."""

import asyncio
import threading
from math import ceil
from typing import Any

import pytest
from graphql.execution.values import get_variable_values

from app.db.tables import evse
from app.read import statements
from app.read.plan import Constant, Field, Selection
from app.read.search import ById
from app.read.statements import LEAST_CHARACTERS, Statements
from app.visibility.rules import CallerKind
from geo.polyline import encode_polyline
from schema import areas, documents, endpoint
from schema.documents import CACHED_CHARACTERS, CACHED_CHARACTERS_IN_ALL, Documents, Operation
from tests.hub import Hub, serve
from tests.schema.graphql_values import CORE
from tests.world import World

HELLO = "{ __typename }"


def numbered(number: int, characters: int) -> str:
    return f"{HELLO} #{number:0{characters - len(HELLO) - 2}}"


def test_remembers_so_many_characters_of_documents_and_no_more() -> None:
    remembered = Documents(CORE)
    count = CACHED_CHARACTERS_IN_ALL // 10_000
    for number in range(2 * count):
        remembered.get(numbered(number, 10_000))
    assert [number for number in range(2 * count) if remembered.known(numbered(number, 10_000))] == [
        *range(count, 2 * count)
    ]
    assert remembered._cache.currsize == CACHED_CHARACTERS_IN_ALL


def test_remembers_so_many_documents_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "CACHED_CHARACTERS_IN_ALL", 300)
    remembered = Documents(CORE)
    for number in (1, 2, 3, 1, 4):
        remembered.get(numbered(number, 100))
    assert [number for number in range(5) if remembered.known(numbered(number, 100))] == [1, 3, 4]


def test_remembers_no_long_document() -> None:
    remembered = Documents(CORE)
    long = numbered(1, CACHED_CHARACTERS + 1)
    assert remembered.get(long).operation(None)
    assert remembered.known(long) is None


VARIABLES = """query ($id: EvseId!, $first: Int = 7, $within: AreaInput, $kinds: [ChangeKind!], $after: String) {
    evse(evseId: $id) { evseId } evses(within: $within, first: $first, after: $after) { cursor }
    changes(kinds: $kinds, cursor: "c") { cursor } }"""
ALL_GIVEN: dict[str, Any] = {
    "id": "fr a23 e1", "first": 3, "kinds": ["EVSE"], "after": None,
    "within": {"near": {"latitude": 1, "longitude": 2.5}},
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [{}, {"kinds": "EVSE"}, {"within": None}, {"first": None}, {"more": 1}, {"within": {"near": {"latitude": 1}}},
     {"id": None}, {"id": "?"}, {"first": 2**40}, {"first": "3"}, {"kinds": [None]}, {"within": [1]}, {"after": 5}],
)  # fmt: skip
def test_takes_variables_as_graphql_does(changed: dict[str, Any]) -> None:
    operation = Documents(CORE).get(VARIABLES).operation(None)
    given = ALL_GIVEN | changed
    taken = operation.taken(given)
    expected = get_variable_values(CORE, operation.node.variable_definitions or (), given)
    assert taken == (None if isinstance(expected, list) else expected)


@pytest.mark.parametrize("absent", ALL_GIVEN)
def test_leaves_variables_that_are_not_given_to_graphql(absent: str) -> None:
    operation = Documents(CORE).get(VARIABLES).operation(None)
    assert operation.taken({name: value for name, value in ALL_GIVEN.items() if name != absent}) is None


@pytest.fixture
def few_statements() -> Statements:
    return Statements(3 * LEAST_CHARACTERS)


def asked(key: str) -> tuple[Selection, ById, CallerKind]:
    return Selection((Field(key, Constant(1)),)), ById(evse, ("evse_id",)), CallerKind.ANONYMOUS


async def test_remembers_the_statements_run_last(few_statements: Statements) -> None:
    first = await few_statements.get(*asked("a"))
    for key in "bc" * 3:
        await few_statements.get(*asked(key))
    assert await few_statements.get(*asked("a")) is first
    for key in "de":
        await few_statements.get(*asked(key))
    assert [*few_statements._cache] == [(*asked(key), None) for key in "ade"]
    assert await few_statements.get(*asked("b"))


async def test_remembers_so_much_text_of_statements_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LEAST_CHARACTERS", 1)
    length = len((await Statements().get(*asked("a"))).sql)
    kept = Statements(2 * length)
    for key in "abcd":
        await kept.get(*asked(key))
    assert [*kept._cache] == [(*asked(key), None) for key in "cd"]
    assert await Statements(length - 1).get(*asked("a")), "one that is too long is not cached"


async def test_counts_a_statement_once_that_is_asked_for_twice_at_a_time() -> None:
    kept = Statements()
    one, other = await asyncio.gather(kept.get(*asked("a")), kept.get(*asked("a")))
    assert one.sql == other.sql
    assert kept._cache.currsize == max(len(one.sql), LEAST_CHARACTERS)


# ---------------------------------------------------------------- in the worker thread


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads in which documents and routes are read, statements compiled and the schema described."""
    names: list[str] = []

    def noting(work: Any) -> Any:
        def noted(*args: Any, **named: Any) -> Any:
            names.append(threading.current_thread().name)
            return work(*args, **named)

        return noted

    monkeypatch.setattr(Documents, "read", noting(Documents.read))
    monkeypatch.setattr(statements, "compile_statement", noting(statements.compile_statement))
    monkeypatch.setattr(areas, "decode_polyline", noting(areas.decode_polyline))
    monkeypatch.setattr(endpoint, "execute", noting(endpoint.execute))
    return names


def test_reads_and_compiles_in_the_worker_thread(hub: Hub, threads: list[str]) -> None:
    hub.ask("{ fresh: evses(first: 3) { nodes { compiled: evseId } } }")
    assert len(threads) == 2
    assert all(name.startswith("worker") for name in threads)


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { queryType { name } } }",
        '{ evse(evseId: "DE*SON*E1") { evseId } __schema { queryType { name } } }',
        '{ ... { evse(evseId: "DE*SON*E1") { evseId } ...F } } fragment F on Query { __type(name: "Evse") { name } }',
    ],
    ids=["alone", "beside data", "in fragments"],
)
def test_describes_the_schema_in_the_worker_thread(hub: Hub, world: World, threads: list[str], query: str) -> None:
    data = hub.ask(query, headers=world.authorization("wegweiser"))
    assert data.get("evse", {"evseId": "DE*SON*E1"}) == {"evseId": "DE*SON*E1"}
    assert all(name.startswith("worker") for name in threads)


def test_compiles_selections_for_a_few_sets_of_switches_at_a_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    compiled = Operation.compiled

    def noting(operation: Operation, *args: Any) -> Any:
        try:
            return compiled(operation, *args)
        finally:
            seen.append(len(operation._compiled))

    monkeypatch.setattr(Operation, "compiled", noting)
    switches = [f"s{number}" for number in range(5)]
    declared = " ".join(f"${name}: Boolean!" for name in switches)
    fields = " ".join(f"{name}: evseId @skip(if: ${name})" for name in switches)
    query = f'query ({declared}) {{ evse(evseId: "DE*SON*E1") {{ __typename {fields} }} }}'
    for number in range(32):
        values = {name: bool(number >> place & 1) for place, name in enumerate(switches)}
        shown = hub.ask(query, values)["evse"]
        assert shown.keys() == {"__typename", *(name for name in switches if not values[name])}
    assert max(seen) == documents.CACHED_SELECTIONS


ALONG = "query ($polyline: String!) { evses(within: { route: { polyline: $polyline } }) { nodes { evseId } } }"
LONG = encode_polyline([(9.0 + step / 1_000, 48.4) for step in range(1_000)])


@pytest.mark.parametrize("also", ["", "__schema { queryType { name } }"], ids=["compiled", "executed"])
def test_decodes_long_routes_in_the_worker_thread(hub: Hub, world: World, threads: list[str], also: str) -> None:
    query = f"{ALONG[:-1]} {also} }}"
    headers = world.authorization("wegweiser")
    hub.ask(query, {"polyline": encode_polyline([(9.0, 48.0), (9.0, 48.5)])}, headers)
    threads.clear()
    assert "evses" in hub.ask(query, {"polyline": LONG}, headers)
    assert len(threads) == 1 + bool(also)
    assert all(name.startswith("worker") for name in threads)


# ---------------------------------------------------------------- charges


def test_charges_long_texts_by_their_length(world: World) -> None:
    with serve(world.dsn, anonymous_cost_per_s=1.0, budget_burst_s=10_000.0) as hub:
        short, long = (
            hub.post(ALONG, {"polyline": polyline}).json()["extensions"]["cost"]["requested"]
            for polyline in (encode_polyline([(9.0, 48.0), (9.0, 48.5)]), LONG)
        )
    assert (short, long) == (51, ceil(51 + len(LONG) / 4))


def test_charges_the_reading_of_a_new_document_by_its_length(world: World) -> None:
    query = f"{HELLO} #{'x' * 5_000}"
    with serve(world.dsn, anonymous_cost_per_s=30.0, budget_burst_s=1_000.0) as hub:
        before, after, again = (hub.post(each).json()["extensions"]["cost"] for each in (HELLO, query, query))
    assert [cost["requested"] for cost in (before, after, again)] == [1, 1, 1]
    assert before["remaining"] - after["remaining"] > 16_000
    assert abs(after["remaining"] - again["remaining"]) < 1_000


def test_reads_no_document_for_who_has_nothing_left(world: World, threads: list[str]) -> None:
    evil = "{" + "me{role} " * 220 + "}"
    with serve(world.dsn, anonymous_cost_per_s=1.0, budget_burst_s=20_000.0) as hub:
        answers = [hub.post(f"{evil} #{number}").json()["errors"][0]["extensions"]["code"] for number in range(6)]
    assert answers[0] == "TOO_COMPLEX"
    assert answers[-1] == "RATE_LIMITED"
    assert len(threads) < 6
