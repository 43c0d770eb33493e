"""Filters A to E of the protocol in SQL: is an EVSE usable at an instant?

usable = operative (A) and (in regular hours (B) and no exceptional closing (C), or outside them and an exceptional
opening (D)). Three-valued: unknown hours give null, unless A alone says no. Source: OCHP 1.4, opening times. What the
columns hold is said in `app.ingest.charge_points.usability`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, cast, extract, false, func, literal_column, not_, or_, select
from sqlalchemy.dialects.postgresql import TIMESTAMP

from app.vocabulary import ChargePointStatus

Value = ColumnElement[Any]

#: In the order in which `usable` takes them.
USABLE_COLUMNS = ("operative_at", "regular_minutes", "exceptional_openings", "exceptional_closings", "clock_zone")

UTC: Value = literal_column("'UTC'")
UNKNOWN: Value = literal_column(f"'{ChargePointStatus.UNKNOWN}'")
WHOLE_WEEK: Value = literal_column("'[0,10080)'::int4range")
Instant = TIMESTAMP(timezone=True)


def usable(values: Sequence[Value], at: Value) -> Value:
    """Return true, false, or null for unknown; `values` are those of USABLE_COLUMNS."""
    operative, regular, openings, closings, zone = values
    in_hours = _holds(regular, _minute_of_week(at, zone))
    open_then = or_(and_(in_hours, not_(_holds(closings, at))), and_(not_(in_hours), _holds(openings, at)))
    return and_(_holds(operative, at), open_then)


def surely_usable(values: Sequence[Value], at: Value, *also: Value) -> Value:
    """Return true where `usable` is true, and `also` what is asked besides; else false. For filters, over many rows.

    Most are open round the clock: these need not know what time it is there, which costs more than all the rest. Inside
    coalesce the tests keep their order, and the planner takes them for what they mostly are: many rows pass.
    """
    operative, regular, openings, closings, zone = values
    in_hours = or_(_holds(regular, WHOLE_WEEK), _holds(regular, _minute_of_week(at, zone)))
    open_then = case((in_hours, not_(_holds(closings, at))), else_=_holds(openings, at))
    return func.coalesce(and_(regular.is_not(None), *also, _holds(operative, at), open_then), false())


def effective_status(static_status: Value, schedule: Value, at: Value) -> Value:
    """Return the static status after the schedule in force: the period that began last, of equals the last listed."""
    each = func.json_array_elements(schedule).table_valued("value", with_ordinality="place").render_derived()
    start, end = (cast(each.c.value.op("->>")(literal_column(f"'{name}'")), Instant) for name in ("start", "end"))
    in_force = (
        select(each.c.value.op("->>")(literal_column("'status'")))
        .where(start <= at, or_(end.is_(None), at < end))
        .order_by(start.desc(), each.c.place.desc())
        .limit(literal_column("1"))
    )
    return func.coalesce(in_force.scalar_subquery(), static_status, UNKNOWN)


def _holds(set_: Value, value: Value) -> Value:
    return set_.op("@>", is_comparison=True)(value)


def _minute_of_week(at: Value, zone: Value) -> Value:
    """Return the minutes since Monday 00:00 on the place's own clock."""
    local = func.timezone(func.coalesce(zone, UTC), at)
    day, hour, minute = (cast(extract(part, local), Integer) for part in ("isodow", "hour", "minute"))
    return (day - literal_column("1")) * literal_column("1440") + hour * literal_column("60") + minute
