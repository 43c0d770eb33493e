"""A fan-out without sockets: sinks that collect pages, clients that apply them, and a world that changes at random."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from graphql.execution.values import VariableValues, get_variable_values

from app.auth import Caller, Keys
from app.db.engine import Connection, Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.exchange.operators import set_operator_open
from app.ingest.charge_points.updates import Owner, remove_charge_points, update_charge_points
from app.ingest.parking.updates import remove_parking_spots, update_parking_spots
from app.ingest.status.updates import update_status
from app.live.stream.fanout import Fanout
from app.live.stream.sink import Subscription
from app.records.base import Point
from app.records.charge_point import EvseParkingSpot, Ratings
from app.records.parking_spot import ParkingSpot
from app.records.status import ParkingStatus
from app.settings import Settings
from app.vocabulary import ChargePointType, MajorStatus, Role
from schema.build import schema
from schema.documents import Documents
from schema.errors import shown
from schema.root_fields import Context
from schema.subscription import FEEDS, ChangeSource
from tests.exchange.world import Member, enrol
from tests.ingest.world import charge_point

CORE = schema._schema
DOCUMENTS = Documents(CORE)
DEADLINE_S = 60


async def until(holds: Callable[[], Any], what: str = "it") -> None:
    """Wait until something holds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert holds(), f"{what} did not come true in {DEADLINE_S} s"


def context_of(database: Database, caller: Caller | None) -> Context:
    return Context(database, Keys(database, 0), caller, Settings())


def variables_of(operation: Any, given: dict[str, Any]) -> VariableValues:
    values = get_variable_values(CORE, operation.node.variable_definitions or (), given)
    assert isinstance(values, VariableValues), values
    return values


class Collecting:
    """A sink that keeps its pages. `ready` can be set to false."""

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready
        self.pages: list[Any] = []
        self.errors: list[Any] | None = None

    def page(self, result: str) -> None:
        assert self.ready, "a page came while the sink was not ready"
        self.pages.append(orjson.loads(result)["data"])

    def fail(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors

    def complete(self) -> None:
        self.errors = []


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[ChangeSource]:
    """Run a fan-out."""
    fanout = Fanout(database, FEEDS, shown)
    task = asyncio.create_task(fanout.run())
    try:
        yield ChangeSource(CORE, fanout)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def subscribe(
    source: ChangeSource,
    caller: Caller | None,
    query: str,
    outlet: Any,
    variables: dict[str, Any] | None = None,
) -> Subscription:
    operation = DOCUMENTS.get(query).operation(None)
    context = context_of(source.fanout.database, caller)
    return await source.subscribe(context, operation, variables_of(operation, variables or {}), outlet)


async def ask(database: Database, caller: Caller | None, query: str, variables: dict[str, Any] | None = None) -> Any:
    """Execute a query and return its data; errors fail the test."""
    result = await schema.execute(query, variables or {}, context_value=context_of(database, caller))
    assert not result.errors, result.errors
    return orjson.loads(orjson.dumps(result.data))


# ---------------------------------------------------------------- clients

CHANGES = """
changes { kind action id
    evse { evseId chargePointType position { latitude longitude } ratings { maximumPowerKw }
        parkingSpots { spot { parkingId } number } }
    parkingSpot { parkingId status number position { latitude longitude } evses { evseId } } }
"""
ARGUMENTS = "within: $within, filter: $filter, kinds: $kinds, cursor: $cursor"
DECLARED = "$within: AreaInput, $filter: EvseFilter, $kinds: [ChangeKind!], $cursor: Cursor"
SUBSCRIPTION = (
    f"subscription ({DECLARED}, $initial: Boolean! = false) {{"
    f" changes({ARGUMENTS}, initial: $initial) {{ cursor hasMore {CHANGES} }} }}"
)
QUERY = (
    f"query ({DECLARED}, $first: Int! = 500) {{ changes({ARGUMENTS}, first: $first) {{ cursor hasMore {CHANGES} }} }}"
)


@dataclass
class Client:
    """A client that follows an area: its copy of the entities by kind and id, and the cursor it would resume from."""

    caller: Caller | None
    within: Any = None
    matching: Any = None
    kinds: list[str] | None = None
    held: dict[tuple[str, str], Any] = field(default_factory=dict)
    cursor: str | None = None
    subscription: Subscription | None = None
    outlet: Collecting | None = None
    told: list[Any] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, Any]:
        return {"within": self.within, "filter": self.matching, "kinds": self.kinds}

    async def connect(self, source: ChangeSource) -> None:
        """Subscribe: from the cursor where there is one, else with the present state."""
        self.outlet = Collecting()
        more = {"cursor": self.cursor} if self.cursor else {"initial": True}
        self.subscription = await subscribe(source, self.caller, SUBSCRIPTION, self.outlet, self.variables | more)

    def cut(self) -> None:
        """Lose the connection, and with it the pages that were not applied."""
        assert self.subscription is not None
        self.subscription.close()
        self.subscription = self.outlet = None

    def look(self) -> None:
        """Apply the pages that have come."""
        assert self.outlet is not None
        assert self.outlet.errors is None, self.outlet.errors
        pages, self.outlet.pages = self.outlet.pages, []
        for page in pages:
            self.apply(page["changes"])

    def apply(self, page: Any) -> None:
        self.cursor = page["cursor"]
        self.told += page["changes"]
        for change in page["changes"]:
            key = change["kind"], change["id"]
            if change["action"] == "REMOVED":
                self.held.pop(key, None)
            else:
                self.held[key] = entity = change["evse"] or change["parkingSpot"]
                # A change of status shows the whole spot, and comes without one of its record.
                if ("PARKING_SPOT", change["id"]) in self.held:
                    self.held["PARKING_SPOT", change["id"]] = entity

    async def ask_on(self, database: Database, first: int = 500) -> None:
        """Read all pages of the query behind the cursor."""
        more = True
        while more:
            asked = self.variables | {"cursor": self.cursor, "first": first}
            page = (await ask(database, self.caller, QUERY, asked))["changes"]
            self.apply(page)
            more = page["hasMore"]

    def ids(self, *kinds: str) -> set[str]:
        return {id_ for kind, id_ in self.held if kind in kinds}


LISTS = """
query ($within: AreaInput, $filter: EvseFilter) {
    evses(within: $within, filter: $filter, first: 500) { nodes {
        evseId chargePointType position { latitude longitude } ratings { maximumPowerKw }
        parkingSpots { spot { parkingId } number } } }
    parkingSpots(within: $within, first: 500) { nodes {
        parkingId status number position { latitude longitude } evses { evseId } } }
}
"""


async def listed(database: Database, client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the lists show to a client: EVSEs and spots by id."""
    matching = dict(client.matching or {})
    available = matching.pop("availableNow", None)
    asked = {"within": client.within, "filter": matching}
    data = await ask(database, client.caller, LISTS, asked)
    evses = {node["evseId"]: node for node in data["evses"]["nodes"]}
    spots = {node["parkingId"]: node for node in data["parkingSpots"]["nodes"]}
    if available:
        rows = await database.fetch(
            "select evse_id from evse_status where major = 'AVAILABLE' and expires_at > now()"
            " and coalesce(blocked_until <= now(), true)"
        )
        there = {row[0] for row in rows}
        evses = {id_: node for id_, node in evses.items() if id_.replace("*", "") in there}
    return evses, spots


# ---------------------------------------------------------------- a world that moves

DE, FR = "DE8AC", "FRA23"


THERE = "select exists (select from evse where evse_id = $1)"


@dataclass
class Moving:
    """Two operators, one visible by contract, the other open to all; a PSO; an NSP; and a random generator."""

    database: Database
    chance: random.Random
    operators: dict[str, Owner]
    members: dict[str, Member]
    pso: Owner
    nsp: Member
    contracts: dict[str, Any] = field(default_factory=dict)
    now: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)
    signing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def make(cls, database: Database, chance: random.Random) -> "Moving":
        members = {party: (await enrol(database, party, (Role.EVSE_OPERATOR, party)))[0] for party in (DE, FR)}
        [pso] = await enrol(database, "PSO", (Role.PSO, "DEPRK"))
        [nsp] = await enrol(database, "NSP", (Role.NSP, None))
        world = cls(
            database, chance, {party: _owner(member) for party, member in members.items()},
            members | {"DEPRK": pso}, _owner(pso), nsp,
        )  # fmt: skip
        await world.contract(DE)
        await world.open(FR, True)
        return world

    def later(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    async def put(self, party: str, *numbers: int, at: tuple[float, float] | None = None, **changes: Any) -> None:
        """Upload some EVSEs, each at its own location, with random values for what is not given."""
        points = [self._charge_point(party, number, at, changes) for number in numbers]
        report = await update_charge_points(self.database, points, self.operators[party], self.later())
        assert not report.refused, report.refused

    def _charge_point(self, party: str, number: int, at: tuple[float, float] | None, changes: dict[str, Any]) -> Any:
        chance = self.chance
        longitude, latitude = at or (chance.choice([9.9, 10.1, 10.3]), chance.choice([48.1, 48.3, 48.5]))
        spots = [EvseParkingSpot(parking_id=f"DEPRKP{n}") for n in chance.sample(range(6), chance.choice([0, 0, 1, 2]))]
        made: dict[str, Any] = {
            "location_id": f"L{number}",
            "position": Point(latitude=latitude, longitude=longitude),
            "charge_point_type": chance.choice(list(ChargePointType)),
            "ratings": chance.choice([None, Ratings(maximum_power_kw=22.0), Ratings(maximum_power_kw=150.0)]),
            "parking_spots": tuple(spots),
        }
        return charge_point(f"{party}E{number}", **(made | changes))

    async def remove(self, party: str, *numbers: int) -> None:
        ids = [f"{party}E{number}" for number in numbers]
        await remove_charge_points(self.database, ids, self.operators[party], self.later())

    async def put_spot(self, number: int) -> None:
        position = self.chance.choice([None, Point(latitude=48.3, longitude=10.1), Point(latitude=40.0, longitude=1.0)])
        spot = ParkingSpot(parking_id=f"DEPRKP{number}", position=position, number=str(self.chance.randrange(100)))
        await update_parking_spots(self.database, [spot], self.pso, self.later())

    async def remove_spot(self, number: int) -> None:
        await remove_parking_spots(self.database, [f"DEPRKP{number}"], self.pso, self.later())

    async def say(self, party: str, number: int, major: str) -> None:
        """Set an EVSE's status as an upload does: the row of the log holds its availability before."""

        async def work(connection: Connection) -> None:
            id_ = f"{party}E{number}"
            was = await connection.fetchval(
                "select major = 'AVAILABLE' and expires_at > now() and coalesce(blocked_until <= now(), true)"
                " from evse_status where evse_id = $1 for update",
                id_,
            )
            if was is None and not await connection.fetchval(
                "select exists (select from evse where evse_id = $1)", id_
            ):
                return
            await connection.execute(
                "update evse_status set major = $2, at = now(), updated_at = now(),"
                " expires_at = now() + interval '1 day' where evse_id = $1",
                id_,
                major,
            )
            await connection.execute(
                "insert into change (kind, entity_id, was_available) values ('EVSE_STATUS', $1, $2)", id_, bool(was)
            )

        await self.database.write(work)

    async def say_spot(self, number: int, by: str) -> None:
        """Send the status of a spot, by an operator or the PSO; refused where it does not link the spot."""
        now, owner = datetime.now(UTC), self.pso if by == "DEPRK" else self.operators[by]
        major = self.chance.choice([MajorStatus.AVAILABLE, MajorStatus.NOT_AVAILABLE])
        said = [ParkingStatus(f"DEPRKP{number}", major, None, now)]
        role = Role.PSO if by == "DEPRK" else Role.EVSE_OPERATOR
        await update_status(self.database, [], said, owner, role, now, timedelta(days=1))

    async def contract(self, party: str) -> None:
        """Begin, or end, a contract: the NSP's with an operator, or the first operator's with the PSO."""
        async with self.signing:
            if party in self.contracts:
                await end_contract(self.database, CONSOLE, self.contracts.pop(party), self.later())
                return
            now = datetime.now(UTC)
            one, other = self.members[DE] if party == "DEPRK" else self.nsp, self.members[party]
            self.contracts[party] = await set_contract(self.database, CONSOLE, one.party, other.party, now)

    async def open(self, party: str, is_open: bool) -> None:
        await set_operator_open(self.database, CONSOLE, party, is_open, self.later())

    async def step(self) -> None:
        """Change something at random."""
        chance = self.chance
        party, number = chance.choice([DE, FR]), chance.randrange(12)
        await chance.choices(
            [
                lambda: self.put(party, *chance.sample(range(12), 3)),
                lambda: self.remove(party, number),
                lambda: self.say(party, number, chance.choice(["AVAILABLE", "NOT_AVAILABLE", "UNKNOWN"])),
                lambda: self.put_spot(chance.randrange(6)),
                lambda: self.remove_spot(chance.randrange(6)),
                lambda: self.say_spot(chance.randrange(6), chance.choice([DE, FR, "DEPRK"])),
                lambda: self.contract(chance.choice([DE, DE, FR, "DEPRK"])),
                lambda: self.open(party, chance.random() < 0.5),
            ],
            weights=[5, 2, 8, 2, 1, 2, 2, 1],
        )[0]()


def _owner(member: Member) -> Owner:
    caller = member.caller
    assert caller.party_id is not None
    return Owner(caller.partner_id, caller.role_id, caller.party_id)
