"""Areas: what is one and what is not, and where their edges lie."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import EARTH_RADIUS_M, Bounds, Near, NotAnArea, great_circle_m

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
