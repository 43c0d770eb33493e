"""Authorisations, sessions and requests are followed by those who may read them: lists, then changes, by GraphQL."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE, read_as
from app.exchange.authorisation.erasure import erase_personal_data
from app.exchange.authorisation.requests import request_authorisation
from app.exchange.authorisation.retention import log_expired
from app.exchange.contracts import end_contract, resume_contract, set_contract, suspend_contract
from app.exchange.partners import resume_partner, suspend_partner
from app.live.stream import fanout as fanouts
from app.live.stream.matching import changes_of
from app.live.stream.sink import Subscription
from app.records.token import Token
from app.visibility.viewer_scope import ViewerScope
from app.vocabulary import TokenType
from schema.subscription import ChangeSource
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.cdrs import world as cdrs
from tests.exchange.world import Member, administrator, nsp, owner, utc_now
from tests.live.streams import Collecting, ask, running, subscribe, until

TOKENS = "changes { action id token { instance representation } authorisation { contractId } at }"
SUBSCRIBED = {
    "roamingAuthorisationChanges": TOKENS,
    "sessionChanges": "sessions { id providerId evseId contractId energyKwh contradictions warnings }",
    "cdrChanges": "cdrs { id: cdrId status revision totalCost }",
    "authorisationRequestChanges": "requests { id code operatorId authorisation { contractId } session { id } }",
}


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


def subscription(name: str) -> str:
    asked = f"{name}(cursor: $cursor, initial: $initial) {{ cursor hasMore {SUBSCRIBED[name]} }}"
    return f"subscription ($cursor: Cursor, $initial: Boolean! = false) {{ {asked} }}"


@dataclass
class Follower:
    """A caller that follows one field: what it received, and the tokens or entities that it holds by id."""

    caller: Caller | None
    name: str = "roamingAuthorisationChanges"
    sink: Collecting = field(default_factory=Collecting)
    running: Subscription | None = None
    received: list[tuple[str, str]] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    has_more: bool = True

    async def connect(self, source: ChangeSource) -> None:
        self.sink = Collecting()
        given = {"initial": True} if self.cursor is None else {"cursor": self.cursor}
        self.running = await subscribe(source, self.caller, subscription(self.name), self.sink, given)

    def cut(self) -> None:
        assert self.running is not None
        self.look()
        self.running.close()

    def look(self) -> dict[str, Any]:
        assert self.sink.errors is None, self.sink.errors
        pages, self.sink.pages = self.sink.pages, []
        for each in pages:
            page = each[self.name]
            self.cursor, self.has_more = page["cursor"], page["hasMore"]
            for change in page.get("changes", ()):
                self._apply(change)
            entities = (each for name in ("sessions", "requests", "cdrs") for each in page.get(name, ()))
            self.held |= {each["id"]: each for each in entities}
        return self.held

    def _apply(self, change: Any) -> None:
        self.received.append((change["action"], change["token"]["instance"]))
        if change["action"] == "REMOVED":
            assert change["authorisation"] is None
            del self.held[change["id"]]
        else:
            self.held[change["id"]] = change["token"]["instance"]

    @property
    def tokens(self) -> set[str]:
        return set(self.look().values())


@asynccontextmanager
async def following(database: Database, *followers: Follower) -> AsyncIterator[ChangeSource]:
    async with running(database) as source:
        for each in followers:
            await each.connect(source)
        await until(lambda: all(getattr(each.running, "is_live", False) for each in followers), "being live")
        yield source


def of(*members: Member) -> Sequence[Follower]:
    return [Follower(each.caller) for each in members]


async def hold(followers: Sequence[Follower], tokens: set[str]) -> None:
    await until(lambda: all(each.tokens == tokens for each in followers), f"{tokens}")


# ---------------------------------------------------------------- authorisations


async def test_lists_then_follows_tokens_that_come_change_and_go(database, world: World):
    await world.update(item("A1"), item("A2"))
    followers = of(world.operator, world.provider)
    [third] = of(world.stranger)
    async with following(database, *followers, third):
        await hold(followers, {"A1", "A2"})
        await world.update(item("A3"), item("A1", contract="DE8AAC00000009"))
        await world.remove(token("A2"))
        await hold(followers, {"A1", "A3"})
        expected = [("REMOVED", "A2"), *(("UPSERTED", each) for each in ("A1", "A1", "A2", "A3"))]
        assert all(sorted(each.received) == expected for each in followers)
        assert not third.look()
        assert not third.received


async def test_takes_expired_tokens_away(database, world: World):
    await world.update(item("A1"), item("A2", expiresAt=(utc_now() + timedelta(seconds=1)).isoformat()))
    followers = of(world.operator, world.provider)
    async with following(database, *followers):
        await hold(followers, {"A1", "A2"})
        await log_expired(database, utc_now() + timedelta(seconds=2))
        await hold(followers, {"A1"})


async def test_follows_contracts_that_begin_rest_and_end(database, world: World):
    await world.update(item("A1"), item("A2"))
    await world.update(item("B1", contract="FRA1BC00000001"), by=world.second)
    [operator, third] = followers = of(world.operator, world.stranger)
    async with following(database, *followers):
        await hold([operator], {"A1", "A2", "B1"})
        contract = await set_contract(database, CONSOLE, world.provider.party, world.stranger.party, utc_now())
        await hold([third], {"A1", "A2"})
        await suspend_contract(database, CONSOLE, contract, utc_now())
        await hold([third], set())
        await resume_contract(database, CONSOLE, contract, utc_now())
        await hold([third], {"A1", "A2"})
        await end_contract(database, CONSOLE, contract, utc_now())
        await hold([third], set())
        await suspend_partner(database, CONSOLE, world.provider.caller.partner_id, utc_now())
        await hold([operator], {"B1"})
        await resume_partner(database, CONSOLE, world.provider.caller.partner_id, utc_now())
        await hold([operator], {"A1", "A2", "B1"})


async def test_looks_at_no_subscriber_that_does_not_read_the_provider(world: World, database, monkeypatch):
    looked: list[int | None] = []

    def counting(touched: Any, state: Any, wanted: Any, scope: ViewerScope, before: ViewerScope) -> Any:
        looked.append(scope.role_id)
        return changes_of(touched, state, wanted, scope, before)

    monkeypatch.setattr(fanouts, "changes_of", counting)
    operators = of(world.operator, world.operator)
    others = of(*[world.stranger, world.second] * 5)
    async with following(database, *operators, *others):
        looked.clear()
        await world.update(item("A1"))
        await hold(operators, {"A1"})
        assert looked == [world.operator.caller.role_id] * 2
        looked.clear()
        contract = await set_contract(database, CONSOLE, world.provider.party, world.stranger.party, utc_now())
        await hold(others[::2], {"A1"})
        await end_contract(database, CONSOLE, contract, utc_now())
        await hold(others[::2], set())
        assert Counter(looked) == {world.operator.caller.role_id: 4, world.stranger.caller.role_id: 10}
        assert all(each.received == [] for each in others[1::2])


async def test_sends_those_that_do_not_read_the_provider_no_page_either(world: World, database):
    """An empty one would tell when its tokens change."""
    [operator] = of(world.operator)
    others = of(world.stranger, world.second)
    async with following(database, operator, *others):
        for each in others:
            each.look()
        await world.update(item("A1"))
        await hold([operator], {"A1"})
        await world.remove(token("A1"))
        await hold([operator], set())
        assert [each.sink.pages for each in others] == [[], []]


async def test_resumes_from_a_cursor_over_the_end_of_a_contract(database, world: World):
    await world.update(item("A1"), item("A2"))
    contract = await set_contract(database, CONSOLE, world.provider.party, world.stranger.party, utc_now())
    [third] = of(world.stranger)
    async with running(database) as source:
        await third.connect(source)
        await until(lambda: third.tokens == {"A1", "A2"} and not third.has_more)
        third.cut()
        await world.remove(token("A2"))
        await end_contract(database, CONSOLE, contract, utc_now())
        await world.update(item("A9"))
        await third.connect(source)
        await hold([third], set())
        assert sorted(third.received[2:]) == [("REMOVED", "A1"), ("REMOVED", "A2")]


async def test_takes_erased_tokens_away_without_naming_them(database, world: World):
    await world.update(item("A1"), item("A2", contract="DE8AAC00000002"))
    contract = await set_contract(database, CONSOLE, world.provider.party, world.stranger.party, utc_now())
    session = await authorise(world)
    followers, [third] = of(world.operator, world.provider), of(world.stranger)
    sessions = Follower(world.operator.caller, "sessionChanges")
    async with following(database, *followers, third, sessions) as source:
        await hold([*followers, third], {"A1", "A2"})
        await until(lambda: not third.has_more and str(session) in sessions.look())
        third.cut()
        await end_contract(database, CONSOLE, contract, utc_now())
        await erase_personal_data(database, CONSOLE, "DE8AAC00000001", utc_now())
        await hold(followers, {"A2"})
        assert all(each.received[-1] == ("REMOVED", "") for each in followers)
        await until(lambda: sessions.look()[str(session)]["contractId"] == "")
        await third.connect(source)
        await hold([third], set())
        assert sorted(third.received[2:]) == [("REMOVED", ""), ("REMOVED", "A2")]


async def test_shows_tokens_to_no_administrator_nsp_and_caller_without_a_key(database, world: World):
    await world.update(item("A1"))
    navigation = await nsp(database)
    await set_contract(database, CONSOLE, navigation.party, world.provider.party, utc_now())
    callers = [(await administrator(database)).caller, navigation.caller, world.stranger.caller, None]
    others = [Follower(each) for each in callers]
    [operator] = of(world.operator)
    async with following(database, operator, *others):
        await world.update(item("A2"))
        await world.remove(token("A1"))
        await hold([operator], {"A2"})
        await hold(others, set())
        assert all(each.received == [] for each in others)
    for caller in callers:
        page = await ask(database, caller, f"{{ roamingAuthorisations {{ {TOKENS} }} }}")
        assert page["roamingAuthorisations"]["changes"] == []


PAGE = f"cursor hasMore {TOKENS}"


async def test_reads_the_list_page_by_page_and_then_what_changed(database, world: World):
    await world.update(*(item(f"A{number}") for number in range(5)))
    seen: list[str] = []
    cursor, more = None, True
    query = f"query ($cursor: Cursor) {{ roamingAuthorisations(cursor: $cursor, first: 2) {{ {PAGE} }} }}"
    while more:
        page = (await ask(database, world.operator.caller, query, {"cursor": cursor}))["roamingAuthorisations"]
        cursor, more = page["cursor"], page["hasMore"]
        seen += [each["token"]["instance"] for each in page["changes"]]
    assert sorted(seen) == [f"A{number}" for number in range(5)]
    await world.remove(token("A0"))
    page = (await ask(database, world.operator.caller, query, {"cursor": cursor}))["roamingAuthorisations"]
    assert [(each["action"], each["token"]["instance"]) for each in page["changes"]] == [("REMOVED", "A0")]


async def test_searches_own_tokens_also_expired_ones(database, world: World):
    await world.update(item("A1", printedNumber="N 1"), item("A2", contract="DE8AAC00000002"))
    await log_expired(database, utc_now() + timedelta(days=2))
    for given in ('token: {instance: "a1", type: RFID}', 'contractId: "DE-8AA-C00000001"', 'printedNumber: "N 1"'):
        query = f"{{ roamingAuthorisations({given}) {{ {PAGE} }} }}"
        found = [await ask(database, each.caller, query) for each in (world.provider, world.operator, world.second)]
        shown = [[each["token"]["instance"] for each in data["roamingAuthorisations"]["changes"]] for data in found]
        assert shown == [["A1"], [], []], given


# ---------------------------------------------------------------- sessions and requests


async def authorise(world: World, instance: str = "A1") -> UUID:
    sent = Token(instance=instance, type=TokenType.RFID)
    await request_authorisation(world.database, world.operator.caller, sent, None, None, utc_now())
    rows = await read_as(world.database, world.operator.caller, "select id from session order by authorised_at desc")
    return rows[0]["id"]


async def change_session(database_url: str, id_: UUID) -> None:
    async with owner(database_url) as connection:
        await connection.execute(
            "update session set energy_kwh = 12.50, contradictions = '{SEVERAL_SESSIONS}' where id = $1", id_
        )


async def test_follows_sessions_by_their_two_sides(database, database_url, world: World):
    await world.update(item("A1"))
    first = await authorise(world)
    name = "sessionChanges"
    operator, provider = Follower(world.operator.caller, name), Follower(world.provider.caller, name)
    callers = [world.second.caller, world.stranger.caller, (await administrator(database)).caller, None]
    others = [Follower(each, name) for each in callers]
    async with following(database, operator, provider, *others) as source:
        await until(lambda: all(each.look().keys() == {str(first)} for each in (operator, provider)))
        second = await authorise(world)
        await change_session(database_url, second)
        await until(lambda: all(each.look().get(str(second), {}).get("energyKwh") for each in (operator, provider)))
        assert operator.held[str(second)]["contradictions"] == ["SEVERAL_SESSIONS"]
        assert provider.held[str(second)]["contradictions"] == []
        assert provider.held[str(second)]["energyKwh"] == "12.50"
        provider.cut()
        third = await authorise(world)
        await provider.connect(source)
        await until(lambda: str(third) in provider.look() and str(third) in operator.look())
        assert [each.look() for each in others] == [{}] * 4
    query = f'{{ session(id: "{first}") {{ id }} sessions(active: true) {{ nodes {{ id }} }} }}'
    seen = [await ask(database, caller, query) for caller in (world.operator.caller, *callers)]
    assert seen[0]["session"] == {"id": str(first)}
    assert len(seen[0]["sessions"]["nodes"]) == 3
    assert seen[1:] == [{"session": None, "sessions": {"nodes": []}}] * 4


async def test_shows_no_provider_that_another_session_contradicts_its_own(database, database_url, world: World):
    """A page that holds the same session again would reveal that a session began on its EVSE."""
    await world.update(item("A1"))
    first, second = await authorise(world), await authorise(world)
    name = "sessionChanges"
    operator, provider = Follower(world.operator.caller, name), Follower(world.provider.caller, name)
    async with following(database, operator, provider):
        await until(lambda: all(len(each.look()) == 2 for each in (operator, provider)))
        cursor = provider.cursor
        provider.held.clear()
        async with owner(database_url) as connection:
            await connection.execute("update session set contradictions = '{SEVERAL_SESSIONS}' where id = $1", first)
        await until(lambda: operator.look()[str(first)]["contradictions"])
        async with owner(database_url) as connection:
            await connection.execute("update session set energy_kwh = 1 where id = $1", second)
        await until(lambda: str(second) in provider.look())
        assert provider.held.keys() == {str(second)}
    query = f'{{ sessionChanges(cursor: "{cursor}") {{ sessions {{ id }} }} }}'
    seen = await ask(database, world.provider.caller, query)
    assert seen["sessionChanges"]["sessions"] == [{"id": str(second)}]


async def test_follows_requests_by_the_provider_of_the_token(database, world: World):
    await world.update(item("A1"))
    name = "authorisationRequestChanges"
    operator, provider = Follower(world.operator.caller, name), Follower(world.provider.caller, name)
    callers = [world.second.caller, world.stranger.caller, (await administrator(database)).caller, None]
    others = [Follower(each, name) for each in callers]
    async with following(database, operator, provider, *others):
        session = await authorise(world)
        await authorise(world, "UNKNOWN")
        await until(lambda: len(operator.look()) == 2 and len(provider.look()) == 1)
        [shown] = provider.held.values()
        assert shown["code"] == "OK"
        assert shown["session"] == {"id": str(session)}
        assert shown["authorisation"] == {"contractId": "DE-8AA-C00000001"}
        assert [each.look() for each in others] == [{}] * 4
    query = (
        "{ authorisationRequests { nodes { code operatorId evseId } } authorisationRequestChanges { requests { id } } }"
    )
    seen = await ask(database, world.provider.caller, query)
    assert seen["authorisationRequests"]["nodes"] == [{"code": "OK", "operatorId": "DE8AC", "evseId": None}]
    assert len(seen["authorisationRequestChanges"]["requests"]) == 1
    await world.remove(token("A1"))
    query = "{ authorisationRequests { nodes { authorisation { id } } } }"
    seen = await ask(database, world.provider.caller, query)
    assert seen["authorisationRequests"]["nodes"] == [{"authorisation": None}]


async def test_follows_cdrs_by_their_two_sides(database, database_url):
    world = await cdrs.make_world(database, database_url)
    await world.add(cdrs.cdr(), cdrs.cdr("DE8AC2", cdrs.NOON - timedelta(hours=1)))
    await world.approve("DE8AC2")
    operator, provider = (Follower(each.caller, "cdrChanges") for each in (world.operator, world.providers[0]))
    callers = [
        *(world.providers[1].caller, world.second_operator.caller, (await administrator(database)).caller, None),
    ]
    others = [Follower(each, "cdrChanges") for each in callers]
    async with following(database, operator, provider, *others) as source:
        await until(lambda: provider.look().keys() == {"DE8AC1"})
        assert operator.look() == {}
        await world.decline()
        await until(
            lambda: all(each.look().get("DE8AC1", {}).get("status") == "DECLINED" for each in (operator, provider))
        )
        provider.cut()
        await world.add(cdrs.costing("1.50", status="REVISED"), cdrs.cdr("DE8AC3", cdrs.NOON + timedelta(hours=2)))
        await provider.connect(source)
        revised = {"id": "DE8AC1", "status": "REVISED", "revision": 2, "totalCost": "1.50"}
        await until(
            lambda: all(len(each.look()) == 2 and each.held["DE8AC1"] == revised for each in (operator, provider))
        )
        assert [each.look() for each in others] == [{}] * 4
