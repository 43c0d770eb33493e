"""Areas that places are held against one by one, in memory, as the database would: same sphere, same borders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import asin, atan2, cos, degrees, radians, sin, sqrt
from typing import Protocol

from geo.areas import EARTH_RADIUS_M, Bounds, Near, Polygon, great_circle_m
from geo.cells import Box, cell_of, cover
from geo.routes import Piece, Point

#: An arc bulges beyond the box of its ends, by less than this share of its length in the pieces of a route.
BULGE = 0.02
SLACK_DEGREES = 1e-9
#: The pieces of a route are looked up by more cells than a subscriber is: each takes as long as three edges.
MOST_CELLS = 200
PIECE_WORK = 3
#: The edges of a ring are looked up by bands of latitude.
MOST_BANDS = 64
Vector = tuple[float, float, float]
Edge = tuple[float, float, float, float]


class Region(Protocol):
    """A part of the earth.

    `boxes`: what it lies in. `work`: how many edges a place is held against, at most, or what takes as long.
    """

    @property
    def boxes(self) -> Sequence[Box]: ...
    @property
    def work(self) -> int: ...

    def contains(self, longitude: float, latitude: float) -> bool:
        """Return whether a place lies inside."""
        ...


@dataclass(frozen=True, slots=True)
class Circle:
    """What lies near a point."""

    near: Near

    work = 1

    @property
    def boxes(self) -> Sequence[Box]:
        near = self.near
        return _around((near.longitude, near.latitude), (near.longitude, near.latitude), near.radius_m)

    def contains(self, longitude: float, latitude: float) -> bool:
        near = self.near
        return great_circle_m(near.longitude, near.latitude, longitude, latitude) <= near.radius_m


@dataclass(frozen=True, slots=True)
class Rectangle:
    """What lies in a box of degrees, half-open."""

    bounds: Bounds

    work = 1

    @property
    def boxes(self) -> Sequence[Box]:
        return _split(self.bounds.west, self.bounds.south, self.bounds.east, self.bounds.north)

    def contains(self, longitude: float, latitude: float) -> bool:
        bounds = self.bounds
        if not bounds.south <= latitude < bounds.north_end:
            return False
        if bounds.crosses_antimeridian:
            return longitude >= bounds.west or longitude < bounds.east
        return bounds.west <= longitude < bounds.east_end


@dataclass(frozen=True, slots=True)
class Ring:
    """What a polygon goes round, its border included.

    `bands`: its edges, longitudes going on beyond 180 degrees, in each band of latitude from south to north.
    """

    bands: tuple[tuple[Edge, ...], ...] = field(repr=False)
    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, polygon: Polygon) -> "Ring":
        ring = polygon.unwrapped()
        longitudes, latitudes = zip(*ring, strict=True)
        south, north = min(latitudes), max(latitudes)
        bands: list[list[Edge]] = [[] for _ in range(_bands(ring, north - south))]
        for (x1, y1), (x2, y2) in pairwise(ring):
            first, last = (_band(len(bands), south, north, y) for y in (min(y1, y2), max(y1, y2)))
            for band in bands[first : last + 1]:
                band.append((x1, y1, x2, y2))
        return cls(tuple(map(tuple, bands)), min(longitudes), south, max(longitudes), north)

    @property
    def work(self) -> int:
        return max(map(len, self.bands))

    @property
    def boxes(self) -> Sequence[Box]:
        if self.east - self.west >= 360:
            return ((-180, self.south, 180, self.north),)
        return _split(_wrapped(self.west), self.south, _wrapped(self.east), self.north)

    def contains(self, longitude: float, latitude: float) -> bool:
        if not self.south <= latitude <= self.north:
            return False
        edges = self.bands[_band(len(self.bands), self.south, self.north, latitude)]
        turns = (longitude, longitude - 360, longitude + 360)
        return any(self.west <= x <= self.east and _go_round(edges, x, latitude) for x in turns)


def _bands(ring: Sequence[Point], height: float) -> int:
    """Return how many bands a ring is cut into: fewer where its edges would lie in many of them."""
    climbed = sum(abs(y2 - y1) for (_, y1), (_, y2) in pairwise(ring))
    return 1 if climbed == 0 else min(MOST_BANDS, 1 + int(3 * height * len(ring) / climbed))


def _band(count: int, south: float, north: float, latitude: float) -> int:
    """Return the band of a latitude. It never falls as the latitude rises, however that is rounded."""
    return 0 if north == south else min(int((latitude - south) / (north - south) * count), count - 1)


def _go_round(edges: Sequence[Edge], x: float, y: float) -> bool:
    """Return whether the edges of a ring go round a point (non-zero winding) or pass through it.

    Those that lie wholly north or south of it make no difference.
    """
    count = 0
    for x1, y1, x2, y2 in edges:
        side = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
        if side == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if y1 <= y < y2 and side > 0:
            count += 1
        elif y2 <= y < y1 and side < 0:
            count -= 1
    return count != 0


@dataclass(frozen=True, slots=True)
class Corridor:
    """What lies within `corridor_m` of a route. `near`: the pieces that may be the nearest, by cell."""

    corridor_m: float
    boxes: Sequence[Box]
    level: int
    near: dict[int, tuple[Piece, ...]] = field(repr=False)

    @property
    def work(self) -> int:
        return PIECE_WORK * max(map(len, self.near.values()))

    @classmethod
    def of(cls, pieces: Sequence[Piece], corridor_m: float) -> "Corridor":
        boxes = [_around(each.start, each.end, corridor_m + each.length_m * BULGE) for each in pieces]
        level, cells = cover([box for some in boxes for box in some], MOST_CELLS)
        near: dict[int, list[Piece]] = {cell: [] for cell in cells}
        for piece, some in zip(pieces, boxes, strict=True):
            for cell in _cells_at(level, some):
                near[cell].append(piece)
        fixed = {cell: tuple(each) for cell, each in near.items()}
        return cls(corridor_m, tuple(box for some in boxes for box in some), level, fixed)

    def contains(self, longitude: float, latitude: float) -> bool:
        pieces = self.near.get(cell_of(self.level, longitude, latitude), ())
        return any(distance_m(piece, longitude, latitude) <= self.corridor_m for piece in pieces)


def _cells_at(level: int, boxes: Sequence[Box]) -> set[int]:
    """Return the cells of a level that meet the boxes, which are no larger than a few of them."""
    cells: set[int] = set()
    for west, south, east, north in boxes:
        size = 360 / (1 << level)
        columns, rows = int((east - west) / size) + 2, int((north - south) / size) + 2
        for column in range(columns):
            for row in range(rows):
                cells.add(cell_of(level, min(west + column * size, east), min(south + row * size, north)))
    return cells


def distance_m(piece: Piece, longitude: float, latitude: float) -> float:
    """Return the metres from a place to a piece of a route, both on the sphere."""
    place, start, end = _vector(longitude, latitude), _vector(*piece.start), _vector(*piece.end)
    normal = _cross(start, end)
    length = sqrt(_dot(normal, normal))
    if length > 0 and _dot(_cross(normal, start), place) >= 0 and _dot(_cross(normal, end), place) <= 0:
        return asin(min(1.0, abs(_dot(normal, place)) / length)) * EARTH_RADIUS_M
    return min(
        great_circle_m(*piece.start, longitude, latitude),
        great_circle_m(*piece.end, longitude, latitude),
    )


def _vector(longitude: float, latitude: float) -> Vector:
    across = cos(radians(latitude))
    return across * cos(radians(longitude)), across * sin(radians(longitude)), sin(radians(latitude))


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


# ---------------------------------------------------------------- boxes


def _around(start: Point, end: Point, radius_m: float) -> Sequence[Box]:
    """Return the boxes that hold all within a radius of a short line."""
    angle = radius_m / EARTH_RADIUS_M
    south = min(start[1], end[1]) - degrees(angle) - SLACK_DEGREES
    north = max(start[1], end[1]) + degrees(angle) + SLACK_DEGREES
    if south <= -90 or north >= 90:
        return ((-180, max(south, -90), 180, min(north, 90)),)
    farthest = radians(max(abs(start[1]), abs(end[1])))
    aside = degrees(atan2(sin(angle), sqrt(max(0.0, cos(farthest) ** 2 - sin(angle) ** 2)))) + SLACK_DEGREES
    from_, to = (start[0], end[0]) if (end[0] - start[0] + 180) % 360 >= 180 else (end[0], start[0])
    if (to - from_) % 360 + 2 * aside >= 360:
        return ((-180, south, 180, north),)
    return _split(_wrapped(from_ - aside), south, _wrapped(to + aside), north)


def _wrapped(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else (longitude + 180) % 360 - 180


def _split(west: float, south: float, east: float, north: float) -> Sequence[Box]:
    """Cut what crosses the antimeridian in two, and take both ways of writing it for what touches it."""
    if west > east:
        return (west, south, 180, north), (-180, south, east, north)
    box = (west, south, east, north)
    if west == -180 and east < 180:
        return box, (180, south, 180, north)
    if east == 180 and west > -180:
        return box, (-180, south, -180, north)
    return (box,)
