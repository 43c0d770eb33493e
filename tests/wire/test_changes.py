"""The hub's own subscription reaches clients over both transports, and goes on from a cursor."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from tests.hub import Hub, serve
from tests.wire.talk import events, parsed, talk
from tests.world import World

CHANGES = """
subscription ($cursor: Cursor, $initial: Boolean! = false) {
  changes(filter: { evseIds: ["DE*SON*E1"] }, cursor: $cursor, initial: $initial) {
    cursor hasMore changes { kind id action evse { status { major } } }
  }
}
"""
#: In turn; at first it is available.
MAJORS = ("NOT_AVAILABLE", "AVAILABLE")
number = count()


@pytest.fixture(scope="module")
def own(own_world: World) -> Iterator[tuple[Hub, World]]:
    """A hub whose world the tests of this file change."""
    with serve(own_world.dsn) as hub:
        yield hub, own_world


def publish(hub: Hub, world: World) -> str:
    """Change the EVSE's status; gives the new one."""
    major = MAJORS[next(number) % 2]
    query = "mutation ($evses: [EvseStatusInput!]) { updateStatus(evses: $evses) { accepted refused { message } } }"
    item = {"evseId": "DE*SON*E1", "major": major}
    report = hub.ask(query, {"evses": [item]}, world.authorization("sonnenstrom"))["updateStatus"]
    assert (report["accepted"], report["refused"]) == (1, [])
    return major


def follow(pages: Iterator[dict[str, Any]], major: str = "") -> str:
    """Take pages until they are up to date, or tell a status; gives the cursor."""
    for page in pages:
        told = [change["evse"]["status"]["major"] for change in page["changes"] if change["evse"]]
        if major in told or not (major or page["hasMore"]):
            return page["cursor"]
    raise AssertionError("the stream ended")


@contextmanager
def by_socket(hub: Hub, variables: dict[str, Any], headers: dict[str, str]) -> Iterator[Iterator[dict[str, Any]]]:
    with talk(hub) as client:
        client.init(headers)
        client.subscribe("1", CHANGES, variables)
        yield (client.hear()["payload"]["data"]["changes"] for _ in count())


@contextmanager
def by_events(hub: Hub, variables: dict[str, Any], headers: dict[str, str]) -> Iterator[Iterator[dict[str, Any]]]:
    with events(hub, CHANGES, headers, variables=variables) as response:
        assert response.status_code == 200
        yield (data["data"]["changes"] for name, data in parsed(response) if name == "next")


@pytest.mark.parametrize("way", [by_socket, by_events])
def test_tells_what_changes_and_goes_on_from_a_cursor(own: tuple[Hub, World], way: Any) -> None:
    hub, world = own
    key = world.authorization("wegweiser")
    with way(hub, {"initial": True}, key) as pages:
        follow(pages)
        cursor = follow(pages, publish(hub, world))
    missed = publish(hub, world)
    with way(hub, {"cursor": cursor}, key) as pages:
        follow(pages, missed)


def test_tells_a_cursor_that_is_none_under_its_id(own: tuple[Hub, World]) -> None:
    hub, world = own
    with talk(hub) as client:
        client.init(world.authorization("wegweiser"))
        client.subscribe("1", CHANGES, {"cursor": "nonsense"})
        client.subscribe("2", CHANGES, {"initial": True})
        [refused] = client.hear_of("1")
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["code"] in ("BAD_CURSOR", "BAD_INPUT")
        client.subscribe("3", "{ __typename }")
        assert client.hear_of("3")[-1]["type"] == "complete"
