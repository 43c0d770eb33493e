"""Regions: a place is held against few of the edges of a polygon, and never against the wrong ones."""

from itertools import pairwise
from math import cos, pi, sin

from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import MOST_CORNERS, NotAnArea, Polygon
from geo.regions import Ring, _go_round

#: Few values, so that places lie on corners and edges, and edges lie level.
DEGREES = st.integers(-8, 8).map(lambda each: each / 4) | st.floats(-2, 2)
CORNERS = st.lists(st.tuples(DEGREES, DEGREES), min_size=3, max_size=40)


@given(CORNERS, DEGREES, DEGREES)
def test_looks_at_every_edge_that_matters(corners: list[tuple[float, float]], longitude: float, latitude: float):
    try:
        polygon = Polygon(tuple(corners))
    except NotAnArea:
        assume(False)
        return
    edges = [(x1, y1, x2, y2) for (x1, y1), (x2, y2) in pairwise(polygon.unwrapped())]
    assert Ring.of(polygon).contains(longitude, latitude) == _go_round(edges, longitude, latitude)


def circle(count: int) -> Polygon:
    return Polygon(tuple((cos(2 * pi * each / count), sin(2 * pi * each / count)) for each in range(count)))


def zigzag(count: int) -> Polygon:
    return Polygon(tuple((each / count, each % 2 - 0.5) for each in range(count)))


def test_holds_a_place_against_few_edges_of_an_ordinary_polygon():
    ring = Ring.of(circle(MOST_CORNERS))
    assert ring.work < MOST_CORNERS / 10


def test_says_how_many_edges_of_another_one_it_is():
    ring = Ring.of(zigzag(MOST_CORNERS))
    assert ring.work == MOST_CORNERS
    assert sum(map(len, ring.bands)) <= 5 * MOST_CORNERS
