"""Routes: a polyline cut into short pieces, each with the metres driven before it.

What lies off a route is measured against the pieces, so a route is first freed of points that change nothing: a sector
of directions is narrowed from point to point, and where the next one falls outside it a piece ends. One pass, whatever
the line.

A road that is driven again is as near as it was the first time, and only rounding would tell the two apart. So its
pieces are the same again, with the metres of the first time: whichever of them is found, that is when one passes first.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from math import asin, atan2, cos, hypot, pi, radians, sqrt

from geo.areas import EARTH_RADIUS_M, NotAnArea, great_circle_m

#: Short enough that a map which is flat where a piece begins still fits where it ends.
LONGEST_PIECE_M = 20_000
#: Steps below it lead nowhere: polylines do not resolve them, and 180 degrees east and west are not quite one point.
SHORTEST_STEP_M = 1e-6
LONGEST_ROUTE_M = 5_000_000
MOST_PIECES = 5_000

Point = tuple[float, float]
#: A point of a route and the metres driven to it.
Driven = tuple[Point, float]
#: The way from one point to the next.
Step = tuple[Driven, Driven]


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight part of a route: from and to (longitude, latitude), and the metres driven to either.

    Metres are those of the first time that the route comes there: where it drives back they fall.
    """

    start: Point
    end: Point
    start_m: float
    end_m: float

    @property
    def length_m(self) -> float:
        return abs(self.end_m - self.start_m)

    def reversed(self) -> "Piece":
        return Piece(self.end, self.start, self.end_m, self.start_m)


def pieces_of(points: Sequence[Point], tolerance_m: float) -> list[Piece]:
    """Cut a route into pieces that stay within `tolerance_m` of it.

    Raises: NotAnArea for fewer than two different points, or a route that is too long or too winding to search along.
    """
    driven = list(_driven(points))
    if len(driven) < 2:
        raise NotAnArea("the route has fewer than two different points")
    if driven[-1][1] > LONGEST_ROUTE_M:
        length_km = driven[-1][1] / 1000
        raise NotAnArea(f"the route is {length_km:.0f} km long; possible: at most {LONGEST_ROUTE_M // 1000} km")
    parts = chain.from_iterable(_straightened(road, tolerance_m) for road in _roads(driven, tolerance_m))
    pieces = list(islice(parts, MOST_PIECES + 1))
    if len(pieces) > MOST_PIECES:
        raise NotAnArea(f"the route has more than {MOST_PIECES} pieces; simplify it, or ask for a wider corridor")
    return pieces


def _driven(points: Sequence[Point]) -> Iterator[Driven]:
    """Return the points that differ from the one before, with the metres driven to them."""
    total_m = 0.0
    before: Point | None = None
    for point in points:
        if before is not None:
            step_m = great_circle_m(*before, *point)
            if step_m < SHORTEST_STEP_M:
                continue
            total_m += step_m
        yield point, total_m
        before = point


# ---------------------------------------------------------------- roads that are driven again


def _roads(driven: Sequence[Driven], tolerance_m: float) -> Iterator[Sequence[Driven]]:
    """Cut a route wherever it comes to a road that it knows, turns, or leaves it: then, and when it passes there else.

    So a road that is driven again has the ends that it had before.
    """
    if len({point for point, _ in driven}) == len(driven):  # as mostly
        yield driven
        return
    steps = _as_first_driven(list(pairwise(driven)), tolerance_m)
    junctions = {steps[at][0][0] for at in _jumps(steps)}
    if steps[-1][1] != driven[-1]:
        junctions.add(driven[-1][0])
    for road in _cut(steps, [at for at, (start, _) in enumerate(steps) if at and start[0] in junctions]):
        yield [road[0][0], *(end for _, end in road)]


def _as_first_driven(steps: Sequence[Step], tolerance_m: float) -> Sequence[Step]:
    """Return each step the metres of the first time that it is taken, this way or the other.

    Steps shorter than the tolerance are not compared: a trace that trembles in one place would be cut at every step.
    """
    firsts = list(_firsts(steps))
    begin = 0
    for road in _cut(firsts, _jumps(firsts)):
        end = begin + len(road)
        if abs(road[-1][1][1] - road[0][0][1]) <= tolerance_m:
            firsts[begin:end] = steps[begin:end]
        begin = end
    return firsts


def _firsts(steps: Iterable[Step]) -> Iterator[Step]:
    known: dict[tuple[Point, Point], Step] = {}
    for start, end in steps:
        if start[0] < end[0]:
            yield known.setdefault((start[0], end[0]), (start, end))
        else:
            end, start = known.setdefault((end[0], start[0]), (end, start))
            yield start, end


def _jumps(steps: Sequence[Step]) -> list[int]:
    """Return the steps before which the metres jump, or begin to fall or to rise."""
    return [
        at
        for at, ((before, here), (there, after)) in enumerate(pairwise(steps), 1)
        if here != there or (before[1] < here[1]) != (there[1] < after[1])
    ]


def _cut(steps: Sequence[Step], cuts: Iterable[int]) -> Iterator[Sequence[Step]]:
    for begin, end in pairwise((0, *cuts, len(steps))):
        yield steps[begin:end]


def _straightened(road: Sequence[Driven], tolerance_m: float) -> Iterable[Piece]:
    """Free a road of points that change nothing: of the same ones, whichever way it is driven."""
    if road[-1][1] < road[0][1]:
        return [piece.reversed() for piece in reversed(list(_straightened(road[::-1], tolerance_m)))]
    corners = (road[index] for index in _corners([point for point, _ in road], tolerance_m))
    return (
        part
        for (start, start_m), (end, end_m) in pairwise(corners)
        for part in _short(Piece(start, end, start_m, end_m))
    )


# ---------------------------------------------------------------- fewer points, and short pieces


def _corners(points: Sequence[Point], tolerance_m: float) -> Iterator[int]:
    """Return the indices that must stay, the first and the last among them.

    A point may lie both aside of its piece and beyond its end, so each gets its share of the tolerance.
    """
    slack_m = tolerance_m / sqrt(2)
    yield 0
    anchor, low, high, farthest_m = 0, -pi, pi, 0.0
    towards = 0.0
    for index in range(1, len(points)):
        x, y = _flat(points[anchor], points[index])
        distance_m = hypot(x, y)
        turn = _turn(atan2(y, x), towards) if farthest_m > 0 else 0.0
        fits = low <= turn <= high and farthest_m - slack_m <= distance_m <= LONGEST_PIECE_M
        if index - anchor > 1 and not fits:
            yield index - 1
            anchor, low, high, farthest_m = index - 1, -pi, pi, 0.0
            x, y = _flat(points[anchor], points[index])
            distance_m, turn = hypot(x, y), 0.0
        if distance_m > slack_m:
            if farthest_m == 0:
                towards, turn = atan2(y, x), 0.0
            half = asin(slack_m / distance_m)
            low, high = max(low, turn - half), min(high, turn + half)
            farthest_m = max(farthest_m, distance_m)
    yield len(points) - 1


def _flat(origin: Point, point: Point) -> Point:
    """Return the metres east and north of an origin nearby."""
    east = _turn(radians(point[0]), radians(origin[0])) * cos(radians(origin[1]))
    return east * EARTH_RADIUS_M, radians(point[1] - origin[1]) * EARTH_RADIUS_M


def _turn(angle: float, reference: float) -> float:
    """Return the angle between two directions, -pi to pi: also how far east one longitude is of another."""
    return (angle - reference + pi) % (2 * pi) - pi


def _short(piece: Piece) -> Iterator[Piece]:
    """Cut a long piece into short ones, alike in degrees; they share its metres as the globe does."""
    count = int(piece.length_m // LONGEST_PIECE_M) + 1
    points = [_between(piece, part / count) for part in range(count + 1)]
    spans_m = [great_circle_m(*one, *other) for one, other in pairwise(points)]
    if sum(spans_m) == 0:  # round and round on one spot
        spans_m = [1.0] * count
    stretch, start_m = piece.length_m / sum(spans_m), piece.start_m
    for (start, end), span_m in zip(pairwise(points), spans_m, strict=True):
        yield Piece(start, end, start_m, start_m + span_m * stretch)
        start_m += span_m * stretch


def _between(piece: Piece, share: float) -> Point:
    (west, south), (east, north) = piece.start, piece.end
    longitude = west + _degrees_east(west, east) * share
    return ((longitude + 180) % 360 - 180, south + (north - south) * share)


def _degrees_east(west: float, east: float) -> float:
    return (east - west + 180) % 360 - 180
