"""What decides whether an EVSE is usable at an instant, as sets of time that the database can ask at once.

Opening hours become minutes of the week; exceptional periods, and when the EVSE is operative, become sets of instants;
`app.read.usable` puts them together. Unknown hours stay unknown: None, never an empty set.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import tzfpy
from asyncpg import Range

from app.records.charge_point import OpeningTimes, Period, StatusPeriod
from app.vocabulary import ChargePointStatus

#: A set, as the driver takes it: any order, and it may touch or overlap.
Ranges = Sequence["Range[Any]"]

MINUTES_OF_DAY = 24 * 60
WHOLE_WEEK: Ranges = (Range(0, 7 * MINUTES_OF_DAY),)
ALWAYS: Ranges = (Range(None, None),)


def clock_zone(time_zone: str | None, derived: str | None) -> str | None:
    """Return the time zone of opening hours.

    A name that not every database knows (old aliases) is replaced by the one derived from the position.
    """
    return time_zone if time_zone in _geographic_zones() else derived


def regular_minutes(times: OpeningTimes | None, zone: str | None) -> Ranges | None:
    """Return the minutes of the week, local, from Monday 00:00, in which the place is open; None: unknown."""
    if times is None:
        return None
    if times.twentyfourseven is not None:
        return WHOLE_WEEK if times.twentyfourseven else ()
    if zone is None:
        return None  # open at some hours, but without a time zone their instants are unknown
    return [Range(_minute(each.weekday, each.begin), _minute(each.weekday, each.end)) for each in times.regular_hours]


def instants(periods: Iterable[Period]) -> Ranges:
    """Return periods as a set of instants."""
    return [Range(period.begin, period.end) for period in periods]


def operative_at(status: ChargePointStatus | None, schedule: Sequence[StatusPeriod]) -> Ranges:
    """Return the instants at which the scheduled status, or else `status`, is Operative; an absent one counts as that.

    Of periods that overlap the one that began last is in force; of two that began together the later in the list.
    """
    otherwise = status is None or status is ChargePointStatus.OPERATIVE
    if not schedule:
        return ALWAYS if otherwise else ()
    edges: set[datetime] = {period.start for period in schedule}
    edges |= {period.end for period in schedule if period.end is not None}
    ranges: list[Range[Any]] = [Range(None, min(edges))] if otherwise else []
    bounds: list[datetime | None] = [*sorted(edges), None]
    for (begin, end), in_force in zip(pairwise(bounds), _in_force(schedule, sorted(edges)), strict=True):
        if otherwise if in_force is None else in_force is ChargePointStatus.OPERATIVE:
            ranges.append(Range(begin, end))
    return ranges


def _in_force(schedule: Sequence[StatusPeriod], edges: Sequence[datetime]) -> Iterable[ChargePointStatus | None]:
    """Yield the scheduled status from each edge to the next; None where nothing is scheduled."""
    coming = sorted(enumerate(schedule), key=lambda each: each[1].start, reverse=True)
    begun: list[tuple[float, int]] = []
    for edge in edges:
        while coming and coming[-1][1].start <= edge:
            index, period = coming.pop()
            heappush(begun, (-period.start.timestamp(), -index))
        while begun and _is_over(schedule[-begun[0][1]], edge):
            heappop(begun)
        yield schedule[-begun[0][1]].status if begun else None


def _is_over(period: StatusPeriod, at: datetime) -> bool:
    return period.end is not None and period.end <= at


def _minute(weekday: int, time: str) -> int:
    hour, minute = time.split(":")
    return (weekday - 1) * MINUTES_OF_DAY + int(hour) * 60 + int(minute)


@cache
def _geographic_zones() -> frozenset[str]:
    return frozenset(tzfpy.timezonenames()) | {"UTC"}
