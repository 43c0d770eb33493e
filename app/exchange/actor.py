"""The actor of a command: a verified caller, or the clearing house operator at the hub's console."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

import asyncpg

from app.auth import Caller
from app.db.engine import Connection, Database
from app.errors import Forbidden, NotFound, Unauthenticated
from app.exchange.roles import RoleName
from app.ids import shown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Console:
    """The clearing house operator at the command line: an administrator without a partner's role."""

    is_administrator: Literal[True] = True
    role_id: None = None
    partner_id: None = None


CONSOLE = Console()

#: A caller without a key is no actor: `None` never becomes one.
Actor = Caller | Console


def acting(caller: Caller | None) -> Caller:
    """Return the caller as an actor.

    Raises: Unauthenticated without a caller.
    """
    if caller is None:
        raise Unauthenticated("this needs a key, and none was sent", "send `Authorization: Bearer ochub_...`")
    return caller


def require_administrator(actor: Actor, command: str) -> None:
    """Refuse every other actor, whatever the command names and whether or not that exists.

    Raises: Forbidden.
    """
    if not actor.is_administrator:
        raise Forbidden(f"{command} is for the administrator; this key acts as {shown_role(actor)}")


def shown_role(actor: Actor) -> str:
    """Return the name of the role that the actor has, for sentences."""
    return "the console" if isinstance(actor, Console) else str(RoleName(actor.role, actor.party_id))


async def write_as(database: Database, actor: Actor, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in one transaction, with the actor known to row-level security."""
    return await database.write(work, actor.partner_id, actor.is_administrator, actor.role_id)


async def read_as(database: Database, actor: Actor, sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one reading statement, with the actor known to row-level security."""
    return await database.fetch_private(actor.partner_id, actor.is_administrator, sql, *args, role=actor.role_id)


def not_found(noun: str, name: object) -> NotFound:
    """Return the error for a row that does not exist, in the same words as for one that the actor may not see."""
    return NotFound(f"there is no {noun} {name}, or it is not yours to see")


def id_of(noun: str, text: str) -> UUID:
    """Parse an id.

    Raises: NotFound: no row can have such an id.
    """
    try:
        return UUID(text)
    except ValueError:
        raise not_found(noun, shown(text)) from None
