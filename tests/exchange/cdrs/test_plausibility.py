"""What is implausible is refused, each thing with its code, all of them at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha1
from typing import Any
from uuid import UUID, uuid4

from app.exchange.actor import CONSOLE
from app.exchange.authorisation.requests import start_session
from app.exchange.authorisation.updates import remove_authorisations
from app.exchange.cdrs.plausibility import CHECKS
from app.exchange.contracts import end_contract, set_contract, suspend_contract
from app.exchange.sessions.commands import Known, end_session, update_session
from app.exchange.tariffs.updates import update_tariffs
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.records.token import Token
from app.uploads.checks import MEANINGS
from app.vocabulary import SessionEnd, TokenType
from tests.exchange.authorisation.world import owner_of
from tests.exchange.cdrs.world import (
    CONTRACTS,
    EVSE,
    FOREIGN_EVSE,
    NOON,
    POWER_KW,
    SECOND_EVSE,
    SINCE,
    TOKENS,
    World,
    cdr,
    codes,
    outcome,
    period,
)
from tests.exchange.world import look, owner, utc_now

HOUR = timedelta(hours=1)
END = NOON + HOUR


def one(**more: Any) -> list[dict[str, Any]]:
    return [period(NOON, END, **more)]


def costing(cost: str, total: str, *, value: str = "10", price: str = "0.39", currency: str = "EUR") -> dict[str, Any]:
    given = one(billingValue=value, itemPrice=price, periodCost=cost)
    return cdr(periods=given, totalCost=total, currency=currency)


async def test_takes_what_is_plausible(world: World):
    assert outcome(await world.add(cdr())) == "accepted"


IMPLAUSIBLE = {
    "EVSE_NOT_YOURS": [cdr(evse=FOREIGN_EVSE), cdr(evse="DE8ACE9")],
    "NO_CONTRACT": [
        cdr(contractId="DEXYZC00000001"),
        cdr(start=SINCE - timedelta(minutes=30)),
    ],
    "TOKEN_UNKNOWN": [
        cdr(token={"instance": "FFFF", "type": "RFID"}),
        cdr(token={"instance": TOKENS[1], "type": "RFID"}),
        cdr(token={"instance": "D1", "type": "REMOTE"}),
    ],
    "END_NOT_AFTER_START": [cdr(hours=0, periods=[period(NOON, NOON)]), cdr(hours=-1, periods=[period(NOON, NOON)])],
    "IN_FUTURE": [cdr(start=utc_now().replace(microsecond=0) - HOUR / 2)],
    "DURATION_DIFFERS": [cdr(duration="000:58:59"), cdr(duration="001:01:00"), cdr(duration="100:00:00")],
    "PERIOD_OUTSIDE": [
        cdr(periods=[period(NOON - timedelta(seconds=1), END)]),
        cdr(periods=[period(NOON, END + timedelta(seconds=1))]),
        cdr(periods=[period(END, NOON)]),
    ],
    "CURRENCY_UNKNOWN": [cdr(currency="XXX")],
    "PERIOD_COST_DIFFERS": [
        costing("3.906", "3.91"),
        costing("3.8949", "3.89"),
        costing("0.01", "0.01", price="0"),
        costing("391", "391", price="39", currency="JPY"),
        costing("3.9006", "3.9", currency="KWD"),
    ],
    "TOTAL_COST_DIFFERS": [costing("3.90", "3.91"), costing("3.90", "3.89")],
    "TOO_MANY_DECIMALS": [
        costing("3.90", "3.901"),
        costing("390", "390.1", price="39", currency="JPY"),
        costing("3.9", "3.9001", currency="KWD"),
    ],
    "TOO_MUCH_ENERGY": [costing("9.44", "9.44", value="24.21")],
    "SESSION_UNKNOWN": [cdr(sessionId=str(uuid4()))],
}


async def test_refuses_what_is_implausible(world: World):
    for code, items in IMPLAUSIBLE.items():
        for place, item in enumerate(items):
            report = await world.add(item)
            assert code in codes(report), (code, place)
            besides = {"END_NOT_AFTER_START": {"PERIOD_OUTSIDE"}, "PERIOD_COST_DIFFERS": {"TOTAL_COST_DIFFERS"}}
            assert set(codes(report)) - {code} <= besides.get(code, set()), (code, place)
    assert await world.rows() == {}


CASES = {
    "half a minor unit more": costing("3.905", "3.91"),
    "half a minor unit less": costing("3.895", "3.89"),
    "yen": costing("390.5", "391", price="39", currency="JPY"),
    "dinars": costing("3.9005", "3.901", currency="KWD"),
    "zeros that mean nothing": costing("3.90", "3.9000"),
    "no costs at all": cdr(periods=one(periodCost=None), totalCost=None),
    "a duration to the minute": cdr(duration="001:00:59"),
    "energy at the limit": costing("9.44", "9.44", value="24.20"),
    "the same energy twice": cdr(
        periods=[
            *one(billingValue="20", periodCost="7.80"),
            *one(billingValue="20", itemPrice="0.01", periodCost="0.20"),
        ],
        totalCost="8.00",
    ),
    "half a minor unit per period": cdr(
        periods=[period(NOON, END, billingItem="SERVICE_FEE", billingValue="1", itemPrice="1.00", periodCost="1.00")]
        * 3,
        totalCost="3.01",
    ),
    "a token by its hash": cdr(
        token={"instance": sha1(TOKENS[0].encode()).hexdigest(), "type": "RFID", "representation": "SHA_160"}
    ),
    "a contract id in another spelling": cdr(contractId="de-8aa-c00000001"),
    "a negative price": costing("-3.90", "-3.90", price="-0.39"),
}


#: Each with an id of its own.
PLAUSIBLE = {name: {**item, "cdrId": f"DE8ACP{n}"} for n, (name, item) in enumerate(CASES.items())}


async def test_takes_what_is_just_plausible(world: World):
    for name, item in PLAUSIBLE.items():
        report = await world.add(item)
        assert (outcome(report), report.refused) == ("accepted", ()), name
        await world.decline(item["cdrId"])
        assert outcome(await world.add({**item, "status": "REJECTED"})) == "accepted"


async def test_reports_everything_at_once(world: World):
    wrong = [period(NOON - HOUR, END, billingValue="99", periodCost="1.00")]
    item = cdr(
        evse="DE8ACE9",
        contractId="DEXYZC00000001",
        sessionId=str(uuid4()),
        duration="099:00:00",
        periods=wrong,
        totalCost="2.001",
        ratings={"maximumPowerKw": 22},
    )
    report = await world.add(item, cdr("DE8AC2"))
    assert (report.accepted, report.refused_items) == (1, 1)
    assert codes(report) == [
        *("EVSE_NOT_YOURS", "NO_CONTRACT", "DURATION_DIFFERS", "PERIOD_OUTSIDE", "PERIOD_COST_DIFFERS"),
        *("TOTAL_COST_DIFFERS", "TOO_MANY_DECIMALS", "TOO_MUCH_ENERGY", "SESSION_UNKNOWN"),
    ]
    assert {each.path for each in report.refused} == {
        *("cdrs[0].evseId", "cdrs[0].contractId", "cdrs[0].duration", "cdrs[0].periods[0]"),
        *("cdrs[0].periods[0].periodCost", "cdrs[0].totalCost", "cdrs[0].periods", "cdrs[0].sessionId"),
    }


async def test_reveals_nothing_of_evses_of_other_operators(world: World):
    """Whether the EVSE exists, and whether it was in use at the time."""
    await world.add(cdr("DE8AD1", evse=FOREIGN_EVSE), by=world.second_operator)
    reports = [await world.add(cdr("DE8AC1", evse=evse)) for evse in (FOREIGN_EVSE, "DE8ADE2")]
    assert [codes(each) for each in reports] == [["EVSE_NOT_YOURS"]] * 2
    texts = [each.refused[0].message for each in reports]
    assert texts[0].replace("DE*8AD*E1", "?") == texts[1].replace("DE*8AD*E2", "?")


async def test_quotes_no_token_and_no_contract(world: World):
    item = cdr(token={"instance": "SECRET", "type": "RFID"}, contractId="DEXYZSECRET001")
    odd = cdr(token={"instance": ["SECRET"], "type": "SECRET"}, contractId="SECRET")
    report = await world.add(item, odd)
    assert report.refused_items == 2
    assert "SECRET" not in repr(report)


async def test_skips_the_energy_where_no_power_is_known(world: World, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute("update evse set maximum_power_kw = null")
    much = costing("390.00", "390.00", value="1000")
    assert codes(await world.add({**much, "ratings": {"maximumPowerKw": POWER_KW}})) == ["TOO_MUCH_ENERGY"]
    assert outcome(await world.add(much)) == "accepted"


# ---------------------------------------------------------------- times on an EVSE


async def test_refuses_times_that_overlap(world: World):
    await world.add(cdr())
    for place, (minutes, hours, is_free) in enumerate(
        (
            (0, 1, False),
            (-30, 1, False),
            (30, 1, False),
            (10, 0.5, False),
            (-60, 3, False),
            (-60, 1, True),
            (60, 1, True),
        )
    ):
        report = await world.add(cdr(f"DE8ACA{place}", NOON + timedelta(minutes=minutes), hours))
        assert codes(report) == ([] if is_free else ["TIME_OCCUPIED"]), (minutes, hours)
    assert outcome(await world.add(cdr("DE8AC2", evse=SECOND_EVSE))) == "accepted"


async def test_refuses_times_that_overlap_within_an_upload(world: World):
    report = await world.add(
        cdr("DE8AC1"), cdr("DE8AC2", NOON + HOUR / 2), cdr("DE8AC3", NOON + HOUR), cdr("DE8AC4", NOON - HOUR / 2)
    )
    assert [(each.index, each.code) for each in report.refused] == [(1, "TIME_OCCUPIED"), (3, "TIME_OCCUPIED")]


async def test_gives_the_time_of_what_is_waived_to_others_but_not_of_what_is_declined(world: World):
    await world.add(cdr())
    await world.decline()
    assert codes(await world.add(cdr("DE8AC2"))) == ["TIME_OCCUPIED"]
    report = await world.add(cdr("DE8AC2"), cdr(status="REJECTED"))
    assert (report.accepted, report.refused) == (2, ())


async def test_lets_a_revision_overlap_itself_and_no_other(world: World):
    await world.add(cdr(), cdr("DE8AC2", NOON + 2 * HOUR))
    late = cdr(start=NOON + HOUR * 1.5, status="REVISED")
    assert codes(await world.add(late)) == ["TIME_OCCUPIED"]
    later = cdr(start=NOON + HOUR / 2, status="REVISED")
    assert outcome(await world.add(later)) == "accepted"
    assert outcome(await world.add(cdr("DE8AC3", NOON - HOUR / 2))) == "accepted"


# ---------------------------------------------------------------- contracts, tokens, sessions


async def test_bills_what_began_before_the_contract_ended_and_after_the_token_was_removed(world: World):
    before = utc_now().replace(microsecond=0) - timedelta(hours=3)
    item = cdr(start=before)
    await remove_authorisations(
        world.database, [{"instance": TOKENS[0], "type": "RFID"}], owner_of(world.providers[0]), utc_now()
    )
    rows = await look(
        world.database,
        "select id from contract where second_role_id = $1 or first_role_id = $1",
        world.providers[0].caller.role_id,
    )
    for row in rows:
        await end_contract(world.database, CONSOLE, row["id"], before + HOUR / 2)
    assert outcome(await world.add(item)) == "accepted"
    assert codes(await world.add(cdr("DE8AC2", before + HOUR))) == ["NO_CONTRACT"]
    parties = world.operator.party, world.providers[0].party
    await set_contract(world.database, CONSOLE, *parties, utc_now(), before + HOUR)
    assert outcome(await world.add(cdr("DE8AC2", before + HOUR))) == "accepted"


async def test_bills_what_began_before_the_contract_was_suspended(world: World):
    at = utc_now().replace(microsecond=0) - timedelta(hours=3)
    for row in await look(world.database, "select id from contract where status = 'ACTIVE'"):
        await suspend_contract(world.database, CONSOLE, row["id"], at)
    assert outcome(await world.add(cdr(start=at - HOUR))) == "accepted"
    assert codes(await world.add(cdr("DE8AC2", at + HOUR))) == ["NO_CONTRACT"]


async def session_of(
    world: World, type_: TokenType = TokenType.RFID, instance: str = TOKENS[0], evse: str = EVSE
) -> UUID:
    token, at = Token(instance=instance, type=type_), NOON.astimezone(UTC)
    answer_id = await start_session(
        world.database, world.operator.caller, token, CONTRACTS[0], evse, at, None, utc_now()
    )
    [row] = await look(world.database, "select session_id from authorisation_answer where id = $1", answer_id)
    return row["session_id"]


async def test_takes_a_remote_token_with_its_session(world: World):
    session_id = await session_of(world, TokenType.REMOTE, "D1")
    item = cdr(token={"instance": "D1", "type": "REMOTE"}, sessionId=str(session_id))
    assert outcome(await world.add(item)) == "accepted"
    assert (await world.rows())["DE8AC1"]["session_id"] == session_id


async def test_refuses_what_its_session_contradicts(world: World):
    session_id = await session_of(world)
    caller, at = world.operator.caller, END.astimezone(UTC)
    await update_session(world.database, caller, session_id, Known(energy_kwh=Decimal(10)), utc_now())
    await end_session(world.database, caller, session_id, SessionEnd.AUTHORISED_STOP, at, utc_now())
    differing: dict[str, dict[str, Any]] = {
        ".evseId": {"evse": SECOND_EVSE},
        ".contractId": {"contractId": "DE8AAC00000002"},
        ".token": {"token": {"instance": "0000", "type": "RFID"}},
        ".start": {"start": NOON + timedelta(minutes=6), "hours": 0.9},
        ".end": {"hours": 0.8},
        ".periods": {"periods": one(billingValue="11.1", periodCost="4.33"), "totalCost": "4.33"},
    }
    for path, given in differing.items():
        report = await world.add(cdr(sessionId=str(session_id), **given))
        found = {each.path.removeprefix("cdrs[0]") for each in report.refused if each.code == "SESSION_DIFFERS"}
        assert found == {path}
    assert outcome(await world.add(cdr(sessionId=str(session_id)))) == "accepted"


async def test_knows_no_session_of_others(world: World):
    token, at = Token(instance=TOKENS[0], type=TokenType.RFID), NOON.astimezone(UTC)
    answer_id = await start_session(
        world.database, world.second_operator.caller, token, CONTRACTS[0], FOREIGN_EVSE, at, None, utc_now()
    )
    [row] = await look(world.database, "select session_id from authorisation_answer where id = $1", answer_id)
    theirs, none = [await world.add(cdr(sessionId=str(each))) for each in (row["session_id"], uuid4())]
    assert theirs == none
    assert codes(theirs) == ["SESSION_UNKNOWN"]


# ---------------------------------------------------------------- tariffs


async def publish(world: World, *individual_tariffs: Any, at: datetime = SINCE, tariff_id: str = "DE8ACT1") -> None:
    raw = {"tariffId": tariff_id, "individualTariffs": list(individual_tariffs)}
    read = read_tariff(raw, 0)
    assert isinstance(read, Tariff)
    await update_tariffs(world.database, [read], owner_of(world.operator), at)


def priced(price: str, *recipients: str, currency: str = "EUR", item: str = "ENERGY") -> dict[str, Any]:
    element = {"billingItem": item, "itemPrice": price, "stepSize": "0"}
    return {"recipients": list(recipients), "currency": currency, "elements": [element]}


def under(tariff_id: str | None, number: int, **more: Any) -> dict[str, Any]:
    connector = {"standard": "IEC_62196_T2", "format": "SOCKET", "tariffId": tariff_id}
    return cdr(f"DE8ACT{number}", NOON + number * HOUR, connector=connector, **more)


async def test_warns_of_a_price_that_differs_from_the_tariff(world: World):
    await publish(world, priced("0.39"), priced("0.30", "FRA1B"))
    assert (await world.add(under("DE*8AC*T1", 1))).warnings == ()
    [warning] = (await world.add(under("DE*8AC*T1", 2, by=1))).warnings
    assert (warning.code, warning.path, warning.id) == ("PRICE_DIFFERS", "cdrs[0].totalCost", "DE8ACT2")
    assert warning.message == "the total is 3.90 EUR, the tariff DE*8AC*T1 asks 3.00 EUR for this session"
    [row] = await look(
        world.database, "select warnings from cdr_content join cdr on cdr.id = cdr_key where cdr_id = 'DE8ACT2'"
    )
    assert [(each["code"], each["message"]) for each in row["warnings"]] == [("PRICE_DIFFERS", warning.message)]
    await publish(world, priced("0.39", currency="SEK"), tariff_id="DE8ACT2", at=SINCE)
    [warning] = (await world.add(under("DE*8AC*T2", 3))).warnings
    assert warning.message.endswith("asks 3.90 SEK for this session")


async def test_compares_only_with_a_tariff_that_is_known_to_have_been_in_force(world: World, database_url: str):
    await publish(world, priced("0.10"), at=NOON + 3 * HOUR)
    await publish(world, priced("2", item="POWER"), tariff_id="DE8ACT2")
    for number, tariff_id in enumerate(("DE8ACT1", "DE8ACT2", "DE8ACT9", None)):
        report = await world.add(under(tariff_id, number))
        assert (outcome(report), report.warnings) == ("accepted", ()), tariff_id
    assert len((await world.add(under("DE8ACT1", 5))).warnings) == 1
    async with owner(database_url) as connection:
        await connection.execute(
            "update evse set connector_standards = '{IEC_62196_T2}', connector_formats = '{SOCKET}',"
            " connector_tariff_ids = '{DE8ACT1}'"
        )
    assert len((await world.add(under(None, 6))).warnings) == 1


def test_has_a_sentence_and_a_case_for_each_check():
    tested = {*IMPLAUSIBLE, "TIME_OCCUPIED", "SESSION_DIFFERS"}
    assert {check.code.value for check in CHECKS} == tested
    assert {check.code for check in CHECKS} <= MEANINGS.keys()
