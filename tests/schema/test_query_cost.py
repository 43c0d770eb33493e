"""What a document weighs: the same as if every fragment were written out, found without writing it out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_introspection_query,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

from app.settings import Settings
from schema.build import schema
from schema.ide import list_examples
from schema.query_cost import ITEM_COST, LIST_SIZE, LONG_TEXT, MUTATION_COST, Limits, TooComplex, count_values, weigh
from tests.benchmarks.questions import NEAREST, ONE
from tests.evil import doubling
from tests.schema.graphql_values import whole_selection

CORE = schema._schema
LIMITS = Limits.of(Settings())


def limits(**changes: int) -> Limits:
    """Return limits that nothing reaches but those given."""
    names = ("characters", "tokens", "fields", "aliases", "directives", "root_fields", "definitions", "cost", "values")
    return Limits(**{**dict.fromkeys(names, 10**12), "depth": 100, **changes})


def costs(text: str, **variables: Any) -> float:
    [cost] = weigh(CORE, parse(text), limits()).values()
    return cost.of(variables)


# ---------------------------------------------------------------- against an independent count


@dataclass
class Counted:
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    width: int = 0
    depth: int = 0


def written_out(document: DocumentNode) -> Counted:
    """Count by following every spread each time, however often."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    [operation] = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    counted = Counted(directives=len(operation.directives or ()))

    def follow(node: SelectionSetNode, depth: int, at_top: bool) -> None:
        counted.depth = max(counted.depth, depth)
        for each in node.selections:
            counted.directives += len(each.directives or ())
            if isinstance(each, FieldNode):
                counted.fields += 1
                counted.aliases += each.alias is not None
                counted.width += at_top
                if each.selection_set:
                    follow(each.selection_set, depth + 1, False)
            elif isinstance(each, FragmentSpreadNode):
                fragment = fragments[each.name.value]
                counted.directives += len(fragment.directives or ())
                follow(fragment.selection_set, depth + 1, at_top)
            elif isinstance(each, InlineFragmentNode):
                follow(each.selection_set, depth + 1, at_top)

    follow(operation.selection_set, 1, True)
    return counted


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return documents whose fragments hold later ones, so that none holds itself."""
    count = draw(st.integers(0, 4))

    def selections(first: int, depth: int) -> str:
        parts = [one(first, depth) for _ in range(draw(st.integers(1, 3)))]
        return "{" + " ".join(parts) + "}"

    def one(first: int, depth: int) -> str:
        directive = draw(st.sampled_from(["", "@skip(if:false)", "@a @b"]))
        kinds = ["field", *(["object", "inline"] if depth else []), *(["spread"] if first < count else [])]
        kind = draw(st.sampled_from(kinds))
        if kind == "spread":
            return f"...F{draw(st.integers(first, count - 1))}{directive}"
        if kind == "inline":
            return f"...{directive}{selections(first, depth - 1)}"
        name = draw(st.sampled_from(["me", "b:me", "evses", "x"]))
        return f"{name}{directive}" + (selections(first, depth - 1) if kind == "object" else "")

    fragments = [f"fragment F{n} on Query @d {selections(n + 1, 2)}" for n in range(count)]
    return selections(0, 3) + " ".join(fragments)


def passes(document: DocumentNode, **changes: int) -> bool:
    try:
        weigh(CORE, document, limits(**changes))
    except TooComplex:
        return False
    return True


@given(documents())
def test_counts_what_fragments_hold_wherever_they_are_spread(text: str) -> None:
    document = only_used(parse(text))
    counted = written_out(document)
    for name, found in (
        ("fields", counted.fields),
        ("aliases", counted.aliases),
        ("directives", counted.directives),
        ("root_fields", counted.width),
        ("depth", counted.depth),
    ):
        assert passes(document, **{name: found}), (name, found)
        assert not passes(document, **{name: found - 1}), (name, found)


def only_used(document: DocumentNode) -> DocumentNode:
    """Leave out fragments that nothing spreads: they are weighed too, but here only the operation is."""
    used = {each.name.value for each in spreads(document)}
    kept = [
        each for each in document.definitions if not isinstance(each, FragmentDefinitionNode) or each.name.value in used
    ]
    return DocumentNode(definitions=tuple(kept))


def spreads(document: DocumentNode) -> Iterator[FragmentSpreadNode]:
    """Yield the spreads that the operation reaches."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    pending: list[Any] = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    while pending:
        node = pending.pop()
        if isinstance(node, FragmentSpreadNode):
            yield node
            pending.append(fragments[node.name.value])
        elif node.selection_set:
            pending += node.selection_set.selections


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("definitions", "{me{role}} fragment F on Query {me{role}}", 2),
        ("fields", "{me{role ...F}} fragment F on Caller {role partyId}", 4),
        ("aliases", "{a:me{role ...F}} fragment F on Caller {b:role}", 2),
        ("directives", "query($x:Int @a) @b {me @c{role ...F @d}} fragment F on Caller @e {role}", 5),
        ("root_fields", "{me{role} ...{__typename} ...F} fragment F on Query {a:me{role}}", 3),
        ("depth", "{me{partner{roles{role}}}}", 4),
        ("depth", "{evses(filter:{evseIds:[[[1]]]}){nodes{evseId}}}", 5),
        ("depth", "query($x:[[Int]]=[[[1]]]){me{role}}", 4),
        ("depth", "{me @skip(if:[[[1]]]){role}}", 4),
    ],
)
def test_allows_so_much_and_no_more(name: str, text: str, found: int) -> None:
    assert passes(parse(text), **{name: found})
    with pytest.raises(TooComplex, match=f"{found}; possible: at most {found - 1}"):
        weigh(CORE, parse(text), limits(**{name: found - 1}))


@pytest.mark.parametrize("with_fields", [True, False])
def test_weighs_a_document_that_doubles_without_writing_it_out(with_fields: bool) -> None:
    document = parse(doubling(90, with_fields))
    assert passes(document, fields=2**93)
    assert not passes(document, fields=2**90 - 1)


def test_leaves_fragments_that_hold_themselves_to_validation() -> None:
    weigh(CORE, parse("{me{...F}} fragment F on Caller {role ...G} fragment G on Caller {...F}"), LIMITS)


@pytest.mark.parametrize(
    "text", [get_introspection_query(), NEAREST, ONE, *(example.query for example in list_examples())]
)
def test_takes_what_people_really_ask(text: str) -> None:
    for cost in weigh(CORE, parse(text), LIMITS).values():
        LIMITS.hold("cost", cost.of({"first": 500}), "the request's cost")


@pytest.mark.parametrize("name", CORE.query_type.fields if CORE.query_type else ())
def test_takes_everything_of_every_root_field(name: str) -> None:
    assert CORE.query_type is not None
    field = CORE.query_type.fields[name]
    for cost in weigh(CORE, parse(f"{{{name} {whole_selection(field.type, 4)}}}"), LIMITS).values():
        LIMITS.hold("cost", cost.of({}), "the request's cost")


# ---------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("text", "variables", "cost"),
    [
        ("{__typename}", {}, 1),
        ("{me{role}}", {}, 1),
        ("{me{role partner{name}}}", {}, 2),
        ("{me{contracts{parties{name}}}}", {}, 1 + LIST_SIZE * (1 + LIST_SIZE)),
        ("{evses(first:7){nodes{evseId}}}", {}, 1 + 7),
        ("{evses(first:7){edges{node{evseId}}}}", {}, 1 + 7 * 2),
        ("{evses(first:7){pageInfo{hasNextPage}}}", {}, 1),
        ("{evses{nodes{evseId}}}", {}, 1 + 50),
        ("query($p:PriceInput!){evses(first:7,price:$p){nodes{evseId}}}", {}, 1 + 500 + 7),
        ("{evses(first:7){nodes{connectors{standard}}}}", {}, 1 + 7 * (1 + LIST_SIZE)),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": 9}, 1 + 9),
        ("query($n:Int!=3){evses(first:$n){nodes{evseId}}}", {}, 1 + 3),
        ("query($n:Int!=3){evses(first:$n){nodes{evseId}}}", {"n": 4}, 1 + 4),
        ("query($n:Int){evses(first:$n){nodes{evseId}}}", {}, 1 + 50),
        ("query($n:Int!){a:evses(first:$n){nodes{evseId}} b:evses(first:$n){nodes{evseId}}}", {"n": 9}, 2 * (1 + 9)),
        ("query($n:Int!){...F ...F} fragment F on Query {evses(first:$n){nodes{evseId}}}", {"n": 9}, 2 * (1 + 9)),
        # What will be refused costs no more than the most that could be asked.
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": 2**31}, 1 + 500),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": -1}, 1),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": 9.0}, 1 + 9),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": 1e300}, 1 + 500),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": True}, 1),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": "9"}, 1),
        ("query($n:Int!){evses(first:$n){nodes{evseId}}}", {"n": None}, 1),
        ("{evses(first:99999999999999999999){nodes{evseId}}}", {}, 1),
        ('mutation{removeChargePoints(evseIds:["a","b"]){accepted}}', {}, MUTATION_COST + 2 * ITEM_COST),
        (
            "mutation($x:[EvseId!]!){removeChargePoints(evseIds:$x){accepted}}",
            {"x": ["a"] * 1_000},
            MUTATION_COST + 1_000 * ITEM_COST,
        ),
    ],
)
def test_counts_the_objects_that_an_answer_may_hold(text: str, variables: dict[str, Any], cost: float) -> None:
    assert costs(text, **variables) == pytest.approx(cost)


@pytest.mark.parametrize(
    "text",
    [
        "{evse(evseId:1){location{evses{location{evses{evseId}}}}}}",
        "{evse(evseId:1){...F}} fragment F on Evse{location{evses{...G}}} fragment G on Evse{location{evses{evseId}}}",
        "{parkingSpot(parkingId:1){evses{location{... on Location{a:evses{parkingSpots{spot{evses{evseId}}}}}}}}}",
    ],
)
def test_refuses_a_list_within_itself(text: str) -> None:
    with pytest.raises(TooComplex, match=r"(Location|ParkingSpot).evses is asked for within itself"):
        weigh(CORE, parse(text), limits())


def test_takes_lists_within_others_and_one_after_the_other() -> None:
    ways = "location{evses{parkingSpots{spot{evses{evseId}}}}} parkingSpots{spot{evses{evseId}}}"
    weigh(CORE, parse(f"{{a:evse(evseId:1){{...F}} b:evse(evseId:1){{...F}}}} fragment F on Evse{{{ways}}}"), LIMITS)


@pytest.mark.parametrize(("number", "possible"), [("1e308", True), ("1e309", False), ("-1e999999999", False)])
def test_takes_no_number_that_is_infinite(number: str, possible: bool) -> None:
    text = f"{{evses(filter:{{minPowerKw:{number}}}){{nodes{{evseId}}}}}}"
    assert passes(parse(text)) is possible


def test_gives_the_cost_of_each_operation() -> None:
    found = weigh(CORE, parse("query A {me{role}} query B {a:me{role} b:me{role}}"), LIMITS)
    assert {name: cost.of({}) for name, cost in found.items()} == {"A": 1, "B": 2}


# ---------------------------------------------------------------- values in variables

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
)


def slow_count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(slow_count(each) for each in inner)


@given(JSON_VALUES)
def test_counts_values(value: Any) -> None:
    assert count_values(value, 10**9) == (slow_count(value), 0)


def test_stops_counting_where_it_may() -> None:
    assert 100 < count_values([[0] * 50 for _ in range(10_000)], 100)[0] < 20_000


def test_counts_the_characters_of_long_texts() -> None:
    long = LONG_TEXT + 1
    assert count_values({"a": "x" * LONG_TEXT, "b": ["x" * long]}, 10**9)[1] == long
    assert count_values("x" * 10_000, 10**9) == (101, 10_000)
