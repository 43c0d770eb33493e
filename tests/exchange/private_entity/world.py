"""Two sides of reservations, and callers that are neither; the entity installed in a test's own database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from app.auth import Caller
from app.db.engine import Database
from app.read import statement
from app.read.execute import read
from app.read.search import Request
from app.read.statements import STATEMENTS
from app.visibility import rules
from app.vocabulary import LogKind, Role
from tests.exchange.private_entity.feed import Kind
from tests.exchange.private_entity.reading import ALL, ALL_SELECTION, ONE, ONE_SELECTION, RULE
from tests.exchange.private_entity.tables import reservation
from tests.exchange.world import Member, administrator, enrol, owner, utc_now

RUNTIME_ROLE = "ochub_runtime"

#: The check that the entity's line in `LogKind` makes.
KINDS = f"""
alter table change drop constraint change_kind_check, add constraint change_kind_check
check (kind in ({", ".join(f"'{kind}'" for kind in (*LogKind, *Kind))}))
"""


@dataclass(frozen=True)
class Sides:
    """`sibling` is another role of the provider's partner."""

    provider: Member
    sibling: Member
    operator: Member
    third: Member
    administrator: Member

    @property
    def strangers(self) -> tuple[Caller | None, ...]:
        return (self.sibling.caller, self.third.caller, None)


async def install(database_url: str) -> None:
    """Create the table and what `reservation.sql` has, as migrations and `app.db.migrate` do."""
    indexes = [CreateIndex(index) for index in reservation.indexes]
    tables = [str(each.compile(dialect=dialect())) for each in (CreateTable(reservation), *indexes)]
    policy = (Path(__file__).parent / "reservation.sql").read_text(encoding="utf-8")
    async with owner(database_url) as connection:
        await connection.execute(";".join([*tables, KINDS, policy.replace("{runtime_role}", RUNTIME_ROLE)]))


@contextmanager
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the entity's two lines to `app.visibility`."""
    monkeypatch.setitem(rules.RULES, reservation.name, RULE)  # type: ignore[arg-type]
    monkeypatch.setattr(statement, "PRIVATE", rules.PRIVATE | {reservation.name})
    STATEMENTS.clear()
    yield
    STATEMENTS.clear()


async def make_sides(database: Database) -> Sides:
    provider, sibling = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.EVSP, "DE9AA"))
    [operator] = await enrol(database, "Operator", (Role.EVSE_OPERATOR, "DE8AC"))
    [third] = await enrol(database, "Third", (Role.EVSE_OPERATOR, "DE8AD"))
    return Sides(provider, sibling, operator, third, await administrator(database))


async def shown(database: Database, caller: Caller | None, id_: UUID) -> Any:
    """Read one reservation as a root field does."""
    return await read(database, caller, ONE_SELECTION, Request(ONE, {"id": id_}), utc_now())


async def listed(database: Database, caller: Caller | None) -> list[str]:
    """Read the ids of all reservations that a caller sees."""
    page = await read(database, caller, ALL_SELECTION, Request(ALL, {}, 500), utc_now())
    return [node["id"] for node in page["nodes"]]
