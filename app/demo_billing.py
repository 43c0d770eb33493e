"""Tariffs of the demo's operators and CDRs of its sessions, with a dispute, by the ways that real ones take.

What stands already is left as it is: a filling that was interrupted goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from app.auth import Caller
from app.db.engine import Database
from app.demo_charging import PAST
from app.demo_stations import tariff_ids
from app.exchange.actor import read_as
from app.exchange.cdrs.confirmations import confirm_cdrs, read_confirmation
from app.exchange.cdrs.uploads import add_cdrs, read_cdrs
from app.exchange.tariffs.updates import update_tariffs
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.uploads.items import Owner, Report
from app.vocabulary import CdrStatus

CURRENCY: Final = "EUR"
#: Per kWh: what everybody pays, and what the demo's provider has agreed on.
DEFAULT: Final = Decimal("0.59")
AGREED: Final = Decimal("0.49")

#: A CDR as `CdrInput` takes it.
Input = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Billed:
    """What becomes of the CDR of a session. `prices`: of its revisions; `reason`: why the first one is declined."""

    session: str
    prices: tuple[Decimal, ...]
    reason: str | None = None
    approved: bool = False


BILLED: Final = (
    Billed("stopped", (AGREED,), approved=True),
    Billed("forced", (DEFAULT, AGREED), "The price that we agreed on is 0.49 EUR per kWh."),
    Billed("unlisted", (AGREED,), "This card is none of ours."),
)


async def publish_tariffs(database: Database, operator: Caller, provider_id: str, now: datetime) -> None:
    """Publish the tariffs that the connectors of an operator name."""
    assert operator.party_id is not None, "operators have a party id"
    owner = Owner(operator.partner_id, operator.role_id, operator.party_id)
    items = [_read(number, item) for number, item in enumerate(tariffs(operator.party_id, provider_id))]
    _require(await update_tariffs(database, items, owner, now))


def tariffs(party_id: str, provider_id: str) -> Iterator[Input]:
    """Make an operator's tariffs: by the kWh, more where charging is fast, and less for one provider."""
    for tariff_id, power_kw in tariff_ids(party_id).items():
        fast = [_element("SERVICE_FEE", "1.00", "1")] if power_kw >= 150 else []
        yield {
            "tariffId": tariff_id,
            "individualTariffs": [
                {"currency": CURRENCY, "elements": [*fast, _element("ENERGY", str(DEFAULT), "0")]},
                {
                    "recipients": [provider_id],
                    "currency": CURRENCY,
                    "elements": [_element("ENERGY", str(AGREED), "0")],
                },
            ],
        }


def _element(item: str, price: str, step: str) -> Input:
    return {"billingItem": item, "itemPrice": price, "stepSize": step}


def _read(number: int, item: Input) -> Tariff:
    read = read_tariff(item, number)
    if not isinstance(read, Tariff):
        raise AssertionError(f"the demo's own tariff was refused: {read[0]}")
    return read


def _require(report: Report) -> None:
    if report.refused:
        raise AssertionError(f"the demo's own data was refused: {report.refused[0]}")


# ---------------------------------------------------------------- CDRs

_SESSION: Final = """
select session.id, token_type, session.instance, contract_id, session.evse_id, authorised_at, ended_at, energy_kwh,
    evse.charge_point_type, evse.connector_tariff_ids[1] as tariff_id, house_number, address, city, zip_code, country
from session join evse using (evse_id) where session.operator_role_id = $1 and authorised_at = $2
"""
_STANDING: Final = "select status, revision from cdr where cdr_id = $1"
WAITING: Final = (CdrStatus.ACCEPTED, CdrStatus.REVISED)


@dataclass(frozen=True, slots=True)
class Billing:
    """The CDRs of sessions of an earlier day, which `operators` reported in turn."""

    database: Database
    provider: Caller
    operators: Sequence[Caller]
    day: datetime
    now: datetime

    async def run(self) -> None:
        """Upload and confirm until every CDR stands as it should."""
        past = {each.name: number for number, each in enumerate(PAST)}
        for billed in BILLED:
            number = past[billed.session]
            operator = self.operators[number % len(self.operators)]
            while await self._go_on(billed, operator, number):
                pass

    async def _go_on(self, billed: Billed, operator: Caller, number: int) -> bool:
        """Do what comes next; return whether there was something to do."""
        cdr_id = f"{operator.party_id}DEMO{number + 1}"
        rows = await read_as(self.database, operator, _STANDING, cdr_id)
        status, revision = (rows[0]["status"], rows[0]["revision"]) if rows else (None, 0)
        is_last = revision == len(billed.prices)
        if status not in WAITING and not is_last:
            await self._upload(operator, cdr_id, number, billed.prices[revision], revision)
        elif status in WAITING and billed.approved:
            await self._confirm([{"cdrId": cdr_id}], [])
        elif status in WAITING and billed.reason is not None and revision == 1:
            await self._confirm([], [{"cdrId": cdr_id, "reason": billed.reason}])
        else:
            return False
        return True

    async def _upload(self, operator: Caller, cdr_id: str, number: int, price: Decimal, revision: int) -> None:
        at = self.day - timedelta(hours=PAST[number].begun_h)
        [session] = await read_as(self.database, operator, _SESSION, operator.role_id, at)
        sent = {**_cdr(cdr_id, dict(session), price), "status": "REVISED" if revision else "NEW"}
        _require(await add_cdrs(self.database, await read_cdrs([sent]), operator, self.now))

    async def _confirm(self, approved: Sequence[Input], declined: Sequence[Input]) -> None:
        read = await read_confirmation(approved, declined)
        _require(await confirm_cdrs(self.database, read, self.provider, self.now))


def _cdr(cdr_id: str, session: Mapping[str, Any], price: Decimal) -> Input:
    """Return the CDR of a session, at a price per kWh."""
    start, end = (session[name].replace(microsecond=0).isoformat() for name in ("authorised_at", "ended_at"))
    cost = round(session["energy_kwh"] * price, 2)
    is_dc = session["charge_point_type"] == "DC"
    return {
        "cdrId": cdr_id,
        "evseId": session["evse_id"],
        "sessionId": str(session["id"]),
        "token": {"instance": session["instance"], "type": session["token_type"]},
        "contractId": session["contract_id"],
        "start": start,
        "end": end,
        "address": {
            "houseNumber": session["house_number"],
            "address": session["address"],
            "city": session["city"],
            "zipCode": session["zip_code"],
            "country": session["country"],
        },
        "chargePointType": session["charge_point_type"],
        "connector": {
            "standard": "IEC_62196_T2_COMBO" if is_dc else "IEC_62196_T2",
            "format": "CABLE" if is_dc else "SOCKET",
            "tariffId": session["tariff_id"],
        },
        "periods": [
            {
                "start": start,
                "end": end,
                "billingItem": "ENERGY",
                "billingValue": str(session["energy_kwh"]),
                "itemPrice": str(price),
                "periodCost": str(cost),
            }
        ],
        "totalCost": str(cost),
        "currency": CURRENCY,
    }
