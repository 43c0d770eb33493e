"""One tariff of an upload: every limit at its edge, every flaw named with its path, nothing raised."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.records.charge_point import RegularHours
from app.records.currency import DECIMALS
from app.records.tariff import IndividualTariff, Tariff, TariffElement, TariffRestriction
from app.records.tariff_input import MOST_ELEMENTS, MOST_INDIVIDUAL_TARIFFS, read_tariff
from app.uploads.checks import Refusal
from app.vocabulary import BillingItem
from tests.length import rounds

ELEMENT: dict[str, Any] = {"billingItem": "ENERGY", "itemPrice": "0.40", "stepSize": "0"}
LEAST: dict[str, Any] = {"tariffId": "de*8ac*t1", "individualTariffs": [{"currency": "EUR", "elements": [ELEMENT]}]}
RESTRICTION: dict[str, Any] = {
    "regularHours": [
        {"weekday": 2, "begin": "09:00", "end": "24:00"},
        {"weekday": 1, "begin": "09:00", "end": "18:00"},
    ],
    "start": "2026-01-01T00:00:00+01:00",
    "end": "2027-01-01T00:00:00+01:00",
    "minEnergyKwh": "0",
    "maxEnergyKwh": "10.5",
    "minPowerKw": "11",
    "maxPowerKw": "22",
    "minDurationSeconds": 0,
    "maxDurationSeconds": 3600,
}
FEE: dict[str, Any] = {"billingItem": "SERVICE_FEE", "itemPrice": "-1.5", "stepSize": "1", "restriction": RESTRICTION}
MOST: dict[str, Any] = {
    "tariffId": "DE8ACT123456789*",
    "individualTariffs": [
        {"recipients": ["de-abc", "DE*8AA"], "currency": "JPY", "elements": [FEE, ELEMENT]},
        {"recipients": [], "currency": "EUR", "elements": [ELEMENT]},
    ],
}


def accepted(raw: Any) -> Tariff:
    read = read_tariff(raw, 0)
    assert isinstance(read, Tariff), read
    return read


def refused(raw: Any) -> dict[str, str]:
    """Return the codes of the refusals by path, below the item."""
    read = read_tariff(raw, 7)
    assert isinstance(read, list)
    assert read
    assert all(isinstance(each, Refusal) and each.index == 7 and each.message for each in read)
    return {each.path.removeprefix("tariffs[7]."): each.code for each in read}


def changed(where: str, value: Any, raw: dict[str, Any] = MOST) -> dict[str, Any]:
    """Return a copy with another value at a path; `...` deletes the field."""
    item: Any = json.loads(json.dumps(raw))
    *way, last = where.replace("[", ".").replace("]", "").split(".")
    inner = item
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    if value is ...:
        del inner[last]
    else:
        inner[int(last) if last.isdigit() else last] = value
    return item


FIRST = "individualTariffs[0]"
LIMITS = f"{FIRST}.elements[0].restriction"


def test_gives_what_was_sent_normalised() -> None:
    assert accepted(MOST) == Tariff(
        tariff_id="DE8ACT123456789*",
        individual_tariffs=(
            IndividualTariff(
                recipients=("DE8AA", "DEABC"),
                currency="JPY",
                elements=(
                    TariffElement(
                        billing_item=BillingItem.SERVICE_FEE,
                        item_price=Decimal("-1.5"),
                        step_size=Decimal(1),
                        restriction=TariffRestriction(
                            regular_hours=(
                                RegularHours(weekday=1, begin="09:00", end="18:00"),
                                RegularHours(weekday=2, begin="09:00", end="24:00"),
                            ),
                            start=datetime(2025, 12, 31, 23, tzinfo=UTC),
                            end=datetime(2026, 12, 31, 23, tzinfo=UTC),
                            min_energy_kwh=Decimal(0),
                            max_energy_kwh=Decimal("10.5"),
                            min_power_kw=Decimal(11),
                            max_power_kw=Decimal(22),
                            min_duration_seconds=0,
                            max_duration_seconds=3600,
                        ),
                    ),
                    TariffElement(billing_item=BillingItem.ENERGY, item_price=Decimal("0.40"), step_size=Decimal(0)),
                ),
            ),
            IndividualTariff(
                currency="EUR",
                elements=(
                    TariffElement(billing_item=BillingItem.ENERGY, item_price=Decimal("0.40"), step_size=Decimal(0)),
                ),
            ),
        ),
    )


def test_survives_storage_as_json_with_every_digit() -> None:
    tariff = accepted(changed(f"{FIRST}.elements[1].itemPrice", "99999999999999.99990000"))
    stored = msgspec.json.encode(tariff)
    assert b'"99999999999999.99990000"' in stored
    assert msgspec.json.decode(stored, type=Tariff) == tariff


def test_takes_nulls_for_absent_fields_and_no_condition_for_no_restriction() -> None:
    nulls = dict.fromkeys(RESTRICTION)
    assert accepted(changed(LIMITS, nulls)) == accepted(changed(LIMITS, {})) == accepted(changed(LIMITS, ...))
    assert accepted(changed("individualTariffs[1].recipients", None)) == accepted(MOST)


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("tariffId", "DE*8AC*E1", {"tariffId": "INVALID_ID"}),
        ("tariffId", ..., {"tariffId": "REQUIRED"}),
        ("individualTariffs", [], {"individualTariffs": "EMPTY"}),
        (f"{FIRST}.recipients", [], {"individualTariffs": "EXACTLY_ONE"}),
        ("individualTariffs[1].recipients", ["DEXYZ"], {"individualTariffs": "EXACTLY_ONE"}),
        (f"{FIRST}.recipients", ["DEABC", "de*abc"], {f"{FIRST}.recipients[1]": "DUPLICATE"}),
        (f"{FIRST}.recipients", ["DE"], {f"{FIRST}.recipients[0]": "INVALID_ID"}),
        (f"{FIRST}.currency", "EUX", {f"{FIRST}.currency": "UNKNOWN_VALUE"}),
        (f"{FIRST}.currency", "eur", {f"{FIRST}.currency": "UNKNOWN_VALUE"}),
        (f"{FIRST}.elements", [], {f"{FIRST}.elements": "EMPTY"}),
        (f"{FIRST}.elements", [ELEMENT] * (MOST_ELEMENTS + 1), {f"{FIRST}.elements": "TOO_MANY"}),
        (f"{FIRST}.elements[0].billingItem", "COFFEE", {f"{FIRST}.elements[0].billingItem": "UNKNOWN_VALUE"}),
        (f"{FIRST}.elements[0].itemPrice", 0.4, {f"{FIRST}.elements[0].itemPrice": "WRONG_TYPE"}),
        (f"{FIRST}.elements[0].itemPrice", 1, {f"{FIRST}.elements[0].itemPrice": "WRONG_TYPE"}),
        (f"{FIRST}.elements[0].itemPrice", "1e3", {f"{FIRST}.elements[0].itemPrice": "PATTERN"}),
        (f"{FIRST}.elements[0].itemPrice", "NaN", {f"{FIRST}.elements[0].itemPrice": "PATTERN"}),
        (f"{FIRST}.elements[0].itemPrice", "1" * 15, {f"{FIRST}.elements[0].itemPrice": "PATTERN"}),
        (f"{FIRST}.elements[0].itemPrice", "0.123456789", {f"{FIRST}.elements[0].itemPrice": "PATTERN"}),
        (f"{FIRST}.elements[0].stepSize", "2", {f"{FIRST}.elements[0].stepSize": "OUT_OF_RANGE"}),
        (f"{FIRST}.elements[1].stepSize", "-1", {f"{FIRST}.elements[1].stepSize": "PATTERN"}),
        (f"{LIMITS}.maxEnergyKwh", "0", {f"{LIMITS}.maxEnergyKwh": "ORDER"}),
        (f"{LIMITS}.minPowerKw", "22.0", {f"{LIMITS}.maxPowerKw": "ORDER"}),
        (f"{LIMITS}.minDurationSeconds", 3600, {f"{LIMITS}.maxDurationSeconds": "ORDER"}),
        (f"{LIMITS}.minDurationSeconds", -1, {f"{LIMITS}.minDurationSeconds": "OUT_OF_RANGE"}),
        (f"{LIMITS}.start", "2027-01-01T00:00:00+01:00", {f"{LIMITS}.end": "ORDER"}),
        (f"{LIMITS}.start", "2026-01-01", {f"{LIMITS}.start": "PATTERN"}),
        (f"{LIMITS}.end", "2300-01-01T00:00:00Z", {f"{LIMITS}.end": "OUT_OF_RANGE"}),
        (f"{LIMITS}.regularHours[0].end", "09:00", {f"{LIMITS}.regularHours[0].end": "ORDER"}),
        (f"{LIMITS}.regularHours[0].weekday", 1, {f"{LIMITS}.regularHours[1]": "OVERLAP"}),
        (f"{LIMITS}.regularHours[0].weekday", 8, {f"{LIMITS}.regularHours[0].weekday": "OUT_OF_RANGE"}),
        (f"{LIMITS}.price", "1", {f"{LIMITS}.price": "UNKNOWN_FIELD"}),
    ],
)
def test_refuses(where: str, value: Any, expected: dict[str, str]) -> None:
    assert refused(changed(where, value)) == expected


def test_takes_two_hours_per_weekday_and_no_more() -> None:
    def on(weekday: int, count: int) -> list[dict[str, Any]]:
        return [
            {"weekday": weekday, "begin": f"{2 * each:02}:00", "end": f"{2 * each + 1:02}:00"} for each in range(count)
        ]

    fourteen = [each for weekday in range(1, 8) for each in on(weekday, 2)]
    assert accepted(changed(f"{LIMITS}.regularHours", fourteen))
    assert refused(changed(f"{LIMITS}.regularHours", on(3, 3))) == {f"{LIMITS}.regularHours[2]": "TOO_MANY"}
    assert refused(changed(f"{LIMITS}.regularHours", fourteen + on(7, 3)[2:])) == {
        f"{LIMITS}.regularHours": "TOO_MANY",
        f"{LIMITS}.regularHours[14]": "TOO_MANY",
    }


def test_takes_a_thousand_individual_tariffs() -> None:
    [default] = LEAST["individualTariffs"]
    many = [default | {"recipients": [f"DE{number:03}"]} for number in range(MOST_INDIVIDUAL_TARIFFS - 1)]
    assert accepted(LEAST | {"individualTariffs": [default, *many]})
    one_more = [default, *many, default | {"recipients": ["FR000"]}]
    assert refused(LEAST | {"individualTariffs": one_more}) == {"individualTariffs": "TOO_MANY"}


def test_gives_a_provider_its_own_individual_tariff_else_the_default() -> None:
    tariff = accepted(MOST)
    assert tariff.for_provider("DEABC").currency == "JPY"
    assert tariff.for_provider("DEXYZ").currency == tariff.for_provider(None).currency == "EUR"


def test_knows_the_decimals_of_currencies() -> None:
    assert [DECIMALS[code] for code in ("JPY", "EUR", "CHF", "KWD")] == [0, 2, 2, 3]
    assert all(len(code) == 3 and code.isupper() for code in DECIMALS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MOST, *FEE, *RESTRICTION]), inner),
    max_leaves=8,
)
PATHS = ["tariffId", "individualTariffs", FIRST, f"{FIRST}.recipients", f"{FIRST}.elements", LIMITS]


@settings(max_examples=rounds(40, full=2_000), deadline=None)
@given(st.sampled_from(PATHS), JSON)
def test_never_raises(where: str, value: Any) -> None:
    read = read_tariff(changed(where, value), 0)
    assert isinstance(read, Tariff) or (read and all(isinstance(each, Refusal) for each in read))


@given(JSON)
def test_never_raises_on_any_value(value: Any) -> None:
    read = read_tariff(value, 0)
    assert isinstance(read, list)
    assert read
