"""Laws of prices, for any tariff whose prices are not negative."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.prices.price import VALUE_DECIMALS, ChargingSession, Estimate, price
from app.records.tariff import IndividualTariff
from app.vocabulary import BillingItem
from tests.length import rounds
from tests.prices import by_minute
from tests.prices.tariffs import (
    ANY_ELEMENT,
    ANY_TARIFF,
    DATES,
    DURATION_BANDS,
    ENERGY_BANDS,
    HOURS,
    POWER_BANDS,
    elements,
    individual,
    sessions,
    tariffs,
)

#: The largest error of a value without steps.
HALF = Decimal("0.5").scaleb(-VALUE_DECIMALS)
often = settings(max_examples=rounds(60, full=3_000), deadline=None)


def known(tariff: IndividualTariff, session: ChargingSession) -> Decimal:
    """Return the total of a session; sessions without a price are no examples."""
    total = price(tariff, session).total
    assume(total is not None)
    assert total is not None
    return total


def sum_of_costs(estimate: Estimate) -> Decimal:
    return sum((part.cost for part in estimate.parts), Decimal(0))


@settings(max_examples=rounds(80, full=2_000), deadline=None)
@given(ANY_TARIFF, sessions(most_minutes=200, most_tenths=1))
def test_agrees_with_a_clock_that_ticks_every_minute(tariff: IndividualTariff, session: ChargingSession) -> None:
    assume(session.duration)
    expected = by_minute.quantities(tariff, session)
    found = price(tariff, session)
    assert len(found.parts) == len(expected)
    for part, (place, exact) in zip(found.parts, sorted(expected.items()), strict=True):
        element = tariff.elements[place]
        assert (part.billing_item, part.item_price) == (element.billing_item, element.item_price)
        if element.step_size and element.billing_item is not BillingItem.SERVICE_FEE:
            exact = -(-exact // Fraction(element.step_size)) * Fraction(element.step_size)
        assert abs(Fraction(part.billing_value) - exact) <= Fraction(HALF)


@often
@given(ANY_TARIFF, sessions(), st.data())
def test_never_falls_while_a_session_goes_on(tariff: IndividualTariff, session: ChargingSession, data: Any) -> None:
    minutes = data.draw(st.integers(0, session.duration // by_minute.MINUTE))
    rate = session.energy_kwh / (session.duration // by_minute.MINUTE) if session.duration else Decimal(0)
    sooner = replace(
        session,
        duration=timedelta(minutes=minutes),
        energy_kwh=rate * minutes if minutes else Decimal(0),
        parking=timedelta(),
    )
    assert known(tariff, sooner) <= known(tariff, session)


@often
@given(ANY_TARIFF, sessions(), st.integers(0, 500))
def test_never_falls_with_longer_parking(tariff: IndividualTariff, session: ChargingSession, more: int) -> None:
    longer = replace(session, parking=session.parking + timedelta(minutes=more))
    assert known(tariff, session) <= known(tariff, longer)


@often
@given(
    tariffs(
        elements(("ENERGY", "SERVICE_FEE", "POWER"), (ENERGY_BANDS, POWER_BANDS)),
        elements(("USAGE_TIME", "PARKING_TIME"), (DURATION_BANDS, POWER_BANDS, DATES, HOURS)),
    ),
    sessions(),
    st.integers(0, 100),
)
def test_never_falls_with_more_energy(tariff: IndividualTariff, session: ChargingSession, more: int) -> None:
    """Where prices of time do not depend on energy and those of energy not on time: else more energy in the same time
    may reach a cheaper band sooner."""
    assert known(tariff, session) <= known(tariff, replace(session, energy_kwh=session.energy_kwh + more))


@often
@given(
    tariffs(
        elements(("ENERGY",), (ENERGY_BANDS, POWER_BANDS)),
        elements(("USAGE_TIME", "SERVICE_FEE", "POWER"), (DURATION_BANDS, POWER_BANDS, DATES, HOURS)),
    ),
    sessions(),
    st.integers(0, 500),
)
def test_never_falls_with_longer_charging(tariff: IndividualTariff, session: ChargingSession, more: int) -> None:
    session = replace(session, parking=timedelta())
    longer = replace(session, duration=session.duration + timedelta(minutes=more))
    assert known(tariff, session) <= known(tariff, longer)


LIMITS = {
    "EnergyKwh": st.integers(1, 5_000).map(lambda each: str(Decimal(each).scaleb(-2))),
    "DurationSeconds": st.integers(1, 40_000),
}


@often
@given(
    st.lists(ANY_ELEMENT, max_size=5),
    elements(("ENERGY", "USAGE_TIME", "PARKING_TIME"), (POWER_BANDS, DATES, HOURS)),
    st.integers(0, 5),
    st.sampled_from(list(LIMITS)),
    st.data(),
    sessions(),
)
def test_adds_up_over_bands(
    others: list[Any], split: dict[str, Any], place: int, name: str, data: Any, session: ChargingSession
) -> None:
    limit = data.draw(LIMITS[name])
    whole: dict[str, Any] = split | {"stepSize": "0"}
    below, above = (whole | {"restriction": {**whole["restriction"], f"{end}{name}": limit}} for end in ("max", "min"))
    expected = price(individual(*others[:place], whole, *others[place:]), session)
    found = price(individual(*others[:place], below, above, *others[place:]), session)
    assert abs(sum_of_costs(expected) - sum_of_costs(found)) <= 3 * HALF * Decimal(split["itemPrice"])
    assert expected.reason == found.reason


@often
@given(st.lists(ANY_ELEMENT, min_size=1, max_size=8), sessions(), st.integers(0, 8))
def test_has_step_0_as_the_limit_of_small_steps(sent: list[Any], session: ChargingSession, decimals: int) -> None:
    step = Decimal(1).scaleb(-decimals)

    def with_step(size: Decimal) -> Estimate:
        changed = [
            each if each["billingItem"] == "SERVICE_FEE" else each | {"stepSize": format(size, "f")} for each in sent
        ]
        return price(individual(*changed), session)

    for exact, stepped in zip(with_step(Decimal(0)).parts, with_step(step).parts, strict=True):
        assert -HALF <= stepped.billing_value - exact.billing_value <= step + HALF


@often
@given(ANY_TARIFF, sessions())
def test_is_the_sum_of_its_parts(tariff: IndividualTariff, session: ChargingSession) -> None:
    found = price(tariff, session)
    assert (found.total is None) == (found.parts == ())
    for part in found.parts:
        assert part.cost == part.billing_value * part.item_price
    if found.total is not None:
        assert abs(found.total - sum_of_costs(found)) <= Decimal("0.005")
        assert -found.total.as_tuple().exponent == 2  # type: ignore[operator]
