"""Routes: pieces stay beside the line that was driven and cover its whole length, whatever the line."""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from math import cos, radians, sin

import pytest
import shapely
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from geo.areas import EARTH_RADIUS_M, NotAnArea, great_circle_m
from geo.routes import LONGEST_PIECE_M, LONGEST_ROUTE_M, MOST_PIECES, Piece, Point, pieces_of
from tests.length import rounds

M_PER_DEGREE = EARTH_RADIUS_M * radians(1)


def walk(start: Point, steps: Sequence[tuple[float, float]]) -> list[Point]:
    """Return the points of a walk: each step so many metres east and north."""
    points = [start]
    for east_m, north_m in steps:
        longitude, latitude = points[-1]
        longitude += east_m / (M_PER_DEGREE * cos(radians(latitude)))
        points.append(((longitude + 180) % 360 - 180, latitude + north_m / M_PER_DEGREE))
    return points


def farthest_off_m(points: Sequence[Point], pieces: Sequence[Piece]) -> float:
    """Return how far the line strays from its pieces: each point is compared with those that are driven then.

    A piece that was cut from a longer one shares its metres evenly, so its neighbours count too.
    """
    driven_m, worst_m, at = 0.0, 0.0, 0
    starts_m = [0.0, *accumulate(piece.length_m for piece in pieces)]
    for before, point in pairwise((points[0], *points)):
        driven_m += great_circle_m(*before, *point)
        while at + 1 < len(pieces) and starts_m[at + 1] <= driven_m - 1e-6:
            at += 1
        worst_m = max(worst_m, min(off_m(point, piece) for piece in pieces[max(at - 1, 0) : at + 3]))
    return worst_m


def off_m(point: Point, piece: Piece) -> float:
    """Return the metres between a point and a piece, on a map that is flat at the point."""
    ends = [flat(point, end) for end in (piece.start, piece.end)]
    return shapely.LineString(ends).distance(shapely.Point(0, 0))


def flat(origin: Point, point: Point) -> Point:
    east = _east(origin[0], point[0]) * cos(radians(origin[1]))
    return east * M_PER_DEGREE, (point[1] - origin[1]) * M_PER_DEGREE


def _east(west: float, east: float) -> float:
    return (east - west + 180) % 360 - 180


def length_m(points: Sequence[Point]) -> float:
    return sum(great_circle_m(*one, *other) for one, other in pairwise(points))


def check(points: Sequence[Point], pieces: Sequence[Piece], tolerance_m: float) -> None:
    total_m = length_m(points)
    for end, point in ((pieces[0].start, points[0]), (pieces[-1].end, points[-1])):
        assert flat(point, end) == pytest.approx((0, 0), abs=1e-3)
    assert pieces[0].start_m == 0
    assert sum(piece.length_m for piece in pieces) == pytest.approx(total_m, abs=1e-3)
    for one, other in pairwise(pieces):
        assert great_circle_m(*one.end, *other.start) < 1e-3
    for piece in pieces:
        assert piece.length_m <= LONGEST_PIECE_M * 1.1
        assert great_circle_m(*piece.start, *piece.end) <= LONGEST_PIECE_M * 1.1
        assert abs(piece.start[0]) <= 180
        assert abs(piece.end[0]) <= 180
    assert farthest_off_m(points, pieces) <= tolerance_m * 1.01 + 0.01


STEPS = st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), min_size=1, max_size=60)
STRAIGHT_ON = st.lists(st.tuples(st.floats(0, 3000), st.floats(-15, 15)), min_size=1, max_size=60)
STARTS = st.sampled_from([(2.35, 48.85), (179.999, -16.8), (-179.999, 65.0), (0.0, 0.0), (25.0, 71.0)])


@given(STARTS, STEPS | STRAIGHT_ON, st.sampled_from([0.5, 5.0, 25.0]))
@settings(max_examples=rounds(60, full=300))
def test_cuts_a_route_into_pieces_beside_it(start: Point, steps: list[tuple[float, float]], tolerance_m: float):
    points = walk(start, steps)
    assume(length_m(points) > 1)
    check(points, pieces_of(points, tolerance_m), tolerance_m)


@pytest.mark.parametrize("tolerance_m", [1.0, 25.0])
@pytest.mark.parametrize(
    "steps",
    [
        [(1000, 0), (-24.4, -24.3)],  # past its end, and aside
        [(1000, 0), (-0.97, -0.97)],
        [(1000, 0), (-1000, 0)] * 5,
        [(1000, 0), (-999, 0.5)] * 5,
        [(24, 0), (-24, 0)] * 500,
        [(0.4, 0.3)] * 3000,
        [(100 * cos(turn / 10), 100 * sin(turn / 10)) for turn in range(630)],
        [(300, 0.9 * turn) for turn in range(200)],
        [(0, 0), (10, 0), (0, 0), (0, 0), (10, 0), (0, 0)],
    ],
)
@pytest.mark.parametrize("start", [(2.35, 48.85), (180.0, 10.0), (179.9999, 60.0), (-180.0, -60.0)])
def test_stays_beside_lines_that_turn_back_and_tremble(
    start: Point, steps: list[tuple[float, float]], tolerance_m: float
):
    points = walk(start, steps)
    check(points, pieces_of(points, tolerance_m), tolerance_m)


@pytest.mark.parametrize(("start", "end"), [((-20.0, 70.0), (0.0, 35.0)), ((-5.0, 38.0), (20.0, 72.0))])
def test_stays_beside_a_long_line_that_is_straight_in_degrees(start: Point, end: Point):
    """East and west are longer near the equator: what is straight where it begins need not be where it ends."""
    share = [n / 3000 for n in range(3001)]
    points = [
        (start[0] + (end[0] - start[0]) * s + (1e-4 if n % 2 else 0), start[1] + (end[1] - start[1]) * s)
        for n, s in enumerate(share)
    ]
    check(points, pieces_of(points, 5.0), 5.0)


def test_frees_a_straight_route_of_points_that_change_nothing():
    points = walk((2.35, 48.85), [(10, 0.0)] * 1000)
    assert len(pieces_of(points, 10.0)) == 1


def test_keeps_the_order_of_a_route_that_comes_back_and_the_metres_of_its_way_there():
    start, end = walk((2.35, 48.85), [(5000, 0)])
    there, back, there_again = pieces_of([start, end, start, end], 10.0)
    assert (there.end, back.start) == (end, end)
    assert (there.start_m, there.end_m) == (0, pytest.approx(5000, rel=1e-6))
    assert (back, there_again) == (there.reversed(), there)


def test_gives_a_road_the_same_pieces_whenever_it_is_driven():
    """From A by a bend to B, beyond, back by the bend from B on, and into a road that leaves it on the way."""
    bend = walk((2.35, 48.85), [(100, 5 * turn) for turn in range(20)])
    beyond, aside = walk(bend[-1], [(500, 500)]), walk(bend[7], [(-300, 500)])
    pieces = pieces_of([*bend, *beyond[1:], *bend[:6:-1], *aside[1:]], 10.0)
    turned = next(at for at, piece in enumerate(pieces) if piece.end_m < piece.start_m)
    back = [piece for piece in pieces if piece.end_m < piece.start_m]
    assert len(back) > 3
    assert pieces[turned - len(back) : turned] == [piece.reversed() for piece in reversed(back)]
    assert pieces[-1].start == bend[7]
    assert pieces[-1].end_m == pytest.approx(length_m([*bend, *beyond[1:], *bend[:6:-1], *aside[1:]]))


@pytest.mark.parametrize("tremble_m", [0.1, 2.0])
def test_does_not_cut_a_route_that_trembles_at_every_step(tremble_m: float):
    spot = walk((2.35, 48.85), [(1000, 0)])[-1]
    around = walk(spot, [(tremble_m, 0), (0, tremble_m), (-tremble_m, 0)])
    trembling = [around[n * (n + 1) // 2 % 4] for n in range(1000)]
    for points in (trembling, [(2.35, 48.85), *trembling, *walk(spot, [(1000, 0)])]):
        assert len(pieces_of(points, 10.0)) < 10


@given(STARTS, STEPS, st.data())
@example((179.999, -16.8), [(100.0, 0.0), (100.0, 50.0)], None)
def test_takes_points_that_are_sent_twice_for_one(start: Point, steps: list[tuple[float, float]], data):
    points = walk(start, steps)
    assume(length_m(points) > 1)
    again = [point for point in points for _ in range(2 if data is None else data.draw(st.integers(1, 3)))]
    assert pieces_of(again, 5.0) == pieces_of(points, 5.0)


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0)] * 5, [(180.0, 5.0), (-180.0, 5.0)]])
def test_refuses_a_route_that_goes_nowhere(points: list[Point]):
    with pytest.raises(NotAnArea, match="two different points"):
        pieces_of(points, 10.0)


def test_refuses_a_route_that_is_too_long():
    with pytest.raises(NotAnArea, match=f"at most {LONGEST_ROUTE_M // 1000} km"):
        pieces_of([(0.0, 0.0), (50.0, 0.0)], 25.0)


def test_refuses_a_route_that_winds_too_much():
    points = walk((2.35, 48.85), [(30, 30 if n % 2 else -30) for n in range(MOST_PIECES + 1)])
    with pytest.raises(NotAnArea, match="a wider corridor"):
        pieces_of(points, 0.1)


ADVERSARIAL = {
    "straight on": [(90.0, 0.0)] * 49_999,
    "trembling within the tolerance": [(90.0, 20.0 if n % 2 else -20.0) for n in range(49_999)],
    "back and forth": [(90.0 if n % 2 else -90.0, 0.0) for n in range(49_999)],
    "on one spot": [(0.1 if n % 2 else -0.1, 0.0) for n in range(49_999)],
    "a slow curve": [(90 * cos(n / 1e4), 90 * sin(n / 1e4)) for n in range(49_999)],
    "a spiral": [(cos(n / 10) * n / 1000, sin(n / 10) * n / 1000) for n in range(49_999)],
    "stepping out": [(0.5, 0.0)] * 49_999,
    "zigzag": [(40.0, 80.0 if n % 2 else -80.0) for n in range(49_999)],
}


@pytest.mark.parametrize("steps", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_takes_time_by_the_number_of_points_whatever_the_line(steps: list[tuple[float, float]]):
    points = walk((2.35, 48.85), steps)
    began = time.process_time()
    with suppress(NotAnArea):
        pieces_of(points, 25.0)
    assert time.process_time() - began < 2
