"""A parking spot is found once at the places that its viewer knows; that of an EVSE by viewers of its operator only."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import true

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.ingest.parking.updates import update_parking_spots
from app.read.statements import STATEMENTS
from app.visibility import rules as visibility
from app.vocabulary import Role
from geo.polyline import encode_polyline
from tests.exchange.world import administrator, enrol, nsp, operator, utc_now
from tests.ingest.parking_world import link, owner_of, spot
from tests.ingest.world import MONDAY
from tests.live.streams import ask

HERE, HIDDEN, OWN = (46.0, 46.0), (99.5, -12.345678), (-60.0, 3.0)
#: A hidden and an open operator link the first spot, only the open one the second, only the hidden one the third, which
#: has a position of its PSO's.
BOTH, OPEN, SAID = "DE*WPS*PL4", "DE*WPS*PL5", "DE*WPS*PL6"


def places(longitude: float, latitude: float) -> dict[str, dict[str, Any]]:
    """Return areas of every kind around a place."""
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


@dataclass(frozen=True)
class Scene:
    """Callers, each with whether it sees the hidden operator, and the PSO."""

    database: Database
    callers: list[tuple[Caller | None, bool, bool]]


@pytest.fixture
async def scene(database: Database) -> Scene:
    hidden = await operator(database, "DEA00", "Hidden")
    open_ = await operator(database, "DEW01", "Open", open_=True)
    [pso] = await enrol(database, "Parking", (Role.PSO, "DEWPS"))
    with_open, with_pso, with_hidden = [await nsp(database, name) for name in ("Open's", "PSO's", "Hidden's")]
    hub, partner = await administrator(database), await operator(database, "DE333", "Partner")
    for one, other in ((with_open, open_), (with_hidden, hidden), (partner, pso), (hidden, pso)):
        await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    await link(database, hidden, "DEA00EVT", HIDDEN, "DEWPSPL4", "DEWPSPL6")
    await link(database, open_, "DEW01EVT", HERE, "DEWPSPL4", "DEWPSPL5")
    await update_parking_spots(database, [spot("DEWPSPL6", at=OWN)], owner_of(pso), MONDAY)
    neither = [(each, False, False) for each in (None, with_open.caller, with_pso.caller, open_.caller)]
    of_pso = [(pso.caller, True, True), (partner.caller, False, True)]
    of_hidden = [(each, True, False) for each in (with_hidden.caller, hidden.caller)]
    return Scene(database, [*neither, *of_pso, *of_hidden, (hub.caller, True, True)])


async def check(scene: Scene, caller: Caller | None, sees_hidden: bool, sees_pso: bool) -> None:
    """Query in every way where the spots are: a position is the PSO's, places are each caller's own."""
    said = {SAID: OWN} if sees_hidden or sees_pso else {}
    listed = {BOTH: None, OPEN: None, **said}
    assert await search(scene.database, caller) == listed
    expected = [(HERE, {BOTH: None, OPEN: None}), (HIDDEN, {BOTH: None, **said} if sees_hidden else {}), (OWN, said)]
    for place, spots in expected:
        for kind, area in places(*place).items():
            assert await search(scene.database, caller, area) == spots, (kind, place, caller)


async def test_finds_a_spot_at_each_place_that_its_viewer_knows(scene: Scene):
    for caller, sees_hidden, sees_pso in scene.callers:
        await check(scene, caller, sees_hidden, sees_pso)


async def test_would_notice_places_that_everybody_knows(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(visibility.RULES, "parking_place", lambda _table, _caller_kind: true())  # type: ignore[arg-type]
    STATEMENTS.clear()
    try:
        with pytest.raises(AssertionError, match="near"):
            await check(scene, *scene.callers[0])
    finally:
        STATEMENTS.clear()


PAGE = """query ($within: AreaInput, $after: String) { parkingSpots(within: $within, first: 1, after: $after) {
    nodes { parkingId } pageInfo { endCursor hasNextPage } } }"""


async def pages(database: Database, caller: Caller | None, area: dict[str, Any]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    after, more = None, True
    while more:
        page = (await ask(database, caller, PAGE, {"within": area, "after": after}))["parkingSpots"]
        nodes += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return nodes


@pytest.mark.parametrize("kind", ["near", "bounds", "polygon", "route"])
async def test_shows_a_spot_with_several_places_once_over_all_pages(database: Database, kind: str):
    """Nearest first it is at its nearest place, along a route at the first one."""
    open_ = await operator(database, "DEW01", "Open", open_=True)
    for number, longitude in enumerate((46.4, 46.2, 46.6)):
        ids = [f"DEWPSPL{number}", "DEWPSPL7", "DEWPSPL8"]
        await link(database, open_, f"DEW01E{number}", (longitude, 46.0), *ids)
    area = places(46.0, 46.0)[kind]
    if kind == "near":
        area["near"]["radiusM"] = 100_000
    found = await pages(database, None, area)
    assert sorted(node["parkingId"] for node in found) == [f"DE*WPS*PL{n}" for n in (0, 1, 2, 7, 8)]
    if kind in ("near", "route"):
        assert [node["parkingId"][-1] for node in found] == ["1", "7", "8", "0", "2"]
