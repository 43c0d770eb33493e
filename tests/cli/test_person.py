"""A driver's request, answered at the command line."""

import pytest

from app.exchange.authorisation.requests import request_authorisation
from app.ids import check_digit
from app.records.token import Token
from app.uploads.list_parts import Part
from app.vocabulary import TokenType
from tests.cli.running import answer, complaint
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import add_evse, look, utc_now

CONTRACT = "DE8AAC00000001"
DIGIT = check_digit(CONTRACT)
NOTHING = "The hub holds nothing about this contract.\n"


@pytest.fixture
async def world(database) -> World:
    world = await make_world(database)
    await add_evse(database, "DE8AC", 1)
    await world.update(item("04A1B2C3", printedNumber="N-7"), item("05", contract="DE8AAC00000002"))
    for evse_id in ("DE8ACE1", "DE8ADE1"):
        sent = Token(instance="04A1B2C3", type=TokenType.RFID)
        await request_authorisation(database, world.operator.caller, sent, evse_id, None, utc_now())
    return world


@pytest.mark.parametrize(
    "spelling", [CONTRACT, "de-8aa-c00000001", f"DE-8AA-C00000001-{DIGIT}", f"{CONTRACT}{DIGIT.lower()}"]
)
async def test_finds_what_is_held_in_any_spelling(world, ochub, spelling):
    found = answer(await ochub("person", "find", spelling, "--json"))
    assert found["contractId"] == "DE-8AA-C00000001"
    [listed] = found["tokens"]
    assert (listed["status"], listed["instance"], listed["printedNumber"]) == ("IN_FORCE", "04A1B2C3", "N-7")
    asked = [(each["operatorId"], each["evseId"], each["code"], each["instance"]) for each in found["requests"]]
    assert asked == [("DE8AC", "DE8ACE1", "OK", "04A1B2C3"), ("DE8AC", "DE8ADE1", "INVALID_ID", None)]
    [session] = found["sessions"]
    assert session["sessionId"] == found["requests"][0]["sessionId"]
    assert (session["operatorId"], session["evseId"], session["status"]) == ("DE8AC", "DE8ACE1", "ACTIVE")


async def test_finds_tokens_that_were_removed_or_are_being_uploaded(world, ochub):
    await world.set([item("06", expiresAt="2001-01-01T00:00:00Z")], Part("a", 1, False))
    await world.remove(token("04A1B2C3"))
    listed = answer(await ochub("person", "find", CONTRACT, "--json"))["tokens"]
    assert [(each["status"], each["instance"]) for each in listed] == [("REMOVED", "04A1B2C3"), ("UPLOADED", "06")]


async def test_prints_tables(world, ochub):
    lines = (await ochub("person", "find", CONTRACT)).stdout.splitlines()
    assert [line for line in lines if ": " in line] == ["Tokens: 1", "Requests: 2", "Sessions: 1", "Cdrs: 0"]
    assert [line.split()[:5] for line in lines if "N-7" in line] == [["IN_FORCE", "RFID", "PLAIN", "04A1B2C3", "N-7"]]
    assert (await ochub("person", "find", "DE8AAC00000009")).stdout == NOTHING


async def test_erases_once_and_again_without_harm(world, ochub):
    erased = answer(await ochub("person", "erase", CONTRACT, "--json"))
    assert {name: erased[name] for name in ("tokens", "requests", "sessions")} == {
        "tokens": 1,
        "requests": 2,
        "sessions": 1,
    }
    [logged] = await look(world.database, "select subject_id, details from audit_log where action = 'erasePerson'")
    assert logged["subject_id"] == erased["erasureId"]
    assert logged["details"] == {"tokens": 1, "requests": 2, "sessions": 1}
    assert (await ochub("person", "find", CONTRACT)).stdout == NOTHING
    assert (await ochub("person", "erase", CONTRACT)).stdout == NOTHING
    assert len(await look(world.database, "select from audit_log where action = 'erasePerson'")) == 1


async def test_says_what_stays_and_why(world, ochub):
    lines = (await ochub("person", "erase", CONTRACT)).stdout.splitlines()
    assert lines[0].startswith("Erased as ")
    assert lines[3] == "        1 sessions: without contract and token; accounting needs times and energy"


@pytest.mark.parametrize("command", ["find", "erase"])
@pytest.mark.parametrize("wrong", [f"{CONTRACT}{'0' if DIGIT != '0' else '1'}", "SECRET", "DE-8AA-SECRET_01"])
async def test_refuses_what_is_no_contract_id_without_quoting_it(ochub, command, wrong):
    error, hint = complaint(await ochub("person", command, wrong))
    assert error == "Error: CONTRACT_ID is not a Contract-ID, or its check digit is wrong"
    assert wrong not in error + hint
