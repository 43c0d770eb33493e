"""Where a parking spot is by an EVSE is shown to those who see that EVSE's operator, and to nobody else."""

from typing import Any

import pytest

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.ingest.parking.updates import update_parking_spots
from app.vocabulary import Role
from geo.polyline import encode_polyline
from tests.exchange.world import administrator, enrol, nsp, operator, utc_now
from tests.ingest.parking_world import link, owner_of, spot
from tests.ingest.world import MONDAY
from tests.live.streams import ask

HERE, HIDDEN = (46.0, 46.0), (99.5, -12.345678)
SPOT_ID, OTHER_ID = "DE*WPS*PL4", "DE*WPS*PL5"


def places(longitude: float, latitude: float) -> dict[str, dict[str, Any]]:
    """Give areas of every kind around a place."""
    west, east, south, north = longitude - 1, longitude + 1, latitude - 1, latitude + 1
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return {
        "near": {"near": {"latitude": latitude, "longitude": longitude}},
        "bounds": {
            "bounds": {
                "minimumLatitude": south, "maximumLatitude": north, "minimumLongitude": west, "maximumLongitude": east
            }
        },
        "polygon": {"polygon": [{"longitude": x, "latitude": y} for x, y in corners]},
        "route": {"route": {"polyline": encode_polyline([(west, latitude), (east, latitude)]), "corridorM": 1000}},
    }  # fmt: skip


async def search(database: Database, caller: Caller | None, area: dict[str, Any] | None = None) -> dict[str, Any]:
    query = """query ($within: AreaInput) { parkingSpots(within: $within) {
        nodes { parkingId position { latitude longitude } } } }"""
    nodes = (await ask(database, caller, query, {"within": area}))["parkingSpots"]["nodes"]
    return {node["parkingId"]: shown(node) for node in nodes}


def shown(node: dict[str, Any]) -> tuple[float, float] | None:
    return node["position"] and (node["position"]["longitude"], node["position"]["latitude"])


async def check(database: Database, caller: Caller | None, sees_hidden: bool) -> None:
    """Ask in every way where the spots are: PL4 is where a hidden EVSE is, PL5 where an open one is."""
    place = HIDDEN if sees_hidden else None
    query = f"""{{ parkingSpot(parkingId: "{SPOT_ID}") {{ position {{ latitude longitude }} }}
        evses {{ nodes {{ parkingSpots {{ spot {{ parkingId position {{ longitude latitude }} }} }} }} }} }}"""
    data = await ask(database, caller, query)
    assert shown(data["parkingSpot"]) == place
    linked = [each["spot"] for node in data["evses"]["nodes"] for each in node["parkingSpots"]]
    assert {(each["parkingId"], shown(each)) for each in linked} == {(SPOT_ID, place), (OTHER_ID, HERE)}
    assert await search(database, caller) == {SPOT_ID: place, OTHER_ID: HERE}
    for kind, area in places(*HERE).items():
        assert await search(database, caller, area) == {OTHER_ID: HERE}, kind
    for kind, area in places(*HIDDEN).items():
        assert await search(database, caller, area) == ({SPOT_ID: HIDDEN} if sees_hidden else {}), kind


async def test_shows_a_place_to_those_who_see_whose_it_is(database: Database):
    hidden = await operator(database, "DEA00", "Hidden")
    open_ = await operator(database, "DEW01", "Open", open_=True)
    [pso] = await enrol(database, "Parking", (Role.PSO, "DEWPS"))
    with_open, with_pso, with_hidden = [await nsp(database, name) for name in ("Open's", "PSO's", "Hidden's")]
    stranger, hub = await nsp(database, "Nobody's"), await administrator(database)
    partner = await operator(database, "DE333", "Partner")
    for one, other in ((with_open, open_), (with_hidden, hidden), (partner, pso)):
        await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    await link(database, hidden, "DEA00EVT", HIDDEN, "DEWPSPL4")
    await link(database, open_, "DEW01EVT", HERE, "DEWPSPL4", "DEWPSPL5")
    for each in (None, with_open.caller, with_pso.caller, stranger.caller, open_.caller, pso.caller, partner.caller):
        await check(database, each, sees_hidden=False)
    for each in (with_hidden.caller, hidden.caller, hub.caller):
        await check(database, each, sees_hidden=True)


@pytest.mark.parametrize("own", [HERE, None])
async def test_shows_the_word_of_the_pso_to_all_who_see_the_spot(database: Database, own: Any):
    hidden = await operator(database, "DEA00", "Hidden")
    open_ = await operator(database, "DEW01", "Open", open_=True)
    [pso] = await enrol(database, "Parking", (Role.PSO, "DEWPS"))
    await link(database, hidden, "DEA00EVT", HIDDEN, "DEWPSPL4")
    await link(database, open_, "DEW01EVT", HERE, "DEWPSPL4")
    await update_parking_spots(database, [spot("DEWPSPL4", at=HERE)], owner_of(pso), MONDAY)
    if own is None:
        await update_parking_spots(database, [spot("DEWPSPL4", number="1")], owner_of(pso), MONDAY)
    assert await search(database, None) == {SPOT_ID: own}


async def test_does_not_show_where_a_hidden_operator_says_an_open_one_stands(database: Database):
    """Whoever links a spot later, under however small an id, does not move it."""
    hidden = await operator(database, "DEA00", "Hidden")
    open_ = await operator(database, "DEW01", "Open", open_=True)
    await link(database, open_, "DEW01EVT", HERE, "DEWPSPL4")
    await link(database, hidden, "DEA00EVT", HIDDEN, "DEWPSPL4")
    assert await search(database, None) == {SPOT_ID: HERE}
    assert await search(database, hidden.caller, places(*HIDDEN)["near"]) == {}
