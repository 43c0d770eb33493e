"""What the tariff in force asks for a CDR: where that is another amount, the EVSP is warned, with both amounts.

Decisions (*hub*: the reference is silent)
- Tariffs have no history: one is compared where what the EVSP is shown of it was the same when the session began.
- The CDR names its tariff; else the EVSE's connector of the same kind does.
- A session charges until its first period of parking begins, and parks for the rest. Energy flows evenly; the power is
  the highest of the POWER periods, else not known. A price that is not known then is not compared.
- The totals may be apart by half a minor unit per period, as in the check of the total.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import msgspec

from app.auth import Caller
from app.db.engine import Connection
from app.exchange.cdrs.plausibility import energy_of, half_a_minor_unit
from app.ids import normalise_tariff_id, separated_tariff_id
from app.prices.price import ChargingSession, CompiledTariff
from app.records.cdr import EXACT, Cdr
from app.records.tariff import IndividualTariff, TariffElement
from app.uploads.checks import Flaw, RefusalCode
from app.uploads.yielding import yielding
from app.vocabulary import BillingItem

_OFFERS: Final = """
select asked.tariff_id, asked.provider_id, individual.currency, individual.elements,
    coalesce(recipient.updated_at, tariff.default_updated_at) as since
from unnest($2::text[], $3::text[]) as asked (tariff_id, provider_id)
join tariff on tariff.tariff_id = asked.tariff_id
join operator on operator.no = tariff.operator_no and operator.role_id = $1
left join tariff_recipient as recipient
    on recipient.tariff_id = tariff.tariff_id and recipient.party_id = asked.provider_id
join individual_tariff as individual
    on individual.tariff_id = tariff.tariff_id and individual.number = coalesce(recipient.number, 0)
"""


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a provider is shown of a tariff, since when."""

    tariff: CompiledTariff
    currency: str
    since: datetime


async def warn_of_prices(
    connection: Connection, caller: Caller, cdrs: Sequence[Cdr], evses: Mapping[str, asyncpg.Record]
) -> dict[int, Flaw]:
    """Return the warnings about CDRs of an operator whose price differs from the tariff, by index."""
    names = {each.index: _tariff_id(each, evses[each.evse_id]) for each in cdrs}
    asked = {(name, each.provider_id) for each in cdrs if (name := names[each.index]) is not None}
    columns = [list(column) for column in zip(*sorted(asked), strict=True)]
    rows = await connection.fetch(_OFFERS, caller.role_id, *columns) if asked else []
    offers = {(row["tariff_id"], row["provider_id"]): _offer(row) for row in rows}
    found: dict[int, Flaw] = {}
    async for cdr in yielding(cdrs):
        name = names[cdr.index]
        offer = None if name is None else offers.get((name, cdr.provider_id))
        if name is not None and offer is not None and offer.since <= cdr.started_at:
            flaw = _differs(cdr, name, offer, evses[cdr.evse_id]["time_zone"])
            if flaw is not None:
                found[cdr.index] = flaw
    return found


def _tariff_id(cdr: Cdr, evse: asyncpg.Record) -> str | None:
    connector = cdr.sent.connector
    if connector.tariff_id is not None:
        return normalise_tariff_id(connector.tariff_id)
    connectors = zip(evse["connector_standards"], evse["connector_formats"], evse["connector_tariff_ids"], strict=True)
    named = {
        name for standard, format_, name in connectors if (standard, format_) == (connector.standard, connector.format)
    }
    return named.pop() if len(named) == 1 else None


def _offer(row: asyncpg.Record) -> _Offer:
    elements: Any = row["elements"]
    tariff = IndividualTariff(currency=row["currency"], elements=msgspec.convert(elements, tuple[TariffElement, ...]))
    return _Offer(CompiledTariff(tariff), row["currency"], row["since"])


def _differs(cdr: Cdr, tariff_id: str, offer: _Offer, time_zone: str | None) -> Flaw | None:
    currency = cdr.sent.currency
    asked = offer.tariff.price(_session(cdr, time_zone)).total
    half = half_a_minor_unit(currency)
    if asked is None or half is None:
        return None
    with localcontext(EXACT):
        if offer.currency == currency and abs(cdr.total - asked) <= half * len(cdr.periods):
            return None
    words = f"the total is {cdr.total:f} {currency}, the tariff {separated_tariff_id(tariff_id)} asks {asked:f}"
    return Flaw(".totalCost", RefusalCode.PRICE_DIFFERS, f"{words} {offer.currency} for this session")


def _session(cdr: Cdr, time_zone: str | None) -> ChargingSession:
    parked = (each.started_at for each in cdr.periods if each.item is BillingItem.PARKING_TIME)
    charged = min(parked, default=cdr.ended_at)
    powers: list[Decimal] = [each.value for each in cdr.periods if each.item is BillingItem.POWER]
    return ChargingSession(
        start=cdr.started_at,
        energy_kwh=energy_of(cdr),
        duration=charged - cdr.started_at,
        parking=cdr.ended_at - charged,
        power_kw=max(powers, default=None),
        time_zone=_zone(time_zone),
    )


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return None
