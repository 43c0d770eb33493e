"""Thousands of tokens come into view as a contract begins, and go out of view as it ends: nothing lost, nothing twice.

They are too many for one round of the stream, and for one read of a page.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE, read_as
from app.exchange.contracts import end_contract, set_contract
from app.live.stream import fanout, pages
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import utc_now
from tests.live.streams import ask, until
from tests.live.test_private_feeds import Follower, following

MANY = 2_300
assert max(fanout.MOST_IN_ROUND, pages.CHUNK) < MANY
FIRST = 400
SECOND = "FRA1BC00000001"

TOKENS = "cursor hasMore changes { action id token { instance representation } authorisation { contractId } }"
PAGE = f"query ($cursor: Cursor) {{ roamingAuthorisations(cursor: $cursor, first: {FIRST}) {{ {TOKENS} }} }}"
READABLE = "select id::text, instance, contract_id from authorisation where removed_at is null and not expired"


@dataclass
class Holder(Follower):
    """A caller that follows tokens by pages or by a subscription.

    `told`: how often of each action and token. `needless`: tokens that were taken away and not there.
    """

    told: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    needless: set[str] = field(default_factory=set[str])
    names: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def _apply(self, change: Any) -> None:
        id_, action, shown = change["id"], change["action"], change["token"]
        self.told[action, shown["instance"]] += 1
        if action == "REMOVED":
            self.names[id_] = shown["representation"], shown["instance"]
            if self.held.pop(id_, None) is None:
                self.needless.add(shown["instance"])
        else:
            self.held[id_] = shown["instance"], change["authorisation"]["contractId"].replace("-", "")

    async def read_page(self, database: Database) -> bool:
        """Read the next page; return whether there are more."""
        page = (await ask(database, self.caller, PAGE, {"cursor": self.cursor}))["roamingAuthorisations"]
        assert len(page["changes"]) <= FIRST
        for change in page["changes"]:
            self._apply(change)
        self.cursor = page["cursor"]
        return page["hasMore"]

    async def read_all(self, database: Database) -> None:
        while await self.read_page(database):
            pass


async def readable(world: World, holder: Holder) -> dict[str, Any]:
    """Return what a role may read, by row-level security alone."""
    assert holder.caller is not None
    rows = await read_as(world.database, holder.caller, READABLE)
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.fixture
async def world(database: Database) -> World:
    """`stranger` reads the tokens of the second provider from the beginning."""
    world = await make_world(database)
    await world.update(*(item(f"A{number}") for number in range(MANY)))
    await world.update(*(item(f"B{number}", SECOND) for number in range(50)), by=world.second)
    await set_contract(database, CONSOLE, world.second.party, world.stranger.party, utc_now())
    return world


async def begin(world: World) -> UUID:
    return await set_contract(world.database, CONSOLE, world.provider.party, world.stranger.party, utc_now())


async def end(world: World, contract: UUID) -> None:
    await end_contract(world.database, CONSOLE, contract, utc_now())


async def change(world: World, *numbers: int) -> None:
    """Change a third of these tokens, remove a third, and add as many."""
    third = len(numbers) // 3
    await world.update(*(item(f"A{number}", "DE8AAC00000002") for number in numbers[:third]))
    await world.remove(*(token(f"A{number}") for number in numbers[third : 2 * third]))
    await world.update(*(item(f"N{number}") for number in numbers[2 * third :]))


async def test_come_and_go_page_by_page(world: World, seed: int):
    """Tokens change before the first page and between pages; each that does not is sent once."""
    dice = random.Random(seed)
    numbers = dice.sample(range(MANY), MANY)
    early, late, gone = numbers[:60], numbers[60:120], numbers[120:180]
    holder = Holder(world.stranger.caller)
    await holder.read_all(world.database)
    contract = await begin(world)
    await change(world, *early)
    await holder.read_page(world.database)
    await change(world, *late)
    await world.update(item("B0", "FRA1BC00000002"), by=world.second)
    await holder.read_all(world.database)
    assert holder.held == await readable(world, holder)
    moved = {f"{letter}{number}" for letter in "AN" for number in late} | {"B0"}
    assert {each for each, times in holder.told.items() if times > 1} <= {("UPSERTED", each) for each in moved}
    assert {instance for action, instance in holder.told if action == "REMOVED"} <= moved
    assert holder.needless <= moved

    holder.needless.clear()
    holder.told.clear()
    held = {instance for instance, _ in holder.held.values() if instance[0] != "B"}
    await end(world, contract)
    await change(world, *gone)
    await holder.read_page(world.database)
    await change(world, *numbers[180:240])
    await holder.read_all(world.database)
    assert holder.held == await readable(world, holder)
    assert holder.told.total() == len(held)
    assert set(holder.told.values()) == {1}
    assert not holder.needless


async def test_come_and_go_by_subscription(world: World, seed: int):
    dice = random.Random(seed)
    numbers = dice.sample(range(MANY), MANY)
    holder, operator = Holder(world.stranger.caller), Holder(world.operator.caller)

    async def settled() -> None:
        expected = [await readable(world, each) for each in (holder, operator)]
        await until(lambda: [holder.look(), operator.look()] == expected, "both hold what they may read")

    async with following(world.database, holder, operator):
        await settled()
        contract, *_ = await asyncio.gather(begin(world), change(world, *numbers[:60]))
        await settled()
        late = {f"{letter}{number}" for letter in "AN" for number in numbers[:60]}
        assert {instance for (_, instance), times in holder.told.items() if times > 1} | holder.needless <= late
        holder.needless.clear()
        holder.told.clear()
        operator.told.clear()
        count = len(holder.held) - 50
        await end(world, contract)
        await change(world, *numbers[60:120])
        await settled()
        assert holder.told.total() == count
        assert set(holder.told.values()) == {1}
        assert operator.told.total() == 60
        assert not holder.needless | operator.needless


async def test_are_named_as_they_were_known(world: World):
    """A token that is taken away is named as the caller read it; one that changed since by its hash."""
    contract = await begin(world)
    holder = Holder(world.stranger.caller)
    await holder.read_all(world.database)
    kept, changed = (next(id_ for id_, (name, _) in holder.held.items() if name == each) for each in ("A0", "A1"))
    await end(world, contract)
    await change(world, 1, 2, 3)
    await holder.read_all(world.database)
    assert holder.names[kept] == ("PLAIN", "A0")
    representation, name = holder.names[changed]
    assert representation == "SHA_256"
    assert len(name) == 64
