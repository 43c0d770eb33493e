"""What the hub held about a driver is nowhere in the database, once it was erased."""

import asyncio
from collections.abc import Iterable
from hashlib import sha1, sha256
from typing import Any

import pytest

from app.db.engine import Database
from app.errors import Forbidden
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.erasure import Erasure, erase_personal_data
from app.exchange.authorisation.requests import request_authorisation, start_session
from app.exchange.workflow import find_tampered
from app.ids import check_digit
from app.records.token import Token
from app.uploads.list_parts import Part
from app.vocabulary import TokenRepresentation, TokenType
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import add_evse, look, owner, refused, utc_now
from tests.waiting import until_locked_out

CONTRACT, OTHER = "DE8AAC0A1B2C3D", "DE8AAC0FFFFFFF"
#: In force, listed hashed, expired, removed after it was granted, unknown to the list, staged, staged as hash.
PLAIN, HASHED, EXPIRED, REMOVED, UNKNOWN, STAGED, REFUSED = (f"04A1B2C3D4E5F{n}" for n in range(7))
NUMBER = "Printed 815"
THEIRS = "0499999999999F"


@pytest.fixture
async def world(database: Database) -> World:
    world = await make_world(database)
    await add_evse(database, "DE8AC", 1)
    return world


def hashes(instance: str) -> tuple[str, str]:
    return sha1(instance.encode()).hexdigest(), sha256(instance.encode()).hexdigest()


def rfid(instance: str) -> Token:
    return Token(instance=instance, type=TokenType.RFID)


async def ask(world: World, of: Token, evse_id: str | None = None, request_id: str | None = None) -> Any:
    now = utc_now()
    answer_id = await request_authorisation(world.database, world.operator.caller, of, evse_id, request_id, now)
    [row] = await look(world.database, "select * from authorisation_answer where id = $1", answer_id)
    return row


async def start(world: World, of: Token, contract_id: str) -> None:
    now = utc_now()
    await start_session(world.database, world.operator.caller, of, contract_id, "DE8ACE1", now, None, now)


async def erase(world: World, contract_id: str = CONTRACT) -> Erasure:
    return await erase_personal_data(world.database, CONSOLE, contract_id, utc_now())


async def fill(world: World) -> None:
    """Bring a driver's data into every table that can hold them, and those of another one."""
    hashed = token(hashes(HASHED)[0], representation="SHA_160")
    listed = [
        item(PLAIN, CONTRACT, printedNumber=NUMBER),
        {**item("", CONTRACT), "token": hashed},
        item(EXPIRED, CONTRACT, expiresAt="2020-01-01T00:00:00Z"),
        item(REMOVED, CONTRACT),
        item(THEIRS, OTHER),
    ]
    await world.set([*listed, item(REFUSED, CONTRACT)])
    await world.set([*listed, item(REFUSED, "not one")], Part("finished", 1, True))
    await world.set([item(STAGED, CONTRACT, printedNumber=NUMBER), item(PLAIN, "not one")], Part("open", 1, False))
    for instance in (PLAIN, HASHED, EXPIRED, REMOVED, THEIRS):
        await ask(world, rfid(instance.lower()), "DE8ACE1", f"request {instance[-1]}")
    await ask(world, rfid(PLAIN), "DE8ADE1")
    await start(world, rfid(UNKNOWN), CONTRACT)
    as_256 = Token(instance=hashes(PLAIN)[1], type=TokenType.RFID, representation=TokenRepresentation.SHA_256)
    await start(world, as_256, CONTRACT)
    await world.remove(token(REMOVED))


async def dump(database_url: str) -> str:
    """Return all rows of all tables as text, in lower case."""
    async with owner(database_url) as connection:
        tables = await connection.fetch("select tablename as name from pg_tables where schemaname = 'public'")
        rows = [await connection.fetch(f"select t::text from {each['name']} as t") for each in tables]
    return "\n".join(row["t"] for some in rows for row in some).lower()


def personal() -> list[str]:
    """Return all that names the driver."""
    instances = [PLAIN, HASHED, EXPIRED, REMOVED, UNKNOWN, STAGED, REFUSED]
    contract = [CONTRACT, f"{CONTRACT}{check_digit(CONTRACT)}", "DE-8AA-C0A1B2C3D"]
    return [*contract, NUMBER, *instances, *(each for instance in instances for each in hashes(instance))]


def found(needles: Iterable[str], text: str) -> list[str]:
    return [each for each in needles if each.lower() in text]


HASHES_OF_CONTENT = """
select encode(content_hash, 'hex') as hash from authorisation where contract_id = $1
union select encode(content_hash, 'hex') from authorisation_answer where session_id in (
    select id from session where contract_id = $1
)
"""


async def test_leaves_nothing_personal_in_any_table(world: World, database_url: str):
    await fill(world)
    rows = await look(world.database, HASHES_OF_CONTENT, CONTRACT)
    needles = [*personal(), *(row["hash"] for row in rows)]
    assert set(found(personal(), await dump(database_url))) >= {CONTRACT, NUMBER, PLAIN, STAGED, *hashes(PLAIN)}
    erasure = await erase(world)
    assert (erasure.tokens, erasure.requests, erasure.sessions) == (6, 7, 5)
    after = await dump(database_url)
    assert found(needles, after) == []
    assert found([THEIRS, *hashes(THEIRS), OTHER], after) == [THEIRS, *hashes(THEIRS), OTHER]
    assert await find_tampered(world.database, CONSOLE) == ()


async def test_does_nothing_the_second_time(world: World, database_url: str):
    await fill(world)
    await erase(world)
    before = await dump(database_url)
    assert await erase(world) == Erasure(None, 0, 0, 0, 0)
    assert await dump(database_url) == before


async def test_keeps_of_sessions_what_accounting_needs(world: World):
    await fill(world)
    kept = "select id, operator_id, provider_id, evse_id, status, authorised_at, warnings from session order by id"
    before = await look(world.database, kept)
    await erase(world)
    assert await look(world.database, kept) == before
    rows = await look(world.database, "select contract_id, instance from session where contract_id is not null")
    assert [tuple(row) for row in rows] == [(OTHER, THEIRS.lower())]


async def test_grants_an_erased_token_no_more(world: World):
    await world.update(item(PLAIN, CONTRACT), item(THEIRS, OTHER))
    await ask(world, rfid(PLAIN), request_id="a")
    await erase(world)
    assert (await ask(world, rfid(PLAIN)))["code"] == "ROAMING"
    assert (await ask(world, rfid(THEIRS)))["code"] == "OK"
    code, _ = await refused(ask(world, rfid(PLAIN), request_id="a"))
    assert code == "REQUEST_ID_REUSED"
    assert len(await look(world.database, "select from session")) == 2


async def test_takes_the_contract_out_of_a_list_on_its_way(world: World):
    await world.set([item(PLAIN, CONTRACT), item(THEIRS, OTHER)])
    part = [item(STAGED, CONTRACT), item(PLAIN, "not one"), item(THEIRS, "not one")]
    await world.set(part, Part("a", 1, False))
    await start(world, rfid(THEIRS), CONTRACT)
    await erase(world)
    await world.set(part, Part("a", 1, False))
    report = await world.set([item("0477777777777F", OTHER)], Part("a", 2, True))
    assert (report.accepted, report.removed) == (1, 0)
    assert await world.seen(world.operator.caller) == [("0477777777777F", OTHER), (THEIRS, OTHER)]


async def test_brings_back_what_its_provider_publishes_again(world: World):
    await world.update(item(PLAIN, CONTRACT))
    await erase(world)
    assert (await world.update(item(PLAIN, CONTRACT))).accepted == 1
    assert (await erase(world)).tokens == 1


async def test_leaves_the_answers_of_a_former_holder_of_the_card(world: World):
    await world.update(item(PLAIN, OTHER))
    granted = await ask(world, rfid(PLAIN))
    await world.update(item(PLAIN, CONTRACT))
    assert (await erase(world)).requests == 0
    [kept] = await look(world.database, "select * from authorisation_answer where id = $1", granted["id"])
    assert kept == granted


async def test_waits_for_a_request_that_has_found_the_token(world: World, database_url: str):
    await world.update(item(PLAIN, CONTRACT))
    async with owner(database_url) as holder, owner(database_url) as watcher:
        async with holder.transaction():
            await holder.execute("select from evse_status where evse_id = 'DE8ACE1' for update")
            asking = asyncio.create_task(ask(world, rfid(PLAIN), "DE8ACE1"))
            await until_locked_out(watcher, 1)
            erasing = asyncio.create_task(erase(world))
            await until_locked_out(watcher, 2)
        await asking
        erasure = await erasing
    assert (erasure.tokens, erasure.requests, erasure.sessions) == (1, 1, 1)
    assert found(personal(), await dump(database_url)) == []


async def test_is_for_the_administrator_alone(world: World):
    with pytest.raises(Forbidden, match="erase person is for the administrator"):
        await erase_personal_data(world.database, world.provider.caller, CONTRACT, utc_now())
