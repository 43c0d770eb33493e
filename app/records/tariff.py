"""Tariffs: what an operator asks for charging, by provider.

A tariff has several individual tariffs: exactly one without recipients, the default, and others for named providers.
Prices are net, per unit of their billing item: PARKING_TIME, USAGE_TIME and RESERVATION_TIME per hour, ENERGY per kWh,
POWER per kW of the highest power, SERVICE_FEE and RESERVATION once.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.records.base import Record
from app.records.charge_point import RegularHours
from app.vocabulary import BillingItem


class TariffRestriction(Record, frozen=True, kw_only=True):
    """Where an element applies: everywhere but for what is given. At least one field is given.

    `regular_hours`: local to the location, in order, none: always. `start` (inclusive) and `end` (exclusive): UTC.
    Bands reach from their minimum, inclusive, up to their maximum.
    """

    regular_hours: tuple[RegularHours, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    min_energy_kwh: Decimal | None = None
    max_energy_kwh: Decimal | None = None
    min_power_kw: Decimal | None = None
    max_power_kw: Decimal | None = None
    min_duration_seconds: int | None = None
    max_duration_seconds: int | None = None


class TariffElement(Record, frozen=True, kw_only=True):
    """A price per unit of its billing item. `step_size`: the units that are billed as a whole; 0 bills exactly."""

    billing_item: BillingItem
    item_price: Decimal
    step_size: Decimal
    restriction: TariffRestriction | None = None


class IndividualTariff(Record, frozen=True, kw_only=True):
    """`recipients`: normalised party ids of providers, in order; none: the default. `currency`: ISO 4217."""

    recipients: tuple[str, ...] = ()
    currency: str
    elements: tuple[TariffElement, ...]


def from_columns(currency: str, elements: Sequence[Any]) -> IndividualTariff:
    """Return an individual tariff as its row has it, without recipients. `elements`: decoded JSON."""
    return IndividualTariff(currency=currency, elements=msgspec.convert(elements, tuple[TariffElement, ...]))


class Tariff(Record, frozen=True, kw_only=True):
    """`tariff_id` is normalised; `individual_tariffs` has one default, and no provider twice."""

    tariff_id: str
    individual_tariffs: tuple[IndividualTariff, ...]

    def for_provider(self, provider_id: str | None) -> IndividualTariff:
        """Return the individual tariff meant for a provider, else the default; None: the default."""
        meant = (each for each in self.individual_tariffs if provider_id in each.recipients)
        return next(meant, None) or next(each for each in self.individual_tariffs if not each.recipients)
