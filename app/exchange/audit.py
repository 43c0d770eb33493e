"""The audit log: written in the transaction of each change, append-only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db.engine import Connection
from app.exchange.actor import Actor


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit log. `action` is the command's name in the API; `details` never hold a secret."""

    action: str
    subject: str
    subject_id: object
    partner_ids: frozenset[UUID]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def record(connection: Connection, actor: Actor, now: datetime, entries: Iterable[Entry]) -> None:
    """Append entries; every partner named in an entry may read it."""
    await connection.executemany(
        """
        insert into audit_log (at, actor_role_id, action, subject, subject_id, details, partner_ids)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        [(now, actor.role_id, e.action, e.subject, str(e.subject_id), e.details, list(e.partner_ids)) for e in entries],
    )
