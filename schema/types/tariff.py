"""Tariffs, and pages of their changes. Pages: `schema.private_changes`."""

from typing import Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, FromClause, and_, case, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from app.db.tables import individual_tariff, tariff_recipient
from app.ids import separated_tariff_id
from app.prices.words import ENGLISH, LANGUAGES
from app.read.plan import Arguments, Computed
from app.read.prices import describe_content
from app.visibility.rules import DEFAULT, is_number_shown, is_own, meant_for_caller
from schema.field import column, declared, document, documents, page_leaf, to_many, told
from schema.scalars import Cursor, DateTime, Decimal, PartyId, TariffId
from schema.types.common import BillingItem, ChangeAction, RegularHours


@strawberry.type(
    description="Where a price applies: where everything that is not null is met. OCHP restriction, OCPI "
    "TariffRestrictions."
)
class TariffRestriction:
    regular_hours: list[RegularHours] = documents(
        "regularHours", "Hours of the week, local to the location; empty: always. OCPI start_time, day_of_week."
    )
    start: DateTime | None = column("start", description="First instant inside. OCHP startDate, OCPI start_date.")
    end: DateTime | None = column("end", description="First instant outside. OCHP endDate, OCPI end_date.")
    min_energy_kwh: Decimal | None = column("minEnergyKwh", description="From so much energy on, kWh. OCPI min_kwh.")
    max_energy_kwh: Decimal | None = column("maxEnergyKwh", description="Up to so much energy, kWh. OCPI max_kwh.")
    min_power_kw: Decimal | None = column("minPowerKw", description="From so much power on, kW. OCPI min_power.")
    max_power_kw: Decimal | None = column("maxPowerKw", description="Up to so much power, kW. OCPI max_power.")
    min_duration_seconds: int | None = column(
        "minDurationSeconds", description="From so long on, seconds. OCPI min_duration."
    )
    max_duration_seconds: int | None = column(
        "maxDurationSeconds", description="Up to so long, seconds. OCPI max_duration."
    )


@strawberry.type(
    description="A price per unit of a billing item. OCHP tariffElement, OCPI TariffElement with one PriceComponent."
)
class TariffElement:
    billing_item: BillingItem = column("billingItem", description="What is billed, and its unit. OCPI type.")
    item_price: Decimal = column("itemPrice", description="Price per unit, net, in the currency. OCPI price.")
    step_size: Decimal = column(
        "stepSize",
        description="Units that are billed as a whole, rounded up; 0: exactly what was used. OCPI step_size.",
    )
    restriction: TariffRestriction | None = document("restriction", "Where it applies; null: always.")


def recipients(
    tariff_id: ColumnElement[Any], number: ColumnElement[Any], operator_no: ColumnElement[Any], _: Arguments
) -> ColumnElement[Any]:
    """Show the recipients of an individual tariff to its operator, null to every other caller."""
    named = select(tariff_recipient.c.party_id).order_by(tariff_recipient.c.party_id)
    named = named.where(
        tariff_recipient.c.tariff_id == tariff_id,
        tariff_recipient.c.number == number,
        tariff_recipient.c.number != DEFAULT,
    )
    return case((is_own(operator_no), func.array(named.scalar_subquery(), type_=ARRAY(Text))))


@strawberry.type(description="What one group of callers pays. OCHP individualTariff.")
class IndividualTariff:
    currency: str = column(description="ISO 4217, e.g. EUR. OCPI currency.")
    recipients: list[PartyId] | None = declared(
        Computed(("tariff_id", "number", "operator_no"), recipients),
        "The EVSPs that it is meant for; empty: the default. For the owning operator only, else null.",
    )
    elements: list[TariffElement] = documents("elements", "Its prices, in the operator's order; at least one.")

    @told(
        "currency",
        "elements",
        shape=describe_content,
        argument="language",
        bind=lambda arguments, _: {"language": arguments["language"]},
        description="The same in a sentence, made of the elements; in English where the hub lacks the language.",
    )
    def description(
        self,
        language: Annotated[
            str, strawberry.argument(description=f"ISO 639-3: {', '.join(LANGUAGES)}; as `nameLanguage` of a location.")
        ] = ENGLISH,
    ) -> str: ...


def shown_of_tariff(
    individual: FromClause, tariff_id: ColumnElement[Any], operator_no: ColumnElement[Any]
) -> ColumnElement[bool]:
    return and_(individual.c.tariff_id == tariff_id, is_number_shown(individual.c.number, tariff_id, operator_no))


def shown_since(
    tariff_id: ColumnElement[Any],
    operator_no: ColumnElement[Any],
    updated_at: ColumnElement[Any],
    default_updated_at: ColumnElement[Any],
    _: Arguments,
) -> ColumnElement[Any]:
    """Return since when the caller is shown what it is shown: a change for another provider is not among it."""
    meant = meant_for_caller(tariff_id, tariff_recipient.c.updated_at)
    return case((is_own(operator_no), updated_at), else_=func.coalesce(meant, default_updated_at))


@strawberry.type(
    description="What an operator asks for charging. An EVSP is shown the individual tariff that is meant for it, else "
    "the default; an NSP the default, or that of an EVSP that it has a contract with and asks about; the owning "
    "operator all; every other caller the default. OCHP TariffInfo, OCPI Tariff."
)
class Tariff:
    tariff_id: TariffId = column(shape=separated_tariff_id, description="Its id. OCHP tariffId, OCPI id.")
    individual_tariffs: list[IndividualTariff] = to_many(
        individual_tariff,
        "The one that is meant for the caller; for its operator all, the default first.",
        ("tariff_id", "operator_no"),
        shown_of_tariff,
        ("number",),
    )
    updated_at: DateTime = declared(
        Computed(("tariff_id", "operator_no", "updated_at", "default_updated_at"), shown_since),
        "When the hub last saw a change of what the caller is shown. OCPI last_updated.",
    )


@strawberry.type(description="A tariff that came, changed for the caller, or went.")
class TariffChange:
    action: ChangeAction = page_leaf(
        "action", "UPSERTED: as `tariff` shows it. REMOVED: it is gone, or not the caller's to see any more."
    )
    tariff_id: TariffId = page_leaf("tariffId", "Its id. Store tariffs by this id.")
    tariff: Tariff | None = page_leaf("tariff", "As it is now; null: it was removed.")
    at: DateTime = page_leaf("at", "When the hub logged the change.")


@strawberry.type(description="Changes of tariffs, newest of each. OCHP GetTariffUpdates, OCPI GET tariffs.")
class TariffPage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    changes: list[TariffChange] = page_leaf("changes", "What changed; may be empty.")
