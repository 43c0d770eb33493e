"""A database that hangs, or is gone: requests that need it are answered with 503 in time, the others as ever."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.db.cluster import Cluster
from tests.attacks import backends, hanging
from tests.hub import FILLED, Hub, scratch_database, serve
from tests.wire.talk import talk
from tests.world import World

HELLO = "{ __typename }"
LIST = "{ evses(first: 1) { nodes { evseId } } }"
PRIVATE = "{ contracts(first: 1) { nodes { id } } }"
EXECUTED = f"{{ __schema {{ queryType {{ name }} }} {LIST[1:]}"
REMOVAL = 'mutation { removeChargePoints(evseIds: ["DE*SON*E999"]) { accepted } }'
QUERIES = {"alone": LIST, "in a transaction": PRIVATE, "executed": EXECUTED, "a mutation": REMOVAL}
PUSH = 'mutation { updateStatus(evses: [{evseId: "DE*SON*E1", major: NOT_AVAILABLE}]) { accepted } }'
DEADLINE_S = 0.5


@pytest.fixture
def scratch(cluster: Cluster, filled: World) -> Iterator[World]:
    with scratch_database(cluster.dsn, FILLED, f"away_{uuid4().hex}") as dsn:
        yield World(dsn, filled.secrets, filled.partner_ids)


@contextmanager
def warm(world: World) -> Iterator[tuple[Hub, dict[str, str]]]:
    """A hub that has answered each of the queries, and the key for them."""
    limits: dict[str, Any] = {"read_timeout_s": DEADLINE_S, "mutation_timeout_s": DEADLINE_S, "key_cache_s": 3600.0}
    key = world.authorization("sonnenstrom")
    with serve(world.dsn, profile="DEVELOPMENT", pool_size=4, **limits) as hub:
        for query in QUERIES.values():
            hub.until(lambda query=query: "errors" not in hub.post(query, headers=key).json())
        yield hub, key


def refusal(response: httpx.Response) -> tuple[int, bool]:
    return response.status_code, "retry-after" in response.headers


@pytest.mark.parametrize("way", QUERIES)
def test_answers_in_time_while_the_database_hangs_and_soon_as_before(scratch: World, way: str) -> None:
    with warm(scratch) as (hub, key):
        with hanging(asyncio.run(backends(scratch.dsn))):
            refused = hub.post(QUERIES[way], headers=key)
            assert refusal(refused) == (503, True)
            assert refused.json()["errors"][0]["extensions"]["code"] in ("TIMEOUT", "OVERLOADED", "UNAVAILABLE")
            assert hub.ask(HELLO) == hub.ask(HELLO, headers=key) == {"__typename": "Query"}
            # Others that do not hang take the place of the backends that do.
            hub.until(lambda: hub.post(QUERIES[way], headers=key).status_code == 200)
        hub.ask(QUERIES[way], headers=key)


def test_says_that_the_database_hangs(scratch: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.READY_WITHIN_S", DEADLINE_S)
    with warm(scratch) as (hub, _), hanging(asyncio.run(backends(scratch.dsn))):
        assert hub.client.get("/readyz").status_code == 503
        assert hub.client.get("/healthz").status_code == 200
        hub.until(lambda: hub.client.get("/readyz").status_code == 200)


def test_delivers_changes_although_backends_hang(scratch: World) -> None:
    with warm(scratch) as (hub, key), talk(hub) as client:
        client.init()
        client.subscribe("1", 'subscription { changes(filter: {evseIds: ["DE*SON*E1"]}, initial: true) { hasMore } }')
        while client.hear()["payload"]["data"]["changes"]["hasMore"]:
            pass
        with hanging(asyncio.run(backends(scratch.dsn))):
            hub.until(lambda: hub.post(PUSH, headers=key).status_code == 200)
            assert client.hear()["payload"]["data"]["changes"] == {"hasMore": False}


@pytest.mark.parametrize("way", QUERIES)
def test_answers_503_while_the_database_is_gone_and_soon_as_before(scratch: World, cluster: Cluster, way: str) -> None:
    with warm(scratch) as (hub, key):
        with gone(scratch.dsn, cluster):
            refused = hub.post(QUERIES[way], headers=key)
            assert refusal(refused) == (503, True)
            assert refused.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert hub.client.get("/readyz").status_code == 503
            assert hub.ask(HELLO) == {"__typename": "Query"}
        hub.until(lambda: hub.post(QUERIES[way], headers=key).status_code == 200)


@contextmanager
def gone(dsn: str, cluster: Cluster) -> Iterator[None]:
    name = urlsplit(dsn).path.removeprefix("/")

    async def run(*statements: str) -> None:
        connection = await asyncpg.connect(cluster.dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(
            run(
                f"alter database {name} allow_connections false",
                f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
            )
        )
        try:
            yield
        finally:
            loop.run_until_complete(run(f"alter database {name} allow_connections true"))
