"""How many sockets, subscriptions and messages there may be, whom they cost, and when they end by the hub's will."""

import json
import threading
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from app.auth import STILL_GOOD
from app.db import engine
from app.db.cluster import Cluster
from app.db.engine import Database
from app.http.open_streams import OpenStreams
from app.settings import Settings
from app.vocabulary import Role
from tests.attacks import zigzag
from tests.exchange.world import enrol
from tests.hub import serve
from tests.waiting import until_locked_out
from tests.wire.counter import COUNTING, Counter
from tests.wire.talk import events, parsed, talk
from tests.world import World

API = {"schema": COUNTING, "source": Counter()}
TICKS = "subscription { ticks }"
TO_THREE = "subscription { count(to: 3) }"


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def code_of(message: dict[str, Any]) -> str:
    return message["payload"][0]["extensions"]["code"]


# ---------------------------------------------------------------- how many


def test_bounds_the_sockets_of_a_stranger(world: World) -> None:
    with serve(world.dsn, api=API, max_sockets_per_address=2) as hub, ExitStack() as stack:
        first, _ = (stack.enter_context(talk(hub)) for _ in range(2))
        with talk(hub) as third:
            code, reason = third.end()
        assert (code, "2 sockets of this address are open" in reason) == (4429, True)
        with events(hub, TICKS) as response:
            assert response.status_code == 429
            assert json.loads(response.read())["errors"][0]["extensions"]["code"] == "TOO_MANY_OPEN"
        first.socket.close()
        hub.until(lambda: "ochub_sockets 1.0" in hub.client.get("/metrics").text)
        stack.enter_context(talk(hub)).init()


def test_bounds_the_sockets_of_a_key_apart_from_its_address(world: World) -> None:
    key, other = world.authorization("wegweiser"), world.authorization("nordlicht")
    with serve(world.dsn, api=API, max_sockets_per_address=1, max_sockets_per_key=2) as hub, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(talk(hub)).init(key)
        with talk(hub) as third:
            third.send("connection_init", payload=key)
            assert third.end()[0] == 4429
        stack.enter_context(talk(hub)).init(other)
        stack.enter_context(talk(hub)).init()


def test_bounds_what_runs_on_a_socket(world: World) -> None:
    with serve(world.dsn, api=API, max_subscriptions_per_socket=2) as hub, talk(hub) as client:
        client.init()
        for id_ in "12":
            client.subscribe(id_, "subscription { waits }")
        client.subscribe("3", TICKS)
        [refused] = client.hear_of("3")
        assert (refused["type"], code_of(refused)) == ("error", "TOO_MANY_OPEN")
        client.send("complete", id="1")
        client.subscribe("3", TO_THREE)
        assert len(client.hear_of("3")) == 4


def test_counts_operations_that_are_refused_on_a_socket(world: World) -> None:
    with serve(world.dsn, api=API, max_subscriptions_per_socket=1) as hub, talk(hub) as client:

        def refused() -> float:
            text = hub.client.get("/metrics").text
            marked = 'ochub_graphql_requests_total{way="refused"} '
            return sum(float(line.removeprefix(marked)) for line in text.splitlines() if line.startswith(marked))

        before = refused()
        client.init()
        client.subscribe("invalid", "{ nothing }")
        client.hear_of("invalid")
        assert refused() == before + 1
        client.subscribe("runs", "subscription { waits }")
        client.subscribe("too many", TICKS)
        client.hear_of("too many")
        assert refused() == before + 2


@pytest.mark.parametrize("with_key", [False, True])
def test_bounds_the_subscriptions_of_a_caller(world: World, with_key: bool) -> None:
    limits: dict[str, Any] = {"max_subscriptions_per_key": 2, "max_subscriptions_per_address": 2}
    headers = world.authorization("wegweiser") if with_key else {}
    with serve(world.dsn, api=API, **limits) as hub, talk(hub) as one, talk(hub) as two:
        for client in (one, two):
            client.init(headers)
            client.subscribe("1", TICKS)
            assert client.hear()["type"] == "next"
        two.subscribe("2", TICKS)
        [refused] = two.hear_of("2")
        assert (refused["type"], code_of(refused)) == ("error", "TOO_MANY_OPEN")
        with events(hub, TICKS, headers) as response:
            assert response.status_code == 429
        two.subscribe("3", "{ __typename }")  # no subscription
        assert len(two.hear_of("3")) == 2
        one.socket.close()
        hub.until(lambda: "ochub_subscriptions 1.0" in hub.client.get("/metrics").text)
        two.subscribe("4", TO_THREE)
        assert len(two.hear_of("4")) == 4


def test_bounds_the_rate_of_messages(world: World) -> None:
    with serve(world.dsn, api=API, messages_per_s=2.0, budget_burst_s=5.0) as hub, talk(hub) as client:
        client.init()
        # The hub may close the socket before all of them are sent.
        with suppress(ConnectionClosed):
            for _ in range(40):
                client.send("pong")
        code, reason = client.end()
        assert (code, "2 per second" in reason) == (4429, True)


# ---------------------------------------------------------------- budgets


def test_charges_an_operation_like_a_request(world: World) -> None:
    key = world.authorization("wegweiser")
    limits: dict[str, Any] = {"partner_requests_per_s": 1.0, "partner_cost_per_s": 1_000.0, "budget_burst_s": 5.0}
    with serve(world.dsn, api=API, **limits) as hub, talk(hub) as client:
        client.init(key)
        for number in range(40):
            client.subscribe(str(number), TO_THREE)
        refused = None
        while refused is None:
            message = client.hear()
            refused = message if message["type"] == "error" else None
        assert code_of(refused) == "RATE_LIMITED"
        assert refused["payload"][0]["extensions"]["retryAfterS"] >= 1
        assert hub.post("{ __typename }", headers=key).status_code == 429


def test_shows_what_an_operation_costs(world: World) -> None:
    with serve(world.dsn, api=API, anonymous_cost_per_s=100.0) as hub, talk(hub) as client:
        client.init()
        client.subscribe("1", "{ evses(first: 7) { nodes { evseId } } }")
        assert client.hear_of("1")[0]["payload"]["extensions"]["cost"]["requested"] == 8
        client.subscribe("2", "{ evses(first: 500) { nodes { evseId location { name } } } }")
        client.hear_of("2")
        client.subscribe("3", "{ evses(first: 500) { nodes { evseId location { name } } } }")
        [refused] = client.hear_of("3")
        assert code_of(refused) == "RATE_LIMITED"


def test_lets_a_socket_wait_whose_budget_is_spent(world: World) -> None:
    with serve(world.dsn, api=API, anonymous_requests_per_s=0.5, budget_burst_s=4.0) as hub:
        while hub.post("{ __typename }").status_code == 200:
            pass
        with talk(hub) as client:
            client.send("connection_init")
            assert client.end()[0] == 1013


def test_makes_guessers_of_keys_pay_as_strangers(world: World) -> None:
    with serve(world.dsn, api=API, anonymous_requests_per_s=0.5, budget_burst_s=8.0) as hub:
        codes: list[int] = []
        for _ in range(12):
            with talk(hub) as client:
                client.send("connection_init", payload={"authorization": "Bearer ochub_guess"})
                codes.append(client.end()[0])
        assert (codes[0], codes[-1]) == (4403, 1013)


def test_delivers_for_nothing(world: World) -> None:
    limits: dict[str, Any] = {"anonymous_requests_per_s": 1.0, "anonymous_cost_per_s": 20.0}
    with serve(world.dsn, api=API, **limits) as hub, talk(hub) as client:
        client.init()
        client.subscribe("1", "subscription { count(to: 500) }")
        assert len(client.hear_of("1")) == 501


# ---------------------------------------------------------------- areas

FOLLOW = "subscription ($within: AreaInput) { changes(within: $within) { cursor } }"
#: A place inside is held against all edges: it counts as 51.
ZIGZAG = zigzag(500)


@pytest.mark.parametrize("way", ["socket", "events"])
def test_counts_a_subscription_by_its_area(world: World, way: str) -> None:
    with serve(world.dsn, max_subscriptions_per_address=60) as hub, talk(hub) as client, ExitStack() as stack:
        client.init()
        if way == "socket":
            client.subscribe("1", FOLLOW, {"within": ZIGZAG})
        else:
            stack.enter_context(events(hub, FOLLOW, variables={"within": ZIGZAG}))
        hub.until(lambda: "ochub_subscriptions 1.0" in hub.client.get("/metrics").text)
        client.subscribe("2", FOLLOW, {"within": ZIGZAG})
        [refused] = client.hear_of("2")
        assert code_of(refused) == "TOO_MANY_OPEN"
        with events(hub, FOLLOW, variables={"within": ZIGZAG}) as response:
            assert response.status_code == 429
        with events(hub, FOLLOW) as response:
            assert response.status_code == 200
        client.send("complete", id="1")
        stack.close()
        hub.until(lambda: "ochub_subscriptions 0.0" in hub.client.get("/metrics").text)
        with events(hub, FOLLOW, variables={"within": ZIGZAG}) as response:
            assert response.status_code == 200


# ---------------------------------------------------------------- keys that end

ENDS = {
    "a revoked key": "update api_key set revoked_at = now()",
    "an expired key": "update api_key set expires_at = now()",
    "an ended role": "update partner_role set revoked_at = now()",
    "a suspended partner": "update partner set suspended_at = now()",
}
WITHIN_S = 5


async def with_a_key(database: Database) -> dict[str, str]:
    [member] = await enrol(database, "Example Maps", (Role.NSP, None))
    return {"Authorization": f"Bearer {member.key.secret}"}


@pytest.mark.parametrize("end", ENDS)
async def test_ends_open_sockets_and_streams_with_their_key(database_url: str, database: Database, end: str) -> None:
    key = await with_a_key(database)
    with (
        serve(database_url, api=API) as hub,
        talk(hub) as client,
        talk(hub) as stranger,
        events(hub, TICKS, key) as response,
    ):
        client.init(key)
        client.subscribe("1", TICKS)
        stranger.init()
        assert client.hear()["type"] == "next"
        await execute(database_url, ENDS[end])
        assert client.end()[0] == 4403
        *_, (_, last), complete = parsed(response)
        assert last["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert complete == ("complete", None)
        stranger.subscribe("1", TO_THREE)
        assert len(stranger.hear_of("1")) == 4


def test_looks_often_enough() -> None:
    settings = Settings()
    assert 2 * settings.key_check_s < WITHIN_S


async def test_would_leave_them_open_if_it_did_not_look(database_url: str, database: Database) -> None:
    key = await with_a_key(database)
    with (
        serve(database_url, api=API, key_check_s=3600.0, key_cache_s=0) as hub,
        talk(hub) as client,
        talk(hub) as other,
    ):
        client.init(key)
        client.subscribe("1", TICKS)
        await execute(database_url, ENDS["a revoked key"])
        hub.until(lambda: hub.post("{ __typename }", headers=key).status_code == 401)
        other.send("connection_init", payload=key)
        assert other.end()[0] == 4403
        assert [client.hear()["type"] for _ in range(20)] == ["next"] * 20


async def test_goes_on_looking_when_no_connection_was_free_for_it(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "READS_WAIT_S", 0.05)
    key = await with_a_key(database)
    with serve(database_url, api=API, key_check_s=0.05, key_cache_s=0) as hub, talk(hub) as client, talk(hub) as later:
        client.init(key)
        with hub.occupied(hub.database.reads), capture_logs() as logged:
            later.send("connection_init", payload=key)
            assert later.end()[0] == 1013
            hub.until(lambda: "keys of open sockets were not checked" in [each["event"] for each in logged])
        await execute(database_url, ENDS["a revoked key"])
        assert client.end()[0] == 4403


async def test_asks_once_for_all_open_keys(database_url: str, database: Database) -> None:
    key = await with_a_key(database)
    with serve(database_url, api=API, key_check_s=0.2) as hub, ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(talk(hub)).init(key)
        with hub.recording() as statements:
            hub.until(lambda: STILL_GOOD in hub.statements)
            hub.statements.clear()
            hub.until(lambda: hub.statements.count(STILL_GOOD) >= 2)
        assert set(statements) == {STILL_GOOD}


async def test_keeps_sockets_while_the_database_is_away(
    cluster: Cluster, database_url: str, database: Database
) -> None:
    key, name = await with_a_key(database), urlsplit(database_url).path.removeprefix("/")
    with serve(database_url, api=API, key_check_s=0.1) as hub, talk(hub) as client, talk(hub) as later:
        client.init(key)
        client.subscribe("1", TICKS)
        await execute(cluster.dsn, f"alter database {name} allow_connections false")
        await execute(cluster.dsn, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        assert [client.hear()["type"] for _ in range(100)] == ["next"] * 100
        await execute(cluster.dsn, f"alter database {name} allow_connections true")
        later.init(key)


# ---------------------------------------------------------------- the hub's own end


def test_ends_everything_when_it_stops_so_that_clients_come_back(world: World) -> None:
    with ExitStack() as stack:
        hub = stack.enter_context(serve(world.dsn, api=API))
        client, idle = (stack.enter_context(talk(hub)) for _ in range(2))
        response = stack.enter_context(events(hub, TICKS))
        client.init()
        client.subscribe("1", TICKS)
        assert client.hear()["type"] == "next"
        heard = parsed(response)
        assert next(heard)[0] == ":"
        hub.server.should_exit = True
        assert client.end()[0] == 1012
        assert idle.end()[0] == 1012
        # Cut off, not complete: a client takes that for a broken line.
        assert {name for name, _ in heard} <= {":", "next"}
        hub.until(lambda: not hub.loop.is_running())


async def test_finishes_mutations_of_sockets_when_it_stops(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain, draining, unfinished = OpenStreams.drain, threading.Event(), []

    async def watched(streams: OpenStreams, timeout_s: float) -> None:
        draining.set()
        await drain(streams, timeout_s)
        unfinished.extend(streams._finishing)

    monkeypatch.setattr(OpenStreams, "drain", watched)
    [admin] = await enrol(database, "Clearing house", (Role.ADMINISTRATOR, None))
    register = 'registerPartner(name: "{0}", roles: [{{role: NSP}}]) {{ name }}'
    both = "mutation { a: " + register.format("First") + " b: " + register.format("Second") + " }"
    with ExitStack() as stack:
        hub = stack.enter_context(serve(database_url))
        client = stack.enter_context(talk(hub))
        client.init({"Authorization": f"Bearer {admin.key.secret}"})
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            await other.execute("lock table audit_log in access exclusive mode")
            client.subscribe("1", both)
            await until_locked_out(other)
            hub.server.should_exit = True
            assert client.end()[0] == 1012
            hub.until(draining.is_set)
        hub.until(lambda: not hub.loop.is_running())
        written = await other.fetch("select name from partner where name in ('First', 'Second') order by name")
        await other.close()
    assert [row["name"] for row in written] == ["First", "Second"]
    assert unfinished == []
