"""Hub and database are killed in the middle of uploads of tokens and of authorisations.

Clients send a request again until it is answered: a part of a list as it was, a request for an authorisation under its
`requestId`. Nothing that was acknowledged may be lost, and nothing may be done twice.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx

from app.db import cluster as clusters
from app.db.cluster import Cluster
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.updates import read_authorisations, update_authorisations
from app.exchange.contracts import set_contract
from app.exchange.workflow import find_tampered
from app.settings import Settings
from tests.cli.test_workers import children
from tests.crashes import crash, crash_safe_home, recover
from tests.exchange.authorisation.world import item, owner_of, token
from tests.exchange.world import Member, add_evse, operator, owner, provider, utc_now
from tests.soak.hub import connecting, free_port, migrated, start_hub, wait_until_ready

REPORT: Final = "{ accepted unchanged removed refused { code } }"
ANSWER: Final = "{ result { code } authorisation { contractId } session { id } }"
DOCUMENTS: Final = {
    "set": f"""mutation ($id: PartyId!, $items: [AuthorisationInput!]!, $part: ListPart!) {{
        answer: setRoamingAuthorisationList(
            providerId: $id, authorisations: $items, part: $part, confirmRemovals: true) {REPORT} }}""",
    "update": f"""mutation ($items: [AuthorisationInput!]!) {{
        answer: updateRoamingAuthorisationList(authorisations: $items) {REPORT} }}""",
    "single": f"""mutation ($token: TokenInput!, $evseId: EvseId, $requestId: ID) {{
        answer: requestSingleRoamingAuthorisation(token: $token, evseId: $evseId, requestId: $requestId) {ANSWER} }}""",
    "start": f"""mutation (
            $token: TokenInput!, $contractId: ContractId!, $evseId: EvseId!, $at: DateTime!, $requestId: ID) {{
        answer: startSession(
            token: $token, contractId: $contractId, evseId: $evseId, at: $at, requestId: $requestId) {ANSWER} }}""",
    "end": """mutation ($id: ID!) { answer: endSession(sessionId: $id, end: AUTHORISED_STOP) { id end } }""",
}
#: Codes of a hub that did not come to an answer.
UNANSWERED: Final = frozenset({"UNAVAILABLE", "SERVER", "OVERLOADED", "TIMEOUT", "BUSY"})
AGAIN_S: Final = 0.05
PATIENCE_S: Final = 240.0

#: Tokens and contract ids that stand in no log.
SECRET: Final = "5EC7E7"
#: The provider of whole lists, the one of updates, the one whose tokens are asked about, and the operator.
LISTS, UPDATES, STILL, OPERATOR = "DE8AA", "FRA1B", "NL7CC", "DE8AC"
#: Of what is killed at instants that are certain: as above.
OTHER_LISTS, OTHER_UPDATES, OTHER_OPERATOR = "DE8XA", "FRX1B", "DE8XC"
MOST_UPDATED, AT_ONCE, STILL_TOKENS = 100, 20, 50


class Wrong(AssertionError):
    """Something is lost or was done twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many kills at least, tokens of a list and its parts, clients that authorise, and processes of the hub."""

    kills: int
    listed: int
    parts: int = 3
    authorisers: int = 6
    workers: int = 1

    @property
    def victims(self) -> Sequence[str]:
        return ("database", "hub") if self.workers == 1 else ("database", "worker", "hub")


SMALL: Final = Size(kills=3, listed=600)
FULL: Final = Size(kills=20, listed=6_000, parts=5, authorisers=12, workers=2)


@dataclass
class Figures:
    """What happened. `hit`: requests that were under way when something was killed, and were not answered."""

    kills: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    hit: Counter[str] = field(default_factory=Counter[str])

    def __str__(self) -> str:
        told = ", ".join(f"{kind} {self.answered[kind]:,} and {self.hit[kind]}" for kind in DOCUMENTS)
        return f"kills: {dict(self.kills)}; answered, and not answered because of a kill: {told}"


# ---------------------------------------------------------------- what is killed


@dataclass
class Stage:
    """A server, a hub, and the partners; hub and server can be killed and come back."""

    home: Path
    server: Cluster
    members: Mapping[str, Member]
    workers: int
    port: int = field(default_factory=free_port)
    hub: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return self.server.dsn

    @property
    def log(self) -> Path:
        return self.home / "hub.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.hub = start_hub(self.dsn, self.port, self.workers, log, TMPDIR=str(self.home))
        wait_until_ready(self.port)

    def stop(self) -> None:
        if self.hub is not None:
            os.killpg(self.hub.pid, signal.SIGKILL)
            self.hub.wait()
            self.hub = None

    def kill(self, victim: str, dice: random.Random) -> None:
        """Kill at once."""
        assert self.hub is not None
        match victim:
            case "database":
                crash(self.server, signal.SIGKILL)
            case "worker":
                os.kill(dice.choice(sorted(children(self.hub.pid))), signal.SIGKILL)
            case _:
                self.stop()

    async def bring_back(self, victim: str) -> None:
        match victim:
            case "database":
                await recover(self.home)
            case "hub":
                await asyncio.to_thread(self.start)
            case _:
                pass  # the hub replaces it


@contextmanager
def staged(size: Size) -> Iterator[Stage]:
    with crash_safe_home() as home, clusters.start(home) as server:
        stage = Stage(home, server, asyncio.run(_enrolled(server.dsn, size)), size.workers)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()


async def _enrolled(dsn: str, size: Size) -> Mapping[str, Member]:
    await migrated(dsn)
    database = await Database.open(dsn, Settings())
    try:
        parties = (LISTS, UPDATES, STILL, OTHER_LISTS, OTHER_UPDATES)
        members = {party: await provider(database, party, party) for party in parties}
        operators = {party: await operator(database, party, party) for party in (OPERATOR, OTHER_OPERATOR)}
        for party, cpo in operators.items():
            await set_contract(database, CONSOLE, members[STILL].party, cpo.party, utc_now())
            for number in range(size.authorisers):
                await add_evse(database, party, number)
        sender = owner_of(members[STILL])
        read = await read_authorisations([sent(STILL, number, number) for number in range(STILL_TOKENS)], sender)
        assert (await update_authorisations(database, read, sender, utc_now())).accepted == STILL_TOKENS
        return members | operators
    finally:
        await database.close()


# ---------------------------------------------------------------- requests that are sent again


@dataclass(eq=False)
class Attempt:
    kind: str
    is_hit: bool = False


class Line:
    """Sends requests to the hub until they are answered."""

    def __init__(self, client: httpx.AsyncClient, members: Mapping[str, Member]) -> None:
        self.client, self.members = client, members
        self.figures = Figures()
        self.under_way: dict[Attempt, None] = {}

    async def send(self, kind: str, party: str, variables: Mapping[str, Any]) -> tuple[Any, bool]:
        """Return the answer, and whether it came at the first attempt."""
        for tries in count():
            attempt = Attempt(kind)
            self.under_way[attempt] = None
            answer = await self.send_once(kind, party, variables)
            del self.under_way[attempt]
            if answer is not None:
                self.figures.answered[kind] += 1
                return answer, tries == 0
            self.figures.hit[kind] += attempt.is_hit
            await asyncio.sleep(AGAIN_S)
        raise AssertionError

    async def send_once(self, kind: str, party: str, variables: Mapping[str, Any]) -> Any:
        """Return the answer; None: there was none. Raises: Wrong for a refusal."""
        asked = {"query": DOCUMENTS[kind], "variables": variables}
        headers = {"Authorization": f"Bearer {self.members[party].key.secret}"}
        try:
            response = await self.client.post("/graphql", json=asked, headers=headers)
        except httpx.HTTPError:
            return None
        answer = response.json()
        errors = answer.get("errors", ())
        if not errors:
            return answer["data"]["answer"]
        if {each["extensions"]["code"] for each in errors} <= UNANSWERED:
            return None
        raise Wrong(f"{kind}: {errors}")


@asynccontextmanager
async def a_line(stage: Stage) -> AsyncIterator[Line]:
    async with connecting(f"127.0.0.1:{stage.port}") as client:
        yield Line(client, stage.members)


# ---------------------------------------------------------------- the clients


def sent(party: str, number: int, version: int) -> dict[str, Any]:
    """Return an authorisation; `version` is its contract."""
    return item(instance(party, number), contract(party, version))


def instance(party: str, number: int) -> str:
    return f"{SECRET}{party}{number:06}"


def contract(party: str, version: int) -> str:
    return f"{party}C{version:08}"


def report(before: Mapping[int, int], after: Mapping[int, int], removed: int = 0) -> dict[str, Any]:
    changed = sum(before.get(number) != version for number, version in after.items())
    return {"accepted": changed, "unchanged": len(after) - changed, "removed": removed, "refused": []}


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


@dataclass
class Client:
    """Does one thing after the other, and knows what was acknowledged."""

    line: Line
    dice: random.Random
    done: int = 0

    async def step(self) -> None:
        raise NotImplementedError

    async def repeat(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.step()
            self.done += 1


@dataclass
class Lister(Client):
    """Replaces a whole list in parts. `row`: the contracts of its tokens, by number."""

    size: Size = SMALL
    row: dict[int, int] = field(default_factory=dict[int, int])

    async def step(self) -> None:
        version = self.done + 1
        kept = [number for number in range(self.size.listed) if self.dice.random() < 0.8]
        row = {number: self.dice.choice([self.row.get(number, version), version]) for number in kept}
        each = -(-len(kept) // self.size.parts)
        parts = [kept[start : start + each] for start in range(0, len(kept), each)]
        for number, some in enumerate(parts, 1):
            is_last = number == len(parts)
            part = {"listId": f"list {version}", "number": number, "last": is_last}
            items = [sent(LISTS, n, row[n]) for n in some]
            said, _ = await self.line.send("set", LISTS, {"id": LISTS, "items": items, "part": part})
            expected = report({}, dict.fromkeys(some, 0))
            if is_last:
                expected = report(self.row, row, len(self.row.keys() - row.keys()))
            require(said == expected, f"part {number} of list {version}: {said} instead of {expected}")
        self.row = row


@dataclass
class Updater(Client):
    """Changes some tokens at a time."""

    row: dict[int, int] = field(default_factory=dict[int, int])

    async def step(self) -> None:
        numbers = self.dice.sample(range(MOST_UPDATED), AT_ONCE)
        row = {number: self.dice.choice([self.row.get(number, 0), self.done]) for number in numbers}
        items = [sent(UPDATES, number, version) for number, version in row.items()]
        said, is_first = await self.line.send("update", UPDATES, {"items": items})
        possible = [report(self.row, row), *([] if is_first else [report(row, row)])]
        require(said in possible, f"update {self.done}: {said} instead of {possible}")
        self.row |= row


@dataclass
class Authoriser(Client):
    """Authorises sessions on one EVSE, and ends them. `asked`: its requests with the sessions that were answered."""

    number: int = 0
    asked: dict[str, tuple[str, Mapping[str, Any], str]] = field(
        default_factory=dict[str, tuple[str, Mapping[str, Any], str]]
    )

    async def step(self) -> None:
        number, request_id = self.dice.randrange(STILL_TOKENS), f"{self.number}-{self.done}"
        asked: dict[str, Any] = {
            "token": token(instance(STILL, number)),
            "evseId": f"{OPERATOR}E{self.number}",
            "requestId": request_id,
        }
        kind = self.dice.choice(["single", "start"])
        if kind == "start":
            asked |= {"contractId": contract(STILL, number), "at": utc_now().isoformat()}
        session_id = await self.ask(kind, asked, number)
        self.asked[request_id] = kind, asked, session_id
        ended, _ = await self.line.send("end", OPERATOR, {"id": session_id})
        require(ended == {"id": session_id, "end": "AUTHORISED_STOP"}, f"the end of {request_id}: {ended}")
        await self.ask_again(self.dice.choice(list(self.asked)))

    async def ask(self, kind: str, asked: Mapping[str, Any], number: int) -> str:
        answer, _ = await self.line.send(kind, OPERATOR, asked)
        granted = answer["result"]["code"] == "OK" and answer["session"] is not None
        paid = contract(STILL, number) == answer["authorisation"]["contractId"].replace("-", "")
        require(granted and paid, f"{asked['requestId']} is not granted as it must be")
        return answer["session"]["id"]

    async def ask_again(self, request_id: str) -> None:
        kind, asked, session_id = self.asked[request_id]
        answer, _ = await self.line.send(kind, OPERATOR, asked)
        require(answer["session"]["id"] == session_id, f"{request_id} is answered with another session")


# ---------------------------------------------------------------- the whole


@dataclass
class Clients:
    lister: Lister
    updater: Updater
    authorisers: Sequence[Authoriser]

    @classmethod
    def of(cls, line: Line, size: Size, dice: random.Random) -> "Clients":
        def own() -> random.Random:
            return random.Random(dice.random())

        authorisers = [Authoriser(line, own(), number=number) for number in range(size.authorisers)]
        return cls(Lister(line, own(), size=size), Updater(line, own()), authorisers)

    @property
    def all(self) -> Sequence[Client]:
        return (self.lister, self.updater, *self.authorisers)


async def drive(stage: Stage, line: Line, size: Size, dice: random.Random) -> Clients:
    """Run clients while something is killed again and again. Raises: Wrong."""
    clients, stop = Clients.of(line, size, dice), asyncio.Event()
    tasks = [asyncio.create_task(each.repeat(stop)) for each in clients.all]
    killing = asyncio.create_task(_kill(stage, line, clients, size, dice))
    try:
        await asyncio.wait([*tasks, killing], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        if not killing.done():
            killing.cancel()  # a client found something wrong
        await asyncio.gather(*tasks)
        await killing
    finally:
        for task in (*tasks, killing):
            task.cancel()
        await asyncio.gather(*tasks, killing, return_exceptions=True)
    return clients


async def _kill(stage: Stage, line: Line, clients: Clients, size: Size, dice: random.Random) -> None:
    """Kill in the middle of requests, until there were enough kills and each kind of request was hit."""
    figures = line.figures
    for number in count():
        rarest = min(DOCUMENTS, key=lambda kind: figures.hit[kind])
        if number >= size.kills and figures.hit[rarest]:
            return
        require(number < 4 * size.kills, f"no kill hit a request of the kind {rarest}: this proves nothing")
        victim = size.victims[number % len(size.victims)]
        await _until(lambda kind=rarest: any(each.kind == kind for each in line.under_way))
        await asyncio.sleep(dice.uniform(0, 0.02))
        for each in line.under_way:
            each.is_hit = True
        stage.kill(victim, dice)
        figures.kills[victim] += 1
        await stage.bring_back(victim)
        done = [each.done for each in clients.all]
        await _until(lambda done=done: all(each.done >= n + 2 for each, n in zip(clients.all, done, strict=True)))


async def _until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def require_kept(stage: Stage, clients: Clients) -> None:
    """Compare what is stored with what was acknowledged. Raises: Wrong."""
    asked = {id_: session for each in clients.authorisers for id_, (_, _, session) in each.asked.items()}
    ids = set(asked.values())
    require(len(ids) == len(asked), "two requests have one session")
    mine = "operator_role_id = (select id from partner_role where party_id = $1)"
    async with owner(stage.dsn) as connection:
        answers = await connection.fetch(
            f"select request_id, session_id::text from authorisation_answer where {mine}", OPERATOR
        )
        sessions = await connection.fetch(f"select id::text, ended_by from session where {mine}", OPERATOR)
        requests = await connection.fetch(f"select session_id::text from authorisation_request where {mine}", OPERATOR)
        history = await connection.fetch(
            f"select subject_id, command from workflow_history join session on id::text = subject_id where {mine}",
            OPERATOR,
        )
        tokens = await connection.fetch(
            "select party_id, instance, contract_id from authorisation join partner_role as role"
            " on role.id = provider_role_id where removed_at is null and party_id = any($1)",
            [LISTS, UPDATES],
        )
    kept: Sequence[tuple[str, Sequence[Any], Sequence[Any]]] = (
        ("answers", answers, list(asked.items())),
        ("sessions", sessions, [(id_, "AUTHORISED_STOP") for id_ in ids]),
        ("requests", requests, [(id_,) for id_ in ids]),
        ("history", history, [(id_, each) for id_ in ids for each in ("begin", "end")]),
        ("tokens", tokens, _expected_tokens(clients)),
    )
    for what, found, expected in kept:
        stored, acknowledged = Counter(map(tuple, found)), Counter(expected)
        lost, too_many = acknowledged - stored, stored - acknowledged
        require(not lost and not too_many, f"{what}: {lost.total()} lost, {too_many.total()} too many")
    database = await Database.open(stage.dsn, Settings())
    try:
        require(await find_tampered(database, CONSOLE) == (), "the history is broken")
    finally:
        await database.close()


def _expected_tokens(clients: Clients) -> list[tuple[str, str, str]]:
    rows = {LISTS: clients.lister.row, UPDATES: clients.updater.row}
    return [
        (party, instance(party, number), contract(party, version))
        for party, row in rows.items()
        for number, version in row.items()
    ]


def require_nothing_personal_in_logs(stage: Stage) -> None:
    """Look for tokens and contract ids in the logs of hub and server, which hold the errors of all kills."""
    logs = [stage.log, *(stage.server.home / "log").glob("*")]
    texts = [each.read_text(errors="replace").upper() for each in logs]
    require(any(texts), "there is no log")
    for secret in (SECRET, f"{LISTS}C0", f"{UPDATES}C0", f"{STILL}C0"):
        require(not any(secret in text for text in texts), "a log has personal data")


def soak(size: Size, seed: int) -> Figures:
    """Run the soak on a server of its own. Raises: Wrong."""

    async def run(stage: Stage) -> Figures:
        async with a_line(stage) as line:
            await require_kept(stage, await drive(stage, line, size, random.Random(seed)))
        require_nothing_personal_in_logs(stage)
        return line.figures

    with staged(size) as stage:
        return asyncio.run(run(stage))
