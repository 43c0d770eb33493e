"""Kills in the middle of uploads and authorisations: at instants that are certain, and by chance."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.exchange.authorisation.world import token
from tests.exchange.world import owner, utc_now
from tests.soak.kills import (
    DOCUMENTS,
    MOST_UPDATED,
    OPERATOR,
    OTHER_LISTS,
    OTHER_OPERATOR,
    OTHER_UPDATES,
    SMALL,
    STILL,
    Clients,
    Line,
    Stage,
    Wrong,
    a_line,
    drive,
    instance,
    report,
    require_kept,
    require_nothing_personal_in_logs,
    sent,
    staged,
)
from tests.waiting import LOCKED_OUT, eventually, until_locked_out

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(SMALL) as stage:
        yield stage


@asynccontextmanager
async def connections(dsn: str, count: int) -> AsyncIterator[list[asyncpg.Connection]]:
    """Connect so often as the owner; the server may be killed during the block."""
    opened = [await asyncpg.connect(dsn) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.terminate()


async def count_sessions(stage: Stage) -> int:
    async with owner(stage.dsn) as connection:
        return await connection.fetchval("select count(*) from session where operator_id = $1", OTHER_OPERATOR)


EVSE = f"{OTHER_OPERATOR}E0"
Asked = tuple[str, str, Mapping[str, Any]]


def single(request_id: str) -> Asked:
    variables = {"token": token(instance(STILL, 1)), "evseId": EVSE, "requestId": request_id}
    return "single", OTHER_OPERATOR, variables


def part(name: str, number: int, version: int) -> Asked:
    """Return one of two parts; each has one token."""
    items = [sent(OTHER_LISTS, number, version)]
    part = {"listId": name, "number": number, "last": number == 2}
    return "set", OTHER_LISTS, {"id": OTHER_LISTS, "items": items, "part": part}


def update(*versions: tuple[int, int]) -> Asked:
    return "update", OTHER_UPDATES, {"items": [sent(OTHER_UPDATES, *each) for each in versions]}


#: With the first token of its own. After the hub's death the server goes on with what it began, until it notices.
VICTIMS = pytest.mark.parametrize(("victim", "number"), [("hub", 10), ("database", 20)])
#: Whether requests wait for those that the dead hub sent.
WAITING_AFTER = f"select ({LOCKED_OUT} and backend_start > $1) >= 3"
LOCK_EVSE = f"select from evse_status where evse_id = '{EVSE}' for update"


@VICTIMS
async def test_does_once_what_was_killed_in_the_middle(stage: Stage, victim: str, number: int):
    """Each request waits for a row that is locked, within its transaction."""
    async with a_line(stage) as line, connections(stage.dsn, 2) as (holder, watcher):
        for each in (part(f"before {victim}", 1, 1), part(f"before {victim}", 2, 1), part(victim, 1, 1)):
            await line.send(*each)
        await line.send(*update((number, 1)))
        begun, _ = await line.send(*single(f"before {victim}"))
        asked: list[Asked] = [
            single(victim),
            ("end", OTHER_OPERATOR, {"id": begun["session"]["id"]}),
            update((number, 2), (number + 1, 1)),
            part(victim, 2, 2),
        ]
        before = await count_sessions(stage)
        await holder.execute("begin")
        await holder.execute(LOCK_EVSE)
        locked = [instance(OTHER_UPDATES, number), instance(OTHER_LISTS, 2)]
        await holder.execute("select from authorisation where instance = any($1) for update", locked)
        sending = [asyncio.create_task(line.send_once(*each)) for each in asked]
        await until_locked_out(watcher, len(asked))
        stage.kill(victim, random.Random(1))
        assert await asyncio.gather(*sending) == [None] * len(asked)
        await stage.bring_back(victim)
        assert await count_sessions(stage) == before
        back_at = utc_now()
        sending = [asyncio.create_task(line.send(*each)) for each in asked]
        if victim == "hub":
            await eventually(lambda: watcher.fetchval(WAITING_AFTER, back_at))
        holder.terminate()
        answers = [answer for answer, _ in await asyncio.gather(*sending)]
        assert answers[0]["result"]["code"] == "OK"
        assert answers[1]["end"] == "AUTHORISED_STOP"
        assert answers[2] == report({number: 1}, {number: 2, number + 1: 1})
        assert answers[3] == report({1: 1, 2: 1}, {1: 1, 2: 2})
        assert await count_sessions(stage) == before + 1
        assert await line.send(*asked[0]) == (answers[0], True)
        assert await line.send(*asked[3]) == (answers[3], True)


LOCKED = "select exists (select from pg_locks where relation = 'authorisation_answer'::regclass and {condition})"
WRITTEN = LOCKED.format(condition="granted and mode = 'RowExclusiveLock'")
WAITED_FOR = LOCKED.format(condition="not granted")


@VICTIMS
async def test_answers_as_before_what_was_committed_when_it_was_killed(stage: Stage, victim: str, number: int):
    """Only the answers lack: one is read after the commit, the other waits until staged rows are deleted."""
    name = f"committed {victim}"
    asked = single(name), part(name, 2, 2)
    async with a_line(stage) as line, connections(stage.dsn, 4) as (evse, rows, tables, watcher):
        for each in (part(f"before {name}", 1, 1), part(f"before {name}", 2, 1), part(name, 1, 2)):
            await line.send(*each)
        before = await count_sessions(stage)
        for each in (evse, rows, tables):
            await each.execute("begin")
        await evse.execute(LOCK_EVSE)
        await rows.execute("select from list_part where staged for share")
        sending = [asyncio.create_task(line.send_once(*each)) for each in asked]
        await eventually(lambda: watcher.fetchval(WRITTEN))
        locking = asyncio.create_task(tables.execute("lock table authorisation_answer in access exclusive mode"))
        await eventually(lambda: watcher.fetchval(WAITED_FOR))
        evse.terminate()
        await locking
        await eventually(lambda: watcher.fetchval(WAITED_FOR))
        await eventually(lambda: watcher.fetchval("select finished_at from upload_list where list_id = $1", name))
        session = "select session_id::text from authorisation_answer where request_id = $1"
        session_id = await tables.fetchval(session, name)
        assert session_id is not None
        stage.kill(victim, random.Random(1))
        assert await asyncio.gather(*sending) == [None, None]
    await stage.bring_back(victim)
    async with a_line(stage) as line:
        (answer, _), (said, _) = [await line.send(*each) for each in asked]
    assert answer["session"]["id"] == session_id
    assert said == report({1: 1, 2: 1}, {1: 2, 2: 2})
    assert await count_sessions(stage) == before + 1


async def test_loses_and_doubles_nothing_whatever_is_killed(stage: Stage, seed: int):
    async with a_line(stage) as line:
        clients = await drive(stage, line, SMALL, random.Random(seed))
        await require_kept(stage, clients)
        assert all(line.figures.kills[victim] for victim in SMALL.victims)
        assert all(line.figures.hit[kind] for kind in DOCUMENTS)
        require_nothing_personal_in_logs(stage)
        await would_notice_what_is_lost_and_doubled(stage, line, clients)


async def would_notice_what_is_lost_and_doubled(stage: Stage, line: Line, clients: Clients) -> None:
    """The broken twins: a token that is said to be acknowledged, and a request that is sent again by another id."""
    clients.updater.row[MOST_UPDATED] = 1
    with pytest.raises(Wrong, match="tokens: 1 lost"):
        await require_kept(stage, clients)
    del clients.updater.row[MOST_UPDATED]
    again = {"token": token(instance(STILL, 1)), "evseId": f"{OPERATOR}E0", "requestId": "another"}
    await line.send("single", OPERATOR, again)
    with pytest.raises(Wrong, match="answers: 0 lost, 1 too many"):
        await require_kept(stage, clients)
