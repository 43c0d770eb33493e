"""Who acts: a verified caller, or the clearing house operator at the hub's own console."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from app.auth import Caller
from app.db.engine import Connection, Database
from app.errors import Forbidden, NotFound, Unauthenticated
from app.exchange.roles import RoleName
from app.ids import shown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Console:
    """The clearing house operator at the command line: acts as administrator, in no partner's role."""

    @property
    def is_administrator(self) -> bool:
        return True

    @property
    def role_id(self) -> None:
        return None

    @property
    def partner_id(self) -> None:
        return None


CONSOLE = Console()

#: A stranger is no actor: `None` never becomes one.
Actor = Caller | Console


def acting(caller: Caller | None) -> Caller:
    """Let a caller act.

    Raises: Unauthenticated for a stranger.
    """
    if caller is None:
        raise Unauthenticated("this needs a key, and none was sent", "send `Authorization: Bearer ochub_...`")
    return caller


def require_administrator(actor: Actor, command: str) -> None:
    """Let only the administrator pass.

    Raises: Forbidden, whatever the command is about and whether or not it exists.
    """
    if not actor.is_administrator:
        raise Forbidden(f"{command} is for the administrator; this key acts as {shown_role(actor)}")


def shown_role(actor: Actor) -> str:
    """Name the role somebody acts in, for sentences."""
    return "the console" if isinstance(actor, Console) else str(RoleName(actor.role, actor.party_id))


async def write_as(database: Database, actor: Actor, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in one transaction in which row-level security knows the actor."""
    return await database.write(work, actor.partner_id, actor.is_administrator, actor.role_id)


def not_found(noun: str, name: object) -> NotFound:
    """Say that something is not there, in the very words for what is not the actor's to see."""
    return NotFound(f"there is no {noun} {name}, or it is not yours to see")


def id_of(noun: str, text: str) -> UUID:
    """Read an id as it came from outside.

    Raises: NotFound: nothing can have such an id.
    """
    try:
        return UUID(text)
    except ValueError:
        raise not_found(noun, shown(text)) from None
