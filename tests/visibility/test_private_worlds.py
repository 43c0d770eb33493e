"""Tokens, requests, sessions, contracts and keys are shown to those who may see them, by every read, in any world."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.cluster import Cluster
from tests.hub import scratch_database
from tests.length import rounds
from tests.visibility.private_matrix import PrivateMatrix, private_matrix
from tests.visibility.streams import check
from tests.visibility.worlds import DRAFTS, ENDING, TELLING, World
from tests.visibility_matrix import ADD_EVSE, CLEARING_HOUSE, Held

#: Worlds that are put and followed together: most of the time goes by in waiting for the stream.
AT_ONCE = 5


@pytest.fixture(scope="module")
def private(cluster: Cluster, template: str) -> Iterator[PrivateMatrix]:
    with scratch_database(cluster.dsn, template, f"private_{uuid4().hex}") as dsn, private_matrix(dsn) as made:
        yield made


def test_shows_private_rows_to_those_who_may_see_them(private: PrivateMatrix) -> None:
    check(private, private.worlds([TELLING, ENDING]))


@pytest.mark.timeout(rounds(300, full=3_000))
@settings(max_examples=rounds(20, full=200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(drafts=st.tuples(*[DRAFTS] * AT_ONCE))
def test_shows_private_rows_to_those_who_may_see_them_in_any_world(private: PrivateMatrix, drafts: Any) -> None:
    check(private, private.worlds(drafts))


# ---------------------------------------------------------------- not there, and not yours


@dataclass(frozen=True)
class Named:
    """Something of Dynamo's that only Aurora the operator may know of, or nothing: what a caller can name it by."""

    session: str
    contract: str
    partner: str
    key: str
    card: str
    contract_id: str
    printed: str
    provider: str


def named(world: World, exists: bool) -> Named:
    dynamo, n = world.roles[3], 0 if exists else 9
    [contract] = [each for each in world.states[1].contracts if dynamo in each.sides and world.roles[0] in each.sides]
    token = world.tokens[3]
    return Named(
        session=str(world.id_of("session", n)),
        contract=str(contract.id if exists else world.id_of("contract", n)),
        partner=str(dynamo.partner_id if exists else world.id_of("partner", n)),
        key=str(world.id_of("key", 3 if exists else n)),
        card=token.instance if exists else world.card(n),
        contract_id=token.contract_id if exists else f"{token.contract_id[:-1]}{n}",
        printed=token.printed_number if exists else f"{token.printed_number[:-1]}{n}",
        provider=str(dynamo.party_id if exists else f"ZZ{str(dynamo.party_id)[2:]}"),
    )


TOKEN = "{ instance: $x, type: RFID }"
FOUND = "{ changes { id action token { instance } authorisation { id } } hasMore }"
RESULT = "{ result { code description } authorisation { id } session { id } }"
REPORT = "{ result { code } accepted unchanged removed refusedCount refused { path index id code message } }"

#: By name: what is named, and how it is asked for. The operator that asks has the EVSE DBXXXE0.
LOOKS: dict[str, tuple[str, str]] = {
    "session": ("session", "query ($x: ID!) { session(id: $x) { id evseId token { instance } } }"),
    "update a session": ("session", 'mutation ($x: ID!) { updateSession(sessionId: $x, energyKwh: "1") { id } }'),
    "name an EVSE": ("session", 'mutation ($x: ID!) { updateSession(sessionId: $x, evseId: "DBXXXE0") { id } }'),
    "end a session": ("session", "mutation ($x: ID!) { endSession(sessionId: $x, end: AUTHORISED_STOP) { id } }"),
    "partner": ("partner", "query ($x: ID!) { partner(id: $x) { id name apiKeys { id } } }"),
    "audit log": ("partner", "query ($x: ID!) { auditLog(partnerId: $x) { nodes { id } } }"),
    "customers of a provider": (
        "provider",
        "query ($x: PartyId!) { evses(filter: { providerId: $x }) { nodes { evseId } } }",
    ),
    "suspend a partner": ("partner", "mutation ($x: ID!) { suspendPartner(partnerId: $x) { id } }"),
    "revoke a key": ("key", "mutation ($x: ID!) { revokeApiKey(keyId: $x) { id } }"),
    **{
        f"{verb} a contract": ("contract", f"mutation ($x: ID!) {{ {verb}Contract(contractId: $x) {{ id }} }}")
        for verb in ("accept", "decline", "suspend", "resume", "end")
    },
    "tokens": ("card", f"query ($x: String!) {{ roamingAuthorisations(token: {TOKEN}) {FOUND} }}"),
    "tokens of a contract": (
        "contract_id",
        f"query ($x: ContractId!) {{ roamingAuthorisations(contractId: $x) {FOUND} }}",
    ),
    "tokens by number": ("printed", f"query ($x: String!) {{ roamingAuthorisations(printedNumber: $x) {FOUND} }}"),
    "ask about a token": (
        "card",
        f"mutation ($x: String!) {{ requestSingleRoamingAuthorisation(token: {TOKEN}) {RESULT} }}",
    ),
    "report a session": (
        "contract_id",
        f"""mutation ($x: ContractId!) {{
            startSession(contractId: $x, token: {{ instance: "77", type: RFID }}, evseId: "DBXXXE0",
                at: "2026-01-01T00:00:00Z") {RESULT}
        }}""",
    ),
    "remove a token": ("card", f"mutation ($x: String!) {{ removeRoamingAuthorisations(tokens: [{TOKEN}]) {REPORT} }}"),
}


@dataclass(frozen=True)
class Strangers:
    """A world, and the callers that have nothing to do with its Dynamo. Borealis has an EVSE."""

    private: PrivateMatrix
    world: World

    def callers(self, look: str) -> list[Held | None]:
        """Return Borealis, Aurora as a provider, Galvani and a caller without a key; of tokens and sessions, others."""
        roles = self.world.roles
        of_roles = [roles[4], CLEARING_HOUSE] if LOOKS[look][0] in ("session", "card", "contract_id", "printed") else []
        partners = [roles[1]] if of_roles else []  # Aurora has a contract with Dynamo: in its other role
        return [roles[2], roles[5], None, *partners, *of_roles]

    def ask(self, look: str, caller: Held | None, exists: bool) -> bytes:
        """Return status and body of the answer, with the name of what is there replaced."""
        made, (name, query) = self.private.made, LOOKS[look]
        query = query.replace("DBXXX", str(self.world.roles[2].party_id))
        there, absent = (getattr(named(self.world, each), name) for each in (True, False))
        response = made.hub.post(query, {"x": there if exists else absent}, made.headers(caller))
        return b"%d " % response.status_code + response.content.replace(there.encode(), absent.encode())


@pytest.fixture(scope="module")
def strangers(private: PrivateMatrix) -> Strangers:
    made, [world] = private.made, private.put(TELLING).worlds
    borealis = world.roles[2]
    made.execute(ADD_EVSE, borealis.party_id, f"{borealis.party_id}E0", "L0", 7.0, 51.0)
    return Strangers(private, world)


@pytest.mark.parametrize("look", LOOKS)
def test_says_the_same_of_what_is_not_there_and_not_yours(strangers: Strangers, look: str) -> None:
    for caller in strangers.callers(look):
        there, absent = (strangers.ask(look, caller, exists) for exists in (True, False))
        assert there == absent, caller


#: By look, the caller that is answered otherwise where the thing exists.
TOLD = {"session": 0, "tokens": 0, "ask about a token": 0, "partner": 3, "audit log": 3, "accept a contract": 0}


@pytest.mark.parametrize("look", TOLD)
def test_would_notice_what_is_told_of_it(strangers: Strangers, look: str) -> None:
    rightful = strangers.world.roles[TOLD[look]]
    there, absent = (strangers.ask(look, rightful, exists) for exists in (True, False))
    assert there != absent


LOOKED, APART, TRIES = 200, 0.1, 3


@pytest.mark.timed
@pytest.mark.parametrize("look", LOOKS)
def test_takes_as_long_for_what_is_not_there_and_not_yours(strangers: Strangers, look: str) -> None:
    """A difference that is no chance is there whenever it is measured."""
    caller = strangers.world.roles[1 if look == "remove a token" else 2]
    ratios: list[float] = []
    while not ratios or abs(ratios[-1] - 1) > APART:
        assert len(ratios) < TRIES, ratios
        there, absent = medians_of(strangers, look, caller)
        ratios.append(max(there, absent) / min(there, absent))


def medians_of(strangers: Strangers, look: str, caller: Held) -> tuple[float, float]:
    """Return the seconds that looks take at what is there and at what is not, one after the other in turn."""
    taken: tuple[list[float], list[float]] = [], []
    for _ in range(LOOKED):
        for exists, times in zip((True, False), taken, strict=True):
            began = time.perf_counter()
            strangers.ask(look, caller, exists)
            times.append(time.perf_counter() - began)
    return median(taken[0]), median(taken[1])
