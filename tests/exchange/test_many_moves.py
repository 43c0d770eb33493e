"""A workflow moves any number of rows in one call, and the transaction ends as fast as it went."""

from app.db.engine import Connection, Database
from app.exchange.actor import CONSOLE, write_as
from app.exchange.contracts import CONTRACT_WORKFLOW
from app.exchange.workflow import Advanced, Move, advance, find_tampered
from tests.exchange.world import look, owner, utc_now
from tests.length import rounds

#: Providers, and operators: each has a contract with each of the others.
SIDES = rounds(50, full=317)

PARTNERS = """
with enrolled as (
    insert into partner (name) select 'Partner ' || n from generate_series(1, 2 * $1::integer) n returning id, name
),
numbered as (select id, row_number() over (order by id) as n from enrolled)
insert into partner_role (partner_id, role, party_id)
select id, case when n <= $1 then 'EVSP' else 'EVSE_OPERATOR' end, 'DE' || to_char(n, 'FM000') from numbered
"""
CONTRACTS = """
insert into contract (first_role_id, first_partner_id, second_role_id, second_partner_id, proposed_by_role_id, status,
    created_at, updated_at)
select least(one.id, other.id), case when one.id < other.id then one.partner_id else other.partner_id end,
    greatest(one.id, other.id), case when one.id < other.id then other.partner_id else one.partner_id end,
    one.id, 'PROPOSED', now(), now()
from partner_role as one join partner_role as other on one.role = 'EVSP' and other.role = 'EVSE_OPERATOR'
"""
OPERATORS = """
insert into operator (party_id, name, role_id)
select party_id, party_id, id from partner_role where role = 'EVSE_OPERATOR'
"""


async def test_moves_many_rows_in_one_call(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute(PARTNERS.replace("$1", str(SIDES)))
        await connection.execute(OPERATORS)
        await connection.execute(CONTRACTS)
    ids = [row["id"] for row in await look(database, "select id from contract")]
    assert len(ids) == SIDES * SIDES

    now = utc_now()

    async def accept(connection: Connection) -> Advanced:
        return await advance(connection, CONTRACT_WORKFLOW, [Move(id_, "accept") for id_ in ids], CONSOLE, now)

    advanced = await write_as(database, CONSOLE, accept)
    assert (len(advanced.moved), advanced.refused) == (SIDES * SIDES, ())
    [row] = await look(database, "select count(*) from viewer_scope where kind = 'OPERATOR' and ended is null")
    assert row["count"] == SIDES + SIDES * SIDES, "each provider sees each operator, and each operator itself"
    assert await find_tampered(database, CONSOLE) == ()
