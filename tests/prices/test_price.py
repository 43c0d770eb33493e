"""The price of a session: the reference's examples, and every rule that the reference leaves open."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.prices.price import ChargingSession, Unknown, price
from app.records.tariff import IndividualTariff
from tests.prices.tariffs import (
    BERLIN,
    FIRST_EXAMPLE,
    MONDAY,
    SECOND_EXAMPLE,
    WEEK,
    WEEKEND,
    element,
    hours,
    individual,
    session,
)

DEFAULT = SECOND_EXAMPLE.for_provider(None)
FRIDAY = MONDAY.replace(day=16)
SATURDAY = MONDAY.replace(day=17)
SUNDAY = MONDAY.replace(day=18)


def values(tariff: IndividualTariff, priced: ChargingSession) -> dict[str, str]:
    """Return what is billed by price."""
    return {str(part.item_price): str(part.billing_value) for part in price(tariff, priced).parts}


def total(tariff: IndividualTariff, priced: ChargingSession) -> str:
    return str(price(tariff, priced).total)


# ---------------------------------------------------------------- the reference's worked examples


def test_first_example_bills_the_time_exactly() -> None:
    assert total(FIRST_EXAMPLE, session(90)) == "3.00"
    assert total(FIRST_EXAMPLE, session(40)) == "1.33"


@pytest.mark.parametrize(
    ("priced", "expected"),
    [
        (session(61, start=MONDAY, power_kw="3.7"), {"2.50": "1", "1.00": "1.25"}),
        (session(61, start=MONDAY, power_kw="22"), {"2.50": "1", "2.00": "1.2"}),
        (session(61, start=SUNDAY, power_kw="22"), {"2.50": "1", "1.25": "1.2"}),
        (
            session(60, start=MONDAY.replace(hour=16), power_kw="22", parking=120),
            {"2.50": "1", "2.00": "1", "5.00": "1"},
        ),
        (
            session(60, start=SATURDAY.replace(hour=8), power_kw="22", parking=68),
            {"2.50": "1", "1.25": "1", "6.00": "0.2"},
        ),
        (session(60, start=SUNDAY, power_kw="22", parking=600), {"2.50": "1", "1.25": "1"}),
    ],
)
def test_second_example(priced: ChargingSession, expected: dict[str, str]) -> None:
    assert values(DEFAULT, priced) == expected


def test_second_example_has_another_price_for_one_provider() -> None:
    assert total(SECOND_EXAMPLE.for_provider("DE8AA"), session(90, power_kw="22")) == "3.00"
    assert total(SECOND_EXAMPLE.for_provider("DE8AB"), session(90, power_kw="22")) == "5.70"


def test_bills_8_minutes_as_12_in_steps_of_a_tenth_of_an_hour() -> None:
    assert values(individual(element("PARKING_TIME", "5", "0.1")), session(0, parking=8)) == {"5": "0.2"}


# ---------------------------------------------------------------- unknown is never 0


def test_is_unknown_where_the_power_matters_and_is_not_given() -> None:
    assert price(DEFAULT, session(60)).reason is Unknown.POWER
    assert price(DEFAULT, session(60)).total is None
    assert price(individual(element("POWER", "1")), session(60)).reason is Unknown.POWER


def test_needs_no_power_where_an_earlier_element_decides() -> None:
    tariff = individual(element("USAGE_TIME", "1"), element("USAGE_TIME", "2", maxPowerKw="11"))
    assert total(tariff, session(60)) == "1.00"


def test_is_unknown_where_the_hour_matters_and_the_time_zone_is_not_known() -> None:
    somewhere = replace(session(60, power_kw="22"), time_zone=None)
    assert price(DEFAULT, somewhere).reason is Unknown.TIME_ZONE
    assert total(FIRST_EXAMPLE, somewhere) == "2.00"


def test_is_unknown_where_nothing_applies_and_0_where_the_tariff_says_so() -> None:
    expired = individual(element("ENERGY", "0.40", end="2026-01-01T00:00:00Z"))
    assert price(expired, session(60, "10")).reason is Unknown.NO_ELEMENT
    assert price(individual(element("RESERVATION", "3", "1")), session(60)).reason is Unknown.NO_ELEMENT
    assert total(individual(element("ENERGY", "0")), session(60, "10")) == "0.00"


# ---------------------------------------------------------------- the silences of the protocol


def test_counts_the_first_of_several_elements_that_apply() -> None:
    night = element("ENERGY", "0.30", regularHours=hours(range(1, 8), "00:00", "06:00"))
    day = element("ENERGY", "0.50")
    priced = session(120, "20", start=MONDAY.replace(hour=5))
    assert values(individual(night, day), priced) == {"0.30": "10", "0.50": "10"}
    assert values(individual(day, night), priced) == {"0.50": "20"}


@pytest.mark.parametrize(
    ("name", "limit", "priced"),
    [
        ("PowerKw", "11", session(60, "10", power_kw="11")),
        ("EnergyKwh", "10", session(60, "10", parking=60)),
        ("DurationSeconds", 3_600, session(60, "10", parking=60)),
    ],
)
def test_bands_include_their_minimum_and_exclude_their_maximum(name: str, limit: Any, priced: ChargingSession) -> None:
    bands = individual(
        element("PARKING_TIME", "1", **{f"max{name}": limit}), element("PARKING_TIME", "2", **{f"min{name}": limit})
    )
    assert values(bands, replace(priced, parking=priced.duration)) == {"2": "1"}


def test_counts_energy_and_duration_from_the_start_of_the_session() -> None:
    tariff = individual(
        element("ENERGY", "0.50", maxEnergyKwh="5"),
        element("ENERGY", "0.40", minEnergyKwh="5"),
        element("PARKING_TIME", "6", minDurationSeconds=5_400),
    )
    assert values(tariff, session(60, "12", parking=60)) == {"0.50": "5", "0.40": "7", "6": "0.5"}


def test_rounds_up_the_sum_of_an_element_once_per_session() -> None:
    """Friday 23:50 to Saturday 00:10 takes two elements; two nights of one element are one sum."""
    week = element("USAGE_TIME", "2", "0.2", regularHours=hours(WEEK, "00:00", "24:00"))
    weekend = element("USAGE_TIME", "1", "0.2", regularHours=hours(WEEKEND, "00:00", "24:00"))
    late = session(20, start=FRIDAY.replace(hour=23, minute=50))
    assert values(individual(week, weekend), late) == {"2": "0.2", "1": "0.2"}
    nightly = element("USAGE_TIME", "1", "1", regularHours=hours((1, 2), "00:00", "00:20"))
    assert values(individual(nightly), session(48 * 60)) == {"1": "1"}


def test_bills_a_fee_by_the_clock_of_the_start() -> None:
    week = element("SERVICE_FEE", "2", "1", regularHours=hours(WEEK, "00:00", "24:00"))
    weekend = element("SERVICE_FEE", "3", "1", regularHours=hours(WEEKEND, "00:00", "24:00"))
    late = session(20, start=FRIDAY.replace(hour=23, minute=50))
    assert values(individual(week, weekend), late) == {"2": "1"}
    long = element("SERVICE_FEE", "9", "1", minDurationSeconds=86_400)
    assert values(individual(long, week, weekend), late) == {"2": "1"}


def test_bills_a_fee_of_a_band_once_the_session_reaches_it() -> None:
    tariff = individual(element("SERVICE_FEE", "5", "1", minDurationSeconds=7_200), element("SERVICE_FEE", "1", "1"))
    assert values(tariff, session(60, parking=59)) == {"1": "1"}
    assert values(tariff, session(60, parking=60)) == {"5": "1", "1": "1"}


def test_bills_the_power_in_steps() -> None:
    assert values(individual(element("POWER", "0.10", "5")), session(60, power_kw="22")) == {"0.10": "25"}


def test_spreads_energy_evenly_over_the_time_of_charging() -> None:
    evening = element("ENERGY", "1", regularHours=hours(WEEK, "00:00", "18:00"))
    night = element("ENERGY", "2", regularHours=hours(WEEK, "18:00", "24:00"))
    priced = session(90, "10", start=MONDAY.replace(hour=17, minute=30), parking=300)
    assert values(individual(evening, night), priced) == {"1": "3.333333", "2": "6.666667"}


def test_takes_energy_without_time_at_the_start() -> None:
    tariff = individual(element("ENERGY", "1", maxEnergyKwh="4"), element("ENERGY", "2"))
    assert values(tariff, session(0, "10")) == {"1": "4", "2": "6"}


def test_reads_hours_from_the_clock_at_the_location_when_it_is_put_back() -> None:
    """The hour from 02:00 comes twice; so does its first half."""
    night = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    first_half = individual(element("USAGE_TIME", "1", regularHours=hours((7,), "02:00", "02:30")))
    rest = individual(element("USAGE_TIME", "1", regularHours=hours((7,), "02:30", "03:30")))
    assert total(first_half, session(240, start=night)) == "1.00"
    assert total(rest, session(240, start=night)) == "1.50"


def test_reads_hours_from_the_clock_at_the_location_when_it_is_put_forward() -> None:
    """After 01:59 comes 03:00."""
    night = datetime(2026, 3, 29, 0, 30, tzinfo=BERLIN)
    for begin, end, expected in (("02:00", "03:00", None), ("01:30", "02:30", "0.50"), ("02:30", "03:30", "0.50")):
        tariff = individual(element("USAGE_TIME", "1", regularHours=hours((7,), begin, end)))
        assert price(tariff, session(240, start=night)).total == (expected and Decimal(expected)), begin


def test_takes_dates_as_instants_and_excludes_the_end() -> None:
    until = element("USAGE_TIME", "1", end="2026-01-12T09:00:00+01:00")
    since = element("USAGE_TIME", "2", start="2026-01-12T08:00:00Z")
    priced = session(60, start=datetime(2026, 1, 12, 7, 45, tzinfo=UTC))
    assert values(individual(until, since), priced) == {"1": "0.25", "2": "0.75"}


# ---------------------------------------------------------------- exact


@pytest.mark.parametrize(
    ("currency", "expected"), [("JPY", "4"), ("ISK", "4"), ("EUR", "3.50"), ("BHD", "3.500"), ("KWD", "3.500")]
)
def test_has_the_decimals_of_the_currency_and_rounds_half_up(currency: str, expected: str) -> None:
    assert total(individual(element("ENERGY", "0.35"), currency=currency), session(60, "10")) == expected


def test_is_exact_for_the_largest_price_and_the_smallest() -> None:
    largest = individual(element("ENERGY", "99999999999999.9999"))
    [part] = price(largest, session(60, "0.000001")).parts
    assert str(part.cost) == "99999999.9999999999"
    assert total(largest, session(60, "999999.999999")) == "99999999999899999900.00"
    [part] = price(individual(element("ENERGY", "0.0001")), session(60, "1")).parts
    assert str(part.cost) == "0.0001"


def test_takes_discounts() -> None:
    tariff = individual(element("ENERGY", "0.40"), element("SERVICE_FEE", "-1.00", "1", minEnergyKwh="10"))
    assert total(tariff, session(60, "9.9")) == "3.96"
    assert total(tariff, session(60, "10")) == "3.00"
