"""The transitions of a reservation, and its commands."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.auth import Caller
from app.db.engine import Connection, Database
from app.exchange.actor import Actor, write_as
from app.exchange.workflow import ADMINISTRATOR, Advanced, Move, Transition, Workflow, advance, record_created
from tests.exchange.private_entity.tables import Status

PROVIDER: Final = "the provider"
OPERATOR: Final = "the operator"


class Command(StrEnum):
    REQUEST = "request"
    CONFIRM = "confirm"
    DECLINE = "decline"
    CANCEL = "cancel"


WORKFLOW = Workflow(
    noun="reservation",
    table="reservation",
    transitions=(
        Transition(None, Command.REQUEST, Status.REQUESTED, (PROVIDER,)),
        Transition(Status.REQUESTED, Command.CONFIRM, Status.CONFIRMED, (OPERATOR,)),
        Transition(Status.REQUESTED, Command.DECLINE, Status.DECLINED, (OPERATOR, ADMINISTRATOR)),
        Transition(Status.REQUESTED, Command.CANCEL, Status.CANCELLED, (PROVIDER,)),
        Transition(Status.CONFIRMED, Command.CANCEL, Status.CANCELLED, (PROVIDER, OPERATOR)),
    ),
    parts=((PROVIDER, "provider_role_id"), (OPERATOR, "operator_role_id")),
    sides=("provider_role_id", "operator_role_id"),
    assignments="updated_at = step.at",
)


async def request_reservations(
    database: Database, provider: Caller, operator_role_id: int, evse_ids: Sequence[str], now: datetime
) -> list[UUID]:
    """Request EVSEs of an operator. Return the ids of the reservations."""

    async def work(connection: Connection) -> list[UUID]:
        rows = await connection.fetch(
            """
            insert into reservation (provider_role_id, operator_role_id, evse_id, status, created_at, updated_at)
            select $1, $2, evse_id, 'REQUESTED', $4, $4 from unnest($3::text[]) as evse_id returning id
            """,
            provider.role_id,
            operator_role_id,
            evse_ids,
            now,
        )
        ids = [row["id"] for row in rows]
        await record_created(connection, WORKFLOW, [Move(id_, Command.REQUEST) for id_ in ids], provider, now)
        return ids

    return await write_as(database, provider, work)


async def move_reservations(database: Database, actor: Actor, moves: Sequence[Move], now: datetime) -> Advanced:
    """Move any number of reservations in one transaction."""
    return await write_as(database, actor, lambda connection: advance(connection, WORKFLOW, moves, actor, now))
