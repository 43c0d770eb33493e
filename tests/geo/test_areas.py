"""Areas: what is one and what is not, and where their edges lie."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import EARTH_RADIUS_M, MOST_CORNERS, Bounds, Near, NotAnArea, Polygon, great_circle_m

LONGITUDE = st.floats(-180, 180)
LATITUDE = st.floats(-90, 90)


@pytest.mark.parametrize("radius_m", [0, -1, 20_100_001, float("nan"), inf])
def test_refuses_a_radius_that_is_none(radius_m: float):
    with pytest.raises(NotAnArea, match="radiusM"):
        Near(0, 0, radius_m)


@pytest.mark.parametrize(("longitude", "latitude"), [(181, 0), (-180.5, 0), (0, 90.1), (0, float("nan")), (inf, 0)])
def test_refuses_degrees_that_are_not_on_earth(longitude: float, latitude: float):
    with pytest.raises(NotAnArea, match="possible"):
        Near(longitude, latitude, 1)


@pytest.mark.parametrize("box", [(0, 0, 0, 1), (0, 1, 1, 1), (0, 2, 1, 1)])
def test_refuses_empty_boxes(box: tuple[float, float, float, float]):
    with pytest.raises(NotAnArea):
        Bounds(*box)


def test_has_nothing_outside_of_the_whole_earth():
    earth = Bounds(-180, -90, 180, 90)
    assert (earth.east_end, earth.north_end, earth.crosses_antimeridian) == (inf, inf, False)


def test_ends_at_its_eastern_edge_when_it_crosses_the_antimeridian():
    box = Bounds(170, -10, -170, 10)
    assert box.crosses_antimeridian
    assert (box.east_end, box.north_end) == (-170, 10)


@given(LONGITUDE, LATITUDE, LONGITUDE, LATITUDE)
def test_measures_the_same_both_ways_and_never_more_than_half_round(a: float, b: float, c: float, d: float):
    there, back = great_circle_m(a, b, c, d), great_circle_m(c, d, a, b)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 <= there <= EARTH_RADIUS_M * 3.1415927


def test_measures_a_degree_of_latitude():
    assert great_circle_m(10, 50, 10, 51) == pytest.approx(111_195.08, abs=0.1)


# ---------------------------------------------------------------- polygons

CORNERS = st.lists(st.tuples(st.floats(-60, 60), LATITUDE), min_size=3, max_size=12, unique=True)


def rings_of(polygon: Polygon) -> list[list[tuple[float, float]]]:
    """Return the rings of its text."""
    texts = polygon.wkt().removeprefix("MULTIPOLYGON(((").removesuffix(")))").split(")), ((")
    return [[(float(x), float(y)) for x, y in (point.split() for point in text.split(", "))] for text in texts]


@given(CORNERS)
def test_keeps_its_corners_as_they_are(corners: list[tuple[float, float]]):
    """To the last bit: what stands on a border must not fall outside by rounding."""
    assert rings_of(Polygon(tuple(corners)))[0] == [*corners, corners[0]]


@given(CORNERS, LONGITUDE)
def test_crosses_the_antimeridian_like_any_other_meridian(corners: list[tuple[float, float]], by: float):
    moved = tuple(((x + by + 180) % 360 - 180, y) for x, y in corners)
    for ring in rings_of(Polygon(moved)):
        steps = [x - ring[0][0] for x, _ in ring]
        assert steps == pytest.approx([x - corners[0][0] for x, _ in (*corners, corners[0])], abs=1e-9)


def test_lies_on_both_sides_of_the_antimeridian():
    rings = rings_of(Polygon(((170, 0), (-170, 0), (-170, 10), (170, 10))))
    assert rings == [
        [(170, 0), (190, 0), (190, 10), (170, 10), (170, 0)],
        [(-190, 0), (-170, 0), (-170, 10), (-190, 10), (-190, 0)],
    ]


def test_has_its_border_on_both_sides_where_it_ends_at_the_antimeridian():
    assert [{x for x, _ in ring} for ring in rings_of(Polygon(((170, 0), (180, 0), (180, 10))))] == [
        {170, 180},
        {-190, -180},
    ]
    assert {x for x, _ in rings_of(Polygon(((-170, 0), (-180, 0), (-180, 10))))[1]} == {180, 190}


def test_may_have_edges_half_round_the_earth():
    assert rings_of(Polygon(((-90, 0), (90, 0), (90, 10), (-90, 10)))) == [
        [(-90, 0), (90, 0), (90, 10), (-90, 10), (-90, 0)]
    ]


def test_may_touch_a_pole():
    assert len(rings_of(Polygon(((0, 80), (90, 90), (90, 80))))) == 1


@pytest.mark.parametrize("latitude", [80, -60, 0])
def test_refuses_a_ring_round_a_pole(latitude: float):
    with pytest.raises(NotAnArea, match="goes round a pole"):
        Polygon(tuple((longitude, latitude) for longitude in (-120, 0, 120)))


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ((), "fewer than three"),
        (((0, 0), (1, 1)), "fewer than three"),
        (((0, 0), (1, 1), (0, 0), (1, 1)), "fewer than three"),
        (((0, 0), (1, 1), (0, 91)), r"\[2\].latitude is 91"),
        (((0, 0), (float("nan"), 1), (0, 1)), r"\[1\].longitude is nan"),
        (tuple((n / 100, n % 7) for n in range(MOST_CORNERS + 1)), "there are 1001 corners; possible: at most 1000"),
    ],
)
def test_refuses_corners_that_make_no_polygon(corners: tuple[tuple[float, float], ...], words: str):
    with pytest.raises(NotAnArea, match=words):
        Polygon(corners)
