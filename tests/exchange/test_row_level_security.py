"""The second lock on private tables, tried with plain SQL under the runtime role; every check has a broken twin."""

import asyncpg
import pytest

from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from tests.exchange.world import Member, can_be_changed, nsp, operator, owner, utc_now

PRIVATE = ("api_key", "contract", "audit_log", "refusal")
OWN = {
    "api_key": "select partner_id = $1 as own from api_key",
    "contract": "select $1 in (first_partner_id, second_partner_id) as own from contract",
    "audit_log": "select $1 = any(partner_ids) as own from audit_log",
    "refusal": "select partner_id = $1 as own from refusal",
}


@pytest.fixture
async def members(database, database_url) -> tuple[Member, Member]:
    """Two partners, each with rows of its own in every private table and none in common."""
    made = []
    for number in (1, 2):
        one, other = await operator(database, f"DE00{number}", f"O{number}"), await nsp(database, f"N{number}")
        await set_contract(database, CONSOLE, one.party, other.party, utc_now())
        made.append(one)
    async with owner(database_url) as connection:
        await connection.executemany(
            """
            insert into refusal (partner_id, at, operation, path, index, code, message)
            values ($1, $2, 'updateChargePointList', 'chargePoints[0]', 0, 'FORMAT', 'no')
            """,
            [(member.party.partner_id, utc_now()) for member in made],
        )
    return made[0], made[1]


async def nobody_sees_nothing(database, table: str) -> bool:
    return await database.fetch(f"select 1 from {table}") == []


async def partner_sees_its_own(database, table: str, member: Member) -> bool:
    partner_id = member.party.partner_id
    rows = await database.fetch_private(partner_id, False, OWN[table], partner_id)
    return len(rows) > 0 and all(row["own"] for row in rows)


async def partner_changes_nothing_foreign(database, table: str, member: Member, other: Member) -> bool:
    """Return whether a partner can neither delete the other's rows nor write rows in its name."""

    async def destroy(connection) -> list:
        return await connection.fetch(f"delete from {table} where partner_id = $1 returning id", other.party.partner_id)

    async def forge(connection) -> list:
        return await connection.fetch(
            f"update {table} set partner_id = $1 where partner_id = $2 returning id",
            other.party.partner_id,
            member.party.partner_id,
        )

    for work in (destroy, forge):
        try:
            if await database.write(work, partner=member.party.partner_id):
                return False
        except asyncpg.InsufficientPrivilegeError:
            pass
    return True


@pytest.mark.parametrize("table", PRIVATE)
async def test_shows_nothing_to_nobody_and_to_a_partner_its_own(database, members, table):
    assert await nobody_sees_nothing(database, table)
    for member in members:
        assert await partner_sees_its_own(database, table, member)
    everything = await database.fetch_private(None, True, f"select 1 from {table}")
    assert len(everything) >= 2


@pytest.mark.parametrize("table", PRIVATE)
async def test_would_notice_a_table_without_row_level_security(database, database_url, members, table):
    async with owner(database_url) as connection:
        await connection.execute(f"alter table {table} disable row level security")
    assert not await nobody_sees_nothing(database, table)
    assert not await partner_sees_its_own(database, table, members[0])


@pytest.mark.parametrize("table", PRIVATE)
async def test_would_notice_a_dropped_or_a_generous_policy(database, database_url, members, table):
    async with owner(database_url) as connection:
        await connection.execute(f"drop policy own on {table}")
        assert not await partner_sees_its_own(database, table, members[0])
        await connection.execute(f"create policy own on {table} using (true)")
        assert not await partner_sees_its_own(database, table, members[0])
        assert not await nobody_sees_nothing(database, table)


@pytest.mark.parametrize("table", ["api_key", "refusal"])
async def test_lets_no_partner_write_in_anothers_name(database, members, table):
    assert await partner_changes_nothing_foreign(database, table, *members)


@pytest.mark.parametrize("table", ["api_key", "refusal"])
async def test_would_notice_a_partner_writing_in_anothers_name(database, database_url, members, table):
    async with owner(database_url) as connection:
        await connection.execute(f"alter table {table} disable row level security")
        await connection.execute("alter table api_key drop constraint api_key_role_id_partner_id_fkey")
    assert not await partner_changes_nothing_foreign(database, table, *members)


async def test_does_not_remember_who_asked_before(database, members):
    """The caller is set for one transaction: the next one on a pooled connection has none."""
    for _ in range(20):
        await database.fetch_private(members[0].party.partner_id, False, "select 1")
        await database.fetch_private(None, True, "select 1")
        assert await nobody_sees_nothing(database, "contract")


AUDIT_CHANGES = ("update audit_log set action = 'nothing'", "delete from audit_log", "truncate audit_log")


@pytest.mark.parametrize("change", AUDIT_CHANGES)
async def test_only_appends_to_the_audit_log(database, members, change):
    before = await database.fetch_private(None, True, "select * from audit_log order by id")
    assert not await can_be_changed(database, change)
    assert await database.fetch_private(None, True, "select * from audit_log order by id") == before


@pytest.mark.parametrize("change", AUDIT_CHANGES)
async def test_would_notice_an_audit_log_that_can_be_changed(database, database_url, members, change):
    async with owner(database_url) as connection:
        await connection.execute("grant update, delete, truncate on audit_log to ochub_runtime")
    assert await can_be_changed(database, change)


async def test_keeps_the_contracts_in_force_from_the_runtime_role(database, members):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.fetch("select * from contract_in_force")
