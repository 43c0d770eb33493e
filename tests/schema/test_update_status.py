"""Operators and parking spot operators push their status over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.records.charge_point import EvseParkingSpot
from app.vocabulary import Role
from tests.exchange.world import enrol, operator, utc_now
from tests.hub import Hub, serve
from tests.ingest.world import MONDAY, charge_point

UPDATE = """
mutation ($evses: [EvseStatusInput!], $parkingSpots: [ParkingStatusInput!], $ttl: DateTime) {
  updateStatus(evses: $evses, parkingSpots: $parkingSpots, ttl: $ttl) {
    result { code description } accepted unchanged removed refused { path index id code message }
    warnings { path code message }
  }
}
"""


@pytest.fixture
def hub(database_url: str) -> Iterator[Hub]:
    """A hub of the test's own."""
    with serve(database_url) as hub:
        yield hub


async def _enrol(hub: Hub) -> dict[str, dict[str, str]]:
    german = await operator(hub.database)
    [pso] = await enrol(hub.database, "Parking", (Role.PSO, "DEPRK"))
    [nsp] = await enrol(hub.database, "Maps", (Role.NSP, None))
    await set_contract(hub.database, CONSOLE, german.party, pso.party, utc_now())
    owner = Owner(german.caller.partner_id, german.caller.role_id, "DE8AC")
    spots = (EvseParkingSpot(parking_id="DEPRKP1"),)
    await update_charge_points(hub.database, [charge_point("DE8ACE1", parking_spots=spots)], owner, MONDAY)
    return {
        name: {"Authorization": f"Bearer {member.key.secret}"}
        for name, member in {"operator": german, "pso": pso, "nsp": nsp}.items()
    }


@pytest.fixture
def headers(hub: Hub) -> dict[str, dict[str, str]]:
    return hub.run(_enrol(hub))


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def report(hub: Hub, headers: dict[str, str], document: str = UPDATE, **variables: Any) -> dict[str, Any]:
    return hub.ask(document, variables, headers)["updateStatus"]


async def _rows(hub: Hub) -> list[tuple[Any, ...]]:
    found = await hub.database.fetch(
        "select major, minor, blocked_until > now(), status from evse_status, parking_status where said_by = 0"
    )
    return [tuple(row) for row in found]


def test_takes_status_from_operators_and_psos(hub: Hub, headers: dict[str, dict[str, str]]):
    said = {"evseId": "de*8ac*e1", "major": "AVAILABLE", "minor": "RESERVED", "at": in_minutes(-1)}
    answer = report(hub, headers["operator"], evses=[said], ttl=in_minutes(5))
    assert (answer["result"]["code"], answer["accepted"], answer["refused"]) == ("OK", 1, [])
    taken = {"parkingId": "DE*PRK*P1", "status": "NOT_AVAILABLE", "ttl": in_minutes(5)}
    assert report(hub, headers["pso"], parkingSpots=[taken])["accepted"] == 1
    assert hub.run(_rows(hub)) == [("AVAILABLE", "RESERVED", True, "NOT_AVAILABLE")]
    assert report(hub, headers["operator"], evses=[said])["unchanged"] == 1


def test_takes_items_that_are_written_into_the_document(hub: Hub, headers: dict[str, dict[str, str]]):
    document = 'mutation { updateStatus(evses: [{evseId: "DE8ACE1", major: AVAILABLE}]) { accepted unchanged } }'
    assert report(hub, headers["operator"], document) == {"accepted": 1, "unchanged": 0}
    document = 'mutation { updateStatus(evses: {evseId: "DE8ACE1", major: AVAILABLE}) { accepted unchanged } }'
    assert report(hub, headers["operator"], document) == {"accepted": 0, "unchanged": 1}
    nothing = "mutation { updateStatus(evses: null) { accepted unchanged refused { code } } }"
    assert report(hub, headers["operator"], nothing) == {"accepted": 0, "unchanged": 0, "refused": []}


def test_refuses_items_one_by_one_and_counts_those_of_both_lists(hub: Hub, headers: dict[str, dict[str, str]]):
    answer = report(
        hub,
        headers["operator"],
        evses=[{"evseId": "DE8ACE1", "major": "AVAILABLE"}, {"evseId": "FRA23E1", "major": "AVAILABLE"}],
        parkingSpots=[{"parkingId": "DEPRKP1", "status": "AVAILABLE", "ttl": "2020-01-01T00:00:00Z"}, 12],
    )
    assert answer["result"] == {
        "code": "PARTLY",
        "description": "1 accepted, 0 unchanged, 0 removed, 3 refused",
    }
    assert [(each["path"], each["index"], each["id"], each["code"]) for each in answer["refused"]] == [
        ("evses[1].evseId", 1, "FR*A23*E1", "INVALID_ID"),
        ("parkingSpots[0].ttl", 0, "DEPRKP1", "OUT_OF_RANGE"),
        ("parkingSpots[1]", 1, None, "WRONG_TYPE"),
    ]


def test_lists_a_bounded_number_of_refusals_and_counts_all(hub: Hub, headers: dict[str, dict[str, str]]):
    good = {"evseId": "DE*8AC*E1", "major": "AVAILABLE"}
    answer = report(hub, headers["operator"], evses=[*[{}] * 6_000, good])
    assert (answer["accepted"], len(answer["refused"])) == (1, 1_000)
    counted = "1 accepted, 0 unchanged, 0 removed, 6000 refused; the first 1000 reasons are listed"
    assert answer["result"]["description"] == f"{counted}, those of 5500 more items are not"


def test_takes_a_bounded_number_of_items(hub: Hub, headers: dict[str, dict[str, str]]):
    counted = "mutation Many($evses: [EvseStatusInput!]!) { updateStatus(evses: $evses) { refusedCount } }"
    answer = hub.post(counted, {"evses": [{}] * 100_000}, headers["operator"]).json()
    assert answer["data"] == {"updateStatus": {"refusedCount": 100_000}}
    [error] = hub.post(counted, {"evses": [{}] * 100_001}, headers["operator"]).json()["errors"]
    assert error["extensions"]["code"] == "TOO_MANY_ITEMS"
    assert "100,001" in error["message"]


def test_is_for_operators_and_psos(hub: Hub, headers: dict[str, dict[str, str]]):
    for who, code in (({}, "UNAUTHENTICATED"), (headers["nsp"], "FORBIDDEN")):
        [error] = hub.post(UPDATE, {"evses": []}, who).json()["errors"]
        assert error["extensions"]["code"] == code


def test_trusts_a_status_without_ttl_for_as_long_as_the_setting_says(database_url: str):
    with serve(database_url, status_age_s=600.0) as hub:
        headers = hub.run(_enrol(hub))
        report(hub, headers["operator"], evses=[{"evseId": "DE8ACE1", "major": "AVAILABLE"}])
        rows = hub.run(hub.database.fetch("select expires_at - at as trust from evse_status"))
        assert [row["trust"] for row in rows] == [timedelta(minutes=10)]


def test_cuts_a_ttl_to_the_age_that_the_setting_says_and_warns(database_url: str):
    with serve(database_url, status_ttl_s=600.0) as hub:
        headers = hub.run(_enrol(hub))
        answer = report(
            hub, headers["operator"], evses=[{"evseId": "DE8ACE1", "major": "AVAILABLE"}], ttl=in_minutes(60)
        )
        assert (answer["result"]["code"], answer["accepted"]) == ("OK", 1)
        [warning] = answer["warnings"]
        assert (warning["path"], warning["code"]) == ("evses[0].ttl", "TTL_CUT")
        [row] = hub.run(hub.database.fetch("select ttl - updated_at as valid from evse_status"))
        assert row["valid"] == timedelta(minutes=10)
