"""Corridors: every place near a route lies in one cell, whose line gives its distance and its place on the route."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import acos, asin, atan2, cos, degrees, hypot, pi, radians, sin, sqrt

import pytest
import shapely

from geo import corridors
from geo.areas import EARTH_RADIUS_M, NotAnArea
from geo.corridors import Cell, cells_of
from geo.polyline import decode_polyline, encode_polyline
from geo.routes import Piece, Point, pieces_of
from tests.length import rounds

Vector = tuple[float, float, float]

STARTS = [(2.35, 48.85), (179.99, -16.8), (-179.99, 65.0), (0.0, 0.0), (25.0, 71.0), (10.0, 89.5), (-70.0, -89.9)]


def destination(origin: Point, bearing: float, metres: float) -> Point:
    """Return the place at a distance in metres from another on the sphere."""
    latitude, angle = radians(origin[1]), metres / EARTH_RADIUS_M
    there = asin(sin(latitude) * cos(angle) + cos(latitude) * sin(angle) * cos(bearing))
    turned = atan2(sin(bearing) * sin(angle) * cos(latitude), cos(angle) - sin(latitude) * sin(there))
    return (origin[0] + degrees(turned) + 180) % 360 - 180, degrees(there)


def winding(chance: random.Random, start: Point, step_m: float) -> list[Point]:
    """Return a route that turns gently, sharply, or right back."""
    points, bearing = [start], chance.uniform(0, 2 * pi)
    for _ in range(chance.randint(1, 60)):
        bearing += chance.choice([chance.gauss(0, 0.4)] * 5 + [pi, chance.uniform(0, 2 * pi)])
        points.append(destination(points[-1], bearing, chance.uniform(0, step_m)))
    return points


# ---------------------------------------------------------------- an independent measure: arcs of great circles


def vector(point: Point) -> Vector:
    longitude, latitude = radians(point[0]), radians(point[1])
    return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)


def dot(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def metres_between(one: Vector, other: Vector) -> float:
    chord = sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
    return 2 * asin(min(1, chord / 2)) * EARTH_RADIUS_M


def place_on(piece: Piece, at: Vector) -> tuple[float, float]:
    """Return the metres off and along of the nearest place on a piece."""
    start, end = vector(piece.start), vector(piece.end)
    wide = metres_between(start, end) / EARTH_RADIUS_M
    ends = [(metres_between(start, at), piece.start_m), (metres_between(end, at), piece.end_m)]
    if wide < 1e-12:
        return min(ends)
    ahead = tuple((e - s * cos(wide)) / sin(wide) for s, e in zip(start, end, strict=True))
    turned = atan2(dot(at, (ahead[0], ahead[1], ahead[2])), dot(at, start))
    if not 0 <= turned <= wide:
        return min(ends)
    off = acos(min(1, sqrt(dot(at, start) ** 2 + dot(at, (ahead[0], ahead[1], ahead[2])) ** 2)))
    return off * EARTH_RADIUS_M, piece.start_m + turned / wide * (piece.end_m - piece.start_m)


# ---------------------------------------------------------------- what the cells say


def holding(cells: Sequence[Cell], at: Point) -> list[Cell]:
    return [cell for cell in cells if cell.west <= at[0] < cell.east and cell.south <= at[1] < cell.north]


def measured(cell: Cell, at: Point) -> tuple[float, float]:
    """Return the metres off and along, on the cell's own map."""
    words = cell.line.removeprefix("LINESTRING M (").removesuffix(")").split(",")
    line = [tuple(map(float, word.split())) for word in words]
    here = shapely.Point(flat(cell, at))
    steps = [(one, other, shapely.LineString([one[:2], other[:2]])) for one, other in pairwise(line)]
    off_m, along_m = min((step.distance(here), _along(one, other, step, here)) for one, other, step in steps)
    assert cell.low_m < along_m < cell.high_m
    return off_m, along_m


def _along(one: Sequence[float], other: Sequence[float], step: shapely.LineString, here: shapely.Point) -> float:
    share = step.project(here, normalized=True) if step.length > 0 else 0.0
    return one[2] + (other[2] - one[2]) * share


def flat(cell: Cell, at: Point) -> Point:
    """Project stereographically: by the angle from the centre and the bearing, unlike the code's formula."""
    latitude, middle = radians(at[1]), radians(cell.latitude)
    east = radians(at[0] - cell.longitude)
    radius_m = (
        2
        * EARTH_RADIUS_M
        * sin(metres_between(vector(at), vector((cell.longitude, cell.latitude))) / EARTH_RADIUS_M / 2)
    )
    radius_m /= cos(asin(radius_m / 2 / EARTH_RADIUS_M))
    bearing = atan2(sin(east) * cos(latitude), cos(middle) * sin(latitude) - sin(middle) * cos(latitude) * cos(east))
    return radius_m * sin(bearing), radius_m * cos(bearing)


def around(chance: random.Random, route: Sequence[Point], corridor_m: float, count: int) -> Iterator[Point]:
    for _ in range(count):
        far_m = chance.choice([0.1, 0.5, 1.0, 1.5]) * corridor_m
        on = between(*chance.choice(list(pairwise(route))), chance.choice([0.0, 1.0, chance.random()]))
        yield destination(on, chance.uniform(0, 2 * pi), chance.uniform(0, far_m))


def between(one: Point, other: Point, share: float) -> Point:
    """Return a place on the arc of a great circle."""
    x, y, z = (a + (b - a) * share for a, b in zip(vector(one), vector(other), strict=True))
    return degrees(atan2(y, x)), degrees(atan2(z, hypot(x, y)))


def check(
    chance: random.Random,
    route: Sequence[Point],
    corridor_m: float,
    count: int = 40,
    steps: Sequence[Piece] = (),
) -> None:
    """Hold what the cells say of places against the pieces, or against `steps` of which the pieces are a sketch."""
    pieces = pieces_of(route, corridor_m / 200)
    cells = cells_of(pieces, corridor_m)
    slack_m = 2e-4 * corridor_m + 1 + (corridor_m / 200 if steps else 0)
    for at in around(chance, route, corridor_m, count):
        places = [place_on(piece, vector(at)) for piece in steps or pieces]
        off_m = min(off for off, _ in places)
        held = holding(cells, at)
        assert len(held) <= 1
        if not held:
            assert off_m > corridor_m - (slack_m if steps else 0)
            continue
        shown_m, along_m = measured(held[0], at)
        if min(off_m, shown_m) > corridor_m:
            continue
        assert shown_m == pytest.approx(off_m, abs=slack_m)
        alike = [along for off, along in places if off <= off_m + 2 * slack_m]
        assert min(abs(along - along_m) for along in alike) <= 0.03 * corridor_m + 4 * slack_m


# ---------------------------------------------------------------- tests


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("corridor_m", [30.0, 2_000.0, 50_000.0])
def test_measures_every_place_in_one_cell(seed: int, start: Point, corridor_m: float):
    chance = random.Random(f"{seed} {start} {corridor_m}")
    for step_m in (corridor_m / 20, corridor_m / 2, min(corridor_m * 20, 80_000.0)):
        for _ in range(rounds(1, full=3)):
            check(chance, winding(chance, start, step_m), corridor_m)


# ---------------------------------------------------------------- roads that are driven again


def road(chance: random.Random, start: Point, step_m: float) -> list[Point]:
    """Return a road that bends, by points as a polyline rounds them."""
    points, bearing = [start], chance.uniform(0, 2 * pi)
    for _ in range(chance.randint(1, 60)):
        bearing += chance.gauss(0, 0.3)
        points.append(destination(points[-1], bearing, chance.uniform(step_m / 5, step_m)))
    return decode_polyline(encode_polyline(points))


def returning(chance: random.Random, step_m: float) -> list[Point]:
    """Return a route that goes some way back now and then, drives on elsewhere, and ends where it began."""
    points = road(chance, (2.35, 48.85), step_m)
    for _ in range(5):
        turned = len(points) - 1
        points += points[chance.randrange(max(0, turned - 100), turned) : turned][::-1]
        points += road(chance, points[-1], step_m)[1:]
    return [*points, *points[-2::-1]]


def first_steps(route: Sequence[Point]) -> Iterator[Piece]:
    """Yield the steps between points that the route takes for the first time, whichever way."""
    taken: set[frozenset[Point]] = set()
    driven_m = 0.0
    for start, end in pairwise(route):
        length_m = metres_between(vector(start), vector(end))
        if {start, end} not in taken:
            yield Piece(start, end, driven_m, driven_m + length_m)
        taken.add(frozenset((start, end)))
        driven_m += length_m


@pytest.mark.parametrize("corridor_m", [30.0, 300.0, 2_000.0, 10_000.0])
def test_measures_along_a_route_that_comes_back_as_if_it_did_not(seed: int, corridor_m: float):
    chance = random.Random(f"{seed} {corridor_m}")
    for step_m in (300, 15_000):  # no road is over within the tolerance
        there = road(chance, chance.choice(STARTS[:5]), step_m)
        once, twice = (
            cells_of(pieces_of(way, corridor_m / 200), corridor_m) for way in (there, [*there, *there[-2::-1]])
        )
        for at in around(chance, there, corridor_m, 100):
            held = [holding(cells, at) for cells in (once, twice)]
            assert [len(each) for each in held] in ([0, 0], [1, 1])
            places = [measured(cell, at) for each in held for cell in each]
            if places and places[0][0] <= corridor_m:
                assert places[0] == pytest.approx(places[1], abs=1e-6)


@pytest.mark.parametrize("corridor_m", [30.0, 300.0, 2_000.0])
def test_counts_a_road_where_it_is_driven_first(seed: int, corridor_m: float):
    chance = random.Random(f"{seed} {corridor_m}")
    for step_m in (100, 500, 2_000):
        route = returning(chance, step_m)
        check(chance, route, corridor_m, count=rounds(60, full=300), steps=list(first_steps(route)))


# ---------------------------------------------------------------- where routes are hard to measure


@pytest.mark.parametrize("north", [1, -1])
@pytest.mark.parametrize("east", [60, 112, 180])
def test_reaches_beyond_the_parallels_of_a_piece_that_passes_a_pole(seed: int, north: int, east: int):
    route = [(-70.0, north * 89.9), (-70.0 + east, north * 89.917)]
    check(random.Random(seed), route, 2_000.0, count=400)


def test_would_notice_lines_that_run_straight_from_one_part_of_a_route_to_the_next(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    """The broken twin: no detours, so that the route seems to pass where it does not."""

    def no_detour(one: object, other: object, far_m: float) -> Iterator[corridors.Vertex]:
        return iter(())

    monkeypatch.setattr(corridors, "_detour", no_detour)
    # Past a corner and away; then from the other side past a corner nearby.
    kilometres = [(-30, 0), (0, 0), (0, 30), (30, 30), (30, -30), (1.5, -30), (1.5, -1.5), (30, -1.5)]
    route = [destination(destination((2.35, 48.85), pi / 2, x * 1e3), 0, y * 1e3) for x, y in kilometres]
    chance = random.Random(seed)
    with pytest.raises(AssertionError):
        check(chance, route, 1_000, count=3_000)


def test_tiles_the_earth(seed: int):
    """Every place near a route that runs on the edges of cells lies in exactly one."""
    route = [(-180.0, 0.0), (-170.0, 0.0), (-170.0, 10.0), (-179.0, 10.0)]
    pieces = pieces_of(route, 50.0)
    cells = cells_of(pieces, 10_000)
    edges = [(x, y) for cell in cells for x in (cell.west, cell.east) for y in (cell.south, cell.north)]
    inside = [at for at in (*edges, (180.0, 0.0), (-180.0, 0.0)) if abs(at[0]) <= 180 and near(at, pieces)]
    assert len(inside) > 50
    assert all(len(holding(cells, at)) == 1 for at in inside)


def near(at: Point, pieces: Sequence[Piece]) -> bool:
    return min(place_on(piece, vector(at))[0] for piece in pieces) < 9_900


def test_refuses_a_route_that_winds_too_much_for_its_corridor():
    centre = (2.35, 48.85)
    route = [destination(centre, n / 100, 40_000 if n % 2 else 39_000) for n in range(700)]
    pieces = pieces_of(route, 250.0)
    with pytest.raises(NotAnArea, match=r"6\d\d pieces near one place; possible: at most 600; .* narrower corridor"):
        cells_of(pieces, 50_000)
    assert cells_of(pieces, 5_000)


@pytest.mark.parametrize("corridor_m", [5e-324, 1e-310, 1e-3])
def test_takes_a_corridor_that_holds_next_to_nothing(corridor_m: float):
    route = [(2.35, 48.85), (2.36, 48.85), (2.36, 48.86)]
    assert cells_of(pieces_of(route, corridor_m / 200), corridor_m)


def test_allows_the_most_winding_route_in_a_narrow_corridor(seed: int):
    chance = random.Random(seed)
    route = [destination((2.35, 48.85), chance.uniform(0, 2 * pi), chance.uniform(0, 1_000)) for _ in range(4_500)]
    pieces = pieces_of(route, 10.0)
    assert len(pieces) > 4_000
    assert cells_of(pieces, 2_000)
