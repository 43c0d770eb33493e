"""How rows are found in a route's corridor, in driving order: each on the flat map of the one cell in which it lies.

`geo.corridors` makes the cells. The route is searched in stretches, each several times as long as the one before, until
a page is full: the first kilometres of a long route mostly fill it.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
    tuple_,
    values,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.read.plan import Arguments
from app.read.search import LIMIT, place_after
from geo.areas import EARTH_RADIUS_M
from geo.corridors import Cell

Value = ColumnElement[Any]

#: Parallel arrays `cell_...` that a search along a route is given, besides `corridor_m` and `end_m`.
CELL_COLUMNS = tuple(each.name for each in fields(Cell))
#: The stretches as shares of the way that is still to be searched: mostly the first one fills a page.
STRETCHES = (0.0, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)

NUMBER = Float(53)
ONE: Value = literal_column("1")
DIAMETER_M: Value = literal_column(f"{2 * EARTH_RADIUS_M!r}::float8")
WGS84: Value = literal_column("4326")
#: An offset keeps what is worked out in a subquery from being worked out again wherever it is used.
ONCE: Value = literal_column("0")

ROOT = Arguments()


#: The other places of a place's row, and the condition that chooses them.
Others = Callable[[FromClause], tuple[FromClause, ColumnElement[bool]]]


def page_along(
    table: FromClause,
    key: Sequence[str],
    order: Sequence[str],
    conditions: list[ColumnElement[bool]],
    after: bool,
    others: Others | None = None,
) -> FromClause:
    """Return the keys, `along_route_m` and `distance_m` of the rows of one page.

    `order` are the columns by which pages go; `after`: the page begins behind a place. `others`: a row has several
    places, `key` ends with their number, and the one that comes first along the route counts.
    """
    stretch = _stretches(after)
    found = _found(table, key, conditions, stretch)
    if others is not None:
        found = _first_places(found, key, others)
    places = [found.c[name] for name in order]
    rows: Any = select(found).where(found.c.along_route_m >= stretch.c.low_m, found.c.along_route_m < stretch.c.high_m)
    if after:
        rows = rows.where(tuple_(*places) > place_after(tuple(order), table))
    rows = rows.order_by(*places).limit(LIMIT).lateral("row")
    page: Any = select(rows).select_from(stretch).join(rows, true())
    # Rows of one stretch after the other, as a lateral join gives them. Sorting would look into one stretch too many.
    return page.limit(LIMIT).subquery("page")


def _stretches(after: bool) -> FromClause:
    """Return the stretches in their order, as metres driven, from the place behind which the page begins."""
    bounds: list[Value] = [literal_column(f"{part!r}::float8") for part in STRETCHES]
    share = values(column("low", NUMBER), column("high", NUMBER), name="share").data(list(pairwise(bounds)))
    begin: Value = bindparam("after_along_route_m", type_=NUMBER) if after else literal_column("0")
    low_m, high_m = (begin + (ROOT("end_m", NUMBER) - begin) * part for part in share.c)
    return select(low_m.label("low_m"), high_m.label("high_m")).order_by(share.c.low).subquery("stretch")


def _found(
    table: FromClause, key: Sequence[str], conditions: list[ColumnElement[bool]], stretch: FromClause
) -> FromClause:
    """Measure what lies in the cells that touch a stretch of the route."""
    cell = _cells(stretch)
    point = _flat_point(table.c.longitude, table.c.latitude, cell.c.longitude, cell.c.latitude)
    names: list[Any] = [table.c[name] for name in key]
    drawn: Any = select(*names, cell.c.line, point.label("point")).join_from(cell, table, _in_cell(table, cell))
    drawn = drawn.where(*conditions).correlate(stretch).offset(ONCE).lateral("drawn")
    metres: Any = func.ST_Distance(drawn.c.line, drawn.c.point, type_=NUMBER)
    measured: Any = select(drawn, metres.label("distance_m")).offset(ONCE).subquery("measured")
    along: Any = func.ST_InterpolatePoint(measured.c.line, measured.c.point, type_=NUMBER)
    kept: Any = select(*(measured.c[name] for name in key), measured.c.distance_m, along.label("along_route_m"))
    return kept.where(measured.c.distance_m <= ROOT("corridor_m", NUMBER)).offset(ONCE).subquery("found")


def _first_places(found: FromClause, key: Sequence[str], others: Others) -> FromClause:
    """Leave out each place that another one of its row precedes in the corridor."""
    other, chosen = others(found)
    cell = _rows_of("way", "cell", CELL_COLUMNS)
    line: Value = func.ST_GeomFromText(cell.c.line, type_=Geometry)
    point = _flat_point(other.c.longitude, other.c.latitude, cell.c.longitude, cell.c.latitude)
    drawn: Any = select(other.c[key[-1]], line.label("line"), point.label("point"))
    drawn = drawn.join_from(other, cell, _in_cell(other, cell)).where(chosen)
    drawn = drawn.correlate(found).offset(ONCE).lateral("other_drawn")
    metres: Any = func.ST_Distance(drawn.c.line, drawn.c.point, type_=NUMBER)
    along: Any = func.ST_InterpolatePoint(drawn.c.line, drawn.c.point, type_=NUMBER)
    before = tuple_(along, drawn.c[key[-1]]) < tuple_(found.c.along_route_m, found.c[key[-1]])
    preceded = select(ONE).select_from(drawn).where(metres <= ROOT("corridor_m", NUMBER), before)
    kept: Any = select(found).where(~preceded.correlate(found).offset(ONCE).exists())
    return kept.subquery("first")


def _cells(stretch: FromClause) -> FromClause:
    cell = _rows_of("each", "cell", CELL_COLUMNS)
    line: Value = func.ST_GeomFromText(cell.c.line, type_=Geometry)
    columns: list[Any] = [cell.c[name] for name in CELL_COLUMNS if name != "line"]
    touching: Any = select(*columns, line.label("line"))
    touching = touching.where(cell.c.low_m < stretch.c.high_m, cell.c.high_m >= stretch.c.low_m)
    return touching.correlate(stretch).offset(ONCE).lateral("cell")


def _rows_of(name: str, prefix: str, columns: Sequence[str]) -> FromClause:
    """Return one row for each value of parallel arrays."""
    arrays = [ROOT(f"{prefix}_{column}", ARRAY(Text if column == "line" else NUMBER)) for column in columns]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=name)


def _in_cell(table: FromClause, cell: FromClause) -> ColumnElement[bool]:
    """Half-open: the index finds candidates, the comparisons decide."""
    sides = (cell.c.west, cell.c.south, cell.c.east, cell.c.north)
    box: Value = func.ST_MakeEnvelope(*sides, WGS84, type_=Geometry)
    longitude, latitude = table.c.longitude, table.c.latitude
    return (
        func.geometry(table.c.geog, type_=Geometry).op("&&", is_comparison=True)(box)
        & (longitude >= cell.c.west)
        & (longitude < cell.c.east)
        & (latitude >= cell.c.south)
        & (latitude < cell.c.north)
    )


def _flat_point(longitude: Value, latitude: Value, centre_longitude: Value, centre_latitude: Value) -> Value:
    """Draw a row on a cell's map, as `geo.corridors` draws the route."""
    sine, cosine = (of(func.radians(latitude, type_=NUMBER), type_=NUMBER) for of in (func.sin, func.cos))
    middle_sine, middle_cosine = (
        of(func.radians(centre_latitude, type_=NUMBER), type_=NUMBER) for of in (func.sin, func.cos)
    )
    east: Any = func.radians(longitude - centre_longitude, type_=NUMBER)
    towards = cosine * func.cos(east, type_=NUMBER)
    scale = DIAMETER_M.op("/", precedence=8, return_type=NUMBER)(ONE + middle_sine * sine + middle_cosine * towards)
    x = scale * cosine * func.sin(east, type_=NUMBER)
    y = scale * (middle_cosine * sine - middle_sine * towards)
    return func.ST_MakePoint(x, y, type_=Geometry)
