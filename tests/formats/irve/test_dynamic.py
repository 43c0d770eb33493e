"""Live states of French charge points: every row is understood or refused with its reason, and replayed in order."""

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.formats.csv_file import UnreadableFile
from app.formats.irve.dynamic import Event, IrveDynamic, read_instant
from app.ingest.charge_points.updates import item_of, put, update_charge_points
from app.ingest.status.replay import Pace, ReplayReport, Surroundings, replay
from app.settings import Settings
from app.uploads.checks import Refusal
from tests.hub import scratch_database
from tests.ingest.status_world import history, rows
from tests.ingest.world import charge_point, make_owner
from tests.length import rounds, sampled

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
AT_ONCE = Pace()

Expected = tuple[int, Mapping[str, int], Mapping[str, int]]

HEADER = "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage"
COLLECTED = f"{HEADER},horodatage_collecte"

#: Invented ids; the defects are those of the real files.
SNAPSHOT = f"""{HEADER},etat_prise_type_2
FRREGE1,en_service,libre,2026-08-31 10:00:00.123456+00:00,fonctionnel
fr*reg*e2,en_service,occupe,2026-08-31 10:30:00+00:00,
FRREGE3,en_service,reserve,2026-08-31T11:00:00Z,
FRREGE4,hors_service,libre,2026-08-31T13:00:00+02:00,hors_service
FRREGE5,inconnu,occupe,2020-12-29 14:39:41,

FRREGE6,en_service,inconnu,2026-08-31 10:00:00+00:00,
FRREGE1,en_service,occupe,2026-08-31 09:59:59+00:00,
FRREGE2,hors_service,inconnu,2026-08-31 10:30:00+00:00,
FRREGPPX1,en_service,libre,2026-08-31 10:00:00+00:00,
FRREGE404,en_service,libre,2026-08-31 10:00:00+00:00,
FRPAREE1,en_service,libre,2026-08-31 10:00:00+00:00,
FRREGE1,en_panne,libre,2026-08-31 10:00:00+00:00,
FRREGE1,en_service,,2026-08-31 10:00:00+00:00,
FRREGE1,en_service,libre,31/08/2026 10:00,
FRREGE1,en_service,libre,2026-13-31 10:00:00,
FRREGE1,en_service,libre,,
FRREGE1,en_service,libre,2027-08-31 10:00:00+00:00,
FRREGE1,en_service,libre,1970-01-01 00:00:00+00:00,
FRREGE1,en_service,libre
"""

EVENTS = f"""{COLLECTED}
FRREGE1,en_service,libre,2026-08-13T04:00:00Z,2026-08-13T05:00:00+00:00
FRREGE2,en_service,libre,2026-08-13 05:00:00+00:00,2026-08-13T05:00:00+00:00
FRREGE1,en_service,occupe,2026-08-13T05:04:00Z,2026-08-13T05:05:00+00:00
FRREGE2,en_service,occupe,2026-08-13T04:59:00Z,2026-08-13T05:05:00+00:00
FRREGE2,en_service,libre,2026-08-13T05:06:00Z,2026-08-13T05:10:00+00:00
FRREGE1,en_service,libre,2026-08-13T05:16:00Z,2026-08-13T05:10:00+00:00
FRREGE1,en_service,libre,2026-08-13T05:09:00Z,2026-08-13T05:10:00+00:00
"""


@pytest.fixture
async def register(database: Database) -> Database:
    """Six EVSEs of a register, and one of a partner."""
    [row] = await database.writes.fetch("insert into operator (party_id, name) values ('FRREG', 'R') returning no")
    items = {f"FRREGE{n}": item_of(charge_point(f"FRREGE{n}"), n, row["no"], "irve-static") for n in range(1, 7)}
    await database.write(lambda connection: put(connection, items, NOW))
    await update_charge_points(database, [charge_point("FRPAREE1")], await make_owner(database, "FRPAR"), NOW)
    return database


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


async def take(
    database: Database, path: Path, pace: Pace = AT_ONCE, clock: Clock | None = None, **more: Any
) -> ReplayReport:
    clock = clock or Clock()
    feed = IrveDynamic(path, NOW)
    around = Surroundings(lambda: clock.now, timedelta(days=1), clock.sleep)
    return await replay(database, feed, feed.survey(), pace, around, **more)


async def states(database: Database) -> dict[str, tuple[str, str | None]]:
    found = await rows(database, "evse_status")
    return {id_: (row["major"], row["minor"]) for id_, row in found.items() if row["at"] is not None}


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-13T05:20:15Z",
        "2026-08-13T07:20:15+02:00",
        "2026-08-13 05:20:15+00:00",
        "2026-08-13 05:20:15.000000+00:00",
        "2026-08-13 07:20:15",
    ],
)
def test_reads_five_spellings_of_an_instant(text: str):
    assert read_instant(text) == datetime(2026, 8, 13, 5, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2026-08-13", "13/08/2026 05:20", "2026-W33-4T05:20:15Z", "2026-02-30 05:20:15"])
def test_reads_nothing_else(text: str):
    assert read_instant(text) is None


def test_knows_a_status_for_every_pair_of_words(tmp_path: Path):
    pairs = list(product(("en_service", "hors_service", "inconnu"), ("libre", "occupe", "reserve", "inconnu")))
    lines = [f"FRREGE{n},{state},{taken},2026-08-31T10:00:00Z" for n, (state, taken) in enumerate(pairs)]
    read = list(IrveDynamic(write(tmp_path / "pairs.csv", "\n".join([HEADER, *lines])), NOW).read())
    found = [(each.status.major, each.status.minor) for each in read if isinstance(each, Event)]
    broken, unknown = ("NOT_AVAILABLE", "OUT_OF_ORDER"), ("UNKNOWN", None)
    working = [("AVAILABLE", None), ("NOT_AVAILABLE", "CHARGING"), ("NOT_AVAILABLE", "RESERVED"), unknown]
    assert found == [*working, *[broken] * 4, *[unknown] * 4]


def test_accounts_for_every_row_of_a_damaged_snapshot(tmp_path: Path):
    feed = IrveDynamic(write(tmp_path / "snapshot.csv.gz", SNAPSHOT), NOW)
    read = list(feed.read())
    assert feed.survey().rows == len(read) == 19
    assert feed.survey().begins == datetime(2026, 8, 31, 11, tzinfo=UTC)
    refused = [(each.index, each.path.partition(".")[2], each.code) for each in read if isinstance(each, Refusal)]
    assert refused == [
        (8, "id_pdc_itinerance", "INVALID_ID"),
        (11, "etat_pdc", "UNKNOWN_VALUE"),
        (12, "occupation_pdc", "UNKNOWN_VALUE"),
        (13, "horodatage", "PATTERN"),
        (14, "horodatage", "PATTERN"),
        (15, "horodatage", "PATTERN"),
        (16, "horodatage", "OUT_OF_RANGE"),
        (17, "horodatage", "OUT_OF_RANGE"),
        (18, "id_pdc_itinerance", "MALFORMED_ROW"),
    ]
    assert feed.warnings == {"BROKEN_YET_FREE": 1, "STATE_UNKNOWN_YET_OCCUPANCY": 1, "NO_OFFSET": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "it has no column id_pdc_itinerance"),
        (f"{HEADER}\nFRREGE1,é".encode("latin-1"), "is not UTF-8"),
        (gzip.compress(SNAPSHOT.encode())[:80], "is cut off or damaged"),
    ],
    ids=["another schema", "another encoding", "cut off"],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "mangled.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=words):
        IrveDynamic(path, NOW).survey()


# ---------------------------------------------------------------- replaying


async def test_replays_a_snapshot_with_the_ages_it_had_and_writes_every_refusal(register: Database, tmp_path: Path):
    path, refusals = write(tmp_path / "snapshot.csv", SNAPSHOT), tmp_path / "refused.jsonl"
    done = await take(register, path, refusals=refusals)
    assert (done.rows, done.accepted, done.unchanged, done.older) == (19, 5, 2, 1)
    assert done.refused == {
        "INVALID_ID": 1,
        "UNKNOWN_VALUE": 2,
        "PATTERN": 3,
        "OUT_OF_RANGE": 2,
        "MALFORMED_ROW": 1,
        "UNKNOWN_EVSE": 1,
        "HELD_BY_OPERATOR": 1,
    }
    assert [json.loads(line)["index"] for line in refusals.read_text().splitlines()] == list(range(8, 19))
    assert await states(register) == {
        "FRREGE1": ("AVAILABLE", None),
        "FRREGE2": ("NOT_AVAILABLE", "OUT_OF_ORDER"),
        "FRREGE3": ("NOT_AVAILABLE", "RESERVED"),
        "FRREGE4": ("NOT_AVAILABLE", "OUT_OF_ORDER"),
        "FRREGE5": ("UNKNOWN", None),
        "FRREGE6": ("UNKNOWN", None),
    }
    found = await rows(register, "evse_status")
    assert found["FRREGE4"]["at"] == NOW
    assert found["FRREGE2"]["at"] == NOW - timedelta(minutes=30)
    assert found["FRREGE5"]["expires_at"] < NOW
    again = await take(register, path)
    assert (again.accepted, again.unchanged, again.older) == (2, 5, 1)


async def test_replays_events_at_once_in_the_order_of_the_operators_clocks(register: Database, tmp_path: Path):
    done = await take(register, write(tmp_path / "events.csv", EVENTS), clock=(clock := Clock()))
    assert (done.rows, done.accepted, done.unchanged, done.older) == (7, 4, 1, 1)
    assert done.refused == {"OUT_OF_RANGE": 1}
    assert clock.slept == []
    first, second, third = await history(register, "FRREGE1")
    assert first == (NOW - timedelta(hours=1), "AVAILABLE", None)
    assert NOW < second[0] < third[0] < NOW + timedelta(seconds=1)


async def test_replays_events_at_a_factor_of_real_time(register: Database, tmp_path: Path):
    done = await take(register, write(tmp_path / "events.csv", EVENTS), Pace(speed=10), clock := Clock())
    assert done.accepted == 4
    assert clock.slept == [30, 30]
    assert [at for at, *_ in await history(register, "FRREGE1")] == [
        NOW - timedelta(hours=1),
        NOW + timedelta(seconds=24),
        NOW + timedelta(seconds=54),
    ]


async def test_keeps_the_times_of_the_file_for_the_history(register: Database, tmp_path: Path):
    done = await take(register, write(tmp_path / "events.csv", EVENTS), Pace(keep_times=True), batch_size=1)
    assert done.accepted == 4
    assert [each[0].strftime("%H:%M") for each in await history(register, "FRREGE1")] == ["04:00", "05:04", "05:09"]
    assert await register.fetch("select from change where kind = 'EVSE_STATUS'") == []


async def test_leaves_alone_what_a_partner_claims(register: Database, tmp_path: Path):
    owner = await make_owner(register, "FRREG")
    done = await take(register, write(tmp_path / "events.csv", EVENTS))
    assert owner.operator_no is not None
    assert (done.accepted, done.refused["HELD_BY_OPERATOR"]) == (0, 6)
    assert await states(register) == {}


# ---------------------------------------------------------------- the real files


@pytest.fixture
def france_url(cluster: Cluster, french_register: str) -> Iterator[str]:
    with scratch_database(cluster.dsn, french_register, f"replayed_{uuid4().hex}") as dsn:
        yield dsn


@pytest.fixture
async def france(france_url: str) -> AsyncIterator[Database]:
    database = await Database.open(france_url, Settings())
    yield database
    await database.close()


#: Of the whole files, found against the whole register: rows, refusals, warnings.
WHOLE: Mapping[str, Expected] = {
    "irve/irve-snapshot-fr-2026-08-13.csv.gz": (
        124_600,
        {"UNKNOWN_EVSE": 67_129, "INVALID_ID": 16},
        {
            "NO_OFFSET": 33_606,
            "BROKEN_YET_FREE": 3_338,
            "BROKEN_YET_TAKEN": 277,
            "STATE_UNKNOWN_YET_OCCUPANCY": 102,
        },
    ),
    "irve/irve-dynamic-fr-2026-08-13.csv.gz": (
        329_377,
        {"UNKNOWN_EVSE": 145_804, "INVALID_ID": 32},
        {"BROKEN_YET_FREE": 1_053},
    ),
}

#: Of the samples, found against the sample of the register.
SAMPLED: Mapping[str, Expected] = {
    "irve/irve-snapshot-fr-2026-08-13.csv.gz": (
        7_800,
        {"UNKNOWN_EVSE": 7_564, "INVALID_ID": 2},
        {"NO_OFFSET": 2_100, "BROKEN_YET_FREE": 219, "BROKEN_YET_TAKEN": 19, "STATE_UNKNOWN_YET_OCCUPANCY": 4},
    ),
    "irve/irve-dynamic-fr-2026-08-13.csv.gz": (
        20_600,
        {"UNKNOWN_EVSE": 19_857, "INVALID_ID": 3},
        {"BROKEN_YET_FREE": 75},
    ),
}


@pytest.mark.realdata
async def test_accounts_for_every_row_of_the_real_files(
    france: Database, real_data: Callable[[str], Path], tmp_path: Path
):
    for name, (count, refused, warnings) in rounds(SAMPLED, full=WHOLE).items():
        done = await take(france, sampled(real_data(name), tmp_path), refusals=tmp_path / "refused.jsonl")
        assert done.rows == count == done.accepted + done.unchanged + done.older + sum(done.refused.values())
        assert done.accepted
        assert (done.refused, done.warnings) == (refused, warnings)
        lines = (tmp_path / "refused.jsonl").read_text().splitlines()
        assert Counter(json.loads(line)["code"] for line in lines) == refused
