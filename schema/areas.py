"""From an area as it was asked for to its kind and its bind parameters."""

from collections.abc import Callable, Mapping
from typing import Any

from app.errors import HubError
from app.read.areas import PIECE_COLUMNS, AreaKind
from geo.areas import Bounds, Near, NotAnArea, Polygon
from geo.polyline import decode_polyline
from geo.routes import pieces_of

Asked = tuple[AreaKind, Mapping[str, Any]]

MAXIMUM_CORRIDOR_M = 50_000


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
    # What is shown as a distance may be wrong by the tolerance, a two-hundredth of the corridor. Were it less for a
    # wide corridor, a city's every row would be measured against hundreds of pieces.
    pieces = pieces_of(decode_polyline(given["polyline"], given["precision"]), corridor_m / 200)
    rows = [(*piece.start, *piece.end, piece.start_m, piece.length_m) for piece in pieces]
    columns = {
        f"piece_{name}": list(values) for name, values in zip(PIECE_COLUMNS, zip(*rows, strict=True), strict=True)
    }
    return AreaKind.ROUTE, {**columns, "corridor_m": corridor_m}


AREAS: Mapping[str, Callable[[Any], Asked]] = {
    "near": _near,
    "bounds": _bounds,
    "polygon": _polygon,
    "route": _route,
}
