"""The history of workflows: appended only, complete, and in one hash chain per pair of partners."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.errors import Forbidden
from app.exchange.actor import CONSOLE, Actor, write_as
from app.exchange.contracts import (
    CONTRACT_WORKFLOW,
    accept_contract,
    end_contract,
    propose_contract,
    resume_contract,
    set_contract,
    suspend_contract,
)
from app.exchange.partners import revoke_role
from app.exchange.workflow import Advanced, Move, advance, find_tampered, record_created
from app.vocabulary import Role
from tests.exchange.world import Member, can_be_changed, enrol, held_back, look, nsp, operator, owner, provider, utc_now
from tests.waiting import until_locked_out

HISTORY = "select command, from_state, to_state, actor_role_id, reason from workflow_history order by no"


async def contract_with_history(database, one: Member, other: Member) -> UUID:
    """Make a contract with five transitions."""
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    await accept_contract(database, other.caller, contract_id, utc_now())
    await suspend_contract(database, other.caller, contract_id, utc_now())
    await resume_contract(database, other.caller, contract_id, utc_now())
    await end_contract(database, one.caller, contract_id, utc_now())
    return contract_id


async def tampered(database) -> list[tuple[int, str]]:
    return [(row.no, row.problem) for row in await find_tampered(database, CONSOLE)]


async def move(database, actor: Actor, moves: list[Move]) -> Advanced:
    return await write_as(database, actor, lambda c: advance(c, CONTRACT_WORKFLOW, moves, actor, utc_now()))


async def test_holds_every_transition_and_nothing_that_was_refused(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await contract_with_history(database, one, other)
    refused = await move(database, other.caller, [Move(contract_id, "resume")])
    assert [str(each.error) for each in refused.refused] == ["resume is not possible while ended; possible: nothing"]
    first, second = one.caller.role_id, other.caller.role_id
    assert [tuple(row) for row in await look(database, HISTORY)] == [
        ("propose", None, "PROPOSED", first, None),
        ("accept", "PROPOSED", "ACTIVE", second, None),
        ("suspend", "ACTIVE", "SUSPENDED", second, None),
        ("resume", "SUSPENDED", "ACTIVE", second, None),
        ("end", "ACTIVE", "ENDED", first, None),
    ]
    assert await tampered(database) == []


async def test_names_the_console_as_nobody_and_the_reason_of_a_revoked_role(database):
    one, other = await nsp(database), await operator(database)
    await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    await revoke_role(database, CONSOLE, other.party.partner_id, other.party.name, utc_now())
    assert [tuple(row) for row in await look(database, HISTORY)] == [
        ("set", None, "ACTIVE", None, None),
        ("end", "ACTIVE", "ENDED", None, "revokeRole"),
    ]


async def test_chains_each_pair_of_partners_on_its_own(database):
    one, two, other = await nsp(database), await provider(database), await operator(database)
    for side in (one, two):
        await contract_with_history(database, side, other)
    rows = await look(database, "select first_partner_id, second_partner_id, no from workflow_history")
    pairs = Counter((row[0], row[1]) for row in rows)
    assert sorted(pairs.values()) == [5, 5]
    assert all(first <= second for first, second in pairs)
    assert await tampered(database) == []


async def test_chains_two_roles_of_one_partner(database):
    one, other = await enrol(database, "Both", (Role.EVSP, "DE8AA"), (Role.EVSE_OPERATOR, "DE8AC"))
    await contract_with_history(database, one, other)
    assert await tampered(database) == []


REHASH = """
update workflow_history set hash = sha256(prev_hash || history_content(
    first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id, at,
    actor_role_id, command, from_state, to_state, reason, content_hash
)) where no = {no}
"""
CHANGE = "update workflow_history set {column} where no = {no}"


COLUMNS = (
    "reason = 'another'",
    "at = at + interval '1 microsecond'",
    "actor_role_id = null",
    "to_state = 'DECLINED'",
    "command = 'decline'",
    "subject_id = 'another'",
    "content_hash = '\\x00'",
    "prev_hash = '\\x00'",
    "hash = '\\x00'",
)
PLACES = (1, 3, 5)
DELETE = "delete from workflow_history where no = {no}"


async def found_after(connection: asyncpg.Connection, *changes: str) -> list[tuple[int, str]]:
    """Verify the chains as they would be after these changes, which are rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    for change in changes:
        await connection.execute(change)
    found = await connection.fetch("select no, problem from tampered_history()")
    await transaction.rollback()
    return [tuple(row) for row in found]


async def test_names_the_row_that_was_changed_or_deleted(database, database_url):
    await contract_with_history(database, await nsp(database), await operator(database))
    async with owner(database_url) as connection:
        for no in PLACES:
            for column in COLUMNS:
                assert await found_after(connection, CHANGE.format(column=column, no=no)) == [(no, "changed")], column
            rewritten = CHANGE.format(column=COLUMNS[0], no=no), REHASH.format(no=no)
            assert await found_after(connection, *rewritten) == [(no, "changed")]
            assert await found_after(connection, DELETE.format(no=no)) == [(no, "missing")]
            assert await found_after(connection) == []


async def test_is_verified_by_the_administrator_alone(database):
    one, other = await nsp(database), await operator(database)
    await contract_with_history(database, one, other)
    with pytest.raises(Forbidden, match="verify history is for the administrator"):
        await find_tampered(database, one.caller)


async def test_commits_no_row_without_its_history(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    moves = [Move(contract_id, "set")]  # it creates an active contract, and this one is proposed
    with pytest.raises(AssertionError, match="1 steps of contract were not written"):
        await write_as(database, CONSOLE, lambda c: record_created(c, CONTRACT_WORKFLOW, moves, CONSOLE, utc_now()))
    assert len(await look(database, HISTORY)) == 1


async def test_names_the_rows_of_a_chain_whose_end_or_whole_history_was_deleted(database, database_url):
    await contract_with_history(database, await nsp(database), await operator(database))
    async with owner(database_url) as connection:
        assert await found_after(connection, "delete from workflow_chain") == [(5, "changed")]
        assert await found_after(connection, "delete from workflow_history") == [(1, "missing")]
        assert await found_after(connection, "update workflow_chain set length = 3") == [(5, "changed")]


async def test_names_the_first_row_that_was_tampered_with_in_each_chain(database, database_url):
    one, two, other = await nsp(database), await provider(database), await operator(database)
    for side in (one, two):
        await contract_with_history(database, side, other)
    async with owner(database_url) as connection:
        change = "update workflow_history set reason = 'another' where no in (2, 4)"
        assert await found_after(connection, change) == [(2, "changed"), (2, "changed")]


CHANGES = (
    "update workflow_history set reason = 'another'",
    "delete from workflow_history",
    "truncate workflow_history",
)


async def test_is_only_appended_to(database, database_url):
    await contract_with_history(database, await nsp(database), await operator(database))
    assert [await can_be_changed(database, change) for change in CHANGES] == [False] * 3
    async with owner(database_url) as connection:
        await connection.execute("grant update, delete, truncate on workflow_history to ochub_runtime")
    assert [await can_be_changed(database, change) for change in CHANGES] == [True] * 3, "the broken twin"


async def history_seen(database, member: Member) -> int:
    caller = member.caller
    sql = "select 1 from workflow_history"
    return len(await database.fetch_private(caller.partner_id, False, sql, role=caller.role_id))


async def test_is_shown_to_the_two_roles_alone(database, database_url):
    one, other, stranger = await nsp(database), await operator(database), await nsp(database, "Stranger")
    await contract_with_history(database, one, other)
    members = (one, other, stranger)
    assert [await history_seen(database, member) for member in members] == [5, 5, 0]
    assert await database.fetch("select 1 from workflow_history") == []
    assert await database.fetch("select 1 from workflow_chain") == []
    async with owner(database_url) as connection:
        await connection.execute("drop policy sides on workflow_history")
        assert [await history_seen(database, member) for member in members] == [0, 0, 0]
        await connection.execute("create policy sides on workflow_history using (true)")
    assert [await history_seen(database, member) for member in members] == [5, 5, 5], "the broken twin"


# Many and at once ----------------------------------------------------------------------------------------------------


async def test_moves_what_is_possible_and_says_why_of_the_rest(database):
    one, other, stranger = await nsp(database), await operator(database), await nsp(database, "Stranger")
    second = await provider(database)
    mine = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    active = await set_contract(database, CONSOLE, second.party, other.party, utc_now())
    foreign = await set_contract(database, CONSOLE, stranger.party, second.party, utc_now())
    own = await propose_contract(database, other.caller, other.party, stranger.party, utc_now())
    absent = uuid4()
    ids = (mine, active, foreign, own, absent, mine)
    advanced = await move(database, other.caller, [Move(id_, "accept") for id_ in ids])
    assert [(moved.key, moved.before, moved.after) for moved in advanced.moved] == [(mine, "PROPOSED", "ACTIVE")]
    assert [(refused.move.key, refused.error.code, refused.error.message) for refused in advanced.refused] == [
        (active, "NOT_POSSIBLE", "accept is not possible while active; possible: suspend, end"),
        (foreign, "NOT_FOUND", f"there is no contract {foreign}, or it is not yours to see"),
        (
            own,
            "FORBIDDEN",
            "accept while proposed is for the side it was proposed to or the administrator; possible: end",
        ),
        (absent, "NOT_FOUND", f"there is no contract {absent}, or it is not yours to see"),
        (mine, "BAD_INPUT", f"contract {mine} is named twice"),
    ]
    assert await tampered(database) == []


async def test_refuses_a_move_that_expects_another_state(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    advanced = await move(database, one.caller, [Move(contract_id, "end", expected="SUSPENDED")])
    assert [str(refused.error) for refused in advanced.refused] == [
        "end expects suspended, but it is active; possible: suspend, end"
    ]
    assert len((await move(database, one.caller, [Move(contract_id, "end", expected="ACTIVE")])).moved) == 1


async def test_keeps_one_chain_whole_under_concurrent_transitions(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())

    async def rest(member: Member) -> None:
        for command in ("suspend", "resume") * 5:
            await move(database, member.caller, [Move(contract_id, command)])

    await asyncio.gather(*(rest(member) for member in (one, other) * 2))
    [row] = await look(database, "select count(*) = max(no) as whole, count(*) from workflow_history")
    assert row["whole"]
    assert row["count"] > 10
    assert await tampered(database) == []


async def test_makes_only_transitions_of_the_same_pair_wait(database, database_url):
    one, two, other = await nsp(database), await provider(database), await operator(database)
    held, free = [await propose_contract(database, s.caller, s.party, other.party, utc_now()) for s in (one, two)]
    pair = sorted((one.party.partner_id, other.party.partner_id))
    async with owner(database_url) as holder, owner(database_url) as watcher:
        async with holder.transaction():
            await holder.execute(
                "select from workflow_chain where (first_partner_id, second_partner_id) = ($1, $2) for update", *pair
            )
            waiting = asyncio.create_task(accept_contract(database, other.caller, held, utc_now()))
            await until_locked_out(watcher, 1)
            assert await accept_contract(database, other.caller, free, utc_now()) == free
            assert not waiting.done()
        assert await waiting == held


async def test_tells_a_move_that_came_second_what_is_possible_by_then(database, database_url):
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    moves = [move(database, other.caller, [Move(contract_id, c, expected="PROPOSED")]) for c in ("accept", "decline")]
    answers = await held_back(database_url, "select from contract for update", moves)
    assert sum(len(answer.moved) for answer in answers) == 1
    [refused] = [refused for answer in answers for refused in answer.refused]
    assert refused.error.message.startswith(f"{refused.move.command} expects proposed, but it is ")
