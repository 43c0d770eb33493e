"""Tariffs are replaced whole, item by item; what is stored is what was sent, and hidden by the database itself."""

import asyncio
from decimal import Decimal

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE, read_as
from app.exchange.operators import set_operator_open
from app.exchange.partners import grant_role, revoke_role
from app.uploads.items import Report
from tests.exchange.tariffs.world import T1, World, individual, item, make_world
from tests.exchange.world import Member, owner, refused, utc_now


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


def counts(report: Report) -> tuple[int, int, int, list[tuple[str, str]]]:
    refusals = [(each.path, each.code) for each in report.refused]
    return report.accepted, report.unchanged, report.removed, refusals


async def test_accepts_what_is_right_and_refuses_the_rest_item_by_item(world: World):
    report = await world.update(
        item(),
        item(individual(), individual(), tariff_id="DE8ACT2"),
        item(tariff_id="DE8ADT1"),
        item(tariff_id="DE8ACT3"),
        item(individual("1"), tariff_id="de*8ac*t3"),
    )
    assert counts(report) == (
        *(2, 0, 0),
        [
            ("tariffs[1].individualTariffs", "EXACTLY_ONE"),
            ("tariffs[2].tariffId", "INVALID_ID"),
            ("tariffs[3].tariffId", "DUPLICATE"),
        ],
    )
    assert counts(await world.update(item(), item(individual("1"), tariff_id="DE8ACT3"))) == (0, 2, 0, [])
    kept = await read_as(
        world.database, world.operator.caller, "select operation, path, item_id from refusal order by id"
    )
    assert [(*each,) for each in kept][:1] == [("updateTariffs", "tariffs[1].individualTariffs", "DE8ACT2")]


async def test_replaces_a_tariff_whole(world: World, database_url: str):
    await world.update(item(individual("1"), individual("2", "DE8AA"), individual("3", "FRA1B", "NLTNM")))
    assert counts(await world.update(item(individual("1"), individual("4", "NLTNM")))) == (1, 0, 0, [])
    async with owner(database_url) as connection:
        stored = await connection.fetch("select number, elements ->> 0 as first from individual_tariff order by number")
        named = await connection.fetch("select party_id, number from tariff_recipient order by party_id")
    assert [(each["number"], '"itemPrice":"4"' in each["first"]) for each in stored] == [(0, False), (1, True)]
    assert [(*each,) for each in named] == [("DE8AA", 0), ("FRA1B", 0), ("NLTNM", 1)]


async def test_takes_equal_uploads_at_once_as_one(world: World):
    sent = item(individual("1"), individual("2", "DE8AA"))
    reports = await asyncio.gather(*(world.update(sent) for _ in range(8)))
    assert sorted((each.accepted, each.unchanged) for each in reports) == [(0, 1)] * 7 + [(1, 0)]
    rows = await world.database.fetch("select existed, recipients from change where kind = 'TARIFF'")
    assert [(*each,) for each in rows] == [(False, ["*"])]


async def test_removes_its_own_tariffs_and_says_the_same_of_all_others(world: World):
    await world.update(item(), item(tariff_id="DE8ACT2"))
    await world.update(item(tariff_id="DE8ADT1"), by=world.open)
    report = await world.remove("de*8ac*t1", T1, "DE8ADT1", "DE8ADT9", "nonsense", 7)
    assert counts(report)[:3] == (0, 1, 1)
    messages = [(each.path, each.code, each.message.replace("T1", "T9")) for each in report.refused]
    assert messages[0][2] == messages[1][2] == "DE*8AD*T9 is no tariff of DE*8AC"
    assert [(path, code) for path, code, _ in messages] == [(f"tariffIds[{n}]", "INVALID_ID") for n in (2, 3, 4, 5)]
    assert counts(await world.remove("DE8ACT2"))[2] == 1


async def test_writes_for_no_role_that_does_not_hold_the_operator(world: World):
    await revoke_role(world.database, CONSOLE, world.rival.caller.partner_id, world.rival.party.name, utc_now())
    for command in (world.update(item(tariff_id="DE8AET1"), by=world.rival), world.remove("DE8AET1", by=world.rival)):
        assert (await refused(command))[0] == "FORBIDDEN"


async def test_keeps_an_operator_with_tariffs_from_everybody_when_its_role_is_revoked(world: World):
    await world.update(item(individual(), individual("2", "DE8AA")))
    await set_operator_open(world.database, CONSOLE, "DE8AC", True, utc_now())
    await revoke_role(world.database, CONSOLE, world.operator.caller.partner_id, world.operator.party.name, utc_now())
    [row] = await world.database.fetch("select open, suspended from operator where party_id = 'DE8AC'")
    assert (*row,) == (False, True)
    await grant_role(world.database, CONSOLE, world.operator.caller.partner_id, world.operator.party.name, utc_now())
    assert await world.database.fetch("select from tariff where tariff_id = $1", T1)


DECIMALS = ("0.0001", "99999999999999.9999", "0.00000001", "-12.50", "0.10", "00.5", "12", "1.00000000")


async def test_stores_decimals_with_the_digits_that_were_sent(world: World, database_url: str):
    await world.update(*(item(individual(each), tariff_id=f"DE8ACT{n}") for n, each in enumerate(DECIMALS)))
    async with owner(database_url) as connection:
        rows = await connection.fetch(
            "select elements -> 0 ->> 'itemPrice', (elements -> 0 ->> 'itemPrice')::numeric from individual_tariff "
            "order by tariff_id"
        )
    assert [row[0] for row in rows] == [format(Decimal(each), "f") for each in DECIMALS]
    assert [row[1] for row in rows] == [Decimal(each) for each in DECIMALS]


# ---------------------------------------------------------------- row-level security, without any plan

SHOWN = "select number, elements -> 0 ->> 'itemPrice' from individual_tariff order by number"
NAMED = "select party_id from tariff_recipient order by party_id"


async def by_the_database_alone(world: World, member: Member | None) -> tuple[list[str], list[str]]:
    """Return the prices and the recipients that a role reads with plain SQL."""
    found = []
    for sql, column in ((SHOWN, 1), (NAMED, 0)):
        if member is None:
            rows = await world.database.fetch(sql)
        else:
            rows = await read_as(world.database, member.caller, sql)
        found.append([row[column] for row in rows])
    return found[0], found[1]


async def test_hides_individual_tariffs_and_recipients_in_the_database(world: World):
    await world.update(item(individual("1"), individual("2", "DE8AA", "NLTNM"), individual("3", "FRA1B")))
    seen = {
        "operator": (["1", "2", "3"], ["DE8AA", "FRA1B", "NLTNM"]),
        "first": (["1", "2"], ["DE8AA"]),
        "second": (["1", "3"], ["FRA1B"]),
        "map_": (["1", "2"], ["DE8AA"]),
    }
    for name in world.callers:
        member = None if name == "anonymous" else getattr(world, name)
        assert await by_the_database_alone(world, member) == seen.get(name, (["1"], [])), name


@pytest.mark.parametrize("table", ["individual_tariff", "tariff_recipient"])
async def test_would_notice_a_table_without_row_level_security(world: World, database_url: str, table: str):
    await world.update(item(individual("1"), individual("2", "DE8AA"), individual("3", "FRA1B")))
    async with owner(database_url) as connection:
        await connection.execute(f"alter table {table} disable row level security")
    assert await by_the_database_alone(world, world.first) != (["1", "2"], ["DE8AA"])


async def test_lets_no_role_write_tariffs_of_another_operator(world: World):
    await world.update(item(individual("1"), individual("2", "DE8AA")))
    for member in (world.open, world.rival, world.first, world.administrator):
        caller = member.caller
        for table in ("tariff", "individual_tariff", "tariff_recipient"):
            rows = await world.database.write(
                lambda connection, table=table: connection.fetch(f"delete from {table} returning tariff_id"),
                caller.partner_id,
                caller.is_administrator,
                caller.role_id,
            )
            assert rows == []
