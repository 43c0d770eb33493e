"""How many charge points a second go in through `setChargePointList`, beside the baseline, and how long others wait.

Both variants have an empty database with one operator, and take the same bodies in turn: a whole list in parts. The hub
keeps the parts until the last one comes, and then puts the list in force at once; the baseline writes each as it comes.
Then the hub alone takes the list again with every charge point changed: a list that takes the place of another one; and
two lists of as many parking spots in the same way.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from app.db.cluster import DATABASE
from app.db.engine import Database
from app.db.migrate import migrate
from app.demo_stations import EVSES, OPERATORS, charge_points
from app.settings import Settings
from app.vocabulary import Role
from tests.benchmarks.measure import AnswersDiffer, Server, Variant, ask, serving
from tests.exchange.world import enrol

PARTY = "DE8AC"
ITEMS = 100_000
#: Bodies of 12 MB, of the 16 that the hub takes.
PART = 10_000
#: What the second list says of every charge point, and the first does not.
CHANGED_MINUTES = 45
TARGET = 3.0
LONGEST_S = 0.1
LOOK_S = 0.01
DOCUMENT = """mutation List($items: [ChargePointInput!]!, $part: ListPart) {
  setChargePointList(operatorId: "DE8AC", chargePoints: $items, part: $part) { accepted unchanged }
}"""
SPOTS_DOCUMENT = """mutation List($items: [ParkingSpotInput!]!, $part: ListPart) {
  setParkingSpotList(psoId: "DE8AC", parkingSpots: $items, part: $part) { accepted unchanged }
}"""
VARIANTS = ("hub", "orm")
#: What the hub takes besides.
CHANGED, SPOTS, CHANGED_SPOTS = LISTS = ("hub, all changed", "hub, parking spots", "hub, all parking spots changed")


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. `seconds`: all parts, by variant and by list that the hub takes besides.

    `longest_s`: the longest read or write of another client meanwhile, likewise.
    """

    items: int
    seconds: Mapping[str, float]
    longest_s: Mapping[str, float]

    @property
    def times(self) -> float:
        return self.seconds["orm"] / self.seconds["hub"]


def run(dsn: str, progress: Callable[[], None], items: int = ITEMS, part: int = PART) -> Figures:
    """Make both worlds and measure. Raises: AnswersDiffer when they do not end with the same rows."""
    urls = {name: _dsn(dsn, f"uploads_{name}") for name in VARIANTS}
    keys = {name: asyncio.run(_make_world(dsn, f"uploads_{name}")) for name in VARIANTS}
    own, own_spots = keys["hub"]
    first = _bodies(DOCUMENT, list_of(items), part)
    seconds: dict[str, float] = dict.fromkeys((*VARIANTS, *LISTS), 0.0)
    longest_s: dict[str, float] = dict.fromkeys((*VARIANTS, *LISTS), 0.0)
    with serving({"hub": ["hub", urls["hub"]], "orm": ["uploads-orm", urls["orm"]]}) as servers:
        for name in VARIANTS:
            # Waits until the server is there.
            _post(servers[name], orjson.dumps({"query": "{ __typename }"}), keys[name][0])
        for body in first:
            for name in VARIANTS:
                with _watching(urls[name], name, longest_s):
                    seconds[name] += _post(servers[name], body, keys[name][0])
                progress()
        asyncio.run(compare(urls))
        for name, key, bodies in (
            (CHANGED, own, _bodies(DOCUMENT, list_of(items, minutes=CHANGED_MINUTES), part)),
            (SPOTS, own_spots, _bodies(SPOTS_DOCUMENT, spots_of(items, "1"), part)),
            (CHANGED_SPOTS, own_spots, _bodies(SPOTS_DOCUMENT, spots_of(items, "2"), part)),
        ):
            with _watching(urls["hub"], name, longest_s):
                for body in bodies:
                    seconds[name] += _post(servers["hub"], body, key)
                    progress()
    return Figures(items, seconds, longest_s)


def steps(items: int = ITEMS, part: int = PART) -> int:
    """Return how often `run` calls its `progress`."""
    return len(range(0, items, part)) * (len(VARIANTS) + len(LISTS))


def lines(figures: Figures) -> Sequence[str]:
    """Format the figures with their targets."""
    word = "reached" if figures.times >= TARGET else "NOT reached"
    worst_s = max(longest_s for name, longest_s in figures.longest_s.items() if name != "orm")
    short = "reached" if worst_s <= LONGEST_S else "NOT reached"
    return [
        *(f"{name}: {figures.items / took_s:,.0f} items/s" for name, took_s in figures.seconds.items()),
        f"{figures.times:.2f} times the baseline; to reach: {TARGET:g}: {word}",
        "longest wait of another client: "
        + ", ".join(f"{name} {took_s:.3f} s" for name, took_s in figures.longest_s.items()),
        f"all of the hub to be below {LONGEST_S:g} s: {short}",
    ]


# ---------------------------------------------------------------- what is sent


def list_of(items: int, party_id: str = PARTY, minutes: int | None = None) -> list[dict[str, Any]]:
    """Return so many charge points of the demo's kind, their ids in one spelling, without spots."""
    demo = replace(OPERATORS[0], party_id=party_id, share=items / EVSES)
    made = charge_points(demo, 1, datetime(2026, 3, 2, tzinfo=UTC))
    ours = {"parkingSpots": [], "maxReservationMinutes": minutes}
    return [{**each, "evseId": each["evseId"].replace("*", ""), **ours} for each in made]


def spots_of(items: int, number: str) -> list[dict[str, Any]]:
    """Return so many parking spots, spread over a country, all with this number."""
    return [
        {
            "parkingId": f"{PARTY}P{n}",
            "position": {"latitude": 47.0 + n % 1000 / 200, "longitude": 7.0 + n // 1000 / 20},
            "restrictions": ["DISABLED"],
            "number": number,
        }
        for n in range(items)
    ]


def _bodies(document: str, items: Sequence[Mapping[str, Any]], part: int) -> list[bytes]:
    """Return the parts of a list, whose name is that of no list before it."""
    name, firsts = f"list {time.monotonic_ns()}", range(0, len(items), part)
    return [
        orjson.dumps(
            {
                "query": document,
                "variables": {
                    "items": items[first : first + part],
                    "part": {"listId": name, "number": number, "last": number == len(firsts)},
                },
            }
        )
        for number, first in enumerate(firsts, start=1)
    ]


def _post(server: Server, body: bytes, key: str) -> float:
    """Send one part; give the seconds it took. Raises: AnswersDiffer when something was wrong with it."""
    head = f"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n\r\n"
    began = time.perf_counter()
    answer = ask(Variant("list", server.name, server, ()), head.encode() + body)
    took_s = time.perf_counter() - began
    if "errors" in answer:
        raise AnswersDiffer(f"{server.name}: {answer['errors'][0]['message']}")
    return took_s


# ---------------------------------------------------------------- the worlds


def _dsn(dsn: str, name: str) -> str:
    return dsn.replace(f"/{DATABASE}?", f"/{name}?")


async def _make_world(dsn: str, name: str) -> tuple[str, str]:
    """Make a database with a partner that has nothing yet; give its keys as an operator and as a PSO."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"drop database if exists {name} with (force)")
    await connection.execute(f"create database {name}")
    await connection.close()
    url = _dsn(dsn, name)
    await migrate(url, Settings(database_url=url))
    database = await Database.open(url, Settings(database_url=url))
    try:
        roles = (Role.EVSE_OPERATOR, PARTY), (Role.PSO, PARTY)
        of_operator, of_pso = await enrol(database, "Operator", *roles)
        return of_operator.key.secret, of_pso.key.secret
    finally:
        await database.close()


#: The columns that must be equal after either way of writing, without times.
ROWS = (
    "select to_jsonb(evse) - 'updated_at' as row from evse",
    "select to_jsonb(location) - 'updated_at' as row from location",
    "select to_jsonb(evse_status) as row from evse_status",
    "select to_jsonb(array[kind, entity_id, existed::text]) as row from change",
)


async def compare(urls: Mapping[str, str]) -> None:
    """Raises: AnswersDiffer when the databases do not hold the same."""
    for rows in ROWS:
        found = {name: await _digest(url, rows) for name, url in urls.items()}
        if len(set(found.values())) > 1:
            raise AnswersDiffer(f"{rows}: {found}")


async def _digest(dsn: str, rows: str) -> tuple[int, str]:
    connection = await asyncpg.connect(dsn)
    try:
        digests = f"select md5(row::text) as digest from ({rows}) as rows"
        sql = f"select count(*), md5(string_agg(digest, '' order by digest)) from ({digests}) as digests"
        [row] = await connection.fetch(sql)
        return row[0], row[1]
    finally:
        await connection.close()


# ---------------------------------------------------------------- others beside it

#: What others do meanwhile: find the nearest, and set the status of an EVSE and of a spot of the very list.
_PROBES = (
    "select evse_id from evse order by geog <-> 'SRID=4326;POINT(10 50)'::geography limit 10",
    f"update evse_status set major = major where evse_id = (select min(evse_id) from evse where evse_id > '{PARTY}')",
    f"update parking_status set status = status where parking_id = '{PARTY}P7' and said_by = 0",
)


@contextmanager
def _watching(dsn: str, name: str, longest_s: dict[str, float]) -> Iterator[None]:
    """Measure how long the longest read or write of another client takes meanwhile."""
    done = threading.Event()

    async def watch() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            while not done.is_set():
                for probe in _PROBES:
                    began = time.perf_counter()
                    await connection.execute(probe)
                    longest_s[name] = max(longest_s[name], time.perf_counter() - began)
                await asyncio.sleep(LOOK_S)
        finally:
            await connection.close()

    watching = threading.Thread(target=asyncio.run, args=(watch(),))
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
