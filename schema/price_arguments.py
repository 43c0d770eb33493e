"""From the arguments of a price to the session that is to be priced: at one EVSE, and in lists by price."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from app.errors import HubError
from app.ids import shown
from app.prices.price import ChargingSession
from app.read.prices import Pricing
from app.read.row_builder import PRICING
from app.records.charge_point_input import FIRST_YEAR, LAST_YEAR
from app.records.currency import DECIMALS

MOST_KWH: Final = 10_000
MOST_KW: Final = 10_000
#: A week.
MOST_MINUTES: Final = 7 * 24 * 60


class BadPrice(HubError):
    """The session to be priced is not possible."""

    code = "BAD_PRICE"


class ListOrder(StrEnum):
    AREA = "AREA"
    PRICE = "PRICE"


def bind_price(arguments: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Bind the arguments of `price`. Raises: BadPrice."""
    return {PRICING: pricing_of(arguments, now), **tariffs_of(arguments)}


def tariffs_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Bind the arguments that select tariffs."""
    connector, provider_id = arguments.get("connector"), arguments.get("providerId")
    bound = {"connector": connector and connector.value, "provider_id": provider_id}
    return {name: value for name, value in bound.items() if value is not None}


def pricing_of(arguments: Mapping[str, Any], now: datetime) -> Pricing:
    """Return the session to be priced. Raises: BadPrice."""
    start, power_kw = arguments.get("start"), arguments.get("powerKw")
    session = ChargingSession(
        start=now if start is None else _possible(start),
        energy_kwh=_within("energyKwh", arguments["energyKwh"], MOST_KWH),
        duration=timedelta(minutes=_within("durationMinutes", arguments["durationMinutes"], MOST_MINUTES)),
        parking=timedelta(minutes=_within("parkingMinutes", arguments.get("parkingMinutes") or 0, MOST_MINUTES)),
        power_kw=None if power_kw is None else _within("powerKw", power_kw, MOST_KW),
    )
    currency = arguments.get("currency")
    if currency is not None and currency not in DECIMALS:
        raise BadPrice(f"currency is {shown(currency)}; possible: the codes of ISO 4217, like EUR")
    return Pricing(session, currency)


def _within(name: str, value: Any, most: int) -> Any:
    if not 0 <= value <= most:
        raise BadPrice(f"{name} is {value}; possible: 0 to {most}")
    return value


def _possible(start: datetime) -> datetime:
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        raise BadPrice(f"start is {start.isoformat()}; possible: the years {FIRST_YEAR} to {LAST_YEAR}")
    return start
