"""The price of a charging session under an individual tariff. Pure: no I/O, no clock.

A session charges from its start on, for its duration, and may stay parked afterwards; energy flows evenly. It is cut
wherever a condition of an element begins or ends, so that within a piece nothing changes. Time is counted in whole
microseconds, energy and power in 10^-12 kWh and kW. Rules (*hub*, explained in app/guides/prices.md):
- Of the elements of a billing item that apply at a moment, the first one counts.
- Bands include their minimum and exclude their maximum; energy and duration are those since the start of the session.
- Hours and weekdays are those that a clock at the location shows.
- What an element bills is summed over the session, and that sum is rounded up to whole steps.
- SERVICE_FEE and POWER are billed once per element that counts at some moment, by the clock of the start.
- A session has no reservation, so RESERVATION and RESERVATION_TIME are not part of its price.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact
from enum import StrEnum
from functools import lru_cache
from itertools import chain, pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from app.records.charge_point import RegularHours
from app.records.currency import DECIMALS
from app.records.tariff import IndividualTariff, TariffElement, TariffRestriction
from app.vocabulary import BillingItem

_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_KILO: Final = 10**12
#: Quantities per unit of a price.
_UNITS: Final = {
    BillingItem.PARKING_TIME: _HOUR,
    BillingItem.USAGE_TIME: _HOUR,
    BillingItem.RESERVATION_TIME: _HOUR,
    BillingItem.ENERGY: _KILO,
    BillingItem.POWER: _KILO,
    BillingItem.SERVICE_FEE: 1,
    BillingItem.RESERVATION: 1,
}
#: Decimals of a value that is not in steps.
VALUE_DECIMALS: Final = 6

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The epoch was a Thursday; weeks begin on Monday.
_MONDAY: Final = 3 * _DAY
_MICROSECOND: Final = timedelta(microseconds=1)
_LIMIT: Final = 1 << 100
_ALWAYS: Final = (-_LIMIT, _LIMIT)

#: An operation that is not exact raises.
_EXACT: Final = Context(prec=100, traps=[Inexact])
_ROUND: Final = Context(prec=100, rounding=ROUND_HALF_UP)
_ONE: Final = Decimal(1)


class Unknown(StrEnum):
    """Why there is no price."""

    POWER = "the price depends on the power of the session, which is not given"
    TIME_ZONE = "the price depends on the hour, and the time zone of the location is not known"
    NO_ELEMENT = "no element of the tariff applies to this session"
    NO_TARIFF = "no tariff is known for it"
    CURRENCY = "the tariff is in another currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSession:
    """A session to be priced. `energy_kwh` and `power_kw` have at most 12 decimals; nothing is negative.

    `duration`: charging, from `start` on; `parking`: parked afterwards. `power_kw`: the power at which it charges
    throughout, also its highest; None: not known. `time_zone`: of the location; None: not known.
    """

    start: datetime
    energy_kwh: Decimal
    duration: timedelta
    parking: timedelta = timedelta()
    power_kw: Decimal | None = None
    time_zone: ZoneInfo | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one element bills: `cost` = `billing_value` x `item_price`, exactly."""

    billing_item: BillingItem
    billing_value: Decimal
    item_price: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """`total`: the sum of the parts, rounded half up to the currency's decimals; None: unknown, see `reason`.

    `currency` None: there is no tariff.
    """

    total: Decimal | None
    currency: str | None
    parts: tuple[Part, ...] = ()
    reason: Unknown | None = None


def price(tariff: IndividualTariff, session: ChargingSession) -> Estimate:
    """Return the price of a session, net as the tariff is; its total is None, with a reason, where it is not known."""
    return CompiledTariff(tariff).price(session)


# ---------------------------------------------------------------- elements


class _Moment(NamedTuple):
    """Since the start: microseconds and energy. `at`: since the epoch; `week`: since Monday on the local clock."""

    duration: int
    energy: int
    at: int
    week: int | None


class _UnknownPrice(Exception):
    def __init__(self, reason: Unknown) -> None:
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """An element in whole numbers. Bands and dates: [from, to); `hours`: of the week, none: always."""

    place: int
    item: BillingItem
    price: Decimal
    step: Decimal
    quantity_of_step: int
    energy: tuple[int, int] = _ALWAYS
    duration: tuple[int, int] = _ALWAYS
    power: tuple[int, int] = _ALWAYS
    dates: tuple[int, int] = _ALWAYS
    hours: tuple[tuple[int, int], ...] = ()

    def applies(self, moment: _Moment, power: int | None) -> bool:
        """Return whether all conditions hold. Raises: _UnknownPrice."""
        duration, energy, at, week = moment
        if not (
            self.duration[0] <= duration < self.duration[1]
            and self.energy[0] <= energy < self.energy[1]
            and self.dates[0] <= at < self.dates[1]
        ):
            return False
        if self.hours:
            if week is None:
                raise _UnknownPrice(Unknown.TIME_ZONE)
            if not any(begin <= week < end for begin, end in self.hours):
                return False
        if self.power == _ALWAYS:
            return True
        if power is None:
            raise _UnknownPrice(Unknown.POWER)
        return self.power[0] <= power < self.power[1]

    def part(self, quantity: int, minor_unit: Decimal) -> Part:
        """Return what a quantity costs: in whole steps, or without steps in six decimals, rounded half up.

        The cost has at least the decimals of the currency.
        """
        if self.quantity_of_step:
            value = _EXACT.multiply(self.step, -(-quantity // self.quantity_of_step))
        else:
            unit = _UNITS[self.item]
            value = Decimal((2 * quantity * 10**VALUE_DECIMALS + unit) // (2 * unit)).scaleb(-VALUE_DECIMALS, _EXACT)
        cost = _EXACT.multiply(value, self.price)
        return Part(self.item, _shortest(value, _ONE), self.price, _shortest(cost, minor_unit))


def _shortest(value: Decimal, unit: Decimal) -> Decimal:
    """Drop trailing zeros behind the decimals of a unit."""
    rounded = _ROUND.quantize(value, unit)
    return rounded if rounded == value else _EXACT.normalize(value)


def _element(place: int, element: TariffElement) -> _Element:
    item = element.billing_item
    step = 0 if _UNITS[item] == 1 else _whole(element.step_size, _UNITS[item])
    restriction = element.restriction or TariffRestriction()
    return _Element(
        place=place,
        item=item,
        price=element.item_price,
        step=element.step_size,
        quantity_of_step=step,
        energy=_band(restriction.min_energy_kwh, restriction.max_energy_kwh, _KILO),
        duration=_band(restriction.min_duration_seconds, restriction.max_duration_seconds, 1_000_000),
        power=_band(restriction.min_power_kw, restriction.max_power_kw, _KILO),
        dates=(
            -_LIMIT if restriction.start is None else _since_epoch(restriction.start),
            _LIMIT if restriction.end is None else _since_epoch(restriction.end),
        ),
        hours=tuple(_hours_of_week(each) for each in restriction.regular_hours),
    )


def _band(lowest: Decimal | int | None, highest: Decimal | int | None, unit: int) -> tuple[int, int]:
    return (
        -_LIMIT if lowest is None else _whole(lowest, unit),
        _LIMIT if highest is None else _whole(highest, unit),
    )


def _whole(value: Decimal | int, unit: int) -> int:
    return int(_EXACT.to_integral_exact(_EXACT.multiply(value, unit)))


def _since_epoch(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _hours_of_week(hours: RegularHours) -> tuple[int, int]:
    day = (hours.weekday - 1) * _DAY
    return day + _time_of_day(hours.begin), day + _time_of_day(hours.end)


def _time_of_day(text: str) -> int:
    hour, minute = text.split(":")
    return (60 * int(hour) + int(minute)) * (_HOUR // 60)


# ---------------------------------------------------------------- pricing


class CompiledTariff:
    """An individual tariff, ready to price many sessions."""

    __slots__ = ("_currency", "_cuts", "_elements", "_fees_have_bands", "_items", "_minor_unit")

    def __init__(self, tariff: IndividualTariff) -> None:
        elements = [_element(place, each) for place, each in enumerate(tariff.elements)]
        self._currency = tariff.currency
        self._minor_unit = Decimal(1).scaleb(-DECIMALS[tariff.currency])
        self._elements = elements
        self._items = {item: tuple(each for each in elements if each.item is item) for item in BillingItem}
        self._cuts = _Cuts(
            energy=_limits(each.energy for each in elements),
            duration=_limits(each.duration for each in elements),
            dates=_limits(each.dates for each in elements),
            week=_limits(hours for each in elements for hours in each.hours),
        )
        fees = (*self._items[BillingItem.SERVICE_FEE], *self._items[BillingItem.POWER])
        self._fees_have_bands = any((each.energy, each.duration) != (_ALWAYS, _ALWAYS) for each in fees)

    def price(self, session: ChargingSession) -> Estimate:
        """Return the price of a session, as `price`."""
        try:
            quantities = self._quantities(session)
        except _UnknownPrice as unknown:
            return Estimate(None, self._currency, reason=unknown.reason)
        if not quantities:
            return Estimate(None, self._currency, reason=Unknown.NO_ELEMENT)
        parts = tuple(self._elements[place].part(quantities[place], self._minor_unit) for place in sorted(quantities))
        total = Decimal(0)
        for part in parts:
            total = _EXACT.add(total, part.cost)
        return Estimate(_ROUND.quantize(total, self._minor_unit), self._currency, parts)

    def _quantities(self, session: ChargingSession) -> dict[int, int]:
        """Return what each element bills, by its place. Raises: _UnknownPrice."""
        charging, parking = _moments(self._cuts, session)
        power = None if session.power_kw is None else _whole(session.power_kw, _KILO)
        found: dict[int, int] = {}

        def add(item: BillingItem, moment: _Moment, quantity: int) -> None:
            element = self._first(item, moment, power)
            if element is not None:
                found[element.place] = found.get(element.place, 0) + quantity

        for moment, following in pairwise(charging):
            add(BillingItem.ENERGY, moment, following.energy - moment.energy)
            add(BillingItem.USAGE_TIME, moment, following.duration - moment.duration)
        for moment, following in pairwise(parking):
            add(BillingItem.PARKING_TIME, moment, following.duration - moment.duration)
        for moment in (*charging, *parking) if self._fees_have_bands else charging[:1]:
            by_start = moment._replace(at=charging[0].at, week=charging[0].week)
            if (fee := self._first(BillingItem.SERVICE_FEE, by_start, power)) is not None:
                found[fee.place] = 1
            if (element := self._first(BillingItem.POWER, by_start, power)) is not None:
                if power is None:
                    raise _UnknownPrice(Unknown.POWER)
                found[element.place] = power
        return found

    def _first(self, item: BillingItem, moment: _Moment, power: int | None) -> _Element | None:
        for element in self._items[item]:
            if element.applies(moment, power):
                return element
        return None


# ---------------------------------------------------------------- moments


class _Cuts(NamedTuple):
    """Where conditions of a tariff begin or end."""

    energy: tuple[int, ...]
    duration: tuple[int, ...]
    dates: tuple[int, ...]
    week: tuple[int, ...]


def _limits(bands: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple({*chain.from_iterable(bands)} - {*_ALWAYS})


def _moments(cuts: _Cuts, session: ChargingSession) -> tuple[list[_Moment], list[_Moment]]:
    """Return the moments of charging and those of parking, between which no condition of the tariff changes.

    Charging has its start and its end, even of no length. A moment cut by energy has that energy exactly.
    """
    start = _since_epoch(session.start)
    charged = session.duration // _MICROSECOND
    end = charged + session.parking // _MICROSECOND
    energy = _whole(session.energy_kwh, _KILO)
    times = {*cuts.duration, *(date - start for date in cuts.dates)}
    offsets: tuple[_Offset, ...] = ()
    if cuts.week and session.time_zone is not None:
        offsets = _offsets(start, start + end, session.time_zone)
        times.update(at - start for at in _week_cuts(cuts.week, offsets, start + end))
    points = {(time, energy * time // charged) for time in times if 0 < time < charged}
    points.update((charged * cut // energy, cut) for cut in cuts.energy if 0 < cut < energy)
    charging = ((0, 0), *sorted(points), (charged, energy))
    parking = ((time, energy) for time in sorted({charged, end, *times}) if charged <= time <= end)
    return [_moment(*each, start, offsets) for each in charging], [_moment(*each, start, offsets) for each in parking]


def _moment(duration: int, energy: int, start: int, offsets: Sequence["_Offset"]) -> _Moment:
    at = start + duration
    week = next((_week(at, offset) for since, offset in reversed(offsets) if since <= at), None)
    return _Moment(duration, energy, at, week)


# ---------------------------------------------------------------- clocks


class _Offset(NamedTuple):
    """An offset from UTC, in microseconds, and the instant since which it holds."""

    since: int
    offset: int


def _week(at: int, offset: int) -> int:
    return (at + offset + _MONDAY) % _WEEK


def _week_cuts(week: Sequence[int], offsets: Sequence[_Offset], end: int) -> Iterator[int]:
    """Return the instants at which the local clock shows a time of the week, or is put forward or back."""
    for (since, offset), (until, _) in pairwise((*offsets, (end, 0))):
        yield since
        for cut in week:
            yield from range(since + (cut - _week(since, offset)) % _WEEK, until, _WEEK)


@lru_cache(maxsize=4_096)
def _offsets(start: int, end: int, zone: ZoneInfo) -> tuple[_Offset, ...]:
    """Return the offsets during a session. No zone changes its offset twice within a day."""
    found = [_Offset(start, _offset(start, zone))]
    for day, next_day in pairwise((*range(start, end, _DAY), end)):
        offset = _offset(next_day, zone)
        if offset != found[-1].offset:
            change = bisect_left(range(day, next_day), True, key=lambda at: _offset(at, zone) == offset)
            found.append(_Offset(day + change, offset))
    return tuple(found)


def _offset(at: int, zone: ZoneInfo) -> int:
    instant = _EPOCH + at * _MICROSECOND
    return (instant.astimezone(zone).replace(tzinfo=UTC) - instant) // _MICROSECOND
