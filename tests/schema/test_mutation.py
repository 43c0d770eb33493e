"""Uploads through the API: what the settings say reaches them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hub import Hub, serve
from tests.world import World


@pytest.fixture(scope="module")
def forgetful(own_world: World) -> Iterator[Hub]:
    with serve(own_world.dsn, refusals_kept=3) as hub:
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
        ("sonnenstrom", "updateStatus(evses: $items)", "EvseStatusInput"),
        ("parkraum", "updateStatus(parkingSpots: $items)", "ParkingStatusInput"),
    ],
)
def test_keeps_as_many_refusals_as_it_is_told(
    forgetful: Hub, own_world: World, caller: str, mutation: str, items: str
) -> None:
    headers = own_world.authorization(caller)
    query = f"mutation ($items: [{items}!]!) {{ report: {mutation} {{ refused {{ code }} }} }}"
    nonsense = [f"nonsense {number}" for number in range(5)]
    assert len(forgetful.ask(query, {"items": nonsense}, headers)["report"]["refused"]) == 5
    assert len(forgetful.ask("{ refusals { nodes { code } } }", None, headers)["refusals"]["nodes"]) == 3


SAY = "mutation ($items: [EvseStatusInput!]!) { updateStatus(evses: $items) { accepted cursor refused { code } } }"
CHANGED = """
query ($cursor: Cursor!) { changes(cursor: $cursor, kinds: [EVSE_STATUS]) { changes { id evse { status { major } } } } }
"""


def test_gives_a_cursor_from_which_the_upload_is_told(forgetful: Hub, own_world: World) -> None:
    headers = own_world.authorization("sonnenstrom")

    def say(major: str) -> str:
        report = forgetful.ask(SAY, {"items": [{"evseId": "DE*SON*E1", "major": major}]}, headers)["updateStatus"]
        assert report["refused"] == []
        return report["cursor"]

    def told(cursor: str) -> list[Any]:
        return forgetful.ask(CHANGED, {"cursor": cursor}, headers)["changes"]["changes"]

    say("AVAILABLE")
    cursor = say("NOT_AVAILABLE")
    forgetful.until(lambda: bool(told(cursor)))
    assert told(cursor) == [{"id": "DE*SON*E1", "evse": {"status": {"major": "NOT_AVAILABLE"}}}]
