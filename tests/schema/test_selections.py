"""A selection, whatever it is, gives what GraphQL says it gives: held against two other ways to answer it.

One is the executor, which answers as soon as something else is asked beside (`tests/queries/mixed-with-introspection`).
The other is `tests.slow_reading`, which shares nothing with the compiler.
"""

import json
import re
from asyncio import new_event_loop
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from app.db.seal import UnknownLog, unseal
from app.errors import BadInput
from app.live.log.cursor import decode_cursor
from app.read.paging import PURPOSE
from tests.hub import Hub, serve
from tests.length import rounds
from tests.schema.graphql_values import CORE, WHO, arguments_of, literal
from tests.slow_reading import TESTS, SlowHub, read_slowly
from tests.world import World

#: Opaque, so that the slow reading has others.
CURSORS = {"cursor", "startCursor", "endCursor"}
DEEPEST = 5

#: To make a failing document smaller takes minutes, and it is small already.
UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]

Knows = Callable[[str, str], bool]


@dataclass
class Writing:
    """A document that is being written. Variables decide what is skipped."""

    draw: st.DrawFn
    knows: Knows
    variables: dict[str, bool] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    names: int = 0

    def new_name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def selection(self, type_: GraphQLObjectType, depth: int = 1) -> str:
        count = self.draw(st.integers(1, 5 if depth < 3 else 3))
        return "{ " + " ".join(self.member(type_, depth) for _ in range(count)) + " }"

    def member(self, type_: GraphQLObjectType, depth: int) -> str:
        kind = self.draw(st.sampled_from(["field"] * 6 + ["inline", "fragment", "__typename"]))
        if kind == "__typename":
            return f"{self.alias()}__typename{self.directive()}"
        if kind == "field" or depth > DEEPEST:
            return self.field(type_, depth)
        inside = self.selection(type_, depth + 1)
        if kind == "inline":
            return f"...{self.draw(st.sampled_from(['', f' on {type_.name}']))}{self.directive()} {inside}"
        name = self.new_name("F")
        self.fragments.append(f"fragment {name} on {type_.name} {inside}")
        again = self.draw(st.sampled_from(["", f" ...{name}"]))
        return f"...{name}{self.directive()}{again}"

    def field(self, type_: GraphQLObjectType, depth: int) -> str:
        names = [
            name
            for name, each in type_.fields.items()
            if self.knows(type_.name, name) and (depth <= DEEPEST or _is_leaf(each))
        ]
        if not names:
            return "__typename"
        name = self.draw(st.sampled_from(names))
        return self.asked(name, type_.fields[name], depth, self.arguments(type_.fields[name]))

    def asked(self, name: str, definition: GraphQLField, depth: int, arguments: str) -> str:
        # With arguments, two of a name may not be merged: each gets a name of its own.
        alias = f"{self.new_name('a')}: " if arguments else self.alias()
        return f"{alias}{name}{arguments}{self.directive()}{self.below(definition, depth)}"

    def below(self, definition: GraphQLField, depth: int) -> str:
        named: Any = get_named_type(definition.type)
        return f" {self.selection(named, depth + 1)}" if isinstance(named, GraphQLObjectType) else ""

    def arguments(self, definition: GraphQLField) -> str:
        values = self.draw(arguments_of(definition.args, wild=False)) if definition.args else {}
        if self.knows is is_slowly_known:
            leave_out_unknown(values)
        written = [f"{name}: {literal(value, definition.args[name].type)}" for name, value in values.items()]
        return f"({', '.join(written)})" if written else ""

    def alias(self) -> str:
        return f"{self.new_name('a')}: " if self.draw(st.integers(0, 3)) == 0 else ""

    def directive(self) -> str:
        if self.draw(st.integers(0, 4)) > 0:
            return ""
        word = self.draw(st.sampled_from(["skip", "include"]))
        value = self.draw(st.sampled_from(["true", "false", "$yes", "$no"]))
        if value.startswith("$"):
            self.variables[value[1:]] = value == "$yes"
        return f" @{word}(if: {value})"


def _is_leaf(definition: GraphQLField) -> bool:
    return not isinstance(get_named_type(definition.type), GraphQLObjectType)


@st.composite
def documents(draw: st.DrawFn, knows: Knows = lambda _type, _field: True) -> tuple[str, dict[str, bool]]:
    """Draw a query with its variables: several root fields, some of them asked twice under one name."""
    writing = Writing(draw, knows)
    assert CORE.query_type is not None
    roots: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        # `changes` is executed either way.
        possible = {each for each in CORE.query_type.fields if knows("Query", each)} - {"changes"}
        name = draw(st.sampled_from(sorted(possible)))
        definition = CORE.query_type.fields[name]
        arguments, alias = writing.arguments(definition), writing.new_name("r")
        roots += [
            f"{alias}: {name}{arguments}{writing.directive()}{writing.below(definition, 1)}"
            for _ in range(draw(st.sampled_from([1, 1, 2])))
        ]
    declared = ", ".join(f"${name}: Boolean!" for name in writing.variables)
    head = f"query ({declared})" if declared else "query"
    return f"{head} {{ {' '.join(roots)} }} {' '.join(writing.fragments)}", writing.variables


def with_something_else(query: str) -> str:
    """Select something else too, so that the executor must answer."""
    return query.replace("{", "{ __schema { queryType { name } }", 1)


@pytest.fixture(scope="module")
def workshop(world: World) -> Iterator[Hub]:
    """A hub for its developers, which shows the schema without a key."""
    with serve(world.dsn, "DEVELOPMENT") as hub:
        yield hub


@settings(max_examples=rounds(30, full=100), phases=UNSHRUNK)
@given(document=documents(), caller=WHO)
def test_answers_as_the_executor_does(
    workshop: Hub, world: World, document: tuple[str, dict[str, bool]], caller: str | None
) -> None:
    query, variables = document
    headers = world.authorization(caller)
    compiled = workshop.ask(query, variables, headers)
    executed = workshop.ask(with_something_else(query), variables, headers)
    assert executed.pop("__schema") == {"queryType": {"name": "Query"}}
    assert without_moments(compiled) == without_moments(executed)


def without_moments(data: Any) -> str:
    """Write an answer as text without its cursors of the change log and the present, which differ between two reads."""

    def written(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: written(each) for key, each in value.items()}
        if isinstance(value, list):
            return [written(each) for each in value]
        with suppress(ValueError, TypeError):
            if abs(datetime.now(UTC) - datetime.fromisoformat(value)) < timedelta(hours=1):
                return "the present"
        with suppress(BadInput, UnknownLog, AttributeError, UnicodeError):
            decode_cursor(value)
            return "a cursor of the change log"
        with suppress(ValueError, TypeError):
            *place, position = json.loads(urlsafe_b64decode(value + "=" * (-len(value) % 4)))
            unseal(urlsafe_b64decode(position), PURPOSE)
            return place
        return value

    return json.dumps(written(data))


# ---------------------------------------------------------------- against the slow reading


@pytest.fixture(scope="module")
def slow(world: World) -> SlowHub:
    with closing(new_event_loop()) as loop:
        return loop.run_until_complete(read_slowly(world))


EVSE = """evseId evseIdAsSent operator location position distanceM chargePointType connectors ratings staticStatus
statusSchedule openingTimes parkingSpots locationName locationNameLanguage locationType relatedLocations timeZone
authMethods restrictions images relatedResources userInterfaceLanguages telephoneNumber maxReservationMinutes
timestamp updatedAt"""
LOCATION = "operator locationId name nameLanguage address position timeZone locationType relatedLocations"

#: Of types that grow, what the slow reading knows. What came later means more than a column, and has its own tests.
KNOWN = {
    "Query": {"me", "evse", "evses", "partner", "partners", "contracts", "auditLog", "refusals"},
    "Evse": set(EVSE.split()),
    "Location": set(LOCATION.split()),
    "ParkingSpot": {"parkingId"},
    "Connector": {"standard", "format", "tariffId"},
    "EvseEdge": {"node", "distanceM"},
}


def is_slowly_known(type_name: str, field_name: str) -> bool:
    return field_name not in CURSORS and field_name in KNOWN.get(type_name, {field_name})


@settings(max_examples=rounds(30, full=100), phases=UNSHRUNK)
@given(document=documents(is_slowly_known), caller=WHO)
def test_answers_as_a_slow_reading_of_the_tables_does(
    hub: Hub, world: World, slow: SlowHub, document: tuple[str, dict[str, bool]], caller: str | None
) -> None:
    query, variables = document
    assume(not re.search("orderBy|maxPrice", query))  # prices have tests of their own
    compiled = hub.ask(query, variables, world.authorization(caller))
    assert compiled == slow.ask(query, variables, caller)


@settings(max_examples=rounds(25, full=80))
@given(data=st.data(), caller=WHO)
def test_finds_what_a_slow_search_finds(
    hub: Hub, world: World, slow: SlowHub, data: st.DataObject, caller: str | None
) -> None:
    assert CORE.query_type is not None
    definition = CORE.query_type.fields["evses"]
    arguments = data.draw(arguments_of(definition.args, wild=False))
    leave_out_unknown(arguments)
    written = ", ".join(f"{name}: {literal(value, definition.args[name].type)}" for name, value in arguments.items())
    query = (
        f"{{ evses{f'({written})' if written else ''} {{ nodes {{ evseId distanceM }} pageInfo {{ hasNextPage }} }} }}"
    )
    assert hub.ask(query, headers=world.authorization(caller)) == slow.ask(query, {}, caller)


def leave_out_unknown(arguments: dict[str, Any]) -> None:
    """Leave out prices, areas and filters that the slow reading does not know."""
    for argument in ("price", "maxPrice", "orderBy"):
        arguments.pop(argument, None)
    for argument, known in (("within", {"near", "bounds"}), ("filter", TESTS)):
        given = arguments.pop(argument, None) or {}
        if given.keys() & known:
            arguments[argument] = {name: value for name, value in given.items() if name in known}
