"""Operators and parking spot operators publish over HTTP: what the API's face adds to what `tests/ingest` proves."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.db.cluster import Cluster
from app.vocabulary import Role
from tests.exchange.world import enrol
from tests.hub import Hub, scratch_database, serve
from tests.world import T2_SOCKET, evse

Headers = dict[str, str]
REPORT = "result { code description } accepted unchanged removed refused { path index id code message }"
LISTED = "$part: ListPart, $confirmRemovals: Boolean! = false"

PARTNERS = {
    "operator": (Role.EVSE_OPERATOR, "DE8AC"),
    "other operator": (Role.EVSE_OPERATOR, "DEOTH"),
    "pso": (Role.PSO, "DEPRK"),
    "other pso": (Role.PSO, "DEXYZ"),
    "evsp": (Role.EVSP, "DE8AC"),
    "nsp": (Role.NSP, None),
    "administrator": (Role.ADMINISTRATOR, None),
}


def charge_point(number: int, /, **more: Any) -> dict[str, Any]:
    return evse(f"DE*8AC*E{number}", f"L{number}", 48.4, 9.9, T2_SOCKET, **more)


def spot(number: int, /, **more: Any) -> dict[str, Any]:
    return {"parkingId": f"DE*PRK*P{number}", **more}


@dataclass(frozen=True)
class Kind:
    """What is published, in the words of the API."""

    publisher: str
    argument: str
    noun: str
    set: str
    update: str
    remove: str
    own: str
    id_field: str
    ids: str
    item: Callable[..., dict[str, Any]]
    change: dict[str, Any]
    foreign: dict[str, Any]
    read: str

    def id(self, number: int) -> str:
        return self.item(number)[self.id_field]


CHARGE_POINTS = Kind(
    publisher="operator",
    argument="chargePoints",
    noun="charge point",
    set=f"mutation ($party: PartyId!, $items: [ChargePointInput!]!, {LISTED}) {{ report: setChargePointList("
    f"operatorId: $party, chargePoints: $items, part: $part, confirmRemovals: $confirmRemovals) {{ {REPORT} }} }}",
    update="mutation ($items: [ChargePointInput!]!) {"
    f" report: updateChargePointList(chargePoints: $items) {{ {REPORT} }} }}",
    remove=f"mutation ($items: [EvseId!]!) {{ report: removeChargePoints(evseIds: $items) {{ {REPORT} }} }}",
    own="DE*8AC",
    id_field="evseId",
    ids="evseIds",
    item=charge_point,
    change={"telephoneNumber": "+49 731 1"},
    foreign=evse("DE*OTH*E1", "L1", 48.4, 9.9, T2_SOCKET),
    read="{ seen: evses { nodes { id: evseId } } }",
)
SPOTS = Kind(
    publisher="pso",
    argument="parkingSpots",
    noun="parking spot",
    set=f"mutation ($party: PartyId!, $items: [ParkingSpotInput!]!, {LISTED}) {{ report: setParkingSpotList("
    f"psoId: $party, parkingSpots: $items, part: $part, confirmRemovals: $confirmRemovals) {{ {REPORT} }} }}",
    update="mutation ($items: [ParkingSpotInput!]!) {"
    f" report: updateParkingSpotList(parkingSpots: $items) {{ {REPORT} }} }}",
    remove=f"mutation ($items: [ParkingId!]!) {{ report: removeParkingSpots(parkingIds: $items) {{ {REPORT} }} }}",
    own="DE*PRK",
    id_field="parkingId",
    ids="parkingIds",
    item=spot,
    change={"number": "7"},
    foreign={"parkingId": "DE*XYZ*P1"},
    read="{ seen: parkingSpots { nodes { id: parkingId } } }",
)
both = pytest.mark.parametrize("kind", [CHARGE_POINTS, SPOTS], ids=["charge points", "parking spots"])


@dataclass(frozen=True)
class Publisher:
    """A client with a key, and its hub."""

    hub: Hub
    headers: Headers

    def send(self, document: str, items: Any, **more: Any) -> dict[str, Any]:
        """Send what is let in; give the report."""
        return self.hub.ask(document, {"items": items, **more}, self.headers)["report"]

    def counts(self, document: str, items: Any, **more: Any) -> tuple[int, int, int, list[str]]:
        report = self.send(document, items, **more)
        codes = [refusal["code"] for refusal in report["refused"]]
        return report["accepted"], report["unchanged"], report["removed"], codes

    def error(self, document: str, items: Any, **more: Any) -> dict[str, Any]:
        """Send what is refused as a whole; give the one error."""
        answer = self.hub.post(document, {"items": items, **more}, self.headers).json()
        assert not answer.get("data")
        [error] = answer["errors"]
        return error

    def ids(self, kind: Kind) -> list[str]:
        return [node["id"] for node in self.hub.ask(kind.read, headers=self.headers)["seen"]["nodes"]]


@pytest.fixture(scope="module")
def dsn(cluster: Cluster, template: str) -> Iterator[str]:
    with scratch_database(cluster.dsn, template, f"publishing_{uuid4().hex}") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def hub(dsn: str) -> Iterator[Hub]:
    """A hub that tests of this file publish to."""
    with serve(dsn) as hub:
        yield hub


@pytest.fixture(scope="module")
def headers(hub: Hub) -> dict[str, Headers]:
    async def enrol_all() -> dict[str, Headers]:
        members = {name: await enrol(hub.database, name, role) for name, role in PARTNERS.items()}
        return {name: {"Authorization": f"Bearer {member.key.secret}"} for name, [member] in members.items()}

    return hub.run(enrol_all())


PUBLISHED = "evse, location, parking_spot, evse_parking_spot, parking_status, evse_status, refusal, upload_list"


@pytest.fixture
def by(hub: Hub, dsn: str, headers: dict[str, Headers]) -> Callable[[str], Publisher]:
    """Return clients by the name of their partner, in a hub where nothing is published yet."""

    async def clear() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"truncate {PUBLISHED} cascade")
        await connection.close()

    hub.run(clear())
    return lambda name: Publisher(hub, headers.get(name, {}))


By = Callable[[str], Publisher]


def part(number: int, last: bool = False, list_id: str = "a") -> dict[str, Any]:
    return {"listId": list_id, "number": number, "last": last}


# ---------------------------------------------------------------- what goes in


@both
def test_takes_items_says_unchanged_and_takes_them_away(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    items = [kind.item(1), kind.item(2)]
    assert publisher.send(kind.update, items) == {
        "result": {"code": "OK", "description": "2 accepted, 0 unchanged, 0 removed, 0 refused"},
        "accepted": 2,
        "unchanged": 0,
        "removed": 0,
        "refused": [],
    }
    assert publisher.ids(kind) == [kind.id(1), kind.id(2)]
    assert publisher.counts(kind.update, items) == (0, 2, 0, [])
    assert publisher.counts(kind.update, [kind.item(2, **kind.change)]) == (1, 0, 0, [])
    assert publisher.counts(kind.remove, [kind.id(1).lower().replace("*", "")]) == (0, 0, 1, [])
    assert publisher.ids(kind) == [kind.id(2)]


@both
def test_replaces_a_whole_list_and_says_unchanged_the_second_time(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    for party in (kind.own, kind.own.replace("*", "").lower()):
        expected = (3, 0, 0, []) if party == kind.own else (0, 3, 0, [])
        assert publisher.counts(kind.set, [kind.item(n) for n in (1, 2, 3)], party=party) == expected
    items = [kind.item(1), kind.item(2, **kind.change)]
    assert publisher.counts(kind.set, items, party=kind.own) == (1, 1, 1, [])
    assert publisher.ids(kind) == [kind.id(1), kind.id(2)]


@both
def test_takes_what_is_written_into_the_document(by: By, kind: Kind) -> None:
    """Variables in a list, an object in a list or instead of one, as GraphQL lets them be written."""
    publisher, noun = by(kind.publisher), kind.argument[0].upper() + kind.argument[1:-1]
    written = json.dumps(kind.item(3))
    for name in re.findall(r'"(\w+)":', written):
        written = written.replace(f'"{name}":', f"{name}:")
    for word in ("ON_STREET", "PUBLIC", "IEC_62196_T2", "SOCKET", "AC"):
        written = written.replace(f'"{word}"', word)
    document = f"""mutation ($one: {noun}Input!, $two: {noun}Input!) {{
        mixed: update{noun}List({kind.argument}: [$one, $two, {written}]) {{ {REPORT} }}
        single: update{noun}List({kind.argument}: {written}) {{ {REPORT} }}
    }}"""
    data = publisher.hub.ask(document, {"one": kind.item(1), "two": kind.item(2)}, publisher.headers)
    assert [(data[name]["accepted"], data[name]["unchanged"]) for name in ("mixed", "single")] == [(3, 0), (0, 1)]


# ---------------------------------------------------------------- what stays out, item by item


@both
@pytest.mark.parametrize("whole", [False, True], ids=["update", "set"])
def test_refuses_items_one_by_one_in_words_and_takes_the_others(by: By, kind: Kind, whole: bool) -> None:
    publisher = by(kind.publisher)
    damaged = {**kind.item(2), "restrictions": ["EV_ONLY", "BICYCLES"], "colour": "green"}
    doubled = kind.item(4, **kind.change)
    items = [kind.item(1), damaged, "nonsense", kind.foreign, kind.item(4), doubled, {**kind.item(5), kind.id_field: 5}]
    more = {"party": kind.own} if whole else {}
    report = publisher.send(kind.set if whole else kind.update, items, **more)
    assert report["result"] == {"code": "PARTLY", "description": "2 accepted, 0 unchanged, 0 removed, 5 refused"}
    name, field = kind.argument, kind.id_field
    assert {(r["index"], r["path"], r["id"], r["code"]) for r in report["refused"]} == {
        (1, f"{name}[1].restrictions[1]", kind.id(2), "UNKNOWN_VALUE"),
        (1, f"{name}[1].colour", kind.id(2), "UNKNOWN_FIELD"),
        (2, f"{name}[2]", None, "WRONG_TYPE"),
        (3, f"{name}[3].{field}", kind.foreign[field], "INVALID_ID"),
        (4, f"{name}[4].{field}", kind.id(4), "DUPLICATE"),
        (6, f"{name}[6].{field}", None, "WRONG_TYPE"),
    }
    messages = {(refusal["index"], refusal["code"]): refusal["message"] for refusal in report["refused"]}
    foreign = f"{kind.foreign[field]} is not under your party id; ids that begin with {kind.own} are possible"
    assert messages[3, "INVALID_ID"] == foreign
    assert "BICYCLES" in messages[1, "UNKNOWN_VALUE"]
    assert f"{name}[5]" in messages[4, "DUPLICATE"]
    assert publisher.ids(kind) == [kind.id(1), kind.id(4)]
    kept = publisher.hub.ask(
        "{ refusals { nodes { operation path index itemId code message } } }", None, publisher.headers
    )
    [operation] = {node["operation"] for node in kept["refusals"]["nodes"]}
    assert operation in (kind.set if whole else kind.update)
    later = {(node["path"], node["itemId"], node["code"], node["message"]) for node in kept["refusals"]["nodes"]}
    assert later == {(each["path"], each["id"], each["code"], each["message"]) for each in report["refused"]}


@both
def test_says_why_when_nothing_went_in(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    assert publisher.send(kind.update, [kind.foreign])["result"]["code"] == "INVALID_ID"
    assert publisher.send(kind.update, ["nonsense"])["result"]["code"] == "FORMAT"
    assert publisher.send(kind.update, [kind.foreign, 12])["result"]["code"] == "FORMAT"
    assert publisher.send(kind.update, [])["result"]["code"] == "OK"
    assert publisher.ids(kind) == []


@both
def test_says_the_same_of_foreign_ids_whether_or_not_the_thing_exists(by: By, kind: Kind) -> None:
    publisher, owner = by(kind.publisher), by(f"other {kind.publisher}")
    asked = ((kind.update, [kind.foreign]), (kind.remove, [kind.foreign[kind.id_field]]))
    before = [publisher.send(document, items) for document, items in asked]
    assert owner.counts(kind.update, [kind.foreign])[0] == 1
    assert [publisher.send(document, items) for document, items in asked] == before
    assert len(owner.ids(kind)) == 1


@both
def test_refuses_to_remove_what_is_not_there_by_its_place_in_the_list(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    publisher.send(kind.update, [kind.item(1)])
    report = publisher.send(kind.remove, [kind.id(9), kind.id(1), kind.id(1), "?", 5, None])
    assert (report["removed"], report["unchanged"], report["result"]["code"]) == (1, 1, "PARTLY")
    assert [(each["path"], each["index"], each["id"], each["code"]) for each in report["refused"]] == [
        (f"{kind.ids}[0]", 0, kind.id(9), "INVALID_ID"),
        (f"{kind.ids}[3]", 3, "?", "INVALID_ID"),
        (f"{kind.ids}[4]", 4, None, "INVALID_ID"),
        (f"{kind.ids}[5]", 5, None, "INVALID_ID"),
    ]
    assert report["refused"][0]["message"] == f"{kind.id(9)} is no {kind.noun} of {kind.own}"


# ---------------------------------------------------------------- lists in parts


@both
def test_keeps_a_list_back_while_a_part_is_missing(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    publisher.send(kind.update, [kind.item(9)])

    def send(number: int, last: bool = False, **more: Any) -> Any:
        items = [kind.item(number), kind.item(10 + number)]
        return kind.set, items, {"party": kind.own, "part": part(number, last), **more}

    def put(number: int, last: bool = False, **more: Any) -> Any:
        document, items, rest = send(number, last, **more)
        return publisher.counts(document, items, **rest)

    assert put(2) == (2, 0, 0, [])
    document, items, rest = send(4, True, confirmRemovals=True)
    error = publisher.error(document, items, **rest)
    assert error["message"] == "part 4 is the last, but of the parts before it these are missing: 1, 3"
    assert (error["path"], error["extensions"]["code"]) == (["report"], "LIST_INCOMPLETE")
    assert "send the missing ones" in error["extensions"]["hint"]
    assert put(1) == (2, 0, 0, [])
    assert publisher.ids(kind) == [kind.id(9)]
    # Completed by a part that is not the last: the removals that the last one allowed are not stored.
    document, items, rest = send(3)
    assert publisher.error(document, items, **rest)["extensions"]["code"] == "CONFIRM_REMOVALS"
    assert publisher.ids(kind) == [kind.id(9)]
    assert put(4, True, confirmRemovals=True) == (8, 0, 1, [])
    assert sorted(publisher.ids(kind)) == sorted(kind.id(n) for n in (1, 2, 3, 4, 11, 12, 13, 14))


@both
def test_lets_a_part_that_comes_again_replace_itself(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    first = {"party": kind.own, "part": part(1)}
    assert publisher.counts(kind.set, [kind.item(1), kind.item(2)], **first) == (2, 0, 0, [])
    assert publisher.counts(kind.set, [kind.item(1)], **first) == (1, 0, 0, [])
    assert publisher.counts(kind.set, [kind.item(3)], party=kind.own, part=part(2, last=True)) == (2, 0, 0, [])
    assert publisher.ids(kind) == [kind.id(1), kind.id(3)]


@both
def test_drops_more_than_half_only_when_that_is_confirmed(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    publisher.send(kind.set, [kind.item(n) for n in (1, 2, 3, 4)], party=kind.own)
    error = publisher.error(kind.set, [kind.item(1)], party=kind.own)
    assert error["message"] == f"the list would remove 3 of 4 {kind.noun}s"
    assert (error["path"], error["extensions"]["code"]) == (["report"], "CONFIRM_REMOVALS")
    assert "confirmRemovals: true" in error["extensions"]["hint"]
    assert len(publisher.ids(kind)) == 4
    assert publisher.counts(kind.set, [kind.item(1)], party=kind.own, confirmRemovals=True) == (0, 1, 3, [])
    assert publisher.ids(kind) == [kind.id(1)]


@both
def test_refuses_an_empty_list_even_when_confirmed(by: By, kind: Kind) -> None:
    publisher = by(kind.publisher)
    publisher.send(kind.update, [kind.item(1)])
    error = publisher.error(kind.set, [], party=kind.own, confirmRemovals=True)
    assert (error["path"], error["extensions"]["code"]) == (["report"], "EMPTY_LIST")
    assert publisher.ids(kind) == [kind.id(1)]


@both
@pytest.mark.parametrize(
    "wrong",
    [
        part(0),
        part(10_001),
        part(1, list_id=""),
        part(1, list_id="x" * 256),
        {"listId": "a", "number": 1},
        {"listId": "a", "number": "1", "last": True},
        {"listId": "a", "number": 1, "last": True, "of": 3},
    ],
)
def test_refuses_a_part_that_has_no_place(by: By, kind: Kind, wrong: dict[str, Any]) -> None:
    publisher = by(kind.publisher)
    error = publisher.error(kind.set, [kind.item(1)], party=kind.own, part=wrong)
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert publisher.ids(kind) == []


@both
def test_keeps_lists_of_one_name_of_two_parties_apart(by: By, kind: Kind) -> None:
    publisher, other = by(kind.publisher), by(f"other {kind.publisher}")
    publisher.send(kind.set, [kind.item(1)], party=kind.own, part=part(1))
    foreign_party = kind.foreign[kind.id_field][:6]
    assert other.counts(kind.set, [kind.foreign], party=foreign_party, part=part(1, last=True)) == (1, 0, 0, [])
    assert publisher.ids(kind) == []


@both
@pytest.mark.parametrize("whole", [False, True])
def test_lists_a_bounded_number_of_refusals_and_counts_all(by: By, kind: Kind, whole: bool) -> None:
    document, more = (kind.set, {"party": kind.own}) if whole else (kind.update, {})
    report = by(kind.publisher).send(document, [*[{}] * 6_000, kind.item(1)], **more)
    assert (report["accepted"], len(report["refused"])) == (1, 1_000)
    unlisted = 6_000 - len({each["index"] for each in report["refused"]})
    counted = "1 accepted, 0 unchanged, 0 removed, 6000 refused; the first 1000 reasons are listed"
    unlisted_words = "" if whole else f", those of {unlisted} more items are not"
    assert report["result"] == {"code": "PARTLY", "description": counted + unlisted_words}


# ---------------------------------------------------------------- who may


MUTATIONS = {
    "setChargePointList": ('(operatorId: "DE*8AC", chargePoints: [])', {"operator"}),
    "updateChargePointList": ("(chargePoints: [])", {"operator"}),
    "removeChargePoints": ("(evseIds: [])", {"operator"}),
    "setParkingSpotList": ('(psoId: "DE*PRK", parkingSpots: [])', {"pso"}),
    "updateParkingSpotList": ("(parkingSpots: [])", {"pso"}),
    "removeParkingSpots": ("(parkingIds: [])", {"pso"}),
    "updateStatus": ("", {"operator", "pso"}),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_is_for_the_roles_that_publish_and_for_nobody_else(by: By, mutation: str) -> None:
    arguments, publishers = MUTATIONS[mutation]
    document = f"mutation {{ {mutation}{arguments} {{ accepted }} }}"
    others = {"operator", "pso", "evsp", "nsp", "administrator"} - publishers
    for name in others:
        error = by(name).error(document, [])
        assert (error["path"], error["extensions"]["code"]) == ([mutation], "FORBIDDEN"), name
        assert error["message"].endswith(f"this key acts as {PARTNERS[name][0]}")
    stranger = by("nobody").error(document, [])
    assert (stranger["path"], stranger["extensions"]["code"]) == ([mutation], "UNAUTHENTICATED")
    for name in publishers:
        answer = by(name).hub.post(document, None, by(name).headers).json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        assert codes in ([], ["EMPTY_LIST"]), "let in"


@both
def test_replaces_no_list_of_another_party(by: By, kind: Kind) -> None:
    """The same words whether or not anybody holds that party id."""
    publisher, other = by(kind.publisher), by(f"other {kind.publisher}")
    foreign_party = kind.foreign[kind.id_field][:6]
    other.send(kind.update, [kind.foreign])
    for party in (foreign_party, "ZZ*ZZZ"):
        error = publisher.error(kind.set, [kind.foreign], party=party, confirmRemovals=True)
        assert (error["path"], error["extensions"]["code"]) == (["report"], "FORBIDDEN")
        plain, own = party.replace("*", ""), kind.own.replace("*", "")
        assert error["message"] == f"{plain} is not your party id; this key acts for {own}"
    assert publisher.error(kind.set, [kind.item(1)], party="nonsense")["extensions"]["code"] == "INVALID_ID"
    assert len(other.ids(kind)) == 1


# ---------------------------------------------------------------- a spot that only a link knows


SPOT = """query ($id: ParkingId!) { spot: parkingSpot(parkingId: $id) {
    parkingId status restrictions floorLevel number position { latitude } updatedAt evses { evseId }
} }"""
STATUS = f"mutation ($items: [ParkingStatusInput!]) {{ report: updateStatus(parkingSpots: $items) {{ {REPORT} }} }}"


def test_lets_a_spot_that_is_known_by_a_link_wait_for_its_pso(by: By) -> None:
    operator, pso, other = by("operator"), by("pso"), by("other pso")

    def shown(by: Publisher) -> Any:
        return by.hub.ask(SPOT, {"id": "de*prk*p1"}, by.headers)["spot"]

    free = [{"parkingId": "DE*PRK*P1", "status": "AVAILABLE"}]
    assert pso.counts(STATUS, free) == (0, 0, 0, ["INVALID_ID"])
    linking = charge_point(1, parkingSpots=[{"parkingId": "de*prk*p1", "number": "A1"}])
    assert operator.counts(CHARGE_POINTS.update, [linking]) == (1, 0, 0, [])
    waiting = {
        "parkingId": "DE*PRK*P1",
        "status": "UNKNOWN",
        "restrictions": [],
        "floorLevel": None,
        "number": None,
        "position": None,
        "updatedAt": None,
    }
    assert shown(operator) == {**waiting, "evses": [{"evseId": "DE*8AC*E1"}]}
    hidden = {**waiting, "evses": []}
    assert shown(pso) == hidden, "no contract: the EVSE is not visible to the PSO"
    assert shown(other) is None
    assert pso.counts(SPOTS.remove, ["DE*PRK*P1"]) == (0, 0, 0, ["INVALID_ID"]), "nothing of it is published"

    assert pso.counts(STATUS, free) == (1, 0, 0, [])
    assert other.counts(STATUS, free) == (0, 0, 0, ["INVALID_ID"])
    assert pso.counts(SPOTS.update, [spot(1, number="7", restrictions=["DISABLED"])]) == (1, 0, 0, [])
    assert shown(operator) == {**waiting, "evses": [{"evseId": "DE*8AC*E1"}]}, "no contract: the link is all it sees"
    said = shown(pso)
    assert (said["status"], said["number"], said["restrictions"]) == ("AVAILABLE", "7", ["DISABLED"])
    assert said["updatedAt"] is not None

    assert pso.counts(SPOTS.remove, ["DE*PRK*P1"]) == (0, 0, 1, [])
    assert shown(pso)["number"] is None
    assert operator.counts(CHARGE_POINTS.remove, ["DE*8AC*E1"]) == (0, 0, 1, [])
    assert shown(operator) is None
    assert shown(pso) is None
