"""Tariffs and sessions for tests of prices: written briefly, made by Hypothesis, and the reference's examples."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from app.prices.price import ChargingSession
from app.records.tariff import IndividualTariff, Tariff
from app.records.tariff_input import read_tariff

BERLIN = ZoneInfo("Europe/Berlin")
#: A Monday in winter.
MONDAY = datetime(2026, 1, 12, tzinfo=BERLIN)


def element(billing_item: str, price: str, step: str = "0", **restriction: Any) -> dict[str, Any]:
    """Return an element as it is sent."""
    return {"billingItem": billing_item, "itemPrice": price, "stepSize": step, "restriction": restriction}


def hours(weekdays: Iterable[int], begin: str, end: str) -> list[dict[str, Any]]:
    """Return the same hours on several weekdays, as they are sent."""
    return [{"weekday": weekday, "begin": begin, "end": end} for weekday in weekdays]


def tariff_of(*individual_tariffs: dict[str, Any]) -> Tariff:
    """Return a tariff with an id, checked as an upload is."""
    read = read_tariff({"tariffId": "DE*8AC*T1", "individualTariffs": list(individual_tariffs)}, 0)
    assert isinstance(read, Tariff), read
    return read


def individual(*elements: dict[str, Any], currency: str = "EUR") -> IndividualTariff:
    """Return an individual tariff for everyone."""
    return tariff_of({"currency": currency, "elements": list(elements)}).for_provider(None)


def session(
    minutes: float, energy_kwh: str = "0", *, start: datetime = MONDAY, parking: int = 0, power_kw: str | None = None
) -> ChargingSession:
    """Return a session in Berlin."""
    return ChargingSession(
        start=start,
        energy_kwh=Decimal(energy_kwh),
        duration=timedelta(minutes=minutes),
        parking=timedelta(minutes=parking),
        power_kw=None if power_kw is None else Decimal(power_kw),
        time_zone=BERLIN,
    )


#: Source: OCHP 1.4, worked examples.
FIRST_EXAMPLE = individual(element("USAGE_TIME", "2.00"))
WEEK, WEEKEND = range(1, 6), (6, 7)
SECOND_EXAMPLE = tariff_of(
    {
        "currency": "EUR",
        "elements": [
            element("SERVICE_FEE", "2.50", "1"),
            element("USAGE_TIME", "1.00", "0.25", maxPowerKw="11"),
            element("USAGE_TIME", "2.00", "0.2", minPowerKw="11", regularHours=hours(WEEK, "00:00", "24:00")),
            element("USAGE_TIME", "1.25", "0.2", minPowerKw="11", regularHours=hours(WEEKEND, "00:00", "24:00")),
            element("PARKING_TIME", "5.00", "0.1", regularHours=hours(WEEK, "09:00", "18:00")),
            element("PARKING_TIME", "6.00", "0.1", regularHours=hours((6,), "10:00", "17:00")),
        ],
    },
    {"recipients": ["DE-8AA"], "currency": "EUR", "elements": [element("USAGE_TIME", "2.00")]},
)


# ---------------------------------------------------------------- made by Hypothesis
# All limits are whole minutes and tenths of a kWh, so that `tests.prices.by_minute` meets them.

PRICES = st.integers(0, 1_000_000).map(lambda each: str(Decimal(each).scaleb(-4)))
STEPS = st.sampled_from(["0", "0.1", "0.25", "1", "0.0003"])
Restriction = dict[str, Any]


def _bands(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Restriction]:
    """Return a minimum, a maximum, or both."""
    low, high = f"min{name}", f"max{name}"
    both = st.lists(values, min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        values.map(lambda each: {low: each}),
        values.filter(lambda each: float(each) > 0).map(lambda each: {high: each}),
        both.map(lambda each: {low: each[0], high: each[1]}),
    )


def _tenths(most: int) -> st.SearchStrategy[str]:
    return st.integers(0, most * 10).map(lambda each: f"{each // 10:02}.{each % 10}")


INSTANTS = st.integers(0, 14 * 1_440).map(
    lambda minutes: datetime(2026, 3, 22, tzinfo=UTC) + timedelta(minutes=minutes)
)
ENERGY_BANDS = _bands("EnergyKwh", _tenths(60))
DURATION_BANDS = _bands("DurationSeconds", st.integers(0, 700).map(lambda minutes: minutes * 60))
POWER_BANDS = _bands("PowerKw", _tenths(50))
DATES = st.one_of(
    INSTANTS.map(lambda each: {"start": each.isoformat()}), INSTANTS.map(lambda each: {"end": each.isoformat()})
)
HOURS = st.builds(
    lambda days, limits: {"regularHours": hours(days, *(f"{each // 60:02}:{each % 60:02}" for each in sorted(limits)))},
    st.sets(st.integers(1, 7), min_size=1),
    st.sets(st.integers(0, 1_440), min_size=2, max_size=2),
)
ALL_BANDS = (ENERGY_BANDS, DURATION_BANDS, POWER_BANDS, DATES, HOURS)


@st.composite
def elements(
    draw: st.DrawFn, items: Iterable[str], restrictions: Iterable[st.SearchStrategy[Restriction]]
) -> dict[str, Any]:
    """Return an element of a price that is not negative, with some of the restrictions."""
    item = draw(st.sampled_from(list(items)))
    restriction: Restriction = {}
    for each in restrictions:
        if draw(st.sampled_from([False, False, True])):
            restriction |= draw(each)
    return element(item, draw(PRICES), "1" if item == "SERVICE_FEE" else draw(STEPS), **restriction)


def tariffs(*kinds: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[IndividualTariff]:
    """Return an individual tariff with elements of these kinds."""
    return st.lists(st.one_of(*kinds), min_size=1, max_size=8).map(lambda each: individual(*each))


#: Whatever restrictions can say, around the change to summer time.
ANY_ELEMENT = elements(("SERVICE_FEE", "POWER", "ENERGY", "USAGE_TIME", "PARKING_TIME"), ALL_BANDS)
ANY_TARIFF = tariffs(ANY_ELEMENT)


@st.composite
def sessions(draw: st.DrawFn, most_minutes: int = 700, most_tenths: int = 10) -> ChargingSession:
    """Return a session around the change to summer time in Berlin, in whole minutes and tenths of a kWh per minute."""
    minutes = draw(st.integers(0, most_minutes))
    return ChargingSession(
        start=draw(INSTANTS),
        energy_kwh=draw(st.integers(0, most_tenths)) * minutes * Decimal("0.1"),
        duration=timedelta(minutes=minutes),
        parking=timedelta(minutes=draw(st.sampled_from([0, 0, 1, 90, most_minutes]))),
        power_kw=Decimal(draw(st.integers(1, 50))),
        time_zone=BERLIN,
    )
