"""Live status: who may say what, which word counts, and what is logged of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.ingest.charge_points.updates import update_charge_points
from app.ingest.parking import tables
from app.ingest.status.expiry import sweep
from app.ingest.status.updates import update_status
from app.records.charge_point import EvseParkingSpot
from app.settings import Settings
from app.uploads.items import NotItsOperator, Owner
from app.vocabulary import Role
from tests.ingest.parking_world import spot_contradictions
from tests.ingest.status_world import (
    TRUST,
    StatusWorld,
    counts,
    differing,
    evse,
    history,
    last_logged,
    log,
    logged,
    make_status_world,
    rows,
    said_of,
    spot,
)
from tests.ingest.world import MONDAY, charge_point
from tests.waiting import until_locked_out

MINUTE = timedelta(minutes=1)


def after(minutes: float) -> datetime:
    return MONDAY + minutes * MINUTE


@pytest.fixture
async def world(database: Database) -> StatusWorld:
    return await make_status_world(database)


# ---------------------------------------------------------------- words that go in


async def test_takes_in_a_status_and_says_unchanged_the_second_time(world: StatusWorld):
    said = evse("de*8ac*e1", "NOT_AVAILABLE", "CHARGING", ttl=after(30), at=after(-1))
    assert counts(await world.say(said)) == (1, 0, [])
    before = await rows(world.database, "evse_status")
    row = before["DE8ACE1"]
    assert (row["major"], row["minor"], row["ttl"], row["at"]) == ("NOT_AVAILABLE", "CHARGING", after(30), after(-1))
    assert (row["expires_at"], row["updated_at"]) == (after(30), MONDAY)
    assert await log(world.database) == [(await last_logged(world.database), "EVSE_STATUS", "DE8ACE1", False)]
    assert await history(world.database, "DE8ACE1") == [(after(-1), "NOT_AVAILABLE", "CHARGING")]
    assert counts(await world.say(said, now=after(1))) == (0, 1, [])
    assert await rows(world.database, "evse_status") == before
    assert len(await log(world.database)) == len(await history(world.database, "DE8ACE1")) == 1


async def test_lets_a_repeat_extend_the_ttl_without_a_trace_in_log_and_history(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(5)))
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(9)), now=after(4))) == (0, 1, [])
    row = (await rows(world.database, "evse_status"))["DE8ACE1"]
    assert (row["ttl"], row["expires_at"], row["at"], row["updated_at"]) == (after(9), after(9), after(4), MONDAY)
    assert row["due"] == after(5)
    assert len(await log(world.database)) == len(await history(world.database, "DE8ACE1")) == 1


async def test_gives_items_without_ttl_the_requests_and_else_a_limited_trust(world: StatusWorld):
    await world.say(
        evse("DE8ACE1", "AVAILABLE"),
        evse("DE8ACE2", "AVAILABLE", ttl=after(5)),
        ttl=after(7),
        spots=[spot("DEPRKP1", "AVAILABLE")],
    )
    await world.say(evse("DE8ACE3", "AVAILABLE", at=after(-10)))
    evses = await rows(world.database, "evse_status")
    ttl_of_spot = (await german_of(world, "DEPRKP1"))["ttl"]
    assert (evses["DE8ACE1"]["ttl"], evses["DE8ACE2"]["ttl"], ttl_of_spot) == (after(7), after(5), after(7))
    assert (evses["DE8ACE3"]["ttl"], evses["DE8ACE3"]["expires_at"]) == (None, after(-10) + TRUST)


async def test_cuts_a_ttl_that_lies_too_far_ahead_and_warns(world: StatusWorld):
    years, days = MONDAY + timedelta(days=3_650), MONDAY + timedelta(days=7)
    report = await world.say(
        evse("DE8ACE1", "AVAILABLE", ttl=days),
        evse("DE8ACE2", "AVAILABLE", ttl=years),
        evse("DE8ACE9", "AVAILABLE", ttl=years),
        spots=[spot("DEPRKP1", "NOT_AVAILABLE", ttl=years, at=after(5))],
    )
    assert counts(report) == (3, 0, [("evses[2].evseId", "INVALID_ID")])
    assert [(each.path, each.index, each.id, each.code) for each in report.warnings] == [
        ("evses[1].ttl", 1, "DE*8AC*E2", "TTL_CUT"),
        ("parkingSpots[0].ttl", 0, "DE*PRK*P1", "TTL_CUT"),
    ]
    evses = await rows(world.database, "evse_status")
    for row in (evses["DE8ACE1"], evses["DE8ACE2"], await german_of(world, "DEPRKP1")):
        assert (row["ttl"], row["expires_at"]) == (days, days)


async def test_never_lets_an_older_word_overwrite_a_newer_one(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", at=after(-5)))
    older = evse("DE8ACE1", "NOT_AVAILABLE", at=after(-5) - timedelta(microseconds=1))
    assert counts(await world.say(older)) == (0, 1, [])
    assert len(await log(world.database)) == len(await history(world.database, "DE8ACE1")) == 1
    assert counts(await world.say(evse("DE8ACE1", "NOT_AVAILABLE", at=after(-5)))) == (1, 0, [])
    assert (await rows(world.database, "evse_status"))["DE8ACE1"]["major"] == "NOT_AVAILABLE"


async def test_lets_the_newest_word_of_an_upload_count_and_of_equally_new_ones_the_last(world: StatusWorld):
    report = await world.say(
        evse("DE8ACE1", "AVAILABLE", at=after(-1)),
        evse("DE*8AC*E1", "NOT_AVAILABLE", at=after(-2)),
        evse("DE8ACE2", "NOT_AVAILABLE", at=after(-1)),
        evse("DE8ACE2", "UNKNOWN", at=after(-1)),
        evse("DE8ACE2", "AVAILABLE", "RESERVED", at=after(-1)),
    )
    assert counts(report) == (2, 3, [])
    assert await history(world.database, "DE8ACE1") == [(after(-1), "AVAILABLE", None)]
    assert await history(world.database, "DE8ACE2") == [(after(-1), "AVAILABLE", "RESERVED")]


async def test_sees_a_change_of_the_minor_status_alone(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE"))
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", "AVAILABLE"))) == (1, 0, [])
    assert [row[3] for row in await log(world.database)] == [False, True]


async def test_counts_a_status_that_ran_out_as_unknown(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE", ttl=after(5)))
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE"), now=after(6))) == (1, 0, [])
    assert await history(world.database, "DE8ACE1") == [
        (MONDAY, "AVAILABLE", None),
        (after(5), "UNKNOWN", None),
        (after(6), "AVAILABLE", None),
    ]
    # Subscribers received that it is available, and not yet that it no longer is.
    await world.say(evse("DE8ACE2", "AVAILABLE", ttl=after(5)))
    since = await last_logged(world.database)
    assert counts(await world.say(evse("DE8ACE2", "UNKNOWN"), now=after(6))) == (1, 0, [])
    assert [row[2:] for row in await log(world.database, since)] == [("DE8ACE2", True)]


async def test_keeps_what_ran_out_before_it_came_for_the_history_only(world: StatusWorld):
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", at=after(-180)))) == (1, 0, [])
    assert counts(await world.say(evse("DE8ACE1", "NOT_AVAILABLE", "CHARGING", at=after(-150)))) == (1, 0, [])
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", at=after(-70)))) == (1, 0, [])
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", at=after(-70)))) == (0, 1, [])
    assert await log(world.database) == []
    assert await world.database.fetch("select from status_expiry") == []
    assert await history(world.database, "DE8ACE1") == [
        (after(-180), "AVAILABLE", None),
        (after(-150), "NOT_AVAILABLE", "CHARGING"),
        (after(-90), "UNKNOWN", None),
        (after(-70), "AVAILABLE", None),
    ]


async def test_says_unknown_of_something_unknown_without_a_trace(world: StatusWorld):
    assert counts(await world.say(evse("DE8ACE1", "UNKNOWN"), spots=[spot("DEPRKP1", "UNKNOWN")])) == (0, 2, [])
    assert await log(world.database) == await history(world.database, "DE8ACE1") == []
    assert await world.database.fetch("select from status_expiry") == []


# ---------------------------------------------------------------- spots


async def test_logs_the_evses_whose_combined_status_changes_with_a_spot(world: StatusWorld):
    await world.say(evse("DE8ACE1", "AVAILABLE"), evse("DE8ACE2", "AVAILABLE", ttl=after(50)))
    since = await last_logged(world.database)
    await world.say(by="pso", spots=[spot("DE*PRK*P2", "NOT_AVAILABLE", ttl=after(20))])
    assert [row[1:] for row in await log(world.database, since)] == [
        ("PARKING_STATUS", "DEPRKP2", None),
        ("EVSE_STATUS", "DE8ACE2", True),
    ]
    since = await last_logged(world.database)
    await world.say(by="pso", spots=[spot("DEPRKP1", "NOT_AVAILABLE", ttl=after(10))])
    assert [row[2] for row in await log(world.database, since)] == ["DEPRKP1", "DE8ACE1"]
    found = await rows(world.database, "evse_status")
    assert (found["DE8ACE1"]["blocked_until"], found["DE8ACE2"]["blocked_until"]) == (after(10), after(20))
    since = await last_logged(world.database)
    await world.say(by="pso", spots=[spot("DEPRKP2", "AVAILABLE")])
    assert [row[2:] for row in await log(world.database, since)] == [
        ("DEPRKP2", None),
        ("DE8ACE1", False),
        ("DE8ACE2", False),
    ]
    assert await differing(world.database, MONDAY) == []


async def test_takes_the_status_of_an_evse_after_that_of_its_spots(world: StatusWorld):
    report = await world.say(evse("DE8ACE2", "AVAILABLE"), spots=[spot("DEPRKP2", "NOT_AVAILABLE")])
    assert counts(report) == (2, 0, [])
    assert [row[1:] for row in await log(world.database)] == [
        ("PARKING_STATUS", "DEPRKP2", None),
        ("EVSE_STATUS", "DE8ACE2", False),
    ]
    assert await differing(world.database, MONDAY) == []


async def test_keeps_the_words_of_the_pso_and_of_operators_apart_whatever_their_instants(world: StatusWorld):
    await world.say(evse("DE8ACE2", "AVAILABLE"), spots=[spot("DEPRKP2", "AVAILABLE", at=after(4))])
    since = await last_logged(world.database)
    taken = spot("DEPRKP2", "NOT_AVAILABLE", at=after(-1), ttl=after(9))
    assert counts(await world.say(by="pso", spots=[taken])) == (1, 0, [])
    assert await logged(world.database, since) == ["DEPRKP2", "DE8ACE2"]
    assert await differing(world.database, MONDAY) == []
    before = await rows(world.database, "parking_status")
    row = before["DEPRKP2"]
    assert (row["status"], row["at"], row["expires_at"]) == ("NOT_AVAILABLE", after(-1), after(9))
    assert counts(await world.say(spots=[spot("DEPRKP2", "UNKNOWN", at=after(5))], now=after(1))) == (1, 0, [])
    assert await rows(world.database, "parking_status") == before
    assert (await said_of(world.database, "DEPRKP2", world.german))["at"] == after(5)


async def test_never_lets_an_older_word_of_a_sender_overwrite_its_newer_one(world: StatusWorld):
    for by in ("german", "pso"):
        await world.say(by=by, spots=[spot("DEPRKP2", "NOT_AVAILABLE", at=after(-1), ttl=after(5))])
        older = spot("DEPRKP2", "AVAILABLE", at=after(-2))
        assert counts(await world.say(by=by, spots=[older])) == (0, 1, [])
        # Nor once that ran out.
        assert counts(await world.say(by=by, spots=[older], now=after(6))) == (0, 1, [])
    for row in ((await rows(world.database, "parking_status"))["DEPRKP2"], await german_of(world, "DEPRKP2")):
        assert (row["status"], row["at"]) == ("NOT_AVAILABLE", after(-1))


async def german_of(world: StatusWorld, parking_id: str) -> dict[str, Any]:
    return await said_of(world.database, parking_id, world.german)


async def blocked(world: StatusWorld) -> dict[str, datetime]:
    """Return the EVSEs that are blocked, with until when."""
    found = await rows(world.database, "evse_status")
    return {id_: row["blocked_until"] for id_, row in found.items() if row["blocked_until"] is not None}


async def test_hears_the_operator_where_the_pso_says_nothing_or_its_word_ran_out(world: StatusWorld):
    await world.say(evse("DE8ACE2", "AVAILABLE"), spots=[spot("DEPRKP2", "NOT_AVAILABLE", ttl=after(30))])
    assert await blocked(world) == {"DE8ACE2": after(30)}
    await world.say(by="pso", spots=[spot("DEPRKP2", "AVAILABLE", ttl=after(5))])
    assert await blocked(world) == {}
    since = await last_logged(world.database)
    assert await sweep(world.database, after(5)) == 1
    assert await logged(world.database, since) == ["DEPRKP2", "DE8ACE2"]
    assert await blocked(world) == {"DE8ACE2": after(30)}
    await world.say(by="pso", spots=[spot("DEPRKP2", "UNKNOWN")], now=after(6))
    assert await blocked(world) == {"DE8ACE2": after(30)}
    assert await differing(world.database, after(6)) == []


async def test_hears_a_pso_of_spots_that_only_operators_know(world: StatusWorld):
    assert counts(await world.say(by="pso", spots=[spot("DEPRKP3", "NOT_AVAILABLE")])) == (1, 0, [])
    assert (await rows(world.database, "parking_status"))["DEPRKP3"]["status"] == "NOT_AVAILABLE"


async def test_lets_no_operator_block_anothers_evses_by_a_word_about_a_shared_spot(world: StatusWorld):
    """In either order of the links, and however far ahead the instants lie."""
    for first, second, rival in (("german", "french", "FRA23E7"), ("french", "german", "DE8ACE7")):
        shared = f"DEPRKP{first}".upper()
        own = "DE8ACE8" if first == "german" else "FRA23E8"
        await world.link(own, shared, by=first)
        await world.link(rival, shared, by=second)
        await world.say(evse(own, "AVAILABLE"), by=first)
        await world.say(evse(rival, "AVAILABLE"), by=second)
        since = await last_logged(world.database)
        far = spot(shared, "NOT_AVAILABLE", at=after(5), ttl=MONDAY + timedelta(days=3_650))
        assert counts(await world.say(by=first, spots=[far])) == (1, 0, [])
        assert await logged(world.database, since) == [shared, own]
        assert rival not in await blocked(world)
        # The rival's own word counts for its own EVSEs.
        assert counts(await world.say(by=second, spots=[spot(shared, "NOT_AVAILABLE", ttl=after(7))])) == (1, 0, [])
        assert (await blocked(world))[rival] == after(7)
        assert counts(await world.say(by=second, spots=[spot(shared, "AVAILABLE")])) == (1, 0, [])
        assert rival not in await blocked(world)
        assert own in await blocked(world)
    assert await differing(world.database, MONDAY) == []


async def test_counts_a_psos_word_only_for_operators_that_have_a_contract_with_it(world: StatusWorld):
    """Contracts that begin or end change what is blocked in their own transaction, and log it."""
    await world.link("FRA23E1", "DEPRKP2", by="french")
    now = datetime.now(UTC)
    until = now + timedelta(minutes=50)
    await world.say(evse("FRA23E1", "AVAILABLE"), by="french", now=now)
    await world.say(evse("DE8ACE2", "AVAILABLE"), now=now)
    await world.say(by="pso", spots=[spot("DEPRKP2", "NOT_AVAILABLE", ttl=until)], now=now)
    assert await blocked(world) == {"DE8ACE2": until}
    since = await last_logged(world.database)
    await world.contract("french")
    assert await blocked(world) == {"DE8ACE2": until, "FRA23E1": until}
    await world.contract("german")
    assert await blocked(world) == {"FRA23E1": until}
    # Links and whole spots that come while a contract is in force.
    await world.link("FRA23E2", "DEPRKP2", by="french")
    await world.link("DE8ACE4", "DEPRKP2")
    assert await blocked(world) == {"FRA23E1": until, "FRA23E2": until}
    assert [row[2:] for row in await log(world.database, since) if row[1] == "EVSE_STATUS"] == [
        ("FRA23E1", True),
        ("DE8ACE2", False),
    ]
    assert await differing(world.database, now) == []
    assert await spot_contradictions(world.database) == []


# ---------------------------------------------------------------- what stays out


@pytest.mark.parametrize(
    ("said", "path", "code"),
    [
        ({"evseId": "DE8ACE1"}, ".major", "REQUIRED"),
        ({"evseId": None, "major": "UNKNOWN"}, ".evseId", "REQUIRED"),
        (evse("DE8ACE1", "BUSY"), ".major", "UNKNOWN_VALUE"),
        (evse("DE8ACE1", "AVAILABLE", "CHARGING"), ".minor", "STATUS_PAIR"),
        (evse("DE8ACE1", "NOT_AVAILABLE", "AVAILABLE"), ".minor", "STATUS_PAIR"),
        (evse("DE8ACE1", "UNKNOWN", "OUT_OF_ORDER"), ".minor", "STATUS_PAIR"),
        (evse("DE8ACE1", "AVAILABLE", ttl=after(0)), ".ttl", "OUT_OF_RANGE"),
        (evse("DE8ACE1", "AVAILABLE", ttl=after(-1)), ".ttl", "OUT_OF_RANGE"),
        (evse("DE8ACE1", "AVAILABLE", ttl="9999-12-31T23:59:59-12:00"), ".ttl", "OUT_OF_RANGE"),
        (evse("DE8ACE1", "AVAILABLE", at=after(3), ttl=after(3)), ".ttl", "ORDER"),
        (evse("DE8ACE1", "AVAILABLE", at=after(5) + timedelta(microseconds=1)), ".at", "OUT_OF_RANGE"),
        (evse("DE8ACE1", "AVAILABLE", at="0001-01-01T00:00:00+14:00"), ".at", "OUT_OF_RANGE"),
        (evse("DE8ACE1", "AVAILABLE", at="2026-03-02T12:00:00"), ".at", "PATTERN"),
        (evse("DE8ACE1", "AVAILABLE", at=12), ".at", "WRONG_TYPE"),
        (evse("DE8ACE1", "AVAILABLE", colour="red"), ".colour", "UNKNOWN_FIELD"),
        (evse("\ud800", "AVAILABLE"), ".evseId", "INVALID_ID"),
        (evse("DE8AC1", "AVAILABLE"), ".evseId", "INVALID_ID"),
        ("DE8ACE1", "", "WRONG_TYPE"),
        (None, "", "WRONG_TYPE"),
    ],
)
async def test_refuses_a_bad_item_with_its_path_and_takes_the_others(
    world: StatusWorld, said: Any, path: str, code: str
):
    report = await world.say(evse("DE8ACE3", "AVAILABLE"), said)
    assert counts(report) == (1, 0, [(f"evses[1]{path}", code)])
    assert await logged(world.database) == ["DE8ACE3"]
    kept = await world.database.fetch_private(
        world.german.partner_id, False, "select operation, path, code, message from refusal"
    )
    assert [tuple(row)[:3] for row in kept] == [("updateStatus", f"evses[1]{path}", code)]


async def test_takes_a_time_up_to_five_minutes_ahead(world: StatusWorld):
    assert counts(await world.say(evse("DE8ACE1", "AVAILABLE", at=after(5)))) == (1, 0, [])


async def test_refuses_the_past_ttl_of_a_request_for_each_item_that_has_none_of_its_own(world: StatusWorld):
    report = await world.say(evse("DE8ACE1", "AVAILABLE"), evse("DE8ACE2", "AVAILABLE", ttl=after(1)), ttl=after(-1))
    assert counts(report) == (1, 0, [("evses[0].ttl", "OUT_OF_RANGE")])


async def test_refuses_unknown_and_foreign_ids_with_the_same_words(world: StatusWorld):
    report = await world.say(
        evse("FRA23E1", "AVAILABLE"),
        evse("FRA23E9", "AVAILABLE"),
        evse("DE8ACE9", "AVAILABLE"),
        evse("DE8ACE9", "AVAILABLE"),
        spots=[spot("DEPRKP3", "AVAILABLE"), spot("DEPRKP9", "AVAILABLE"), spot("DE8ACP1", "AVAILABLE")],
    )
    assert counts(report)[:2] == (0, 0)
    assert report.refused_items == 7
    assert {each.code for each in report.refused} == {"INVALID_ID"}
    assert {each.message.replace(each.id or "", "X") for each in report.refused} == {
        "X is no charge point of DE*8AC",
        "X is no parking spot that EVSEs of DE*8AC link",
    }
    assert await log(world.database) == []


async def test_refuses_a_pso_everything_but_its_own_spots(world: StatusWorld):
    report = await world.say(
        evse("DE8ACE1", "AVAILABLE"),
        evse("DEPRKE1", "AVAILABLE"),
        by="pso",
        spots=[spot("DE8ACP1", "AVAILABLE"), spot("DEPRKP9", "AVAILABLE"), spot("DEPRKP1", "AVAILABLE")],
    )
    assert counts(report) == (
        1,
        0,
        [
            ("evses[0].evseId", "INVALID_ID"),
            ("evses[1].evseId", "INVALID_ID"),
            ("parkingSpots[0].parkingId", "INVALID_ID"),
            ("parkingSpots[1].parkingId", "INVALID_ID"),
        ],
    )


@pytest.mark.parametrize("role", [Role.EVSE_OPERATOR, Role.PSO])
async def test_hears_nobody_whose_role_is_gone(world: StatusWorld, role: Role):
    stranger = Owner(world.german.partner_id, 4711, "DE8AC")
    with pytest.raises(NotItsOperator):
        await update_status(world.database, [], [], stranger, role, MONDAY, TRUST)


# ---------------------------------------------------------------- what it costs


async def test_takes_a_thousand_items_with_as_many_statements_as_two(world: StatusWorld, database_url: str):
    await _make_many(world, 500)
    narrow = await Database.open(database_url, Settings(pool_size=1))
    seen: list[str] = []
    async with narrow.writes.acquire() as connection:
        connection.add_query_logger(lambda record: seen.append(record.query))

    async def statements(first: int, last: int) -> int:
        seen.clear()
        evses = [evse(f"DE8ACEX{n}", "AVAILABLE") for n in range(first, last)]
        spots = [spot(f"DEPRKPX{n}", "NOT_AVAILABLE") for n in range(first, last)]
        report = await replace(world, database=narrow).say(*evses, spots=spots)
        assert counts(report) == (2 * (last - first), 0, [])
        await asyncio.sleep(0)  # the driver reports a statement in the loop's next iteration
        return len([each for each in seen if "status" in each or "blocked" in each])

    assert await statements(0, 1) == await statements(1, 500) == 5
    await narrow.close()


async def _make_many(world: StatusWorld, count: int) -> None:
    links = [f"DEPRKPX{n}" for n in range(count)]
    points = [
        charge_point(f"DE8ACEX{n}", parking_spots=(EvseParkingSpot(parking_id=id_),)) for n, id_ in enumerate(links)
    ]
    await update_charge_points(world.database, points, world.german, MONDAY)


@pytest.mark.parametrize("broken", [False, True])
async def test_lets_a_contract_and_a_link_that_cross_see_each_other(
    world: StatusWorld, database_url: str, monkeypatch: pytest.MonkeyPatch, broken: bool
):
    """The twin shares no lock: the link is written by the contracts before, and the contract does not see the link."""
    if broken:
        monkeypatch.setattr(tables, "_SHARE_CONTRACTS", "select $1::integer")
    blocker, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    holding = blocker.transaction()
    await holding.start()
    await blocker.execute("select from parking_spot where parking_id = 'DEPRKP2' for no key update")
    linking = asyncio.create_task(world.link("FRA23E2", "DEPRKP2", by="french"))
    await until_locked_out(watcher, task=linking)
    signing = asyncio.create_task(world.contract("french"))
    if broken:
        await signing
    else:
        await until_locked_out(watcher, 2, task=signing)
    await holding.commit()
    await asyncio.gather(linking, signing)
    assert bool(await spot_contradictions(world.database)) is broken
    for connection in (blocker, watcher):
        await connection.close()
