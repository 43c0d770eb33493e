"""Two processes that serve one database: requests at the same instant, sessions that expire, suspended partners."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.requests import start_session
from app.exchange.partners import resume_partner, suspend_partner
from app.records.token import Token
from app.settings import Settings
from app.vocabulary import TokenType
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import Member, add_evse, look, owner, utc_now
from tests.hub import scratch_database
from tests.soak.hub import connecting, free_port, start_hub, wait_until_ready
from tests.waiting import eventually, until_locked_out

pytestmark = pytest.mark.process

ANSWER = "{ result { code } session { id warnings } }"
SINGLE = f"""mutation ($requestId: ID, $token: TokenInput!) {{
    answer: requestSingleRoamingAuthorisation(token: $token, evseId: "DE8ACE1", requestId: $requestId) {ANSWER} }}"""
START = f"""mutation ($requestId: ID, $token: TokenInput!, $at: DateTime!) {{
    answer: startSession(
        token: $token, contractId: "DE8AAC00000001", evseId: "DE8ACE1", at: $at, requestId: $requestId) {ANSWER} }}"""
SESSION = "query ($id: ID!) { answer: session(id: $id) { id end endedAt } }"
CHANGES = "{ answer: sessionChanges { hasMore sessions { id end } } }"
END = """mutation ($id: ID!, $at: DateTime!) {
    answer: endSession(sessionId: $id, end: FORCED_DISCONNECT, at: $at) { end } }"""
EXPIRY_H = 1


@dataclass(frozen=True)
class Served:
    """A world that two processes serve. `old`, `young`: sessions that began before they started."""

    dsn: str
    world: World
    ports: Sequence[int]
    old: str
    young: str

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[list[httpx.AsyncClient]]:
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(connecting(f"127.0.0.1:{port}")) for port in self.ports]

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        database = await Database.open(self.dsn, Settings())
        try:
            yield database
        finally:
            await database.close()


@pytest.fixture(scope="module")
def served(cluster: Cluster, template: str) -> Iterator[Served]:
    with scratch_database(cluster.dsn, template, f"processes_{uuid4().hex}") as dsn:
        world, old, young = asyncio.run(_made(dsn))
        with _running(dsn) as ports:
            yield Served(dsn, world, ports, old, young)


@contextmanager
def _running(dsn: str) -> Iterator[Sequence[int]]:
    ports = [free_port(), free_port()]
    hubs = [start_hub(dsn, port, 1, OCHUB_SESSION_EXPIRY_H=str(EXPIRY_H)) for port in ports]
    try:
        for port in ports:
            wait_until_ready(port)
        yield ports
    finally:
        for hub in hubs:
            hub.terminate()
        for hub in hubs:
            hub.wait(60)


async def _made(dsn: str) -> tuple[World, str, str]:
    database = await Database.open(dsn, Settings())
    try:
        world = await make_world(database)
        await add_evse(database, "DE8AC", 1)
        await world.update(item())
        old, young = [await _session(world, utc_now() - timedelta(hours=EXPIRY_H * share)) for share in (2, 0.5)]
        return world, old, young
    finally:
        await database.close()


async def _session(world: World, at: datetime) -> str:
    sent = Token(instance=token()["instance"], type=TokenType.RFID)
    given = (sent, "DE8AAC00000001", "DE8ACE1", at, None, utc_now())
    answer_id = await start_session(world.database, world.operator.caller, *given)
    [row] = await look(world.database, "select session_id::text from authorisation_answer where id = $1", answer_id)
    return row["session_id"]


async def post(client: httpx.AsyncClient, by: Member, query: str, variables: Mapping[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {by.key.secret}"}
    return await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)


async def ask(client: httpx.AsyncClient, by: Member, query: str, **variables: Any) -> Any:
    answer = (await post(client, by, query, variables)).json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]["answer"]


# ---------------------------------------------------------------- at the same instant


async def at_once(served: Served, query: str, request_id: str | None, **more: Any) -> list[Any]:
    """Send a request twice to each process, so that all are in a transaction before one is answered.

    Twice, because one caller has a quarter of a process's eight connections.
    """
    given = {"requestId": request_id, "token": token(), **more}
    async with served.clients() as clients, owner(served.dsn) as holder, owner(served.dsn) as watcher:
        async with holder.transaction():
            await holder.execute("select from evse_status where evse_id = 'DE8ACE1' for update")
            sending = [
                asyncio.create_task(ask(client, served.world.operator, query, **given)) for client in clients * 2
            ]
            await until_locked_out(watcher, len(sending))
        return await asyncio.gather(*sending)


@pytest.mark.parametrize(("query", "name"), [(SINGLE, "single"), (START, "start")])
async def test_answers_a_request_once_that_two_processes_get_at_the_same_instant(served: Served, query: str, name: str):
    more = {"at": utc_now().isoformat()} if query is START else {}
    answers = await at_once(served, query, name, **more)
    assert answers[0]["result"]["code"] == "OK"
    assert all(each == answers[0] for each in answers)
    async with served.clients() as clients:
        for client in clients:
            given = {"requestId": name, "token": token("FF"), **more}
            refusal = (await post(client, served.world.operator, query, given)).json()
            assert refusal["errors"][0]["extensions"]["code"] == "REQUEST_ID_REUSED"
    async with owner(served.dsn) as connection:
        counted = "select count(*) from authorisation_answer where request_id = $1"
        assert await connection.fetchval(counted, name) == 1
        begun = "select count(*) from workflow_history where subject_id = $1 and command = 'begin'"
        assert await connection.fetchval(begun, answers[0]["session"]["id"]) == 1


async def test_begins_a_session_for_each_without_a_request_id(served: Served):
    """The broken twin of the test above."""
    answers = await at_once(served, SINGLE, None)
    assert len({each["session"]["id"] for each in answers}) == len(answers)


# ---------------------------------------------------------------- the clock


async def test_expires_sessions_after_the_time_that_is_set(served: Served):
    operator, provider = served.world.operator, served.world.provider
    async with served.clients() as clients:

        async def is_expired() -> bool:
            found = [await ask(client, operator, SESSION, id=served.old) for client in clients]
            return {each["end"] for each in found} == {"EXPIRED"}

        await eventually(is_expired)
        for client in clients:
            assert (await ask(client, provider, SESSION, id=served.young))["end"] is None
            changed = (await ask(client, provider, CHANGES))["sessions"]
            assert {"id": served.old, "end": "EXPIRED"} in changed
        at = (utc_now() - timedelta(minutes=90)).isoformat()
        assert await ask(clients[0], operator, END, id=served.old, at=at) == {"end": "FORCED_DISCONNECT"}
        assert (await ask(clients[1], provider, SESSION, id=served.old))["end"] == "FORCED_DISCONNECT"


# ---------------------------------------------------------------- suspended partners


@asynccontextmanager
async def suspended(served: Served, member: Member) -> AsyncIterator[None]:
    async with served.database() as database:
        await suspend_partner(database, CONSOLE, member.caller.partner_id, utc_now())
        try:
            yield
        finally:
            await resume_partner(database, CONSOLE, member.caller.partner_id, utc_now())


async def test_grants_nothing_at_the_expense_of_a_suspended_provider(served: Served):
    operator = served.world.operator
    async with served.clients() as clients:
        before = await ask(clients[0], operator, SINGLE, requestId="suspension", token=token())
        async with suspended(served, served.world.provider):
            for number, client in enumerate(clients):
                refused = await ask(client, operator, SINGLE, requestId=f"suspended {number}", token=token())
                assert refused == {"result": {"code": "ROAMING"}, "session": None}
                assert await ask(client, operator, SINGLE, requestId="suspension", token=token()) == before
            reported = await ask(clients[0], operator, START, token=token(), at=utc_now().isoformat())
            assert reported["session"]["warnings"] == ["NO_CONTRACT_THEN", "TOKEN_NOT_VALID"]
        for client in clients:
            granted = await ask(client, operator, SINGLE, requestId=None, token=token())
            assert granted["result"]["code"] == "OK"


async def test_refuses_a_suspended_operator_and_keeps_its_sessions(served: Served):
    """Its key may be cached for a second: what it asks until then is not granted."""
    operator, provider = served.world.operator, served.world.provider
    async with served.clients() as clients:
        begun = (await ask(clients[0], operator, SINGLE, requestId=None, token=token()))["session"]["id"]
        async with suspended(served, operator):
            for client in clients:

                async def is_refused(client: httpx.AsyncClient = client) -> bool:
                    response = await post(client, operator, SINGLE, {"token": token()})
                    assert "data" not in response.json() or response.json()["data"]["answer"]["session"] is None
                    return response.status_code == 401

                await eventually(is_refused)
                assert (await ask(client, provider, SESSION, id=begun))["end"] is None
        ended = await ask(clients[1], operator, END, id=begun, at=utc_now().isoformat())
        assert ended == {"end": "FORCED_DISCONNECT"}
