"""Two operators and two providers with contracts and tokens, and CDRs as operators send them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.db.engine import Database
from app.exchange.actor import CONSOLE, Actor
from app.exchange.authorisation.updates import read_authorisations, update_authorisations
from app.exchange.cdrs.confirmations import confirm_cdrs, read_confirmation
from app.exchange.cdrs.reconciliation import ReconciliationRow, reconcile
from app.exchange.cdrs.uploads import add_cdrs, read_cdrs
from app.exchange.contracts import set_contract
from app.uploads.items import Report
from tests.exchange.authorisation.world import owner_of
from tests.exchange.world import Member, add_evse, look, operator, owner, provider, utc_now

#: The contracts are in force from here on; sessions of the tests begin at noon.
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime.fromisoformat("2026-03-01T12:00:00+01:00")
EVSE, SECOND_EVSE, FOREIGN_EVSE = "DE8ACE1", "DE8ACE2", "DE8ADE1"
POWER_KW = 22
ADDRESS = {"address": "Ring 1", "city": "Ulm", "zipCode": "89073", "country": "DEU"}
CONTRACTS = ("DE8AAC00000001", "FRA1BC00000001")
#: By provider.
TOKENS = ("04A1B2", "04C3D4")


def local(instant: datetime) -> str:
    return instant.isoformat()


def period(start: datetime, end: datetime, **more: Any) -> dict[str, Any]:
    return {
        "start": local(start),
        "end": local(end),
        "billingItem": "ENERGY",
        "billingValue": "10",
        "itemPrice": "0.39",
        "periodCost": "3.90",
        **more,
    }


def cdr(
    cdr_id: str = "DE8AC1",
    start: datetime = NOON,
    hours: float = 1,
    evse: str = EVSE,
    by: int = 0,
    periods: Sequence[Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a plausible CDR as an operator sends it. `by`: which of the two providers pays."""
    end = start + timedelta(hours=hours)
    return {
        "cdrId": cdr_id,
        "evseId": evse,
        "token": {"instance": TOKENS[by], "type": "RFID"},
        "contractId": CONTRACTS[by],
        "start": local(start),
        "end": local(end),
        "address": ADDRESS,
        "chargePointType": "AC",
        "connector": {"standard": "IEC_62196_T2", "format": "SOCKET"},
        "periods": [period(start, end)] if periods is None else periods,
        "totalCost": "3.90",
        "currency": "EUR",
        **more,
    }


def costing(cost: str, **more: Any) -> dict[str, Any]:
    """Return a CDR with one fee as its only period."""
    start: datetime = more.get("start", NOON)
    fee = period(
        start, start + timedelta(hours=1), billingItem="SERVICE_FEE", billingValue="1", itemPrice=cost, periodCost=cost
    )
    return cdr(**{"periods": [fee], "totalCost": cost, **more})


@dataclass(frozen=True)
class World:
    """`operator` and `second_operator` have contracts with both providers."""

    database: Database
    operator: Member
    second_operator: Member
    providers: tuple[Member, Member]

    async def add(self, *items: Any, by: Member | None = None, now: datetime | None = None) -> Report:
        caller = (by or self.operator).caller
        return await add_cdrs(self.database, await read_cdrs(items), caller, now or utc_now())

    async def confirm(
        self, approved: Sequence[Any] = (), declined: Sequence[Any] = (), by: Member | None = None
    ) -> Report:
        caller = (by or self.providers[0]).caller
        return await confirm_cdrs(self.database, await read_confirmation(approved, declined), caller, utc_now())

    async def approve(self, cdr_id: str = "DE8AC1", by: Member | None = None) -> Report:
        return await self.confirm([{"cdrId": cdr_id}], by=by)

    async def decline(self, cdr_id: str = "DE8AC1", reason: str | None = None, by: Member | None = None) -> Report:
        return await self.confirm(declined=[{"cdrId": cdr_id, "reason": reason}], by=by)

    async def rows(self) -> dict[str, Any]:
        return {row["cdr_id"]: row for row in await look(self.database, "select * from cdr")}

    async def history(self, cdr_id: str = "DE8AC1") -> list[str]:
        sql = """
            select command from workflow_history join cdr on subject_id = cdr.id::text
            where subject = 'cdr' and cdr_id = $1 order by no
        """
        return [row["command"] for row in await look(self.database, sql, cdr_id)]

    async def reconcile(self, actor: Actor, **asked: Any) -> list[ReconciliationRow]:
        given = {"counterparty": None, "begin": None, "end": None, **asked}
        return await reconcile(self.database, actor, **given)

    async def totals(self, actor: Actor) -> dict[tuple[str, str, str, str], tuple[int, Decimal]]:
        rows = await self.reconcile(actor)
        return {(r.operator_id, r.provider_id, r.currency, r.status.value): (r.count, r.total) for r in rows}


def outcome(report: Report) -> str:
    """Return what became of the one item of an upload."""
    counts = {"accepted": report.accepted, "unchanged": report.unchanged, "refused": report.refused_items}
    [found] = [name for name, count in counts.items() if count]
    assert counts[found] == 1
    return found


def codes(report: Report) -> list[str]:
    return [each.code for each in report.refused]


async def make_world(database: Database, database_url: str) -> World:
    operators = await operator(database), await operator(database, "DE8AD", "Second operator")
    providers = await provider(database), await provider(database, "FRA1B", "Second provider")
    for one in operators:
        for other in providers:
            await set_contract(database, CONSOLE, one.party, other.party, utc_now(), SINCE)
    for number, member in enumerate(providers):
        await give_token(database, member, TOKENS[number], CONTRACTS[number])
    for evse_id in (EVSE, SECOND_EVSE, FOREIGN_EVSE):
        await add_evse(database, evse_id[:5], int(evse_id[-1]))
    async with owner(database_url) as connection:
        await connection.execute("update evse set maximum_power_kw = $1", float(POWER_KW))
    return World(database, *operators, providers)


async def give_token(database: Database, member: Member, instance: str, contract_id: str) -> None:
    item = {
        "token": {"instance": instance, "type": "RFID"},
        "contractId": contract_id,
        "expiresAt": (utc_now() + timedelta(days=1)).isoformat(),
    }
    read = await read_authorisations([item], owner_of(member))
    await update_authorisations(database, read, owner_of(member), utc_now())
