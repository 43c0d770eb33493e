"""Run a request: the only place of the read path that waits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.auth import Caller
from app.db.engine import Database
from app.read.frequencies import prepare_nearest
from app.read.paging import decode_cursor, page_info
from app.read.plan import Selection
from app.read.search import Request, Search, order_name
from app.read.statement import Statement
from app.read.statements import STATEMENTS
from app.visibility import caller_arguments, sight_of


async def read(
    database: Database,
    caller: Caller | None,
    selection: Selection,
    request: Request,
    now: datetime,
    nested: Mapping[str, Any] | None = None,
) -> Any:
    """Answer one root field with one statement. `nested`: the bind parameters of arguments inside the selection.

    Shape: plain dicts and lists that orjson writes as they are; None for a single row that is not there, or not the
    caller's to see.
    """
    sight = sight_of(caller)
    request = await prepare_nearest(database, request, sight)
    statement = await STATEMENTS.get(selection, request.search, sight)
    arguments = {
        "now": now,
        **request.arguments,
        **caller_arguments(caller),
        **_page_arguments(request),
        **(nested or {}),
    }
    rows = await _fetch(database, caller, statement, statement.bind(arguments))
    if request.first is None:
        return statement.build(rows, {})
    log: Mapping[str, Any] = {}
    if statement.logged:
        *_, is_row, epoch, head = rows[0]
        rows, log = (rows if is_row else []), {"epoch": epoch, "head": head}
    shown = rows[: request.first]
    ends = [statement.places(row) for row in (shown[0], shown[-1])] if shown else []
    page = page_info(order_name(request.search), ends, len(rows) > len(shown), request.after)
    return statement.build(shown, {**page, **log})


async def _fetch(database: Database, caller: Caller | None, statement: Statement, values: list[Any]) -> list[Any]:
    if not statement.private:
        return await database.fetch(statement.sql, *values, planned=statement.planned)
    if caller is None:
        return await database.fetch_private(None, False, statement.sql, *values)
    return await database.fetch_private(
        caller.partner_id, caller.is_administrator, statement.sql, *values, role=caller.role_id
    )


def _page_arguments(request: Request) -> Mapping[str, Any]:
    """Return the arguments of a page; its limit has one row more, which shows whether there is a next page."""
    if request.first is None:
        return {}
    arguments: dict[str, Any] = {"limit": request.first + 1}
    if request.after is not None:
        search = request.search
        values = decode_cursor(request.after, order_name(search), [_type(search, name) for name in search.order])
        arguments |= {f"after_{name}": value for name, value in zip(search.order, values, strict=True)}
    return arguments


def _type(search: Search, name: str) -> type:
    return float if name in search.given else search.table.c[name].type.python_type
