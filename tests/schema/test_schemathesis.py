"""Questions that schemathesis makes up from the schema, for every root field: answered, or refused in words."""

from collections.abc import Iterator

import pytest
import schemathesis
from graphql import GraphQLScalarType, is_specified_scalar_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes

from schema.build import SDL
from tests.hub import Hub, serve
from tests.length import rounds
from tests.schema.graphql_values import CORE, SCALARS
from tests.schema.test_fuzz import check
from tests.world import World

for scalar in CORE.type_map.values():
    if isinstance(scalar, GraphQLScalarType) and not is_specified_scalar_type(scalar):
        texts = SCALARS.get(scalar.name, st.just("x")) | st.text(max_size=5)
        schemathesis.graphql.scalar(scalar.name, texts.map(nodes.String))

SCHEMA = schemathesis.graphql.from_path(SDL)
FIELDS = [(root, field) for root in SCHEMA for field in SCHEMA[root]]


@pytest.fixture(scope="module")
def stirred(own_world: World) -> Iterator[Hub]:
    with serve(own_world.dsn) as hub:
        yield hub


@pytest.mark.parametrize(("root", "field"), FIELDS)
@settings(max_examples=rounds(2, full=6), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_answers_whatever_schemathesis_asks(
    stirred: Hub, own_world: World, root: str, field: str, data: st.DataObject
) -> None:
    case = data.draw(SCHEMA[root][field].as_strategy())
    assert isinstance(case.body, str)
    response = stirred.post(case.body, headers=own_world.authorization("leitstelle"))
    check(response.status_code, response.content)
