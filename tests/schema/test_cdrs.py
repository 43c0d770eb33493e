"""CDRs over HTTP: what the API's face adds to what `tests/exchange/cdrs` proves."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import true

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.read.statements import STATEMENTS
from app.visibility import rules
from app.vocabulary import Role
from tests.exchange.cdrs.world import CONTRACTS, NOON, SINCE, TOKENS, cdr, costing, give_token, local
from tests.exchange.world import add_evse, enrol, owner, utc_now
from tests.hub import scratch_database, serve
from tests.schema.test_charging import By, Client, Headers

REPORT = """{
    result { code description } accepted unchanged removed refused { path index id code message }
    warnings { path index id code message }
}"""
PERIOD = "{ start end billingItem billingValue itemPrice periodCost taxRate }"
CDR = f"""{{
    cdrId evseId operatorId providerId token {{ instance type subType representation }} contractId session {{ id }}
    status revision declineReason history {{ status before at by reason contentHash }} warnings {{ code message }}
    start end duration address {{ address city zipCode country houseNumber }} chargePointType
    connector {{ standard format tariffId tariff {{ tariffId }} }}
    ratings {{ maximumPowerKw nominalVoltageV }} meterId periods {PERIOD}
    totalCost currency updatedAt
    revisions {{
        revision at contentHash start end duration contractId token {{ instance }} totalCost currency meterId
        address {{ city }} connector {{ standard tariff {{ tariffId }} }} chargePointType
        ratings {{ maximumPowerKw }} periods {PERIOD}
        warnings {{ code }}
    }}
}}"""
ADD = f"mutation ($items: [CdrInput!]!) {{ report: addCdrs(cdrs: $items) {REPORT} }}"
CONFIRM = f"""mutation ($approved: [CdrKey!], $declined: [CdrDecline!]) {{
    report: confirmCdrs(approved: $approved, declined: $declined) {REPORT}
}}"""
ONE = f"query ($id: CdrId!, $evse: EvseId) {{ cdr(cdrId: $id, evseId: $evse) {CDR} }}"
LIST = """query (
    $status: [CdrStatus!], $with: PartyId, $from: DateTime, $to: DateTime, $first: Int! = 500, $after: String
) {
    cdrs(status: $status, counterparty: $with, from: $from, to: $to, first: $first, after: $after) {
        nodes { cdrId status } pageInfo { hasNextPage endCursor }
    }
}"""
RECONCILE = """query ($with: PartyId, $from: DateTime, $to: DateTime) {
    reconciliation(counterparty: $with, from: $from, to: $to) { operatorId providerId currency status count total }
}"""
CHANGES = """query ($cursor: Cursor, $first: Int! = 500) {
    cdrChanges(cursor: $cursor, first: $first) { cursor hasMore cdrs { cdrId status revision totalCost } }
}"""
START = """mutation ($token: TokenInput!, $contract: ContractId!, $evse: EvseId!, $at: DateTime!) {
    startSession(token: $token, contractId: $contract, evseId: $evse, at: $at) { session { id } }
}"""
SESSION = "query ($id: ID!) { session(id: $id) { cdrs { cdrId totalCost periods { itemPrice } history { status } } } }"

HOUR = timedelta(hours=1)


@pytest.fixture
def dsn(cluster: Cluster, template: str) -> Iterator[str]:
    with scratch_database(cluster.dsn, template, f"cdrs_{uuid4().hex}") as dsn:
        yield dsn


@pytest.fixture
def by(dsn: str) -> Iterator[By]:
    """Return clients by name: an operator with contracts with two providers, and others."""
    with serve(dsn) as hub:

        async def enrol_all() -> dict[str, Headers]:
            roles = {
                "operator": (Role.EVSE_OPERATOR, "DE8AC"),
                "provider": (Role.EVSP, "DE8AA"),
                "second": (Role.EVSP, "FRA1B"),
                "stranger": (Role.EVSE_OPERATOR, "DE8AD"),
                "nsp": (Role.NSP, None),
                "administrator": (Role.ADMINISTRATOR, None),
            }
            members = {name: (await enrol(hub.database, name, role))[0] for name, role in roles.items()}
            for name, instance, contract_id in zip(("provider", "second"), TOKENS, CONTRACTS, strict=True):
                parties = members["operator"].party, members[name].party
                await set_contract(hub.database, CONSOLE, *parties, utc_now(), SINCE)
                await give_token(hub.database, members[name], instance, contract_id)
            for number in (1, 2):
                await add_evse(hub.database, "DE8AC", number)
            return {name: {"Authorization": f"Bearer {member.key.secret}"} for name, member in members.items()}

        headers = hub.run(enrol_all())
        yield lambda name: Client(hub, headers.get(name, {}))


def add(client: Client, *items: Any) -> Any:
    return client.ask(ADD, items=list(items))


def confirm(client: Client, approved: Any = None, declined: Any = None) -> Any:
    return client.ask(CONFIRM, approved=approved, declined=declined)


def listed(client: Client, **asked: Any) -> list[tuple[str, str]]:
    return [(node["cdrId"], node["status"]) for node in client.ask(LIST, **asked)["nodes"]]


def test_goes_from_upload_through_a_dispute_to_approval(by: By):
    operator, provider = by("operator"), by("provider")
    item = cdr(duration="001:00:00", meterId="M7", ratings={"maximumPowerKw": 22}, totalCost="3.90")
    item["periods"][0]["taxRate"] = "19.0"
    report = add(operator, item, {**cdr("DE8AC2"), "totalCost": "9.00"})
    assert (report["result"]["code"], report["accepted"], report["warnings"]) == ("PARTLY", 1, [])
    assert [(each["index"], each["id"], each["code"]) for each in report["refused"]] == [
        *((1, "DE8AC2", "TOTAL_COST_DIFFERS"), (1, "DE8AC2", "TIME_OCCUPIED")),
    ]
    assert listed(provider) == [("DE8AC1", "ACCEPTED")]
    assert listed(operator) == []

    [declined] = [{"cdrId": "DE8AC1", "reason": "Half of it at most"}]
    assert confirm(provider, declined=[declined])["accepted"] == 1
    assert (listed(provider), listed(operator)) == ([], [("DE8AC1", "DECLINED")])
    revised = costing("1.95", status="REVISED")
    assert add(operator, revised)["accepted"] == 1
    assert confirm(provider, [{"cdrId": "DE8AC1"}])["accepted"] == 1
    assert confirm(provider, [{"cdrId": "DE8AC1"}])["unchanged"] == 1
    assert listed(provider) == []

    seen = [client.ask(ONE, id="de8ac1", evse=None) for client in (operator, provider)]
    assert seen[0] == seen[1]
    [found] = seen[:1]
    assert (found["status"], found["revision"], found["totalCost"], found["declineReason"]) == (
        "APPROVED",
        2,
        "1.95",
        None,
    )
    assert (found["evseId"], found["operatorId"], found["providerId"]) == ("DE*8AC*E1", "DE8AC", "DE8AA")
    assert (found["contractId"], found["token"]["instance"]) == ("DE-8AA-C00000001", TOKENS[0])
    assert (found["start"], found["end"]) == (local(NOON), local(NOON + HOUR))
    assert [(each["before"], each["status"], each["by"], each["reason"]) for each in found["history"]] == [
        (None, "ACCEPTED", "DE8AC", None),
        ("ACCEPTED", "DECLINED", "DE8AA", "Half of it at most"),
        ("DECLINED", "REVISED", "DE8AC", None),
        ("REVISED", "APPROVED", "DE8AA", None),
    ]
    first, second = found["revisions"]
    assert (first["revision"], first["totalCost"], first["meterId"], first["duration"]) == (
        1,
        "3.90",
        "M7",
        "001:00:00",
    )
    assert first["periods"] == item["periods"]
    assert (first["ratings"], second["ratings"]) == ({"maximumPowerKw": 22}, None)
    assert second["periods"] == found["periods"]
    hashes = [each["contentHash"] for each in found["history"]]
    assert hashes == [first["contentHash"], None, second["contentHash"], None]


def test_shows_a_cdr_to_its_two_sides_alone(by: By):
    add(by("operator"), cdr())
    for name in ("second", "stranger", "nsp", "administrator", "nobody"):
        client = by(name)
        assert client.ask(ONE, id="DE8AC1", evse=None) is None
        assert listed(client, status=["ACCEPTED"]) == []
        assert client.ask(CHANGES)["cdrs"] == []
        expected = 1 if name == "administrator" else 0
        assert len(client.ask(RECONCILE)) == expected
    theirs = confirm(by("second"), [{"cdrId": "DE8AC1"}])
    none = confirm(by("second"), [{"cdrId": "DE8AC9"}])
    assert json.dumps(theirs).replace("DE8AC1", "?") == json.dumps(none).replace("DE8AC9", "?")
    assert theirs["result"]["code"] == "INVALID_ID"


PRIVATE = ("cdr", "cdr_content", "workflow_history", "session")


async def administer(dsn: str, *statements: str) -> None:
    async with owner(dsn) as connection:
        for statement in statements:
            await connection.execute(statement)


def test_hides_cdrs_by_the_plan_alone_too(by: By, dsn: str):
    """Without row-level security: no mistake in one of the two protections shows anything."""
    add(by("operator"), cdr())
    asyncio.run(administer(dsn, *(f"alter table {table} disable row level security" for table in PRIVATE)))
    for name in ("second", "stranger", "nsp", "administrator", "nobody"):
        assert by(name).ask(ONE, id="DE8AC1", evse=None) is None
        assert listed(by(name), status=["ACCEPTED"]) == []
        assert by(name).ask(CHANGES)["cdrs"] == []
        assert name == "administrator" or by(name).ask(RECONCILE) == []
    assert by("provider").ask(ONE, id="DE8AC1", evse=None)["revisions"] != []


def test_hides_cdrs_by_row_level_security_alone_too(by: By, monkeypatch: pytest.MonkeyPatch):
    add(by("operator"), cdr())
    open_to_all = dict.fromkeys(PRIVATE, lambda table, kind: true())
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, **open_to_all})
    STATEMENTS.clear()
    try:
        for name in ("second", "stranger", "nsp", "nobody"):
            assert by(name).ask(ONE, id="DE8AC1", evse=None) is None
            assert listed(by(name), status=["ACCEPTED"]) == []
        assert by("provider").ask(ONE, id="DE8AC1", evse=None)["revisions"] != []
    finally:
        STATEMENTS.clear()


def test_pages_in_the_order_of_the_sessions(by: By):
    operator, provider = by("operator"), by("provider")
    count = 23
    add(operator, *(cdr(f"DE8AC{n}", NOON + (count - n) * HOUR) for n in range(count)))
    names = [{"cdrId": f"DE8AC{n}"} for n in range(count)]
    confirm(provider, names[::3], names[1::3])
    asked: dict[str, Any] = {"status": ["APPROVED", "DECLINED", "ACCEPTED", "DECLINED"], "first": 4}
    found: list[str] = []
    for client in (operator, provider):
        found, after, pages = [], None, 0
        while True:
            page = client.ask(LIST, **asked, after=after)
            found += [node["cdrId"] for node in page["nodes"]]
            after, pages = page["pageInfo"]["endCursor"], pages + 1
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert found == [f"DE8AC{n}" for n in reversed(range(count))]
        assert pages == 6
    between = listed(provider, status=["APPROVED"], **{"from": local(NOON + HOUR), "to": local(NOON + 6 * HOUR)})
    assert between == [("DE8AC21", "APPROVED"), ("DE8AC18", "APPROVED")]
    assert listed(provider, **{"with": "DE8AD"}) == []
    assert len(listed(provider, **{"with": "DE8AC"})) == 7
    assert listed(operator, **{"with": "FRA1B"}) == []
    error = provider.error(LIST, after="nonsense")
    assert error["extensions"]["code"] == "BAD_CURSOR"


def test_names_cdrs_by_evse_where_their_ids_are_not_unique(by: By):
    operator, provider = by("operator"), by("provider")
    add(operator, cdr("77"), cdr("77", evse="DE8ACE2"))
    assert provider.ask(ONE, id="77", evse=None) is None
    assert provider.ask(ONE, id="77", evse="DE*8AC*E2")["evseId"] == "DE*8AC*E2"


def test_reconciles_exactly(by: By):
    operator, provider = by("operator"), by("provider")
    add(operator, *(costing("0.10", cdr_id=f"DE8AC{n}", start=NOON + n * HOUR) for n in range(10)))
    add(operator, costing("7", cdr_id="DE8ACY", start=NOON - HOUR, currency="JPY", by=1))
    confirm(provider, [{"cdrId": "DE8AC1"}, {"cdrId": "DE8AC2"}], [{"cdrId": "DE8AC3"}])
    rows = operator.ask(RECONCILE)
    pair = {"operatorId": "DE8AC", "providerId": "DE8AA", "currency": "EUR"}
    assert rows == [
        {**pair, "status": "ACCEPTED", "count": 7, "total": "0.70"},
        {**pair, "status": "APPROVED", "count": 2, "total": "0.20"},
        {**pair, "status": "DECLINED", "count": 1, "total": "0.10"},
        {**pair, "providerId": "FRA1B", "currency": "JPY", "status": "ACCEPTED", "count": 1, "total": "7"},
    ]
    assert provider.ask(RECONCILE) == rows[:3]
    assert by("administrator").ask(RECONCILE) == rows
    assert sum(Decimal(row["total"]) for row in rows[:3]) == 1


def test_follows_changes_from_what_waits(by: By):
    operator, provider = by("operator"), by("provider")
    add(operator, cdr(), cdr("DE8AC2", NOON + HOUR))
    confirm(provider, [{"cdrId": "DE8AC2"}])
    page = provider.ask(CHANGES)
    assert [each["cdrId"] for each in page["cdrs"]] == ["DE8AC1"]
    confirm(provider, declined=[{"cdrId": "DE8AC1"}])
    page = provider.ask(CHANGES, cursor=page["cursor"])
    assert page["cdrs"] == [{"cdrId": "DE8AC1", "status": "DECLINED", "revision": 1, "totalCost": "3.90"}]
    assert [each["cdrId"] for each in operator.ask(CHANGES)["cdrs"]] == ["DE8AC1"]


def test_shows_the_cdrs_of_a_session(by: By):
    operator = by("operator")
    token = {"instance": TOKENS[0], "type": "RFID"}
    given = {"token": token, "contract": CONTRACTS[0], "evse": "DE8ACE1", "at": local(NOON)}
    id_ = operator.ask(START, **given)["session"]["id"]
    add(operator, cdr(sessionId=id_))
    for client in (operator, by("provider")):
        [found] = client.ask(SESSION, id=id_)["cdrs"]
        assert found == {
            "cdrId": "DE8AC1",
            "totalCost": "3.90",
            "periods": [{"itemPrice": "0.39"}],
            "history": [{"status": "ACCEPTED"}],
        }
        assert client.ask(ONE, id="DE8AC1", evse=None)["session"] == {"id": id_}


def test_lets_operators_alone_upload_and_providers_alone_confirm(by: By):
    for name in ("operator", "provider", "nsp", "administrator", "nobody"):
        code = "UNAUTHENTICATED" if name == "nobody" else "FORBIDDEN"
        if name != "operator":
            assert by(name).error(ADD, items=[cdr()])["extensions"]["code"] == code
        if name != "provider":
            assert by(name).error(CONFIRM, approved=[], declined=None)["extensions"]["code"] == code


def test_quotes_nothing_personal_of_what_is_written_in_the_document(by: By):
    document = """mutation { addCdrs(cdrs: [{ cdrId: "DE8AC1", contractId: "SECRET", token: { instance: ["SECRET"],
        type: RFID } }]) { accepted } }"""
    errors = by("operator").hub.post(document, {}, by("operator").headers).json()["errors"]
    assert errors
    assert "SECRET" not in json.dumps(errors)
