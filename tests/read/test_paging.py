"""Paging as the Relay specification has it, by a reference algorithm over the whole list; and while rows change."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.db.cluster import Cluster
from geo.polyline import encode_polyline
from tests.read.ground import T2, Ground, make_ground
from tests.world import evse

AREAS: dict[str, Any] = {
    "everywhere": None,
    "near": {"near": {"latitude": 48, "longitude": 10, "radiusM": 60_000}},
    "bounds": {"bounds": {"minimumLatitude": 47, "minimumLongitude": 9, "maximumLatitude": 49, "maximumLongitude": 11}},
    "polygon": {
        "polygon": [
            {"latitude": 47, "longitude": 9},
            {"latitude": 49, "longitude": 9},
            {"latitude": 48, "longitude": 12},
        ]
    },
    "route": {"route": {"polyline": encode_polyline([(9.6, 48.0), (10.4, 48.0), (10.4, 48.3)]), "corridorM": 40_000}},
}
LISTS = {"evses": "evseId", "locations": "locationId"}

QUERY = """query ($within: AreaInput, $first: Int!, $after: String) {{
    {field}(within: $within, first: $first, after: $after) {{
        edges {{ cursor node {{ {id_} }} }}
        nodes {{ {id_} }}
        pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
    }}
}}"""

Edge = tuple[str, str]


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with make_ground(cluster, template) as ground:
        yield ground


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


def some_point(chance: random.Random) -> dict[str, Any]:
    """Few places for many charge points: much is equally near, and stands at one place of the route."""
    return {"longitude": 10 + chance.randint(-3, 3) / 10, "latitude": 48 + chance.randint(-3, 3) / 10}


def charge_point(number: int) -> dict[str, Any]:
    at = some_point(random.Random(number // 2))
    return evse(f"DE*TST*E{number:03}", f"L{number // 2:03}", at["latitude"], at["longitude"], T2)


def page(ground: Ground, field: str, within: Any, first: int, after: str | None) -> dict[str, Any]:
    query = QUERY.format(field=field, id_=LISTS[field])
    return ground.hub.ask(query, {"within": within, "first": first, "after": after})[field]


def edges_of(answer: dict[str, Any], id_: str) -> list[Edge]:
    return [(edge["cursor"], edge["node"][id_]) for edge in answer["edges"]]


def reference(edges: Sequence[Edge], first: int, after: str | None) -> dict[str, Any]:
    """Cut a page out of all edges, step by step as in the specification's EdgesToReturn and HasNextPage."""
    cursors = [cursor for cursor, _ in edges]
    behind = list(edges[cursors.index(after) + 1 :] if after in cursors else edges)
    cut = behind[:first]
    return {
        "edges": cut,
        "hasNextPage": len(behind) > first,
        "hasPreviousPage": after is not None,
        "startCursor": cut[0][0] if cut else None,
        "endCursor": cut[-1][0] if cut else None,
    }


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("field", LISTS)
def test_cuts_pages_as_the_specification_does(ground: Ground, chance: random.Random, field: str, area: str):
    ground.put([charge_point(n) for n in range(120)])
    id_, within = LISTS[field], AREAS[area]
    whole = edges_of(page(ground, field, within, 500, None), id_)
    assert len(whole) > 20
    assert len(set(whole)) == len(whole)
    for _ in range(12):
        first = chance.choice([1, 2, 3, 10, len(whole) - 1, len(whole), len(whole) + 1])
        after = chance.choice([None, whole[0][0], whole[-1][0], chance.choice(whole)[0], chance.choice(whole)[0]])
        answer = page(ground, field, within, first, after)
        assert [node[id_] for node in answer["nodes"]] == [name for _, name in edges_of(answer, id_)]
        assert {"edges": edges_of(answer, id_), **answer["pageInfo"]} == reference(whole, first, after)


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("field", LISTS)
def test_skips_and_doubles_nothing_while_rows_come_and_go(ground: Ground, chance: random.Random, field: str, area: str):
    """What stands all the time is seen exactly once; what comes or goes at most once; in one order throughout."""
    id_, within = LISTS[field], AREAS[area]
    ground.put([charge_point(n) for n in range(120)])
    before = {name for _, name in edges_of(page(ground, field, within, 500, None), id_)}
    seen: list[str] = []
    after, more, removed = None, True, set[int]()
    while more:
        answer = page(ground, field, within, 9, after)
        seen += [node[id_] for node in answer["nodes"]]
        after, more = answer["pageInfo"]["endCursor"], answer["pageInfo"]["hasNextPage"]
        new = chance.sample(range(200, 320), 2)
        ground.put([charge_point(n) for n in new])
        going = {n for n in chance.sample(range(120), 2) if n not in removed}
        # The row behind which the next page begins may go as well.
        if chance.random() < 0.5 and field == "evses" and seen:
            going |= {int(seen[-1].removeprefix("DE*TST*E"))} & set(range(120)) - removed
        if going:
            ground.remove(*(f"DE*TST*E{n:03}" for n in going))
        removed |= going
    assert len(set(seen)) == len(seen)
    last = {name for _, name in edges_of(page(ground, field, within, 500, None), id_)}
    assert before & last <= set(seen)
    ground.put([charge_point(n) for n in removed])
    ends = [name for _, name in edges_of(page(ground, field, within, 500, None), id_)]
    here = [name for name in seen if name in set(ends)]
    assert here == sorted(here, key=ends.index)


@pytest.mark.parametrize("area", AREAS)
def test_refuses_cursors_of_other_lists(ground: Ground, area: str):
    ground.put([charge_point(n) for n in range(4)])
    cursor = page(ground, "evses", AREAS[area], 1, None)["pageInfo"]["endCursor"]
    for field in LISTS:
        for other, within in AREAS.items():
            # Everywhere, boxes and polygons go by id alike: a cursor of one has a place in the others.
            alike = {area, other} <= {"everywhere", "bounds", "polygon"} or area == other
            asked = {"within": within, "first": 1, "after": cursor}
            answer = ground.hub.post(QUERY.format(field=field, id_=LISTS[field]), asked).json()
            if field == "evses" and alike:
                assert "errors" not in answer
            else:
                assert answer["errors"][0]["extensions"]["code"] == "BAD_CURSOR"
