"""Compile a selection and a search to one SELECT and the function that makes the answer out of its rows.

The walk over the fields writes the body of a Python function and notes the columns it needs; the SELECT is made of
these. A function generated once per plan makes an answer several times as fast as a walk over the plan for each row.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, DateTime, FromClause, Select, and_, any_, func, literal_column, select, text, true
from sqlalchemy.dialects.postgresql import JSON, aggregate_order_by
from sqlalchemy.dialects.postgresql.asyncpg import dialect

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
    SameRow,
    Selection,
    Shape,
    ToMany,
    ToOne,
    Via,
)
from app.read.search import LIMIT, Search
from app.visibility import PRIVATE, Sight, table_name, visible

DIALECT = dialect()
UTC: ColumnElement[Any] = literal_column("'UTC'")
RFC3339: ColumnElement[Any] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")
NO_FRACTION: ColumnElement[Any] = literal_column("'.000000'")
NOTHING: ColumnElement[Any] = literal_column("''")
TRUE: ColumnElement[Any] = literal_column("true")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, the names of its parameters in order, the values of those that never change, and the generated functions.

    `build(rows, page)` makes the answer; `places(row)` gives a row's values in the search's order. `private`: row-level
    security must be told who is asking. `planned`: see `Search.planned`. `logged`: each row ends with whether it is
    one, the log's epoch and its head; there is always a row.
    """

    sql: str
    parameters: tuple[str, ...]
    constants: Mapping[str, Any]
    build: Callable[[Sequence[Any], Mapping[str, Any]], Any]
    places: Callable[[Any], tuple[Any, ...]]
    private: bool
    planned: bool
    logged: bool

    def bind(self, arguments: Mapping[str, Any]) -> list[Any]:
        """Put the arguments in the statement's order."""
        constants = self.constants
        return [arguments[name] if name in arguments else constants[name] for name in self.parameters]


def compile_statement(selection: Selection, search: Search, sight: Sight) -> Statement:
    """Compile what is asked of a search, for one kind of caller."""
    code = _Code(search)
    level = _Level(sight)
    row = _Row(code, level, search.table, "r0", given_names=search.given)
    answer = code.root(selection.fields, row)
    places = "".join(f"{row.column(name)}, " for name in search.order)
    source = f"def build(rows, page):\n    {answer}\n\ndef places(r0):\n    return ({places})\n"
    namespace: dict[str, Any] = dict(code.shapes)
    exec(compile(source, "<plan>", "exec"), namespace)  # made of quoted response keys, numbers and names of ours only
    statement = _root_select(level, search, sight)
    if code.logged:
        statement = _with_position(
            statement, [level.index(row.place(name)) for name in search.order], search.descending
        )
    sql, parameters, constants = render(statement)
    private = not PRIVATE.isdisjoint({table_name(search.table), *level.tables})
    build, places_of = namespace["build"], namespace["places"]
    return Statement(sql, parameters, constants, build, places_of, private, search.planned, code.logged)


def render(statement: Select[Any]) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """Give a statement's text with $1, $2 ..., the names of these parameters, and the values written into it."""
    compiled = statement.compile(dialect=DIALECT)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), tuple(getattr(compiled, "positiontup", None) or ()), constants


def _root_select(level: "_Level", search: Search, sight: Sight) -> Select[Any]:
    found = search.found(level.root_names({*search.order, *search.given}), sight).subquery("found")
    statement = level.select(found)
    if search.single:
        return statement
    order = [found.c[name] for name in search.order]
    return statement.order_by(*(place.desc() if search.descending else place for place in order)).limit(LIMIT)


def _with_position(listed: Select[Any], order: Sequence[int], descending: bool) -> Select[Any]:
    """Add the position in the change log below which this statement sees everything, even where it finds no row."""
    rows = listed.add_columns(TRUE.label("is_row")).subquery("listed")
    log = select(func.log_epoch().label("epoch"), func.log_head().label("head")).subquery("log")
    columns = list(rows.c)
    places = [columns[index].desc() if descending else columns[index] for index in order]
    return select(*columns, log.c.epoch, log.c.head).select_from(log.outerjoin(rows, true())).order_by(*places)


# ---------------------------------------------------------------- the SELECT

#: The joins between a level's root row and one of its rows.
Path = tuple[ToOne, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A column of one of a level's rows."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class _Array:
    """The rows of another table that belong to one of a level's rows, as one value."""

    relation: ToMany
    arguments: Arguments
    parents: tuple[_Place, ...]
    level: "_Level"


@dataclass(frozen=True, slots=True)
class _Expression:
    """A value that SQL computes from columns of one of a level's rows."""

    computed: Computed
    arguments: Arguments
    parents: tuple[_Place, ...]


_Wanted = _Place | _Array | _Expression


@dataclass(eq=False, slots=True)
class _Level:
    """One SELECT in the making: the columns asked of its root row and of the rows joined to it."""

    sight: Sight
    columns: list[_Wanted] = field(default_factory=list)
    joins: dict[Path, tuple[_Place, ...]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def index(self, column: _Wanted) -> int:
        if column not in self.columns:
            self.columns.append(column)
        return self.columns.index(column)

    def root_names(self, brought: Set[str]) -> list[str]:
        """Give the columns that the root row must bring besides: shown, joined on, or handed to an array."""
        places = [column for column in self.columns if isinstance(column, _Place)]
        places += [place for on in self.joins.values() for place in on]
        places += [place for column in self.columns if not isinstance(column, _Place) for place in column.parents]
        return list(dict.fromkeys(place.name for place in places if not place.path and place.name not in brought))

    def select(self, root: FromClause) -> Select[Any]:
        rows: dict[Path, FromClause] = {(): root}
        joined = root
        for path, parents in self.joins.items():
            joined = self._join(joined, rows, path, parents)
        # A count of nothing but constants still needs its rows.
        columns = [self._column(column, rows) for column in self.columns] or [literal_column("1")]
        return select(*columns).select_from(joined)

    def _join(
        self, joined: FromClause, rows: dict[Path, FromClause], path: Path, parents: tuple[_Place, ...]
    ) -> FromClause:
        relation = path[-1]
        child = rows[path] = relation.table.alias()
        pairs = zip(parents, relation.columns, strict=True)
        on = and_(*(rows[parent.path].c[parent.name] == child.c[name] for parent, name in pairs))
        if not relation.visible_with_parent:
            on = and_(on, visible(child, self.sight))
        return joined.join(child, on, isouter=_may_be_missing(relation))

    def _column(self, column: _Wanted, rows: dict[Path, FromClause]) -> ColumnElement[Any]:
        if isinstance(column, _Place):
            return rows[column.path].c[column.name]
        if isinstance(column, _Expression):
            values = [rows[place.path].c[place.name] for place in column.parents]
            return column.computed.sql(*values, column.arguments)
        return column.level.array(column, rows)

    def array(self, array: _Array, rows: dict[Path, FromClause]) -> ColumnElement[Any]:
        """Give this level's rows as one JSON array of arrays, correlated with their parent."""
        relation = array.relation
        child = relation.table.alias()
        parents = [rows[place.path].c[place.name] for place in array.parents]
        conditions = [relation.on(child, *parents)]
        if not relation.visible_with_parent:
            conditions.append(visible(child, self.sight))
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


def _may_be_missing(relation: ToOne) -> bool:
    return relation.optional or not relation.visible_with_parent


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Spell instants as the rest of an answer does."""
    if isinstance(column.type, DateTime):
        return func.replace(func.to_char(func.timezone(UTC, column), RFC3339), NO_FRACTION, NOTHING)
    return column


# ---------------------------------------------------------------- the function


@dataclass(slots=True)
class _Row:
    """A row of a level, reached over `path`; the variable holds the level's tuple."""

    code: "_Code"
    level: _Level
    table: FromClause
    variable: str
    path: Path = ()
    parent: "_Row | None" = None
    given_names: frozenset[str] = frozenset()

    def column(self, name: Name) -> str:
        return f"{self.variable}[{self.level.index(self.place(name))}]"

    def place(self, name: Name) -> _Place:
        """Give the nearest row that has this column: a shared one needs no join."""
        if isinstance(name, Via):
            return self.to_one(name.relation).place(name.name)
        if self.parent is not None and name in self.path[-1].shared:
            return self.parent.place(name)
        if self.path and self.path not in self.level.joins:
            relation, parent = self.path[-1], self.parent
            assert parent is not None
            self.level.joins[self.path] = tuple(parent.place(column) for column in relation.parent_columns)
            self.level.tables.add(table_name(relation.table))
        return _Place(self.path, name)

    def nullable(self, name: Name) -> bool:
        if isinstance(name, Via):
            return True
        if self.path and _may_be_missing(self.path[-1]):
            return True
        column = self.table.c.get(name)
        return column is None or bool(getattr(column, "nullable", True))

    def given(self, name: str) -> str:
        return self.column(name) if name in self.given_names else "None"

    def to_one(self, relation: ToOne) -> "_Row":
        if self.parent is not None and self.path[-1].shared.issuperset(relation.parent_columns):
            return self.parent.to_one(relation)  # the same row, seen from the parent: one join serves both
        return _Row(self.code, self.level, relation.table, self.variable, (*self.path, relation), self)

    def computed(self, computed: Computed, arguments: Arguments) -> str:
        parents = tuple(self.place(name) for name in computed.names)
        return f"{self.variable}[{self.level.index(_Expression(computed, arguments, parents))}]"

    def to_many(self, relation: ToMany, arguments: Arguments, variable: str) -> "tuple[str, _Row]":
        level = _Level(self.level.sight, tables=self.level.tables)
        level.tables.add(table_name(relation.table))
        parents = tuple(self.place(name) for name in relation.parent_columns)
        expression = f"{self.variable}[{self.level.index(_Array(relation, arguments, parents, level))}]"
        return expression, _Row(self.code, level, relation.table, variable)


@dataclass(slots=True)
class _ArrayItem:
    """One position of parallel arrays; remembers which arrays were asked for, and which rows they name."""

    row: _Row
    prefix: str
    names: dict[str, str] = field(default_factory=dict)
    rows: dict[ToOne, "tuple[str, _Row]"] = field(default_factory=dict)

    def column(self, name: Name) -> str:
        assert isinstance(name, str), f"{name} is not in parallel arrays"
        return self.names.setdefault(name, f"{self.prefix}_{len(self.names)}")

    def nullable(self, name: Name) -> bool:
        return True

    def named_row(self, relation: ToOne) -> _Row:
        """Give the row that this position names: all rows that the array names are read as one value."""
        if relation not in self.rows:
            [ids], [key] = relation.parent_columns, relation.columns
            named = ToMany(relation.table, (ids,), _named_in(key), (key,), visible_with_parent=True)
            expression, row = self.row.to_many(named, Arguments(), f"{self.prefix}_row{len(self.rows)}")
            row.column(key)  # the first column of these rows, by which `_aligned` finds them
            aligned = f"{self.row.code.shape(_aligned)}({expression}, {self.row.column(ids)})"
            self.rows[relation] = (aligned, row)
        return self.rows[relation][1]


def _named_in(key: str) -> Callable[..., ColumnElement[bool]]:
    def on(rows: FromClause, ids: ColumnElement[Any]) -> ColumnElement[bool]:
        return rows.c[key] == any_(ids)

    return on


def _aligned(rows: Sequence[Sequence[Any]], ids: Sequence[Any]) -> list[Sequence[Any]]:
    """Give for each of the ids the row that begins with it."""
    by_id = {row[0]: row for row in rows}
    return [by_id[id_] for id_ in ids]


@dataclass(frozen=True, slots=True)
class _NamedRow:
    """A row that a position of parallel arrays names by its key; who asks for nothing but the key needs no row."""

    item: _ArrayItem
    relation: ToOne

    def row(self) -> _Row:
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


_Any = _Row | _ArrayItem | _NamedRow | _DocumentItem


@dataclass(slots=True)
class _Code:
    """The function being written."""

    search: Search
    shapes: dict[str, Shape] = field(default_factory=dict)
    variables: int = 0
    logged: bool = False

    def root(self, fields: tuple[Field, ...], row: _Row) -> str:
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
                return self.leaf(asked.read, source)
            case Constant(value):
                return repr(value)
            case SameRow(present):
                body = self.object(asked.fields, source)
                return body if present is None else f"({body} if {source.column(present)} is not None else None)"
            case Documents(column, many):
                return self.documents(asked.fields, source.column(column), many)
            case PageLeaf(name):
                return f"page[{name!r}]"
            case ToOne() if isinstance(source, _ArrayItem):
                return self.object(asked.fields, _NamedRow(source, asked.read))
            case _:
                row = source.row() if isinstance(source, _NamedRow) else source
                assert isinstance(row, _Row), f"{asked.read} needs a row"
                return self.of_row(asked, row)

    def of_row(self, asked: Field, row: _Row) -> str:
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
            case Arrays(length_of):
                return self.arrays(asked.fields, row, length_of)
            case Edges() | Nodes():
                return f"[{self.object(asked.fields, row)} for r0 in rows]"
            case Node():
                return self.object(asked.fields, row)
            case EdgeCursor():
                places = ", ".join(row.column(name) for name in self.search.order)
                return f"{self.shape(encode_cursor)}({order_name(self.search)!r}, {places})"
            case LogCursor(shape):
                self.logged = True
                return f"{self.shape(shape)}(page['epoch'], page['head'])"
            case PageInfo():
                return self.object(asked.fields, row)
            case _:
                raise TypeError(f"no way to read {asked.read}")

    def counted(self, fields: tuple[Field, ...], counted: Counted, row: _Row) -> str:
        expression, child = row.to_many(counted.rows, Arguments(), self.variable("r"))
        for name in counted.names:
            child.column(name)
        return self.documents(fields, f"{self.shape(counted.count)}({expression})", many=False)

    def leaf(self, leaf: Column, source: _Any) -> str:
        columns = [source.column(name) for name in leaf.names]
        if leaf.shape is None:
            return columns[0]
        call = f"{self.shape(leaf.shape)}({', '.join(columns)})"
        if len(leaf.names) == 1 and not leaf.sees_null and source.nullable(leaf.names[0]):
            return f"(None if {columns[0]} is None else {call})"
        return call

    def to_one(self, asked: Field, row: _Row) -> str:
        relation = asked.read
        assert isinstance(relation, ToOne)
        child = row.to_one(relation)
        body = self.object(asked.fields, child)
        if not _may_be_missing(relation):
            return body
        return f"({body} if {child.column(relation.columns[0])} is not None else None)"

    def arrays(self, fields: tuple[Field, ...], row: _Row, length_of: str) -> str:
        item = _ArrayItem(row, self.variable("a"))
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


def order_name(search: Search) -> str:
    """Name a search's order: cursors of one order are refused by another."""
    return "+".join(search.order)
