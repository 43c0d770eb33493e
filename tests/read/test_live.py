"""Live status as readers see it: after its ttl UNKNOWN, blocked by taken spots, counted, found and as it was."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.read.live import COUNTED, availability
from app.vocabulary import MajorStatus, MinorStatus
from tests.read.ground import T2, Ground, make_ground
from tests.world import CCS, evse

LATER = timedelta(hours=1)
EARLIER = -LATER
#: Allowed pairs of major and minor.
PAIRS = [
    (major, minor)
    for major, minors in {
        "UNKNOWN": [None],
        "AVAILABLE": [None, "AVAILABLE", "RESERVED"],
        "NOT_AVAILABLE": [None, "CHARGING", "BLOCKED", "RESERVED", "OUT_OF_ORDER"],
    }.items()
    for minor in minors
]
#: What may be said of a spot: its status, and whether that holds still.
SPOTS = [("AVAILABLE", LATER), ("NOT_AVAILABLE", LATER), ("UNKNOWN", LATER), ("NOT_AVAILABLE", EARLIER)]


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with make_ground(cluster, template) as ground:
        yield ground


def say(ground: Ground, table: str, key: str, status: Mapping[str, Any]) -> None:
    """Write a row of status as it would stand some time after it was said."""

    async def work(database: Database) -> None:
        names = list(status)
        sets = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, 2))
        id_ = "evse_id" if table == "evse_status" else "parking_id"
        await database.write(
            lambda connection: connection.execute(f"update {table} set {sets} where {id_} = $1", key, *status.values())
        )

    ground.run(work)


def said(now: datetime, holds: timedelta, **status: Any) -> dict[str, Any]:
    expires_at = now + holds
    return {**status, "at": now, "updated_at": now, "ttl": expires_at, "expires_at": expires_at}


def refresh(ground: Ground, *evse_ids: str) -> None:
    async def work(database: Database) -> None:
        await database.write(lambda connection: connection.execute("select refresh_blocked($1, now())", list(evse_ids)))

    ground.run(work)


def shown(ground: Ground, evse_id: str) -> dict[str, Any]:
    query = """query ($id: EvseId!) { evse(evseId: $id) {
        status { major minor ttl } combinedStatus { major minor ttl } parkingSpots { spot { status ttl } } } }"""
    return ground.hub.ask(query, {"id": evse_id})["evse"]


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("holds", [LATER, EARLIER])
def test_shows_a_status_until_it_runs_out(ground: Ground, pair: tuple[str, str | None], holds: timedelta):
    ground.put([evse("DE*TST*EONE", "ONE", 50, 10, T2)])
    major, minor = pair
    status = said(datetime.now(UTC), holds, major=major, minor=minor)
    say(ground, "evse_status", "DETSTEONE", status)
    expected = {"major": major, "minor": minor, "ttl": text(status["ttl"])}
    if holds is EARLIER:
        expected = {"major": "UNKNOWN", "minor": None, "ttl": None}
    assert shown(ground, "DE*TST*EONE")["status"] == expected
    assert shown(ground, "DE*TST*EONE")["combinedStatus"] == expected


@pytest.mark.parametrize("spots", [*product(SPOTS, repeat=1), *product(SPOTS, repeat=2)])
def test_is_blocked_while_all_its_spots_are_taken(ground: Ground, spots: Sequence[tuple[str, timedelta]]):
    linked = [{"parkingId": f"DE*TST*P{place}"} for place, _ in enumerate(spots)]
    ground.put([evse("DE*TST*ETWO", "TWO", 50, 10, T2, parkingSpots=linked)])
    now = datetime.now(UTC)
    for place, (status, holds) in enumerate(spots):
        extended = said(now, holds + timedelta(minutes=place), status=status)
        say(ground, "parking_status", f"DETSTP{place}", extended)
    blocked = all(spot == ("NOT_AVAILABLE", LATER) for spot in spots)
    for major, minor in PAIRS:
        own = said(now, timedelta(days=1), major=major, minor=minor)
        say(ground, "evse_status", "DETSTETWO", own)
        refresh(ground, "DETSTETWO")
        expected = {"major": major, "minor": minor, "ttl": text(own["ttl"])}
        if blocked and major == "AVAILABLE":
            expected = {"major": "NOT_AVAILABLE", "minor": "BLOCKED", "ttl": text(now + LATER)}
        assert shown(ground, "DE*TST*ETWO")["combinedStatus"] == expected
        assert shown(ground, "DE*TST*ETWO")["status"] == {"major": major, "minor": minor, "ttl": text(own["ttl"])}


def test_is_not_blocked_without_spots(ground: Ground):
    ground.put([evse("DE*TST*EBARE", "BARE", 50, 10, T2)])
    say(ground, "evse_status", "DETSTEBARE", said(datetime.now(UTC), LATER, major="AVAILABLE"))
    refresh(ground, "DETSTEBARE")
    assert shown(ground, "DE*TST*EBARE")["combinedStatus"]["major"] == "AVAILABLE"


def test_shows_the_state_of_a_spot_until_it_runs_out(ground: Ground):
    linked = [{"parkingId": "DE*TST*PFREE"}, {"parkingId": "DE*TST*POLD"}, {"parkingId": "DE*TST*PNEW"}]
    ground.put([evse("DE*TST*ESPOTS", "SPOTS", 50, 10, T2, parkingSpots=linked)])
    now = datetime.now(UTC)
    say(ground, "parking_status", "DETSTPFREE", said(now, LATER, status="AVAILABLE"))
    say(ground, "parking_status", "DETSTPOLD", said(now, EARLIER, status="NOT_AVAILABLE"))
    spots = [each["spot"] for each in shown(ground, "DE*TST*ESPOTS")["parkingSpots"]]
    unknown = {"status": "UNKNOWN", "ttl": None}
    assert spots == [{"status": "AVAILABLE", "ttl": text(now + LATER)}, unknown, unknown]
    root = ground.hub.ask('{ parkingSpot(parkingId: "DE*TST*PFREE") { status ttl updatedAt } }')["parkingSpot"]
    assert root == {"status": "AVAILABLE", "ttl": text(now + LATER), "updatedAt": text(now)}


# ---------------------------------------------------------------- found by it

ALWAYS = {"openingTimes": {"twentyfourseven": True}}


@pytest.fixture(scope="module")
def stations(ground: Ground) -> Ground:
    """Two locations: one with two EVSEs free and one taken; one with two free, but closed and of unknown hours."""
    ground.put(
        [
            evse("DE*TST*EA1", "STATIONA", 51, 7, T2, CCS, **ALWAYS, kw=22),
            evse("DE*TST*EA2", "STATIONA", 51, 7, T2, **ALWAYS, kw=22),
            evse("DE*TST*EA3", "STATIONA", 51, 7, T2, T2, **ALWAYS, kw=11),
            evse("DE*TST*EB1", "STATIONB", 51, 7.01, T2, openingTimes={"twentyfourseven": False}),
            evse("DE*TST*EB2", "STATIONB", 51, 7.01, T2),
        ]
    )
    now = datetime.now(UTC)
    for evse_id in ("DETSTEA1", "DETSTEA2", "DETSTEB1", "DETSTEB2"):
        say(ground, "evse_status", evse_id, said(now, LATER, major="AVAILABLE"))
    say(ground, "evse_status", "DETSTEA3", said(now, LATER, major="NOT_AVAILABLE", minor="CHARGING"))
    return ground


AROUND = "within: { near: { latitude: 51, longitude: 7, radiusM: 5000 } }"


def test_finds_what_is_usable_now(stations: Ground):
    query = f"{{ evses({AROUND}, filter: {{ availableNow: %s }}) {{ nodes {{ evseId usable }} }} }}"
    nodes = stations.hub.ask(query % "true")["evses"]["nodes"]
    assert nodes == [{"evseId": "DE*TST*EA1", "usable": True}, {"evseId": "DE*TST*EA2", "usable": True}]
    usable = {node["evseId"]: node["usable"] for node in stations.hub.ask(query % "false")["evses"]["nodes"]}
    assert usable == {
        "DE*TST*EA1": True,
        "DE*TST*EA2": True,
        "DE*TST*EA3": False,
        "DE*TST*EB1": False,
        "DE*TST*EB2": None,
    }


@pytest.mark.parametrize(("at_least", "found"), [(0, 2), (1, 1), (2, 1), (3, 0)])
def test_finds_locations_with_so_many_available(stations: Ground, at_least: int, found: int):
    query = f"{{ locations({AROUND}, minAvailable: {at_least}) {{ nodes {{ locationId }} }} }}"
    assert len(stations.hub.ask(query)["locations"]["nodes"]) == found


def test_counts_those_that_pass_the_filter_only(stations: Ground):
    query = f"{{ locations({AROUND}, minAvailable: 2, filter: {{ connectorStandards: [IEC_62196_T2_COMBO] }}) %s }}"
    assert stations.hub.ask(query % "{ nodes { locationId } }")["locations"]["nodes"] == []


def test_refuses_to_want_less_than_none(stations: Ground):
    answer = stations.hub.post("{ locations(minAvailable: -1) { nodes { locationId } } }").json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_FILTER"


def test_counts_a_location(stations: Ground):
    query = """{ location(operatorId: "DETST", locationId: "stationa") { availability {
        total available charging blocked reserved outOfOrder notAvailable unknown updatedAt
        byConnector { standard maximumPowerKw total available outOfOrder unknown } } } }"""
    counted = stations.hub.ask(query)["location"]["availability"]
    assert counted.pop("updatedAt").endswith("Z")
    none = {"outOfOrder": 0, "unknown": 0}
    assert counted.pop("byConnector") == [
        {"standard": "IEC_62196_T2", "maximumPowerKw": 11, "total": 1, "available": 0, **none},
        {"standard": "IEC_62196_T2", "maximumPowerKw": 22, "total": 2, "available": 2, **none},
        {"standard": "IEC_62196_T2_COMBO", "maximumPowerKw": 22, "total": 1, "available": 1, **none},
    ]
    nothing = dict.fromkeys(("blocked", "reserved", "outOfOrder", "notAvailable", "unknown"), 0)
    assert counted == {"total": 3, "available": 2, "charging": 1, **nothing}


def test_counts_every_pair_once():
    assert set(COUNTED) == {(MajorStatus(major), minor and MinorStatus(minor)) for major, minor in PAIRS}
    counted = availability([(major, minor, None, ["CHADEMO"], None) for major, minor in PAIRS])
    parts = ("available", "charging", "blocked", "reserved", "outOfOrder", "notAvailable", "unknown")
    assert counted["total"] == sum(counted[part] for part in parts) == len(PAIRS)


def test_shows_the_newest_update_to_the_fraction_of_a_second():
    instants = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", None]
    assert availability([("UNKNOWN", None, at, ["CHADEMO"], None) for at in instants])["updatedAt"] == instants[1]


# ---------------------------------------------------------------- as it was


def test_shows_the_last_changes_of_a_period(ground: Ground):
    ground.put([evse("DE*TST*EOLD1", "OLD", 50, 10, T2), evse("DE*TST*EOLD2", "OLD", 50, 10, T2)])
    begin = datetime(2026, 5, 1, tzinfo=UTC)

    async def work(database: Database) -> None:
        await database.write(
            lambda connection: connection.execute(
                """
                insert into status_history (evse_id, at, major)
                select 'DETSTEOLD1', $1::timestamptz + n * interval '1 minute', 'UNKNOWN'
                from generate_series(0, 1200) as n
                union all select 'DETSTEOLD2', $1, 'AVAILABLE'
                """,
                begin,
            )
        )

    ground.run(work)
    query = """query ($from: DateTime!, $to: DateTime) {
        evse(evseId: "DE*TST*EOLD1") { statusHistory(from: $from, to: $to) { at major minor } } }"""
    hour = {"from": text(begin), "to": text(begin + timedelta(hours=1))}
    history = ground.hub.ask(query, hour)["evse"]["statusHistory"]
    assert [each["at"] for each in history] == [text(begin + timedelta(minutes=minute)) for minute in range(60)]
    history = ground.hub.ask(query, {"from": text(begin)})["evse"]["statusHistory"]
    assert len(history) == 1_000
    assert history[-1] == {"at": text(begin + timedelta(minutes=1_200)), "major": "UNKNOWN", "minor": None}


def test_leaves_out_of_a_period_without_an_end_what_is_ahead_of_now(ground: Ground):
    ground.put([evse("DE*TST*EAHEAD", "AHEAD", 50, 10, T2)])
    now = datetime.now(UTC)
    before, ahead = now - timedelta(minutes=1), now + timedelta(minutes=4)

    async def work(database: Database) -> None:
        add = """
            insert into status_history (evse_id, at, major)
            values ('DETSTEAHEAD', $1, 'AVAILABLE'), ('DETSTEAHEAD', $2, 'NOT_AVAILABLE')
        """
        await database.write(lambda connection: connection.execute(add, before, ahead))

    ground.run(work)
    query = """query ($from: DateTime!, $to: DateTime) {
        evse(evseId: "DE*TST*EAHEAD") { statusHistory(from: $from, to: $to) { at } } }"""
    for to, shown_at in (({}, [before]), ({"to": None}, [before]), ({"to": text(ahead + LATER)}, [before, ahead])):
        history = ground.hub.ask(query, {"from": text(before), **to})["evse"]["statusHistory"]
        assert history == [{"at": text(at)} for at in shown_at]


# ---------------------------------------------------------------- the position of a list


def test_gives_the_position_before_a_list_even_of_nothing(ground: Ground):
    query = """{ some: evses(first: 1) { cursor nodes { evseId } }
        none: evses(filter: { evseIds: [] }) { cursor nodes { evseId } } }"""
    ground.put([evse("DE*TST*ECURSOR", "CURSOR", 50, 10, T2)])
    data = ground.hub.ask(query)
    assert len(data["some"]["nodes"]) == 1
    assert data["none"]["nodes"] == []
    assert data["none"]["cursor"]


def test_lists_in_order_with_a_position_too(ground: Ground):
    ground.put([evse(f"DE*TST*EORD{n}", "ORD", 52, 5, T2) for n in range(9)])
    near = "within: { near: { latitude: 52, longitude: 5, radiusM: 100 } }"
    plain = ground.hub.ask(f"{{ evses({near}) {{ nodes {{ evseId }} }} }}")["evses"]["nodes"]
    with_position = ground.hub.ask(f"{{ evses({near}) {{ cursor nodes {{ evseId }} }} }}")["evses"]["nodes"]
    assert len(plain) == 9
    assert plain == with_position
