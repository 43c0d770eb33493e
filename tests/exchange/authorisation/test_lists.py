"""Lists, updates and removals of authorisations."""

from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from typing import Any

import pytest

from app.db.engine import Database
from app.exchange.authorisation import lists
from app.exchange.authorisation.retention import forget_personal_data, log_expired
from app.settings import Settings
from app.uploads.list_parts import Part
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import look, utc_now

PLAIN = "04a1b2c3"
HASH_160 = sha1(b"04A1B2C3").hexdigest()
HASH_256 = sha256(b"04A1B2C3").hexdigest()


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


def as_160(instance: str = HASH_160) -> dict[str, Any]:
    return token(instance, representation="SHA_160")


def as_256(instance: str = HASH_256) -> dict[str, Any]:
    return token(instance.upper(), representation="SHA_256")


async def test_replace_the_whole_list(world: World):
    report = await world.set([item("01"), item("02"), item("03")])
    assert (report.accepted, report.unchanged, report.removed) == (3, 0, 0)
    later = utc_now() + timedelta(days=30)
    report = await world.set([item("01", expiresAt=later.isoformat()), item("02", expiresAt=later.isoformat())])
    assert (report.accepted, report.unchanged, report.removed) == (2, 0, 1)
    assert await world.seen(world.operator.caller) == [("01", "DE8AAC00000001"), ("02", "DE8AAC00000001")]


async def test_say_unchanged_for_the_same_list(world: World):
    items = [item("01"), item("02", printedNumber="1234")]
    await world.set(items)
    report = await world.set(items)
    assert (report.accepted, report.unchanged, report.removed) == (0, 2, 0)


async def test_come_in_parts_and_flip_at_the_last(world: World):
    await world.set([item("01")])
    await world.set([item("11")], Part("a", 1, False))
    assert [each for each, _ in await world.seen(world.operator.caller)] == ["01"]
    report = await world.set([item("12")], Part("a", 2, True), confirmed=True)
    assert (report.accepted, report.removed) == (2, 1)
    assert [each for each, _ in await world.seen(world.operator.caller)] == ["11", "12"]


async def test_renew_the_statistics_of_the_table_with_a_long_list(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "MANY", 2)
    rows = "select reltuples from pg_class where relname = 'authorisation'"
    await world.set([item("01")])
    assert [row["reltuples"] for row in await look(world.database, rows)] == [-1]
    await world.set([item("01"), item("02"), item("03")])
    assert [row["reltuples"] for row in await look(world.database, rows)] == [3]


async def test_keep_the_previous_record_of_a_refused_item(world: World):
    await world.set([item("01"), item("02")])
    report = await world.set([item("01", contract="not one"), item("02")])
    assert (report.unchanged, report.removed) == (1, 0)
    [refusal] = report.refused
    assert (refusal.path, refusal.code, refusal.id) == ("authorisations[0].contractId", "INVALID_ID", None)
    assert "not one" not in refusal.message
    assert [each for each, _ in await world.seen(world.operator.caller)] == ["01", "02"]


@pytest.mark.parametrize(
    ("changed", "path", "code"),
    [
        ({"token": {"instance": PLAIN, "type": "REMOTE"}}, "token.type", "UNKNOWN_VALUE"),
        ({"token": {"instance": "", "type": "RFID"}}, "token.instance", "EMPTY"),
        ({"token": {"instance": " 04", "type": "RFID"}}, "token.instance", "PATTERN"),
        ({"token": {"instance": "x" * 513, "type": "RFID"}}, "token.instance", "TOO_LONG"),
        ({"token": as_160("abc")}, "token.instance", "PATTERN"),
        ({"token": {"type": "RFID"}}, "token.instance", "REQUIRED"),
        ({"token": token(PLAIN, secretword=PLAIN)}, "token", "UNKNOWN_FIELD"),
        ({"contractId": "DE-8AA-C00000001-9"}, "contractId", "INVALID_ID"),
        ({"contractId": "FRA1BC00000001"}, "contractId", "INVALID_ID"),
        ({"expiresAt": PLAIN}, "expiresAt", "PATTERN"),
        ({"printedNumber": PLAIN * 40}, "printedNumber", "TOO_LONG"),
        ({"token": None}, "token", "REQUIRED"),
    ],
)
async def test_refuse_what_is_wrong_without_quoting_it(world: World, changed: dict[str, Any], path: str, code: str):
    report = await world.update(item("01"), {**item("02"), **changed})
    assert report.accepted == 1
    assert [(each.path, each.code) for each in report.refused] == [(f"authorisations[1].{path}", code)]
    stored = await look(world.database, "select path, item_id, message from refusal")
    shown = repr([*report.refused, *map(tuple, stored)]).lower()
    assert not any(secret in shown for secret in (PLAIN, "abc", "00000001", "secretword"))


async def test_take_a_contract_with_and_without_check_digit_for_one(world: World):
    sent = item("01", contract="de-8aa-001234567-0")
    await world.update(sent)
    report = await world.update({**sent, "contractId": "DE8AA001234567"})
    assert (report.accepted, report.unchanged) == (0, 1)


@pytest.mark.parametrize("named", [token(PLAIN), token(PLAIN.upper()), as_160(), as_256()])
async def test_remove_by_any_representation_of_a_plain_token(world: World, named: dict[str, Any]):
    await world.update(item(PLAIN), item("02"))
    report = await world.remove(named, token("03"))
    assert (report.removed, [each.path for each in report.refused]) == (1, ["tokens[1]"])
    assert [each for each, _ in await world.seen(world.operator.caller)] == ["02"]


@pytest.mark.parametrize(("listed", "named"), [(as_160(), as_256()), (as_256(), as_160())])
async def test_cannot_tell_that_two_kinds_of_hashes_are_one_token(
    world: World, listed: dict[str, Any], named: dict[str, Any]
):
    await world.update({**item(), "token": listed})
    assert (await world.remove(named)).removed == 0
    assert (await world.remove(token(PLAIN))).removed == 1


@pytest.mark.parametrize("before", [as_160(), as_256(), token(PLAIN.upper())])
async def test_replace_the_same_token_in_another_representation(world: World, before: dict[str, Any]):
    await world.update({**item(), "token": before})
    await world.update(item(PLAIN))
    assert await world.seen(world.operator.caller) == [(PLAIN, "DE8AAC00000001")]
    await world.update({**item(), "token": as_160()})
    assert await world.seen(world.operator.caller) == [(HASH_160, "DE8AAC00000001")]


async def test_refuse_a_hash_of_a_token_that_the_list_has_plain(world: World):
    await world.set([{**item(), "token": as_160()}], Part("a", 1, False))
    report = await world.set([item(PLAIN)], Part("a", 2, True))
    assert (report.accepted, report.refused_items) == (1, 1)
    assert await world.seen(world.operator.caller) == [(PLAIN, "DE8AAC00000001")]


@pytest.mark.parametrize(("before", "after"), [(as_160(), token(PLAIN)), (token(PLAIN), as_160())])
async def test_replace_a_token_in_a_list_whose_other_representation_was_refused(
    world: World, before: dict[str, Any], after: dict[str, Any]
):
    await world.set([{**item(), "token": before}])
    report = await world.set([{**item(), "token": after}, {**item(contract="none"), "token": before}], confirmed=True)
    assert (report.accepted, report.refused_items) == (1, 1)
    assert [each for each, _ in await world.seen(world.operator.caller)] == [after["instance"]]


async def test_count_the_last_of_several_items_for_one_token(world: World):
    report = await world.update(item(PLAIN), {**item(contract="DE8AAC00000002"), "token": as_160()}, item("02"))
    assert (report.accepted, [each.code for each in report.refused]) == (2, ["DUPLICATE"])
    assert await world.seen(world.operator.caller) == [("02", "DE8AAC00000001"), (HASH_160, "DE8AAC00000002")]


async def test_belong_to_their_provider_alone(world: World):
    await world.update(item(PLAIN))
    theirs = item(PLAIN, contract="FRA1BC00000009")
    await world.update(theirs, by=world.second)
    assert (await world.remove(token(PLAIN), by=world.second)).removed == 1
    assert await world.seen(world.provider.caller) == [(PLAIN, "DE8AAC00000001")]
    assert await world.seen(world.second.caller) == []
    assert await world.seen(world.stranger.caller) == []


async def test_forget_contract_and_number_of_a_removed_token_at_once_and_the_token_later(world: World):
    await world.update(item(PLAIN, printedNumber="1234"))
    await world.remove(token(PLAIN))
    rows = "select contract_id, printed_number from authorisation"
    assert [tuple(row) for row in await look(world.database, rows)] == [(None, None)]
    forget = forget_personal_data(Settings())
    await forget(world.database, utc_now() + timedelta(days=29))
    assert len(await look(world.database, rows)) == 1
    await forget(world.database, utc_now() + timedelta(days=31))
    assert await look(world.database, rows) == []


async def test_come_back_after_a_removal(world: World):
    sent = item(PLAIN)
    await world.update(sent)
    await world.remove(token(PLAIN))
    assert (await world.update(sent)).accepted == 1
    assert await world.seen(world.operator.caller) == [(PLAIN, "DE8AAC00000001")]


async def test_are_logged_once_as_they_expire(world: World):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    await world.update(item("01"), item("02", expiresAt=past.isoformat()))
    assert [each for each, _ in await world.seen(world.operator.caller)] == ["01"]
    for _ in range(2):
        await log_expired(world.database, utc_now() + timedelta(days=2))
    rows = await world.database.fetch("select existed from change where kind = 'AUTHORISATION' order by id")
    assert [row["existed"] for row in rows] == [False, True]


async def test_name_nothing_personal_in_the_log(world: World):
    await world.update(item(PLAIN, printedNumber="1234"))
    [row] = await world.database.fetch("select change::text from change where kind = 'AUTHORISATION'")
    assert not any(secret in row["change"].upper() for secret in (PLAIN.upper(), "DE8AAC", HASH_256.upper()))
