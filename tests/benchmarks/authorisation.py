"""How long lists of tokens take, what the hub holds meanwhile, and how long single authorisations wait.

Three hubs have databases of their own: with a hundredth of the tokens, a tenth, and all. Each takes a list in parts
over HTTP. Then all are asked in turn for single authorisations, and for what a hundred changes cost; at last the
longest list is replaced by one in which every token changed, while a client goes on asking at a steady pace. What ten
times as many tokens would cost is estimated from how the figures grew, and is measured nowhere.
"""

import asyncio
import http.client
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import orjson

from app.db.cluster import DATABASE
from app.db.engine import Database
from app.db.migrate import migrate
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.settings import Settings
from app.vocabulary import Role
from tests.benchmarks.measure import PATIENCE_S, AnswersDiffer, Server, cpu_s, family_cpu_s, serving
from tests.exchange.world import enrol, operator
from tests.ingest.world import MONDAY, charge_point

TOKENS = 1_000_000
PART = 10_000
ROUNDS = 5
#: Single authorisations in a round, each at an EVSE of its own: a session begins with each.
REQUESTS = 400
EVSES = 6_000
#: Single authorisations a second while a list is replaced.
PACE_PER_S = 25
CHANGES = 100
IDLE_S = 1.0

LIST_S = 180
ALONE_MS, MEANWHILE_MS = 10, 50
MOST = 1.5
#: A body of 16 MB, the largest, and what it is decoded to; nothing that grows with the list.
MORE_MB = 100

SET = """mutation List($items: [AuthorisationInput!]!, $part: ListPart) {
  setRoamingAuthorisationList(providerId: "DE8AA", authorisations: $items, part: $part) { accepted unchanged }
}"""
UPDATE = """mutation Update($items: [AuthorisationInput!]!) {
  updateRoamingAuthorisationList(authorisations: $items) { accepted }
}"""
ASK = """mutation Ask($token: TokenInput!, $evse: EvseId, $id: ID) {
  requestSingleRoamingAuthorisation(token: $token, evseId: $evse, requestId: $id) {
    result { code } authorisation { contractId } session { id }
  }
}"""
NOW = "{ changes(first: 1) { cursor } }"
FOLLOW = """query Follow($cursor: Cursor) {
  roamingAuthorisations(cursor: $cursor) {
    cursor hasMore changes { action token { instance } authorisation { contractId expiresAt } }
  }
}"""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of single authorisations: the median and the slowest hundredth."""

    p50_ms: float
    p99_ms: float
    requests: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured, by the number of tokens where there are several.

    `cpu_s`: what the hub and PostgreSQL took for the longest list, on however many cores.
    `first_mb`, `peak_mb`: the most memory that the hub of all tokens held after its first part, and after all.
    `update_ms`, `page_ms`: a hundred changes, and the operator's page of them.
    """

    tokens: int
    list_s: Mapping[int, float]
    cpu_s: tuple[float, float]
    first_mb: float
    peak_mb: float
    replaced_s: float
    alone: Mapping[int, Times]
    meanwhile: Times
    times: float
    update_ms: Mapping[int, float]
    page_ms: Mapping[int, float]


def sizes_of(tokens: int) -> tuple[int, int, int]:
    return tokens // 100, tokens // 10, tokens


def run(
    dsn: str,
    postmaster: int,
    progress: Callable[[], None],
    tokens: int = TOKENS,
    part: int = PART,
    rounds: int = ROUNDS,
    requests: int = REQUESTS,
    evses: int = EVSES,
) -> Figures:
    """Make the worlds and measure. Raises: AnswersDiffer for an answer that is not the expected one."""
    sizes = sizes_of(tokens)
    keys = {size: asyncio.run(_make_world(dsn, _name(size), evses)) for size in sizes}
    with serving({str(size): ["hub", _dsn(dsn, _name(size))] for size in sizes}) as servers, ExitStack() as stack:
        clients = {size: stack.enter_context(closing(Client(servers[str(size)], keys[size]))) for size in sizes}
        asked = {size: Asked(client, size, evses) for size, client in clients.items()}
        for client in clients.values():
            client.ask(NOW)  # waits until the hub is there
        list_s = dict.fromkeys(sizes, 0.0)
        peaks_mb: list[float] = []
        began_s = (0.0, 0.0)
        for size in sizes:
            peaks_mb.clear()
            began_s = cpu_s(servers[str(size)].process_id), family_cpu_s(postmaster)
            for body in bodies(size, part, year=2098):
                list_s[size] += clients[size].publish(body)
                peaks_mb.append(_peak_mb(servers[str(size)]))
                progress()
        took_s = cpu_s(servers[str(tokens)].process_id) - began_s[0], family_cpu_s(postmaster) - began_s[1]
        alone = [_in_turn(asked, requests, progress) for _ in range(rounds)]
        changed = [_change_in_turn(asked, turn, progress) for turn in range(rounds)]
        replacing = bodies(tokens, part, year=2099)
        replaced_s = 0.0
        with asked[tokens].steadily() as meanwhile_ms:
            for body in replacing:
                replaced_s += clients[tokens].publish(body)
                progress()
    ratios = [median(each[tokens]) / median(each[sizes[0]]) for each in alone]
    return Figures(
        tokens,
        list_s,
        took_s,
        peaks_mb[0],
        peaks_mb[-1],
        replaced_s,
        {size: _times([ms for each in alone for ms in each[size]]) for size in sizes},
        _times(meanwhile_ms),
        median(ratios),
        {size: median(each[size][0] for each in changed) for size in sizes},
        {size: median(each[size][1] for each in changed) for size in sizes},
    )


def steps(tokens: int = TOKENS, part: int = PART, rounds: int = ROUNDS) -> int:
    """Return how often `run` calls its `progress`."""
    parts = [len(range(0, size, part)) for size in sizes_of(tokens)]
    return sum(parts) + parts[-1] + 2 * rounds


# ---------------------------------------------------------------- what is printed


def lines(figures: Figures) -> Iterator[str]:
    """Yield the figures with their targets."""
    small, tenth, all_ = sizes_of(figures.tokens)
    alone, meanwhile = figures.alone[all_], figures.meanwhile
    yield "lists in parts: " + ", ".join(f"{size:,} tokens {took:.1f} s" for size, took in figures.list_s.items())
    yield f"CPU for {all_:,} tokens: hub {figures.cpu_s[0]:.1f} s, PostgreSQL {figures.cpu_s[1]:.1f} s"
    slowest_s = max(figures.list_s[all_], figures.replaced_s)
    yield (
        f"{all_:,} tokens set in {figures.list_s[all_]:.1f} s, all changed in {figures.replaced_s:.1f} s; "
        f"to reach: under {LIST_S} s: {_word(slowest_s < LIST_S)}"
    )
    yield (
        f"memory of the hub: {figures.first_mb:.0f} MB at most after the first part, {figures.peak_mb:.0f} MB after "
        f"all; to reach: at most {MORE_MB} MB more: {_word(figures.peak_mb - figures.first_mb <= MORE_MB)}"
    )
    yield (
        f"single authorisation with {all_:,} tokens: p50 {alone.p50_ms:.2f} ms, p99 {alone.p99_ms:.2f} ms of "
        f"{alone.requests:,}; to reach: p99 below {ALONE_MS} ms: {_word(alone.p99_ms < ALONE_MS)}"
    )
    yield (
        f"while the list is replaced: p50 {meanwhile.p50_ms:.2f} ms, p99 {meanwhile.p99_ms:.2f} ms of "
        f"{meanwhile.requests:,}; to reach: p99 below {MEANWHILE_MS} ms: {_word(meanwhile.p99_ms < MEANWHILE_MS)}"
    )
    yield f"p50 with {all_:,} tokens: {_compared(figures.times, small)}"
    for what, took_ms in ((f"{CHANGES} changes", figures.update_ms), ("the operator's page of them", figures.page_ms)):
        yield f"{what}: {took_ms[all_]:.1f} ms with {all_:,} tokens, {_compared(took_ms[all_] / took_ms[small], small)}"
    yield from _estimates(figures, tenth, all_)


def _compared(times: float, small: int) -> str:
    return f"{times:.2f} times that with {small:,}; to reach: at most {MOST:g}: {_word(times <= MOST)}"


def _estimates(figures: Figures, tenth: int, all_: int) -> Iterator[str]:
    """Estimate ten times as many: lists grow as they did in the last tenfold, answers by as many milliseconds."""
    list_s = figures.list_s[all_] ** 2 / figures.list_s[tenth]
    p50_ms = 2 * figures.alone[all_].p50_ms - figures.alone[tenth].p50_ms
    yield (
        f"estimated, not measured, for {10 * all_:,} tokens: {list_s:,.0f} s for all lists (a provider may have a "
        f"million tokens on their way at a time), single authorisation p50 {p50_ms:.2f} ms"
    )


def _word(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


# ---------------------------------------------------------------- what is sent


def bodies(tokens: int, part: int, year: int) -> list[bytes]:
    """Return the parts of a list; lists of different years differ in every token."""
    firsts = range(0, tokens, part)
    return [
        orjson.dumps(
            {
                "query": SET,
                "variables": {
                    "items": [_item(n, f"{year}-01-01T00:00:00Z") for n in range(first, min(first + part, tokens))],
                    "part": {"listId": str(year), "number": number, "last": number == len(firsts)},
                },
            }
        )
        for number, first in enumerate(firsts, start=1)
    ]


def _item(number: int, expires_at: str) -> dict[str, Any]:
    return {"token": _token(number), "contractId": f"DE8AAC{number:08}", "expiresAt": expires_at}


def _token(number: int) -> dict[str, Any]:
    return {"instance": f"04{number:012X}", "type": "RFID"}


class Client:
    """A provider and an operator that ask one hub, each on a connection of its own."""

    def __init__(self, server: Server, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._connections = {name: http.client.HTTPConnection("127.0.0.1", server.port, PATIENCE_S) for name in keys}
        self._used_at = dict.fromkeys(keys, time.monotonic())

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def publish(self, body: bytes) -> float:
        """Send a provider's request; return the seconds it took."""
        return self._ask("provider", body)[0]

    def ask(self, query: str, **variables: Any) -> tuple[float, Any]:
        """Send an operator's request; return the seconds it took and the answer to its one field."""
        return self._ask("operator", orjson.dumps({"query": query, "variables": variables}))

    def _ask(self, name: str, body: bytes) -> tuple[float, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._keys[name]}"}
        connection = self._connections[name]
        if time.monotonic() - self._used_at[name] > IDLE_S:
            connection.close()  # and opened again: the hub closes what is idle
        began = time.perf_counter()
        connection.request("POST", "/graphql", body, headers)
        text = connection.getresponse().read()
        took_s = time.perf_counter() - began
        self._used_at[name] = time.monotonic()
        answer = orjson.loads(text)
        if "errors" in answer:
            raise AnswersDiffer(str(answer["errors"][0]["message"]))
        return took_s, next(iter(answer["data"].values()))


class Asked:
    """A hub with a list, which is asked about its tokens by chance, each time at the next EVSE."""

    def __init__(self, client: Client, tokens: int, evses: int) -> None:
        self.client = client
        self.tokens = tokens
        self._evses = evses
        self._number = count()
        self._chance = random.Random(tokens)

    def authorise(self) -> float:
        """Request a single authorisation; return the milliseconds it took."""
        number, token = next(self._number), _token(self._chance.randrange(self.tokens))
        took_s, answer = self.client.ask(ASK, token=token, evse=f"DE*8AC*E{number % self._evses}", id=str(number))
        if answer["result"]["code"] != "OK" or answer["session"] is None:
            raise AnswersDiffer(f"a single authorisation was answered with {answer['result']['code']}")
        return took_s * 1000

    def change(self, turn: int) -> tuple[float, float]:
        """Change some tokens and read the changes; return the milliseconds of both."""
        _, before = self.client.ask(NOW)
        some = self._chance.sample(range(self.tokens), min(CHANGES, self.tokens))
        items = [_item(number, f"2097-01-01T00:00:{turn:02}Z") for number in some]
        update_s = self.client.publish(orjson.dumps({"query": UPDATE, "variables": {"items": items}}))
        page_s, page = self.client.ask(FOLLOW, cursor=before["cursor"])
        if len(page["changes"]) != len(some):
            raise AnswersDiffer(f"{len(page['changes'])} changes were delivered of {len(some)}")
        return update_s * 1000, page_s * 1000

    @contextmanager
    def steadily(self) -> Iterator[list[float]]:
        """Request single authorisations at a steady pace during the block; yield a list of how many ms each took."""
        done, taken, failures = threading.Event(), list[float](), list[Exception]()

        def work() -> None:
            try:
                taken.append(self.authorise())
                while not done.wait(1 / PACE_PER_S):
                    taken.append(self.authorise())
            except Exception as error:
                failures.append(error)

        asking = threading.Thread(target=work)
        asking.start()
        try:
            yield taken
        finally:
            done.set()
            asking.join()
        if failures:
            raise failures[0]


def _in_turn(asked: Mapping[int, Asked], requests: int, progress: Callable[[], None]) -> Mapping[int, list[float]]:
    """Request single authorisations of all hubs in turn."""
    taken: dict[int, list[float]] = {size: [] for size in asked}
    for _ in range(requests):
        for size, each in asked.items():
            taken[size].append(each.authorise())
    progress()
    return taken


def _change_in_turn(
    asked: Mapping[int, Asked], turn: int, progress: Callable[[], None]
) -> Mapping[int, tuple[float, float]]:
    taken = {size: each.change(turn) for size, each in asked.items()}
    progress()
    return taken


def _times(taken_ms: Sequence[float]) -> Times:
    ordered, number = sorted(taken_ms), len(taken_ms)
    return Times(median(ordered), ordered[min(number * 99 // 100, number - 1)], number)


def _peak_mb(server: Server) -> float:
    """Return the most memory that a process has held."""
    [peak_kb] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process_id}/status").read_text())
    return int(peak_kb) / 1024


# ---------------------------------------------------------------- the worlds


def _name(size: int) -> str:
    return f"authorisation_{size}"


def _dsn(dsn: str, name: str) -> str:
    return dsn.replace(f"/{DATABASE}?", f"/{name}?")


async def _make_world(dsn: str, name: str, evses: int) -> Mapping[str, str]:
    """Make a database with an EVSP, an operator with EVSEs and their contract; return their keys."""
    administrator = await asyncpg.connect(dsn)
    try:
        await administrator.execute(f"drop database if exists {name} with (force)")
        await administrator.execute(f"create database {name}")
    finally:
        await administrator.close()
    return await _fill(_dsn(dsn, name), evses)


async def _fill(dsn: str, evses: int) -> Mapping[str, str]:
    await migrate(dsn, Settings(database_url=dsn))
    database = await Database.open(dsn, Settings(database_url=dsn))
    try:
        [provider] = await enrol(database, "Provider", (Role.EVSP, "DE8AA"))
        member = await operator(database)
        await set_contract(database, CONSOLE, provider.party, member.party, MONDAY)
        owner = Owner(member.caller.partner_id, member.caller.role_id, "DE8AC")
        for first in range(0, evses, 5_000):
            points = [charge_point(f"DE8ACE{n}") for n in range(first, min(first + 5_000, evses))]
            await update_charge_points(database, points, owner, MONDAY)
        return {"provider": provider.key.secret, "operator": member.key.secret}
    finally:
        await database.close()
