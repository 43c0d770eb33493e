"""From one item of `tariffs`, as plain JSON values, to a checked tariff or to what is wrong with it.

Decisions (*hub*: the reference is silent)
- Decimals are texts; a number is refused, since it may have been a float on its way. Prices may be negative.
- A tariff has at most 1,000 individual tariffs, each of at most 100 elements, and 1,000 recipients in all.
- A restriction without any condition is the same as none.
- Fees have no unit to divide: their step is 0 or 1.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from app.ids import normalise_party_id, normalise_tariff_id, separated_party_id, storable
from app.records.base import Record
from app.records.charge_point import RegularHours
from app.records.charge_point_input import MOST_REFUSALS, by_day, hours_flaws, id_flaws, without_nulls, year_flaws
from app.records.currency import DECIMALS
from app.records.tariff import IndividualTariff, Tariff, TariffElement, TariffRestriction
from app.uploads.checks import (
    AtLeastOne,
    Flaw,
    Instant,
    Refusal,
    RefusalCode,
    Seconds,
    SignedDecimal,
    UnsignedDecimal,
    flaws,
    is_object,
    show,
)
from app.vocabulary import BillingItem

MOST_INDIVIDUAL_TARIFFS: Final = 1_000
MOST_ELEMENTS: Final = 100
MOST_RECIPIENTS: Final = 1_000
#: Source: OCHP 1.4, regular hours of a tariff restriction.
MOST_HOURS, MOST_HOURS_PER_WEEKDAY = 14, 2

_FEES: Final = {BillingItem.SERVICE_FEE, BillingItem.RESERVATION}


class TariffRestrictionInput(Record, frozen=True, kw_only=True):
    regular_hours: tuple[RegularHours, ...] = ()
    start: Instant | None = None
    end: Instant | None = None
    min_energy_kwh: UnsignedDecimal | None = None
    max_energy_kwh: UnsignedDecimal | None = None
    min_power_kw: UnsignedDecimal | None = None
    max_power_kw: UnsignedDecimal | None = None
    min_duration_seconds: Seconds | None = None
    max_duration_seconds: Seconds | None = None


class TariffElementInput(Record, frozen=True, kw_only=True):
    billing_item: BillingItem
    item_price: SignedDecimal
    step_size: UnsignedDecimal
    restriction: TariffRestrictionInput | None = None


class IndividualTariffInput(Record, frozen=True, kw_only=True):
    recipients: tuple[str, ...] = ()
    currency: str
    elements: Annotated[tuple[TariffElementInput, ...], AtLeastOne]


class TariffInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape, ids not yet normalised, rules between fields not yet looked at."""

    tariff_id: str
    individual_tariffs: Annotated[tuple[IndividualTariffInput, ...], AtLeastOne]


_SHAPE: Final = msgspec.inspect.type_info(TariffInput)
#: Objects and lists inside one another: tariff, individual tariffs, elements, restriction, hours.
_DEPTH: Final = 8


def read_tariff(raw: Any, index: int) -> Tariff | list[Refusal]:
    """Check one item and return the tariff, or every refusal (at least one). Never raises on a JSON value."""
    sent = _decode(raw)
    found = flaws(raw, _SHAPE) if sent is None else _rules(sent)
    wrong = list(islice(found, MOST_REFUSALS))
    if sent is None or wrong:
        return _refusals(wrong or [_UNKNOWN_FLAW], raw, index)
    return _tariff(sent)


_UNKNOWN_FLAW: Final = Flaw("", RefusalCode.WRONG_TYPE, "the item does not have the shape of TariffInput")


def _refusals(wrong: list[Flaw], raw: Any, index: int) -> list[Refusal]:
    sent_id = raw.get("tariffId") if is_object(raw) else None
    tariff_id = storable(sent_id, 64) if isinstance(sent_id, str) else None
    return [
        Refusal(path=f"tariffs[{index}]{flaw.path}", index=index, id=tariff_id, code=flaw.code, message=flaw.message)
        for flaw in wrong
    ]


def _decode(raw: Any) -> TariffInput | None:
    """Decode an item; its nulls stand for absent, as in GraphQL."""
    try:
        return msgspec.convert(without_nulls(raw, _DEPTH), TariffInput)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return None


# ---------------------------------------------------------------- rules between fields


def _rules(sent: TariffInput) -> Iterator[Flaw]:
    yield from id_flaws(sent.tariff_id, normalise_tariff_id, ".tariffId")
    yield from _length_flaws(sent.individual_tariffs, MOST_INDIVIDUAL_TARIFFS, ".individualTariffs")
    defaults = sum(not each.recipients for each in sent.individual_tariffs)
    if defaults != 1:
        message = f"{defaults} individual tariffs have no recipients; expected exactly one, the default"
        yield Flaw(".individualTariffs", RefusalCode.EXACTLY_ONE, message)
    yield from _recipient_flaws(sent.individual_tariffs)
    for place, individual in enumerate(sent.individual_tariffs):
        yield from _individual_flaws(individual, f".individualTariffs[{place}]")


def _length_flaws(entries: tuple[Any, ...], most: int, path: str) -> Iterator[Flaw]:
    if len(entries) > most:
        yield Flaw(path, RefusalCode.TOO_MANY, f"the list has {len(entries)} entries; at most {most} are possible")


def _recipient_flaws(individual_tariffs: tuple[IndividualTariffInput, ...]) -> Iterator[Flaw]:
    count = sum(len(each.recipients) for each in individual_tariffs)
    if count > MOST_RECIPIENTS:
        message = f"the individual tariffs have {count} recipients; at most {MOST_RECIPIENTS} are possible"
        yield Flaw(".individualTariffs", RefusalCode.TOO_MANY, message)
        return
    known: set[str] = set()
    for place, individual in enumerate(individual_tariffs):
        for position, recipient in enumerate(individual.recipients):
            path = f".individualTariffs[{place}].recipients[{position}]"
            wrong = list(id_flaws(recipient, normalise_party_id, path))
            yield from wrong
            if wrong:
                continue
            party_id = normalise_party_id(recipient)
            if party_id in known:
                message = f"{separated_party_id(party_id)} stands twice; a provider has one individual tariff"
                yield Flaw(path, RefusalCode.DUPLICATE, message)
            known.add(party_id)


def _individual_flaws(individual: IndividualTariffInput, path: str) -> Iterator[Flaw]:
    if individual.currency not in DECIMALS:
        message = f"{show(individual.currency)} is not known; expected a currency of ISO 4217 like EUR"
        yield Flaw(f"{path}.currency", RefusalCode.UNKNOWN_VALUE, message)
    yield from _length_flaws(individual.elements, MOST_ELEMENTS, f"{path}.elements")
    for place, element in enumerate(individual.elements):
        at = f"{path}.elements[{place}]"
        if element.billing_item in _FEES and Decimal(element.step_size) not in (0, 1):
            message = f"{element.step_size} is not possible for {element.billing_item}; expected 0 or 1"
            yield Flaw(f"{at}.stepSize", RefusalCode.OUT_OF_RANGE, message)
        if element.restriction is not None:
            yield from _restriction_flaws(element.restriction, f"{at}.restriction")


def _restriction_flaws(sent: TariffRestrictionInput, path: str) -> Iterator[Flaw]:
    hours = sent.regular_hours
    yield from _length_flaws(hours, MOST_HOURS, f"{path}.regularHours")
    yield from _weekday_flaws(hours, f"{path}.regularHours")
    yield from hours_flaws(hours, f"{path}.regularHours")
    for name, instant in (("start", sent.start), ("end", sent.end)):
        if instant is not None:
            yield from year_flaws(instant, f"{path}.{name}")
    if sent.start is not None and sent.end is not None and sent.end <= sent.start:
        message = f"the end {sent.end.isoformat()} is not after {sent.start.isoformat()}; expected a later end"
        yield Flaw(f"{path}.end", RefusalCode.ORDER, message)
    for name, lowest, highest in (
        ("EnergyKwh", sent.min_energy_kwh, sent.max_energy_kwh),
        ("PowerKw", sent.min_power_kw, sent.max_power_kw),
        ("DurationSeconds", sent.min_duration_seconds, sent.max_duration_seconds),
    ):
        if highest is not None and Decimal(highest) <= Decimal(lowest or 0):
            message = f"{highest} is not more than {lowest or 0}; expected max{name} above min{name}"
            yield Flaw(f"{path}.max{name}", RefusalCode.ORDER, message)


def _weekday_flaws(hours: Iterable[RegularHours], path: str) -> Iterator[Flaw]:
    seen: dict[int, int] = {}
    for place, each in enumerate(hours):
        seen[each.weekday] = seen.get(each.weekday, 0) + 1
        if seen[each.weekday] > MOST_HOURS_PER_WEEKDAY:
            message = f"weekday {each.weekday} has more than {MOST_HOURS_PER_WEEKDAY} regular hours"
            yield Flaw(f"{path}[{place}]", RefusalCode.TOO_MANY, message)


# ---------------------------------------------------------------- the checked record


def _tariff(sent: TariffInput) -> Tariff:
    return Tariff(
        tariff_id=normalise_tariff_id(sent.tariff_id),
        individual_tariffs=tuple(_individual(each) for each in sent.individual_tariffs),
    )


def _individual(sent: IndividualTariffInput) -> IndividualTariff:
    return IndividualTariff(
        recipients=tuple(sorted(normalise_party_id(each) for each in sent.recipients)),
        currency=sent.currency,
        elements=tuple(_element(each) for each in sent.elements),
    )


def _element(sent: TariffElementInput) -> TariffElement:
    return TariffElement(
        billing_item=sent.billing_item,
        item_price=Decimal(sent.item_price),
        step_size=Decimal(sent.step_size),
        restriction=None if sent.restriction is None else _restriction(sent.restriction),
    )


def _restriction(sent: TariffRestrictionInput) -> TariffRestriction | None:
    restriction = TariffRestriction(
        regular_hours=tuple(sorted(sent.regular_hours, key=by_day)),
        start=_utc(sent.start),
        end=_utc(sent.end),
        min_energy_kwh=_decimal(sent.min_energy_kwh),
        max_energy_kwh=_decimal(sent.max_energy_kwh),
        min_power_kw=_decimal(sent.min_power_kw),
        max_power_kw=_decimal(sent.max_power_kw),
        min_duration_seconds=sent.min_duration_seconds,
        max_duration_seconds=sent.max_duration_seconds,
    )
    return None if restriction == TariffRestriction() else restriction


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
