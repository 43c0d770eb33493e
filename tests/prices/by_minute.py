"""A second opinion on prices: a clock that ticks every minute. For sessions and limits in whole minutes only."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from app.prices.price import ChargingSession
from app.records.tariff import IndividualTariff, TariffElement
from app.vocabulary import BillingItem

MINUTE = timedelta(minutes=1)


def quantities(tariff: IndividualTariff, session: ChargingSession) -> dict[int, Fraction]:
    """Return what each element bills before it is rounded up to steps, in the unit of its price, by its place."""
    found: dict[int, Fraction] = {}
    minutes, parked = session.duration // MINUTE, session.parking // MINUTE
    energy = [session.energy_kwh * min(each, minutes) / minutes for each in range(minutes + parked + 1)]

    def first(item: BillingItem, minute: int, at: datetime) -> int | None:
        applying = (
            place
            for place, element in enumerate(tariff.elements)
            if element.billing_item is item and _applies(element, session, at, minute * MINUTE, energy[minute])
        )
        return next(applying, None)

    for minute in range(minutes + parked):
        for item, quantity in (
            (BillingItem.USAGE_TIME, Fraction(1, 60)),
            (BillingItem.ENERGY, Fraction(session.energy_kwh) / minutes),
            (BillingItem.PARKING_TIME, Fraction(1, 60)),
        ):
            place = first(item, minute, session.start + minute * MINUTE)
            if place is not None and (item is BillingItem.PARKING_TIME) == (minute >= minutes):
                found[place] = found.get(place, Fraction(0)) + quantity
    for minute in range(minutes + parked + 1):
        for item, quantity in ((BillingItem.SERVICE_FEE, Decimal(1)), (BillingItem.POWER, session.power_kw)):
            place = first(item, minute, session.start)
            if place is not None and quantity is not None:
                found[place] = Fraction(quantity)
    return found


def _applies(
    element: TariffElement, session: ChargingSession, at: datetime, elapsed: timedelta, energy: Decimal
) -> bool:
    limits = element.restriction
    if limits is None:
        return True
    assert session.power_kw is not None
    local = at.astimezone(session.time_zone)
    clock = f"{local:%H:%M}"
    return all(
        (
            (limits.min_energy_kwh or 0) <= energy
            and (limits.max_energy_kwh is None or energy < limits.max_energy_kwh),
            (limits.min_power_kw or 0) <= session.power_kw,
            limits.max_power_kw is None or session.power_kw < limits.max_power_kw,
            (limits.min_duration_seconds or 0) <= elapsed.total_seconds(),
            limits.max_duration_seconds is None or elapsed.total_seconds() < limits.max_duration_seconds,
            limits.start is None or limits.start <= at,
            limits.end is None or at < limits.end,
            not limits.regular_hours
            or any(
                each.weekday == local.isoweekday() and each.begin <= clock < each.end for each in limits.regular_hours
            ),
        )
    )
