"""From an area as it was asked for to its kind and its bind parameters."""

from collections.abc import Callable, Mapping
from typing import Any

from app.errors import HubError
from app.read.areas import AreaKind
from app.read.corridors import CELL_COLUMNS
from geo.areas import Bounds, Near, NotAnArea, Polygon
from geo.corridors import cells_of
from geo.polyline import decode_polyline
from geo.routes import pieces_of

Asked = tuple[AreaKind, Mapping[str, Any]]

MAXIMUM_CORRIDOR_M = 50_000
LONG_POLYLINE = 1_000
#: A search goes on so far beyond a route's end, that its last metre, however rounded, is searched too.
BEYOND_M = 1.0


class BadArea(HubError):
    """An area cannot be understood."""

    code = "BAD_AREA"


def area_of(within: Mapping[str, Any] | None) -> Asked:
    """Read an area. Raises: BadArea, naming the part that is wrong."""
    for name, read in AREAS.items():
        if within and name in within:
            try:
                return read(within[name])
            except NotAnArea as error:
                raise BadArea(f"within.{name}: {error}") from None
    return AreaKind.EVERYWHERE, {}


def takes_long(within: Mapping[str, Any] | None) -> bool:
    """Say whether reading an area would keep others waiting: 1,000 characters of a polyline take a few milliseconds."""
    route = within.get("route") if within else None
    return route is not None and len(route["polyline"]) > LONG_POLYLINE


def _near(given: Mapping[str, float]) -> Asked:
    near = Near(float(given["longitude"]), float(given["latitude"]), float(given["radiusM"]))
    return AreaKind.NEAR, {"longitude": near.longitude, "latitude": near.latitude, "radius_m": near.radius_m}


def _bounds(given: Mapping[str, float]) -> Asked:
    corners = ("minimumLongitude", "minimumLatitude", "maximumLongitude", "maximumLatitude")
    box = Bounds(*(float(given[corner]) for corner in corners))
    kind = AreaKind.BOUNDS_ACROSS if box.crosses_antimeridian else AreaKind.BOUNDS
    return kind, {"west": box.west, "south": box.south, "east": box.east_end, "north": box.north_end}


def _polygon(given: list[Mapping[str, float]]) -> Asked:
    corners = tuple((float(corner["longitude"]), float(corner["latitude"])) for corner in given)
    return AreaKind.POLYGON, {"polygon": Polygon(corners).wkt()}


def _route(given: Mapping[str, Any]) -> Asked:
    corridor_m = float(given["corridorM"])
    if not 0 < corridor_m <= MAXIMUM_CORRIDOR_M:
        raise NotAnArea(f"corridorM is {corridor_m}; possible: above 0, at most {MAXIMUM_CORRIDOR_M} metres")
    # What is shown as a distance may be wrong by the tolerance, a two-hundredth of the corridor: a wide corridor is
    # not measured against every bend.
    pieces = pieces_of(decode_polyline(given["polyline"], given["precision"]), corridor_m / 200)
    cells = cells_of(pieces, corridor_m)
    columns = {f"cell_{name}": [getattr(cell, name) for cell in cells] for name in CELL_COLUMNS}
    end_m = pieces[-1].start_m + pieces[-1].length_m
    return AreaKind.ROUTE, {**columns, "corridor_m": corridor_m, "end_m": end_m + BEYOND_M}


AREAS: Mapping[str, Callable[[Any], Asked]] = {
    "near": _near,
    "bounds": _bounds,
    "polygon": _polygon,
    "route": _route,
}
