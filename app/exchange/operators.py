"""Operators, the owners of EVSEs: claimed when a partner gets the role, released when the role is revoked.

Every transaction that changes an operator's EVSEs locks its row first (`for share` is enough), because releasing an
operator depends on its EVSEs.
"""

from datetime import datetime
from uuid import UUID

from app.db.engine import Connection, Database
from app.errors import Forbidden
from app.exchange.actor import Actor, not_found, shown_role, write_as
from app.exchange.audit import Entry, record
from app.exchange.roles import HeldRole, RoleName
from app.vocabulary import Role


async def set_operator_open(database: Database, actor: Actor, party_id: str, open_: bool, now: datetime) -> str:
    """Open an operator's EVSEs to everybody, or close them to all but its contract partners. Return the party id.

    For the operator itself and the administrator. A repetition changes nothing.

    Raises: Forbidden for another party id, whether or not a partner holds it; NotFound.
    """
    name = RoleName(Role.EVSE_OPERATOR, party_id)
    if not actor.is_administrator and shown_role(actor) != str(name):
        raise Forbidden(f"only {name} and the administrator open or close it; this key acts as {shown_role(actor)}")

    async def work(connection: Connection) -> str:
        row = await connection.fetchrow(
            """
            select no, open, partner_id from operator
            left join partner_role on partner_role.id = operator.role_id and revoked_at is null
            where operator.party_id = $1 for no key update of operator
            """,
            party_id,
        )
        if row is None:
            raise not_found("operator", party_id)
        if row["open"] is not open_:
            await connection.execute("update operator set open = $2 where no = $1", row["no"], open_)
            concerned: frozenset[UUID] = frozenset({row["partner_id"]} - {None})
            entry = Entry("setOperatorOpen", "operator", party_id, concerned, {"open": open_})
            await record(connection, actor, now, [entry])
        return party_id

    return await write_as(database, actor, work)


async def claim_operator(connection: Connection, role: HeldRole, open_: bool, suspended: bool) -> None:
    """Assign the operator of a party id, inserted or taken from a register, to a role, in the caller's transaction.

    From now on contracts decide who sees it, so it is closed unless `open_`. EVSEs from a register stay until the
    partner replaces or removes them; as long as there are any, source and licence stay too, as the licence requires.
    """
    await connection.execute(
        """
        insert into operator (party_id, name, open, suspended, role_id) values ($1, $2, $3, $4, $5)
        on conflict (party_id) do update
        set name = excluded.name, open = excluded.open, suspended = excluded.suspended, role_id = excluded.role_id,
            (source, licence) = (
                select operator.source, operator.licence from evse
                where evse.operator_no = operator.no and evse.source is not null limit 1
            )
        """,
        role.name.party_id,
        role.partner_name,
        open_,
        suspended,
        role.id,
    )


async def release_operator(connection: Connection, role: HeldRole) -> None:
    """Take the operator from a role that is revoked, in the caller's transaction.

    Without uploads by the partner the operator is unclaimed again, and open if it came from a register. With uploads,
    the operator, its EVSEs and tariffs stay with the revoked role, closed and suspended: visible to the administrator
    only, unchanged by registers, and passed on to the partner that is granted the party id next. Nothing is deleted.
    """
    no = await connection.fetchval("select no from operator where role_id = $1 for update", role.id)
    uploaded = await connection.fetchval(
        """
        select exists (select from evse where operator_no = $1 and evse.source is null)
        or exists (select from tariff where operator_no = $1)
        """,
        no,
    )
    if uploaded:
        await connection.execute("update operator set open = false, suspended = true where no = $1", no)
    else:
        await connection.execute(
            "update operator set open = source is not null, suspended = false, role_id = null where no = $1", no
        )


async def suspend_operators(connection: Connection, partner_id: UUID, suspended: bool) -> None:
    """Hide the operators of a partner, or show them again, in the caller's transaction."""
    await connection.execute(
        """
        update operator set suspended = $2
        from partner_role where partner_role.id = operator.role_id and partner_id = $1 and revoked_at is null
        """,
        partner_id,
        suspended,
    )


async def rename_operators(connection: Connection, partner_id: UUID, name: str) -> None:
    """Call the operators of a partner as it is called, in the caller's transaction."""
    await connection.execute(
        """
        update operator set name = $2
        from partner_role where partner_role.id = operator.role_id and partner_id = $1 and revoked_at is null
        """,
        partner_id,
        name,
    )
