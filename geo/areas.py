"""Areas on the earth as values. Degrees are WGS 84, longitude before latitude inside; metres are on the sphere."""

from dataclasses import dataclass
from math import asin, cos, inf, isfinite, radians, sin, sqrt

#: Mean radius of WGS 84, (2a + b) / 3: the sphere on which PostGIS measures with `use_spheroid` false.
EARTH_RADIUS_M = 6_371_008.771415059

#: A little more than half the way round.
MAXIMUM_RADIUS_M = 20_100_000

MOST_CORNERS = 1_000


class NotAnArea(ValueError):
    """The numbers do not describe a part of the earth."""


@dataclass(frozen=True, slots=True)
class Near:
    """Everything within `radius_m` of a centre."""

    longitude: float
    latitude: float
    radius_m: float

    def __post_init__(self) -> None:
        _check_degrees("longitude", self.longitude, 180)
        _check_degrees("latitude", self.latitude, 90)
        if not 0 < self.radius_m <= MAXIMUM_RADIUS_M:
            raise NotAnArea(f"radiusM is {self.radius_m}; possible: above 0, at most {MAXIMUM_RADIUS_M} metres")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A box in degrees, half-open: west and south inside, east and north outside, so that boxes tile the earth.

    Only the earth's own edges, which have nothing behind them, are inside. West above east crosses the antimeridian.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        for name, longitude in (("minimumLongitude", self.west), ("maximumLongitude", self.east)):
            _check_degrees(name, longitude, 180)
        for name, latitude in (("minimumLatitude", self.south), ("maximumLatitude", self.north)):
            _check_degrees(name, latitude, 90)
        if self.south >= self.north:
            raise NotAnArea(f"minimumLatitude {self.south} is not south of maximumLatitude {self.north}")
        if self.west == self.east:
            raise NotAnArea(f"minimumLongitude and maximumLongitude are both {self.west}: the box is empty")

    @property
    def crosses_antimeridian(self) -> bool:
        return self.west > self.east

    @property
    def north_end(self) -> float:
        """The first latitude outside."""
        return inf if self.north == 90 else self.north

    @property
    def east_end(self) -> float:
        """The first longitude outside."""
        return inf if self.east == 180 and not self.crosses_antimeridian else self.east


@dataclass(frozen=True, slots=True)
class Polygon:
    """What lies inside a ring of corners (longitude, latitude), edges straight on a map in degrees, border included.

    Of a ring that crosses itself all is inside that it goes round, and a place that it goes round as often one way as
    the other is outside. (Even-odd would need the ring cut at its crossings: seconds for a few hundred corners.) One
    that crosses the antimeridian goes the short way; one that goes round a pole is no area on such a map.
    """

    corners: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        for index, (longitude, latitude) in enumerate(self.corners):
            _check_degrees(f"[{index}].longitude", longitude, 180)
            _check_degrees(f"[{index}].latitude", latitude, 90)
        if len(self.corners) > MOST_CORNERS:
            raise NotAnArea(f"there are {len(self.corners)} corners; possible: at most {MOST_CORNERS}")
        if len(set(self.corners)) < 3:
            raise NotAnArea("there are fewer than three different corners")
        ring = self.unwrapped()
        if ring[0] != ring[-1]:
            raise NotAnArea("the ring goes round a pole; cut it at the antimeridian and ask for the parts")

    def unwrapped(self) -> list[tuple[float, float]]:
        """Return the closed ring with longitudes that go on beyond 180 degrees instead of jumping."""
        turn, before = 0, self.corners[0][0]
        ring = [self.corners[0]]
        for longitude, latitude in (*self.corners[1:], self.corners[0]):
            if abs(longitude - before) > 180:
                turn += 360 if longitude < before else -360
            ring.append((longitude + turn, latitude))
            before = longitude
        return ring

    def wkt(self) -> str:
        """Return a MULTIPOLYGON, with a copy 360 degrees away where it crosses the antimeridian."""
        ring = self.unwrapped()
        west, east = min(x for x, _ in ring), max(x for x, _ in ring)
        turns = [0, *([-360] if east >= 180 else []), *([360] if west <= -180 else [])]
        rings = [", ".join(f"{x + turn!r} {y!r}" for x, y in ring) for turn in turns]
        return f"MULTIPOLYGON({', '.join(f'(({ring}))' for ring in rings)})"


def great_circle_m(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Return the metres between two points on the sphere (haversine)."""
    phi, other_phi = radians(latitude), radians(other_latitude)
    half_dphi, half_dlambda = (other_phi - phi) / 2, radians(other_longitude - longitude) / 2
    h = sin(half_dphi) ** 2 + cos(phi) * cos(other_phi) * sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


def _check_degrees(name: str, value: float, limit: int) -> None:
    if not (isfinite(value) and -limit <= value <= limit):
        raise NotAnArea(f"{name} is {value}; possible: -{limit} to {limit} degrees")
