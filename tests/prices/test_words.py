"""Tariffs in plain words."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.prices import words
from app.prices.words import ENGLISH, LANGUAGES, describe
from app.vocabulary import BillingItem
from tests.prices.tariffs import SECOND_EXAMPLE, element, hours, individual

SECOND = {
    "ENG": (
        "2.50 EUR per session; "
        "1.00 EUR per hour of charging, up to 11 kW, each 15 min begun is billed; "
        "2.00 EUR per hour of charging, from 11 kW, Mon-Fri, each 12 min begun is billed; "
        "1.25 EUR per hour of charging, from 11 kW, Sat-Sun, each 12 min begun is billed; "
        "5.00 EUR per hour of parking after charging, Mon-Fri 09:00-18:00, each 6 min begun is billed; "
        "6.00 EUR per hour of parking after charging, Sat 10:00-17:00, each 6 min begun is billed."
    ),
    "DEU": (
        "2,50 EUR je Ladevorgang; "
        "1,00 EUR je Stunde Laden, bis 11 kW, je angefangene 15 min; "
        "2,00 EUR je Stunde Laden, ab 11 kW, Mo-Fr, je angefangene 12 min; "
        "1,25 EUR je Stunde Laden, ab 11 kW, Sa-So, je angefangene 12 min; "
        "5,00 EUR je Stunde Parken nach dem Laden, Mo-Fr 09:00-18:00, je angefangene 6 min; "
        "6,00 EUR je Stunde Parken nach dem Laden, Sa 10:00-17:00, je angefangene 6 min."
    ),
}


@pytest.mark.parametrize(("language", "expected"), SECOND.items())
def test_describes_the_second_example(language: str, expected: str) -> None:
    assert describe(SECOND_EXAMPLE.for_provider(None), language) == expected


def test_describes_in_english_what_it_has_no_words_for() -> None:
    assert describe(SECOND_EXAMPLE.for_provider("DE8AA"), "XXX") == "2.00 EUR per hour of charging."


def test_has_the_same_words_in_every_language() -> None:
    all_words: dict[str, Any] = json.loads(Path(words.__file__).with_name("words.json").read_text("utf-8"))

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(each) for name, each in value.items()}
        return len(value) if isinstance(value, list) else type(value)

    assert set(LANGUAGES) == {"ENG", "DEU", "FRA", "NLD"}
    for language in LANGUAGES:
        assert shape(all_words[language]) == shape(all_words[ENGLISH])
        assert set(all_words[language]["price"]) == set(all_words[language]["free"]) == set(BillingItem)


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_every_number_of_every_item(language: str) -> None:
    for item in BillingItem:
        step = "1" if item in (BillingItem.SERVICE_FEE, BillingItem.RESERVATION) else "7"
        limits = {"minPowerKw": "12", "maxPowerKw": "23", "minEnergyKwh": "34", "maxEnergyKwh": "45.5"}
        times = {"minDurationSeconds": 3_600, "maxDurationSeconds": 5_401, "start": "2026-02-01T00:00:00Z"}
        text = describe(individual(element(item, "0.123", step, **limits, **times)), language)
        for number in (
            "0.123",
            "12",
            "23 kW",
            "34",
            "45.5 kWh",
            "1 h",
            "5401 s",
            "2026-02-01",
            "7" if step == "7" else "",
        ):
            assert number in text or number.replace(".", ",") in text, (item, number, text)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([element("ENERGY", "0", "0.1")], "Free energy."),
        (
            [
                element("ENERGY", "0.4", regularHours=hours(range(1, 8), "22:00", "24:00")),
                element("ENERGY", "0.50", "0.5"),
            ],
            "0.40 EUR per kWh, daily 22:00-24:00; otherwise 0.50 EUR per kWh, each 0.5 kWh begun is billed.",
        ),
        ([element("ENERGY", "1"), element("ENERGY", "2", maxEnergyKwh="5")], "1.00 EUR per kWh."),
        (
            [element("ENERGY", "1", minEnergyKwh="10"), element("ENERGY", "2", maxPowerKw="5")],
            "1.00 EUR per kWh, after the first 10 kWh; otherwise 2.00 EUR per kWh, up to 5 kW.",
        ),
        (
            [element("PARKING_TIME", "12", minDurationSeconds=7_200, end="2026-12-31T23:00:00Z")],
            "12.00 EUR per hour of parking after charging, after 2 h, before 2026-12-31 23:00 UTC.",
        ),
        (
            [element("ENERGY", "1", regularHours=[*hours((1, 3), "06:00", "09:00"), *hours((1, 3), "16:00", "19:00")])],
            "1.00 EUR per kWh, Mon 06:00-09:00 + 16:00-19:00, Wed 06:00-09:00 + 16:00-19:00.",
        ),
        (
            [element("USAGE_TIME", "3", minPowerKw="0", maxPowerKw="7.40")],
            "3.00 EUR per hour of charging, up to 7.4 kW.",
        ),
        ([element("SERVICE_FEE", "-0.5", "1", minEnergyKwh="20")], "-0.50 EUR per session, after the first 20 kWh."),
    ],
)
def test_describes(elements: list[dict[str, Any]], expected: str) -> None:
    assert describe(individual(*elements)) == expected
