"""Tokens, requests and sessions over HTTP: what the API's face adds to what `tests/exchange` proves."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.vocabulary import Role
from tests.exchange.world import add_evse, enrol, utc_now
from tests.hub import Hub, scratch_database, serve

Headers = dict[str, str]
TOMORROW = "2999-01-01T00:00:00Z"

REPORT = "{ result { code } accepted unchanged removed refused { path index id code message } }"
SESSION = """{
    id operatorId providerId evseId contractId token { instance type representation } authorisedAt connectedAt endedAt
    end energyKwh warnings contradictions
}"""
RESULT = f"""{{
    result {{ code description }} session {SESSION}
    authorisation {{ id contractId printedNumber expiresAt updatedAt token {{ instance type subType representation }} }}
}}"""
SET = f"""mutation ($items: [AuthorisationInput!]!, $part: ListPart) {{
    report: setRoamingAuthorisationList(providerId: "DE8AA", authorisations: $items, part: $part) {REPORT}
}}"""
UPDATE = f"""mutation ($items: [AuthorisationInput!]!) {{
    report: updateRoamingAuthorisationList(authorisations: $items) {REPORT}
}}"""
REMOVE = f"mutation ($items: [TokenInput!]!) {{ report: removeRoamingAuthorisations(tokens: $items) {REPORT} }}"
REQUEST = f"""mutation ($token: TokenInput!, $evse: EvseId, $id: ID) {{
    answer: requestSingleRoamingAuthorisation(token: $token, evseId: $evse, requestId: $id) {RESULT}
}}"""
START = f"""mutation ($token: TokenInput!, $contract: ContractId!, $evse: EvseId!, $at: DateTime!) {{
    answer: startSession(token: $token, contractId: $contract, evseId: $evse, at: $at) {RESULT}
}}"""
KNOW = f"""mutation ($id: ID!, $at: DateTime, $kwh: Decimal) {{
    session: updateSession(sessionId: $id, connectedAt: $at, energyKwh: $kwh) {SESSION}
}}"""
END = f"mutation ($id: ID!, $end: SessionEnd!) {{ session: endSession(sessionId: $id, end: $end) {SESSION} }}"

TOKEN = {"instance": "04A1B2", "type": "RFID"}


def item(instance: str, **more: Any) -> dict[str, Any]:
    token = {"instance": instance, "type": "RFID"}
    return {"token": token, "contractId": "DE-8AA-001234567-0", "expiresAt": TOMORROW, **more}


@dataclass(frozen=True)
class Client:
    hub: Hub
    headers: Headers

    def ask(self, document: str, **variables: Any) -> Any:
        [answer] = self.hub.ask(document, variables, self.headers).values()
        return answer

    def error(self, document: str, **variables: Any) -> dict[str, Any]:
        [error] = self.hub.post(document, variables, self.headers).json()["errors"]
        return error


By = Callable[[str], Client]


@pytest.fixture(scope="module")
def by(cluster: Cluster, template: str) -> Iterator[By]:
    """Return clients by name: a provider and an operator with a contract, and others without one."""
    with scratch_database(cluster.dsn, template, f"charging_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def enrol_all() -> dict[str, Headers]:
            roles = {
                "provider": (Role.EVSP, "DE8AA"),
                "operator": (Role.EVSE_OPERATOR, "DE8AC"),
                "stranger": (Role.EVSE_OPERATOR, "DE8AD"),
                "nsp": (Role.NSP, None),
                "administrator": (Role.ADMINISTRATOR, None),
            }
            members = {name: (await enrol(hub.database, name, role))[0] for name, role in roles.items()}
            parties = members["provider"].party, members["operator"].party
            await set_contract(hub.database, CONSOLE, *parties, utc_now())
            for party_id in ("DE8AC", "DE8AD"):
                await add_evse(hub.database, party_id, 1)
            return {name: {"Authorization": f"Bearer {member.key.secret}"} for name, member in members.items()}

        headers = hub.run(enrol_all())
        yield lambda name: Client(hub, headers.get(name, {}))


def test_takes_tokens_and_authorises_a_session_with_them(by: By):
    provider, operator = by("provider"), by("operator")
    report = provider.ask(SET, items=[item("04A1B2", printedNumber="7"), item("")], part=None)
    assert (report["result"]["code"], report["accepted"]) == ("PARTLY", 1)
    [refusal] = report["refused"]
    assert (refusal["path"], refusal["index"], refusal["id"]) == ("authorisations[1].token.instance", 1, None)

    answer = operator.ask(REQUEST, token={**TOKEN, "instance": "04a1b2"}, evse="DE*8AC*E1", id="first")
    assert answer["result"] == {"code": "OK", "description": "granted"}
    authorisation, session = answer["authorisation"], answer["session"]
    assert authorisation["token"] == {**TOKEN, "subType": None, "representation": "PLAIN"}
    assert (authorisation["contractId"], authorisation["printedNumber"]) == ("DE-8AA-001234567", "7")
    assert (session["operatorId"], session["providerId"], session["evseId"]) == ("DE8AC", "DE8AA", "DE*8AC*E1")
    assert operator.ask(REQUEST, token={**TOKEN, "instance": "04a1b2"}, evse="DE*8AC*E1", id="first") == answer

    at = "2026-03-01T12:00:00Z"
    known = operator.ask(KNOW, id=session["id"], at=at, kwh="7.50")
    assert (known["connectedAt"], known["energyKwh"]) == (at, "7.50")
    ended = operator.ask(END, id=session["id"], end="FORCED_DISCONNECT")
    assert (ended["end"], ended["endedAt"] is not None) == ("FORCED_DISCONNECT", True)
    assert operator.error(END, id=session["id"], end="AUTHORISED_STOP")["extensions"]["code"] == "NOT_POSSIBLE"


def test_reports_a_session_that_the_hub_cannot_confirm(by: By):
    operator = by("operator")
    at = "2026-03-01T12:00:00Z"
    given = {"token": {**TOKEN, "instance": "FF"}, "contract": "DE8AA001234567", "evse": "DE8ACE1", "at": at}
    answer = operator.ask(START, **given)
    assert answer["result"]["code"] == "OK"
    assert answer["session"]["warnings"] == ["NO_CONTRACT_THEN", "TOKEN_NOT_VALID"]
    assert (answer["session"]["authorisedAt"], answer["authorisation"]) == (at, None)


def test_updates_and_removes_tokens(by: By):
    provider = by("provider")
    assert provider.ask(UPDATE, items=[item("11")])["accepted"] == 1
    assert provider.ask(UPDATE, items=[item("11")])["unchanged"] == 1
    report = provider.ask(REMOVE, items=[{"instance": "11", "type": "RFID"}, {"instance": "11", "type": "ISO_15118"}])
    assert (report["removed"], [each["path"] for each in report["refused"]]) == (1, ["tokens[1]"])


def test_answers_alike_about_a_session_of_others_and_about_none(by: By):
    operator, stranger = by("operator"), by("stranger")
    by("provider").ask(UPDATE, items=[item("22")])
    session = operator.ask(REQUEST, token={**TOKEN, "instance": "22"}, evse=None, id=None)["session"]
    unknown = str(uuid4())
    theirs, none = (stranger.error(KNOW, id=id_, at=None, kwh="1") for id_ in (session["id"], unknown))
    assert repr(theirs).replace(session["id"], "?") == repr(none).replace(unknown, "?")
    asked = [stranger.ask(REQUEST, token={**TOKEN, "instance": each}, evse="DE8ADE1", id=None) for each in ("22", "33")]
    assert asked[0] == asked[1]
    assert asked[0]["result"]["code"] == "ROAMING"


@pytest.mark.parametrize("name", ["operator", "nsp", "administrator", "nobody"])
def test_lets_providers_alone_publish_tokens(by: By, name: str):
    code = "UNAUTHENTICATED" if name == "nobody" else "FORBIDDEN"
    for document in (UPDATE, REMOVE):
        assert by(name).error(document, items=[])["extensions"]["code"] == code
    assert by(name).error(SET, items=[], part=None)["extensions"]["code"] == code


@pytest.mark.parametrize("name", ["provider", "nsp", "administrator", "nobody"])
def test_lets_operators_alone_authorise(by: By, name: str):
    code = "UNAUTHENTICATED" if name == "nobody" else "FORBIDDEN"
    errors = [
        by(name).error(REQUEST, token=TOKEN, evse=None, id=None),
        by(name).error(START, token=TOKEN, contract="DE8AA001234567", evse="DE8ACE1", at="2026-03-01T12:00:00Z"),
        by(name).error(KNOW, id=str(uuid4()), at=None, kwh="1"),
        by(name).error(END, id=str(uuid4()), end="AUTHORISED_STOP"),
    ]
    assert {error["extensions"]["code"] for error in errors} == {code}


def test_holds_providers_to_their_own_party(by: By):
    document = SET.replace("DE8AA", "FRA1B")
    assert by("provider").error(document, items=[item("1")], part=None)["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("token", "contract"),
    [
        ("SECRET", "DE8AA001234567"),
        ({"instance": ["SECRET"], "type": "RFID"}, "DE8AA001234567"),
        ({"instance": {"SECRET": 1}, "type": "RFD", "uid": "SECRET"}, "DE8AA001234567"),
        (TOKEN, "DE-8AA-SECRET123-0"),
        (TOKEN, {"SECRET": 1}),
    ],
)
@pytest.mark.parametrize("written", ["as variables", "in the document"])
def test_quotes_nothing_personal_of_what_has_another_type(by: By, token: Any, contract: Any, written: str):
    at = "2026-03-01T12:00:00Z"
    given = {"token": token, "contract": contract, "evse": "DE8ACE1", "at": at}
    document = START
    if written == "in the document":
        for name, value in given.items():
            document = document.replace(f": ${name}", f": {literal(value)}")
        document, given = document[document.index("{") :], {}
        document = f"mutation {document}"
    errors = by("operator").hub.post(document, given, by("operator").headers).json()["errors"]
    assert errors
    assert "SECRET" not in json.dumps(errors)


def literal(value: Any) -> str:
    """Write a value as GraphQL does: keys and the words of vocabularies without quotes."""
    return re.sub(r'"(\w+)":', r"\1:", json.dumps(value)).replace('"RFID"', "RFID")
