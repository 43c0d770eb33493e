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

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact
from enum import StrEnum
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
#: Decimals of prices and steps, and of a value that is not in steps.
_DECIMALS: Final = 8
VALUE_DECIMALS: Final = 6

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The epoch was a Thursday; weeks begin on Monday.
_MONDAY: Final = 3 * _DAY
_MICROSECOND: Final = timedelta(microseconds=1)
_LIMIT: Final = 1 << 100
_ALWAYS: Final = (-_LIMIT, _LIMIT)

#: An operation that is not exact raises.
_EXACT: Final = Context(prec=100, traps=[Inexact])


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
    numbers: "Numbers" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", _numbers(self))


class Numbers(NamedTuple):
    """A session in whole numbers. `charged`, `end`: since the start. `offsets`: of the local clock, none: not known."""

    start: int
    charged: int
    end: int
    energy: int
    power: int | None
    offsets: tuple["Offset", ...]


class Offset(NamedTuple):
    """An offset from UTC, in microseconds, and the instant since which it holds."""

    since: int
    offset: int


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

    `currency` None: there is no tariff. `billed`: elements and what they bill.
    """

    total: Decimal | None
    currency: str | None
    reason: Unknown | None = None
    billed: tuple[tuple["Element", int], ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return what each element bills, in the order of the tariff."""
        decimals = 0 if self.currency is None else DECIMALS[self.currency]
        return tuple(element.part(value, decimals) for element, value in self.billed)


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
class Element:
    """An element in whole numbers: `price` and `step` in 10^-8, `step` and `whole` 0: exact.

    `whole`: the quantity of a step. Bands and dates: [from, to). `hours`: beginnings and ends by turns, none: always.
    """

    place: int
    item: BillingItem
    item_price: Decimal
    price: int
    step: int
    whole: int
    energy: tuple[int, int]
    duration: tuple[int, int]
    power: tuple[int, int]
    dates: tuple[int, int]
    hours: tuple[int, ...]
    always: bool

    def applies(self, moment: _Moment, power: int | None) -> bool:
        """Return whether all conditions hold. Raises: _UnknownPrice."""
        if self.always:
            return True
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
            if bisect_right(self.hours, week) % 2 == 0:
                return False
        if self.power is _ALWAYS:
            return True
        if power is None:
            raise _UnknownPrice(Unknown.POWER)
        return self.power[0] <= power < self.power[1]

    def value(self, quantity: int) -> int:
        """Return a quantity in whole steps, or without steps in six decimals, rounded half up; in 10^-8."""
        if self.whole:
            return self.step * -(-quantity // self.whole)
        unit = _UNITS[self.item]
        return (2 * quantity * 10**VALUE_DECIMALS + unit) // (2 * unit) * 10 ** (_DECIMALS - VALUE_DECIMALS)

    def part(self, value: int, decimals: int) -> Part:
        """Return what a value costs, with at least these decimals."""
        cost = _decimal(value * self.price, 2 * _DECIMALS, decimals)
        return Part(self.item, _decimal(value, _DECIMALS, 0), self.item_price, cost)


def _decimal(number: int, decimals: int, least: int) -> Decimal:
    """Return a number with so many decimals, without the zeros at its end but for the least."""
    while decimals > least and number % 10 == 0:
        number, decimals = number // 10, decimals - 1
    return Decimal(number).scaleb(-decimals, _EXACT)


def _element(place: int, element: TariffElement) -> Element:
    item = element.billing_item
    is_fee = _UNITS[item] == 1
    restriction = element.restriction or TariffRestriction()
    return Element(
        place=place,
        item=item,
        item_price=element.item_price,
        price=_whole(element.item_price, 10**_DECIMALS),
        step=_whole(element.step_size, 10**_DECIMALS),
        whole=0 if is_fee else _whole(element.step_size, _UNITS[item]),
        energy=_band(restriction.min_energy_kwh, restriction.max_energy_kwh, _KILO),
        duration=_band(restriction.min_duration_seconds, restriction.max_duration_seconds, 1_000_000),
        power=_band(restriction.min_power_kw, restriction.max_power_kw, _KILO),
        dates=(
            -_LIMIT if restriction.start is None else _since_epoch(restriction.start),
            _LIMIT if restriction.end is None else _since_epoch(restriction.end),
        ),
        hours=_joined(_hours_of_week(each) for each in restriction.regular_hours),
        always=restriction == TariffRestriction(),
    )


def _band(lowest: Decimal | int | None, highest: Decimal | int | None, unit: int) -> tuple[int, int]:
    if lowest is None and highest is None:
        return _ALWAYS
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


def _joined(hours: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return the beginnings and ends of hours in turn, those that follow each other as one."""
    limits: list[int] = []
    for begin, end in sorted(hours):
        if limits and limits[-1] == begin:
            limits.pop()
        else:
            limits.append(begin)
        limits.append(end)
    return tuple(limits)


def _time_of_day(text: str) -> int:
    hour, minute = text.split(":")
    return (60 * int(hour) + int(minute)) * (_HOUR // 60)


# ---------------------------------------------------------------- pricing


class CompiledTariff:
    """An individual tariff, ready to price many sessions."""

    __slots__ = ("_currency", "_cuts", "_elements", "_fees_have_bands", "_items")

    def __init__(self, tariff: IndividualTariff) -> None:
        elements = [_element(place, each) for place, each in enumerate(tariff.elements)]
        self._currency = tariff.currency
        self._elements = elements
        self._items = {item: [each for each in elements if each.item is item] for item in BillingItem}
        self._cuts = _Cuts(
            energy=_limits(each.energy for each in elements),
            duration=_limits(each.duration for each in elements),
            dates=_limits(each.dates for each in elements),
            week=_limits(each.hours for each in elements),
        )
        fees = (*self._items[BillingItem.SERVICE_FEE], *self._items[BillingItem.POWER])
        self._fees_have_bands = any((each.energy, each.duration) != (_ALWAYS, _ALWAYS) for each in fees)

    def price(self, session: ChargingSession) -> Estimate:
        """Return the price of a session, as `price`."""
        try:
            quantities = self._quantities(session.numbers)
        except _UnknownPrice as unknown:
            return Estimate(None, self._currency, unknown.reason)
        if not quantities:
            return Estimate(None, self._currency, Unknown.NO_ELEMENT)
        elements = self._elements
        billed = tuple((elements[place], elements[place].value(quantities[place])) for place in sorted(quantities))
        total = sum(element.price * value for element, value in billed)
        return Estimate(_rounded(total, DECIMALS[self._currency]), self._currency, None, billed)

    def _quantities(self, session: Numbers) -> dict[int, int]:
        """Return what each element bills, by its place. Raises: _UnknownPrice."""
        charging, parking = _moments(self._cuts, session)
        power, start, items = session.power, charging[0], self._items
        found: dict[int, int] = {}
        if energy := items[BillingItem.ENERGY]:
            for moment, following in pairwise(charging):
                _add(found, energy, moment, power, following.energy - moment.energy)
        if usage := items[BillingItem.USAGE_TIME]:
            for moment, following in pairwise(charging):
                _add(found, usage, moment, power, following.duration - moment.duration)
        if stay := items[BillingItem.PARKING_TIME]:
            for moment, following in pairwise(parking):
                _add(found, stay, moment, power, following.duration - moment.duration)
        for moment in (*charging, *parking) if self._fees_have_bands else (start,):
            by_start = _Moment(moment.duration, moment.energy, start.at, start.week)
            if (fee := _first(items[BillingItem.SERVICE_FEE], by_start, power)) is not None:
                found[fee.place] = 1
            if (element := _first(items[BillingItem.POWER], by_start, power)) is not None:
                if power is None:
                    raise _UnknownPrice(Unknown.POWER)
                found[element.place] = power
        return found


def _add(found: dict[int, int], elements: list[Element], moment: _Moment, power: int | None, quantity: int) -> None:
    element = _first(elements, moment, power)
    if element is not None:
        found[element.place] = found.get(element.place, 0) + quantity


def _first(elements: list[Element], moment: _Moment, power: int | None) -> Element | None:
    for element in elements:
        if element.applies(moment, power):
            return element
    return None


def _rounded(cost: int, decimals: int) -> Decimal:
    """Return a sum of costs with so many decimals, rounded half away from zero."""
    unit = 10 ** (2 * _DECIMALS - decimals)
    number = (2 * abs(cost) + unit) // (2 * unit)
    return Decimal(number if cost >= 0 else -number).scaleb(-decimals, _EXACT)


# ---------------------------------------------------------------- moments


class _Cuts(NamedTuple):
    """Where conditions of a tariff begin or end."""

    energy: tuple[int, ...]
    duration: tuple[int, ...]
    dates: tuple[int, ...]
    week: tuple[int, ...]


def _limits(bands: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted({*chain.from_iterable(bands)} - {*_ALWAYS}))


def _moments(cuts: _Cuts, session: Numbers) -> tuple[list[_Moment], list[_Moment]]:
    """Return the moments of charging and those of parking, between which no condition of the tariff changes.

    Charging has its start and its end, even of no length. A moment cut by energy has that energy exactly.
    """
    start, charged, end, energy, _, offsets = session
    times = {*cuts.duration, *(date - start for date in cuts.dates)}
    if cuts.week:
        times.update(at - start for at in _week_cuts(cuts.week, offsets, start + end))
    points = {(time, energy * time // charged) for time in times if 0 < time < charged}
    points.update((charged * cut // energy, cut) for cut in cuts.energy if 0 < cut < energy)
    charging = [(0, 0), *sorted(points), (charged, energy)]
    parking = [(time, energy) for time in sorted({charged, end, *times}) if charged <= time <= end]
    return [_moment(*each, start, offsets) for each in charging], [_moment(*each, start, offsets) for each in parking]


def _moment(duration: int, energy: int, start: int, offsets: Sequence[Offset]) -> _Moment:
    at = start + duration
    for since, offset in reversed(offsets):
        if since <= at:
            return _Moment(duration, energy, at, _week(at, offset))
    return _Moment(duration, energy, at, None)


# ---------------------------------------------------------------- sessions and clocks


def _numbers(session: ChargingSession) -> Numbers:
    start = _since_epoch(session.start)
    charged = session.duration // _MICROSECOND
    end = charged + session.parking // _MICROSECOND
    power = None if session.power_kw is None else _whole(session.power_kw, _KILO)
    offsets = () if session.time_zone is None else _offsets(start, start + end, session.time_zone)
    return Numbers(start, charged, end, _whole(session.energy_kwh, _KILO), power, offsets)


def _week(at: int, offset: int) -> int:
    return (at + offset + _MONDAY) % _WEEK


def _week_cuts(week: Sequence[int], offsets: Sequence[Offset], end: int) -> Iterator[int]:
    """Return the instants at which the local clock shows a time of the week, or is put forward or back."""
    for (since, offset), (until, _) in pairwise((*offsets, (end, 0))):
        yield since
        monday = since - _week(since, offset)
        while monday < until:
            for cut in week[bisect_left(week, since - monday) : bisect_left(week, until - monday)]:
                yield monday + cut
            monday += _WEEK


def _offsets(start: int, end: int, zone: ZoneInfo) -> tuple[Offset, ...]:
    """Return the offsets during a session. No zone changes its offset twice within a day."""
    found = [Offset(start, _offset(start, zone))]
    for day, next_day in pairwise((*range(start, end, _DAY), end)):
        offset = _offset(next_day, zone)
        if offset != found[-1].offset:
            change = bisect_left(range(day, next_day), True, key=lambda at: _offset(at, zone) == offset)
            found.append(Offset(day + change, offset))
    return tuple(found)


def _offset(at: int, zone: ZoneInfo) -> int:
    instant = _EPOCH + at * _MICROSECOND
    return (instant.astimezone(zone).replace(tzinfo=UTC) - instant) // _MICROSECOND
