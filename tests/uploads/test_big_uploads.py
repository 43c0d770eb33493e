"""Big uploads: thousands of charge points in one request do not block the event loop."""

import gc
import math
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from app import gc_tuning as collector
from app.uploads import yielding
from schema import graphql_request, route
from tests.benchmarks.uploads import list_of
from tests.hub import JSON, Hub, heartbeat, serve
from tests.length import rounds
from tests.world import World

ITEMS = rounds(3_000, full=10_000)
#: Of what it takes without yielding.
AT_MOST = 0.5

UPDATE = "updateChargePointList(chargePoints: $items)"
SET = 'setChargePointList(operatorId: "DESON", chargePoints: $items, part: {listId: "big", number: 1, last: false})'


@pytest.fixture(scope="module")
def hub(own_world: World) -> Iterator[Hub]:
    with serve(own_world.dsn) as hub:
        hub.client.timeout = httpx.Timeout(120)
        yield hub


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return list_of(ITEMS, "DESON")


def stall_s(hub: Hub, body: bytes, headers: dict[str, str]) -> float:
    """Upload; return how long the hub's event loop was blocked at most."""
    gc.collect()
    gc.freeze()
    try:
        with heartbeat(hub) as pauses:
            response = hub.client.post("/graphql", headers={**JSON, **headers}, content=body)
    finally:
        gc.unfreeze()
    report = response.json()["data"]["report"]
    assert (report["accepted"] + report["unchanged"], report["refused"]) == (ITEMS, [])
    return pauses[0]


@pytest.mark.parametrize("mutation", [SET, UPDATE], ids=["set", "update"])
def test_takes_much_without_keeping_others_waiting(
    hub: Hub, own_world: World, items: list[dict[str, Any]], mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = (
        f"mutation ($items: [ChargePointInput!]!) {{ report: {mutation} {{ accepted unchanged refused {{ code }} }} }}"
    )
    body = orjson.dumps({"query": query, "variables": {"items": items}})
    headers = own_world.authorization("sonnenstrom")
    stall_s(hub, body, headers)  # what comes first makes connections and plans
    with monkeypatch.context() as patch:
        for module in (graphql_request, route):
            patch.setattr(module, "BIG_BYTES", math.inf)
        patch.setattr(yielding, "YIELD_EVERY_S", math.inf)
        at_once_s = stall_s(hub, body, headers)
    in_turns_s = stall_s(hub, body, headers)
    print(f"blocked for {in_turns_s:.3f} s; without yielding for {at_once_s:.3f} s")  # noqa: T201
    assert in_turns_s <= AT_MOST * at_once_s


def test_says_where_a_big_body_is_no_json(hub: Hub, own_world: World) -> None:
    good = orjson.dumps(list_of(400, "DESON"))[1:-1]
    query = f"mutation ($items: [ChargePointInput!]!) {{ report: {UPDATE} {{ accepted }} }}"
    for broken, where in ((b'{"evseId": "\xff"}', "`items["), (b"{", "the body")):
        body = orjson.dumps({"query": query})[:-1] + b', "variables": {"items": [' + good + b"," + broken + b"]}}"
        assert len(body) > graphql_request.BIG_BYTES
        headers = {**JSON, **own_world.authorization("sonnenstrom")}
        response = hub.client.post("/graphql", headers=headers, content=body)
        assert response.json()["errors"][0]["message"].startswith(where)
        assert "is not JSON in UTF-8" in response.text


@pytest.mark.parametrize(
    "members",
    [
        {"variables": {"items": ["x" * 90] * 4_000, "id": "DE*SON*E1", "nothing": None}},
        {"variables": {"id": "DE*SON*E1", "text": "x" * 300_000}},
        {"variables": {"id": "DE*SON*E1"}, "extensions": {"text": "x" * 300_000}, "operationName": None},
        {"variables": {"id": "DE*SON*E1"}, "stranger": ["x" * 90] * 4_000},
    ],
    ids=["a list", "a text", "extensions", "an unknown member"],
)
def test_reads_a_big_body_like_a_small_one(hub: Hub, own_world: World, members: dict[str, Any]) -> None:
    query = "query Q($id: EvseId!) { evse(evseId: $id) { evseId } }"
    body = orjson.dumps({"query": query, **members})
    assert len(body) > graphql_request.BIG_BYTES
    headers = {**JSON, **own_world.authorization("sonnenstrom")}
    response = hub.client.post("/graphql", headers=headers, content=body)
    assert response.json()["data"] == {"evse": {"evseId": "DE*SON*E1"}}


def test_lets_go_of_what_was_uploaded_without_the_collector(hub: Hub, own_world: World) -> None:
    query = f"mutation ($items: [ChargePointInput!]!) {{ report: {UPDATE} {{ accepted }} }}"
    marked = [{**each, "locationName": f"marked {number}"} for number, each in enumerate(list_of(300, "DESON"))]
    body = orjson.dumps({"query": query, "variables": {"items": marked}})
    del marked
    gc.collect()
    with collector.resting():
        hub.client.post("/graphql", headers={**JSON, **own_world.authorization("sonnenstrom")}, content=body)
        dicts = [each for each in gc.get_objects() if type(each) is dict]
        alive = sum(str(each.get("locationName")).startswith("marked") for each in dicts)
    assert alive == 0


def test_does_not_let_the_collector_rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector.resting():
        assert not gc.isenabled()
        with collector.resting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with collector.resting():
        monkeypatch.setattr(collector, "LONGEST_S", -1.0)
        late = collector.resting()
        late.__enter__()
    assert gc.isenabled()
    late.__exit__(None, None, None)
    assert gc.isenabled()
