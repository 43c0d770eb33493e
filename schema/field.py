"""Declare a GraphQL field and the SQL behind it together.

`x: str = column(description=...)` reads the column of the same name; the other functions name where an object or a list
comes from. `read_of` gives the declaration back to the compiler, which refuses a field without one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import ColumnElement, FromClause
from strawberry.types.field import StrawberryField

from app.read.plan import (
    Arguments,
    Arrays,
    Column,
    Computed,
    Counted,
    Documents,
    EdgeCursor,
    Edges,
    Given,
    LogCursor,
    Name,
    Node,
    Nodes,
    PageInfo,
    PageLeaf,
    Priced,
    RankPrice,
    Read,
    SameRow,
    Shape,
    ToMany,
    ToOne,
)

READ = "read"
BIND = "bind"

#: Turns a field's own arguments into bind parameters; those it leaves out are not given. Takes the request's instant.
Bind = Callable[[Mapping[str, Any], datetime], Mapping[str, Any]]


class NotReadable(Exception):
    """A field without a declaration was asked for inside a compiled selection."""


def declared(read: Read, description: str, name: str | None = None) -> Any:
    return strawberry.field(description=description, name=name, metadata={READ: read})


def column(
    *names: Name, description: str, shape: Shape | None = None, sees_null: bool = False, name: str | None = None
) -> Any:
    """Read a column (by default the one named like the field), or what `shape` makes of one or several."""
    return declared(Column(names, shape, sees_null), description, name)


def told(
    *names: Name, shape: Shape, argument: str, bind: Bind, description: str
) -> Callable[[Callable[..., Any]], Any]:
    """Read what `shape` makes of one argument in the decorated signature, whose body is never run, and of columns."""
    metadata = {READ: Column(names, shape, argument=argument), BIND: bind}
    return lambda signature: strawberry.field(signature, description=description, metadata=metadata)


def computed(
    *names: Name, sql: Callable[..., ColumnElement[Any]], bind: Bind, description: str
) -> Callable[[Callable[..., Any]], Any]:
    """Read what SQL makes of columns and of the arguments in the decorated signature, whose body is never run."""
    metadata = {READ: Computed(names, sql), BIND: bind}
    return lambda signature: strawberry.field(signature, description=description, metadata=metadata)


def same_row(description: str, present: str | None = None) -> Any:
    """Read an object whose fields stand in the row itself; null when the column `present` is."""
    return declared(SameRow(present), description)


def to_one(
    table: FromClause,
    description: str,
    parent_columns: tuple[str, ...],
    columns: tuple[str, ...],
    shared: frozenset[str] = frozenset(),
    visible_with_parent: bool = False,
    optional: bool = False,
) -> Any:
    """Read an object in one row of another table; see `app.read.plan.ToOne`."""
    return declared(ToOne(table, parent_columns, columns, shared, visible_with_parent, optional), description)


def to_many(
    table: FromClause,
    description: str,
    parent_columns: tuple[str, ...],
    on: Callable[..., ColumnElement[bool]],
    order: tuple[str, ...],
    visible_with_parent: bool = False,
) -> Any:
    """Read the rows of another table that belong to this one; see `app.read.plan.ToMany`."""
    return declared(ToMany(table, parent_columns, on, order, visible_with_parent), description)


def to_many_where(
    table: FromClause,
    *,
    parent_columns: tuple[str, ...],
    on: Callable[..., ColumnElement[bool]],
    order: tuple[str, ...],
    where: Callable[[FromClause, Arguments], list[ColumnElement[bool]]],
    bind: Bind,
    description: str,
    visible_with_parent: bool = False,
    most: int | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Read rows that belong to this one and meet the arguments in the decorated signature, whose body is never run."""
    metadata = {READ: ToMany(table, parent_columns, on, order, visible_with_parent, where, most), BIND: bind}
    return lambda signature: strawberry.field(signature, description=description, metadata=metadata)


def counted(
    rows: ToMany,
    names: tuple[Name, ...],
    count: Callable[[Sequence[Sequence[Any]]], dict[str, Any]],
    description: str,
) -> Any:
    """Read an object that `count` makes of the rows of another table; see `app.read.plan.Counted`."""
    return declared(Counted(rows, names, count), description)


def priced(read: Priced, bind: Bind, description: str) -> Callable[[Callable[..., Any]], Any]:
    """Read what a session costs; its arguments are in the decorated signature, whose body is never run."""
    return lambda signature: strawberry.field(signature, description=description, metadata={READ: read, BIND: bind})


def rank_price(description: str) -> Any:
    """Read the price that a row of a list is ranked by; null in other lists."""
    return declared(RankPrice(), description)


def log_cursor(shape: Callable[[str], str], description: str) -> Any:
    """Read the position in the change log of the snapshot that a list was read in."""
    return declared(LogCursor(shape), description)


def arrays(length_of: str, description: str) -> Any:
    """Read a list of objects out of parallel arrays of the row; any of them gives the length."""
    return declared(Arrays(length_of), description)


def document(name: Name, description: str) -> Any:
    """Read an object out of a JSON column, or out of a key of a document."""
    return declared(Documents(name, many=False), description)


def documents(name: Name, description: str) -> Any:
    """Read a list of objects out of a JSON column, or out of a key of a document."""
    return declared(Documents(name, many=True), description)


def given(name: str, description: str, shape: Shape | None = None) -> Any:
    """Read what only some searches know; null in the others."""
    return declared(Given(name, shape), description)


def edges(description: str) -> Any:
    return declared(Edges(), description)


def nodes(description: str) -> Any:
    return declared(Nodes(), description)


def node(description: str) -> Any:
    return declared(Node(), description)


def edge_cursor(description: str) -> Any:
    return declared(EdgeCursor(), description)


def page(description: str) -> Any:
    return declared(PageInfo(), description)


def page_leaf(name: str, description: str) -> Any:
    return declared(PageLeaf(name), description)


def bind_of(field: StrawberryField) -> Bind | None:
    """Return how a field's own arguments are bound; None when it has none."""
    return (field.metadata or {}).get(BIND)


def read_of(field: StrawberryField, type_name: str) -> Read:
    """Return how a field is read. Raises: NotReadable when that is not declared."""
    read = (field.metadata or {}).get(READ)
    if read is None:
        raise NotReadable(f"{type_name}.{field.python_name} is not declared with a way to read it (schema/field.py)")
    if isinstance(read, Column) and not read.names:
        return Column((field.python_name,), read.shape, read.sees_null)
    return read
