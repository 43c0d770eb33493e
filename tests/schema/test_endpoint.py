"""The endpoint: bad requests are refused at once, in words, and delay no other request."""

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from app.auth import new_secret
from schema.graphql_request import media_type
from tests.benchmarks.questions import NEAREST
from tests.evil import BODIES, DOCUMENTS, fresh
from tests.hub import AUTHENTICATING, JSON, Hub, heartbeat, serve
from tests.wire.talk import talk
from tests.world import CALLERS, World

MODERN = {"Accept": "application/graphql-response+json"}
HELLO = "{ __typename }"
NEAR_ULM = {"near": {"latitude": 48.398, "longitude": 9.9915, "radiusM": 5000}, "first": 50}

#: A busy machine adds to what is measured and never takes away: the best of several tries counts.
TRIES = 6
#: Of the processor's time, which other processes do not add to.
REFUSED_WITHIN_S = 0.1
STALLED_AT_MOST_S = 0.05


@pytest.fixture(scope="module")
def development(world: World) -> Iterator[Hub]:
    with serve(world.dsn, profile="DEVELOPMENT") as hub:
        yield hub


def code_of(response: httpx.Response) -> str:
    assert "Traceback" not in response.text
    return response.json()["errors"][0]["extensions"]["code"]


# ---------------------------------------------------------------- nothing stalls


@pytest.fixture(scope="module")
def quiet(hub: Hub) -> Iterator[Hub]:
    """A hub in a process whose garbage collector has as little to look through as `ochub serve` leaves it."""
    hub.ask(HELLO)
    gc.collect()
    gc.freeze()
    yield hub
    gc.unfreeze()


def least(hub: Hub, ask: Any) -> tuple[httpx.Response, float, float]:
    """Request until it is cheap enough; return a response, and the least that it and one step of the loop cost."""
    answers: list[httpx.Response] = []
    took_s = stalled_s = float("inf")
    while len(answers) < TRIES and (took_s >= REFUSED_WITHIN_S or stalled_s >= STALLED_AT_MOST_S):
        with heartbeat(hub) as pauses:
            began = time.process_time()
            answers.append(ask(len(answers)))
            took_s = min(took_s, time.process_time() - began)
        stalled_s = min(stalled_s, pauses[0])
    return answers[-1], took_s, stalled_s


@pytest.mark.parametrize("name", DOCUMENTS)
def test_refuses_an_evil_document_at_once(quiet: Hub, name: str) -> None:
    body = DOCUMENTS[name]
    response, took_s, stalled_s = least(quiet, lambda number: quiet.post(fresh(body, number), headers=MODERN))
    assert response.status_code == 400
    assert code_of(response) in {
        "TOO_COMPLEX",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "INVALID_ID",
        "FORBIDDEN",
    }
    assert len(response.content) < 20_000
    assert took_s < REFUSED_WITHIN_S
    assert stalled_s < STALLED_AT_MOST_S


@pytest.mark.parametrize("name", BODIES)
def test_refuses_an_evil_body_at_once(quiet: Hub, name: str) -> None:
    def ask(_: int) -> httpx.Response:
        return quiet.client.post("/graphql", headers={**JSON, **MODERN}, content=BODIES[name])

    response, took_s, stalled_s = least(quiet, ask)
    assert response.status_code in (400, 413)
    assert code_of(response) in {"BAD_REQUEST", "TOO_COMPLEX", "BAD_INPUT", "INVALID_ID"}
    assert took_s < REFUSED_WITHIN_S
    assert stalled_s < STALLED_AT_MOST_S


def test_lets_nobody_wait_for_all_that_another_sent(hub: Hub, world: World) -> None:
    """Parsing new documents takes turns by client, not in the order in which they came."""
    done: list[str] = []
    begun = asyncio.Event()

    async def ask(client: httpx.AsyncClient, caller: str, number: int) -> None:
        text = "{me{" + "partner{id name} " * 240 + f"}}}} # {number} {time.time()}"
        await client.post("/graphql", json={"query": text}, headers=world.authorization(caller))
        done.append(caller)
        begun.set()

    async def both() -> None:
        async with httpx.AsyncClient(base_url=hub.url, timeout=60) as client, asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(ask(client, "wegweiser", number))
            await begun.wait()
            tasks.create_task(ask(client, "sonnenstrom", 0))

    asyncio.run(both())
    # Those that were ready before it came, its own turn, and what a busy machine adds.
    assert "sonnenstrom" in done[:15], done


def test_describes_the_schema_without_keeping_others_waiting(quiet: Hub, world: World) -> None:
    query, headers = get_introspection_query(), world.authorization("wegweiser")
    response, _, stalled_s = least(quiet, lambda number: quiet.post(fresh(query, number), headers=headers))
    assert len(response.json()["data"]["__schema"]["types"]) > 50
    assert stalled_s < STALLED_AT_MOST_S


def test_would_notice_a_stall(quiet: Hub) -> None:
    async def stall() -> None:
        ends = time.thread_time() + 2 * STALLED_AT_MOST_S
        while time.thread_time() < ends:
            pass

    _, _, stalled_s = least(quiet, lambda _: quiet.run(stall()))
    assert stalled_s > STALLED_AT_MOST_S


def test_takes_the_largest_ordinary_questions(hub: Hub, world: World) -> None:
    assert "nodes" in hub.ask(NEAREST, NEAR_ULM)["evses"]
    assert "nodes" in hub.ask(NEAREST, {**NEAR_ULM, "first": 500})["evses"]
    many = " ".join(f"a{n}: evse(evseId: $x) {{ evseId connectors {{ standard }} }}" for n in range(20))
    assert len(hub.ask(f"query ($x: EvseId!) {{ {many} }}", {"x": "DE*SON*E1"})) == 20


# ---------------------------------------------------------------- media types


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("application/graphql-response+json, application/json", "application/graphql-response+json"),
        ("application/json, application/graphql-response+json", "application/graphql-response+json"),
        ("application/graphql-response+json;q=0.5, application/json", "application/json"),
        ("application/graphql-response+json;q=0, */*", "application/json"),
        ("application/json;q=0, */*", None),
        ("text/html, application/json;q=0.1", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
        ("nonsense", None),
        (",", "application/json"),
    ],
)
def test_chooses_the_media_type(accept: str, chosen: str | None) -> None:
    assert media_type(accept) == chosen


def test_refuses_who_takes_nothing_that_there_is_before_anything_is_done(hub: Hub) -> None:
    with hub.recording() as statements:
        response = hub.post('{ evse(evseId: "DE*SON*E1") { evseId } }', headers={"Accept": "text/html"})
    assert (response.status_code, code_of(response)) == (406, "BAD_REQUEST")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert statements == []


@pytest.mark.parametrize("media", ["application/json", "application/graphql-response+json"])
def test_answers_in_the_media_type_that_was_asked_for(hub: Hub, media: str) -> None:
    for query, status in ((HELLO, 200), ("{", 200 if media == "application/json" else 400)):
        response = hub.post(query, headers={"Accept": media})
        assert (response.status_code, response.headers["content-type"]) == (status, f"{media}; charset=utf-8")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


# ---------------------------------------------------------------- whom it is run for


def test_answers_no_get_in_production(hub: Hub) -> None:
    response = hub.client.get("/graphql", params={"query": HELLO})
    assert (response.status_code, response.headers["allow"], code_of(response)) == (405, "POST", "BAD_REQUEST")


def test_answers_queries_by_get_to_developers(development: Hub) -> None:
    query = "query Q($x: EvseId!) { evse(evseId: $x) { evseId } }"
    params = {"query": query, "variables": '{"x": "DE*SON*E1"}', "operationName": "Q", "extensions": "{}"}
    response = development.client.get("/graphql", params=params)
    assert response.json() == {"data": {"evse": {"evseId": "DE*SON*E1"}}}


def test_changes_nothing_by_get(development: Hub, world: World) -> None:
    query = 'mutation { revokeApiKey(keyId: "x") { id } }'
    headers = world.authorization("leitstelle")
    response = development.client.get("/graphql", params={"query": query}, headers=headers)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "query_string",
    ["", "query=", "query=%ff", "query=%7B", "query={__typename}&variables=[]", "query={__typename}&variables={"],
)
def test_refuses_a_get_that_is_no_request(development: Hub, query_string: str) -> None:
    response = development.client.get(f"/graphql?{query_string}", headers=MODERN)
    assert response.status_code == 400
    assert code_of(response) in {"BAD_REQUEST", "GRAPHQL_PARSE_FAILED"}


@pytest.mark.parametrize("query", ["{ __schema { types { name } } }", '{ __type(name: "Evse") { name } }'])
def test_describes_itself_to_callers_and_developers_only(hub: Hub, development: Hub, world: World, query: str) -> None:
    response = hub.post(query, headers=MODERN)
    assert (response.status_code, code_of(response)) == (400, "FORBIDDEN")
    assert hub.ask(query, headers=world.authorization("wegweiser"))
    assert development.ask(query)
    assert hub.ask(HELLO) == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ evsess { nodes { evseId } } }", None),
        ("{ evses { nodes { evseIdd } } }", None),
        ("{ evses(frist: 1) { nodes { evseId } } }", None),
        ("{ evses(filter: { authMethods: [PUBLICC] }) { nodes { evseId } } }", None),
        ("query ($x: EvseFilte) { evses(filter: $x) { nodes { evseId } } }", None),
        ("query ($x: EvseFilter) { evses(filter: $x) { nodes { evseId } } }", {"x": {"authMethod": ["PUBLIC"]}}),
        ("query ($x: EvseFilter) { evses(filter: $x) { nodes { evseId } } }", {"x": {"authMethods": ["PUBLICC"]}}),
    ],
)
def test_helps_callers_and_developers_to_guess_names_but_no_strangers(
    hub: Hub, development: Hub, world: World, query: str, variables: Any
) -> None:
    assert "Did you mean" not in hub.post(query, variables).text
    assert "Did you mean" in hub.post(query, variables, world.authorization("wegweiser")).text
    assert "Did you mean" in development.post(query, variables).text


# ---------------------------------------------------------------- pages of other origins


def preflight(hub: Hub, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, baggage, sentry-trace",
    }
    return hub.client.options("/graphql", headers=headers)


def test_lets_pages_of_configured_origins_ask(world: World) -> None:
    with serve(world.dsn, cors_origins="https://maps.example, https://other.example") as hub:
        for origin in ("https://maps.example", "https://other.example"):
            allowed = preflight(hub, origin)
            assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
            assert "sentry-trace" in allowed.headers["access-control-allow-headers"]
            assert allowed.headers["access-control-allow-methods"] == "GET, HEAD, POST"
            response = hub.post(HELLO, headers={"Origin": origin})
            assert response.headers["access-control-allow-origin"] == origin
            assert "Retry-After" in response.headers["access-control-expose-headers"]
            with talk(hub, headers={"Origin": origin}) as client:
                client.init()
        for origin in ("https://evil.example", "http://maps.example", "null"):
            assert_refused(hub, origin)


def assert_refused(hub: Hub, origin: str) -> None:
    refused = preflight(hub, origin)
    assert refused.status_code == 403
    assert origin in refused.text
    assert "OCHUB_CORS_ORIGINS" in refused.text
    assert "access-control-allow-origin" not in hub.post(HELLO, headers={"Origin": origin}).headers
    with talk(hub, headers={"Origin": origin}) as client:
        assert client.end()[0] == 4403


def test_lets_no_other_page_ask_by_default(hub: Hub) -> None:
    for origin in ("https://maps.example", "http://localhost:5173"):
        assert_refused(hub, origin)
    with talk(hub, headers={"Origin": hub.url}) as client:
        client.init()


def test_lets_pages_of_a_developers_machine_ask(development: Hub) -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]"):
        assert preflight(development, origin).headers["access-control-allow-origin"] == origin
        with talk(development, headers={"Origin": origin}) as client:
            client.init()
    assert_refused(development, "http://localhost.evil.example")


# ---------------------------------------------------------------- compression


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("identity", False), ("", False)],
)
def test_compresses_for_who_takes_it(hub: Hub, accepted: str, compressed: bool) -> None:
    plain = hub.post(NEAREST, NEAR_ULM, {"Accept-Encoding": "identity"})
    assert len(plain.content) > 4_000
    response = hub.post(NEAREST, NEAR_ULM, {"Accept-Encoding": accepted})
    assert (response.headers.get("content-encoding") == "gzip") == compressed
    assert response.content == plain.content
    assert (int(response.headers["content-length"]) < len(plain.content) / 3) == compressed
    assert "accept-encoding" in response.headers["vary"]


def test_compresses_nothing_small_and_nothing_at_all_where_it_is_told_so(hub: Hub, world: World) -> None:
    assert "content-encoding" not in hub.post(HELLO, headers={"Accept-Encoding": "gzip"}).headers
    with serve(world.dsn, gzip_from_bytes=0) as other:
        assert "content-encoding" not in other.post(NEAREST, NEAR_ULM, {"Accept-Encoding": "gzip"}).headers


# ---------------------------------------------------------------- budgets


#: Requests without a key; what comes back while a slow machine asks is not worth mentioning.
TEN_AND_NO_MORE: dict[str, Any] = {"anonymous_requests_per_s": 0.1, "budget_burst_s": 100.0}


def spend_all(hub: Hub, headers: dict[str, str] | None = None) -> httpx.Response:
    """Request until the budget is spent; return the refusal."""
    for _ in range(1_000):
        response = hub.post(HELLO, headers=headers)
        if response.status_code != 200:
            return response
    raise AssertionError("the budget is never spent")


def test_refuses_who_asks_too_often_and_says_when_to_come_back(world: World) -> None:
    with serve(world.dsn, anonymous_requests_per_s=2.0, budget_burst_s=5.0) as hub:
        response = spend_all(hub)
        assert (response.status_code, code_of(response)) == (429, "RATE_LIMITED")
        assert int(response.headers["retry-after"]) == response.json()["errors"][0]["extensions"]["retryAfterS"] == 1
        hub.until(lambda: hub.post(HELLO).status_code == 200)
        # Others are not concerned.
        assert hub.post(HELLO, headers=world.authorization("wegweiser")).status_code == 200


def test_shows_what_a_question_costs_and_what_is_left(world: World) -> None:
    with serve(world.dsn, anonymous_cost_per_s=1.0, budget_burst_s=5_000.0, database_cost_per_s=0.0) as hub:

        def cost_of(query: str, variables: Any = None) -> dict[str, Any]:
            return hub.post(query, variables).json()["extensions"]["cost"]

        cost_of(NEAREST, {**NEAR_ULM, "first": 1})  # a new document is charged for parsing, once
        before, after = cost_of(HELLO), cost_of(NEAREST, NEAR_ULM)
        assert after["requested"] == 1 + 50 * 11
        assert before["remaining"] - 551 <= after["remaining"] < before["remaining"] - 451  # some comes back meanwhile
        assert after["resetAt"].endswith("Z")
        assert cost_of("{ evses(first: 7) { nodes { evseId } } }")["requested"] == 8
        assert cost_of("query ($n: Int! = 3) { evses(first: $n) { nodes { evseId } } }")["requested"] == 4
        response = [hub.post(NEAREST, NEAR_ULM) for _ in range(10)][-1]
        assert (response.status_code, code_of(response)) == (429, "RATE_LIMITED")
        assert 1 <= int(response.headers["retry-after"]) <= 551
        assert hub.post(HELLO).status_code == 200


def test_holds_a_budget_per_process(world: World) -> None:
    settings: dict[str, Any] = {"partner_requests_per_s": 0.1, "budget_burst_s": 400.0}
    headers = world.authorization("neuling")
    with serve(world.dsn, **settings) as one, serve(world.dsn, **settings) as other:
        assert spend_all(one, headers).status_code == 429
        assert other.post(HELLO, headers=headers).status_code == 200


def test_makes_guessers_of_keys_pay_as_strangers(world: World) -> None:
    with serve(world.dsn, **TEN_AND_NO_MORE) as hub:
        guess = {"Authorization": "Bearer ochub_guess"}
        statuses = [hub.post(HELLO, headers=guess).status_code for _ in range(30)]
        assert statuses[0] == 401
        assert 429 in statuses
        assert hub.post(HELLO, headers=world.authorization("wegweiser")).status_code == 200


def test_looks_up_no_more_guesses_than_their_address_may_make(world: World) -> None:
    with serve(world.dsn, **TEN_AND_NO_MORE, key_cache_s=0) as hub:
        known, new = world.authorization("wegweiser"), world.authorization("nordlicht")
        assert hub.post(HELLO, headers=known).status_code == 200
        with hub.recording():
            guesses = [{"Authorization": f"Bearer {new_secret()}"} for _ in range(30)]
            answers = [hub.post(HELLO, headers=guess) for guess in guesses]
        assert hub.statements.count(AUTHENTICATING) <= 11, "ten, and what came back meanwhile"
        assert answers[0].status_code == 401
        assert (answers[-1].status_code, code_of(answers[-1])) == (429, "RATE_LIMITED")
        assert int(answers[-1].headers["Retry-After"]) >= 1
        # A key that was admitted before was not guessed; a key that is new may be.
        assert hub.post(HELLO, headers=known).status_code == 200
        assert hub.post(HELLO, headers=new).status_code == 429


def test_charges_no_guess_for_a_key_that_is_good(world: World) -> None:
    with serve(world.dsn, anonymous_requests_per_s=0.03, budget_burst_s=100.0) as hub:
        callers = [name for name in CALLERS if name != "ruhend"]
        statuses = [hub.post(HELLO, headers=world.authorization(name)).status_code for name in callers]
        assert statuses == [200] * 10, "three guesses, and ten keys"


def test_believes_nobody_about_addresses_by_default(world: World) -> None:
    with serve(world.dsn, **TEN_AND_NO_MORE) as hub:
        answers = [hub.post(HELLO, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(30)]
        assert 429 in answers


def test_believes_configured_proxies_about_addresses(world: World) -> None:
    with serve(world.dsn, **TEN_AND_NO_MORE, trusted_proxies="10.0.0.0/8,127.0.0.1") as hub:
        for number in range(30):
            assert hub.post(HELLO, headers={"X-Forwarded-For": f"203.0.113.{number}"}).status_code == 200
        # What a client itself claims stands before what the proxy adds, and counts nothing.
        claims = [
            hub.post(HELLO, headers={"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.99, 10.1.2.3"}).status_code
            for number in range(30)
        ]
        assert 429 in claims


def test_believes_no_proxy_it_was_not_told_of(world: World) -> None:
    with serve(world.dsn, **TEN_AND_NO_MORE, trusted_proxies="10.0.0.0/8") as hub:
        answers = [hub.post(HELLO, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(30)]
        assert 429 in answers


def test_answers_without_a_round_trip_for_the_budget(world: World) -> None:
    with serve(world.dsn, anonymous_requests_per_s=50.0, anonymous_cost_per_s=30_000.0) as hub:
        with hub.recording() as statements:
            for _ in range(10):
                hub.post(HELLO)
        assert statements == []
