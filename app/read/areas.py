"""How things with a position are found in an area: pure functions from an area to SQL, for every table alike.

Distances are metres on the sphere (PostGIS `<->` on geography), one measure for radius, order and the distance shown.
Boxes and polygons are planar: degrees of longitude and latitude, as maps draw them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
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
    tuple_,
    type_coerce,
)

from app.read.corridors import page_along
from app.read.nearest import walk_or_find
from app.read.plan import Arguments
from app.read.search import LIMIT, place_after
from app.visibility import Sight, located, seen, visible_of_many

Value = ColumnElement[Any]


class AreaKind(StrEnum):
    EVERYWHERE = "EVERYWHERE"
    NEAR = "NEAR"
    BOUNDS = "BOUNDS"
    #: Bounds whose west lies east of their east: they cross the antimeridian.
    BOUNDS_ACROSS = "BOUNDS_ACROSS"
    POLYGON = "POLYGON"
    ROUTE = "ROUTE"


#: The values that an area adds to a row; the first is the order.
GIVEN = {AreaKind.NEAR: ("distance_m",), AreaKind.ROUTE: ("along_route_m", "distance_m")}

#: The name, beside filters, of what a caller sees: it may be little.
SEEN = "seen"

#: Areas that hold a handful of rows or most of them: the best plan depends on the arguments.
PLANNED = frozenset({AreaKind.BOUNDS, AreaKind.BOUNDS_ACROSS, AreaKind.POLYGON})

#: Constants are written out: a bind parameter would say that they differ from call to call.
FALSE: Value = literal_column("false")
WGS84: Value = literal_column("4326")
WEST_END: Value = literal_column("-180::float8")
EAST_END: Value = literal_column("180::float8")
SOUTH_END: Value = literal_column("-90::float8")
NORTH_END: Value = literal_column("90::float8")
TURN: Value = literal_column("360")

ROOT = Arguments()


def number(name: str) -> Value:
    return ROOT(name, Float(53))


@dataclass(frozen=True, slots=True)
class AreaSearch:
    """Rows of a table inside an area that pass the named filters: nearest first, along the route, or by key.

    `conditions` gives the filters' conditions; `selective` filters leave so few rows that these are found first and
    sorted, instead of walking neighbours until they turn up. `rare` gives a condition of a filter that an
    index finds rows by; `rarest` is the filter, if any, that few rows pass; `many`: still thousands.
    """

    table: Table
    key: tuple[str, ...]
    conditions: Callable[[FromClause, Arguments], list[ColumnElement[bool]]]
    selective: frozenset[str] = frozenset()
    rare: Callable[[FromClause, str], ColumnElement[bool]] | None = None
    rarest: str | None = None
    many: bool = False
    area: AreaKind = AreaKind.EVERYWHERE
    filters: frozenset[str] = frozenset()
    after: bool = False
    descending: bool = False
    single: bool = False

    @property
    def row(self) -> tuple[str, ...]:
        """What finds a row again: the key, and its list, where rows are of lists."""
        return (*self.key, "list_no") if "list_no" in self.table.c else self.key

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
        names = list(dict.fromkeys((*names, *self.key)))
        columns = [self.table.c[name] for name in names]
        conditions = self._passing(sight, self.table)
        match self.area:
            case AreaKind.NEAR:
                return self._nearest(names, sight)
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

    def _nearest(self, names: Sequence[str], sight: Sight) -> Select[Any]:
        """Return neighbours in the order of the index, equals together; the exact order is made outside.

        With the key in this order the planner would sort everything within the radius.
        """
        if self.rarest is not None:
            passing, rare = partial(self._passing, sight), partial(self._rare, self.rarest, sight)
            page = walk_or_find(self.table, self.row, self.order, _distance, self._near, passing, rare, self.many)
            return self._rows([self.table.c[name] for name in names], page, "distance_m")
        distance = _distance(self.table)
        shown: list[Any] = [*(self.table.c[name] for name in names), distance.label("distance_m")]
        rows: Any = select(*shown).where(*self._passing(sight, self.table), *self._near(self.table))
        if self.filters & self.selective:
            few = rows.cte("few").prefix_with("materialized")
            return _paged(few, self.order)
        return rows.order_by(distance).fetch(LIMIT, with_ties=True)

    def _near(self, rows: FromClause) -> list[ColumnElement[bool]]:
        """Return the condition for rows near enough, after the place where the page begins."""
        near: list[ColumnElement[bool]] = [func.ST_DWithin(rows.c.geog, CENTRE, number("radius_m"), FALSE)]
        if self.after:
            near.append(tuple_(_distance(rows), *self._key_of(rows)) > place_after(self.order, self.table))
        return near

    def _passing(self, sight: Sight, rows: FromClause) -> list[ColumnElement[bool]]:
        conditions = [visible_of_many(rows, sight), *self.conditions(rows, Arguments(bound=self.filters))]
        return conditions if self.area is AreaKind.EVERYWHERE else [*conditions, located(rows, sight)]

    def _rare(self, name: str, sight: Sight, rows: FromClause) -> list[ColumnElement[bool]]:
        assert self.rare is not None
        return [seen(rows, sight) if name == SEEN else self.rare(rows, name)]

    def _along(self, columns: list[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
        """Measure the rows of the corridor by their keys, and read the wide rows of one page."""
        page = page_along(self.table, self.row, self.order, conditions, self.after)
        return self._rows(columns, page, "distance_m", "along_route_m")

    def _rows(self, columns: list[Any], page: FromClause, *measured: str) -> Select[Any]:
        """Read the wide rows of a page."""
        on = and_(*(self.table.c[name] == page.c[name] for name in self.row))
        rows: Any = select(*columns, *(page.c[name] for name in measured)).join_from(self.table, page, on)
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


_CENTRE: Value = func.geography(_point(number("longitude"), number("latitude")))
#: A subquery, so that it is made once, not for each row that is measured.
CENTRE: Value = type_coerce(select(_CENTRE).scalar_subquery(), Geography)


def _distance(rows: FromClause) -> Value:
    return rows.c.geog.op("<->", return_type=Float(53))(CENTRE)


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
