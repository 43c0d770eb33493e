"""Whole lists in parts: old or new, nothing lost by damage, nothing dropped by mistake."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.errors import BadInput
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.charge_points.lists import set_charge_points
from app.ingest.charge_points.updates import update_charge_points
from app.ingest.parking.lists import set_parking_spots
from app.main import LISTS
from app.records.charge_point import ChargePoint, EvseParkingSpot, Read
from app.uploads import list_parts, whole_list
from app.uploads.checks import Refusal
from app.uploads.items import Owner, Report
from app.uploads.list_parts import ListIncomplete, ListTooLarge, Part, checked_part
from app.uploads.whole_list import EmptyList, TooManyRemovals
from tests.ingest.parking_world import make_pso, spot, spot_contradictions, spots_by_id
from tests.ingest.test_parking_spots import deadlocks
from tests.ingest.world import (
    LYON,
    MONDAY,
    TUESDAY,
    World,
    charge_point,
    contradictions,
    evse_ids,
    make_owner,
    make_world,
    rows_by_id,
)
from tests.length import rounds


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


@pytest.fixture(autouse=True, params=[7, 1_000])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Merge lists in several statements of their transaction, and in one."""
    monkeypatch.setattr(whole_list, "AT_ONCE", request.param)
    monkeypatch.setattr(charge_point_lists, "AT_ONCE", request.param)
    return request.param


async def forget_lists(database: Database, now: datetime) -> None:
    await list_parts.forget_lists(database, LISTS, now)


def evses(*numbers: int, **more: Any) -> list[ChargePoint]:
    return [charge_point(f"DE8ACE{n}", location_id=f"L{n}", **more) for n in numbers]


async def send(
    world: World, items: list[Any], part: Part | None = None, confirmed: bool = False, **more: Any
) -> tuple[int, int, int, list[str]]:
    report = await send_as(world, world.german, items, part, confirmed, **more)
    return report.accepted, report.unchanged, report.removed, [each.code for each in report.refused]


async def send_as(
    world: World, owner: Owner, items: list[Read], part: Part | None, confirmed: bool = False, now: Any = MONDAY
) -> Report:
    return await set_charge_points(world.database, items, owner, part, confirmed, now)


async def staged(world: World) -> list[int]:
    tables = ("upload_list", "list_part", "listed_evse", "listed_parking_spot")
    return [(await world.database.fetch(f"select count(*) from {name}"))[0][0] for name in tables]


async def test_replaces_the_whole_list_in_one(world: World):
    assert await send(world, evses(1, 2, 3)) == (3, 0, 0, [])
    before = await rows_by_id(world.database)
    assert await send(world, evses(1, 2, 3), now=TUESDAY) == (0, 3, 0, [])
    assert await rows_by_id(world.database) == before
    assert await send(world, [*evses(1, 4), *evses(2, telephone_number="1")], now=TUESDAY) == (2, 1, 1, [])
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2", "DE8ACE4"]
    assert await contradictions(world.database) == []
    assert await staged(world) == [0, 0, 0, 0]


async def test_shows_nothing_of_a_list_before_it_is_complete(world: World):
    await send(world, evses(9))
    assert await send(world, evses(1), Part("a", 1, False)) == (1, 0, 0, [])
    assert await send(world, evses(2), Part("a", 2, False)) == (1, 0, 0, [])
    assert await evse_ids(world.database) == ["DE8ACE9"]
    assert await send(world, evses(3), Part("a", 3, True), confirmed=True) == (3, 0, 1, [])
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2", "DE8ACE3"]


async def test_names_the_parts_that_lack_and_goes_into_force_with_the_last_of_them(world: World):
    await send(world, evses(2), Part("a", 2, False))
    with pytest.raises(ListIncomplete, match=r"missing: 1, 3, 4$"):
        await send(world, evses(5), Part("a", 5, True))
    for number in (4, 1):
        await send(world, evses(number), Part("a", number, False))
    assert await evse_ids(world.database) == []
    assert await send(world, evses(3), Part("a", 3, False)) == (5, 0, 0, [])
    assert len(await evse_ids(world.database)) == 5


async def test_replaces_a_part_that_comes_again(world: World):
    await send(world, evses(1, 2), Part("a", 1, False))
    await send(world, evses(1), Part("a", 1, False))
    assert await send(world, evses(3), Part("a", 2, True)) == (2, 0, 0, [])
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE3"]


async def test_takes_no_part_of_a_list_in_force_for_one_of_the_next_of_that_name(world: World):
    """A sender that calls the next list the same begins it with a first part of other content."""
    for turn, number in (("1", 1), ("1", 2), ("1", 3)):
        await send(world, evses(number, telephone_number=turn), Part("a", number, number == 3))
    with pytest.raises(BadInput, match=r"list 'a' has been in force since 2026-\S+Z; part 3 was not taken"):
        await send(world, evses(3, telephone_number="2"), Part("a", 3, True))
    for number in (1, 2):
        assert await send(world, evses(number, telephone_number="2"), Part("a", number, False)) == (1, 0, 0, [])
    assert {row["telephone_number"] for row in (await rows_by_id(world.database)).values()} == {"1"}
    assert await send(world, evses(3, telephone_number="2"), Part("a", 3, True)) == (3, 0, 0, [])
    await forget_lists(world.database, MONDAY + timedelta(hours=23))
    assert await staged(world) == [1, 3, 0, 0]
    await forget_lists(world.database, MONDAY + timedelta(hours=25))
    assert await staged(world) == [0, 0, 0, 0]


async def test_refuses_a_part_behind_the_last(world: World):
    with pytest.raises(ListIncomplete):
        await send(world, evses(2), Part("a", 2, True))
    with pytest.raises(BadInput, match="part 2 of this list was called the last"):
        await send(world, evses(3), Part("a", 3, False))
    await send(world, evses(7), Part("b", 7, False))
    with pytest.raises(BadInput, match="part 7 of this list is here"):
        await send(world, evses(1), Part("b", 1, True))


async def test_keeps_lists_and_parties_apart(world: World):
    await send(world, evses(1), Part("a", 1, False))
    french = [charge_point("FRA23E1")]
    assert (await send_as(world, world.french, list(french), Part("a", 1, True))).accepted == 1
    assert await send(world, evses(2), Part("b", 1, True)) == (1, 0, 0, [])
    assert await evse_ids(world.database) == ["DE8ACE2", "FRA23E1"]


async def test_drops_more_than_half_only_when_that_is_confirmed(world: World):
    await send(world, evses(1, 2, 3, 4))
    assert await send(world, evses(1, 2), Part("half", 1, True)) == (0, 2, 2, [])
    await send(world, evses(1, 2, 3, 4))
    await send(world, [], Part("a", 1, False))
    with pytest.raises(TooManyRemovals, match="remove 3 of 4"):
        await send(world, evses(1), Part("a", 2, True))
    assert len(await evse_ids(world.database)) == 4
    assert await send(world, evses(1), Part("a", 2, True), confirmed=True) == (0, 1, 3, [])
    with pytest.raises(TooManyRemovals):
        await send(world, evses(7))
    assert await staged(world) == [2, 3, 0, 0]  # the names and parts of both are known


async def test_refuses_an_empty_list(world: World):
    await send(world, evses(1))
    for part in (None, Part("a", 1, True)):
        with pytest.raises(EmptyList):
            await send(world, [], part, confirmed=True)
    assert await evse_ids(world.database) == ["DE8ACE1"]


def bad(index: int, evse_id: str) -> Refusal:
    return Refusal(path=f"chargePoints[{index}].x", index=index, id=evse_id, code="PATTERN", message="m")


async def test_keeps_the_previous_record_of_a_refused_item(world: World):
    await send(world, evses(1, 2, 3))
    assert await send(world, [*evses(1), bad(1, "de*8ac*e2")], Part("a", 1, True)) == (0, 1, 1, ["PATTERN"])
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2"]
    assert await send(world, [bad(0, "DE8ACE1")], confirmed=True) == (0, 0, 0, ["PATTERN"])
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2"]


async def test_reports_what_was_refused_of_every_part_and_again_when_one_is_repeated(world: World):
    first = [*evses(1), bad(1, "DE8ACE7"), bad(1, "DE8ACE7"), bad(2, "DE8ACE8")]
    await send(world, first, Part("a", 1, False))
    last = [*evses(1, telephone_number="7"), charge_point("DE8ACE3", location_id="L1", position=LYON)]
    report = await send_as(world, world.german, list(last), Part("a", 2, True))
    assert (report.accepted, report.unchanged, report.removed, report.refused_items) == (1, 0, 0, 4)
    assert [(each.code, each.index, each.message[:9]) for each in report.refused] == [
        ("LOCATION_MISMATCH", 1, "location "),
        ("DUPLICATE", 0, "in part 1"),
        ("PATTERN", 1, "in part 1"),
        ("PATTERN", 1, "in part 1"),
        ("PATTERN", 2, "in part 1"),
    ]
    before = await state(world)
    assert await send_as(world, world.german, list(last), Part("a", 2, True), now=TUESDAY) == report
    again = await send_as(world, world.german, list(first), Part("a", 1, False), now=TUESDAY)
    assert (again.accepted, again.refused_items) == (1, 4)
    assert [each.message[:9] for each in again.refused if each.code == "LOCATION_MISMATCH"] == ["in part 2"]
    assert await state(world) == before


async def state(world: World) -> Any:
    """Return what a repeated part must not change: EVSEs, the log, what is staged and reported."""
    changes = await world.database.fetch("select count(*), max(id) from change")
    lists = await world.database.fetch("select * from upload_list")
    return await rows_by_id(world.database), [tuple(row) for row in (*changes, *lists)], await staged(world)


async def test_refuses_across_parts_what_it_refuses_within_one(world: World):
    foreign = charge_point("FRA23E1")
    assert await send(world, [*evses(1), foreign], Part("a", 1, False)) == (1, 0, 0, ["INVALID_ID"])
    assert await send(world, evses(1, telephone_number="7"), Part("a", 2, True)) == (
        1,
        0,
        0,
        ["DUPLICATE", "INVALID_ID"],
    )
    assert (await rows_by_id(world.database))["DE8ACE1"]["telephone_number"] == "7"


async def test_refuses_evses_of_one_location_that_disagree_and_keeps_them_where_they_were(world: World):
    await send(world, [charge_point(f"DE8ACE{n}") for n in (1, 2, 3)])
    moved = [charge_point("DE8ACE1"), charge_point("DE8ACE2"), charge_point("DE8ACE3", position=LYON)]
    assert await send(world, moved[:2], Part("a", 1, False)) == (2, 0, 0, [])
    assert await send(world, moved[2:], Part("a", 2, True)) == (0, 2, 0, ["LOCATION_MISMATCH"])
    assert len(await evse_ids(world.database)) == 3
    assert await contradictions(world.database) == []


async def test_forgets_an_unfinished_list_after_a_day(world: World):
    await send(world, evses(1), Part("a", 1, False))
    await forget_lists(world.database, MONDAY + timedelta(hours=23))
    assert await staged(world) == [1, 1, 1, 0]
    await forget_lists(world.database, MONDAY + timedelta(hours=25))
    assert await staged(world) == [0, 0, 0, 0]


async def test_bounds_what_a_party_may_leave_unfinished(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(list_parts, "MOST_LISTED", 3)
    await send(world, evses(1, 2), Part("a", 1, False))
    with pytest.raises(ListTooLarge, match="4 items"):
        await send(world, evses(3, 4), Part("b", 1, False))
    assert await send(world, evses(1, 2, 3), Part("a", 1, True)) == (3, 0, 0, [])


@pytest.mark.parametrize(("list_id", "number"), [("", 1), ("a\0", 1), ("x" * 256, 1), ("a", 0), ("a", 10_001)])
def test_refuses_a_part_without_a_place(list_id: str, number: int):
    with pytest.raises(BadInput):
        checked_part(list_id, number, False)


async def test_replaces_a_list_of_parking_spots(world: World):
    pso = await make_pso(world.database)

    async def spots(numbers: list[int], part: Part | None = None, confirmed: bool = False) -> tuple[int, int, int]:
        items = [spot(f"DEPRKP{n}", number=str(n)) for n in numbers]
        report = await set_parking_spots(world.database, items, pso, part, confirmed, MONDAY)
        return report.accepted, report.unchanged, report.removed

    link = EvseParkingSpot(parking_id="DEPRKP1")
    await update_charge_points(world.database, [charge_point("DE8ACE1", parking_spots=(link,))], world.german, MONDAY)
    assert await spots([1, 2, 3]) == (3, 0, 0)
    assert await spots([2], Part("a", 1, False)) == (1, 0, 0)
    with pytest.raises(TooManyRemovals, match="2 of 3"):
        await spots([], Part("a", 2, True))
    assert await spots([], Part("a", 2, True), confirmed=True) == (0, 1, 2)
    stored = await spots_by_id(world.database)
    assert list(stored) == ["DEPRKP1", "DEPRKP2"]
    assert stored["DEPRKP1"]["content_hash"] is None
    with pytest.raises(EmptyList):
        await spots([])
    assert await spot_contradictions(world.database) == []


SPOTS_SHOWN = """
select count(*), min(number::int), max(number::int), min(right(parking_id, 3)::int), max(right(parking_id, 3)::int)
from parking_spot
"""


async def test_shows_an_old_or_a_new_list_of_parking_spots(world: World):
    pso = await make_pso(world.database)
    seen: set[tuple[int, ...]] = set()

    async def look() -> None:
        while True:
            seen.add(tuple((await world.database.fetch(SPOTS_SHOWN))[0]))

    async def publish(turn: int) -> None:
        spots = [spot(f"DEPRKP{n:03}", number=str(turn)) for n in range(turn, 300 + turn)]
        await set_parking_spots(world.database, spots, pso, None, True, MONDAY)

    await publish(0)
    looking = asyncio.create_task(look())
    for turn in range(1, 15):
        await publish(turn)
    assert not looking.done()
    looking.cancel()
    assert seen <= {(300, turn, turn, turn, 299 + turn) for turn in range(15)}
    assert len(seen) > 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(1, 3),
        st.booleans(),
        st.lists(st.integers(0, 5), unique=True, max_size=4),
        st.integers(0, 2),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=rounds(8, full=25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_agrees_with_a_slow_model(world: World, steps: list[Any]):
    owner = await make_owner(world.database, f"ZZ{next(NAMES):03}")
    model: dict[str, int] = {}
    parts: dict[str, dict[int, tuple[bool, dict[str, int]]]] = {"a": {}, "b": {}}
    finished: dict[str, dict[int, Any]] = {}
    for name, number, last, ids, value in steps:
        said = {f"{owner.party_id}E{n}": value for n in ids}
        sent = (last, list(said.items()))
        if name in finished and finished[name].get(number) == sent:
            expected = "ok"
        elif name in finished and number != 1:
            expected = "BAD_INPUT"
        else:
            finished.pop(name, None)
            before = {n: (is_last, list(items.items())) for n, (is_last, items) in parts[name].items()}
            expected = model_step(model, parts[name], number, last, said)
            if expected == "ok" and not parts[name]:
                finished[name] = before | {number: sent}
        items = [charge_point(id_, location_id=id_[5:], max_reservation_minutes=n + 1) for id_, n in said.items()]
        try:
            await send_as(world, owner, list(items), Part(name, number, last), confirmed=number % 2 == 1)
            outcome = "ok"
        except (ListIncomplete, BadInput, EmptyList, TooManyRemovals) as error:
            outcome = error.code
        assert outcome == expected
        rows = await world.database.fetch(
            "select evse_id, max_reservation_minutes - 1 as value from evse where evse_id like $1 || '%'",
            owner.party_id,
        )
        assert {row["evse_id"]: row["value"] for row in rows} == model


NAMES = iter(range(1000))


def model_step(
    model: dict[str, int], parts: dict[int, tuple[bool, dict[str, int]]], number: int, last: bool, said: dict[str, int]
) -> str:
    others = {n: each for n, each in parts.items() if n != number}
    lasts = [n for n, (is_last, _) in others.items() if is_last]
    if (lasts and (last or number > lasts[0])) or (last and others and max(others) > number):
        return "BAD_INPUT"
    parts[number] = (last, said)
    end = next((n for n, (is_last, _) in parts.items() if is_last), None)
    if end is None or any(n not in parts for n in range(1, end + 1)):
        return "LIST_INCOMPLETE" if last else "ok"
    new: dict[str, int] = {}
    for n in sorted(parts):
        new.update(parts[n][1])
    if not new:
        return "EMPTY_LIST"
    if len(model.keys() - new.keys()) * 2 > len(model) and number % 2 == 0:
        return "CONFIRM_REMOVALS"
    model.clear()
    model.update(new)
    parts.clear()
    return "ok"


async def test_lets_four_partners_replace_their_lists_at_once(world: World):
    owners = [
        world.german,
        world.french,
        await make_owner(world.database, "DE777"),
        await make_owner(world.database, "DE888"),
    ]
    pso = await make_pso(world.database)

    def items(owner: Owner, turn: int) -> list[Read]:
        links = [EvseParkingSpot(parking_id=f"DEPRKP{(7 * n + turn) % 60}") for n in range(60)]
        return [
            charge_point(f"{owner.party_id}E{n}", location_id=f"L{n}", parking_spots=(links[n],)) for n in range(60)
        ]

    async def publish(owner: Owner, turn: int) -> None:
        whole = items(owner, turn)
        for number in (1, 2, 3):
            await send_as(world, owner, whole[number - 1 :: 3], Part("daily", number, number == 3), True)

    async def park(turn: int) -> None:
        spots = [spot(f"DEPRKP{n}", number=str(turn)) for n in range(turn, 60, 2)]
        await set_parking_spots(world.database, spots, pso, None, True, MONDAY)

    for turn in range(4):
        await asyncio.gather(*(publish(owner, turn) for owner in owners), park(turn))
    assert len(await evse_ids(world.database)) == 240
    assert await spot_contradictions(world.database) == []
    assert await contradictions(world.database) == []
    assert await deadlocks(world.database) == 0
