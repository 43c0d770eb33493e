"""How EVSEs are found: pure functions from an area and filters to SQL.

Distances are metres on the sphere (PostGIS `<->` on geography), one measure for radius, order and the distance shown.
Nearest first lets the index give neighbours in order, `with ties` keeps equals together, and the exact order by
(distance, id) is made outside of it; with `id` in the inner order the planner would sort everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from geoalchemy2 import Geography, Geometry
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import evse, operator
from app.read.plan import Arguments
from app.read.search import LIMIT, beyond
from app.read.usable import USABLE_COLUMNS, Instant, usable
from app.visibility import Sight, visible


class AreaKind(StrEnum):
    EVERYWHERE = "EVERYWHERE"
    NEAR = "NEAR"
    BOUNDS = "BOUNDS"
    #: Bounds whose west lies east of their east: they cross the antimeridian.
    BOUNDS_ACROSS = "BOUNDS_ACROSS"


ROOT = Arguments()


def _number(name: str) -> ColumnElement[float]:
    return ROOT(name, Float(53))


TEXTS = ARRAY(Text)

#: Constants are written out: a bind parameter would say that they differ from call to call.
ZERO: ColumnElement[Any] = literal_column("0")
FALSE: ColumnElement[Any] = literal_column("false")
WGS84: ColumnElement[Any] = literal_column("4326")
WEST_END: ColumnElement[Any] = literal_column("-180::float8")
EAST_END: ColumnElement[Any] = literal_column("180::float8")
SOUTH_END: ColumnElement[Any] = literal_column("-90::float8")
NORTH_END: ColumnElement[Any] = literal_column("90::float8")

#: A filter: the bind parameter it brings, and its condition. `schema.requests` fills the parameter by the same name.
FILTERS: Mapping[str, Callable[[FromClause, Arguments], ColumnElement[bool]]] = {
    "evse_ids": lambda e, given: e.c.evse_id == any_(given("evse_ids", TEXTS)),
    "location_ids": lambda e, given: e.c.location_id == any_(given("location_ids", TEXTS)),
    "operator_ids": lambda e, given: e.c.operator_no == any_(func.array(_numbers_of(given("operator_ids", TEXTS)))),
    "connectors": lambda e, given: e.c.connector_mask.bitwise_and(given("connectors", BigInteger)) != ZERO,
    "charge_point_types": lambda e, given: e.c.charge_point_type == any_(given("charge_point_types", TEXTS)),
    "min_power_kw": lambda e, given: e.c.maximum_power_kw >= given("min_power_kw", Float(53)),
    "max_power_kw": lambda e, given: e.c.maximum_power_kw <= given("max_power_kw", Float(53)),
    "auth_methods": lambda e, given: e.c.auth_methods.bitwise_and(given("auth_methods", Integer)) != ZERO,
    "location_types": lambda e, given: e.c.location_type == any_(given("location_types", TEXTS)),
    "usable_at": lambda e, given: usable([e.c[name] for name in USABLE_COLUMNS], given("usable_at", Instant)),
    "without_restrictions": lambda e, given: (
        e.c.restrictions.bitwise_and(given("without_restrictions", Integer)) == ZERO
    ),
}


def filter_conditions(evses: FromClause, given: Arguments) -> list[ColumnElement[bool]]:
    """Give the conditions of the filters that are bound."""
    return [FILTERS[name](evses, given) for name in sorted(given.bound)]


def _numbers_of(party_ids: ColumnElement[Any]) -> ColumnElement[Any]:
    return select(operator.c.no).where(operator.c.party_id == any_(party_ids)).scalar_subquery()


#: Filters that leave few rows: these are found first, then sorted, instead of walking neighbours until they turn up.
SELECTIVE = frozenset({"evse_ids", "location_ids"})


@dataclass(frozen=True, slots=True)
class EvseSearch:
    """EVSEs of an area that pass the named filters, nearest first or by id."""

    area: AreaKind = AreaKind.EVERYWHERE
    filters: frozenset[str] = frozenset()
    after: bool = False
    table: Table = evse
    descending: bool = False
    single: bool = False

    @property
    def order(self) -> tuple[str, ...]:
        return ("distance_m", "evse_id") if self.area is AreaKind.NEAR else ("evse_id",)

    @property
    def planned(self) -> bool:
        return self.area in (AreaKind.BOUNDS, AreaKind.BOUNDS_ACROSS)

    @property
    def given(self) -> frozenset[str]:
        return frozenset({"distance_m"}) if self.area is AreaKind.NEAR else frozenset()

    def found(self, names: Sequence[str], sight: Sight) -> Select[Any]:
        columns = [evse.c[name] for name in dict.fromkeys((*names, "evse_id"))]
        conditions = [visible(evse, sight), *filter_conditions(evse, Arguments(bound=self.filters))]
        if self.area is AreaKind.NEAR:
            return self._nearest(columns, conditions)
        if self.after:
            conditions.append(beyond(evse, self.order, descending=False))
        conditions += _within(self.area)
        ids = select(evse.c.evse_id).where(*conditions).order_by(evse.c.evse_id).limit(LIMIT)
        if not self.planned:
            return ids.with_only_columns(*columns)
        # Boxes hold thousands: only their ids are sorted, and the wide rows of one page are read.
        page = ids.subquery("page")
        return select(*columns).join_from(evse, page, evse.c.evse_id == page.c.evse_id)

    def _nearest(self, columns: list[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
        distance = distance_from_centre()
        conditions.append(func.ST_DWithin(evse.c.geog, CENTRE, _number("radius_m"), FALSE))
        if self.after:
            place = tuple_(_number("after_distance_m"), bindparam("after_evse_id", type_=Text))
            conditions.append(tuple_(distance, evse.c.evse_id) > place)
        shown: list[Any] = [*columns, distance.label("distance_m")]
        rows: Any = select(*shown).where(*conditions)
        if self.filters & SELECTIVE:
            few = rows.cte("few").prefix_with("materialized")
            kept: list[Any] = list(few.c)
            chosen: Any = select(*kept)
            return chosen.order_by(few.c.distance_m, few.c.evse_id).limit(LIMIT)
        return rows.order_by(distance).fetch(LIMIT, with_ties=True)


CENTRE: ColumnElement[Any] = type_coerce(
    func.geography(
        func.ST_SetSRID(
            func.ST_MakePoint(_number("longitude"), _number("latitude"), type_=Geometry), WGS84, type_=Geometry
        )
    ),
    Geography,
)


def distance_from_centre() -> ColumnElement[float]:
    """Give the metres between an EVSE and the centre of a near area."""
    return evse.c.geog.op("<->", return_type=Float(53))(CENTRE)


def _within(area: AreaKind) -> list[ColumnElement[bool]]:
    """Half-open boxes in degrees: the index finds candidates, the comparisons decide."""
    if area is AreaKind.EVERYWHERE:
        return []
    latitudes = and_(evse.c.latitude >= _number("south"), evse.c.latitude < _number("north"))
    east_of_west, west_of_east = evse.c.longitude >= _number("west"), evse.c.longitude < _number("east")
    if area is AreaKind.BOUNDS:
        return [latitudes, east_of_west, west_of_east, _touches(_number("west"), _number("east"))]
    halves = or_(_touches(_number("west"), EAST_END), _touches(WEST_END, _number("east")))
    return [latitudes, or_(east_of_west, west_of_east), halves]


def _touches(west: Any, east: Any) -> ColumnElement[bool]:
    south, north = func.greatest(_number("south"), SOUTH_END), func.least(_number("north"), NORTH_END)
    box: ColumnElement[Any] = func.ST_MakeEnvelope(
        west, south, func.least(east, EAST_END), north, WGS84, type_=Geometry
    )
    return func.geometry(evse.c.geog, type_=Geometry).op("&&")(box)
