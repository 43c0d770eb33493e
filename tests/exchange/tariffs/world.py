"""Operators with tariffs, providers that some of these are meant for, and others that may see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.exchange.tariffs.updates import remove_tariffs, update_tariffs
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.uploads.checks import Refusal
from app.uploads.items import Report
from tests.exchange.authorisation.world import owner_of
from tests.exchange.world import Member, administrator, nsp, operator, provider, utc_now

T1 = "DE8ACT1"


def element(price: str = "0.35", **more: Any) -> dict[str, Any]:
    return {"billingItem": "ENERGY", "itemPrice": price, "stepSize": "0", **more}


def individual(price: str = "0.35", *recipients: str, **more: Any) -> dict[str, Any]:
    return {"recipients": list(recipients), "currency": "EUR", "elements": [element(price)], **more}


def item(*individual_tariffs: Any, tariff_id: str = T1) -> dict[str, Any]:
    """Return a tariff as an operator sends it."""
    return {"tariffId": tariff_id, "individualTariffs": list(individual_tariffs) or [individual()]}


def read(items: Sequence[Any]) -> list[Tariff | Refusal]:
    found: list[Tariff | Refusal] = []
    for index, raw in enumerate(items):
        read = read_tariff(raw, index)
        found += [read] if isinstance(read, Tariff) else read
    return found


@dataclass(frozen=True)
class World:
    """`operator` is closed and has contracts with `first`, `second` and `rival`, `map_` has one with `first`."""

    database: Database
    operator: Member
    open: Member
    first: Member
    second: Member
    map_: Member
    stranger: Member
    rival: Member
    administrator: Member

    async def update(self, *items: Any, by: Member | None = None, now: datetime | None = None) -> Report:
        return await update_tariffs(self.database, read(items), owner_of(by or self.operator), now or utc_now())

    async def remove(self, *tariff_ids: Any, by: Member | None = None) -> Report:
        return await remove_tariffs(self.database, tariff_ids, owner_of(by or self.operator), utc_now())

    @property
    def callers(self) -> dict[str, Caller | None]:
        """Return every kind of caller by name."""
        names = ("operator", "open", "first", "second", "map_", "stranger", "rival", "administrator")
        return {**{name: getattr(self, name).caller for name in names}, "anonymous": None}


async def make_world(database: Database) -> World:
    """`first` is EVSP DE8AA, `second` EVSP FRA1B. `rival` is an operator with a contract with `first`."""
    first, second = await provider(database), await provider(database, "FRA1B", "Second")
    closed, free = await operator(database), await operator(database, "DE8AD", "Open", open_=True)
    map_, stranger = await nsp(database), await nsp(database, "Stranger")
    rival = await operator(database, "DE8AE", "Rival")
    world = World(database, closed, free, first, second, map_, stranger, rival, await administrator(database))
    for one, other in ((first, closed), (second, closed), (first, rival), (map_, first)):
        await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    return world
