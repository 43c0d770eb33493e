"""Tariffs over HTTP: what the API's face adds to what `tests/exchange/tariffs` and `tests/live` prove."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.vocabulary import Role
from tests.exchange.tariffs.world import element, individual, item
from tests.exchange.world import enrol, utc_now
from tests.hub import AROUND_PRIVATE, Hub, scratch_database, serve
from tests.world import CCS, T2_SOCKET, evse

Headers = dict[str, str]

UPDATE = """mutation ($items: [TariffInput!]!) { report: updateTariffs(tariffs: $items) {
    result { code description } accepted unchanged removed refused { path index id code message } cursor } }"""
REMOVE = """mutation ($ids: [TariffId!]!) { report: removeTariffs(tariffIds: $ids) {
    result { code } accepted unchanged removed refused { path id code message } } }"""
TARIFF = """{ tariffId updatedAt individualTariffs { currency recipients elements { billingItem itemPrice stepSize
    restriction { regularHours { weekday begin end } start end minEnergyKwh maxEnergyKwh minPowerKw maxPowerKw
        minDurationSeconds maxDurationSeconds } } } }"""
ONE = f"query ($id: TariffId!, $for: PartyId) {{ tariff(tariffId: $id, providerId: $for) {TARIFF} }}"
LIST = f"""query ($for: PartyId) {{ page: tariffs(providerId: $for) {{ cursor hasMore changes {{
    action tariffId at tariff {TARIFF} }} }} }}"""
CONNECTORS = """query ($filter: EvseFilter) { evses(filter: $filter) { nodes { evseId connectors { tariffId
    tariff { tariffId individualTariffs { recipients elements { itemPrice } } } } } } }"""


@dataclass(frozen=True)
class Client:
    hub: Hub
    headers: Headers

    def ask(self, document: str, **variables: Any) -> Any:
        [answer] = self.hub.ask(document, variables, self.headers).values()
        return answer

    def code(self, document: str, **variables: Any) -> str:
        [error] = self.hub.post(document, variables, self.headers).json()["errors"]
        return error["extensions"]["code"]

    def prices(self, tariff_id: str = "DE*8AC*T1", provider_id: str | None = None) -> list[str] | None:
        tariff = self.ask(ONE, id=tariff_id, **{"for": provider_id})
        return tariff and prices_of(tariff)


def prices_of(tariff: Any) -> list[str]:
    return [each["elements"][0]["itemPrice"] for each in tariff["individualTariffs"]]


By = Callable[[str], Client]

ROLES = {
    "operator": (Role.EVSE_OPERATOR, "DE8AC"),
    "rival": (Role.EVSE_OPERATOR, "DE8AE"),
    "first": (Role.EVSP, "DE8AA"),
    "second": (Role.EVSP, "FRA1B"),
    "map": (Role.NSP, None),
    "stranger": (Role.NSP, None),
    "spots": (Role.PSO, "DEPRK"),
    "administrator": (Role.ADMINISTRATOR, None),
}
#: Contracts in force. The operator is open, the rival is not.
CONTRACTS = (("first", "operator"), ("second", "operator"), ("first", "rival"), ("map", "first"), ("spots", "operator"))
TARIFFS = (
    item(individual("1"), individual("2", "DE8AA", "NLTNM"), individual("3", "FRA1B")),
    item(individual("4"), tariff_id="DE8ACT2"),
)


@pytest.fixture(scope="module")
def by(cluster: Cluster, template: str) -> Iterator[By]:
    """Return clients by name: an open operator and a closed one, providers, and others."""
    with scratch_database(cluster.dsn, template, f"tariffs_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def enrol_all() -> dict[str, Headers]:
            opened = {"open_": True}
            members = {
                name: (await enrol(hub.database, name, role, **(opened if name == "operator" else {})))[0]
                for name, role in ROLES.items()
            }
            for one, other in CONTRACTS:
                await set_contract(hub.database, CONSOLE, members[one].party, members[other].party, utc_now())
            return {name: {"Authorization": f"Bearer {member.key.secret}"} for name, member in members.items()}

        headers = hub.run(enrol_all())
        yield lambda name: Client(hub, headers.get(name, {}))


def publish(by: By) -> None:
    assert by("operator").ask(UPDATE, items=TARIFFS)["result"]["code"] == "OK"
    hidden = item(individual("5"), individual("6", "DE8AA"), tariff_id="DE8AET1")
    assert by("rival").ask(UPDATE, items=[hidden])["result"]["code"] == "OK"


# ---------------------------------------------------------------- uploads


def test_stores_the_good_ones_and_reports_the_others(by: By):
    operator = by("operator")
    sent = [
        item(tariff_id="DE8ACT5"),
        item(
            individual(elements=[element("0,35"), element("1", restriction={"minPowerKw": "22", "maxPowerKw": "11"})])
        ),
    ]
    report = operator.ask(UPDATE, items=sent)
    assert (report["result"]["code"], report["accepted"]) == ("PARTLY", 1)
    [refusal] = report["refused"]
    assert (refusal["path"], refusal["code"], refusal["id"]) == (
        *("tariffs[1].individualTariffs[0].elements[0].itemPrice", "PATTERN"),
        "DE8ACT1",
    )
    assert operator.ask(UPDATE, items=sent[:1])["unchanged"] == 1
    assert operator.ask(REMOVE, ids=["de*8ac*t5", "DE8ACT5", "DE8AET7"]) == {
        "result": {"code": "PARTLY"},
        "accepted": 0,
        "unchanged": 1,
        "removed": 1,
        "refused": [
            {
                "path": "tariffIds[2]",
                "id": "DE*8AE*T7",
                "code": "INVALID_ID",
                "message": "DE*8AE*T7 is no tariff of DE*8AC",
            }
        ],
    }


def test_refuses_prices_that_were_numbers_on_their_way(by: By):
    number = item(individual(elements=[{**element(), "itemPrice": 0.35}]), tariff_id="DE8ACT5")
    report = by("operator").ask(UPDATE, items=[number])
    assert [each["code"] for each in report["refused"]] == ["WRONG_TYPE"]


def test_takes_a_thousand_recipients_and_no_more(by: By):
    names = [f"DE{number:03}" for number in range(1_000)]
    operator = by("operator")
    report = operator.ask(UPDATE, items=[item(individual(), individual("2", *names), tariff_id="DE8ACT5")])
    assert report["accepted"] == 1
    sent = item(individual(), individual("2", *names), individual("3", "FRA1B"), tariff_id="DE8ACT5")
    [refusal] = operator.ask(UPDATE, items=[sent])["refused"]
    assert (refusal["path"], refusal["code"]) == ("tariffs[0].individualTariffs", "TOO_MANY")
    assert operator.ask(REMOVE, ids=["DE8ACT5"])["removed"] == 1


@pytest.mark.parametrize("name", ["first", "map", "spots", "administrator"])
def test_is_for_operators(by: By, name: str):
    assert by(name).code(UPDATE, items=TARIFFS) == "FORBIDDEN"
    assert by(name).code(REMOVE, ids=["DE8ACT1"]) == "FORBIDDEN"


def test_needs_a_key(by: By):
    assert by("anonymous").code(UPDATE, items=TARIFFS) == "UNAUTHENTICATED"


def test_shows_what_was_sent_with_every_digit(by: By):
    restriction = {
        "regularHours": [{"weekday": 6, "begin": "10:00", "end": "17:00"}],
        "start": "2026-01-01T01:00:00+01:00",
        "end": "2027-01-01T00:00:00Z",
        "minEnergyKwh": "0.0001",
        "maxEnergyKwh": "99999999999999.9999",
        "minPowerKw": "11.00",
        "maxPowerKw": "22.50",
        "minDurationSeconds": 0,
        "maxDurationSeconds": 3600,
    }
    elements = [
        {"billingItem": "SERVICE_FEE", "itemPrice": "2.50", "stepSize": "1"},
        {"billingItem": "USAGE_TIME", "itemPrice": "0.00000001", "stepSize": "0.25", "restriction": restriction},
    ]
    operator = by("operator")
    operator.ask(UPDATE, items=[item(individual(elements=elements, currency="KWD"), tariff_id="DE8ACT6")])
    tariff = operator.ask(ONE, id="DE8ACT6", **{"for": None})
    assert tariff["tariffId"] == "DE*8AC*T6"
    [shown] = tariff["individualTariffs"]
    assert shown == {
        "currency": "KWD",
        "recipients": [],
        "elements": [
            {**elements[0], "restriction": None},
            {**elements[1], "restriction": {**restriction, "start": "2026-01-01T00:00:00Z"}},
        ],
    }
    assert operator.ask(REMOVE, ids=["DE8ACT6"])["removed"] == 1


# ---------------------------------------------------------------- who sees what

#: The prices of DE*8AC*T1 as each caller is shown them, by the provider that it asks about.
SHOWN: dict[str, dict[str | None, list[str]]] = {
    "operator": {None: ["1", "2", "3"], "DE8AA": ["1", "2", "3"]},
    "first": {None: ["2"], "DE8AA": ["2"], "FRA1B": ["1"]},
    "second": {None: ["3"]},
    "map": {None: ["1"], "DE8AA": ["2"], "FRA1B": ["1"], "NLTNM": ["1"]},
    **{name: {None: ["1"], "DE8AA": ["1"]} for name in ("stranger", "rival", "spots", "administrator", "anonymous")},
}


@pytest.mark.parametrize(("name", "provider_id"), [(name, each) for name, by in SHOWN.items() for each in by])
def test_shows_each_caller_the_tariff_that_is_meant_for_it(by: By, name: str, provider_id: str | None):
    publish(by)
    client = by(name)
    assert client.prices(provider_id=provider_id) == SHOWN[name][provider_id]
    page = client.ask(LIST, **{"for": provider_id})
    listed = {each["tariffId"]: each["tariff"] for each in page["changes"]}
    tariff = client.ask(ONE, id="DE8ACT1", **{"for": provider_id})
    assert listed["DE*8AC*T1"] == tariff
    named = [each["recipients"] for each in tariff["individualTariffs"]]
    assert named == ([[], ["DE8AA", "NLTNM"], ["FRA1B"]] if name == "operator" else [None])
    assert ("DE*8AE*T1" in listed) is (name in ("rival", "first", "map", "administrator"))


def test_shows_individual_tariffs_of_a_closed_operator_to_whom_they_are_meant_for(by: By):
    publish(by)
    names = ("rival", "first", "second", "map", "stranger", "operator", "administrator", "anonymous")
    shown = {name: by(name).prices("DE8AET1") for name in names}
    assert shown == {
        "rival": ["5", "6"],
        "first": ["6"],
        "second": None,
        "map": ["5"],
        "stranger": None,
        "operator": None,
        "administrator": ["5"],
        "anonymous": None,
    }
    assert by("map").prices("DE8AET1", "DE8AA") == ["6"]


def test_answers_alike_for_a_provider_without_a_contract_and_for_none_at_all(by: By):
    publish(by)
    for name in ("map", "stranger", "rival", "second", "anonymous"):
        client = by(name)
        for document in (ONE, CONNECTORS.replace("($filter: EvseFilter)", "").replace("(filter: $filter)", "")):
            answers = {
                client.hub.post(document, {"id": "DE8ACT1", "for": provider_id}, client.headers).content
                for provider_id in ("NLTNM", "XXXXX")
            }
            assert len(answers) == 1


def test_answers_alike_for_a_tariff_that_is_not_there_and_one_of_another_operator(by: By):
    publish(by)
    client = by("second")
    answers = {client.hub.post(ONE, {"id": id_}, client.headers).content for id_ in ("DE8AET1", "DE8AET9", "ZZZZZT1")}
    assert answers == {b'{"data":{"tariff":null}}'}


# ---------------------------------------------------------------- connectors


def test_shows_the_tariffs_of_connectors_with_one_statement(by: By):
    publish(by)
    connectors = (f"{CCS}/DE*8AC*T1", T2_SOCKET, f"{T2_SOCKET}/DE*8AC*T9", f"{CCS}/DE*8AE*T1", f"{CCS}/DE*8AC*T1")
    upload = "mutation ($items: [ChargePointInput!]!) { updateChargePointList(chargePoints: $items) { accepted } }"
    sent = [evse("DE*8AC*E1", "ULM", 48.4, 9.9, *connectors), evse("DE*8AC*E2", "ULM", 48.4, 9.9, f"{CCS}/DE*8AC*T2")]
    by("operator").ask(upload, items=sent)
    assert shown_at_connectors(by("anonymous")) == [["1", None, None, None, "1"], ["4"]]
    assert shown_at_connectors(by("first")) == [["2", None, None, "6", "2"], ["4"]]
    assert shown_at_connectors(by("map")) == [["1", None, None, "5", "1"], ["4"]]
    assert shown_at_connectors(by("map"), {"providerId": "DE8AA"}) == [["2", None, None, "6", "2"], ["4"]]
    client = by("second")
    with client.hub.recording() as statements:
        nodes = client.ask(CONNECTORS, filter=None)["nodes"]
    assert len(statements) == 1 + len(AROUND_PRIVATE)
    named = ["DE*8AC*T1", None, "DE*8AC*T9", "DE*8AE*T1", "DE*8AC*T1"]
    assert [each["tariffId"] for each in nodes[0]["connectors"]] == named, "as the operator names them"
    assert nodes[0]["connectors"][0]["tariff"]["individualTariffs"][0]["recipients"] is None


def shown_at_connectors(client: Client, matching: Any = None) -> list[list[str | None]]:
    nodes = client.ask(CONNECTORS, filter=matching)["nodes"]
    return [[each["tariff"] and prices_of(each["tariff"])[0] for each in node["connectors"]] for node in nodes]
