"""Time costs: a request has a deadline over all its statements, pays for what they took, and holds its share only.

A lock makes statements slow, for as long as the test wants.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.attacks import backends, hanging, request
from tests.hub import Hub, locked, serve
from tests.wire.raw import connection
from tests.wire.talk import talk
from tests.world import World

QUICK = '{ evse(evseId: "DE*SON*E1") { evseId } }'
SLOW = '{ location(operatorId: "DESON", locationId: "L1") { name } }'
SLOW_FIELD, QUICK_FIELD = SLOW[1:-1], QUICK[1:-1]
SCHEMA = "__schema { queryType { name } }"
DEADLINE_S = 0.3


@pytest.fixture(scope="module")
def hasty(world: World) -> Iterator[Hub]:
    with serve(world.dsn, profile="DEVELOPMENT", read_timeout_s=DEADLINE_S) as hub:
        for query in (QUICK, SLOW, f"{{ {SCHEMA} {QUICK_FIELD} {SLOW_FIELD} }}"):
            until_answered(hub, query)
        yield hub


def until_answered(hub: Hub, query: str) -> None:
    """Send a query until it is in time: the first time takes longest."""
    hub.until(lambda: "errors" not in hub.post(query).json())


def codes(response: httpx.Response) -> list[tuple[str, str]]:
    return [(error["path"][0], error["extensions"]["code"]) for error in response.json()["errors"]]


# ---------------------------------------------------------------- the deadline


@pytest.mark.parametrize("more", ["", SCHEMA], ids=["compiled", "executed"])
def test_answers_what_was_in_time(hasty: Hub, world: World, more: str) -> None:
    with locked(world.dsn, "location"):
        response = hasty.post(f"{{ {more} {QUICK_FIELD} slow: {SLOW_FIELD} }}")
    assert (response.status_code, codes(response)) == (200, [("slow", "TIMEOUT")])
    assert response.json()["data"]["evse"] == {"evseId": "DE*SON*E1"}


@pytest.mark.parametrize("more", ["", SCHEMA], ids=["compiled", "executed"])
def test_refuses_what_has_no_answer_in_time(hasty: Hub, world: World, more: str) -> None:
    with locked(world.dsn, "location"):
        response = hasty.post(f"{{ __typename {more} {SLOW_FIELD} other: {SLOW_FIELD} }}")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"


def test_has_one_deadline_for_all_statements(hasty: Hub, world: World) -> None:
    with locked(world.dsn, "location"), hasty.recording() as statements:
        response = hasty.post(f"{{ a: {SLOW_FIELD} b: {SLOW_FIELD} c: {QUICK_FIELD} }}")
    assert (response.status_code, len(statements)) == (503, 1)


def test_has_the_deadline_on_sockets(hasty: Hub, world: World) -> None:
    with locked(world.dsn, "location"), talk(hasty) as client:
        client.init()
        client.subscribe("1", f"{{ {QUICK_FIELD} slow: {SLOW_FIELD} }}")
        payload = client.hear_of("1")[0]["payload"]
    assert payload["data"]["evse"] == {"evseId": "DE*SON*E1"}
    assert [error["extensions"]["code"] for error in payload["errors"]] == ["TIMEOUT"]


def test_has_the_deadline_for_the_begin_of_a_subscription(world: World) -> None:
    with serve(world.dsn, pool_size=4, read_timeout_s=DEADLINE_S) as hub, locked(world.dsn, "log_state"):
        response = hub.post("subscription { changes { cursor } }", headers={"Accept": "text/event-stream"})
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (503, "TIMEOUT")


# ---------------------------------------------------------------- what it costs


#: A millisecond of the database costs more than a budget holds.
DEAR: dict[str, Any] = {"anonymous_cost_per_s": 10_000.0, "database_cost_per_s": 1e12}


def is_refused(hub: Hub) -> bool:
    return hub.post("{ __typename }").status_code == 429


def test_charges_what_the_database_took(world: World) -> None:
    with serve(world.dsn, **DEAR) as hub:
        assert not is_refused(hub)
        cost = hub.post(QUICK).json()["extensions"]["cost"]
        assert (cost["requested"], cost["charged"] > 100_000, cost["remaining"]) == (1, True, 0)
        assert is_refused(hub)


def test_charges_the_time_of_a_client_that_left(world: World) -> None:
    with serve(world.dsn, pool_size=4, read_timeout_s=60.0, **DEAR) as hub, locked(world.dsn, "location"):
        with connection(hub) as plug:
            plug.sendall(request(SLOW))
            hub.until(lambda: hub.run(_held(hub)) == 1)
        hub.until(lambda: is_refused(hub))


def test_charges_no_time_of_a_database_that_hangs(world: World) -> None:
    with serve(world.dsn, read_timeout_s=DEADLINE_S, **DEAR) as hub:
        with hanging(asyncio.run(backends(world.dsn))):
            assert hub.post(QUICK).status_code == 503
            hub.until(lambda: hub.run(_held(hub)) == 0)
        assert not is_refused(hub)


async def _held(hub: Hub) -> int:
    """Return how many connections are held by callers."""
    return sum(hub.database._reads._held.values())


# ---------------------------------------------------------------- shares


def test_leaves_connections_to_others(world: World) -> None:
    """One address asks slowly, and more often than there are connections; a partner behind it is answered."""
    with (
        serve(world.dsn, pool_size=2, read_timeout_s=30.0) as hub,
        ThreadPoolExecutor(6) as strangers,
    ):
        hub.ask(QUICK)
        with locked(world.dsn, "location"):
            asked = threading.Barrier(7)

            def ask() -> int:
                with httpx.Client(base_url=hub.url, timeout=60) as client:
                    asked.wait()
                    return client.post("/graphql", json={"query": SLOW}).status_code

            answers = [strangers.submit(ask) for _ in range(6)]
            asked.wait()
            hub.until(lambda: hub.run(_waiting(hub)) == 5)
            assert hub.ask(QUICK, headers=world.authorization("wegweiser")) == {"evse": {"evseId": "DE*SON*E1"}}
        assert [each.result() for each in answers] == [200] * 6


async def _waiting(hub: Hub) -> int:
    """Return how many requests wait for their callers' other requests."""
    return hub.database._reads.waiting()
