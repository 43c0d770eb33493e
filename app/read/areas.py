"""How things with a position are found in an area: pure functions from an area to SQL, for every table alike.

Distances are metres on the sphere (PostGIS `<->` on geography), one measure for radius, order and the distance shown.
Boxes and polygons are planar: degrees of longitude and latitude, as maps draw them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from geoalchemy2 import Geography, Geometry
from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)

from app.read.corridors import page_along
from app.read.plan import Arguments
from app.read.search import LIMIT, place_after
from app.visibility import Sight, visible

Value = ColumnElement[Any]


class AreaKind(StrEnum):
    EVERYWHERE = "EVERYWHERE"
    NEAR = "NEAR"
    BOUNDS = "BOUNDS"
    #: Bounds whose west lies east of their east: they cross the antimeridian.
    BOUNDS_ACROSS = "BOUNDS_ACROSS"
    POLYGON = "POLYGON"
    ROUTE = "ROUTE"


#: What an area tells of a row, beyond that it lies inside; the first gives the order.
GIVEN = {AreaKind.NEAR: ("distance_m",), AreaKind.ROUTE: ("along_route_m", "distance_m")}

#: Areas that hold a handful of rows or most of them: the best plan depends on the arguments.
PLANNED = frozenset({AreaKind.BOUNDS, AreaKind.BOUNDS_ACROSS, AreaKind.POLYGON})

#: Constants are written out: a bind parameter would say that they differ from call to call.
FALSE: Value = literal_column("false")
WGS84: Value = literal_column("4326")
WEST_END: Value = literal_column("-180::float8")
EAST_END: Value = literal_column("180::float8")
SOUTH_END: Value = literal_column("-90::float8")
NORTH_END: Value = literal_column("90::float8")
ONE: Value = literal_column("1")
TURN: Value = literal_column("360")

ROOT = Arguments()


def number(name: str) -> Value:
    return ROOT(name, Float(53))


@dataclass(frozen=True, slots=True)
class AreaSearch:
    """Rows of a table inside an area that pass the named filters: nearest first, along the route, or by key.

    `conditions` gives the filters' conditions; `selective` filters leave so few rows that these are found first and
    sorted, instead of walking neighbours until they turn up.
    """

    table: Table
    key: tuple[str, ...]
    conditions: Callable[[FromClause, Arguments], list[ColumnElement[bool]]]
    selective: frozenset[str] = frozenset()
    area: AreaKind = AreaKind.EVERYWHERE
    filters: frozenset[str] = frozenset()
    after: bool = False
    descending: bool = False
    single: bool = False

    @property
    def row(self) -> tuple[str, ...]:
        """What finds a row again: the key, and in which of two tables it stands."""
        return (*self.key, "ahead") if "ahead" in self.table.c else self.key

    @property
    def order(self) -> tuple[str, ...]:
        return (*GIVEN.get(self.area, ())[:1], *self.key)

    @property
    def given(self) -> frozenset[str]:
        return frozenset(GIVEN.get(self.area, ()))

    @property
    def planned(self) -> bool:
        return self.area in PLANNED

    def found(self, names: Sequence[str], sight: Sight) -> Select[Any]:
        columns = [self.table.c[name] for name in dict.fromkeys((*names, *self.key))]
        conditions = [visible(self.table, sight), *self.conditions(self.table, Arguments(bound=self.filters))]
        match self.area:
            case AreaKind.NEAR:
                return self._nearest(columns, conditions)
            case AreaKind.ROUTE:
                return self._along(columns, conditions)
            case _:
                return self._by_key(columns, conditions)

    def _by_key(self, columns: list[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
        conditions = [*conditions, *_within(self.table, self.area)]
        key = [self.table.c[name] for name in self.key]
        if self.after:
            conditions.append(tuple_(*key) > place_after(self.order, self.table))
        keys: Any = select(*self._row_of(self.table)).where(*conditions).order_by(*key).limit(LIMIT)
        if not self.planned:
            return keys.with_only_columns(*columns)
        # Boxes hold thousands: only their keys are sorted, and the wide rows of one page are read.
        return self._rows(columns, keys.subquery("page"))

    def _nearest(self, columns: list[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
        """Let the index give neighbours in order, equals together; the exact order is made outside.

        With the key in this order the planner would sort everything within the radius.
        """
        geog = self.table.c.geog
        distance = geog.op("<->", return_type=Float(53))(CENTRE)
        conditions = [*conditions, func.ST_DWithin(geog, CENTRE, number("radius_m"), FALSE)]
        if self.after:
            conditions.append(tuple_(distance, *self._key_of(self.table)) > place_after(self.order, self.table))
        shown: list[Any] = [*columns, distance.label("distance_m")]
        rows: Any = select(*shown).where(*conditions)
        if self.filters & self.selective:
            few = rows.cte("few").prefix_with("materialized")
            return _paged(few, self.order)
        return rows.order_by(distance).fetch(LIMIT, with_ties=True)

    def _along(self, columns: list[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
        """Measure the rows of the corridor by their keys, and read the wide rows of one page."""
        page = page_along(self.table, self.row, self.order, conditions, self.after)
        return self._rows(columns, page, "distance_m", "along_route_m")

    def _rows(self, columns: list[Any], page: FromClause, *measured: str) -> Select[Any]:
        """Read the wide rows of a page, one by one: that a key names one row of a view the planner does not know."""
        here = [self.table.c[name] == page.c[name] for name in self.row]
        row = select(*columns).where(*here).correlate(page).limit(ONE).lateral("row")
        rows: Any = select(*row.c, *(page.c[name] for name in measured)).join_from(page, row, true())
        return rows

    def _row_of(self, rows: FromClause) -> list[Any]:
        return [rows.c[name] for name in self.row]

    def _key_of(self, rows: FromClause) -> list[Any]:
        return [rows.c[name] for name in self.key]


def _paged(rows: FromClause, order: tuple[str, ...]) -> Select[Any]:
    columns: list[Any] = list(rows.c)
    chosen: Any = select(*columns)
    return chosen.order_by(*(rows.c[name] for name in order)).limit(LIMIT)


# ---------------------------------------------------------------- points, boxes, polygons


def _point(longitude: Value, latitude: Value) -> Value:
    return func.ST_SetSRID(func.ST_MakePoint(longitude, latitude, type_=Geometry), WGS84, type_=Geometry)


CENTRE: Value = type_coerce(func.geography(_point(number("longitude"), number("latitude"))), Geography)


def _within(table: FromClause, area: AreaKind) -> list[ColumnElement[bool]]:
    match area:
        case AreaKind.BOUNDS | AreaKind.BOUNDS_ACROSS:
            return _in_box(table, across=area is AreaKind.BOUNDS_ACROSS)
        case AreaKind.POLYGON:
            shape: Value = func.ST_GeomFromText(ROOT("polygon", Text), WGS84, type_=Geometry)
            return [func.ST_Intersects(func.geometry(table.c.geog, type_=Geometry), shape)]
        case _:
            return []


def _in_box(table: FromClause, across: bool) -> list[ColumnElement[bool]]:
    """Half-open: the index finds candidates, the comparisons decide."""
    latitudes = and_(table.c.latitude >= number("south"), table.c.latitude < number("north"))
    east_of_west, west_of_east = table.c.longitude >= number("west"), table.c.longitude < number("east")
    if not across:
        return [latitudes, east_of_west, west_of_east, _touches(table, number("west"), number("east"))]
    halves = or_(_touches(table, number("west"), EAST_END), _touches(table, WEST_END, number("east")))
    return [latitudes, or_(east_of_west, west_of_east), halves]


def _touches(table: FromClause, west: Value, east: Value) -> ColumnElement[bool]:
    south, north = func.greatest(number("south"), SOUTH_END), func.least(number("north"), NORTH_END)
    box: Value = func.ST_MakeEnvelope(west, south, func.least(east, EAST_END), north, WGS84, type_=Geometry)
    return func.geometry(table.c.geog, type_=Geometry).op("&&")(box)
