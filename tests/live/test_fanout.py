"""Which changes are delivered to which subscribers, how often they are rendered, and the limits and refusals."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app import metrics
from app.db.engine import Database, Reading
from app.db.seal import learn
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.live.log.cursor import decode_cursor, encode_cursor
from app.live.log.rows import read_position
from app.live.stream import catching_up, delivery, pages
from app.live.stream import fanout as fanouts
from app.live.stream import subscriber as bounds
from app.live.stream.fanout import Fanout, TooManySubscriptions
from app.records.charge_point import EvseParkingSpot
from app.vocabulary import Role
from schema.build import schema
from schema.errors import shown
from schema.subscription import FEEDS, ChangeSource
from tests.exchange.world import enrol
from tests.length import rounds
from tests.live.streams import (
    CORE,
    DE,
    FR,
    QUERY,
    SUBSCRIPTION,
    Client,
    Collecting,
    Moving,
    ask,
    context_of,
    running,
    subscribe,
    until,
)


@pytest.fixture
async def world(database: Database) -> Moving:
    return await Moving.make(database, random.Random(1))


class Texts(Collecting):
    """A sink that keeps the text of its pages."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def page(self, result: str) -> None:
        self.texts.append(result)


async def connected(source: ChangeSource, client: Client) -> Client:
    """Follow until the client is up to date."""
    await client.connect(source)
    await caught_up(client)
    return client


async def caught_up(client: Client) -> None:
    assert client.outlet is not None
    outlet = client.outlet
    await until(lambda: outlet.errors or (outlet.pages and not outlet.pages[-1]["changes"]["hasMore"]), "up to date")
    client.look()


async def hears(client: Client, *told: tuple[str, str, str]) -> None:
    """Wait until a client has received these changes, in any order."""

    def heard() -> bool:
        client.look()
        return {*told} <= {(change["kind"], change["action"], change["id"]) for change in client.told}

    await until(heard, f"{told}, not only {client.told},")


async def test_tells_what_is_new_what_changed_and_what_is_gone(world: Moving):
    async with running(world.database) as source:
        client = await connected(source, Client(world.nsp.caller))
        await world.put(DE, 1)
        await hears(client, ("EVSE", "UPSERTED", "DE*8AC*E1"))
        await world.say(DE, 1, "AVAILABLE")
        await hears(client, ("EVSE_STATUS", "UPSERTED", "DE*8AC*E1"))
        await world.remove(DE, 1)
        await hears(client, ("EVSE", "REMOVED", "DE*8AC*E1"), ("EVSE_STATUS", "REMOVED", "DE*8AC*E1"))


async def test_says_nothing_of_what_was_never_seen(world: Moving):
    """Neither live nor after a reconnection; nor changes of an entity while it was not visible."""
    await world.put(DE, 1)
    stranger, nsp, away = Client(None), Client(world.nsp.caller), Client(world.nsp.caller)
    async with running(world.database) as source:
        for client in (stranger, nsp, away):
            await connected(source, client)
        away.cut()
        nsp.told.clear()
        away.told.clear()
        await world.contract(DE)  # ends it
        await hears(nsp, ("EVSE", "REMOVED", "DE*8AC*E1"))
        await world.put(DE, 2, parking_spots=())
        await world.say(DE, 2, "AVAILABLE")
        await world.remove(DE, 1)
        await world.remove(DE, 2)
        await world.put(FR, 7, parking_spots=())
        for client in (stranger, nsp):
            await hears(client, ("EVSE", "UPSERTED", "FR*A23*E7"))
        await away.connect(source)
        await hears(away, ("EVSE", "REMOVED", "DE*8AC*E1"), ("EVSE", "UPSERTED", "FR*A23*E7"))
    assert {change["id"] for change in stranger.told} == {"FR*A23*E7"}
    for client in (nsp, away):
        assert "DE*8AC*E2" not in {change["id"] for change in client.told}
        assert client.ids("EVSE", "EVSE_STATUS") == {"FR*A23*E7"}


async def test_shows_what_a_contract_brings_and_takes_it_away_again(world: Moving):
    await world.contract(DE)
    await world.put(DE, *range(20), parking_spots=())
    mine = {f"DE*8AC*E{number}" for number in range(20)}
    async with running(world.database) as source:
        client = await connected(source, Client(world.nsp.caller))
        cursor = client.cursor
        assert client.ids("EVSE") == set()
        await world.contract(DE)
        await hears(client, *(("EVSE", "UPSERTED", id_) for id_ in mine))
        await world.contract(DE)
        await hears(client, *(("EVSE", "REMOVED", id_) for id_ in mine))
    asking = Client(world.nsp.caller, cursor=cursor)
    await asking.ask_on(world.database, 3)
    assert asking.ids("EVSE") == set()
    await world.contract(DE)
    await asking.ask_on(world.database, 3)
    assert asking.ids("EVSE") == mine


@pytest.mark.parametrize("ready", [False, True])
async def test_bounds_what_waits_for_one_outlet(world: Moving, monkeypatch: pytest.MonkeyPatch, ready: bool):
    """A client that does not read must resume from its cursor; one that reads too slowly catches up from the log."""
    monkeypatch.setattr(bounds, "MOST_PENDING", 10)
    async with running(world.database) as source:
        client, other = [await connected(source, Client(world.nsp.caller)) for _ in range(2)]
        assert client.outlet is not None
        outlet = client.outlet
        outlet.ready = ready
        for number in range(0, 60, 20):
            await world.put(DE, *range(number, number + 20), parking_spots=())
        await until(lambda: other.look() or len(other.ids("EVSE")) == 60, "the other has all")
        if not ready:
            await until(lambda: outlet.errors, "the end")
            assert outlet.errors is not None
            assert outlet.errors[0]["extensions"]["code"] == "RESYNC"
            client.cursor = outlet.errors[0]["extensions"]["cursor"]
            await client.connect(source)
        await until(lambda: client.look() or len(client.ids("EVSE")) == 60, "all of it")
        assert len(source.fanout) == 2


async def test_reads_from_the_log_what_was_too_much_as_a_subscriber_joined(
    world: Moving, monkeypatch: pytest.MonkeyPatch
):
    """Otherwise it would be live and receive nothing more."""
    monkeypatch.setattr(bounds, "MOST_PENDING", 10)
    fanout = Fanout(world.database, FEEDS, shown)
    client = Client(world.nsp.caller, kinds=["EVSE"])
    client.cursor = (await ask(world.database, client.caller, QUERY))["changes"]["cursor"]
    await client.connect(ChangeSource(CORE, fanout))
    [subscriber] = fanout._all
    await fanout._catching_up._read_page(subscriber)
    await fanout._round()
    fanout.join(subscriber)
    await world.put(DE, *range(20), parking_spots=())
    await fanout._round()
    task = asyncio.create_task(fanout.run())
    await until(lambda: client.look() or len(client.ids("EVSE")) == 20, "all of it")
    task.cancel()


async def test_sends_nothing_of_what_went_out_of_the_view_of_others(world: Moving):
    [second] = await enrol(world.database, "Second", (Role.NSP, None))
    since = datetime.now(UTC)
    contract_id = await set_contract(world.database, CONSOLE, second.party, world.members[DE].party, since)
    await world.put(DE, 1, parking_spots=())
    await world.say(DE, 1, "NOT_AVAILABLE")
    async with running(world.database) as source:
        free = await connected(source, Client(world.nsp.caller, matching={"availableNow": True}))
        other = await connected(source, Client(second.caller, kinds=["EVSE"]))
        other.told.clear()
        await end_contract(world.database, CONSOLE, contract_id, world.later())
        await hears(other, ("EVSE", "REMOVED", "DE*8AC*E1"))
        free.look()
        assert free.told == []


async def test_keeps_the_newest_while_an_outlet_is_not_ready(world: Moving):
    await world.put(DE, 1)
    async with running(world.database) as source:
        slow, quick = [await connected(source, Client(world.nsp.caller, kinds=["EVSE_STATUS"])) for _ in range(2)]
        assert slow.outlet is not None
        assert slow.subscription is not None
        slow.outlet.ready = False
        for major in ("AVAILABLE", "NOT_AVAILABLE") * 5:
            quick.told.clear()
            await world.say(DE, 1, major)
            await hears(quick, ("EVSE_STATUS", "UPSERTED", "DE*8AC*E1"))
        assert slow.outlet.pages == []
        slow.told.clear()
        slow.outlet.ready = True
        slow.subscription.resume()
        await hears(slow, ("EVSE_STATUS", "UPSERTED", "DE*8AC*E1"))
        assert len(slow.told) == 1


@pytest.mark.parametrize("iterations", range(5))
async def test_stops_although_it_is_woken_at_the_same_moment(world: Moving, iterations: int):
    """It is cancelled in one of the iterations of the event loop after the wake-up."""
    fanout = Fanout(world.database, FEEDS, shown)
    task = asyncio.create_task(fanout.run())
    await until(lambda: fanout._wake._waiters, "waiting")
    fanout._wake.set()
    for _ in range(iterations):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    if not done:
        task.cancel()
    assert done


class Cut:
    """A reader that loses its connection at one of its statements."""

    def __init__(self, reader: Reading, at: int) -> None:
        self.reader, self.at, self.database = reader, at, reader.database

    async def fetch(self, sql: str, *args: Any, planned: bool = False) -> Any:
        self.at -= 1
        if self.at == 0:
            raise ConnectionError("the connection was lost")
        return await self.reader.fetch(sql, *args, planned=planned)


@pytest.mark.parametrize("at", range(1, 7))
async def test_goes_on_after_a_round_that_failed(world: Moving, monkeypatch: pytest.MonkeyPatch, at: int):
    """With one live and one joining subscriber, whichever statement of the round loses its connection."""
    monkeypatch.setattr(fanouts, "AFTER_ERROR_S", 0.01)
    fanout = Fanout(world.database, FEEDS, shown)
    source = ChangeSource(CORE, fanout)
    catching_up_task = asyncio.create_task(fanout._catching_up.run())
    try:
        live, joining = Client(world.nsp.caller), Client(world.nsp.caller)
        await connected(source, live)
        await fanout._safely()
        await world.put(DE, 1, parking_spots=())
        await connected(source, joining)
        await world.put(DE, 2, parking_spots=())
        with monkeypatch.context() as cut:

            @asynccontextmanager
            async def reading() -> AsyncIterator[Any]:
                async with Database.reading(world.database) as reader:
                    yield Cut(reader, at)

            cut.setattr(world.database, "reading", reading)
            await fanout._safely()
        for _ in range(2):
            await fanout._safely()
        for client in (live, joining):
            client.look()
            assert client.ids("EVSE") == {"DE*8AC*E1", "DE*8AC*E2"}
    finally:
        catching_up_task.cancel()
        with suppress(asyncio.CancelledError):
            await catching_up_task


async def test_makes_a_text_once_for_all_who_ask_the_same(world: Moving):
    async with running(world.database) as source:
        outlets = [Texts() for _ in range(20)]
        for outlet in outlets:
            await subscribe(source, world.nsp.caller, "subscription { changes { cursor changes { id } } }", outlet)
        # Subscribers that are catching up receive pages of their own.
        await until(lambda: len(source.fanout._all) == 20 and all(each.is_live for each in source.fanout._all), "all")
        assert len(source.fanout._groups) == 1
        await world.put(DE, 1)
        await until(lambda: all("DE*8AC*E1" in outlet.texts[-1] for outlet in outlets), "the change")
        assert len({id(outlet.texts[-1]) for outlet in outlets}) == 1


async def test_keeps_nobody_waiting_for_who_follows_everything(world: Moving, monkeypatch: pytest.MonkeyPatch):
    for room in (bounds, delivery, catching_up):
        monkeypatch.setattr(room, "MOST_ON_PAGE", 3)
    came: list[tuple[str, int]] = []

    class Noting(Collecting):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def page(self, result: str) -> None:
            super().page(result)
            came.append((self.name, len(self.pages[-1]["changes"]["changes"])))

    async with running(world.database) as source:
        everything = "subscription { changes { hasMore changes { id evse { evseId } } } }"
        one = 'subscription { changes(filter: {evseIds: ["DE*8AC*E9"]}) { hasMore changes { id } } }'
        for name, query in (("everything", everything), ("one", one)):
            await subscribe(source, world.nsp.caller, query, Noting(name))
        await until(lambda: len(came) == 2, "the first pages")
        came.clear()
        await world.put(DE, *range(10), parking_spots=())
        await until(lambda: sum(count for _, count in came) == 11, "all changes")
    assert came == [("one", 1), ("everything", 3), ("everything", 3), ("everything", 3), ("everything", 1)]


async def test_brings_who_resumes_forward_where_nothing_concerns_him(world: Moving, monkeypatch: pytest.MonkeyPatch):
    """Otherwise a subscriber that is cut before it has read the log to its end would start again at its old cursor."""
    monkeypatch.setattr(pages, "CHUNK", 2)
    monkeypatch.setattr(pages, "MOST_LOOKED", 4)
    client = Client(world.nsp.caller, within={"near": {"latitude": -50.0, "longitude": -50.0, "radiusM": 1_000}})
    async with running(world.database) as source:
        await connected(source, client)
        client.cut()
        for number in range(9):
            await world.put(DE, number, parking_spots=())
        await client.connect(source)
        outlet = client.outlet
        assert outlet is not None
        await until(lambda: outlet.pages and not outlet.pages[-1]["changes"]["hasMore"], "up to date")
        came = [page["changes"] for page in outlet.pages]
    assert len(came) > 2
    assert not any(page["changes"] for page in came)
    assert len({page["cursor"] for page in came}) >= len(came) - 1


async def test_says_how_old_the_changes_are_that_it_tells_of(world: Moving):
    metrics.STREAM_LAG.set(0)
    highest = 0.0

    def looked() -> bool:
        nonlocal highest
        [sample] = [each for metric in metrics.STREAM_LAG.collect() for each in metric.samples]
        highest = max(highest, sample.value)
        return highest > 0

    async with running(world.database) as source:
        await connected(source, Client(world.nsp.caller))
        async with world.database.writes.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into change (kind, entity_id, at) values ('EVSE', 'DE8ACE1', now() - interval '1 hour')"
            )
            for _ in range(2):
                before = source.fanout.cursor
                source.fanout._wake.set()
                await until(lambda before=before: source.fanout.cursor != before, "a round")
            assert not looked()
        await until(looked, "a change")
    assert highest >= 3600


async def test_renews_the_cursor_of_who_is_told_nothing(world: Moving, monkeypatch: pytest.MonkeyPatch):
    """Otherwise it would expire with the rows after it; the changes it has passed are not delivered again."""
    monkeypatch.setattr(fanouts, "CURSORS_RENEWED_S", 0.1)
    async with running(world.database) as source:
        client = await connected(source, Client(world.nsp.caller, kinds=["PARKING_STATUS"]))
        before = client.cursor
        await world.put(DE, 1, parking_spots=())
        present = await read_position(world.database)

        def is_renewed() -> bool:
            client.look()
            return decode_cursor(client.cursor or "").base.snapshot.covers(present.snapshot)

        await until(is_renewed, "a new cursor")
        assert client.told == []
        client.cut()
    asking = Client(world.nsp.caller, cursor=before)
    await asking.ask_on(world.database)
    assert asking.ids("EVSE") == {"DE*8AC*E1"}
    asking = Client(world.nsp.caller, cursor=client.cursor)
    await asking.ask_on(world.database)
    assert asking.told == []


async def test_shows_each_what_it_may_see_inside_a_spot(world: Moving):
    """Text is shared by all subscribers that may see all of it, and by no others."""
    query = "subscription { changes(kinds: [PARKING_SPOT]) { changes { id parkingSpot { evses { evseId } } } } }"
    async with running(world.database) as source:
        nsp, stranger = Collecting(), Collecting()
        await subscribe(source, world.nsp.caller, query, nsp)
        await subscribe(source, None, query, stranger)
        await until(lambda: nsp.pages and stranger.pages, "the first page")
        assert len(source.fanout._groups) == 2
        spots = (EvseParkingSpot(parking_id="DEPRKP1"),)
        await world.put(DE, 1, parking_spots=spots)
        await world.put(FR, 1, parking_spots=spots)

        def evses(outlet: Collecting) -> set[str]:
            changes = [change for page in outlet.pages for change in page["changes"]["changes"]]
            return {evse["evseId"] for evse in changes[-1]["parkingSpot"]["evses"]} if changes else set()

        await until(lambda: evses(nsp) == {"DE*8AC*E1", "FR*A23*E1"}, "both")
        await until(lambda: evses(stranger) == {"FR*A23*E1"}, "the open one")


async def test_answers_with_its_aliases_and_words(world: Moving):
    await world.put(DE, 1, at=(10.0, 48.0))
    outlet = Collecting()
    query = """subscription ($at: AreaInput) { told: changes(within: $at, initial: true, kinds: [EVSE, EVSE_STATUS]) {
        __typename more: hasMore ids: changes { it: id __typename }
        changes { action one: evse { evseId distanceM } two: evse { operator { partyId } } }
    } }"""
    near = {"near": {"latitude": 48.0, "longitude": 10.0, "radiusM": 1000}}
    async with running(world.database) as source:
        await subscribe(source, world.nsp.caller, query, outlet, {"at": near})
        await until(lambda: outlet.pages, "the first page")
        await world.say(DE, 1, "AVAILABLE")
        await until(lambda: len(outlet.pages) > 1, "the change")
    evse = {"one": {"evseId": "DE*8AC*E1", "distanceM": 0.0}, "two": {"operator": {"partyId": "DE8AC"}}}
    page = {
        "__typename": "ChangePage",
        "more": False,
        "ids": [{"it": "DE*8AC*E1", "__typename": "Change"}],
        "changes": [{"action": "UPSERTED", **evse}],
    }
    assert outlet.pages == [{"told": page}] * 2


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"filter": {"usableAt": "2026-03-02T12:00:00Z"}}, "FILTER_NOT_LIVE"),
        ({"cursor": "nonsense"}, "BAD_INPUT"),
        ({"within": {"near": {"latitude": 91.0, "longitude": 0.0}}}, "BAD_AREA"),
    ],
)
async def test_refuses_before_it_begins(world: Moving, variables: dict[str, Any], code: str):
    async with running(world.database) as source:
        with pytest.raises(HubError) as refused:
            await subscribe(source, None, SUBSCRIPTION, Collecting(), variables)
        assert refused.value.code == code
        assert len(source.fanout) == 0


async def test_refuses_a_cursor_of_another_log(world: Moving):
    page = (await ask(world.database, None, QUERY))["changes"]
    read = decode_cursor(page["cursor"])
    learn(f"0123456789ab:{'a5' * 32}")
    cursor = encode_cursor(replace(read, base=replace(read.base, epoch="0123456789ab")))
    async with running(world.database) as source:
        with pytest.raises(HubError) as refused:
            await subscribe(source, None, SUBSCRIPTION, Collecting(), {"cursor": cursor})
    assert refused.value.code == "CURSOR_EXPIRED"
    answer = await schema.execute(QUERY, {"cursor": cursor}, context_value=context_of(world.database, None))
    assert [shown(error)["extensions"]["code"] for error in answer.errors or ()] == ["CURSOR_EXPIRED"]


@pytest.mark.parametrize(("longitude", "latitude"), [(180.0, -16.8), (-180.0, -16.8), (1e-12, 0.0)])
async def test_begins_with_the_list_where_the_index_errs(world: Moving, longitude: float, latitude: float):
    """PostGIS may take a place for nearer than its index said, which fails a statement in a transaction of several."""
    await world.put(FR, 1, 2, at=(longitude, latitude), parking_spots=())
    await world.put(FR, 3, at=(-longitude, latitude), parking_spots=())
    within = {"near": {"longitude": longitude, "latitude": latitude, "radiusM": 1000}}
    async with running(world.database) as source:
        client = await connected(source, Client(None, within))
    assert client.ids("EVSE") == {f"FR*A23*E{number}" for number in (1, 2, 3)}


async def test_takes_no_more_than_it_can(world: Moving):
    source = ChangeSource(CORE, Fanout(world.database, FEEDS, shown, most=2))
    for _ in range(2):
        await subscribe(source, None, SUBSCRIPTION, Collecting())
    with pytest.raises(TooManySubscriptions):
        await subscribe(source, None, SUBSCRIPTION, Collecting())


async def test_holds_many_subscriptions_in_bounded_memory(world: Moving, capsys: pytest.CaptureFixture[str]):
    count, caller = rounds(1_000, full=10_000), world.nsp.caller
    async with running(world.database) as source:
        outlets: list[Collecting] = []
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            at = {"latitude": 40 + number % 200 / 20, "longitude": number // 200 / 5, "radiusM": 5_000.0}
            outlets.append(Collecting())
            await subscribe(source, caller, SUBSCRIPTION, outlets[-1], {"within": {"near": at}})
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        async with asyncio.timeout(120):
            await until(lambda: all(outlet.pages for outlet in outlets), "all begin")
        each = (after - before) / count
        with capsys.disabled():
            print(f"\n{each / 1024:.1f} KiB per subscription")  # noqa: T201
        assert each < 20 * 1024
        await world.put(DE, 1, at=(0.8, 45.0))
        near = outlets[900]
        await until(lambda: len(near.pages) > 1, "the change")
        assert sum(len(outlet.pages) > 1 for outlet in outlets) <= 4
