"""What a root field looks for: a frozen shape, which keys the statement, and its arguments, which are bound to it.

Every search gives the rows it found as a subquery; `app.read.statement` adds joins and the final order around it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    FromClause,
    Select,
    Table,
    Uuid,
    any_,
    bindparam,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.read.prices import Ranking
from app.visibility.rules import CallerKind, visible

LIMIT = bindparam("limit", type_=BigInteger)

#: A condition of a search on rows of a table; its bind parameters are arguments of the request.
Condition = Callable[[FromClause], ColumnElement[bool]]


class Search(Protocol):
    """Hashable. `order`: the columns, named in the rows found, whose values make a row's place unique."""

    @property
    def table(self) -> Table: ...
    @property
    def order(self) -> tuple[str, ...]: ...
    @property
    def descending(self) -> bool: ...
    @property
    def given(self) -> frozenset[str]: ...
    @property
    def single(self) -> bool: ...
    @property
    def planned(self) -> bool:
        """Whether the best plan depends on the arguments so much that planning for each call pays."""
        ...

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        """Return the rows found, with these columns of the table and everything in `order` and `given`."""
        ...


@dataclass(frozen=True, slots=True)
class ById:
    """The one row whose unique columns have these values: bind parameters of the columns' own names."""

    table: Table
    columns: tuple[str, ...]
    order: tuple[str, ...] = ()
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = True
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        is_it = [self.table.c[name] == bindparam(name, type_=self.table.c[name].type) for name in self.columns]
        return select(*(self.table.c[name] for name in names)).where(visible(self.table, caller_kind), *is_it)


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows a caller sees, in the order of some columns, in pages.

    `filters`: columns matched by any of a list. `where`: conditions besides.
    """

    table: Table
    order: tuple[str, ...]
    descending: bool = False
    filters: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    since: str | None = None
    member_of: str | None = None
    after: bool = False
    given: frozenset[str] = frozenset()
    single: bool = False
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        table = self.table
        conditions = [visible(table, caller_kind)]
        conditions += [table.c[name] == any_of(name, table.c[name]) for name in self.filters]
        conditions += [condition(table) for condition in self.where]
        if self.since is not None:
            conditions.append(table.c[self.since] >= bindparam("since", type_=DateTime(timezone=True)))
        if self.member_of is not None:
            conditions.append(bindparam(self.member_of, type_=Uuid) == table.c[self.member_of + "s"].any_())
        if self.after:
            conditions.append(beyond(table, self.order, self.descending))
        places = [table.c[name].desc() if self.descending else table.c[name] for name in self.order]
        columns = dict.fromkeys((*names, *self.order))
        return select(*(table.c[name] for name in columns)).where(*conditions).order_by(*places).limit(LIMIT)


def any_of(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return `any(:name)` for an array argument of the column's type."""
    return any_(bindparam(name, type_=ARRAY(column.type)))


def beyond(table: FromClause, order: tuple[str, ...], descending: bool) -> ColumnElement[bool]:
    """Return the keyset condition: rows behind the place `after_...` in this order."""
    here = tuple_(*(table.c[name] for name in order))
    place = place_after(order, table)
    return here < place if descending else here > place


def place_after(order: tuple[str, ...], table: FromClause) -> ColumnElement[Any]:
    """Return the place behind which a page begins; what the table does not have is a distance."""
    types = {name: table.c[name].type if name in table.c else Float(53) for name in order}
    return tuple_(*(bindparam(f"after_{name}", type_=type_) for name, type_ in types.items()))


@dataclass(frozen=True, slots=True)
class Request:
    """A search with its arguments. `first` is None for a single row; `after` is the cursor as the caller sent it.

    `ranking`: the rows are ordered or filtered by their prices; the search itself has no `after` then.
    """

    search: Search
    arguments: Mapping[str, Any]
    first: int | None = None
    after: str | None = None
    ranking: Ranking | None = None


def order_name(search: Search, ranked: bool = False) -> str:
    """Name a search's order: cursors of one order are refused by another."""
    return "+".join(("price", *search.order) if ranked else search.order)
