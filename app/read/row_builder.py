"""The function that makes an answer out of rows, in the making: a walk over the fields writes its body.

It notes the columns that it needs in the level of the SELECT that will bring them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, FromClause, any_

from app.read.paging import encode_cursor
from app.read.plan import (
    Arguments,
    Arrays,
    Column,
    Computed,
    Constant,
    Counted,
    Documents,
    EdgeCursor,
    Edges,
    Field,
    Given,
    LogCursor,
    Name,
    Node,
    Nodes,
    PageInfo,
    PageLeaf,
    Priced,
    RankPrice,
    SameRow,
    Shape,
    ToMany,
    ToOne,
    Via,
)
from app.read.prices import OFFER, shown_price
from app.read.search import Search, order_name
from app.read.select_builder import Array, Expression, Level, Path, Place, may_be_missing
from app.visibility.rules import table_name

#: The language in which a row's tariff is described.
LANGUAGE = "location_name_language"
#: The argument of a price that holds the session.
PRICING = "pricing"
#: Rows of a ranked list end with these.
RANK, RANKED_OFFER = "r0[-2]", "r0[-1]"


@dataclass(slots=True)
class Row:
    """A row of a level, reached over `path`; the variable holds the level's tuple."""

    code: "Code"
    level: Level
    table: FromClause
    variable: str
    path: Path = ()
    parent: "Row | None" = None
    given_names: frozenset[str] = frozenset()

    def column(self, name: Name) -> str:
        return f"{self.variable}[{self.level.index(self.place(name))}]"

    def place(self, name: Name) -> Place:
        """Return the nearest row that has this column: a shared one needs no join."""
        if isinstance(name, Via):
            return self.to_one(name.relation).place(name.name)
        if self.parent is not None and name in self.path[-1].shared:
            return self.parent.place(name)
        if self.path and self.path not in self.level.joins:
            relation, parent = self.path[-1], self.parent
            assert parent is not None
            self.level.joins[self.path] = tuple(parent.place(column) for column in relation.parent_columns)
            self.level.tables.add(table_name(relation.table))
        return Place(self.path, name)

    def nullable(self, name: Name) -> bool:
        if isinstance(name, Via):
            return True
        if self.path and may_be_missing(self.path[-1]):
            return True
        column = self.table.c.get(name)
        return column is None or bool(getattr(column, "nullable", True))

    def given(self, name: str) -> str:
        return self.column(name) if name in self.given_names else "None"

    def to_one(self, relation: ToOne) -> "Row":
        if self.parent is not None and self.path[-1].shared.issuperset(relation.parent_columns):
            return self.parent.to_one(relation)  # the same row, seen from the parent: one join serves both
        return Row(self.code, self.level, relation.table, self.variable, (*self.path, relation), self)

    def computed(self, computed: Computed, arguments: Arguments) -> str:
        parents = tuple(self.place(name) for name in computed.names)
        return f"{self.variable}[{self.level.index(Expression(computed, arguments, parents))}]"

    def to_many(self, relation: ToMany, arguments: Arguments, variable: str) -> "tuple[str, Row]":
        level = Level(self.level.caller_kind, tables=self.level.tables)
        level.tables.add(table_name(relation.table))
        parents = tuple(self.place(name) for name in relation.parent_columns)
        expression = f"{self.variable}[{self.level.index(Array(relation, arguments, parents, level))}]"
        return expression, Row(self.code, level, relation.table, variable)


@dataclass(slots=True)
class ArrayItem:
    """One position of parallel arrays; records which arrays were asked for, and which rows they name."""

    row: Row
    prefix: str
    names: dict[str, str] = field(default_factory=dict)
    rows: dict[ToOne, "tuple[str, Row]"] = field(default_factory=dict)

    def column(self, name: Name) -> str:
        assert isinstance(name, str), f"{name} is not in parallel arrays"
        return self.names.setdefault(name, f"{self.prefix}_{len(self.names)}")

    def nullable(self, name: Name) -> bool:
        return True

    def named_row(self, relation: ToOne) -> Row:
        """Return the row that this position names: all rows that the array names are read as one value."""
        if relation not in self.rows:
            [ids], [key] = relation.parent_columns, relation.columns
            named = ToMany(relation.table, (ids,), _named_in(key), (key,), relation.visible_with_parent)
            expression, row = self.row.to_many(named, Arguments(), f"{self.prefix}_row{len(self.rows)}")
            row.column(key)  # the first column of these rows, by which `_aligned` finds them
            aligned = f"{self.row.code.shape(_aligned)}({expression}, {self.row.column(ids)})"
            self.rows[relation] = (aligned, row)
        return self.rows[relation][1]


def _named_in(key: str) -> Callable[..., ColumnElement[bool]]:
    def on(rows: FromClause, ids: ColumnElement[Any]) -> ColumnElement[bool]:
        return rows.c[key] == any_(ids)

    return on


def _aligned(rows: Sequence[Sequence[Any]], ids: Sequence[Any]) -> list[Sequence[Any] | None]:
    """Return for each of the ids the row that begins with it."""
    by_id = {row[0]: row for row in rows}
    return [by_id.get(id_) for id_ in ids]


@dataclass(frozen=True, slots=True)
class _NamedRow:
    """A row that a position of parallel arrays names by its key; who asks for nothing but the key needs no row."""

    item: ArrayItem
    relation: ToOne

    def row(self) -> Row:
        return self.item.named_row(self.relation)

    def column(self, name: Name) -> str:
        if (name,) == self.relation.columns:
            return self.item.column(self.relation.parent_columns[0])
        return self.row().column(name)

    def nullable(self, name: Name) -> bool:
        return isinstance(name, Via) or bool(self.relation.table.c[name].nullable)


@dataclass(frozen=True, slots=True)
class _DocumentItem:
    """A document read from JSON: its fields are keys, absent ones null."""

    variable: str

    def column(self, name: Name) -> str:
        return f"{self.variable}.get({name!r})"

    def nullable(self, name: Name) -> bool:
        return True


_Any = Row | ArrayItem | _NamedRow | _DocumentItem


@dataclass(slots=True)
class Code:
    """The function being written."""

    search: Search
    ranked: bool = False
    shapes: dict[str, Shape] = field(default_factory=dict)
    variables: int = 0
    logged: bool = False

    def root(self, fields: tuple[Field, ...], row: Row) -> str:
        """Write the function's body: a connection over all rows, or the object of the only one."""
        body = self.object(fields, row)
        if self.search.single:
            return f"return [{body} for r0 in rows][0] if rows else None"
        return f"return {body}"

    def object(self, fields: tuple[Field, ...], source: _Any) -> str:
        return "{" + ", ".join(f"{f.key!r}: {self.value(f, source)}" for f in fields) + "}"

    def value(self, asked: Field, source: _Any) -> str:
        """Write the expression of one field's value."""
        match asked.read:
            case Column():
                return self.leaf(asked.read, source, asked.arguments)
            case Constant(value):
                return repr(value)
            case SameRow(present):
                body = self.object(asked.fields, source)
                return body if present is None else f"({body} if {source.column(present)} is not None else None)"
            case Documents(column, many):
                return self.documents(asked.fields, source.column(column), many)
            case PageLeaf(name):
                return f"page[{name!r}]"
            case ToOne() if isinstance(source, ArrayItem) and may_be_missing(asked.read):
                row = source.named_row(asked.read)
                return f"({self.object(asked.fields, row)} if {row.variable} is not None else None)"
            case ToOne() if isinstance(source, ArrayItem):
                return self.object(asked.fields, _NamedRow(source, asked.read))
            case _:
                row = source.row() if isinstance(source, _NamedRow) else source
                assert isinstance(row, Row), f"{asked.read} needs a row"
                return self.of_row(asked, row)

    def of_row(self, asked: Field, row: Row) -> str:
        """Write what only a whole row has."""
        match asked.read:
            case Given(name, shape):
                expression = row.given(name)
                return expression if shape is None or expression == "None" else f"{self.shape(shape)}({expression})"
            case Computed():
                return row.computed(asked.read, asked.arguments)
            case ToOne():
                return self.to_one(asked, row)
            case ToMany():
                variable = self.variable("r")
                expression, child = row.to_many(asked.read, asked.arguments, variable)
                return f"[{self.object(asked.fields, child)} for {variable} in {expression}]"
            case Counted():
                return self.counted(asked.fields, asked.read, row)
            case Priced():
                return self.priced(asked, asked.read, row)
            case Arrays(length_of):
                return self.arrays(asked.fields, row, length_of)
            case Edges() | Nodes():
                return f"[{self.object(asked.fields, row)} for r0 in rows]"
            case Node():
                return self.object(asked.fields, row)
            case EdgeCursor():
                order = order_name(self.search, self.ranked)
                return f"{self.shape(encode_cursor)}({order!r}, {self.places(row)}position=page['position'])"
            case RankPrice():
                return self.documents(asked.fields, self.rank_price(row), many=False)
            case LogCursor(shape):
                self.logged = True
                return f"{self.shape(shape)}(page['position'])"
            case PageInfo():
                return self.object(asked.fields, row)
            case _:
                raise TypeError(f"no way to read {asked.read}")

    def places(self, row: Row) -> str:
        """Write the values of a row's place in its list, each followed by a comma."""
        rank = f"{RANK}, " if self.ranked else ""
        return rank + "".join(f"{row.column(name)}, " for name in self.search.order)

    def counted(self, fields: tuple[Field, ...], counted: Counted, row: Row) -> str:
        expression, child = row.to_many(counted.rows, Arguments(), self.variable("r"))
        for name in counted.names:
            child.column(name)
        return self.documents(fields, f"{self.shape(counted.count)}({expression})", many=False)

    def rank_price(self, row: Row) -> str:
        return f"{self.shape(shown_price)}({RANKED_OFFER}, {row.column(LANGUAGE)})" if self.ranked else "None"

    def priced(self, asked: Field, priced: Priced, row: Row) -> str:
        pricing = f"arguments[{asked.arguments.prefix + PRICING!r}]"
        offers, child = row.to_many(priced.offers(asked.arguments), Arguments(), self.variable("r"))
        for name in OFFER:
            child.column(name)
        offer = f"{pricing}.lowest({row.column('time_zone')}, {offers})"
        return self.documents(asked.fields, f"{self.shape(shown_price)}({offer}, {row.column(LANGUAGE)})", many=False)

    def leaf(self, leaf: Column, source: _Any, arguments: Arguments) -> str:
        columns = [source.column(name) for name in leaf.names]
        if leaf.shape is None:
            return columns[0]
        own = [] if leaf.argument is None else [f"arguments[{arguments.prefix + leaf.argument!r}]"]
        call = f"{self.shape(leaf.shape)}({', '.join([*own, *columns])})"
        if len(leaf.names) == 1 and not leaf.sees_null and source.nullable(leaf.names[0]):
            return f"(None if {columns[0]} is None else {call})"
        return call

    def to_one(self, asked: Field, row: Row) -> str:
        relation = asked.read
        assert isinstance(relation, ToOne)
        child = row.to_one(relation)
        body = self.object(asked.fields, child)
        if not may_be_missing(relation):
            return body
        return f"({body} if {child.column(relation.columns[0])} is not None else None)"

    def arrays(self, fields: tuple[Field, ...], row: Row, length_of: str) -> str:
        item = ArrayItem(row, self.variable("a"))
        item.column(length_of)
        body = self.object(fields, item)
        arrays = [*(row.column(name) for name in item.names), *(aligned for aligned, _ in item.rows.values())]
        variables = [*item.names.values(), *(row.variable for _, row in item.rows.values())]
        return f"[{body} for {', '.join(variables)}, in zip({', '.join(arrays)})]"

    def documents(self, fields: tuple[Field, ...], expression: str, many: bool) -> str:
        variable = self.variable("d")
        body = self.object(fields, _DocumentItem(variable))
        if many:
            return f"[{body} for {variable} in {expression} or ()]"
        return f"[None if {variable} is None else {body} for {variable} in ({expression},)][0]"

    def shape(self, shape: Shape) -> str:
        for name, known in self.shapes.items():
            if known is shape:
                return name
        name = f"shape_{len(self.shapes)}"
        self.shapes[name] = shape
        return name

    def variable(self, prefix: str) -> str:
        self.variables += 1
        return f"{prefix}{self.variables}"
