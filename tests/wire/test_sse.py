"""graphql-sse in distinct connections mode: one operation, one stream of events."""

import json
from itertools import islice
from typing import Any

import pytest

from schema.graphql_request import negotiated
from schema.sse import next_event
from tests.hub import Hub, serve
from tests.wire.counter import COUNTING, Counter
from tests.wire.talk import events, parsed
from tests.world import World

ONE = '{ evse(evseId: "DE*SON*E1") { evseId } }'
TO_THREE = "subscription { count(to: 3) }"
TICKS = "subscription { ticks }"
EVENTS = {"Accept": "text/event-stream"}
API = {"schema": COUNTING, "source": Counter()}


def without_comments(response: Any) -> list[tuple[str, Any]]:
    return [event for event in parsed(response) if event[0] != ":"]


def test_gives_all_results_and_then_the_end(counting: Hub) -> None:
    with events(counting, TO_THREE) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-store", "no")
        results = [("next", {"data": {"count": number}}) for number in (1, 2, 3)]
        assert without_comments(response) == [*results, ("complete", None)]
    # The connection is good for more.
    assert counting.post(ONE).status_code == 200


def test_begins_before_there_is_anything_to_say(counting: Hub) -> None:
    with events(counting, "subscription { count(after: 5, to: 5) }") as response:
        assert list(parsed(response)) == [(":", None), (":", None), ("complete", None)]


def test_gives_signs_of_life(world: World) -> None:
    source = Counter()
    with (
        serve(world.dsn, api={"schema": COUNTING, "source": source}, keepalive_s=0.05) as hub,
        events(hub, "subscription { flood(size: 1) }") as response,
    ):
        heard = parsed(response)
        comments = 0
        while comments < 5:
            comments += next(heard)[0] == ":"


def test_knows_the_caller(counting: Hub, world: World) -> None:
    for headers, role in ((world.authorization("wegweiser"), "NSP"), (None, None)):
        with events(counting, "subscription { role }", headers) as response:
            assert without_comments(response)[0] == ("next", {"data": {"role": role}})


def test_answers_queries_and_mutations_as_streams_of_one(counting: Hub, world: World) -> None:
    mutation = 'mutation { removeChargePoints(evseIds: ["DE*XXX*E1"]) { accepted refused { code } } }'
    for query in (ONE, "{ __typename }", "{ contracts { nodes { id } } }", mutation):
        with events(counting, query) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert without_comments(response) == [("next", counting.post(query).json()), ("complete", None)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($to: Int!) { count(to: $to) }", "BAD_INPUT"),
        ("subscription { ticks(after: 2000000) }", "NOT_POSSIBLE"),
        ("subscription { fails }", "NOT_POSSIBLE"),
    ],
)
def test_tells_what_is_wrong_with_a_document_as_an_event(counting: Hub, query: str, code: str) -> None:
    with events(counting, query) as response:
        assert response.status_code == 200
        *_, (name, result), last = without_comments(response)
    assert (name, last) == ("next", ("complete", None))
    assert result["errors"][0]["extensions"]["code"] == code


def test_tells_what_is_wrong_with_a_document_by_http_to_who_takes_that_too(counting: Hub) -> None:
    both = {"Accept": "application/graphql-response+json, application/json, text/event-stream"}
    for query, status in (("{ nothing }", 400), ("subscription { ticks(after: 2000000) }", 400), (ONE, 200)):
        response = counting.post(query, headers=both)
        assert response.status_code == status
        assert response.headers["content-type"].startswith("application/graphql-response+json")
    with counting.client.stream("POST", "/graphql", json={"query": TO_THREE}, headers=both) as response:
        assert len(without_comments(response)) == 4


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"query": TICKS}, {"Authorization": "Bearer ochub_nonsense"}, 401, "UNAUTHENTICATED"),
        ({"query": 7}, {}, 400, "BAD_REQUEST"),
        ([], {}, 400, "BAD_REQUEST"),
        ({"query": "{ " + " ".join(f"a{n}: __typename" for n in range(21)) + " }"}, {}, 400, "TOO_COMPLEX"),
        ({"query": "subscription { breaks }"}, {}, 500, "SERVER"),
    ],
)
def test_refuses_by_the_status_of_http_what_that_has_one_for(
    counting: Hub, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    response = counting.client.post("/graphql", json=body, headers={**EVENTS, **headers})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json()["errors"][0]["extensions"]["code"] == code


def test_is_asked_by_get_by_developers_only(counting: Hub, world: World) -> None:
    params = {"query": TO_THREE}
    assert counting.client.get("/graphql", params=params, headers=EVENTS).status_code == 405
    with serve(world.dsn, "DEVELOPMENT", API) as hub:
        with hub.client.stream("GET", "/graphql", params=params, headers=EVENTS) as response:
            assert len(without_comments(response)) == 4
        mutation = {"query": 'mutation { revokeApiKey(keyId: "x") { id } }'}
        assert hub.client.get("/graphql", params=mutation, headers=EVENTS).status_code == 405


def test_forgets_a_stream_whose_client_is_gone(world: World) -> None:
    counter = Counter()
    with serve(world.dsn, api={"schema": COUNTING, "source": counter}) as hub:
        with events(hub, TICKS) as response:
            assert [name for name, _ in islice(parsed(response), 5)][-1] == "next"
        hub.until(lambda: all(each.task.done() for each in counter.running))
        hub.until(lambda: "ochub_sockets 0.0" in hub.client.get("/metrics").text)
        assert "ochub_subscriptions 0.0" in hub.client.get("/metrics").text


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ("text/event-stream", True),
        ("TEXT/EVENT-STREAM;q=0.5", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0", False),
        ("text/event-streams", False),
        ("text/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_sees_who_takes_events(accept: str, takes: bool) -> None:
    assert negotiated({b"accept": f"{accept}, */*".encode()}).events == takes


@pytest.mark.parametrize("space", ["\n", "\r", "\r\n", " "])
def test_writes_every_result_as_one_line(space: str) -> None:
    result = json.dumps({"data": {"a": "x\ny"}}).replace(" ", space)
    name, data, *rest = next_event(result).split("\n")
    assert (name, rest) == ("event: next", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"data": {"a": "x\ny"}}
    assert "\r" not in data
