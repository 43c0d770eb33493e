"""Areas and filters decide in memory as the lists do in SQL; and which subscribers a place may concern."""

import random
from typing import Any

from graphql.utilities import coerce_input_value
from hypothesis import given
from hypothesis import strategies as st

from app.db.engine import Database
from app.ids import separated_evse_id
from app.ingest.charge_points.updates import update_charge_points
from app.live.feeds.evse import EVSES, EvseFilter
from app.live.log.rows import Place
from app.live.stream.index import Index
from app.records.base import Point
from app.records.charge_point import Connector, Ratings
from app.visibility.viewer_scope import ViewerScope
from app.vocabulary import (
    AuthMethod,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    GeneralLocationType,
    Restriction,
)
from geo.areas import Bounds, Near
from geo.polyline import encode_polyline
from geo.regions import Circle, Rectangle, Region
from schema.changes import filter_of
from tests.ingest.world import charge_point
from tests.live.streams import CORE, DE, Moving, ask

LISTED = """query ($within: AreaInput, $filter: EvseFilter) {
    evses(within: $within, filter: $filter, first: 500) { nodes { evseId } } }"""
LINES = ([(9.4, 48.0), (10.4, 48.1)], [(179.5, 48.2), (-179.5, 48.0)], [(9.5, 48.3), (9.6, 47.0)])
COUNT = 120


def some(chance: random.Random, words: Any) -> list[Any]:
    return chance.sample(list(words), chance.randint(1, min(3, len(words))))


def some_charge_point(chance: random.Random, number: int) -> Any:
    connectors = tuple(
        Connector(standard=chance.choice(list(ConnectorStandard)[:4]), format=chance.choice(list(ConnectorFormat)))
        for _ in range(chance.randint(1, 2))
    )
    # On a grid, so that borders are met, and on both sides of the antimeridian.
    longitude = chance.choice([9.5, 10.0, 10.25, 179.9, -179.9]) + chance.choice([0, 0.05, -0.05])
    return charge_point(
        f"{DE}E{number}",
        location_id=f"L{number}",
        position=Point(latitude=chance.choice([48.0, 48.05, 48.3]), longitude=round(longitude, 6)),
        location_type=chance.choice(list(GeneralLocationType)[:3]),
        auth_methods=tuple(some(chance, list(AuthMethod)[:5])),
        restrictions=tuple(some(chance, list(Restriction)[:3])) if chance.random() < 0.5 else (),
        connectors=connectors,
        charge_point_type=chance.choice(list(ChargePointType)),
        ratings=chance.choice([None, Ratings(maximum_power_kw=22.0), Ratings(maximum_power_kw=150.0)]),
    )


def some_filter(chance: random.Random) -> dict[str, Any]:
    possible: dict[str, Any] = {
        "evseIds": [f"DE*8AC*E{chance.randrange(COUNT)}" for _ in range(60)],
        "locationIds": [f"l{chance.randrange(COUNT)}" for _ in range(60)],
        "operatorIds": chance.choice([["DE8AC"], ["FRA23"], []]),
        "connectorStandards": some(chance, list(ConnectorStandard)[:4]),
        "connectorFormats": some(chance, ConnectorFormat),
        "chargePointTypes": some(chance, ChargePointType),
        "minPowerKw": chance.choice([22.0, 22.5, 0.0]),
        "maxPowerKw": chance.choice([22.0, 149.9, 150.0]),
        "authMethods": some(chance, list(AuthMethod)[:5]),
        "locationTypes": some(chance, list(GeneralLocationType)[:3]),
        "withoutRestrictions": some(chance, list(Restriction)[:3]),
    }
    return {name: possible[name] for name in chance.sample(sorted(possible), chance.choice([0, 1, 1, 2, 3]))}


def some_area(chance: random.Random) -> Any:
    longitude, latitude = chance.choice([9.5, 10.0, 180.0, -180.0]), chance.choice([48.0, 48.05, 48.3])
    match chance.randrange(5):
        case 0:
            radius_m = chance.choice([100.0, 5_000.0, 30_000.0])
            return {"near": {"latitude": latitude, "longitude": longitude, "radiusM": radius_m}}
        case 1:
            west, east = chance.choice([(9.5, 10.0), (9.45, 10.25), (179.9, -179.9), (10.0, 180.0)])
            return {
                "bounds": {
                    "minimumLongitude": west, "maximumLongitude": east,
                    "minimumLatitude": 48.0, "maximumLatitude": chance.choice([48.05, 48.31]),
                }
            }  # fmt: skip
        case 2:
            ring = [(9.0, 47.0), (10.1, 47.5), (10.0, 48.1), (9.5, 48.3)]
            if chance.random() < 0.4:
                ring = [(179.0, 47.0), (-179.0, 47.0), (-179.0, 48.1), (179.0, 48.1)]
            return {"polygon": [{"longitude": x, "latitude": y} for x, y in ring]}
        case 3:
            line = chance.choice(
                [[(9.4, 48.0), (10.4, 48.1)], [(179.5, 48.2), (-179.5, 48.0)], [(9.5, 48.3), (9.6, 47.0)]]
            )
            return {
                "route": {"polyline": encode_polyline(line), "corridorM": chance.choice([500.0, 4_000.0, 30_000.0])}
            }
        case _:
            return None


def coerced(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as graphql-core passes them to the hub."""

    assert CORE.query_type is not None
    arguments = CORE.query_type.fields["changes"].args
    return {name: coerce_input_value(value, arguments[name].type) for name, value in given.items() if value is not None}


async def test_agrees_with_the_lists(database: Database, seed: int):
    chance = random.Random(seed)
    world = await Moving.make(database, chance)
    points = [some_charge_point(chance, number) for number in range(COUNT)]
    report = await update_charge_points(database, points, world.operators[DE], world.later())
    assert not report.refused
    rows = await database.fetch(EVSES.by_ids, [f"{DE}E{number}" for number in range(COUNT)])
    states, everything = [EVSES.state_of(row) for row in rows], ViewerScope(None, None)
    caller, sizes = world.nsp.caller, set[int]()
    for _ in range(120):
        asked = {"within": some_area(chance), "filter": some_filter(chance)}
        data = await ask(database, caller, LISTED, asked)
        [evses] = [each for each in filter_of(coerced(asked), caller).feeds if each.feed is EVSES]
        wanted = {separated_evse_id(each.id) for each in states if evses.has(each, everything)}
        assert wanted == {node["evseId"] for node in data["evses"]["nodes"]}, asked
        sizes.add(len(wanted))
    assert len(sizes) > 10


# ---------------------------------------------------------------- which subscribers are matched

LONGITUDES, LATITUDES = st.floats(-180, 180), st.floats(-90, 90)
NEARS = st.builds(Near, LONGITUDES, LATITUDES, st.floats(1, 20_000_000)).map(Circle)


@st.composite
def rectangles(draw: st.DrawFn) -> Region:
    west, east = draw(st.lists(LONGITUDES, min_size=2, max_size=2, unique=True))
    south, north = sorted(draw(st.lists(LATITUDES, min_size=2, max_size=2, unique=True)))
    return Rectangle(Bounds(west, south, east, north))


@given(st.lists(NEARS | rectangles(), min_size=1, max_size=5), st.tuples(LONGITUDES, LATITUDES))
def test_finds_everybody_who_has_to_hear_of_a_place(regions: list[Region], place: tuple[float, float]):
    index: Index[int] = Index()
    interests = [EvseFilter(EVSES.kinds, region) for region in regions]
    for number, interest in enumerate(interests):
        index.add(number, interest)
    where = [Place(1, *place)]
    found = set(index.find("DE8ACE1", where, ()))
    assert {number for number, region in enumerate(regions) if region.contains(*place)} <= found
    for number, interest in enumerate(interests):
        index.remove(number, interest)
    assert set(index.find("DE8ACE1", where, ())) == set()


def test_looks_at_nobody_elsewhere():
    index: Index[int] = Index()
    for number in range(1_000):
        region = Circle(Near(-170 + number % 340, -60 + number % 120, 5_000))
        index.add(number, EvseFilter(EVSES.kinds, region))
    looked_at = list(index.find("DE8ACE1", [Place(1, 0.5, 0.5)], ()))
    assert looked_at == []
    assert len(set(index.find("DE8ACE1", [Place(1, -170.0, -60.0)], ()))) <= 3
