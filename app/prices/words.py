"""An individual tariff as a sentence, made from its elements. The words are data: `words.json`, by ISO 639-3 code.

The elements of a billing item stand together, in their order, since the first one that applies counts: one that
overlaps an earlier one begins with "otherwise", and one that no session reaches is left out.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from app.records.currency import DECIMALS
from app.records.tariff import IndividualTariff, TariffElement, TariffRestriction
from app.vocabulary import BillingItem

ENGLISH: Final = "ENG"
_WORDS: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
LANGUAGES: Final = tuple(_WORDS)

_ORDER: Final = (
    BillingItem.RESERVATION,
    BillingItem.RESERVATION_TIME,
    BillingItem.SERVICE_FEE,
    BillingItem.ENERGY,
    BillingItem.POWER,
    BillingItem.USAGE_TIME,
    BillingItem.PARKING_TIME,
)
_UNITS_OF_STEPS: Final = {BillingItem.ENERGY: "kWh", BillingItem.POWER: "kW"}
_FEES: Final = {BillingItem.SERVICE_FEE, BillingItem.RESERVATION}
_WEEK: Final = range(1, 8)


def describe(tariff: IndividualTariff, language: str = ENGLISH) -> str:
    """Return a tariff in a sentence; in English where the hub does not have the words of the language."""
    words = _WORDS.get(language, _WORDS[ENGLISH])
    phrases = [
        _element(words, tariff.currency, element, any(not _apart(element, earlier) for earlier in elements[:place]))
        for item in _ORDER
        for elements in [_reached([each for each in tariff.elements if each.billing_item is item])]
        for place, element in enumerate(elements)
    ]
    sentence = "; ".join(phrases)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _reached(elements: Sequence[TariffElement]) -> Sequence[TariffElement]:
    """Return the elements of an item up to the first one that always applies."""
    always = (place for place, each in enumerate(elements) if each.restriction is None)
    return elements[: next(always, len(elements)) + 1]


def _element(words: Any, currency: str, element: TariffElement, overlaps: bool) -> str:
    def number(value: Decimal, decimals: int = 0) -> str:
        return _number(value, decimals).replace(".", words["decimal_point"])

    item = element.billing_item
    price = f"{number(element.item_price, DECIMALS[currency])} {currency}"
    text = words["price" if element.item_price else "free"][item].format(price=price)
    if element.restriction is not None:
        text = ", ".join((text, *_conditions(words, element.restriction, number)))
    if element.step_size and element.item_price and item not in _FEES:
        unit = _UNITS_OF_STEPS.get(item)
        step = f"{number(element.step_size)} {unit}" if unit else _time(element.step_size * 3_600, number)
        text = f"{text}, {words['step'].format(step=step)}"
    return words["otherwise"].format(element=text) if overlaps else text


def _conditions(words: Any, restriction: TariffRestriction, number: Callable[[Decimal], str]) -> list[str]:
    def seconds(value: int) -> str:
        return _time(Decimal(value), number)

    found = [
        _band(words["power"], restriction.min_power_kw, restriction.max_power_kw, number),
        _band(words["energy"], restriction.min_energy_kwh, restriction.max_energy_kwh, number),
        _band(words["duration"], restriction.min_duration_seconds, restriction.max_duration_seconds, seconds),
        _hours(words, restriction),
        _band(words["dates"], restriction.start, restriction.end, _date),
    ]
    return [each for each in found if each]


def _band(words: Sequence[str], low: Any, high: Any, show: Callable[[Any], str]) -> str:
    """Return a band in the words for its minimum, its maximum, or both. A minimum of 0 is none."""
    from_, to, both = words
    match low or None, high:
        case None, None:
            return ""
        case None, _:
            return to.format(high=show(high))
        case _, None:
            return from_.format(low=show(low))
        case _:
            return both.format(low=show(low), high=show(high))


def _hours(words: Any, restriction: TariffRestriction) -> str:
    """Return hours by groups of following days that have the same: Mon-Fri 09:00-18:00, Sat 10:00-17:00."""
    by_day = {
        day: tuple((each.begin, each.end) for each in restriction.regular_hours if each.weekday == day) for day in _WEEK
    }
    texts: list[str] = []
    for hours, group in groupby(_WEEK, by_day.__getitem__):
        days = list(group)
        if hours:
            times = "" if hours == (("00:00", "24:00"),) else " + ".join(f"{begin}-{end}" for begin, end in hours)
            texts.append(f"{_days(words, days)} {times}".strip())
    return ", ".join(texts)


def _days(words: Any, days: list[int]) -> str:
    names = [words["days"][day - 1] for day in days]
    if len(names) == len(_WEEK):
        return words["daily"]
    return names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"


def _date(instant: datetime) -> str:
    text = instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    return text.removesuffix(" 00:00") if text.endswith(" 00:00") else f"{text} UTC"


def _time(seconds: Decimal, number: Callable[[Decimal], str]) -> str:
    unit, length = next((each for each in (("h", 3_600), ("min", 60)) if not seconds % each[1]), ("s", 1))
    return f"{number(seconds / length)} {unit}"


def _number(value: Decimal, decimals: int) -> str:
    """Return a number without trailing zeros, but with so many decimals at least."""
    whole, _, behind = format(value, "f").partition(".")
    behind = behind.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{behind}" if behind else whole


# ---------------------------------------------------------------- elements that never apply together


def _apart(one: TariffElement, other: TariffElement) -> bool:
    a, b = one.restriction, other.restriction
    if a is None or b is None:
        return False
    return _hours_apart(a, b) or any(
        _bands_apart(*ends)
        for ends in (
            (a.min_power_kw, a.max_power_kw, b.min_power_kw, b.max_power_kw),
            (a.min_energy_kwh, a.max_energy_kwh, b.min_energy_kwh, b.max_energy_kwh),
            (a.min_duration_seconds, a.max_duration_seconds, b.min_duration_seconds, b.max_duration_seconds),
            (a.start, a.end, b.start, b.end),
        )
    )


def _bands_apart(low: Any, high: Any, other_low: Any, other_high: Any) -> bool:
    return (high is not None and other_low is not None and high <= other_low) or (
        other_high is not None and low is not None and other_high <= low
    )


def _hours_apart(a: TariffRestriction, b: TariffRestriction) -> bool:
    if not a.regular_hours or not b.regular_hours:
        return False
    return not any(
        one.weekday == other.weekday and one.begin < other.end and other.begin < one.end
        for one in a.regular_hours
        for other in b.regular_hours
    )
