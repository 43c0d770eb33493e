"""Providers with tokens, and operators with and without a contract with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE, read_as
from app.exchange.authorisation.lists import set_authorisations
from app.exchange.authorisation.updates import read_authorisations, remove_authorisations, update_authorisations
from app.exchange.contracts import set_contract
from app.uploads.items import Owner, Report
from app.uploads.list_parts import Part
from tests.exchange.world import Member, operator, provider, utc_now

TOMORROW = (utc_now() + timedelta(days=1)).isoformat()


def token(instance: str = "04A1B2", **more: Any) -> dict[str, Any]:
    return {"instance": instance, "type": "RFID", **more}


def item(instance: str = "04A1B2", contract: str = "DE8AAC00000001", **more: Any) -> dict[str, Any]:
    """Return an authorisation as a provider sends it."""
    return {"token": token(instance), "contractId": contract, "expiresAt": TOMORROW, **more}


def owner_of(member: Member) -> Owner:
    caller = member.caller
    assert caller.party_id is not None
    return Owner(caller.partner_id, caller.role_id, caller.party_id)


@dataclass(frozen=True)
class World:
    """`operator` has a contract with `provider` and `second`; `stranger` has none."""

    database: Database
    provider: Member
    second: Member
    operator: Member
    stranger: Member

    async def set(
        self, items: Sequence[Any], part: Part | None = None, confirmed: bool = False, by: Member | None = None
    ) -> Report:
        owner = owner_of(by or self.provider)
        read = await read_authorisations(items, owner)
        return await set_authorisations(self.database, read, owner, part, confirmed, utc_now())

    async def update(self, *items: Any, by: Member | None = None, now: datetime | None = None) -> Report:
        owner = owner_of(by or self.provider)
        return await update_authorisations(
            self.database, await read_authorisations(items, owner), owner, now or utc_now()
        )

    async def remove(self, *tokens: Any, by: Member | None = None) -> Report:
        return await remove_authorisations(self.database, tokens, owner_of(by or self.provider), utc_now())

    async def seen(self, caller: Caller) -> list[tuple[str, str]]:
        """Return the tokens in force that a role may read, with their contracts, under row-level security alone."""
        rows = await read_as(
            self.database,
            caller,
            """
            select instance, contract_id from authorisation where removed_at is null and not expired order by instance
            """,
        )
        return [(row["instance"], row["contract_id"]) for row in rows]


async def make_world(database: Database) -> World:
    first, second = await provider(database), await provider(database, "FRA1B", "Second")
    cpo, stranger = await operator(database), await operator(database, "DE8AD", "Stranger")
    for each in (first, second):
        await set_contract(database, CONSOLE, each.party, cpo.party, utc_now())
    return World(database, first, second, cpo, stranger)
