"""Whatever is asked, however it is sent: there is an answer, or a code and a sentence; never SERVER, never a 5xx."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLField
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub import JSON, Hub, serve
from tests.length import rounds
from tests.schema.graphql_values import CORE, SOMETHING, WHO, arguments_of, literal, whole_selection
from tests.world import World

assert CORE.query_type is not None
assert CORE.mutation_type is not None
QUERIES = CORE.query_type.fields
MUTATIONS = CORE.mutation_type.fields


@pytest.fixture(scope="module")
def shaken(own_world: World) -> Iterator[Hub]:
    with serve(own_world.dsn) as hub:
        yield hub


def check(status: int, body: bytes) -> None:
    assert status < 500, body
    answer = json.loads(body)
    assert answer.keys() <= {"data", "errors"}
    assert "errors" in answer or answer["data"] is not None
    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] != "SERVER", error
        assert len(error["message"]) > 5


def sent(kind: str, name: str, field: GraphQLField, arguments: dict[str, Any], as_literals: bool) -> dict[str, Any]:
    """Return the request that selects everything of one root field."""
    selection = whole_selection(field.type)
    if as_literals:
        written = ", ".join(f"{each}: {literal(value, field.args[each].type)}" for each, value in arguments.items())
        return {"query": f"{kind} {{ {name}{f'({written})' if written else ''} {selection} }}"}
    declared = ", ".join(f"${each}: {field.args[each].type}" for each in arguments)
    passed = ", ".join(f"{each}: ${each}" for each in arguments)
    head = f"{kind} ({declared}) {{ {name}({passed})" if arguments else f"{kind} {{ {name}"
    return {"query": f"{head} {selection} }}", "variables": arguments}


@pytest.mark.parametrize("name", QUERIES)
@settings(max_examples=rounds(8, full=25))
@given(data=st.data())
def test_answers_every_query(shaken: Hub, own_world: World, name: str, data: st.DataObject) -> None:
    field = QUERIES[name]
    arguments = data.draw(arguments_of(field.args, wild=data.draw(st.booleans())))
    request = sent("query", name, field, arguments, data.draw(st.booleans()))
    response = shaken.client.post("/graphql", json=request, headers=own_world.authorization(data.draw(WHO)))
    check(response.status_code, response.content)


@pytest.mark.parametrize("name", MUTATIONS)
@settings(max_examples=rounds(5, full=15))
@given(data=st.data())
def test_answers_every_mutation(shaken: Hub, own_world: World, name: str, data: st.DataObject) -> None:
    field = MUTATIONS[name]
    arguments = data.draw(arguments_of(field.args, wild=data.draw(st.booleans())))
    request = sent("mutation", name, field, arguments, data.draw(st.booleans()))
    who = data.draw(st.sampled_from([None, "leitstelle", "leitstelle", "sonnenstrom", "wegweiser"]))
    response = shaken.client.post("/graphql", json=request, headers=own_world.authorization(who))
    check(response.status_code, response.content)


@settings(max_examples=rounds(30, full=100))
@given(
    body=st.one_of(
        st.binary(max_size=40), st.recursive(SOMETHING, st.lists).map(lambda value: json.dumps(value).encode())
    )
)
def test_answers_every_body(hub: Hub, body: bytes) -> None:
    response = hub.client.post("/graphql", content=body, headers=JSON)
    assert response.status_code == 400
    check(response.status_code, response.content)


WORDS = """{ } ( ) [ ] ... : $ @ ! = | & # , query mutation fragment on Query Evse F x true null 1 -1.5e9 skip if me
evse evses evseId nodes __typename first filter role"""
TOKENS = [*WORDS.split(), '"', '"""', '"x"', "\n", "\ufeff", "\x00", "... F", "fragment F on Query { me { role } }"]


@settings(max_examples=rounds(40, full=150))
@given(tokens=st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=25))
def test_answers_every_document(hub: Hub, tokens: list[str]) -> None:
    response = hub.client.post("/graphql", content=json.dumps({"query": " ".join(tokens)}), headers=JSON)
    check(response.status_code, response.content)
