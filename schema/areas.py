"""From an area as it was asked for to its kind and its bind parameters."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.errors import HubError
from app.read.areas import AreaKind
from app.read.corridors import CELL_COLUMNS
from geo.areas import Bounds, Near, NotAnArea, Polygon
from geo.corridors import cells_of
from geo.polyline import decode_polyline
from geo.regions import Circle, Corridor, Rectangle, Region, Ring
from geo.routes import Piece, pieces_of

Asked = tuple[AreaKind, Mapping[str, Any]]

MAXIMUM_CORRIDOR_M = 50_000
LONG_POLYLINE = 1_000
#: A search goes on so far beyond a route's end, that its last metre, however rounded, is searched too.
BEYOND_M = 1.0

T = TypeVar("T")


class BadArea(HubError):
    """An area is not possible: its shape, its size or its encoding."""

    code = "BAD_AREA"


def area_of(within: Mapping[str, Any] | None) -> Asked:
    """Read an area, to search it. Raises: BadArea, naming the part that is wrong."""
    return _read(within, AREAS) or (AreaKind.EVERYWHERE, {})


def region_of(within: Mapping[str, Any] | None) -> Region | None:
    """Read an area, to hold places against it; None: everywhere. Raises: BadArea, naming the part that is wrong."""
    return _read(within, REGIONS)


def _read(within: Mapping[str, Any] | None, readers: Mapping[str, Callable[[Any], T]]) -> T | None:
    for name, read in readers.items():
        if within and name in within:
            try:
                return read(within[name])
            except NotAnArea as error:
                raise BadArea(f"within.{name}: {error}") from None
    return None


def takes_long(within: Mapping[str, Any] | None) -> bool:
    """Return whether reading an area would block the event loop: 1,000 characters of a polyline take milliseconds."""
    route = within.get("route") if within else None
    return route is not None and len(route["polyline"]) > LONG_POLYLINE


def _near(given: Mapping[str, float]) -> Near:
    return Near(float(given["longitude"]), float(given["latitude"]), float(given["radiusM"]))


def _asked_near(given: Mapping[str, float]) -> Asked:
    near = _near(given)
    return AreaKind.NEAR, {"longitude": near.longitude, "latitude": near.latitude, "radius_m": near.radius_m}


def _bounds(given: Mapping[str, float]) -> Bounds:
    corners = ("minimumLongitude", "minimumLatitude", "maximumLongitude", "maximumLatitude")
    return Bounds(*(float(given[corner]) for corner in corners))


def _asked_bounds(given: Mapping[str, float]) -> Asked:
    box = _bounds(given)
    kind = AreaKind.BOUNDS_ACROSS if box.crosses_antimeridian else AreaKind.BOUNDS
    return kind, {"west": box.west, "south": box.south, "east": box.east_end, "north": box.north_end}


def _polygon(given: list[Mapping[str, float]]) -> Polygon:
    return Polygon(tuple((float(corner["longitude"]), float(corner["latitude"])) for corner in given))


def _asked_polygon(given: list[Mapping[str, float]]) -> Asked:
    return AreaKind.POLYGON, {"polygon": _polygon(given).wkt()}


def _route(given: Mapping[str, Any]) -> tuple[list[Piece], float]:
    corridor_m = float(given["corridorM"])
    if not 0 < corridor_m <= MAXIMUM_CORRIDOR_M:
        raise NotAnArea(f"corridorM is {corridor_m}; possible: above 0, at most {MAXIMUM_CORRIDOR_M} metres")
    # What is shown as a distance may be wrong by the tolerance, a two-hundredth of the corridor: a wide corridor is
    # not measured against every bend.
    return pieces_of(decode_polyline(given["polyline"], given["precision"]), corridor_m / 200), corridor_m


def _asked_route(given: Mapping[str, Any]) -> Asked:
    pieces, corridor_m = _route(given)
    cells = cells_of(pieces, corridor_m)
    columns = {f"cell_{name}": [getattr(cell, name) for cell in cells] for name in CELL_COLUMNS}
    end_m = max(piece.end_m for piece in pieces)
    return AreaKind.ROUTE, {**columns, "corridor_m": corridor_m, "end_m": end_m + BEYOND_M}


AREAS: Mapping[str, Callable[[Any], Asked]] = {
    "near": _asked_near,
    "bounds": _asked_bounds,
    "polygon": _asked_polygon,
    "route": _asked_route,
}

REGIONS: Mapping[str, Callable[[Any], Region]] = {
    "near": lambda given: Circle(_near(given)),
    "bounds": lambda given: Rectangle(_bounds(given)),
    "polygon": lambda given: Ring.of(_polygon(given)),
    "route": lambda given: Corridor.of(*_route(given)),
}
