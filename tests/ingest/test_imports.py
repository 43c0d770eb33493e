"""Registers: a file brings, changes and removes what came from it, and nothing else."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.operators import set_operator_open
from app.exchange.partners import revoke_role
from app.exchange.roles import RoleName
from app.formats.irve.static import IrveStatic
from app.ids import party_of
from app.ingest import registers as imports
from app.ingest.charge_points.updates import remove_charge_points, update_charge_points
from app.ingest.registers import ImportReport, TooManyRemovals, import_register
from app.records.base import Point
from app.records.charge_point import ChargePoint, EvseParkingSpot, Read
from app.uploads.checks import Refusal
from app.vocabulary import Role
from tests.ingest.parking_world import spot_contradictions
from tests.ingest.world import (
    LYON,
    MONDAY,
    TUESDAY,
    ULM,
    WEDNESDAY,
    World,
    charge_point,
    contradictions,
    evse_ids,
    make_owner,
    make_world,
    rows_by_id,
    waiting_behind,
)
from tests.length import rounds, sampled
from tests.waiting import until_locked_out

SOURCE = "register"


@dataclass(frozen=True)
class Look:
    """What a first look at a list of records tells."""

    operators: Mapping[str, str]
    rows: int


@dataclass
class Records:
    """A register that lies in memory; `breaks_at`: the row at which reading it fails."""

    items: Sequence[Read]
    source: str = SOURCE
    licence: str = "Licence Ouverte 2.0"
    names: Mapping[str, str] = field(default_factory=dict)
    breaks_at: int | None = None
    warnings: Counter[str] = field(default_factory=lambda: Counter({"HOURS_UNKNOWN": 2}))

    def survey(self) -> Look:
        parties = {party_of(item.evse_id) for item in self.items if isinstance(item, ChargePoint)}
        return Look({party: self.names.get(party, f"Name of {party}") for party in sorted(parties)}, len(self.items))

    def read(self) -> Iterator[Read]:
        for index, item in enumerate(self.items):
            if index == self.breaks_at:
                raise OSError("the disk is gone")
            yield item


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 3)


def points(*numbers: int, party: str = "NLX01", **changes: Any) -> list[ChargePoint]:
    return [charge_point(f"{party}E{number}", **changes) for number in numbers]


async def take(database: Database, items: Sequence[Read], now: Any = MONDAY, **options: Any) -> ImportReport:
    confirm, refusals = options.pop("confirm_removals", False), options.pop("refusals", None)
    register = Records(items, **options)
    return await import_register(database, register, now, confirm_removals=confirm, refusals=refusals)


def counts(report: ImportReport) -> tuple[int, int, int, int, dict[str, int]]:
    assert report.rows == report.accepted + report.unchanged + sum(report.refused.values())
    return report.rows, report.accepted, report.unchanged, report.removed, dict(report.refused)


async def operators(database: Database) -> dict[str, tuple[Any, ...]]:
    rows = await database.fetch("select party_id, name, open, source, licence, role_id is not null from operator")
    return {row["party_id"]: tuple(row)[1:] for row in rows}


async def test_makes_an_open_operator_without_a_partner_for_each_party_id(database: Database) -> None:
    report = await take(database, [*points(1, 2), *points(1, party="CHY02", position=LYON)])
    assert counts(report) == (3, 3, 0, 0, {})
    assert report.warnings == {"HOURS_UNKNOWN": 2}
    assert await operators(database) == {
        "NLX01": ("Name of NLX01", True, SOURCE, "Licence Ouverte 2.0", False),
        "CHY02": ("Name of CHY02", True, SOURCE, "Licence Ouverte 2.0", False),
    }
    assert {row["source"] for row in (await rows_by_id(database)).values()} == {SOURCE}
    assert await contradictions(database) == []


async def test_touches_nothing_when_the_same_file_comes_again(database: Database) -> None:
    items = [*points(1, 2, 3, 4), *points(1, 2, party="CHY02", position=LYON)]
    await take(database, items)
    before = await rows_by_id(database)
    locations = await database.fetch("select *, xmin::text from location")
    numbers = await database.fetch("select *, xmin::text from operator")
    assert counts(await take(database, items, TUESDAY)) == (6, 0, 6, 0, {})
    assert await rows_by_id(database) == before
    assert await database.fetch("select *, xmin::text from location") == locations
    assert [row["no"] for row in await database.fetch("select no from operator")] == [row["no"] for row in numbers]


async def test_replaces_what_came_from_the_file_before(database: Database) -> None:
    await take(database, [*points(1, 2, 3), *points(4, location_id="L2")])
    report = await take(
        database, [*points(1), *points(2, max_reservation_minutes=5), *points(3, 5)], TUESDAY, names={"NLX01": "New"}
    )
    assert counts(report) == (4, 2, 2, 1, {})
    assert await evse_ids(database) == [f"NLX01E{n}" for n in (1, 2, 3, 5)]
    assert (await operators(database))["NLX01"][0] == "New"
    assert await contradictions(database) == []


async def test_keeps_the_record_of_a_row_that_is_refused_this_time(database: Database) -> None:
    await take(database, points(1, 2))
    before = await rows_by_id(database)
    damaged = [
        Refusal(path="rows[1].horaires", index=1, id=spelling, code="PATTERN", message="?")
        for spelling in ("nl*x01*e2", None, "junk")
    ]
    report = await take(database, [*points(1), *damaged], TUESDAY)
    assert counts(report) == (4, 0, 1, 0, {"PATTERN": 3})
    assert await rows_by_id(database) == before


async def test_lets_the_first_of_several_rows_for_one_evse_count(database: Database) -> None:
    items = [*points(1, 2, 3, 4), *points(1, max_reservation_minutes=5)]
    for expected in ((5, 4, 0, 0, {"DUPLICATE": 1}), (5, 0, 4, 0, {"DUPLICATE": 1})):
        assert counts(await take(database, items)) == expected


async def test_writes_every_refusal_to_the_report(world: World, tmp_path: Path) -> None:
    flaw = Refusal(path="rows[0].x", index=0, id=None, code="PATTERN", message="ü")
    items = [flaw, *points(1, 2, 3, 4), *points(1), *points(1, party="DE8AC")]
    path = tmp_path / "refused.jsonl"
    report = await take(world.database, items, refusals=path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(line["index"], line["path"], line["id"], line["code"]) for line in lines] == [
        (0, "rows[0].x", None, "PATTERN"),
        (5, "rows[5].evseId", "NL*X01*E1", "DUPLICATE"),
        (6, "rows[6]", "DE*8AC*E1", "HELD_BY_OPERATOR"),
    ]
    assert Counter(line["code"] for line in lines) == report.refused


async def test_lets_the_planner_know_what_came(database: Database) -> None:
    counted = "select reltuples from pg_class where oid = 'evse'::regclass"
    assert (await database.fetch(counted))[0][0] == -1
    await take(database, points(1, 2))
    assert (await database.fetch(counted))[0][0] == 2


async def test_lets_the_planner_know_early_that_tables_are_not_empty_any_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "FIRST_ANALYZED", 5)
    with pytest.raises(OSError, match="the disk is gone"):
        await take(database, points(*range(20)), breaks_at=16)
    assert (await database.fetch("select reltuples from pg_class where oid = 'evse'::regclass"))[0][0] == 6


async def test_tells_how_far_it_is(database: Database) -> None:
    told: list[int] = []
    await import_register(database, Records(points(*range(7))), MONDAY, told.append)
    assert told == [3, 6, 7]


# ---------------------------------------------------------------- what is not the register's


async def test_leaves_operators_and_their_evses_alone(world: World) -> None:
    own = points(1, 2, party="DE8AC", max_reservation_minutes=9)
    await update_charge_points(world.database, own, world.german, MONDAY)
    before, names = await rows_by_id(world.database), await operators(world.database)
    report = await take(world.database, [*points(1, 3, party="DE8AC"), *points(1)], TUESDAY)
    assert counts(report) == (3, 1, 0, 0, {"HELD_BY_OPERATOR": 2})
    after = await rows_by_id(world.database)
    assert {evse_id: after[evse_id] for evse_id in before} == before
    assert (await operators(world.database))["DE8AC"] == names["DE8AC"]
    await take(world.database, points(1), TUESDAY)
    assert set(before) <= set(await rows_by_id(world.database))


async def test_leaves_an_operator_alone_that_has_uploaded_nothing_yet(world: World) -> None:
    before = await operators(world.database)
    await take(world.database, points(1, party="DE8AC"))
    assert await operators(world.database) == before


async def test_leaves_uploaded_evses_alone_even_where_nobody_holds_the_operator(world: World) -> None:
    await update_charge_points(world.database, points(1, party="DE8AC"), world.german, MONDAY)
    await world.database.write(lambda connection: connection.execute("update operator set role_id = null"))
    before, names = await rows_by_id(world.database), await operators(world.database)
    report = await take(world.database, [*points(1, party="DE8AC"), *points(2, party="DE8AC", position=LYON)], TUESDAY)
    assert counts(report) == (2, 0, 0, 0, {"HELD_BY_OPERATOR": 1, "LOCATION_MISMATCH": 1})
    assert await rows_by_id(world.database) == before
    assert await operators(world.database) == names


async def test_leaves_evses_alone_whose_party_id_a_partner_holds_by_now(database: Database) -> None:
    await take(database, [*points(1, 2), *points(1, 2, 3, party="CHY02")])
    owner = await make_owner(database, "NLX01")
    before = await rows_by_id(database)
    report = await take(database, [*points(1, max_reservation_minutes=5), *points(1, 2, 3, party="CHY02")], TUESDAY)
    assert counts(report) == (4, 0, 3, 0, {"HELD_BY_OPERATOR": 1})
    assert await rows_by_id(database) == before
    update = await update_charge_points(database, points(1), owner, WEDNESDAY)
    assert (update.accepted, (await rows_by_id(database))["NLX01E1"]["source"]) == (1, None)
    assert (await remove_charge_points(database, ["NLX01E2"], owner, WEDNESDAY)).removed == 1
    assert await contradictions(database) == []


async def test_does_not_count_what_a_partner_holds_as_standing_from_the_register(database: Database) -> None:
    await take(database, [*points(1, 2, 3, 4), *points(1, 2, party="CHY02")])
    await make_owner(database, "NLX01")
    with pytest.raises(TooManyRemovals, match="2 of 2"):
        await take(database, points(1, 2, 3, 4), TUESDAY)


async def test_removes_nothing_of_an_operator_claimed_while_the_file_is_read(database: Database) -> None:
    await take(database, points(1, 2, 3, 4))
    before = await rows_by_id(database)
    loop = asyncio.get_running_loop()

    class Claimed(Records):
        def read(self) -> Iterator[Read]:
            yield from super().read()
            asyncio.run_coroutine_threadsafe(make_owner(database, "NLX01"), loop).result()

    report = await import_register(database, Claimed(points(1, 2)), TUESDAY)
    assert counts(report) == (2, 0, 0, 0, {"HELD_BY_OPERATOR": 2})
    assert await rows_by_id(database) == before


async def test_leaves_other_registers_alone(database: Database) -> None:
    await take(database, points(1, 2), source="other")
    before = await rows_by_id(database)
    report = await take(
        database, [*points(1, max_reservation_minutes=5), *points(3), *points(4, position=LYON)], TUESDAY
    )
    assert counts(report) == (3, 1, 0, 0, {"HELD_BY_REGISTER": 1, "LOCATION_MISMATCH": 1})
    after = await rows_by_id(database)
    assert {evse_id: after[evse_id] for evse_id in before} == before
    assert (await operators(database))["NLX01"][2] == "other"
    assert counts(await take(database, points(9, party="CHY02"), confirm_removals=True))[3] == 1
    assert set(before) <= set(await rows_by_id(database))


async def test_takes_over_and_opens_an_operator_that_nobody_holds_any_more(world: World) -> None:
    owner = world.german
    assert (await operators(world.database))["DE8AC"][1] is False
    await revoke_role(world.database, CONSOLE, owner.partner_id, RoleName(Role.EVSE_OPERATOR, "DE8AC"), MONDAY)
    await take(world.database, points(1, party="DE8AC"))
    assert (await operators(world.database))["DE8AC"] == (
        "Name of DE8AC", True, SOURCE, "Licence Ouverte 2.0", False,
    )  # fmt: skip
    [row] = (await rows_by_id(world.database)).values()
    assert row["operator_no"] == owner.operator_no


async def test_does_not_open_what_the_administrator_closed(database: Database) -> None:
    await take(database, points(1))
    await set_operator_open(database, CONSOLE, "NLX01", False, MONDAY)
    await take(database, points(1, 2), TUESDAY, names={"NLX01": "New"})
    assert (await operators(database))["NLX01"][:2] == ("New", False)


async def test_names_a_register_as_long_as_something_of_it_stands(database: Database) -> None:
    await take(database, [*points(1, 2, 3), *points(1, 2, party="CHY02")])
    kept = Refusal(path="rows[0]", index=0, id="CH*Y02*E1", code="EMPTY", message="it is damaged")
    licence = "Licence Ouverte 2.0"
    for items, named in (
        ([kept], (SOURCE, licence)),
        ([], (None, None)),
        (points(1, party="CHY02"), (SOURCE, licence)),
    ):
        await take(database, [*items, *points(1, 2, 3)], TUESDAY)
        known = await operators(database)
        assert known["CHY02"] == ("Name of CHY02", True, *named, False)
        assert known["NLX01"][2:4] == (SOURCE, licence)


async def test_names_a_register_until_the_partner_has_replaced_what_came_from_it(database: Database) -> None:
    await take(database, [*points(1, 2, 3), *points(1, 2, party="CHY02")])
    owner = await make_owner(database, "CHY02")
    await update_charge_points(database, points(1, party="CHY02"), owner, TUESDAY)
    for source in (SOURCE, None):
        await take(database, [*points(1, 2, 3), *points(1, 2, party="CHY02")], WEDNESDAY)
        assert (await operators(database))["CHY02"][2] == source
        await remove_charge_points(database, ["CHY02E2"], owner, WEDNESDAY)


async def test_leaves_an_operator_to_the_register_that_still_has_something(database: Database) -> None:
    await take(database, [*points(1, party="CHY02"), *points(1, 2, 3)], source="other")
    await take(database, points(2, party="CHY02"))
    assert (await operators(database))["CHY02"][2] == "other"
    await take(database, points(1, 2, 3), TUESDAY, source="other")
    await take(database, points(2, party="CHY02"), TUESDAY)
    assert (await operators(database))["CHY02"][2] == SOURCE


# ---------------------------------------------------------------- locations


async def test_takes_a_location_along_that_moved(database: Database) -> None:
    """The EVSEs of one location lie in different parts of the file; each part leaves it in agreement."""
    mixed = [each for n in range(6) for each in (*points(n), *points(n, party="CHY02"))]
    await take(database, mixed)
    before = await rows_by_id(database)
    moved = [msgspec.structs.replace(each, position=LYON) for each in mixed]
    with pytest.raises(OSError, match="disk"):
        await import_register(database, Records(moved, breaks_at=4), TUESDAY)
    assert await contradictions(database) == []
    taken_along = await rows_by_id(database)
    assert {row["longitude"] for row in taken_along.values()} == {LYON.longitude}
    assert all(row["content_hash"] != before[evse_id]["content_hash"] for evse_id, row in taken_along.items())
    report = await take(database, moved, TUESDAY)
    assert counts(report) == (12, 9, 3, 0, {})
    assert counts(await take(database, moved, WEDNESDAY)) == (12, 0, 12, 0, {})
    assert await contradictions(database) == []


async def test_locks_the_spots_of_a_location_that_moved_in_the_order_of_their_ids(database: Database) -> None:
    def linking(number: int, spot: int, **changes: Any) -> list[ChargePoint]:
        return points(number, parking_spots=(EvseParkingSpot(parking_id=f"DEPRKP{spot}"),), **changes)

    await take(database, [*points(1, 2, 3), *linking(4, 9), *linking(5, 1, location_id="L2")])
    moved = [*linking(1, 1, position=LYON), *points(2, 3, position=LYON), *linking(4, 9, position=LYON)]
    lock = "select from parking_status where parking_id = $1 for update"
    async with database.writes.acquire() as other, other.transaction():
        await other.execute("set local role none")  # which may see the waits of other sessions
        await other.execute(lock, "DEPRKP1")
        task = asyncio.create_task(take(database, moved, TUESDAY))
        await until_locked_out(other, task=task)
        await other.execute(f"{lock} nowait", "DEPRKP9")
    await task
    assert await contradictions(database) == []
    assert await spot_contradictions(database) == []


async def test_repairs_what_a_crash_left(database: Database) -> None:
    first = [*points(*range(8)), *points(*range(8), party="CHY02", location_id="L2")]
    then = [
        *points(*range(4), location_id="L2", position=LYON),
        *points(*range(2, 10), party="CHY02", location_id="L3"),
    ]
    await take(database, first)
    for breaks_at in (0, 2, 5, 11):
        with pytest.raises(OSError, match="disk"):
            await import_register(database, Records(then, breaks_at=breaks_at), TUESDAY)
        assert await contradictions(database) == []
    report = await take(database, then, TUESDAY)
    assert report.removed == 6
    assert counts(await take(database, then, WEDNESDAY)) == (12, 0, 12, 0, {})
    stored = await database.fetch("select evse_id, location_id, longitude from evse")
    assert {tuple(row) for row in stored} == {
        (each.evse_id, each.location_id, each.position.longitude) for each in then
    }
    assert await contradictions(database) == []


async def test_waits_for_whoever_writes_the_same_operator(database: Database) -> None:
    others = points(1, 2, 3, party="CHY02")
    await take(database, [*points(1), *others])
    [row] = await database.fetch("select no from operator where party_id = 'NLX01'")
    for items in ([*points(1, 2), *others], others):  # the first writes, the second removes
        before = await evse_ids(database)
        async with waiting_behind(database, row["no"]) as watcher:
            task = asyncio.create_task(take(database, items, TUESDAY))
            await until_locked_out(watcher, task=task)
            assert not task.done()
            assert await evse_ids(database) == before
        await task
        assert await evse_ids(database) == sorted(each.evse_id for each in items)


# ---------------------------------------------------------------- the guard


async def test_removes_half_but_not_more_without_confirmation(database: Database) -> None:
    await take(database, points(1, 2, 3, 4))
    assert counts(await take(database, points(1, 2), TUESDAY))[3] == 2
    with pytest.raises(TooManyRemovals, match="2 of 2 EVSEs from register") as caught:
        await take(database, points(3, 4, 5), WEDNESDAY)
    assert caught.value.code == "CONFIRM_REMOVALS"
    assert await evse_ids(database) == [f"NLX01E{n}" for n in range(1, 6)]
    assert counts(await take(database, points(3, 4, 5), WEDNESDAY, confirm_removals=True))[3] == 2
    assert await evse_ids(database) == [f"NLX01E{n}" for n in range(3, 6)]
    assert await contradictions(database) == []


async def test_removes_nothing_for_a_file_without_rows(database: Database) -> None:
    await take(database, points(1))
    with pytest.raises(TooManyRemovals):
        await take(database, [])
    assert await evse_ids(database) == ["NLX01E1"]


# ---------------------------------------------------------------- any history

stated = st.tuples(st.sampled_from(["NLX01", "DE8AC"]), st.integers(0, 4), st.sampled_from(["L1", "L2"]))
files = st.tuples(
    st.sampled_from(["one", "two"]), st.lists(stated, max_size=8), st.lists(st.sampled_from([ULM, LYON]), min_size=2)
)
partner_uploads = st.tuples(
    st.just("partner"), st.lists(stated, max_size=4), st.lists(st.sampled_from([ULM, LYON]), min_size=2)
)


def records_of(said: Sequence[tuple[str, int, str]], at: Sequence[Point]) -> list[ChargePoint]:
    """Make a file that agrees with itself, as readers promise: one position per location."""
    position = {"L1": at[0], "L2": at[1]}
    return [charge_point(f"{party}E{n}", location_id=where, position=position[where]) for party, n, where in said]


@settings(
    max_examples=rounds(10, full=40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=st.lists(st.one_of(files, files, partner_uploads), min_size=1, max_size=5))
async def test_keeps_registers_and_partners_apart_whatever_comes(world: World, history: list[Any]) -> None:
    database = world.database
    await database.write(_empty)
    for day, (who, said, at) in enumerate(history):
        now, items = MONDAY + timedelta(days=day), records_of(said, at)
        before = await by_source(database)
        if who == "partner":
            await update_charge_points(database, items, world.german, now)
            assert all(party_of(evse_id) == "DE8AC" for evse_id in (await by_source(database)).get(None, {}))
        else:
            await _check_import(database, items, who, now, before)
        assert await contradictions(database) == []


async def _check_import(database: Database, items: list[ChargePoint], source: str, now: Any, before: Any) -> None:
    register = Records(items, source=source)
    report = await import_register(database, register, now, confirm_removals=True)
    after = await by_source(database)
    assert {each: rows for each, rows in after.items() if each != source} == {
        each: rows for each, rows in before.items() if each != source
    }
    named = {each.evse_id for each in items}
    assert set(after.get(source, ())) <= named
    assert report.accepted + report.unchanged <= len(after.get(source, ()))
    again = await import_register(database, register, now + timedelta(hours=1), confirm_removals=True)
    assert (again.accepted, again.unchanged) == (0, report.accepted + report.unchanged)


async def by_source(database: Database) -> dict[str | None, dict[str, Any]]:
    found: dict[str | None, dict[str, Any]] = {}
    for evse_id, row in (await rows_by_id(database)).items():
        found.setdefault(row["source"], {})[evse_id] = row
    return found


async def _empty(connection: Any) -> None:
    await connection.execute("delete from evse")
    await connection.execute("delete from location")


async def test_goes_on_beside_uploads_and_other_imports(world: World) -> None:
    database = world.database
    ours = points(*range(40), party="DE8AC")
    theirs = [*points(*range(30)), *points(*range(30), party="CHY02")]
    uploads = asyncio.gather(*(update_charge_points(database, ours[n::4], world.german, MONDAY) for n in range(4)))
    one, two, three = await asyncio.gather(
        take(database, theirs, source="one"),
        take(database, theirs[::-1], source="two"),
        take(database, ours, source="three"),
    )
    assert [each.accepted for each in await uploads] == [10] * 4
    assert one.accepted + two.accepted == 60
    assert counts(three) == (40, 0, 0, 0, {"HELD_BY_OPERATOR": 40})
    assert [each for each in await contradictions(database) if each["what"] != "words"] == []


@pytest.mark.realdata
async def test_takes_in_the_french_register(
    database: Database, real_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH", 2_000)
    refused = tmp_path / "refused.jsonl"
    register: Any = IrveStatic(sampled(real_data("irve/irve-static-fr.csv.gz"), tmp_path), MONDAY)
    first = await import_register(database, register, MONDAY, refusals=refused)
    rows, accepted, unchanged, removed, _ = counts(first)
    assert (rows, unchanged, removed) == (rounds(4_900, full=78_192), 0, 0)
    assert accepted >= 0.95 * rows
    assert len(refused.read_bytes().splitlines()) == rows - accepted
    assert await contradictions(database) == []
    again = await import_register(database, register, TUESDAY)
    assert counts(again)[:4] == (rows, 0, accepted, 0)
    assert again.refused == first.refused
    [row] = await database.fetch("select count(*), min(updated_at), max(updated_at) from evse")
    assert tuple(row) == (accepted, MONDAY, MONDAY)
