"""How much longer a list of 500 EVSEs takes that is ordered by the price of a session, and how long one price takes.

Every EVSE has one of a hundred tariffs with four elements; each of these is priced once per request.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from app.db.cluster import DATABASE
from app.db.engine import Database
from app.db.migrate import migrate
from app.exchange.tariffs.updates import update_tariffs
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.prices.price import ChargingSession, CompiledTariff
from app.records.charge_point_input import read_charge_point
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.settings import Settings
from tests.benchmarks.measure import Variant, compare, measure, serving
from tests.benchmarks.questions import NODE, Question, graphql_requests, leaves
from tests.exchange.world import operator
from tests.world import CCS, evse

NAME = "prices"
PARTY = "DE8AC"
EVSES, TARIFFS, FIRST, PLACES = 5_000, 100, 500, 50
COMPARED = 5
PRICED = 2_000
#: To reach: at most so many times the time of the list without prices.
MOST = 3.0

ASKED = "within: {near: $near}, first: $first"
SESSION = '{energyKwh: "30", durationMinutes: 50, parkingMinutes: 40, powerKw: "50"}'
LIST = f"query ($near: NearInput!, $first: Int!) {{ evses({ASKED}) {{ nodes {{ {NODE} }} }} }}"
BY_PRICE = LIST.replace(ASKED, f"{ASKED}, price: {SESSION}, orderBy: PRICE")


@dataclass(frozen=True, slots=True)
class Figures:
    """`times`: how many times the time of the list without prices. `price_us`: one price, microseconds."""

    list_ms: float
    by_price_ms: float
    times: float
    price_us: float


def steps(rounds: int) -> int:
    """Return how often `run` calls its `progress`."""
    return 2 * (1 + rounds)


def run(dsn: str, seed: int, rounds: int, seconds: float, postmaster: int, progress: Callable[[], None]) -> Figures:
    """Make the world and measure."""
    chance = random.Random(seed)
    url = asyncio.run(_make_world(dsn, chance))
    near = [{"near": {**_place(chance), "radiusM": 50_000}, "first": FIRST} for _ in range(PLACES)]
    with serving({"hub": ["hub", url]}) as servers:
        variants = [
            Variant(name, "hub", servers["hub"], graphql_requests(Question(name, document, None, near)))
            for name, document in (("list", LIST), ("by price", BY_PRICE))
        ]
        compare(variants, COMPARED, leaves)
        listed, by_price = measure(variants, (1,), rounds, seconds, postmaster, progress)
    pairs = zip(listed.rounds, by_price.rounds, strict=True)
    times = median(other.p50_ms / one.p50_ms for one, other in pairs)
    return Figures(listed.median.p50_ms, by_price.median.p50_ms, times, _price_us())


def lines(figures: Figures) -> Sequence[str]:
    """Format the figures with their targets."""
    word = "reached" if figures.times <= MOST else "NOT reached"
    return [
        f"{FIRST} EVSEs: {figures.list_ms:.1f} ms; by price: {figures.by_price_ms:.1f} ms",
        f"by price: {figures.times:.2f} times the time; to reach: at most {MOST:g}: {word}",
        f"one price: {figures.price_us:.0f} microseconds",
    ]


# ---------------------------------------------------------------- the world


async def _make_world(server_dsn: str, chance: random.Random) -> str:
    administrator = await asyncpg.connect(server_dsn)
    try:
        await administrator.execute(f"drop database if exists {NAME} with (force)")
        await administrator.execute(f"create database {NAME}")
    finally:
        await administrator.close()
    dsn = server_dsn.replace(f"/{DATABASE}?", f"/{NAME}?")
    await migrate(dsn, Settings(database_url=dsn))
    database = await Database.open(dsn, Settings())
    try:
        member = await operator(database, PARTY, open_=True)
        owner = Owner(member.caller.partner_id, member.caller.role_id, PARTY)
        now = datetime.now(UTC)
        tariffs = [_tariff(number, chance) for number in range(TARIFFS)]
        await update_tariffs(database, tariffs, owner, now)
        points = [_charge_point(number, chance) for number in range(EVSES)]
        report = await update_charge_points(database, points, owner, now)
        assert not report.refused
        await database.writes.execute("analyze")
    finally:
        await database.close()
    return dsn


def _place(chance: random.Random) -> dict[str, float]:
    return {"latitude": chance.uniform(48.3, 48.5), "longitude": chance.uniform(9.8, 10.2)}


def _charge_point(number: int, chance: random.Random) -> Any:
    connector = f"{CCS}/DE*8AC*T{chance.randrange(TARIFFS)}"
    place = _place(chance)
    raw = evse(f"DE*8AC*E{number}", f"L{number}", place["latitude"], place["longitude"], connector, kw=50.0)
    return read_charge_point(raw, number)


def _tariff(number: int, chance: random.Random) -> Tariff:
    def price(most: int) -> str:
        return str(Decimal(chance.randrange(most)).scaleb(-2))

    day = [{"weekday": weekday, "begin": "07:00", "end": "20:00"} for weekday in range(1, 8)]
    elements = [
        {"billingItem": "SERVICE_FEE", "itemPrice": price(300), "stepSize": "1"},
        {"billingItem": "ENERGY", "itemPrice": price(80), "stepSize": "0", "restriction": {"regularHours": day}},
        {"billingItem": "ENERGY", "itemPrice": price(60), "stepSize": "0"},
        {"billingItem": "PARKING_TIME", "itemPrice": price(600), "stepSize": "0.1"},
    ]
    read = read_tariff(
        {"tariffId": f"DE*8AC*T{number}", "individualTariffs": [{"currency": "EUR", "elements": elements}]}, 0
    )
    assert isinstance(read, Tariff)
    return read


def _price_us() -> float:
    compiled = CompiledTariff(_tariff(0, random.Random(0)).for_provider(None))
    session = ChargingSession(
        start=datetime(2026, 6, 2, 17, 30, tzinfo=UTC),
        energy_kwh=Decimal(30),
        duration=timedelta(minutes=50),
        parking=timedelta(minutes=40),
        power_kw=Decimal(50),
        time_zone=ZoneInfo("Europe/Berlin"),
    )
    began = perf_counter()
    for _ in range(PRICED):
        compiled.price(session)
    return (perf_counter() - began) / PRICED * 1e6
