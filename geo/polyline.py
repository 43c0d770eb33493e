"""Polylines in Google's encoding: deltas of degrees, times 10^precision, in base 32 with five bits per character."""

from collections.abc import Iterator, Sequence

from geo.areas import NotAnArea

PRECISIONS = range(1, 8)
FIRST_CHARACTER = 63
CONTINUES = 0x20


def decode_polyline(text: str, precision: int = 5, most_points: int = 50_000) -> list[tuple[float, float]]:
    """Return the points (longitude, latitude) of an encoded polyline.

    Raises: NotAnArea when the text is broken, holds more than `most_points`, or leaves the earth.
    """
    if precision not in PRECISIONS:
        raise NotAnArea(f"precision is {precision}; possible: {PRECISIONS[0]} to {PRECISIONS[-1]}")
    points: list[tuple[float, float]] = []
    latitude = longitude = 0
    numbers = _numbers(text)
    for delta in numbers:
        latitude += delta
        longitude += _longitude(numbers, len(points))
        if len(points) == most_points:
            raise NotAnArea(f"the polyline has more than {most_points} points; simplify it")
        points.append(_point(longitude, latitude, 10**precision, len(points)))
    return points


def encode_polyline(points: Sequence[tuple[float, float]], precision: int = 5) -> str:
    """Return the encoding of points (longitude, latitude)."""
    characters: list[str] = []
    before = (0, 0)
    for longitude, latitude in points:
        here = (round(latitude * 10**precision), round(longitude * 10**precision))
        for number, last in zip(here, before, strict=True):
            characters.append(_encoded(number - last))
        before = here
    return "".join(characters)


def _encoded(delta: int) -> str:
    rest = ~(delta << 1) if delta < 0 else delta << 1
    characters: list[str] = []
    while rest >= CONTINUES:
        characters.append(chr((CONTINUES | rest & 0x1F) + FIRST_CHARACTER))
        rest >>= 5
    return "".join((*characters, chr(rest + FIRST_CHARACTER)))


def _numbers(text: str) -> Iterator[int]:
    value = shift = 0
    for index, character in enumerate(text):
        bits = ord(character) - FIRST_CHARACTER
        if not 0 <= bits < 64 or shift > 40:
            raise NotAnArea(f"character {index} of the polyline, {character!r}, cannot stand there")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & CONTINUES:
            yield ~(value >> 1) if value & 1 else value >> 1
            value = shift = 0
    if shift:
        raise NotAnArea("the polyline breaks off in the middle of a number")


def _longitude(numbers: Iterator[int], index: int) -> int:
    for delta in numbers:
        return delta
    raise NotAnArea(f"the polyline breaks off: point {index} has no longitude")


def _point(longitude: int, latitude: int, scale: int, index: int) -> tuple[float, float]:
    point = (longitude / scale, latitude / scale)
    if not (abs(point[0]) <= 180 and abs(point[1]) <= 90):
        raise NotAnArea(
            f"point {index} of the polyline, {point[1]}, {point[0]}, is not on earth; is the precision right?"
        )
    return point
