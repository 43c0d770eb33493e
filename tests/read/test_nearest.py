"""Nearest first, held against a search through all rows by the haversine formula."""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import asin, degrees
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.db.cluster import Cluster
from tests.hub import Hub, scratch_database, serve
from tests.length import rounds
from tests.read.ground import make_ground
from tests.slow_reading import EARTH_RADIUS_M, great_circle_m

Position = tuple[float, float]

#: What floating point may make of equal distances; and what rounding to decimetres makes of any.
EQUAL_M, SHOWN_M = 1e-4, 0.05 + 1e-4

#: Where distances are easily got wrong.
EDGES: Sequence[Position] = [
    (0, 0),
    (180, 0),
    (-180, 0),
    (180, -16.8),
    (-180, -16.8),
    (0, 90),
    (77, 90),
    (0, -90),
    (-90, 0),
]
QUERY = """query ($near: NearInput!, $first: Int!, $after: String) {
    evses(within: { near: $near }, first: $first, after: $after) {
        edges { distanceM node { evseIdAsSent distanceM } } pageInfo { hasNextPage endCursor }
    }
}"""


@dataclass(frozen=True)
class Found:
    metres: float
    evse_id: str
    position: Position


class AllRows:
    """Every EVSE and its position, sorted by latitude: a circle lies between two of them."""

    def __init__(self, rows: Sequence[tuple[str, float, float]]) -> None:
        self.rows = sorted(rows, key=lambda row: row[2])
        self.latitudes = [row[2] for row in self.rows]

    def within(self, longitude: float, latitude: float, radius_m: float) -> list[Found]:
        height = degrees(radius_m / EARTH_RADIUS_M) + 1e-6
        first, last = bisect_left(self.latitudes, latitude - height), bisect_right(self.latitudes, latitude + height)
        found = [
            Found(great_circle_m(longitude, latitude, at_longitude, at_latitude), id_, (at_longitude, at_latitude))
            for id_, at_longitude, at_latitude in self.rows[first:last]
        ]
        return sorted((each for each in found if each.metres <= radius_m + EQUAL_M), key=lambda each: each.metres)


def read_rows(dsn: str) -> AllRows:
    async def read() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch("select evse_id_as_sent, longitude, latitude from evse")
        finally:
            await connection.close()

    return AllRows([tuple(row) for row in asyncio.run(read())])


def check(hub: Hub, rows: AllRows, at: Position, radius_m: float, first: int) -> None:
    """Hold one page, and the place where it ends, against all rows."""
    longitude, latitude = at
    near = {"longitude": longitude, "latitude": latitude, "radiusM": radius_m}
    answer = hub.ask(QUERY, {"near": near, "first": first})["evses"]
    expected = rows.within(longitude, latitude, radius_m)
    by_id = {each.evse_id: each for each in expected}
    shown = [edge["node"]["evseIdAsSent"] for edge in answer["edges"]]
    assert len(set(shown)) == len(shown)
    assert set(shown) <= by_id.keys(), "too far away"
    found = [by_id[id_] for id_ in shown]
    for edge, each in zip(answer["edges"], found, strict=True):
        assert edge["distanceM"] == edge["node"]["distanceM"] == pytest.approx(each.metres, abs=SHOWN_M)
    for one, other in pairwise(found):
        assert one.metres <= other.metres + EQUAL_M
        assert one.position != other.position or one.evse_id < other.evse_id, "equally far: by id"
    certain = [each for each in expected if each.metres <= radius_m - EQUAL_M]
    if answer["pageInfo"]["hasNextPage"]:
        assert len(shown) == first
        left_out = [each.metres for each in expected if each.evse_id not in shown]
        assert found[-1].metres <= min(left_out) + EQUAL_M, "something nearer was left out"
    else:
        assert {each.evse_id for each in certain} <= set(shown), "something was left out"


def somewhere(chance: random.Random) -> Position:
    """Draw a place on the sphere, evenly."""
    return round(chance.uniform(-180, 180), 6), round(degrees(asin(chance.uniform(-1, 1))), 6)


def beside(chance: random.Random, at: Position, spread: float) -> Position:
    """Draw a place around another, wherever that is on the earth."""
    longitude, latitude = at[0] + chance.gauss(0, spread), at[1] + chance.gauss(0, spread)
    return round((longitude + 180) % 360 - 180, 6), round(min(90.0, max(-90.0, latitude)), 6)


@pytest.fixture(scope="module")
def chance(seed: int) -> random.Random:
    return random.Random(seed)


# ---------------------------------------------------------------- rows at random


@pytest.fixture(scope="module")
def scattered(cluster: Cluster, template: str, chance: random.Random) -> Iterator[tuple[Hub, AllRows]]:
    """Charge points everywhere, in a city, at every edge, and several at one place."""
    places = [somewhere(chance) for _ in range(500)]
    places += [beside(chance, (9.99, 48.4), 0.05) for _ in range(800)]
    places += [beside(chance, edge, spread) for edge in EDGES for spread in (0, 1e-6, 1e-4, 0.01, 1) for _ in range(5)]
    places += chance.choices(places, k=300)
    with make_ground(cluster, template) as ground:
        ground.put_at(*places)
        yield ground.hub, read_rows(ground.dsn)


def test_finds_the_nearest_of_rows_everywhere(scattered: tuple[Hub, AllRows], chance: random.Random) -> None:
    hub, rows = scattered
    positions = [(longitude, latitude) for _, longitude, latitude in rows.rows]
    for _ in range(150):
        at = chance.choice(
            [somewhere(chance), chance.choice(positions), beside(chance, chance.choice(positions), 0.01)]
        )
        check(hub, rows, at, chance.choice([1, 500, 20_000, 1e6, 2.01e7]), chance.choice([1, 7, 50, 500]))


@pytest.mark.parametrize("at", EDGES)
def test_finds_the_nearest_at_every_edge(scattered: tuple[Hub, AllRows], chance: random.Random, at: Position) -> None:
    hub, rows = scattered
    for spread in (0, 1e-9, 1e-6, 0.001, 0.1):
        longitude, latitude = at[0] + chance.gauss(0, spread), at[1] + chance.gauss(0, spread)
        inside = min(180.0, max(-180.0, longitude)), min(90.0, max(-90.0, latitude))
        for radius_m, first in ((1, 500), (1000, 3), (200_000, 20), (2.01e7, 500)):
            check(hub, rows, inside, radius_m, first)


def test_shows_everything_within_the_radius_once_page_by_page(
    scattered: tuple[Hub, AllRows], chance: random.Random
) -> None:
    hub, rows = scattered
    for at, radius_m in (((9.99, 48.4), 8_000), ((180.0, -16.8), 300_000), ((3.0, 90.0), 300_000)):
        near = {"longitude": at[0], "latitude": at[1], "radiusM": radius_m}
        seen: list[str] = []
        after, more = None, True
        while more:
            page = hub.ask(QUERY, {"near": near, "first": chance.choice([1, 5, 40]), "after": after})["evses"]
            seen += [edge["node"]["evseIdAsSent"] for edge in page["edges"]]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        assert sorted(seen) == sorted(each.evse_id for each in rows.within(*at, radius_m))


def test_would_notice_a_search_that_is_flat(scattered: tuple[Hub, AllRows], monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: distances as the crow flies over a map in degrees."""
    hub, rows = scattered

    def flat(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
        return ((longitude - other_longitude) ** 2 + (latitude - other_latitude) ** 2) ** 0.5 * 111_195

    monkeypatch.setattr("tests.read.test_nearest.great_circle_m", flat)
    with pytest.raises(AssertionError):
        check(hub, rows, (9.99, 48.4), 20_000, 50)


# ---------------------------------------------------------------- the French register


@pytest.fixture(scope="module")
def france(cluster: Cluster, french_register: str) -> Iterator[tuple[Hub, AllRows]]:
    with scratch_database(cluster.dsn, french_register, f"france_{uuid4().hex}") as dsn, serve(dsn) as hub:
        yield hub, read_rows(dsn)


@pytest.mark.realdata
def test_finds_the_nearest_in_france(france: tuple[Hub, AllRows], chance: random.Random) -> None:
    hub, rows = france
    assert len(rows.rows) > rounds(4_000, full=70_000)
    positions = [(longitude, latitude) for _, longitude, latitude in rows.rows]
    for _ in range(rounds(60, full=300)):
        at = chance.choice([chance.choice(positions), beside(chance, chance.choice(positions), 0.05)])
        check(hub, rows, at, chance.choice([50, 1_000, 10_000, 100_000]), chance.choice([1, 20, 50, 500]))
