"""What a session costs at an EVSE, or at the rows of a list that is ordered or filtered by it."""

from typing import Annotated, Any

import strawberry

from app.ids import separated_tariff_id
from app.read.offers import offers_of_evse
from app.read.plan import Priced
from schema.field import column, documents, priced, rank_price
from schema.price_arguments import ListOrder, bind_price
from schema.scalars import DateTime, Decimal, PartyId, TariffId, show_decimal
from schema.types.common import BillingItem, ConnectorStandard, vocabulary

vocabulary(
    ListOrder,
    "AREA: nearest first around a point, in driving order along a route, else by id. PRICE: by `price`, the lowest "
    "first; equal ones, and at the end those whose price is not known, in the order of the area.",
)


@strawberry.type(description="What one element of a tariff bills for a session.")
class PricePart:
    billing_item: BillingItem = column("billingItem", description="What is billed, and its unit.")
    billing_value: Decimal = column(
        "billingValue", shape=show_decimal, description="How much of it: in whole steps, else with at most 6 decimals."
    )
    item_price: Decimal = column("itemPrice", shape=show_decimal, description="Price per unit, net.")
    cost: Decimal = column("cost", shape=show_decimal, description="billingValue times itemPrice, exactly.")


@strawberry.type(description="The price of a session, net. The page of the documentation on prices has the rules.")
class PriceEstimate:
    total: Decimal | None = column(
        "total",
        shape=show_decimal,
        description="The sum of the parts, rounded half up to the decimals of the currency; null: not known, see "
        "reason. Unknown is never 0.",
    )
    currency: str | None = column("currency", description="ISO 4217; null: no tariff is known.")
    tariff_id: TariffId | None = column(
        "tariffId", shape=separated_tariff_id, description="The tariff that it is made with; null: none is known."
    )
    reason: str | None = column("reason", description="Why total is null, in a sentence.")
    description: str | None = column(
        "description",
        description="The tariff in words: in the language of the place where the hub has them (DEU, FRA, NLD), else in "
        "English; null: no tariff is known.",
    )
    parts: list[PricePart] = documents("parts", "What each element of the tariff bills; empty where total is null.")


def list_price() -> Any:
    """Declare the price of a list's row, for its edge."""
    return rank_price(
        "What the session in the list's argument `price` costs here; at a location the lowest price of its EVSEs that "
        "pass the filter. Null without the argument."
    )


@priced(
    Priced(offers_of_evse),
    bind_price,
    "What a session costs here under the tariff that is meant for the caller. Of several connectors with tariffs, and "
    "without `connector`, the lowest price.",
)
def price_of_evse(
    self: Any,
    energy_kwh: Annotated[
        Decimal, strawberry.argument(name="energyKwh", description="Energy, kWh, 0 to 10000. It flows evenly.")
    ],
    duration_minutes: Annotated[int, strawberry.argument(description="Time of charging, minutes, 0 to 10080.")],
    parking_minutes: Annotated[
        int | None, strawberry.argument(description="Parked after charging, minutes, 0 to 10080; absent: 0.")
    ] = None,
    power_kw: Annotated[
        Decimal | None,
        strawberry.argument(
            name="powerKw", description="Power at which it charges, kW, 0 to 10000; absent: not known."
        ),
    ] = None,
    start: Annotated[DateTime | None, strawberry.argument(description="When charging begins; absent: now.")] = None,
    connector: Annotated[
        ConnectorStandard | None, strawberry.argument(description="At connectors of this standard; absent: any.")
    ] = None,
    provider_id: Annotated[
        PartyId | None,
        strawberry.argument(
            description="For a customer of this EVSP. Only for an EVSP that you are or, as NSP, have a contract with; "
            "else the default is used. Absent: that of the surrounding filter, else your own tariffs."
        ),
    ] = None,
) -> PriceEstimate: ...
