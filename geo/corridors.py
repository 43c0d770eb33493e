"""Corridors: the surroundings of a route cut into cells, each with the parts of the route that it lies near.

A place lies in one cell, however often the route passes it, and is measured once against one line on the cell's
own flat map (stereographic: at most a ten-thousandth too long). So a route that winds costs hardly more than a
straight one. A road that is driven again stays in the line, with its metres of the first time: without it the line
would break off in the middle of a cell.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import asin, atan2, ceil, cos, degrees, floor, hypot, pi, radians, sin

from geo.areas import EARTH_RADIUS_M, NotAnArea, great_circle_m
from geo.routes import Piece

#: Cells are twice as wide as the corridor reaches, but not tiny: each takes a search of its own.
CELL_TIMES_CORRIDOR = 2
SMALLEST_CELL_M = 10_000
#: What a cell's map and box may be wrong by: parts of the route a little farther off than the corridor are kept too.
SLACK = 1.02
#: Pieces near one place, times the corridor in metres: what measuring a city's rows may cost.
MOST_PIECE_METRES = 30_000_000
#: Metres driven are rounded as they are written and as they are shared along a line.
ABOUT_M = 1.0
#: Degrees by which the last column or band may miss the earth's edge.
ROUNDING = 1e-9

#: Flat metres east and north of the centre of a cell, and metres driven.
Vertex = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """A box in degrees, half-open, and what of the route lies near it.

    `line` is WKT on the stereographic map around a centre, in metres; its M are the metres driven the first time, none
    below `low_m` or above `high_m`. Between two parts of the route it makes a detour out of everybody's reach.
    """

    west: float
    south: float
    east: float
    north: float
    longitude: float
    latitude: float
    low_m: float
    high_m: float
    line: str


def cells_of(pieces: Sequence[Piece], corridor_m: float) -> list[Cell]:
    """Return the cells that hold everything within `corridor_m` of a route.

    Raises: NotAnArea when too many pieces lie near one place for so wide a corridor.
    """
    grid = _Grid(max(corridor_m * CELL_TIMES_CORRIDOR, SMALLEST_CELL_M))
    boxes: dict[tuple[int, int], _Box] = {}
    for number, piece in enumerate(pieces):
        for at, box in grid.around(piece, corridor_m * SLACK):
            boxes.setdefault(at, _Box()).add(number, box)
    most = max(len(box.numbers) for box in boxes.values())
    possible = MOST_PIECE_METRES / corridor_m  # of a tiny corridor that is infinite
    if most > possible:
        raise NotAnArea(
            f"the route winds too much for so wide a corridor: it has {most} pieces near one place; possible: at most "
            f"{int(possible)}; simplify it, or ask for a narrower corridor"
        )
    joints = list(_joints(pieces))
    return [_cell(grid, at, box, joints, corridor_m) for at, box in boxes.items()]


# ---------------------------------------------------------------- the grid

Sides = tuple[float, float, float, float]


@dataclass(slots=True)
class _Box:
    """The pieces near a cell, and the part of it that they are near."""

    numbers: list[int] = field(default_factory=list)
    sides: Sides = (180.0, 90.0, -180.0, -90.0)

    def add(self, number: int, sides: Sides) -> None:
        self.numbers.append(number)
        west, south, east, north = self.sides
        if sides[0] < west or sides[1] < south or sides[2] > east or sides[3] > north:
            self.sides = (min(west, sides[0]), min(south, sides[1]), max(east, sides[2]), max(north, sides[3]))


class _Grid:
    """The earth in bands of latitude, each in as many columns as are about as wide as it is high."""

    def __init__(self, cell_m: float) -> None:
        self.bands = max(1, floor(pi * EARTH_RADIUS_M / cell_m))
        self.height = 180 / self.bands
        self._columns: dict[int, int] = {}

    def columns(self, band: int) -> int:
        """Return the number of columns, of which each piece asks for several bands."""
        if band not in self._columns:
            self._columns[band] = self._count(band)
        return self._columns[band]

    def _count(self, band: int) -> int:
        south = band * self.height - 90
        widest = 0.0 if south < 0 < south + self.height else min(abs(south), abs(south + self.height))
        return max(1, floor(360 * cos(radians(widest)) / self.height))

    def centre(self, band: int, column: int) -> tuple[float, float]:
        return (column + 0.5) * 360 / self.columns(band) - 180, (band + 0.5) * self.height - 90

    def around(self, piece: Piece, reach_m: float) -> Iterator[tuple[tuple[int, int], Sides]]:
        """Return the cells that come so near to a piece, with the part of each that does."""
        west, south, east, north = _surroundings(piece, reach_m)
        for band in range(max(0, floor((south + 90) / self.height)), min(self.bands, ceil((north + 90) / self.height))):
            count = self.columns(band)
            width = 360 / count
            low, high = max(south, band * self.height - 90), min(north, (band + 1) * self.height - 90)
            first, last = floor((west + 180) / width), floor((east + 180) / width)
            for column in range(first, min(last, first + count - 1) + 1):
                turn, at = divmod(column, count)
                left, right = at * width - 180, (at + 1) * width - 180
                if last - first < count:  # what goes all the way round is not worth cutting
                    left = west - turn * 360 if west - turn * 360 > left else left
                    right = east - turn * 360 if east - turn * 360 < right else right
                yield (band, at), (left, low, right, high)


def _surroundings(piece: Piece, reach_m: float) -> Sides:
    """Return the box around everything so near to a piece; its sides may lie beyond 180 degrees."""
    (west, south), (end, north) = piece.start, piece.end
    east = west + (end - west + 180) % 360 - 180
    west, east = min(west, east), max(west, east)
    south, north = min(south, north), max(south, north)
    reach, end_latitude = reach_m / EARTH_RADIUS_M, radians(max(abs(south), abs(north)))
    # Between its ends a piece comes nearer to the pole; nearest when it has half its way before and behind it.
    half = great_circle_m(*piece.start, *piece.end) / EARTH_RADIUS_M / 2
    highest = asin(min(1, sin(end_latitude) / cos(half)))
    wide = degrees(asin(sin(reach) / cos(highest))) if highest + reach < pi / 2 else 180
    high = degrees(reach + highest - end_latitude)
    return west - wide, south - high, east + wide, north + high


# ---------------------------------------------------------------- the flat map of a cell


@dataclass(frozen=True, slots=True)
class _Place:
    """A point of the route, ready to be drawn on any map."""

    longitude: float
    sine: float
    cosine: float
    driven_m: float

    @classmethod
    def of(cls, longitude: float, latitude: float, driven_m: float) -> "_Place":
        return cls(radians(longitude), sin(radians(latitude)), cos(radians(latitude)), driven_m)


#: Where a piece ends and the next one begins: one place, or the same with either's metres.
_Joint = tuple[_Place, ...]


def _joints(pieces: Sequence[Piece]) -> Iterator[_Joint]:
    yield (_Place.of(*pieces[0].start, pieces[0].start_m),)
    for before, piece in pairwise(pieces):
        begin = _Place.of(*piece.start, piece.start_m)
        jumps = abs(piece.start_m - before.end_m) > ABOUT_M
        yield (_Place.of(*before.end, before.end_m), begin) if jumps else (begin,)
    yield (_Place.of(*pieces[-1].end, pieces[-1].end_m),)


def _cell(grid: _Grid, at: tuple[int, int], box: _Box, joints: Sequence[_Joint], corridor_m: float) -> Cell:
    longitude, latitude = grid.centre(*at)
    runs = [
        list(_drawn(chain.from_iterable(joints[first : last + 2]), radians(longitude), radians(latitude)))
        for first, last in _runs(box.numbers)
    ]
    metres = [driven_m for run in runs for _, _, driven_m in run]
    far_m = 2 * (radians(grid.height) * EARTH_RADIUS_M + corridor_m)
    west, south, east, north = box.sides
    return Cell(
        west,
        south,
        east if east < 180 - ROUNDING else 181,
        north if north < 90 - ROUNDING else 91,
        longitude,
        latitude,
        min(metres) - ABOUT_M,
        max(metres) + ABOUT_M,
        _wkt(_joined(runs, far_m)),
    )


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return the first and the last of each run of consecutive numbers."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number > last + 1:
            yield first, last
            first = number
        last = number
    yield first, last


def _drawn(places: Iterable[_Place], longitude: float, latitude: float) -> Iterator[Vertex]:
    """Draw places on the stereographic map around a centre; `app.read.corridors` draws rows alike."""
    sine, cosine = sin(latitude), cos(latitude)
    for place in places:
        east = place.longitude - longitude
        towards = place.cosine * cos(east)
        scale = 2 * EARTH_RADIUS_M / (1 + sine * place.sine + cosine * towards)
        yield scale * place.cosine * sin(east), scale * (cosine * place.sine - sine * towards), place.driven_m


def _joined(runs: Sequence[Sequence[Vertex]], far_m: float) -> Iterator[Vertex]:
    """Return one line of all runs, which leaves the map after each, goes round it, and returns for the next."""
    yield from runs[0]
    for before, after in pairwise(runs):
        yield from _detour(before[-1], after[0], far_m)
        yield from after


def _detour(one: Vertex, other: Vertex, far_m: float) -> Iterator[Vertex]:
    """Straight away from the centre nothing comes nearer to the cell, nor on a wide circle in quarter turns."""
    radius_m = max(far_m, hypot(*one[:2]), hypot(*other[:2]))
    begin, end = atan2(one[1], one[0]), atan2(other[1], other[0])
    steps = ceil(abs(end - begin) / (pi / 2)) + 1
    for step in range(steps + 1):
        angle = begin + (end - begin) * step / steps
        yield radius_m * cos(angle), radius_m * sin(angle), one[2]


def _wkt(line: Iterable[Vertex]) -> str:
    return f"LINESTRING M ({','.join(f'{x:.4f} {y:.4f} {m:.3f}' for x, y, m in line)})"
