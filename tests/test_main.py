"""The hub as a whole: what it answers besides GraphQL, and what becomes of a request when the database stumbles."""

import time
from asyncio import run
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.db import engine
from app.db.cluster import Cluster
from tests.hub import Hub, locked, scratch_database, serve
from tests.world import World

HELLO = "{ __typename }"
ONE = '{ evse(evseId: "DE*SON*E1") { evseId } }'


@pytest.fixture(scope="module")
def empty(cluster: Cluster, template: str) -> Iterator[str]:
    """An empty database of this file's own."""
    with scratch_database(cluster.dsn, template, f"empty_{uuid4().hex}") as dsn:
        yield dsn


async def execute(dsn: str, *statements: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


# ---------------------------------------------------------------- health


def test_says_that_it_lives_and_is_ready(hub: Hub) -> None:
    assert hub.client.get("/healthz").json() == {"status": "ok"}
    ready = hub.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")


def test_is_not_ready_before_its_schema_is_there(empty: str) -> None:
    with serve(empty) as hub:
        assert hub.client.get("/readyz").status_code == 200
        run(execute(empty, "update alembic_version set version_num = 'older'"))
        hub.until(lambda: hub.client.get("/readyz").status_code == 503)
        assert hub.client.get("/readyz").json()["status"] == "schema behind"
        assert hub.client.get("/healthz").status_code == 200


def test_is_not_ready_while_the_database_is_away(cluster: Cluster, template: str) -> None:
    with scratch_database(cluster.dsn, template, name := f"away_{uuid4().hex}") as dsn, serve(dsn) as hub:
        run(execute(cluster.dsn, f"drop database {name} with (force)", f"create database {name}"))
        response = hub.client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "unavailable")
        assert hub.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(("path", "least"), [("/readyz", 1), ("/metrics", 0)])
def test_asks_the_database_how_it_is_once_a_second_however_many_ask(hub: Hub, path: str, least: int) -> None:
    began = time.monotonic()
    with hub.recording() as statements:
        assert {hub.client.get(path).status_code for _ in range(50)} == {200}
    seconds = time.monotonic() - began
    asked = sum("alembic_version" in statement for statement in statements)
    assert least <= asked <= seconds + 1


def test_counts_what_it_does(hub: Hub, world: World) -> None:
    def count(metric: str) -> float:
        text = hub.client.get("/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(metric))

    before = count('ochub_graphql_requests_total{way="compiled"}')
    hub.ask(ONE)
    assert count('ochub_graphql_requests_total{way="compiled"}') == before + 1
    refused = count('ochub_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"}')
    hub.post("{ nothing }")
    assert count('ochub_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"}') == refused + 1


def test_counts_without_names_and_secrets(hub: Hub, world: World) -> None:
    hub.post("{ me { role } }", headers=world.authorization("wegweiser"))
    hub.post("{ me { role } }", headers={"Authorization": "Bearer ochub_nonsense"})
    text = hub.client.get("/metrics").text
    assert not any(word in text for word in ("Wegweiser", "ochub_nonsense", *world.secrets.values()))


@pytest.mark.parametrize(
    "path", ["/", "/docs/x", "/redoc", "/openapi.json", "/graphiql", "/graphql/", "/graphql/x", "/metricsx"]
)
def test_has_nothing_else_in_production(hub: Hub, path: str) -> None:
    assert hub.client.get(path).status_code in (404, 405, 307)
    assert "DE*SON" not in hub.client.post(path, json={"query": ONE}, follow_redirects=False).text


# ---------------------------------------------------------------- a database that stumbles


def test_gives_up_with_a_code_when_the_database_takes_too_long(world: World) -> None:
    with serve(world.dsn, read_timeout_s=0.3) as hub:
        hub.ask(ONE)
        with locked(world.dsn, "evse"):
            [error] = hub.post(ONE).json()["errors"]  # while the table is locked: it gives up, or never answers
            assert error["extensions"]["code"] == "TIMEOUT"
        assert hub.ask(ONE) == {"evse": {"evseId": "DE*SON*E1"}}


@pytest.mark.parametrize(
    "query", [ONE, f"{{ __schema {{ queryType {{ name }} }} {ONE[1:]}"], ids=["compiled", "executed"]
)
def test_refuses_a_query_that_waited_too_long_for_a_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(engine, "READS_WAIT_S", 0.1)
    with serve(world.dsn, profile="DEVELOPMENT") as hub:
        hub.ask(query)
        with hub.occupied(hub.database.reads):
            for asked, headers in ((query, None), (HELLO, world.authorization("wegweiser"))):
                response = hub.post(asked, headers=headers)
                assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
                [error] = response.json()["errors"]
                assert (error["extensions"]["code"], error["extensions"]["retryAfterS"]) == ("OVERLOADED", 1)
            assert hub.ask(HELLO) == {"__typename": "Query"}
        assert hub.ask(query)["evse"] == {"evseId": "DE*SON*E1"}


def test_says_of_a_mutation_which_field_waited_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it were done, so it is answered; where none was it is refused as a whole."""
    monkeypatch.setattr(engine, "WRITES_WAIT_S", 0.1)
    key, partner_id = world.authorization("leitstelle"), next(iter(world.partner_ids.values()))
    read, write = (f'{name}(partnerId: "{partner_id}") {{ id }}' for name in ("updatePartner", "suspendPartner"))
    with serve(world.dsn) as hub, hub.occupied(hub.database.writes):
        response = hub.post(f"mutation {{ {read} {write} }}", headers=key)
        refused = hub.post(f"mutation {{ {write} }}", headers=key)
    [error] = response.json()["errors"]
    assert (response.status_code, error["path"]) == (200, ["suspendPartner"])
    assert error["extensions"]["code"] == "OVERLOADED"
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")


def test_goes_on_when_its_connections_were_cut(cluster: Cluster, template: str) -> None:
    others = "datname = current_database() and pid <> pg_backend_pid()"
    cut = f"select pg_terminate_backend(pid) from pg_stat_activity where {others}"
    with scratch_database(cluster.dsn, template, f"cut_{uuid4().hex}") as dsn, serve(dsn) as hub:
        for query in (ONE, "{ contracts { nodes { id } } }", "mutation { rotateApiKey { secret } }"):
            before = hub.post(query).json()
            run(execute(dsn, cut))
            assert "SERVER" not in str(before)
            hub.until(lambda query=query, before=before: hub.post(query).json() == before)


def test_says_nothing_of_its_insides_when_it_fails(cluster: Cluster, template: str) -> None:
    with scratch_database(cluster.dsn, template, f"broken_{uuid4().hex}") as dsn, serve(dsn) as hub:
        run(execute(dsn, "alter table evse rename column evse_id to something_else"))
        response: httpx.Response = hub.post(ONE)
        assert response.status_code == 200
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "SERVER"
        assert error["extensions"]["errorId"] in error["message"]
        assert not any(
            word in response.text
            for word in ("evse_id", "does not exist", "select", "SELECT", "asyncpg", "Traceback", "something")
        )


def test_serves_two_hubs_on_one_database(world: World) -> None:
    with serve(world.dsn) as one, serve(world.dsn) as other:
        assert one.ask(ONE) == other.ask(ONE)
