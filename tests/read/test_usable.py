"""Filters A to E against a second reading of the protocol, in plain Python with zoneinfo, that shares nothing with it.

Schedules are uploaded as operators send them and asked through the API, many charge points in one question.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.db.cluster import Cluster
from app.ingest.charge_points.usability import _geographic_zones as geographic_zones  # pyright: ignore[reportPrivateUsage]
from app.records.charge_point import ChargePoint
from app.records.charge_point_input import read_charge_point
from tests.length import rounds
from tests.read.ground import T2, Ground, make_ground
from tests.world import evse

#: A place in each zone; at sea there is no zone but what the operator says.
PLACES: Mapping[str | None, tuple[float, float]] = {
    "Europe/Paris": (2.35, 48.85),
    "Europe/London": (-1.5, 52.5),
    "Africa/Casablanca": (-7.6, 33.5),
    "Australia/Lord_Howe": (159.08, -31.55),
    "America/St_Johns": (-52.75, 47.55),
    "Asia/Kathmandu": (85.3, 27.7),
    "Pacific/Auckland": (174.76, -36.85),
    None: (-30.0, 40.0),
}
#: Instants around which clocks are put forward or back somewhere, midnights, and an ordinary noon.
TURNS = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Paris, London forward
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and back
    datetime(2026, 2, 15, 2, tzinfo=UTC),  # Casablanca back for Ramadan
    datetime(2026, 3, 22, 2, tzinfo=UTC),  # and forward
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe back, by half an hour
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # and forward
    datetime(2026, 3, 8, 5, 30, tzinfo=UTC),  # St John's forward
    datetime(2026, 11, 1, 4, 30, tzinfo=UTC),  # and back
    datetime(2026, 6, 8, 0, tzinfo=UTC),  # a Monday begins
    datetime(2026, 12, 31, 23, tzinfo=UTC),
]

Answer = bool | None
Sent = Mapping[str, Any]


# ---------------------------------------------------------------- the second reading


def usable(sent: Sent, zone: str | None, at: datetime) -> Answer:
    """Filter A, and of B, C, D what the protocol says; None: it depends on hours that are unknown."""
    if status_at(sent, at) not in ("OPERATIVE", None):
        return False
    times = sent.get("openingTimes")
    if times is None:
        return None
    closed = any(holds(period, at) for period in times.get("exceptionalClosings", ()))
    opened = any(holds(period, at) for period in times.get("exceptionalOpenings", ()))
    regular = in_regular_hours(times, zone, at)
    if regular is None:
        return False if closed and not opened else None
    return not closed if regular else opened


def status_at(sent: Sent, at: datetime) -> str | None:
    """Walk the schedule in order: a period that began later, or as late and is listed later, takes the place."""
    best: tuple[datetime, str] | None = None
    for period in sent.get("statusSchedule", ()):
        start, end = instant(period["start"]), period.get("end")
        if start <= at and (end is None or at < instant(end)) and (best is None or start >= best[0]):
            best = (start, period["status"])
    return sent.get("status") if best is None else best[1]


def in_regular_hours(times: Sent, zone: str | None, at: datetime) -> Answer:
    if times.get("twentyfourseven") is not None:
        return times["twentyfourseven"]
    if zone is None:
        return None
    clock = at.astimezone(ZoneInfo(zone))
    reads = clock.strftime("%H:%M")
    return any(
        hours["weekday"] == clock.isoweekday() and hours["begin"] <= reads < hours["end"]
        for hours in times["regularHours"]
    )


def holds(period: Sent, at: datetime) -> bool:
    return instant(period["begin"]) <= at < instant(period["end"])


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ---------------------------------------------------------------- schedules by chance


def some_schedule(chance: random.Random) -> dict[str, Any]:
    """Return opening times, status and schedule as an operator might send them."""
    sent: dict[str, Any] = {}
    if chance.random() < 0.9:
        sent["openingTimes"] = some_times(chance)
    if chance.random() < 0.6:
        sent["status"] = chance.choice(["OPERATIVE"] * 4 + ["UNKNOWN", "INOPERATIVE", "PLANNED", "CLOSED"])
    if chance.random() < 0.4:
        sent["statusSchedule"] = [some_status_period(chance) for _ in range(chance.randint(1, 4))]
    return sent


def some_times(chance: random.Random) -> dict[str, Any]:
    kind = chance.random()
    times: dict[str, Any] = {"twentyfourseven": kind < 0.1} if kind < 0.2 else {"regularHours": some_hours(chance)}
    for name in ("exceptionalOpenings", "exceptionalClosings"):
        if chance.random() < 0.4:
            times[name] = some_periods(chance)
    return times


def some_hours(chance: random.Random) -> list[dict[str, Any]]:
    """Days that are whole, split, begin or end at midnight, touch, or are the two halves of a night."""
    shapes = [
        [("00:00", "24:00")],
        [("08:00", "12:00"), ("13:30", "18:00")],
        [("00:00", "02:30"), ("22:00", "24:00")],
        [("01:00", "03:00")],
        [("02:15", "02:45"), ("02:45", "03:15"), ("23:59", "24:00")],
        [("00:00", "00:01")],
        [("09:07", "20:31")],
    ]
    days = chance.sample(range(1, 8), chance.randint(1, 7))
    hours = [{"weekday": day, "begin": begin, "end": end} for day in days for begin, end in chance.choice(shapes)]
    chance.shuffle(hours)
    return hours


def some_instant(chance: random.Random) -> datetime:
    """Return an instant near a turn; whole half hours are common, so that edges meet."""
    at = chance.choice(TURNS) + timedelta(minutes=30 * chance.randint(-20, 20))
    if chance.random() < 0.3:
        at += timedelta(seconds=chance.choice([-1, 1, 59, 60]))
    return at


def some_periods(chance: random.Random) -> list[dict[str, str]]:
    """Periods that are apart, touch or overlap."""
    begin = some_instant(chance)
    periods: list[dict[str, str]] = []
    for _ in range(chance.randint(1, 3)):
        end = begin + timedelta(minutes=30 * chance.randint(1, 30))
        periods.append({"begin": begin.isoformat(), "end": end.isoformat()})
        begin = chance.choice([end, begin + (end - begin) / 2, end + timedelta(hours=2)]).replace(microsecond=0)
    chance.shuffle(periods)
    return periods


def some_status_period(chance: random.Random) -> dict[str, str]:
    start = some_instant(chance)
    period = {"start": start.isoformat(), "status": chance.choice(["OPERATIVE", "INOPERATIVE", "CLOSED", "UNKNOWN"])}
    if chance.random() < 0.7:
        period["end"] = (start + timedelta(minutes=30 * chance.randint(1, 40))).isoformat()
    return period


def zone_sent(zone: str | None, chance: random.Random) -> dict[str, str]:
    """The operator names the zone of the place, or another one, or leaves it to the hub."""
    if zone is not None and chance.random() < 0.5:
        return {}
    if chance.random() < 0.5:
        return {} if zone is None else {"timeZone": zone}
    return {"timeZone": chance.choice([name for name in PLACES if name is not None])}


#: On a Monday of summer and in the zone of Berlin: whatever chance brings, each wrong reading differs here from the
#: right one, at TELLING_INSTANT.
TELLING_INSTANT = datetime(2026, 7, 6, 5, 30, tzinfo=UTC)
_AROUND = {"begin": "2026-07-06T05:00:00Z", "end": "2026-07-06T06:00:00Z"}
TELLING: Sequence[dict[str, Any]] = (
    {"openingTimes": {"regularHours": [{"weekday": 1, "begin": "07:00", "end": "08:00"}]}},
    {"openingTimes": {"twentyfourseven": False, "exceptionalOpenings": [_AROUND], "exceptionalClosings": [_AROUND]}},
    {},
)


def some_charge_points(count: int, chance: random.Random) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Return charge points and the zone whose clock counts, by EVSE-ID."""
    made: dict[str, tuple[dict[str, Any], str | None]] = {}
    for n, sent in enumerate(TELLING):
        evse_id = f"DE*TST*ETELLING{n}"
        made[evse_id] = (evse(evse_id, f"T{n}", 50, 10, T2, **sent, timeZone="Europe/Berlin"), "Europe/Berlin")
    for n in range(count):
        place = chance.choice(list(PLACES))
        longitude, latitude = PLACES[place]
        named = zone_sent(place, chance)
        more = {**some_schedule(chance), **named}
        evse_id = f"DE*TST*E{n:04}"
        made[evse_id] = (evse(evse_id, f"L{n}", latitude, longitude, T2, **more), named.get("timeZone", place))
    return made


# ---------------------------------------------------------------- through the API

COUNT = 400

Made = Mapping[str, tuple[Sent, str | None]]


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with make_ground(cluster, template) as ground:
        yield ground


@pytest.fixture(scope="module")
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(scope="module")
def made(ground: Ground, chance: random.Random) -> Made:
    """Charge points by chance, uploaded."""
    made = some_charge_points(COUNT, chance)
    ground.put([sent for sent, _ in made.values()])
    return made


@pytest.fixture(scope="module")
def instants(chance: random.Random) -> Sequence[datetime]:
    return [TELLING_INSTANT, *(some_instant(chance) for _ in range(rounds(20, full=60)))]


QUERY = """query ($at: DateTime!) {
    all: evses(first: 500) { nodes { evseId usable(at: $at) effectiveStatus(at: $at) } }
    usable: evses(first: 500, filter: { usableAt: $at }) { nodes { evseId } }
}"""


def differences(ground: Ground, made: Made, at: datetime, expected: Callable[[Sent, str | None, datetime], Answer]):
    """Return where the hub and a reading of the protocol differ at an instant."""
    data = ground.hub.ask(QUERY, {"at": at.isoformat().replace("+00:00", "Z")})
    said = {node["evseId"]: node["usable"] for node in data["all"]["nodes"]}
    matching = {node["evseId"] for node in data["usable"]["nodes"]}
    assert matching == {evse_id for evse_id, answer in said.items() if answer is True}
    wanted = {evse_id: expected(sent, zone, at) for evse_id, (sent, zone) in made.items()}
    assert said.keys() == wanted.keys()
    return [(at, *made[evse_id], answer) for evse_id, answer in said.items() if answer is not wanted[evse_id]]


def test_is_usable_when_the_protocol_says_so(ground: Ground, made: Made, instants: Sequence[datetime]):
    answers: set[Answer] = set()
    for at in instants:
        assert differences(ground, made, at, usable) == []
        answers |= {usable(sent, zone, at) for sent, zone in made.values()}
    assert answers == {True, False, None}


def test_shows_the_status_that_the_schedule_says(ground: Ground, made: Made, instants: Sequence[datetime]):
    for at in instants:
        nodes = ground.hub.ask(QUERY, {"at": at.isoformat()})["all"]["nodes"]
        assert {node["evseId"]: node["effectiveStatus"] for node in nodes} == {
            evse_id: status_at(sent, at) or "UNKNOWN" for evse_id, (sent, _) in made.items()
        }


def on_the_clock_of_greenwich(sent: Sent, zone: str | None, at: datetime) -> Answer:
    return usable(sent, zone and "UTC", at)


def on_the_clock_of_winter(sent: Sent, zone: str | None, at: datetime) -> Answer:
    """Take the zone's offset of January for the whole year."""
    if zone is None:
        return usable(sent, None, at)
    offset = datetime(2026, 1, 10, tzinfo=ZoneInfo(zone)).utcoffset()
    other = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    assert other is not None
    moved = {**sent, "openingTimes": _moved(sent.get("openingTimes"), offset - other)}
    moved["statusSchedule"] = [_shifted(each, offset - other) for each in sent.get("statusSchedule", ())]
    return usable(moved, zone, at + (offset - other))


def _moved(times: Any, by: timedelta) -> Any:
    if times is None:
        return None
    names = ("exceptionalOpenings", "exceptionalClosings")
    return {**times, **{name: [_shifted(each, by) for each in times.get(name, ())] for name in names}}


def _shifted(period: Sent, by: timedelta) -> dict[str, Any]:
    edges = {name: (instant(period[name]) + by).isoformat() for name in ("begin", "start", "end") if name in period}
    return {**period, **edges}


def unknown_is_closed(sent: Sent, zone: str | None, at: datetime) -> Answer:
    return usable(sent, zone, at) or False


def closings_before_openings(sent: Sent, zone: str | None, at: datetime) -> Answer:
    """Apply a reading of the protocol by which a closing also overrides an opening outside the hours."""
    times = sent.get("openingTimes")
    if times is not None and any(holds(period, at) for period in times.get("exceptionalClosings", ())):
        return False
    return usable(sent, zone, at)


@pytest.mark.parametrize(
    "broken",
    [on_the_clock_of_greenwich, on_the_clock_of_winter, unknown_is_closed, closings_before_openings],
)
def test_differs_from_readings_that_are_wrong(
    ground: Ground,
    made: Made,
    broken: Callable[[Sent, str | None, datetime], Answer],
):
    assert differences(ground, made, TELLING_INSTANT, broken)


# ---------------------------------------------------------------- single cases, and zones


DAILY = [{"weekday": day, "begin": "02:00", "end": "03:00"} for day in range(1, 8)]
NIGHT = [{"weekday": 6, "begin": "22:00", "end": "24:00"}, {"weekday": 7, "begin": "00:00", "end": "05:00"}]


@pytest.mark.parametrize(
    ("zone", "hours", "at", "expected"),
    [
        ("Europe/Paris", NIGHT, "2026-03-28T23:00:00Z", True),  # midnight between the two halves
        ("Europe/Paris", NIGHT, "2026-03-29T02:59:59Z", True),
        ("Europe/Paris", NIGHT, "2026-03-29T03:00:00Z", False),  # 05:00, an hour early that day
        ("Europe/Paris", DAILY, "2026-03-29T01:00:00Z", False),  # two o'clock does not happen
        ("Europe/Paris", DAILY, "2026-10-25T00:30:00Z", True),  # it happens twice
        ("Europe/Paris", DAILY, "2026-10-25T01:30:00Z", True),
        ("Europe/Paris", DAILY, "2026-10-25T02:00:00Z", False),
        ("Australia/Lord_Howe", DAILY, "2026-04-04T15:15:00Z", False),  # 01:45 for the second time
        ("Australia/Lord_Howe", DAILY, "2026-04-04T15:30:00Z", True),
    ],
)
def test_goes_by_the_clock_on_the_wall(ground: Ground, zone: str, hours: Any, at: str, expected: bool):
    longitude, latitude = PLACES[zone]
    ground.put([evse("DE*TST*EDST", "DST", latitude, longitude, T2, openingTimes={"regularHours": hours})])
    query = 'query ($at: DateTime) { evse(evseId: "DE*TST*EDST") { usable(at: $at) } }'
    assert ground.hub.ask(query, {"at": at})["evse"]["usable"] is expected
    ground.remove("DE*TST*EDST")


def test_takes_now_where_no_instant_is_given(ground: Ground):
    closed = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z", "status": "CLOSED"}
    sent = {"openingTimes": {"twentyfourseven": True}, "statusSchedule": [closed]}
    ground.put([evse("DE*TST*ENOW", "NOW", 50, 10, T2, **sent)])
    query = """query ($at: DateTime, $then: DateTime = "2020-06-01T00:00:00Z") { evse(evseId: "DE*TST*ENOW") {
        now: usable none: usable(at: null) absent: usable(at: $at) then: usable(at: $then)
        status: effectiveStatus before: effectiveStatus(at: $then) } }"""
    assert ground.hub.ask(query)["evse"] == {
        # Without an instant the live status counts too, and it was never published.
        "now": False,
        "none": False,
        "absent": False,
        "then": False,
        "status": "UNKNOWN",
        "before": "CLOSED",
    }
    ground.remove("DE*TST*ENOW")


def test_knows_every_clock_that_the_database_is_asked_for(ground: Ground):
    """A zone that the database does not know would turn a question about a whole city into an error."""

    async def work(database: Any) -> set[str]:
        return {row["name"] for row in await database.fetch("select name from pg_timezone_names")}

    assert geographic_zones() <= ground.run(work)


@pytest.mark.parametrize("zone", ["Europe/Kiev", "US/Eastern", "Etc/GMT-3", "right/Europe/Paris", "posix/Europe/Paris"])
def test_answers_whatever_zone_was_accepted(ground: Ground, zone: str):
    raw = evse("DE*TST*EZONE", "ZONE", 50.45, 30.52, T2, openingTimes={"regularHours": DAILY}, timeZone=zone)
    if not isinstance(read_charge_point(raw, 0), ChargePoint):
        return
    ground.put([raw])
    query = '{ evse(evseId: "DE*TST*EZONE") { usable(at: "2026-06-01T23:30:00Z") timeZone } }'
    assert ground.hub.ask(query)["evse"] == {"usable": True, "timeZone": zone}
    ground.remove("DE*TST*EZONE")
