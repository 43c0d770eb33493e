"""One SELECT in the making: the columns that an answer needs, and the rows joined to its root row to have them."""

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Float,
    FromClause,
    Numeric,
    Select,
    Text,
    and_,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, aggregate_order_by

from app.read.plan import Arguments, Computed, ToMany, ToOne
from app.visibility.rules import CallerKind, visible

UTC: ColumnElement[Any] = literal_column("'UTC'")
RFC3339: ColumnElement[Any] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")
NO_FRACTION: ColumnElement[Any] = literal_column("'.000000'")
NOTHING: ColumnElement[Any] = literal_column("''")

#: The joins between a level's root row and one of its rows.
Path = tuple[ToOne, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A column of one of a level's rows."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """The rows of another table that belong to one of a level's rows, as one value."""

    relation: ToMany
    arguments: Arguments
    parents: tuple[Place, ...]
    level: "Level"


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that SQL computes from columns of one of a level's rows."""

    computed: Computed
    arguments: Arguments
    parents: tuple[Place, ...]


Wanted = Place | Array | Expression


@dataclass(eq=False, slots=True)
class Level:
    """One SELECT in the making: the columns asked of its root row and of the rows joined to it."""

    caller_kind: CallerKind
    columns: list[Wanted] = field(default_factory=list)
    joins: dict[Path, tuple[Place, ...]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def index(self, column: Wanted) -> int:
        if column not in self.columns:
            self.columns.append(column)
        return self.columns.index(column)

    def root_names(self, brought: Set[str]) -> list[str]:
        """Return the columns that the root row must bring besides: shown, joined on, or handed to an array."""
        places = [column for column in self.columns if isinstance(column, Place)]
        places += [place for on in self.joins.values() for place in on]
        places += [place for column in self.columns if not isinstance(column, Place) for place in column.parents]
        names = [place.name for place in places if not place.path]
        return list(dict.fromkeys(name for name in names if name not in brought))

    def select(self, root: FromClause) -> Select[Any]:
        rows: dict[Path, FromClause] = {(): root}
        joined = root
        for path, parents in self.joins.items():
            joined = self._join(joined, rows, path, parents)
        # A count of nothing but constants still needs its rows.
        columns = [self._column(column, rows) for column in self.columns] or [literal_column("1")]
        return select(*columns).select_from(joined)

    def _join(
        self, joined: FromClause, rows: dict[Path, FromClause], path: Path, parents: tuple[Place, ...]
    ) -> FromClause:
        relation = path[-1]
        child = rows[path] = relation.table.alias()
        pairs = zip(parents, relation.columns, strict=True)
        on = and_(*(rows[parent.path].c[parent.name] == child.c[name] for parent, name in pairs))
        if not relation.visible_with_parent:
            on = and_(on, visible(child, self.caller_kind))
        return joined.join(child, on, isouter=may_be_missing(relation))

    def _column(self, column: Wanted, rows: dict[Path, FromClause]) -> ColumnElement[Any]:
        if isinstance(column, Place):
            return rows[column.path].c[column.name]
        if isinstance(column, Expression):
            values = [rows[place.path].c[place.name] for place in column.parents]
            return column.computed.sql(*values, column.arguments)
        return column.level.array(column, rows)

    def array(self, array: Array, rows: dict[Path, FromClause]) -> ColumnElement[Any]:
        """Return this level's rows as one JSON array of arrays, correlated with their parent."""
        relation = array.relation
        child = relation.table.alias()
        parents = [rows[place.path].c[place.name] for place in array.parents]
        conditions = [relation.on(child, *parents)]
        if not relation.visible_with_parent:
            conditions.append(visible(child, self.caller_kind))
        if relation.where is not None:
            conditions += relation.where(child, array.arguments)
        if relation.most is not None:
            child, conditions = _last(child, conditions, relation, tuple(rows.values())), []
        statement = self.select(child).where(*conditions)
        values = func.json_build_array(*(_as_json(column) for column in statement.selected_columns))
        ordered = aggregate_order_by(values, *(child.c[name] for name in relation.order))
        rows_or_none = func.coalesce(func.json_agg(ordered), text("'[]'"), type_=JSON)
        return statement.with_only_columns(rows_or_none).correlate(*rows.values()).scalar_subquery()


def _last(
    child: FromClause, conditions: list[ColumnElement[bool]], relation: ToMany, parents: tuple[FromClause, ...]
) -> FromClause:
    order = [child.c[name].desc() for name in relation.order]
    most: ColumnElement[Any] = literal_column(str(relation.most))
    # Said aloud: a select this deep does not correlate by itself.
    return select(child).where(*conditions).order_by(*order).limit(most).correlate(*parents).subquery()


def may_be_missing(relation: ToOne) -> bool:
    return relation.optional or not relation.visible_with_parent


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Spell instants as the rest of an answer does, and keep the digits of decimals: JSON numbers would lose some."""
    if isinstance(column.type, DateTime):
        return func.replace(func.to_char(func.timezone(UTC, column), RFC3339), NO_FRACTION, NOTHING)
    if isinstance(column.type, Numeric) and not isinstance(column.type, Float):
        return cast(column, Text)
    return column
