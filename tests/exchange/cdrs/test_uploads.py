"""CDRs come once, however often they are sent; revisions replace them, waivers end them, and both sides read it all."""

import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from app.exchange.actor import CONSOLE, write_as
from app.exchange.authorisation.updates import remove_authorisations
from app.exchange.cdrs.confirmations import read_confirmation
from app.exchange.contracts import set_contract
from app.exchange.partners import revoke_role
from app.exchange.roles import RoleName
from app.exchange.workflow import find_tampered
from app.records.cdr import Cdr, read_cdr
from app.uploads.items import NotItsOperator
from app.vocabulary import Role
from tests.exchange.authorisation.world import owner_of
from tests.exchange.cdrs.world import (
    EVSE,
    NOON,
    SECOND_EVSE,
    SINCE,
    TOKENS,
    World,
    cdr,
    codes,
    costing,
    outcome,
    period,
)
from tests.exchange.world import held_back, look, operator, owner, utc_now

HOUR = timedelta(hours=1)


# ---------------------------------------------------------------- once and for ever


async def test_takes_a_cdr_once_whatever_happens_afterwards(world: World, database_url: str):
    assert outcome(await world.add(cdr())) == "accepted"
    for prepare in (world.decline, None, world.approve):
        if prepare is None:
            assert outcome(await world.add(cdr(status="REVISED", meterId="7"))) == "accepted"
        else:
            await prepare()
        report = await world.add(cdr())
        assert (outcome(report), report.refused) == ("unchanged", ())
    tokens = [{"instance": TOKENS[0], "type": "RFID"}]
    await remove_authorisations(world.database, tokens, owner_of(world.providers[0]), utc_now())
    async with owner(database_url) as connection:
        await connection.execute("delete from authorisation; delete from evse")
    assert outcome(await world.add(cdr())) == "unchanged"
    assert await world.history() == ["upload", "decline", "revise", "approve"]


SPELLINGS = (
    {"cdrId": "de8ac1"},
    {"evseId": "de*8ac*e1"},
    {"contractId": "DE-8AA-C00000001"},
    {"totalCost": "3.9"},
    {"totalCost": "3.900"},
    {"duration": None},
    {"status": "NEW"},
    {"periods": [period(NOON, NOON + HOUR, billingValue="10.00", taxRate=None)]},
)


async def test_knows_the_same_content_in_any_spelling(world: World):
    await world.add(cdr())
    for spelling in SPELLINGS:
        assert outcome(await world.add({**cdr(), **spelling})) == "unchanged", spelling


async def test_refuses_other_content_under_the_same_id(world: World):
    await world.add(cdr())
    others: list[dict[str, Any]] = [
        *(
            {"meterId": "7"},
            {"totalCost": None},
            {"hours": 1.5},
            {"connector": {"standard": "CHADEMO", "format": "CABLE"}},
        ),
    ]
    for other in others:
        [refusal] = (await world.add(cdr(**other))).refused
        assert (refusal.code, refusal.path) == ("NOT_POSSIBLE", "cdrs[0].status"), other
        assert refusal.message == "upload is not possible while accepted; possible: revise"


async def test_refuses_the_id_of_a_cdr_for_another_evse_or_provider(world: World):
    await world.add(cdr())
    await world.decline()
    for item in (
        cdr(evse=SECOND_EVSE),
        cdr(by=1),
        cdr(evse=SECOND_EVSE, status="REVISED"),
        cdr(by=1, status="REVISED"),
    ):
        assert codes(await world.add(item)) == ["CDR_ID_TAKEN"]


async def test_takes_ids_of_other_forms_once_per_evse(world: World):
    assert outcome(await world.add(cdr("77"))) == "accepted"
    assert outcome(await world.add(cdr("77", evse=SECOND_EVSE))) == "accepted"
    assert outcome(await world.add(cdr("77", evse=SECOND_EVSE))) == "unchanged"
    assert codes(await world.confirm([{"cdrId": "77"}])) == ["INVALID_ID"]
    report = await world.confirm([{"cdrId": "77", "evseId": EVSE}], [{"cdrId": "77", "evseId": SECOND_EVSE}])
    assert (report.accepted, report.refused) == (2, ())


async def test_counts_doubles_in_an_upload_once(world: World):
    report = await world.add(cdr(), cdr(), cdr(meterId="7"), cdr(status="REVISED"))
    assert (report.accepted, report.unchanged) == (1, 1)
    assert [(each.index, each.code) for each in report.refused] == [(2, "DUPLICATE"), (3, "DUPLICATE")]
    report = await world.add(*[cdr("DE8AC2", currency="XXX")] * 2)
    assert [(each.index, each.code) for each in report.refused] == [
        *((0, "CURRENCY_UNKNOWN"), (0, "TIME_OCCUPIED"), (1, "DUPLICATE")),
    ]


async def test_gives_fifty_uploads_at_once_one_row_and_equal_answers(world: World):
    reports = await asyncio.gather(*(world.add(cdr()) for _ in range(50)))
    assert Counter(map(outcome, reports)) == {"accepted": 1, "unchanged": 49}
    assert {(report.refused, report.warnings, report.removed) for report in reports} == {((), (), 0)}
    assert len(await world.rows()) == 1
    assert await world.history() == ["upload"]


async def test_lets_one_of_many_overlapping_uploads_win(world: World):
    items = [cdr(f"DE8AC{number}", NOON + timedelta(minutes=number)) for number in range(20)]
    reports = await asyncio.gather(*(world.add(item) for item in items))
    assert Counter(map(outcome, reports)) == {"accepted": 1, "refused": 19}
    assert {code for report in reports for code in codes(report)} == {"TIME_OCCUPIED"}


async def test_would_not_store_times_that_overlap(world: World, database_url: str):
    await world.add(cdr(), cdr("DE8AC2", NOON + HOUR))
    async with owner(database_url) as connection:
        with pytest.raises(asyncpg.ExclusionViolationError):
            await connection.execute("update cdr_occupancy set during = '[2026-03-01, 2026-03-02)'")


async def test_settles_confirmations_and_revisions_that_come_at_once(world: World):
    numbers = range(10)
    await world.add(*(cdr(f"DE8AC{n}", NOON + n * HOUR) for n in numbers))
    calls = [world.approve(f"DE8AC{n}") for n in numbers for _ in range(2)]
    calls += [world.decline(f"DE8AC{n}") for n in numbers]
    calls += [world.add(cdr(f"DE8AC{n}", NOON + n * HOUR, status="REVISED", meterId="7")) for n in numbers]
    await asyncio.gather(*calls)
    assert await find_tampered(world.database, CONSOLE) == ()
    rows = await world.rows()
    for n in numbers:
        history = await world.history(f"DE8AC{n}")
        assert history[0] == "upload"
        assert rows[f"DE8AC{n}"]["revision"] == 1 + history.count("revise")
        contents = await look(world.database, "select from cdr_content where cdr_key = $1", rows[f"DE8AC{n}"]["id"])
        assert len(contents) == 1 + history.count("revise")


# ---------------------------------------------------------------- revisions and waivers


async def test_keeps_all_revisions_and_warns_of_one_that_is_superseded(world: World):
    await world.add(costing("1.00"))
    await world.decline(reason="too much")
    assert (await world.rows())["DE8AC1"]["decline_reason"] == "too much"
    await world.add(costing("0.80", status="REVISED"))
    row = (await world.rows())["DE8AC1"]
    assert (row["status"], row["revision"], row["total"], row["decline_reason"]) == (
        "REVISED",
        2,
        Decimal("0.80"),
        None,
    )
    contents = await look(
        world.database, "select total_cost from cdr_content where cdr_key = $1 order by revision", row["id"]
    )
    assert [each["total_cost"] for each in contents] == [Decimal("1.00"), Decimal("0.80")]
    report = await world.add(costing("1.00"))
    assert (outcome(report), [each.code for each in report.warnings]) == ("unchanged", ["SUPERSEDED"])
    report = await world.add(costing("0.80", status="REVISED"))
    assert (outcome(report), report.warnings) == ("unchanged", ())


async def test_insists_once_on_what_was_declined(world: World):
    """A revision may say the same as what was uploaded as new; sent again it is the same revision."""
    await world.add(cdr())
    await world.decline()
    assert outcome(await world.add(cdr(status="REVISED"))) == "accepted"
    await world.decline()
    assert outcome(await world.add(cdr(status="REVISED"))) == "unchanged"


async def test_waives_only_what_was_declined(world: World):
    await world.add(cdr())
    assert codes(await world.add(cdr(status="REJECTED"))) == ["NOT_POSSIBLE"]
    await world.decline(reason="not mine")
    assert codes(await world.add(cdr(status="REJECTED", meterId="7"))) == ["CONTENT_DIFFERS"]
    assert outcome(await world.add(cdr(status="REJECTED"))) == "accepted"
    assert outcome(await world.add(cdr(status="REJECTED"))) == "unchanged"
    row = (await world.rows())["DE8AC1"]
    assert (row["status"], row["decline_reason"]) == ("REJECTED", "not mine")


async def test_checks_revisions_as_it_checks_new_cdrs(world: World):
    await world.add(cdr())
    assert codes(await world.add(cdr(status="REVISED", totalCost="4.00"))) == ["TOTAL_COST_DIFFERS"]
    assert (await world.rows())["DE8AC1"]["status"] == "ACCEPTED"


# ---------------------------------------------------------------- confirmations


async def test_confirms_in_part_and_twice_without_harm(world: World):
    await world.add(cdr(), cdr("DE8AC2", NOON + HOUR), cdr("DE8AC3", NOON + 2 * HOUR, by=1))
    named = [{"cdrId": "de8ac1"}, {"cdrId": "DE8AC3"}, {"cdrId": "DE8AC9"}, {"cdrId": "no id"}, {"cdrId": "DE8AC1"}]
    report = await world.confirm(named, [{"cdrId": "DE8AC2", "reason": "who?"}, {"cdrId": "DE8AC1"}])
    assert (report.accepted, report.unchanged) == (2, 1)
    assert [(each.path, each.code) for each in report.refused] == [
        ("approved[1]", "INVALID_ID"),
        ("declined[1]", "DUPLICATE"),
        ("approved[2]", "INVALID_ID"),
        ("approved[3].cdrId", "INVALID_ID"),
    ]
    theirs, none = report.refused[0].message, report.refused[2].message
    assert theirs.replace("DE8AC3", "?") == none.replace("DE8AC9", "?")
    again = await world.confirm([{"cdrId": "DE8AC1"}], [{"cdrId": "DE8AC2", "reason": "again"}])
    assert (again.unchanged, again.refused) == (2, ())
    [refusal] = (await world.approve("DE8AC2")).refused
    assert (refusal.code, refusal.message) == (
        "NOT_POSSIBLE",
        "approve is not possible while declined; possible: nothing",
    )


async def test_finds_what_an_equal_confirmation_at_the_same_time_did(world: World, database_url: str):
    await world.add(cdr())
    approved = "update cdr set status = 'APPROVED'"
    [report] = await held_back(database_url, approved, [world.approve()])
    assert (outcome(report), report.refused) == ("unchanged", ())


async def test_reads_confirmations_item_by_item():
    read = await read_confirmation(
        [{"cdrId": 7}, {}, {"cdrId": "A", "evseId": "x"}], [{"cdrId": "A", "reason": " "}, "A"]
    )
    assert read.items == []
    assert [(each.path, each.code) for each in read.refused] == [
        ("approved[0].cdrId", "WRONG_TYPE"),
        ("approved[1].cdrId", "REQUIRED"),
        ("approved[2].evseId", "INVALID_ID"),
        ("declined[0].reason", "EMPTY"),
        ("declined[1]", "WRONG_TYPE"),
    ]


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("path", "code", "wrong"),
    [
        (".start", "PATTERN", {"start": "2026-03-01T11:00:00Z"}),
        (".start", "PATTERN", {"start": "2026-02-30T11:00:00+01:00"}),
        (".start", "OUT_OF_RANGE", {"start": "1812-03-01T11:00:00+01:00"}),
        (".end", "PATTERN", {"end": "2026-03-01"}),
        (".totalCost", "WRONG_TYPE", {"totalCost": 3.9}),
        (".totalCost", "PATTERN", {"totalCost": "3,90"}),
        (".periods", "EMPTY", {"periods": []}),
        (".periods[0].billingValue", "PATTERN", {"periods": [period(NOON, NOON + HOUR, billingValue="-1")]}),
        (".periods[0].itemPrice", "WRONG_TYPE", {"periods": [period(NOON, NOON + HOUR, itemPrice=0.39)]}),
        (".periods", "TOO_MANY", {"periods": [period(NOON, NOON + HOUR)] * 1_001}),
        (".contractId", "INVALID_ID", {"contractId": "DE-8AA-001234567-1"}),
        (".evseId", "INVALID_ID", {"evseId": "E1"}),
        (".cdrId", "INVALID_ID", {"cdrId": "A-1"}),
        (".sessionId", "INVALID_ID", {"sessionId": "one"}),
        (".duration", "PATTERN", {"duration": "1:00:00"}),
        (".currency", "PATTERN", {"currency": "eur"}),
        (".meterId", "TOO_LONG", {"meterId": "1" * 21}),
        (".address.city", "REQUIRED", {"address": {"address": "Ring 1", "zipCode": "89073", "country": "DEU"}}),
        (".status", "UNKNOWN_VALUE", {"status": "APPROVED"}),
        (".price", "UNKNOWN_FIELD", {"price": 1}),
    ],
)
def test_says_what_has_the_wrong_shape(path: str, code: str, wrong: dict[str, Any]):
    found = read_cdr({**cdr(), **wrong}, 3)
    assert isinstance(found, list)
    assert (f"cdrs[3]{path}", code) in [(each.path, each.code) for each in found]


def test_reads_what_is_right():
    assert isinstance(read_cdr(cdr(), 0), Cdr)


# ---------------------------------------------------------------- sides, months, roles


async def test_shows_rows_to_their_two_sides_alone(world: World):
    await world.add(cdr())
    await world.add(costing("2.00", cdr_id="DE8AD1", evse="DE8ADE1", by=1), by=world.second_operator)
    for table, column in (("cdr", "id"), ("cdr_content", "cdr_key"), ("cdr_occupancy", "cdr_key")):
        for member, count in (
            *((world.operator, 1), (world.second_operator, 1)),
            *((each, 0 if table == "cdr_occupancy" else 1) for each in world.providers),
        ):
            caller = member.caller
            rows = await world.database.fetch_private(
                caller.partner_id, False, f"select {column} from {table}", role=caller.role_id
            )
            assert len(rows) == count, (table, member.party)
        assert await world.database.fetch(f"select from {table}") == []


async def test_lets_no_side_write_what_is_not_its_own(world: World):
    await world.add(cdr())
    changes = (
        "update cdr_content set total_cost = 0",
        "delete from cdr_content",
        "delete from cdr",
        "update workflow_history set reason = 'x'",
    )
    for change in changes:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await write_as(world.database, world.operator.caller, lambda c, change=change: c.execute(change))
    written = await write_as(
        world.database, world.second_operator.caller, lambda c: c.execute("update cdr set total = 0")
    )
    assert written == "UPDATE 0"


async def test_files_contents_by_month(world: World):
    april = NOON + timedelta(days=31)
    await world.add(cdr(), cdr("DE8AC2", april))
    tables = await look(world.database, "select tableoid::regclass::text as name from cdr_content order by name")
    assert [row["name"] for row in tables] == ["cdr_content_20260301", "cdr_content_20260401"]
    await world.decline("DE8AC2")
    moved = cdr("DE8AC2", NOON + HOUR, status="REVISED")
    assert outcome(await world.add(moved)) == "accepted"
    assert outcome(await world.add(cdr("DE8AC2", april))) == "unchanged"


async def test_keeps_contents_of_a_month_whose_partition_cannot_be_made(world: World, database_url: str):
    async with owner(database_url) as connection, connection.transaction():
        await connection.execute("lock cdr_content_default in access share mode")
        assert outcome(await world.add(cdr())) == "accepted"
    assert outcome(await world.add(cdr())) == "unchanged"
    assert outcome(await world.add(cdr("DE8AC2", NOON + HOUR))) == "accepted"
    tables = await look(world.database, "select tableoid::regclass::text as name from cdr_content")
    assert {row["name"] for row in tables} == {"cdr_content_default"}


async def test_refuses_uploads_of_a_role_that_does_not_hold_the_party_any_more(world: World):
    await world.add(cdr())
    party = world.operator.party
    await revoke_role(world.database, CONSOLE, party.partner_id, RoleName(Role.EVSE_OPERATOR, "DE8AC"), utc_now())
    with pytest.raises(NotItsOperator):
        await world.add(cdr("DE8AC2", NOON + HOUR))


async def test_keeps_ids_and_times_from_the_next_holder_of_a_party_id(world: World):
    await world.add(cdr())
    role = RoleName(Role.EVSE_OPERATOR, "DE8AC")
    await revoke_role(world.database, CONSOLE, world.operator.party.partner_id, role, utc_now())
    heir = await operator(world.database, "DE8AC", "Heir")
    await set_contract(world.database, CONSOLE, heir.party, world.providers[0].party, utc_now(), SINCE)
    assert codes(await world.add(cdr("DE8AC2"), by=heir)) == ["TIME_OCCUPIED"]
    assert codes(await world.add(cdr("DE8AC1", NOON + HOUR), by=heir)) == ["CDR_ID_TAKEN"]
    assert outcome(await world.add(cdr("DE8AC2", NOON + HOUR), by=heir)) == "accepted"


async def test_reconciles_by_period_and_counterparty(world: World):
    await world.add(
        costing("1.00"),
        costing("2.50", cdr_id="DE8AC2", start=NOON + HOUR, by=1),
        costing("7", cdr_id="DE8AC3", start=NOON + 2 * HOUR, currency="JPY"),
    )
    await world.decline("DE8AC3")
    caller = world.operator.caller
    assert await world.totals(caller) == {
        ("DE8AC", "DE8AA", "EUR", "ACCEPTED"): (1, Decimal("1.00")),
        ("DE8AC", "DE8AA", "JPY", "DECLINED"): (1, Decimal("7")),
        ("DE8AC", "FRA1B", "EUR", "ACCEPTED"): (1, Decimal("2.50")),
    }
    [row] = await world.reconcile(caller, counterparty="FRA1B")
    assert (row.provider_id, row.count) == ("FRA1B", 1)
    assert await world.reconcile(caller, counterparty="DE8AC") == []
    [row] = await world.reconcile(caller, begin=NOON + HOUR, end=NOON + 2 * HOUR)
    assert row.total == Decimal("2.50")
    assert await world.reconcile(world.second_operator.caller) == []
    assert len(await world.reconcile(CONSOLE, counterparty="DE8AC")) == 3
