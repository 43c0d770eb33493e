"""Tariffs are followed by all who see their operator, as they are meant for them: lists, then what changed for them."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from app.auth import Caller
from app.db.engine import Database
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.exchange.operators import set_operator_open
from app.exchange.partners import resume_partner, suspend_partner
from app.live.stream.sink import Subscription
from schema.subscription import ChangeSource
from tests.exchange.tariffs.world import World, individual, item, make_world
from tests.exchange.world import Member, look, owner, utc_now
from tests.length import rounds
from tests.live.streams import Collecting, ask, running, subscribe, until

TARIFF = "tariff { tariffId updatedAt individualTariffs { currency recipients elements { itemPrice } } }"
PAGE = f"cursor hasMore changes {{ action tariffId {TARIFF} }}"
LISTED = f"""query ($cursor: Cursor, $provider: PartyId, $first: Int! = 500) {{
    page: tariffs(cursor: $cursor, providerId: $provider, first: $first) {{ {PAGE} }} }}"""
FOLLOWED = f"""subscription ($cursor: Cursor, $initial: Boolean! = false, $provider: PartyId) {{
    page: tariffChanges(cursor: $cursor, initial: $initial, providerId: $provider) {{ {PAGE} }} }}"""
PUBLIC = f"""subscription ($cursor: Cursor, $initial: Boolean! = false, $kinds: [ChangeKind!], $filter: EvseFilter) {{
    page: changes(cursor: $cursor, initial: $initial, kinds: $kinds, filter: $filter) {{
        cursor hasMore changes {{ kind action tariffId: id {TARIFF} evse {{ evseId }} }} }} }}"""


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


def prices(tariff: Any) -> list[str]:
    return [each["elements"][0]["itemPrice"] for each in tariff["individualTariffs"]]


# ---------------------------------------------------------------- a page holds what changed for its reader, no more


@dataclass
class Reader:
    """A caller that reads the list, and then again and again what changed."""

    database: Database
    caller: Caller | None
    provider_id: str | None = None
    cursor: str | None = None

    async def read(self, cursor: str | None = None, first: int = 500) -> list[Any]:
        """Read all pages from a cursor on, from the list's beginning without one."""
        found: list[Any] = []
        while True:
            given = {"cursor": cursor, "provider": self.provider_id, "first": first}
            page = (await ask(self.database, self.caller, LISTED, given))["page"]
            found += page["changes"]
            cursor = self.cursor = page["cursor"]
            if not page["hasMore"]:
                return found

    async def list(self) -> dict[str, Any]:
        return {each["tariffId"]: each["tariff"] for each in await self.read()}


def readers(world: World) -> dict[str, Reader]:
    """Return every kind of caller, with and without a provider that it asks about."""
    own = {name: Reader(world.database, caller) for name, caller in world.callers.items()}
    asked = (("map_", "DE8AA"), ("map_", "FRA1B"), ("stranger", "DE8AA"), ("rival", "DE8AA"))
    named = {f"{name} for {each}": Reader(world.database, world.callers[name], each) for name, each in asked}
    return own | named


async def test_hides_by_its_rules_alone_what_row_level_security_hides(world: World, database_url: str):
    """`tests/exchange/tariffs` tries row-level security without the rules."""
    await world.update(item(individual("1"), individual("2", "DE8AA", "NLTNM"), individual("3", "FRA1B")))
    every = readers(world)
    lists = {name: await each.list() for name, each in every.items()}
    assert {name: prices(each["DE*8AC*T1"]) for name, each in lists.items() if each} == {
        "operator": ["1", "2", "3"],
        "first": ["2"],
        "second": ["3"],
        "map_": ["1"],
        "map_ for DE8AA": ["2"],
        "map_ for FRA1B": ["1"],
        "administrator": ["1"],
    }
    async with owner(database_url) as connection:
        for table in ("tariff", "individual_tariff", "tariff_recipient"):
            await connection.execute(f"alter table {table} disable row level security")
    assert {name: await each.list() for name, each in every.items()} == lists


class Moves:
    """Random uploads, and changes of what callers may see."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.dice = world, dice

    async def upload(self) -> None:
        by, party = self.dice.choice([(self.world.operator, "DE8AC"), (self.world.open, "DE8AD")])
        ids = [f"{party}T{n}" for n in range(3)]
        if self.dice.random() < 0.2:
            await self.world.remove(self.dice.choice(ids), by=by)
        else:
            some = self.dice.sample(ids, self.dice.randint(1, 2))
            await self.world.update(*(self.some_tariff(each) for each in some), by=by)

    def some_tariff(self, tariff_id: str) -> Any:
        price = self.dice.choices(("1", "2"), k=3)
        providers = self.dice.sample(("DE8AA", "FRA1B", "NLTNM"), self.dice.randint(0, 3))
        cut = self.dice.randint(0, len(providers))
        groups = [each for each in (providers[:cut], providers[cut:]) if each]
        named = [individual(price[number], *each) for number, each in enumerate(groups, 1)]
        return item(individual(price[0]), *named, tariff_id=tariff_id)

    async def turn(self) -> None:
        """Begin or end a contract, open or close the operator, suspend or resume a provider, if that is possible."""
        with suppress(HubError):
            await self._turn()

    async def _turn(self) -> None:
        world, dice = self.world, self.dice
        pairs = [(world.map_, world.first), (world.map_, world.operator), (world.first, world.operator)]
        moves: list[Callable[[], Awaitable[Any]]] = [
            lambda: set_operator_open(world.database, CONSOLE, "DE8AC", dice.random() < 0.5, utc_now()),
            lambda: dice.choice([suspend_partner, resume_partner])(
                world.database, CONSOLE, world.second.party.partner_id, utc_now()
            ),
        ]
        if dice.random() < 0.4:
            await dice.choice(moves)()
            return
        one, other = dice.choice(pairs)
        contract = await contract_between(world, one, other)
        if contract is None:
            await set_contract(world.database, CONSOLE, one.party, other.party, utc_now())
        else:
            await end_contract(world.database, CONSOLE, contract, utc_now())


async def contract_between(world: World, one: Member, other: Member) -> UUID | None:
    """Return the contract in force between two roles."""
    rows = await look(
        world.database,
        "select id from contract where status = 'ACTIVE' and $1::int[] @> array[first_role_id, second_role_id]",
        [one.caller.role_id, other.caller.role_id],
    )
    return rows[0]["id"] if rows else None


async def test_pages_hold_what_changed_for_their_reader_and_nothing_else(world: World, seed: int):
    dice = random.Random(seed)
    moves, every = Moves(world, dice), readers(world)
    held = {name: await each.list() for name, each in every.items()}
    for _ in range(rounds(10, full=60)):
        is_upload = dice.random() < 0.7
        await (moves.upload() if is_upload else moves.turn())
        for name, each in every.items():
            changes = await each.read(each.cursor, first=dice.choice((1, 500)))
            after, before = await Reader(world.database, each.caller, each.provider_id).list(), held[name]
            other = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
            sent = {each["tariffId"] for each in changes}
            assert sent >= other, (name, before, after)
            assert sent == other or not is_upload, (name, before, after, changes)
            for change in changes:
                assert change["tariff"] == after.get(change["tariffId"]), name
                assert (change["action"] == "REMOVED") is (change["tariffId"] not in after), name
            held[name] = after


# ---------------------------------------------------------------- live


@dataclass
class Follower:
    """A caller that follows tariffs: what it received, in order, and what it holds by id."""

    caller: Caller | None
    query: str = FOLLOWED
    given: dict[str, Any] = field(default_factory=dict)
    sink: Collecting = field(default_factory=Collecting)
    running: Subscription | None = None
    received: list[tuple[str, str]] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    pages: int = 0

    async def connect(self, source: ChangeSource) -> None:
        self.sink = Collecting()
        begin = {"initial": True} if self.cursor is None else {"cursor": self.cursor}
        self.running = await subscribe(source, self.caller, self.query, self.sink, {**self.given, **begin})

    def look(self) -> dict[str, list[str]]:
        """Return the prices of the tariffs that it holds, by id."""
        assert self.sink.errors is None, self.sink.errors
        pages, self.sink.pages = self.sink.pages, []
        self.pages += len(pages)
        for page in (each["page"] for each in pages):
            self.cursor = page["cursor"]
            for change in page["changes"]:
                self.received.append((change["action"], change["tariffId"]))
                if change["action"] == "REMOVED":
                    del self.held[change["tariffId"]]
                else:
                    self.held[change["tariffId"]] = change["tariff"]
        return {id_: prices(each) for id_, each in self.held.items()}


async def live(source: ChangeSource, *followers: Follower) -> None:
    for each in followers:
        await each.connect(source)
    await until(lambda: all(getattr(each.running, "is_live", False) for each in followers), "being live")
    for each in followers:
        each.look()
        each.received.clear()
        each.pages = 0


async def hold(held: dict[str, list[str]], *followers: Follower) -> None:
    await until(lambda: all(each.look() == held for each in followers), f"{held}")


@pytest.mark.parametrize("query", [FOLLOWED, PUBLIC])
async def test_sends_no_provider_that_the_tariff_of_another_changed(database: Database, world: World, query: str):
    """Not even an empty page, and nothing that tells when it was."""
    await world.update(item(individual("1"), individual("2", "DE8AA"), individual("3", "FRA1B")))
    given = {"kinds": ["TARIFF"]} if query is PUBLIC else {}
    first, second, map_, operator = (
        Follower(each.caller, query, given) for each in (world.first, world.second, world.map_, world.operator)
    )
    async with running(database) as source:
        await live(source, first, second, map_, operator)
        before = dict(second.held), dict(map_.held)
        await world.update(item(individual("1"), individual("9", "DE8AA"), individual("3", "FRA1B")))
        await hold({"DE*8AC*T1": ["9"]}, first)
        await hold({"DE*8AC*T1": ["1", "9", "3"]}, operator)
        await world.update(item(individual("7"), individual("9", "DE8AA"), individual("3", "FRA1B")))
        await hold({"DE*8AC*T1": ["7"]}, map_)
        await world.update(item(tariff_id="DE8ACT2"))
        await hold({"DE*8AC*T1": ["3"], "DE*8AC*T2": ["0.35"]}, second)
        await hold({"DE*8AC*T1": ["9"], "DE*8AC*T2": ["0.35"]}, first)
        assert (second.received, second.pages) == ([("UPSERTED", "DE*8AC*T2")], 1)
        assert second.held["DE*8AC*T1"] == before[0]["DE*8AC*T1"]
        assert map_.received == [("UPSERTED", "DE*8AC*T1")], "its default changed once"
        assert before[1]["DE*8AC*T1"]["updatedAt"] < map_.held["DE*8AC*T1"]["updatedAt"]
        assert [each for each in first.received if each[1] == "DE*8AC*T1"] == [("UPSERTED", "DE*8AC*T1")]


async def test_falls_back_to_the_default_where_a_provider_is_named_no_more(database: Database, world: World):
    await world.update(item(individual("1"), individual("2", "DE8AA")))
    first = Follower(world.first.caller)
    async with running(database) as source:
        await live(source, first)
        since = first.held["DE*8AC*T1"]["updatedAt"]
        await world.update(item(individual("1")))
        await hold({"DE*8AC*T1": ["1"]}, first)
        assert first.held["DE*8AC*T1"]["updatedAt"] > since, "what it is shown is newer, though the default is older"
        await world.remove("DE8ACT1")
        await hold({}, first)


async def test_follows_an_nsp_that_may_ask_for_a_provider_and_then_may_not(database: Database, world: World):
    await world.update(item(individual("1"), individual("2", "DE8AA")), item(tariff_id="DE8ACT2"))
    await set_contract(database, CONSOLE, world.map_.party, world.operator.party, utc_now())
    contract = await set_contract(database, CONSOLE, world.stranger.party, world.operator.party, utc_now())
    asked = Follower(world.map_.caller, given={"provider": "DE8AA"})
    refused = Follower(world.stranger.caller, given={"provider": "DE8AA"})
    async with running(database) as source:
        await live(source, asked, refused)
        default = {"DE*8AC*T1": ["1"], "DE*8AC*T2": ["0.35"]}
        await hold({**default, "DE*8AC*T1": ["2"]}, asked)
        await hold(default, refused)
        theirs = await contract_between(world, world.map_, world.first)
        assert theirs is not None
        await end_contract(database, CONSOLE, theirs, utc_now())
        await hold(default, asked)
        assert asked.received == [("UPSERTED", "DE*8AC*T1")], "the other tariff is the same for it"
        await set_contract(database, CONSOLE, world.map_.party, world.first.party, utc_now())
        await hold({**default, "DE*8AC*T1": ["2"]}, asked)
        await end_contract(database, CONSOLE, contract, utc_now())
        await hold({}, refused)


async def test_resumes_from_a_cursor_without_loss(database: Database, world: World):
    await world.update(item(individual("1"), individual("2", "DE8AA")))
    first, anonymous = Follower(world.first.caller), Follower(None)
    async with running(database) as source:
        await live(source, first, anonymous)
        assert first.running is not None
        first.running.close()
        await world.update(item(individual("1"), individual("3", "DE8AA")), item(tariff_id="DE8ACT2"))
        await world.remove("DE8ACT2")
        await world.update(item(individual("5"), tariff_id="DE8ADT1"), by=world.open)
        await first.connect(source)
        await hold({"DE*8AC*T1": ["3"], "DE*8AD*T1": ["5"]}, first)
        await hold({"DE*8AD*T1": ["5"]}, anonymous)
        assert sorted(first.received) == [("UPSERTED", "DE*8AC*T1"), ("UPSERTED", "DE*8AD*T1")]
        await set_operator_open(database, CONSOLE, "DE8AC", True, utc_now())
        await hold({"DE*8AC*T1": ["1"], "DE*8AD*T1": ["5"]}, anonymous)
        await set_operator_open(database, CONSOLE, "DE8AC", False, utc_now())
        await hold({"DE*8AD*T1": ["5"]}, anonymous)
        await hold({"DE*8AC*T1": ["3"], "DE*8AD*T1": ["5"]}, first)


async def test_delivers_tariffs_among_other_changes_where_neither_area_nor_filter_is_asked(
    database: Database, world: World
):
    await world.update(item(individual("1"), tariff_id="DE8ADT1"), by=world.open)
    everything, filtered = Follower(None, PUBLIC), Follower(None, PUBLIC, {"filter": {"operatorIds": ["DE8AD"]}})
    named = Follower(None, PUBLIC, {"filter": {"operatorIds": ["DE8AD"]}, "kinds": ["TARIFF", "EVSE"]})
    for_provider = Follower(world.map_.caller, PUBLIC, {"filter": {"providerId": "DE8AA"}, "kinds": ["TARIFF"]})
    async with running(database) as source:
        await live(source, everything, filtered, named, for_provider)
        await hold({"DE*8AD*T1": ["1"]}, everything, named, for_provider)
        await world.update(item(individual("1"), individual("2", "DE8AA"), tariff_id="DE8ADT1"), by=world.open)
        await hold({"DE*8AD*T1": ["2"]}, for_provider)
        await world.update(item(individual("3"), individual("2", "DE8AA"), tariff_id="DE8ADT1"), by=world.open)
        await hold({"DE*8AD*T1": ["3"]}, everything, named)
        assert not filtered.look()
        assert everything.received == [("UPSERTED", "DE*8AD*T1")]
