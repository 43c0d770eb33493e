"""A row of two roles is seen, moved and written by these two alone, through the plan and through row-level security."""

from collections.abc import AsyncIterator
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import true

from app.exchange.workflow import Move
from app.read.statements import STATEMENTS
from app.visibility import rules as visibility
from tests.exchange.private_entity.tables import Status, reservation
from tests.exchange.private_entity.workflow import (
    OPERATOR,
    PROVIDER,
    WORKFLOW,
    Command,
    move_reservations,
    request_reservations,
)
from tests.exchange.private_entity.world import Sides, install, listed, make_sides, registered, shown
from tests.exchange.world import owner, utc_now


@pytest.fixture
async def sides(database, database_url, monkeypatch) -> AsyncIterator[Sides]:
    await install(database_url)
    with registered(monkeypatch):
        yield await make_sides(database)


async def request(database, sides: Sides, count: int = 1) -> list[UUID]:
    evse_ids = [f"DE8ACE{number}" for number in range(count)]
    return await request_reservations(
        database, sides.provider.caller, sides.operator.caller.role_id, evse_ids, utc_now()
    )


async def third_parties_learn_nothing(database, sides: Sides, id_: UUID) -> bool:
    return [(await shown(database, c, id_), await listed(database, c)) for c in sides.strangers] == [(None, [])] * 3


async def test_is_shown_to_its_two_roles_and_the_administrator(database, sides):
    [id_] = await request(database, sides)
    for caller in (sides.provider.caller, sides.operator.caller, sides.administrator.caller):
        expected = {"id": str(id_), "evseId": "DE8ACE0", "status": "REQUESTED"}
        assert await shown(database, caller, id_) == expected
        assert await listed(database, caller) == [str(id_)]


async def test_is_shown_to_no_third_party_and_to_no_other_role_of_a_partner(database, sides):
    [id_] = await request(database, sides)
    assert await third_parties_learn_nothing(database, sides, id_)
    assert [await shown(database, caller, uuid4()) for caller in sides.strangers] == [None] * 3


async def disable_row_level_security(database_url: str) -> None:
    async with owner(database_url) as connection:
        await connection.execute("alter table reservation disable row level security")


def break_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(visibility.RULES, reservation.name, lambda _table, _sight: true())  # type: ignore[arg-type]
    STATEMENTS.clear()


async def test_stays_private_with_the_plan_alone(database, database_url, sides):
    [id_] = await request(database, sides)
    await disable_row_level_security(database_url)
    assert await third_parties_learn_nothing(database, sides, id_)


async def test_stays_private_with_row_level_security_alone(database, sides, monkeypatch):
    [id_] = await request(database, sides)
    break_rule(monkeypatch)
    assert await third_parties_learn_nothing(database, sides, id_)


async def test_is_public_without_both(database, database_url, sides, monkeypatch):
    """The broken twin of the two tests above."""
    [id_] = await request(database, sides)
    await disable_row_level_security(database_url)
    break_rule(monkeypatch)
    assert not await third_parties_learn_nothing(database, sides, id_)


async def test_is_not_shown_to_the_other_roles_of_a_partner_as_a_policy_by_partner_would(
    database, database_url, sides, monkeypatch
):
    [id_] = await request(database, sides)
    break_rule(monkeypatch)
    async with owner(database_url) as connection:
        await connection.execute(
            """
            drop policy sides on reservation;
            create policy sides on reservation using (provider_role_id = any(array(
                select id from partner_role where partner_id = hub_partner()
            )))
            """
        )
    assert await shown(database, sides.sibling.caller, id_) is not None
    assert not await third_parties_learn_nothing(database, sides, id_)


async def test_compares_with_a_role_that_is_read_once_per_statement(database, sides):
    await request(database, sides)
    explain = "explain (analyze, timing off, summary off) select * from reservation"
    caller = sides.provider.caller
    rows = await database.fetch_private(caller.partner_id, False, explain, role=caller.role_id)
    plan = "\n".join(row[0] for row in rows)
    assert "InitPlan" in plan
    assert "SubPlan" not in plan
    assert "hub_role" not in plan
    assert "current_setting" not in plan


async def forged(database, sides: Sides) -> bool:
    """Return whether a third party can insert a reservation of two other roles."""

    async def work(connection) -> None:
        await connection.execute(
            """
            insert into reservation (provider_role_id, operator_role_id, evse_id, status, created_at, updated_at)
            values ($1, $2, 'DE8ACE1', 'REQUESTED', $3, $3)
            """,
            sides.provider.caller.role_id,
            sides.operator.caller.role_id,
            utc_now(),
        )

    caller = sides.third.caller
    try:
        await database.write(work, caller.partner_id, False, caller.role_id)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


async def test_is_written_by_no_third_party(database, database_url, sides):
    assert not await forged(database, sides)
    await disable_row_level_security(database_url)
    assert await forged(database, sides), "the broken twin"


# Moving --------------------------------------------------------------------------------------------------------------

WAY_TO = {
    Status.REQUESTED: (),
    Status.CONFIRMED: (("operator", Command.CONFIRM),),
    Status.DECLINED: (("operator", Command.DECLINE),),
    Status.CANCELLED: (("provider", Command.CANCEL),),
}


@pytest.mark.parametrize("state", Status)
async def test_makes_the_listed_transitions_and_refuses_every_other(database, sides, state):
    parts = {"provider": PROVIDER, "operator": OPERATOR, "administrator": "the administrator"}
    moving = [command for command in Command if command is not Command.REQUEST]
    for command, (who, part) in product(moving, parts.items()):
        [id_] = await request(database, sides)
        for by, step in WAY_TO[state]:
            await move_reservations(database, getattr(sides, by).caller, [Move(id_, step)], utc_now())
        advanced = await move_reservations(database, getattr(sides, who).caller, [Move(id_, command)], utc_now())
        [listed_] = [t for t in WORKFLOW.transitions if (t.before, t.command) == (state, command)] or [None]
        after = listed_.after if listed_ is not None and part in listed_.by else None
        assert [moved.after for moved in advanced.moved] == ([] if after is None else [after])
        if after is None:
            [refused] = advanced.refused
            assert refused.error.code == ("NOT_POSSIBLE" if listed_ is None else "FORBIDDEN")
        row = await shown(database, sides.provider.caller, id_)
        assert row["status"] == (after or state)


async def test_answers_a_third_party_as_if_there_were_no_such_row(database, sides):
    [id_], absent = await request(database, sides), uuid4()
    for caller in (sides.sibling.caller, sides.third.caller):
        moves = [Move(id_, Command.CANCEL), Move(absent, Command.CANCEL)]
        advanced = await move_reservations(database, caller, moves, utc_now())
        assert advanced.moved == ()
        foreign, missing = (refused.error for refused in advanced.refused)
        assert (foreign.code, foreign.message.replace(str(id_), str(absent)), foreign.hint) == (
            missing.code,
            missing.message,
            missing.hint,
        )


async def test_keeps_its_history_for_its_two_roles(database, sides):
    [id_] = await request(database, sides)
    await move_reservations(database, sides.operator.caller, [Move(id_, Command.DECLINE, "no cable")], utc_now())
    history = "select command, from_state, to_state, reason, actor_role_id from workflow_history where subject_id = $1"
    for member in (sides.provider, sides.operator, sides.sibling, sides.third):
        caller = member.caller
        rows = await database.fetch_private(
            caller.partner_id, False, f"{history} order by no", str(id_), role=caller.role_id
        )
        if member in (sides.provider, sides.operator):
            assert [tuple(row) for row in rows] == [
                ("request", None, "REQUESTED", None, sides.provider.caller.role_id),
                ("decline", "REQUESTED", "DECLINED", "no cable", sides.operator.caller.role_id),
            ]
        else:
            assert rows == []
