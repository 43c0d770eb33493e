"""What uploads of tariffs take. The items themselves are read by `app.records.tariff_input`, one by one."""

import strawberry

from schema.scalars import DateTime, Decimal, PartyId, TariffId
from schema.types.charge_point_input import RegularHoursInput, required
from schema.types.common import BillingItem
from schema.types.inputs import option


@strawberry.input(description="Where a price applies; what is absent restricts nothing. OCHP restriction.")
class TariffRestrictionInput:
    regular_hours: list[RegularHoursInput] | None = option(
        "Hours of the week, local to the location; at most two per weekday."
    )
    start: DateTime | None = option("First instant inside.")
    end: DateTime | None = option("First instant outside, after start.")
    min_energy_kwh: Decimal | None = option("From so much energy on, kWh.")
    max_energy_kwh: Decimal | None = option("Up to so much energy, kWh; above the minimum.")
    min_power_kw: Decimal | None = option("From so much power on, kW.")
    max_power_kw: Decimal | None = option("Up to so much power, kW; above the minimum.")
    min_duration_seconds: int | None = option("From so long on, seconds.")
    max_duration_seconds: int | None = option("Up to so long, seconds; above the minimum.")


@strawberry.input(description="A price per unit of a billing item. OCHP tariffElement.")
class TariffElementInput:
    billing_item: BillingItem = required("What is billed, and its unit.")
    item_price: Decimal = required("Price per unit, net, in the currency; at most 14 digits and 8 decimals.")
    step_size: Decimal = required(
        "Units that are billed as a whole, rounded up; 0: exactly what was used. Fees: 0 or 1."
    )
    restriction: TariffRestrictionInput | None = option("Where it applies; absent: always.")


@strawberry.input(description="What one group of callers pays. OCHP individualTariff.")
class IndividualTariffInput:
    recipients: list[PartyId] | None = option(
        "The EVSPs that it is meant for, by party id; absent or empty: the default. Other callers are never shown them."
    )
    currency: str = required("ISO 4217, e.g. EUR.")
    elements: list[TariffElementInput] = required("Its prices, 1 to 100.")


@strawberry.input(
    description="A tariff, which replaces the one with its id whole. Exactly one individual tariff has no recipients; "
    "an EVSP is named at most once. OCHP TariffInfo, OCPI Tariff."
)
class TariffInput:
    tariff_id: TariffId = required("Id under your own party id, e.g. DE*8AC*T1.")
    individual_tariffs: list[IndividualTariffInput] = required(
        "The default and those of named EVSPs: at most 1000, which name at most 1000 EVSPs."
    )
