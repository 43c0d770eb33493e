"""Single requests: who is answered what, once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.requests import request_authorisation, start_session
from app.exchange.contracts import end_contract, suspend_contract
from app.exchange.partners import suspend_partner
from app.exchange.workflow import find_tampered
from app.records.token import Token
from app.vocabulary import TokenRepresentation, TokenType
from tests.exchange.authorisation.test_lists import HASH_160, HASH_256, PLAIN
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import Member, add_evse, look, refused, utc_now

TOKEN = Token(instance=PLAIN.upper(), type=TokenType.RFID)


@pytest.fixture
async def world(database: Database) -> World:
    world = await make_world(database)
    await add_evse(database, "DE8AC", 1)
    await add_evse(database, "DE8AD", 1)
    await world.update(item(PLAIN))
    return world


async def ask(
    world: World,
    of: Token = TOKEN,
    evse_id: str | None = "DE8ACE1",
    request_id: str | None = None,
    by: Member | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    caller = (by or world.operator).caller
    answer_id = await request_authorisation(world.database, caller, of, evse_id, request_id, now or utc_now())
    return await answer(world, answer_id)


async def answer(world: World, answer_id: UUID) -> dict[str, Any]:
    [row] = await look(world.database, "select * from authorisation_answer where id = $1", answer_id)
    return dict(row)


async def start(world: World, contract_id: str = "DE8AAC00000001", at: datetime | None = None, **more: Any) -> Any:
    now = utc_now()
    arguments = (more.get("token", TOKEN), contract_id, more.get("evse_id", "DE8ACE1"), at or now)
    caller = more.get("by", world.operator).caller
    answer_id = await start_session(world.database, caller, *arguments, more.get("request_id"), now)
    found = await answer(world, answer_id)
    rows = await look(world.database, "select * from session where id = $1", found["session_id"])
    return found, dict(rows[0]) if rows else None


@pytest.mark.parametrize(
    "asked",
    [
        TOKEN,
        Token(instance=HASH_160.upper(), type=TokenType.RFID, representation=TokenRepresentation.SHA_160),
        Token(instance=HASH_256, type=TokenType.RFID, representation=TokenRepresentation.SHA_256),
    ],
)
async def test_grant_a_token_in_any_representation(world: World, asked: Token):
    found = await ask(world, asked)
    assert (found["code"], found["contract_id"], found["instance"]) == ("OK", "DE8AAC00000001", PLAIN)
    [session] = await look(world.database, "select * from session")
    assert (session["id"], session["status"], session["evse_id"]) == (found["session_id"], "ACTIVE", "DE8ACE1")
    assert (session["operator_id"], session["provider_id"], session["contract_id"]) == (
        "DE8AC",
        "DE8AA",
        "DE8AAC00000001",
    )
    assert session["instance"] == asked.instance


@pytest.mark.parametrize(("listed", "code"), [("SHA_160", "OK"), ("SHA_256", "OK")])
async def test_grant_a_plain_token_that_is_listed_hashed(world: World, listed: str, code: str):
    instance = {"SHA_160": HASH_160, "SHA_256": HASH_256}[listed]
    await world.remove(token(PLAIN))
    await world.update({**item(), "token": token(instance, representation=listed)})
    assert (await ask(world))["code"] == code


async def test_say_which_did_not_fit(world: World):
    later = utc_now() + timedelta(days=2)
    assert (await ask(world, replace_instance("FF")))["code"] == "ROAMING"
    assert (await ask(world, replace_type(TokenType.ISO_15118)))["code"] == "ROAMING"
    assert (await ask(world, now=later))["code"] == "INVALID_ID"
    assert (await ask(world, evse_id="DE8ADE1"))["code"] == "INVALID_ID"
    assert (await ask(world, evse_id=None))["code"] == "OK"
    assert [row["status"] for row in await look(world.database, "select status from session")] == ["ACTIVE"]


def replace_instance(instance: str) -> Token:
    return Token(instance=instance, type=TokenType.RFID)


def replace_type(type_: TokenType) -> Token:
    return Token(instance=PLAIN, type=type_)


async def test_answer_alike_about_a_token_of_others_and_about_none(world: World):
    await add_evse(world.database, "DE8AD", 2)
    theirs = await ask(world, evse_id="DE8ADE2", by=world.stranger)
    none = await ask(world, replace_instance("FF"), evse_id="DE8ADE2", by=world.stranger)
    ids = {"id", "at", "content_hash"}
    assert {k: v for k, v in theirs.items() if k not in ids} == {k: v for k, v in none.items() if k not in ids}
    rows = await look(world.database, "select provider_role_id from authorisation_request")
    assert [row["provider_role_id"] for row in rows] == [None, None]


async def test_take_the_provider_that_said_so_last(world: World):
    await world.update(item(PLAIN, contract="FRA1BC00000009"), by=world.second)
    assert (await ask(world))["contract_id"] == "FRA1BC00000009"
    await world.update(item(PLAIN, printedNumber="1"))
    assert (await ask(world))["contract_id"] == "DE8AAC00000001"
    await end(world, world.provider)
    assert (await ask(world))["contract_id"] == "FRA1BC00000009"


async def contract_of(world: World, member: Member) -> UUID:
    rows = await look(
        world.database, "select id from contract where $1 in (first_role_id, second_role_id)", member.caller.role_id
    )
    return rows[0]["id"]


async def end(world: World, member: Member) -> None:
    await end_contract(world.database, CONSOLE, await contract_of(world, member), utc_now())


async def test_answer_by_the_contracts_in_force(world: World):
    await suspend_contract(world.database, CONSOLE, await contract_of(world, world.provider), utc_now())
    assert (await ask(world))["code"] == "ROAMING"


async def test_answer_a_repeated_request_as_before(world: World):
    first = await ask(world, request_id="a")
    await world.remove(token(PLAIN))
    assert await ask(world, request_id="a") == first
    assert (await ask(world, request_id="b"))["code"] == "ROAMING"
    assert len(await look(world.database, "select from session")) == 1
    code, _ = await refused(ask(world, request_id="a", evse_id=None))
    assert code == "REQUEST_ID_REUSED"


async def test_keep_request_ids_of_operators_apart(world: World):
    await ask(world, request_id="a")
    assert (await ask(world, replace_instance("FF"), None, "a", by=world.stranger))["code"] == "ROAMING"


async def test_answer_requests_at_the_same_instant_once(world: World):
    answers = await asyncio.gather(*(ask(world, request_id="a") for _ in range(8)))
    assert all(each == answers[0] for each in answers)
    assert len(await look(world.database, "select from session")) == 1


async def test_write_a_chained_history(world: World):
    await asyncio.gather(*(ask(world, evse_id=None) for _ in range(8)))
    assert await find_tampered(world.database, CONSOLE) == ()
    rows = await look(world.database, "select command from workflow_history where subject = 'session'")
    assert [row["command"] for row in rows] == ["begin"] * 8


async def test_show_the_provider_what_was_asked_about_its_tokens(world: World):
    await ask(world)
    await ask(world, replace_instance("FF"))
    rows = await world.database.fetch_private(
        world.provider.caller.partner_id,
        False,
        "select operator_id, code from authorisation_request",
        role=world.provider.caller.role_id,
    )
    assert [tuple(row) for row in rows] == [("DE8AC", "OK")]


async def test_store_a_session_that_an_operator_authorised_itself(world: World):
    found, session = await start(world)
    assert (found["code"], session["warnings"]) == ("OK", [])


async def test_store_a_session_that_was_not_authorised_with_warnings(world: World):
    long_ago = utc_now() - timedelta(days=1)
    _, session = await start(world, at=long_ago)
    assert session["warnings"] == ["NO_CONTRACT_THEN"]
    _, session = await start(world, token=replace_instance("FF"))
    assert session["warnings"] == ["TOKEN_NOT_VALID"]
    await end(world, world.provider)
    _, session = await start(world)
    assert session["warnings"] == ["NO_CONTRACT_THEN", "TOKEN_NOT_VALID"]


async def test_store_a_session_with_a_suspended_provider_with_warnings(world: World):
    before = utc_now()
    await suspend_partner(world.database, CONSOLE, world.provider.caller.partner_id, utc_now())
    _, session = await start(world, at=before)
    assert session["warnings"] == ["TOKEN_NOT_VALID"]
    _, session = await start(world)
    assert session["warnings"] == ["NO_CONTRACT_THEN", "TOKEN_NOT_VALID"]


async def test_store_nothing_without_a_contract(world: World):
    found, session = await start(world, by=world.stranger, evse_id="DE8ADE1")
    assert (found["code"], session) == ("ROAMING", None)
    unknown, _ = await start(world, "XX999C00000001", by=world.stranger, evse_id="DE8ADE1")
    assert (unknown["code"], unknown["description"]) == (found["code"], found["description"])
    found, session = await start(world, evse_id="DE8ADE1")
    assert (found["code"], session) == ("INVALID_ID", None)


@pytest.mark.parametrize("of", [Token(instance=" ", type=TokenType.RFID), replace_type(TokenType.REMOTE)])
async def test_refuse_what_is_no_token(world: World, of: Token):
    code, message = await refused(ask(world, of))
    assert code == "BAD_INPUT"
    assert PLAIN not in message


async def test_quote_no_token_where_one_is_refused(world: World):
    bad = Token(instance="secret", type=TokenType.RFID, representation=TokenRepresentation.SHA_256)
    _, message = await refused(ask(world, bad))
    assert "secret" not in message
