"""Live status under way for a long time: nothing may be lost, whatever is cut, and nothing may grow.

A hub of several processes, fed through its own API; clients that follow the changes of an area each, are cut at random
and go on from their cursor. When the feed ends, what each client holds must be what a list shows it. The memory of the
hub's processes must level off.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from app.vocabulary import Role
from tests.soak.hub import (
    OCHUB,
    ROOT,
    ask,
    connecting,
    migrated,
    ochub,
    running,
    secret_of_new,
    serving,
    told_memory,
    watch_memory,
)

DATA = ROOT.parent / "shared" / "data" / "irve"
STATIC, EVENTS = DATA / "irve-static-fr.csv.gz", DATA / "irve-dynamic-fr-2026-08-13.csv.gz"
SETTLE_S = 60.0
#: After so long every process has read what the log shows: two seconds without a bus, and as much again.
READ_BY_ALL_S = 4.0

SUBSCRIBE = """subscription Follow($within: AreaInput, $cursor: Cursor, $initial: Boolean!) {
    changes(within: $within, kinds: [EVSE, EVSE_STATUS], cursor: $cursor, initial: $initial) {
        cursor hasMore changes { action id evse { status { major minor } combinedStatus { major minor } } } } }"""
LIST = """query List($within: AreaInput, $after: String) {
    evses(within: $within, first: 500, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { evseId status { major minor } combinedStatus { major minor } } } }"""
SINCE = """query Since($cursor: Cursor!) {
    changes(cursor: $cursor, kinds: [EVSE_STATUS], first: 500) { changes { evse { status { minor } } } } }"""
HEAD = "{ evses(first: 1) { cursor } }"
PUBLISH = """mutation Publish($chargePoints: [ChargePointInput!]!) {
    updateChargePointList(chargePoints: $chargePoints) { refused { path message } } }"""
PUSH = """mutation Push($evses: [EvseStatusInput!], $parkingSpots: [ParkingStatusInput!]) {
    updateStatus(evses: $evses, parkingSpots: $parkingSpots) { accepted refused { path message } } }"""

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long, how many, how often. `factor`: of real speed, at which real events are replayed; 0: none are."""

    seconds: float
    clients: int
    evses: int
    workers: int = 2
    pushes_per_s: float = 10
    cuts_per_s: float = 2
    factor: float = 0


SMALL = Size(seconds=4, clients=6, evses=120, cuts_per_s=4)
FULL = Size(seconds=600, clients=200, evses=5_000, pushes_per_s=20, cuts_per_s=10, factor=50)


class Lost(AssertionError):
    """A client holds something else than the hub shows."""


@dataclass
class Figures:
    """What happened: printed, and looked at by the test."""

    pushed: int = 0
    pages: int = 0
    changes: int = 0
    cuts: int = 0
    renewed: int = 0
    memory: list[int] = field(default_factory=list[int])

    def __str__(self) -> str:
        return (
            f"{self.pushed:,} statuses pushed; {self.changes:,} changes on {self.pages:,} pages; {self.cuts:,} cuts, "
            f"{self.renewed:,} answered by a new initial state; {told_memory(self.memory)}"
        )


# ---------------------------------------------------------------- the feed


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of our own, and the EVSEs it pushes; every third one has two parking spots, shared by neighbours."""

    key: str
    count: int

    def charge_points(self) -> list[dict[str, Any]]:
        return [self._charge_point(n) for n in range(self.count)]

    def _charge_point(self, n: int) -> dict[str, Any]:
        latitude, longitude = 48 + n % 100 / 50, 2 + n // 100 / 50
        spots = [{"parkingId": f"DE*SOA*P{n - n % 3}"}, {"parkingId": f"DE*SOA*P{n + 1}"}] if n % 3 == 0 else []
        return {
            "evseId": f"DE*SOA*E{n}",
            "locationId": f"L{n}",
            "locationName": f"Place {n}",
            "locationNameLanguage": "DEU",
            "address": {"address": "Am Ring", "city": "Ulm", "zipCode": "89073", "country": "DEU"},
            "position": {"latitude": round(latitude, 6), "longitude": round(longitude, 6)},
            "locationType": "ON_STREET",
            "authMethods": ["PUBLIC"],
            "connectors": [{"standard": "IEC_62196_T2", "format": "SOCKET"}],
            "chargePointType": "AC",
            "parkingSpots": spots,
        }

    def some_status(self, chance: random.Random) -> dict[str, Any]:
        """Return an upload of a few EVSEs and spots; some run out within seconds."""
        evses = chance.sample(range(self.count), k=min(self.count, chance.randint(1, 20)))
        spots = [n + place for n in evses for place in (0, 1) if n % 3 == 0]
        return {
            "evses": [{"evseId": f"DE*SOA*E{n}", **some_pair(chance), **some_ttl(chance)} for n in evses],
            "parkingSpots": [
                {"parkingId": f"DE*SOA*P{n}", "status": chance.choice(SPOT_STATES), **some_ttl(chance)} for n in spots
            ],
        }


SPOT_STATES = ("AVAILABLE", "NOT_AVAILABLE", "NOT_AVAILABLE", "UNKNOWN")
PAIRS = (("AVAILABLE", None), ("AVAILABLE", "RESERVED"), ("NOT_AVAILABLE", "CHARGING"), ("UNKNOWN", None))


def some_pair(chance: random.Random) -> dict[str, Any]:
    major, minor = chance.choice(PAIRS)
    return {"major": major, "minor": minor}


def some_ttl(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.5:
        return {}
    return {"ttl": (datetime.now(UTC) + timedelta(seconds=chance.uniform(2, 6))).isoformat()}


async def publish(client: httpx.AsyncClient, operator: Operator) -> None:
    charge_points = operator.charge_points()
    for start in range(0, len(charge_points), 500):
        data = await ask(client, PUBLISH, {"chargePoints": charge_points[start : start + 500]}, operator.key)
        assert not data["updateChargePointList"]["refused"], data["updateChargePointList"]["refused"][:3]


async def push(
    client: httpx.AsyncClient, operator: Operator, size: Size, chance: random.Random, figures: Figures
) -> None:
    """Push until the time is over."""
    until = monotonic() + size.seconds
    while monotonic() < until:
        data = (await ask(client, PUSH, operator.some_status(chance), operator.key))["updateStatus"]
        # A ttl that ran out on the way is refused, rightly.
        wrong = [each for each in data["refused"] if not each["path"].endswith(".ttl")]
        assert not wrong, wrong[:3]
        figures.pushed += data["accepted"]
        await asyncio.sleep(1 / size.pushes_per_s)


@contextlib.contextmanager
def replaying(dsn: str, factor: float) -> Iterator[None]:
    """Replay the events of a real day beside, while there is a factor."""
    if factor == 0:
        yield
        return
    command = [*OCHUB, "import", "irve-dynamic", str(EVENTS), "--speed", str(factor)]
    replay = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": dsn}, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        replay.terminate()
        replay.wait(60)


# ---------------------------------------------------------------- the clients


@dataclass
class Follower:
    """A client that keeps its map in step: list first, then changes, resuming wherever it was cut."""

    address: str
    within: State
    chance: random.Random
    figures: Figures
    held: dict[str, Any] = field(default_factory=dict[str, Any])
    cursor: str | None = None
    socket: ClientConnection | None = None
    #: While it is closed, no follower reconnects.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    away: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Follow until cancelled."""
        while True:
            self.away.set()
            await self.gate.wait()
            self.away.clear()
            with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                async with connect(f"ws://{self.address}/graphql", subprotocols=PROTOCOL, compression=None) as socket:
                    self.socket = socket
                    if self.gate.is_set():
                        await self._take(socket)
            self.socket = None
            await asyncio.sleep(self.chance.uniform(0, 0.3))

    async def _take(self, socket: ClientConnection) -> None:
        await socket.send('{"type":"connection_init"}')
        variables = {"within": self.within, **self.beginning()}
        subscribe = {"id": "1", "type": "subscribe", "payload": {"query": SUBSCRIBE, "variables": variables}}
        await socket.send(json.dumps(subscribe))
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "next":
                self._apply(message["payload"])
            elif message["type"] in ("error", "complete"):
                self._begin_again(message)
                return

    def beginning(self) -> dict[str, Any]:
        """Return where to begin: where it was cut, or with the whole state."""
        if self.cursor is None:
            self.held.clear()
        return {"cursor": self.cursor, "initial": self.cursor is None}

    def _apply(self, result: State) -> None:
        if result.get("errors"):
            self._begin_again(result)
            return
        page = result["data"]["changes"]
        for change in page["changes"]:
            if change["action"] == "REMOVED":
                self.held.pop(change["id"], None)
            else:
                self.held[change["id"]] = change["evse"]
        # A cursor in the middle of an initial state is as good as any other: the hub goes on there.
        self.cursor = page["cursor"]
        if not page["hasMore"]:
            self.begun.set()
        self.figures.pages += 1
        self.figures.changes += len(page["changes"])

    def _begin_again(self, message: State) -> None:
        told = json.dumps(message)
        if "CURSOR_EXPIRED" in told or "RESYNC" in told:
            self.cursor = None
            self.figures.renewed += 1
        elif "error" in told:
            raise RuntimeError(told)

    def cut(self) -> None:
        """Break the connection as a tunnel does."""
        if self.socket is not None:
            self.socket.transport.abort()
            self.figures.cuts += 1


class Forgetful(Follower):
    """The broken twin: it subscribes again without its cursor."""

    def beginning(self) -> dict[str, Any]:
        return {"cursor": None, "initial": self.cursor is None}


PROTOCOL: Any = ["graphql-transport-ws"]


async def cut_at_random(followers: Sequence[Follower], size: Size, chance: random.Random) -> None:
    until = monotonic() + size.seconds
    while monotonic() < until:
        await asyncio.sleep(1 / size.cuts_per_s)
        chance.choice(followers).cut()


async def shown(client: httpx.AsyncClient, within: State) -> dict[str, Any]:
    """Return the state of an area by a list."""
    found: dict[str, Any] = {}
    after: str | None = None
    while True:
        page = (await ask(client, LIST, {"within": within, "after": after}))["evses"]
        found |= {node.pop("evseId"): node for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def push_unseen(client: httpx.AsyncClient, operator: Operator, followers: Sequence[Follower]) -> None:
    """Change all EVSEs while no follower is connected."""
    for follower in followers:
        await follower.begun.wait()
        follower.gate.clear()
        follower.cut()
    for follower in followers:
        await follower.away.wait()
    cursor = (await ask(client, HEAD, {}))["evses"]["cursor"]
    # A state that nothing else brings: who missed it holds another.
    state = {"major": "NOT_AVAILABLE", "minor": "OUT_OF_ORDER"}
    await ask(
        client, PUSH, {"evses": [{"evseId": f"DE*SOA*E{n}", **state} for n in range(operator.count)]}, operator.key
    )
    await out_of_order_logged(client, cursor)
    await asyncio.sleep(READ_BY_ALL_S)
    for follower in followers:
        follower.gate.set()


async def out_of_order_logged(client: httpx.AsyncClient, cursor: str) -> None:
    while True:
        page = (await ask(client, SINCE, {"cursor": cursor}))["changes"]
        if "OUT_OF_ORDER" in json.dumps(page):
            return
        await asyncio.sleep(0.1)


async def require_equal(client: httpx.AsyncClient, followers: Sequence[Follower], settle_s: float) -> None:
    """Wait until every client holds what a list shows. Raises: Lost, when one does not in time once it is looked at."""
    for follower in followers:
        until = monotonic() + settle_s
        while (expected := await shown(client, follower.within)) != follower.held:
            if monotonic() > until:
                differing = [id_ for id_ in expected if expected[id_] != follower.held.get(id_)]
                extra = follower.held.keys() - expected.keys()
                first = [(id_, follower.held.get(id_), expected[id_]) for id_ in differing[:2]]
                raise Lost(f"{len(differing)} differ: {first}; {len(extra)} are too many: {sorted(extra)[:5]}")
            await asyncio.sleep(0.5)


def some_area(chance: random.Random, size: Size) -> State:
    """Return a box around some of the operator's EVSEs."""
    south, west = 48 + chance.uniform(0, 1.5), 2 - chance.uniform(0, 0.5)
    north, east = south + chance.uniform(0.2, 1), west + chance.uniform(0.6, 1 + size.evses / 5_000)
    corners = {"minimumLatitude": south, "minimumLongitude": west, "maximumLatitude": north, "maximumLongitude": east}
    return {"bounds": corners}


# ---------------------------------------------------------------- the whole


async def prepare(dsn: str, size: Size) -> Operator:
    """Migrate, import what is replayed, enrol the operator, open to everybody."""
    await migrated(dsn)
    if size.factor != 0:
        await asyncio.to_thread(ochub, dsn, "import", "irve-static", str(STATIC))
    return Operator(await secret_of_new(dsn, Role.EVSE_OPERATOR, "DESOA", open_=True), size.evses)


async def soak(dsn: str, size: Size, seed: int, kind: type[Follower] = Follower, settle_s: float = SETTLE_S) -> Figures:
    """Run the soak; `dsn` is an empty database. Raises: Lost."""
    chance, figures = random.Random(seed), Figures()
    operator = await prepare(dsn, size)
    with serving(dsn, size.workers) as (address, hub):
        async with connecting(address) as client:
            await publish(client, operator)
            followers = [
                kind(address, some_area(chance, size), random.Random(chance.random()), figures)
                for _ in range(size.clients)
            ]
            for follower in followers:
                follower.gate.set()
            async with running(*(follower.follow() for follower in followers), watch_memory(hub.pid, figures.memory)):
                with replaying(dsn, size.factor):
                    await asyncio.gather(
                        push(client, operator, size, chance, figures), cut_at_random(followers, size, chance)
                    )
                await push_unseen(client, operator, followers)
                await require_equal(client, followers, settle_s)
    return figures
