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
from app.visibility.rules import CallerKind, seen, visible_of_many

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

ROOT = Arguments()


def number(name: str) -> Value:
    return ROOT(name, Float(53))


@dataclass(frozen=True, slots=True)
class AreaSearch:
    """Rows of a table inside an area that pass the named filters: nearest first, along the route, or by key.

    `places`: where a row has any number of places, each with its own rule of visibility, their table. It has the key
    of `table`, a number of its own, and every column that the filters ask. A row is found once, by the place that comes
    first for the caller.
    `conditions` gives the filters' conditions; `selective` filters leave so few rows that these are found first and
    sorted, instead of walking neighbours until they turn up. `rare` gives a condition of a filter that an
    index finds rows by; `rarest` is the filter, if any, that few rows pass; `many`: still thousands.
    """

    table: Table
    key: tuple[str, ...]
    conditions: Callable[[FromClause, Arguments], list[ColumnElement[bool]]]
    places: Table | None = None
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
    def by_place(self) -> bool:
        """Return whether rows are found by places that not every caller knows."""
        return self.places is not None and self.area is not AreaKind.EVERYWHERE

    @property
    def ground(self) -> Table:
        """Return the table whose positions are searched."""
        return self.places if self.places is not None and self.by_place else self.table

    @property
    def order(self) -> tuple[str, ...]:
        return (*GIVEN.get(self.area, ())[:1], *self.key)

    @property
    def given(self) -> frozenset[str]:
        return frozenset(GIVEN.get(self.area, ()))

    @property
    def planned(self) -> bool:
        return self.area in PLANNED

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        columns = [self.table.c[name] for name in dict.fromkeys((*names, *self.key))]
        match self.area:
            case AreaKind.NEAR:
                return self._nearest(columns, caller_kind)
            case AreaKind.ROUTE:
                return self._along(columns, caller_kind)
            case _:
                return self._by_key(columns, caller_kind)

    def _by_key(self, columns: list[Any], caller_kind: CallerKind) -> Select[Any]:
        ground = self.ground
        conditions = [*self._passing(caller_kind, ground), *_within(ground, self.area)]
        key = self._key_of(ground)
        if self.after:
            conditions.append(tuple_(*key) > place_after(self.order, self.table))
        keys: Any = select(*key).where(*conditions).order_by(*key).limit(LIMIT)
        if not self.planned:
            return keys.with_only_columns(*columns)
        # Boxes hold thousands: only their keys are sorted, and the wide rows of one page are read.
        return self._rows(columns, (keys.distinct() if self.by_place else keys).subquery("page"))

    def _nearest(self, columns: list[Any], caller_kind: CallerKind) -> Select[Any]:
        """Return neighbours in the order of the index, equals together; the exact order is made outside.

        With the key in this order the planner would sort everything within the radius.
        """
        ground, distance = self.ground, _distance(self.ground)
        if self.rarest is not None:
            passing, rare = partial(self._passing, caller_kind), partial(self._rare, self.rarest, caller_kind)
            page = walk_or_find(ground, self.key, self.order, _distance, self._near, passing, rare, self.many)
            return self._rows(columns, page, "distance_m")
        shown = self._key_of(ground) if self.by_place else columns
        rows: Any = select(*shown, distance.label("distance_m"))
        rows = rows.where(*self._passing(caller_kind, ground), *self._near(ground))
        if self.by_place:
            rows = rows.where(~_precedes(ground, self.key, caller_kind, _distance))
        if self.filters & self.selective:
            rows = _paged(rows.cte("few").prefix_with("materialized"), self.order)
        else:
            rows = rows.order_by(distance).fetch(LIMIT, with_ties=True)
        return self._rows(columns, rows.subquery("page"), "distance_m") if self.by_place else rows

    def _near(self, rows: FromClause) -> list[ColumnElement[bool]]:
        """Return the condition for rows near enough, after the place where the page begins."""
        near: list[ColumnElement[bool]] = [func.ST_DWithin(rows.c.geog, CENTRE, number("radius_m"), FALSE)]
        if self.after:
            near.append(tuple_(_distance(rows), *self._key_of(rows)) > place_after(self.order, self.table))
        return near

    def _passing(self, caller_kind: CallerKind, rows: FromClause) -> list[ColumnElement[bool]]:
        return [visible_of_many(rows, caller_kind), *self.conditions(rows, Arguments(bound=self.filters))]

    def _rare(self, name: str, caller_kind: CallerKind, rows: FromClause) -> list[ColumnElement[bool]]:
        assert self.rare is not None
        return [seen(rows, caller_kind) if name == SEEN else self.rare(rows, name)]

    def _along(self, columns: list[Any], caller_kind: CallerKind) -> Select[Any]:
        """Measure the rows of the corridor by their keys, and read the wide rows of one page."""
        ground = self.ground
        others = partial(_others, ground, self.key, caller_kind) if self.by_place else None
        key = (*self.key, PLACE) if self.by_place else self.key
        page = page_along(ground, key, self.order, self._passing(caller_kind, ground), self.after, others)
        return self._rows(columns, page, "distance_m", "along_route_m")

    def _rows(self, columns: list[Any], page: FromClause, *measured: str) -> Select[Any]:
        """Read the wide rows of a page."""
        on = and_(*(self.table.c[name] == page.c[name] for name in self.key))
        rows: Any = select(*columns, *(page.c[name] for name in measured)).join_from(self.table, page, on)
        return rows

    def _key_of(self, rows: FromClause) -> list[Any]:
        return [rows.c[name] for name in self.key]


def _paged(rows: FromClause, order: tuple[str, ...]) -> Select[Any]:
    columns: list[Any] = list(rows.c)
    chosen: Any = select(*columns)
    return chosen.order_by(*(rows.c[name] for name in order)).limit(LIMIT)


# ---------------------------------------------------------------- several places

#: The column that numbers a row's places.
PLACE = "place_no"
ONE: Value = literal_column("1")
ZERO: Value = literal_column("0")


def _others(
    places: Table, key: Sequence[str], caller_kind: CallerKind, place: FromClause
) -> tuple[FromClause, ColumnElement[bool]]:
    """Return the other places of a place's row, and the condition that chooses those the caller knows."""
    other = places.alias("other")
    same = [other.c[name] == place.c[name] for name in key]
    return other, and_(*same, other.c[PLACE] != place.c[PLACE], visible_of_many(other, caller_kind))


def _precedes(
    places: Table, key: Sequence[str], caller_kind: CallerKind, measure: Callable[[FromClause], Value]
) -> ColumnElement[bool]:
    """Return whether the caller knows another place of a row that comes before this one.

    Without the offset, which is none, the planner might join all places instead of looking a few up.
    """
    other, known = _others(places, key, caller_kind, places)
    before = tuple_(measure(other), other.c[PLACE]) < tuple_(measure(places), places.c[PLACE])
    return select(ONE).where(known, before).offset(ZERO).correlate(places).exists()


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
