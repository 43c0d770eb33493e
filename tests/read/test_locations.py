"""Locations: EVSEs of one operator at one place, with the words of the one that changed last."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.db.cluster import Cluster
from tests.hub import Hub
from tests.read.ground import T2, Ground, make_ground, make_owner
from tests.world import VISIBLE_OPERATORS, World, evse


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with make_ground(cluster, template) as ground:
        yield ground


def at_home(evse_id: str, **more: Any) -> dict[str, Any]:
    return evse(evse_id, "HOME", 48.0, 10.0, T2, **more)


WORDS = "locationId name nameLanguage locationType timeZone evses { evseId }"


def home(ground: Ground) -> dict[str, Any]:
    location = ground.hub.ask(f'{{ location(operatorId: "DETST", locationId: "HOME") {{ {WORDS} }} }}')["location"]
    [listed] = ground.hub.ask(f'{{ locations(filter: {{ locationIds: ["home"] }}) {{ nodes {{ {WORDS} }} }} }}')[
        "locations"
    ]["nodes"]
    assert location == listed
    return location


def test_shows_the_words_of_the_evse_that_changed_last(ground: Ground):
    ground.put([at_home("DE*TST*E1", locationName="One"), at_home("DE*TST*E2", locationName="Two")])
    ground.put([at_home("DE*TST*E2", locationName="Two, later", locationType="PARKING_LOT")])
    assert (home(ground)["name"], home(ground)["locationType"]) == ("Two, later", "PARKING_LOT")
    ground.put([at_home("DE*TST*E1", locationName="One, latest", timeZone="Europe/Vienna")])
    assert (home(ground)["name"], home(ground)["timeZone"]) == ("One, latest", "Europe/Vienna")
    ground.put([at_home("DE*TST*E2", locationName="Two, later", locationType="PARKING_LOT")])  # says nothing new
    assert home(ground)["name"] == "One, latest"
    ground.remove("DE*TST*E1")
    assert home(ground) == {
        "locationId": "HOME",
        "name": "Two, later",
        "nameLanguage": "DEU",
        "locationType": "PARKING_LOT",
        "timeZone": "Europe/Berlin",
        "evses": [{"evseId": "DE*TST*E2"}],
    }
    ground.remove("DE*TST*E2")
    gone = ground.hub.ask('{ location(operatorId: "DETST", locationId: "HOME") { name } locations { nodes { name } } }')
    assert gone["location"] is None
    assert gone["locations"]["nodes"] == []


def test_groups_the_evses_of_each_operator_and_keeps_them_apart(ground: Ground):
    other = ground.run(lambda database: make_owner(database, "FRTST"))
    ground.put([at_home("DE*TST*E1", status="CLOSED"), at_home("DE*TST*E2")])
    theirs = [evse(f"FR*TST*E{n}", "HOME", 48.1, 10.1, T2, status="PLANNED") for n in (1, 2)]
    ground.put(theirs, other)
    nodes = ground.everything("locations", "operator { partyId } evses { evseId effectiveStatus }", {})
    assert nodes == [
        {
            "operator": {"partyId": "DETST"},
            "evses": [
                {"evseId": "DE*TST*E1", "effectiveStatus": "CLOSED"},
                {"evseId": "DE*TST*E2", "effectiveStatus": "UNKNOWN"},
            ],
        },
        {
            "operator": {"partyId": "FRTST"},
            "evses": [{"evseId": f"FR*TST*E{n}", "effectiveStatus": "PLANNED"} for n in (1, 2)],
        },
    ]


def test_asks_every_filter_of_one_and_the_same_evse(ground: Ground):
    """A location with a fast EVSE and another that is open has none that is both."""
    fast_and_closed = at_home("DE*TST*E1", ratings={"maximumPowerKw": 150}, openingTimes={"twentyfourseven": False})
    slow_and_open = at_home("DE*TST*E2", ratings={"maximumPowerKw": 11}, openingTimes={"twentyfourseven": True})
    ground.put([fast_and_closed, slow_and_open])
    query = "query ($filter: EvseFilter) { locations(filter: $filter) { nodes { locationId } } }"

    def found(**filters: Any) -> int:
        filters = {"operatorIds": ["DETST"], **filters}
        return len(ground.hub.ask(query, {"filter": filters})["locations"]["nodes"])

    assert found(minPowerKw=100) == found(usableAt="2026-05-01T12:00:00Z") == 1
    assert found(minPowerKw=100, usableAt="2026-05-01T12:00:00Z") == 0


@pytest.mark.parametrize("caller", VISIBLE_OPERATORS)
def test_shows_locations_of_operators_whose_evses_a_caller_sees(hub: Hub, world: World, caller: str | None):
    query = "{ locations(first: 500) { nodes { operator { partyId } evses { evseId } } } }"
    nodes = hub.ask(query, headers=world.authorization(caller))["locations"]["nodes"]
    assert {node["operator"]["partyId"] for node in nodes} == VISIBLE_OPERATORS[caller]
    assert all(node["evses"] for node in nodes)


@pytest.mark.parametrize(
    "evses",
    [
        'evses(filter: { locationIds: ["' + "x" * 300 + '"] })',
        "evses(filter: { evseIds: [" + '"DE*SON*E1",' * 1001 + "] })",
    ],
)
def test_refuses_a_bad_filter_inside_a_selection_with_a_code(hub: Hub, evses: str):
    query = f'{{ location(operatorId: "DESON", locationId: "MUENSTER") {{ {evses} {{ evseId }} }} }}'
    answer = hub.post(query).json()
    assert answer["errors"][0]["extensions"]["code"] in ("BAD_FILTER", "INVALID_ID", "TOO_COMPLEX")
