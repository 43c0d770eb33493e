"""Compile a selection and a search to one SELECT and the function that makes the answer out of its rows.

The walk over the fields writes the body of a Python function and notes the columns it needs; the SELECT is made of
these. A function generated once per plan makes an answer several times as fast as a walk over the plan for each row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select, true
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from app.read.plan import Arguments, Computed, Selection
from app.read.row_builder import Code, Row
from app.read.search import LIMIT, Search
from app.read.select_builder import Level
from app.visibility.rules import OFFERED_TARIFF, PRIVATE, CallerKind, table_name

DIALECT = dialect()
TRUE: ColumnElement[Any] = literal_column("true")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, the names of its parameters in order, the values of those that never change, and the generated functions.

    `build(rows, page, arguments)` makes the answer; `places(row)` gives a row's values in the search's order;
    `offered(row)`, where rows are ranked, its time zone and the ids of its tariffs. `private`: row-level security must
    know the caller. `planned`: see `Search.planned`. `logged`: each row ends with whether it is one, and the position
    of the statement in the change log; there is always a row.
    """

    sql: str
    parameters: tuple[str, ...]
    constants: Mapping[str, Any]
    build: Callable[[Sequence[Any], Mapping[str, Any], Mapping[str, Any]], Any]
    places: Callable[[Any], tuple[Any, ...]]
    offered: Callable[[Any], tuple[Any, ...]]
    private: bool
    planned: bool
    logged: bool

    def bind(self, arguments: Mapping[str, Any]) -> list[Any]:
        """Put the arguments in the statement's order."""
        constants = self.constants
        return [arguments[name] if name in arguments else constants[name] for name in self.parameters]


def compile_statement(
    selection: Selection, search: Search, caller_kind: CallerKind, tariff_ids: Computed | None = None
) -> Statement:
    """Compile what is asked of a search, for one kind of caller. `tariff_ids`: of a row, by which rows are ranked."""
    code = Code(search, tariff_ids is not None)
    level = Level(caller_kind)
    row = Row(code, level, search.table, "r0", given_names=search.given)
    answer = code.root(selection.fields, row)
    source = f"def build(rows, page, arguments):\n    {answer}\n\n"
    source += f"def places(r0):\n    return ({code.places(row)})\n\n"
    offered = "" if tariff_ids is None else f"{row.column('time_zone')}, {row.computed(tariff_ids, Arguments())}"
    source += f"def offered(r0):\n    return ({offered})\n"
    namespace: dict[str, Any] = dict(code.shapes)
    exec(compile(source, "<plan>", "exec"), namespace)  # made of quoted response keys, numbers and names of ours only
    statement = _root_select(level, search, caller_kind)
    if code.logged:
        statement = _with_position(
            statement, [level.index(row.place(name)) for name in search.order], search.descending
        )
    sql, parameters, constants = render(statement)
    private = not (PRIVATE | {OFFERED_TARIFF.name}).isdisjoint({table_name(search.table), *level.tables})
    functions = namespace["build"], namespace["places"], namespace["offered"]
    return Statement(sql, parameters, constants, *functions, private, search.planned, code.logged)


def render(statement: Select[Any]) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """Return a statement's text with $1, $2 ..., the names of these parameters, and the values written into it."""
    compiled = statement.compile(dialect=DIALECT)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), tuple(getattr(compiled, "positiontup", None) or ()), constants


def _root_select(level: Level, search: Search, caller_kind: CallerKind) -> Select[Any]:
    found = search.found(level.root_names({*search.order, *search.given}), caller_kind).subquery("found")
    statement = level.select(found)
    if search.single:
        return statement
    order = [found.c[name] for name in search.order]
    return statement.order_by(*(place.desc() if search.descending else place for place in order)).limit(LIMIT)


def _with_position(listed: Select[Any], order: Sequence[int], descending: bool) -> Select[Any]:
    """Add the position of the statement's snapshot in the change log, even where it finds no row."""
    rows = listed.add_columns(TRUE.label("is_row")).subquery("listed")
    # In FROM, where it runs once.
    log = func.log_position().table_valued("position", name="log").render_derived()
    columns = list(rows.c)
    places = [columns[index].desc() if descending else columns[index] for index in order]
    return select(*columns, log.c.position).select_from(log.outerjoin(rows, true())).order_by(*places)
