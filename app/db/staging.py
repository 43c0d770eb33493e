"""Many rows in at once: COPY to a staging table, then one merge statement.

A staging table is temporary: every connection makes its own once, a commit empties it, and no other session sees it. It
has the columns of its table but for those the database computes; documents are text there, since COPY is binary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Table, Text
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from app.db.engine import Connection

DIALECT = dialect()


@dataclass(frozen=True, slots=True)
class Staging:
    """A staging table: its name, its columns in the order of the records, and the statement that makes it."""

    name: str
    columns: tuple[str, ...]
    create: str


def stored_columns(table: Table) -> tuple[Column[Any], ...]:
    """Return the columns of a table that are written, in order: all but those the database computes."""
    return tuple(column for column in table.columns if column.computed is None)


def staging_of(table: Table) -> Staging:
    """Describe the staging table of a table."""
    name = f"staged_{table.name}"
    columns = stored_columns(table)
    definitions = ", ".join(f"{quoted(column.name)} {_staged_type(column)}" for column in columns)
    return Staging(
        name=name,
        columns=tuple(column.name for column in columns),
        create=f"create temporary table if not exists {name} ({definitions}) on commit delete rows",
    )


async def stage(connection: Connection, staging: Staging, records: Sequence[Sequence[Any]]) -> None:
    """Fill the staging table with these records, and nothing else."""
    await connection.execute(f"{staging.create}; delete from {staging.name}")
    if records:
        await connection.copy_records_to_table(
            staging.name, schema_name="pg_temp", records=records, columns=staging.columns
        )


def merge_statement(table: Table, rows: str, changed: str) -> str:
    """Compose the upsert of `rows`, a SELECT of the table's stored columns in order, sorted by key.

    `changed` is a condition over `<table>` and `excluded`: rows that say nothing new are left alone. Unsorted rows
    would let concurrent merges deadlock.
    """
    names = [quoted(column.name) for column in stored_columns(table)]
    key = [quoted(column.name) for column in table.primary_key.columns]
    news = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    return (
        f"insert into {table.name} ({', '.join(names)}) {rows}"
        f" on conflict ({', '.join(key)}) do update set {news} where {changed}"
    )


def unstaged(column: Column[Any], alias: str) -> str:
    """Name a column of the staging table with its proper type."""
    name = f"{alias}.{quoted(column.name)}"
    return f"{name}::json" if isinstance(column.type, JSON) else name


def rows_of(status: str) -> int:
    """Return the number of rows from a statement's status: 5 of `INSERT 0 5`."""
    return int(status.rpartition(" ")[2])


def quoted(name: str) -> str:
    """Quote an identifier where SQL needs it."""
    return DIALECT.identifier_preparer.quote(name)


def _staged_type(column: Column[Any]) -> str:
    type_ = Text() if isinstance(column.type, JSON) else column.type
    return type_.compile(dialect=DIALECT)
