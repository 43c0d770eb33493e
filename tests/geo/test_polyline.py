"""Encoded polylines: Google's published example, the way back, and broken texts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geo.areas import NotAnArea
from geo.polyline import decode_polyline, encode_polyline

#: The example of Google's description of the format.
PUBLISHED = "_p~iF~ps|U_ulLnnqC_mqNvxq`@"
PUBLISHED_POINTS = [(-120.2, 38.5), (-120.95, 40.7), (-126.453, 43.252)]

POINTS = st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), max_size=30)
PRECISION = st.sampled_from([1, 5, 6, 7])
CHARACTERS = st.characters(min_codepoint=63, max_codepoint=126)


def test_reads_the_published_example():
    assert decode_polyline(PUBLISHED) == PUBLISHED_POINTS


def test_writes_the_published_example():
    assert encode_polyline(PUBLISHED_POINTS) == PUBLISHED


def test_reads_six_decimals():
    assert decode_polyline(encode_polyline([(9.991543, 48.398012)], 6), 6) == [(9.991543, 48.398012)]


@given(POINTS, PRECISION)
@example([(180.0, 90.0), (-180.0, -90.0), (0.0, 0.0)], 7)
def test_gives_points_back_to_half_a_unit(points: list[tuple[float, float]], precision: int):
    back = decode_polyline(encode_polyline(points, precision), precision)
    assert len(back) == len(points)
    for given_point, point in zip(points, back, strict=True):
        assert point == pytest.approx(given_point, abs=0.5000001 / 10**precision)


@given(POINTS, PRECISION)
def test_writes_what_it_read_as_it_was(points: list[tuple[float, float]], precision: int):
    text = encode_polyline(points, precision)
    assert encode_polyline(decode_polyline(text, precision), precision) == text


@given(st.text() | st.text(CHARACTERS), st.integers())
@example("\ud800", 5)
@example("\x00", 5)
@example("~" * 1000, 5)
@example("_" * 9 + "?", 5)
@example("??" * 10, 0)
@example("?" * 21, 5)
def test_reads_points_on_earth_or_says_that_it_is_no_area(text: str, precision: int):
    try:
        points = decode_polyline(text, precision)
    except NotAnArea:
        return
    assert all(abs(longitude) <= 180 and abs(latitude) <= 90 for longitude, latitude in points)


@given(POINTS.filter(bool), st.data())
def test_notices_where_a_text_breaks_off(points: list[tuple[float, float]], data: st.DataObject):
    text = encode_polyline(points)
    begun = data.draw(st.integers(0, len(points) - 1))
    whole, more = encode_polyline(points[:begun]), encode_polyline(points[: begun + 1])
    cut = text[: data.draw(st.integers(len(whole) + 1, len(more) - 1))]
    with pytest.raises(NotAnArea, match="breaks off"):
        decode_polyline(cut)


@pytest.mark.parametrize(
    ("text", "precision", "words"),
    [
        ("_p~iF", 5, "point 0 has no longitude"),
        ("_p~iF~ps|", 5, "in the middle of a number"),
        ("_p~iF~ps|U ", 5, "character 10 of the polyline, ' '"),
        ("~~~~~~~~~~", 5, "character 9"),
        (encode_polyline([(9.991543, 48.398012)], 6), 5, "is the precision right"),
        (PUBLISHED, 0, "precision is 0; possible: 1 to 7"),
        (PUBLISHED, 8, "precision is 8"),
    ],
)
def test_says_what_is_wrong(text: str, precision: int, words: str):
    with pytest.raises(NotAnArea) as refusal:
        decode_polyline(text, precision)
    assert words in str(refusal.value)


def test_takes_so_many_points_and_no_more():
    assert len(decode_polyline("??" * 10, most_points=10)) == 10
    with pytest.raises(NotAnArea, match="more than 10 points"):
        decode_polyline("??" * 11, most_points=10)
