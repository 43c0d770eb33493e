"""Searches for CDRs: those of the caller's role in some states, by the start of their sessions, and single ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import cdr
from app.read.search import LIMIT, Condition, beyond
from app.visibility.rules import CallerKind, visible

ORDER: Final = ("started_at", "id")


def started_from(table: FromClause) -> ColumnElement[bool]:
    return table.c.started_at >= bindparam("started_from", type_=DateTime(timezone=True))


def started_before(table: FromClause) -> ColumnElement[bool]:
    return table.c.started_at < bindparam("started_before", type_=DateTime(timezone=True))


def with_operator(table: FromClause) -> ColumnElement[bool]:
    return table.c.operator_id == bindparam("counterparty", type_=Text)


def with_provider(table: FromClause) -> ColumnElement[bool]:
    return table.c.provider_id == bindparam("counterparty", type_=Text)


def by_name(table: FromClause) -> ColumnElement[bool]:
    """The CDR with an id and on an EVSE; without the EVSE one whose id is unique by itself."""
    evse_id = bindparam("evse_id", type_=Text)
    is_own_id = func.left(table.c.cdr_id, 5) == table.c.operator_id
    return and_(
        table.c.cdr_id == bindparam("cdr_id", type_=Text),
        or_(and_(evse_id.is_(None), is_own_id), table.c.evse_id == evse_id),
    )


@dataclass(frozen=True, slots=True)
class CdrsInStates:
    """The CDRs in the states `states`, oldest session first.

    Each state's are read in the order of its own index, no further than the page reaches.
    """

    where: tuple[Condition, ...] = ()
    after: bool = False

    table: Table = cdr
    order: tuple[str, ...] = ORDER
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = False
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        row = self.table
        states = func.unnest(bindparam("states", type_=ARRAY(Text))).table_valued("word", name="state").render_derived()
        conditions = [row.c.status == states.c.word, visible(row, caller_kind), *(each(row) for each in self.where)]
        if self.after:
            conditions.append(beyond(row, self.order, self.descending))
        columns = [row.c[name] for name in dict.fromkeys((*names, *self.order))]
        places = [row.c[name] for name in self.order]
        page = select(*columns).where(*conditions).order_by(*places).limit(LIMIT).correlate(states).lateral("page")
        shown: list[ColumnElement[Any]] = [page.c[each.name] for each in columns]
        found: Select[Any] = select(*shown).select_from(states.join(page, true()))
        return found.order_by(*(page.c[name] for name in self.order)).limit(LIMIT)


@dataclass(frozen=True, slots=True)
class CdrByName:
    """The one CDR of the caller's role with a name."""

    table: Table = cdr
    order: tuple[str, ...] = ()
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = True
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        return select(*(self.table.c[name] for name in names)).where(
            visible(self.table, caller_kind), by_name(self.table)
        )


ONE_CDR: Final = CdrByName()
