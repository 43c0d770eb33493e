"""Uploads through the API: what the settings say reaches them."""

from asyncio import new_event_loop
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from tests.hub import Hub, scratch_database, serve
from tests.world import World, make_world


@pytest.fixture(scope="module")
def written(cluster: Cluster, template: str) -> Iterator[World]:
    """A world that may be changed."""
    with scratch_database(cluster.dsn, template, f"written_{uuid4().hex}") as dsn, closing(new_event_loop()) as loop:
        yield loop.run_until_complete(make_world(dsn))


@pytest.fixture(scope="module")
def forgetful(written: World) -> Iterator[Hub]:
    with serve(written.dsn, refusals_kept=3) as hub:
        yield hub


@pytest.mark.parametrize(
    ("caller", "mutation", "items"),
    [
        ("sonnenstrom", "updateChargePointList(chargePoints: $items)", "ChargePointInput"),
        ("sonnenstrom", 'setChargePointList(operatorId: "DESON", chargePoints: $items)', "ChargePointInput"),
        ("sonnenstrom", "removeChargePoints(evseIds: $items)", "EvseId"),
        ("parkraum", "updateParkingSpotList(parkingSpots: $items)", "ParkingSpotInput"),
        ("parkraum", 'setParkingSpotList(psoId: "DEPRK", parkingSpots: $items)', "ParkingSpotInput"),
        ("parkraum", "removeParkingSpots(parkingIds: $items)", "ParkingId"),
    ],
)
def test_keeps_as_many_refusals_as_it_is_told(
    forgetful: Hub, written: World, caller: str, mutation: str, items: str
) -> None:
    headers = written.authorization(caller)
    query = f"mutation ($items: [{items}!]!) {{ report: {mutation} {{ refused {{ code }} }} }}"
    nonsense = [f"nonsense {number}" for number in range(5)]
    assert len(forgetful.ask(query, {"items": nonsense}, headers)["report"]["refused"]) == 5
    assert len(forgetful.ask("{ refusals { nodes { code } } }", None, headers)["refusals"]["nodes"]) == 3
