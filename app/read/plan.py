"""What is to be read: a GraphQL selection as frozen data, without GraphQL and without SQL.

`schema.field` declares for each GraphQL field one of the kinds below; `schema.select` turns a selection into `Field`s;
`app.read.statement` compiles them. Nothing here is ever executed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam


@dataclass(frozen=True, slots=True)
class Arguments:
    """The bind parameters of one field's own arguments; `bound` are the names of those that were given."""

    prefix: str = ""
    bound: frozenset[str] = frozenset()

    def __call__(self, name: str, type_: Any) -> ColumnElement[Any]:
        return bindparam(f"{self.prefix}{name}", type_=type_)


#: Converts stored values to the shown one, in generated code. Receives None where `sees_null`, or with several columns.
Shape = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Via:
    """A column of the one row of another table that belongs to this one."""

    relation: "ToOne"
    name: str


#: A column of the row itself, a key of a document, or a column of a row that belongs to it.
Name = str | Via


@dataclass(frozen=True, slots=True)
class Column:
    """A leaf: one column, or several that `shape` makes one value of, with one of the field's own arguments before them
    where there is an `argument`."""

    names: tuple[Name, ...]
    shape: Shape | None = None
    sees_null: bool = False
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """A leaf that SQL makes of columns and of the field's own arguments, which are bind parameters.

    `sql` takes the columns, then the `Arguments`.
    """

    names: tuple[Name, ...]
    sql: Callable[..., ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class SameRow:
    """An object whose fields stand in the same row. `present`: the column that is null when there is no such object."""

    present: str | None = None


@dataclass(frozen=True, slots=True)
class ToOne:
    """An object in exactly one row of another table, joined after the limit.

    `shared` columns mean the same in both rows: selecting nothing else needs no join. `visible_with_parent`: a caller
    who sees the parent sees this row, by the same rule over the same value; else the rule of `table` joins the plan.
    `optional`: there may be no such row; the object is null then, as it is when the row is not the caller's to see.
    Inside `Arrays` the one parent column is the array of keys; unless it is `optional`, every key has its row.
    """

    table: FromClause
    parent_columns: tuple[str, ...]
    columns: tuple[str, ...]
    shared: frozenset[str] = frozenset()
    visible_with_parent: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ToMany:
    """Objects in rows of another table: one correlated array per parent, never a statement per parent.

    `where` gives the conditions of the field's own arguments. `most`: of more rows than these the last count.
    """

    table: FromClause
    parent_columns: tuple[str, ...]
    on: Callable[..., ColumnElement[bool]]
    order: tuple[str, ...]
    visible_with_parent: bool = False
    where: Callable[[FromClause, Arguments], list[ColumnElement[bool]]] | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """An object that `count` makes of rows of another table, each with these columns; its fields name the keys."""

    rows: ToMany
    names: tuple[Name, ...]
    count: Callable[[Sequence[Sequence[Any]]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Priced:
    """What a session costs at a row, an object whose fields name the keys.

    `offers`: the tariffs there, by the field's own arguments, one of which holds the session.
    """

    offers: Callable[[Arguments], ToMany]


@dataclass(frozen=True, slots=True)
class Arrays:
    """A list of objects that stands in parallel arrays of the same row; its fields name the arrays."""

    length_of: str


@dataclass(frozen=True, slots=True)
class Documents:
    """A document, or a list of them, in one column (or under one key of a document); its fields name the keys."""

    column: Name
    many: bool


@dataclass(frozen=True, slots=True)
class Given:
    """A leaf that only some searches know, such as a distance; null elsewhere."""

    name: str
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A leaf known before anything is read, such as __typename."""

    value: Any


@dataclass(frozen=True, slots=True)
class Edges:
    """A connection's edges: one object per row found."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A connection's rows without their edges."""


@dataclass(frozen=True, slots=True)
class Node:
    """The row itself, inside an edge."""


@dataclass(frozen=True, slots=True)
class EdgeCursor:
    """Where a row stands in its list."""


@dataclass(frozen=True, slots=True)
class RankPrice:
    """The price that a row is ranked by, an object whose fields name the keys; null in other lists."""


@dataclass(frozen=True, slots=True)
class LogCursor:
    """The position in the change log of the snapshot that the list was read in; `shape` makes a cursor of its text."""

    shape: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class PageInfo:
    """What lies before and behind a page; its fields are `PageLeaf`s."""


@dataclass(frozen=True, slots=True)
class PageLeaf:
    name: str


Read = (
    Column | Computed | SameRow | ToOne | ToMany | Counted | Priced | Arrays | Documents | Given | Constant
    | Edges | Nodes | Node | EdgeCursor | RankPrice | LogCursor | PageInfo | PageLeaf
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One response key and how its value is read; `fields` where it is an object or a list of them."""

    key: str
    read: Read
    fields: tuple["Field", ...] = ()
    arguments: Arguments = Arguments()


@dataclass(frozen=True, slots=True)
class Selection:
    """The fields asked of one root field. Hashed once: it keys the statements."""

    fields: tuple[Field, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.fields))

    def __hash__(self) -> int:
        return self._hash
