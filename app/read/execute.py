"""Run a request: the only place of the read path that waits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.auth import Caller
from app.db.engine import Reader
from app.read.frequencies import prepare_nearest
from app.read.paging import BadCursor, decode_cursor, page_info
from app.read.plan import Selection
from app.read.search import Request, Search, order_name
from app.read.statement import Statement
from app.read.statements import STATEMENTS
from app.visibility.rules import caller_arguments, caller_kind_of


async def read(
    database: Reader,
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
    caller_kind = caller_kind_of(caller)
    request = await prepare_nearest(database.database, request, caller_kind)
    statement = await STATEMENTS.get(selection, request.search, caller_kind)
    page_arguments, position = _page_arguments(request)
    arguments = {
        "now": now,
        "provider_id": None,
        **request.arguments,
        **caller_arguments(caller),
        **page_arguments,
        **(nested or {}),
    }
    rows = await _fetch(database, caller, statement, statement.bind(arguments))
    if request.first is None:
        return statement.build(rows, {})
    if statement.logged:
        *_, is_row, present = rows[0]
        rows = rows if is_row else []
        position = _first_position(request, position, present)
    shown = rows[: request.first]
    ends = [statement.places(row) for row in (shown[0], shown[-1])] if shown else []
    page = page_info(order_name(request.search), ends, len(rows) > len(shown), request.after, position)
    return statement.build(shown, page)


def _first_position(request: Request, position: str | None, present: str) -> str:
    """Return the position of a list's first page: what changed on it while later pages are read comes afterwards."""
    if request.after is None:
        return present
    if position is None:
        raise BadCursor(
            "`after` is of a list that was begun without `cursor`, so changes of its first pages would be lost",
            "ask for `cursor` from the first page on",
        )
    return position


async def _fetch(database: Reader, caller: Caller | None, statement: Statement, values: list[Any]) -> list[Any]:
    if not statement.private:
        return await database.fetch(statement.sql, *values, planned=statement.planned)
    if caller is None:
        return await database.fetch_private(None, False, statement.sql, *values)
    return await database.fetch_private(
        caller.partner_id, caller.is_administrator, statement.sql, *values, role=caller.role_id
    )


def _page_arguments(request: Request) -> tuple[Mapping[str, Any], str | None]:
    """Return what binds a page, and the position of its list.

    The limit has one row more, which shows whether there is a next page.
    """
    if request.first is None:
        return {}, None
    arguments: dict[str, Any] = {"limit": request.first + 1}
    if request.after is None:
        return arguments, None
    search = request.search
    values, position = decode_cursor(request.after, order_name(search), [_type(search, name) for name in search.order])
    bound = {f"after_{name}": value for name, value in zip(search.order, values, strict=True)}
    return {**arguments, **bound}, position


def _type(search: Search, name: str) -> type:
    return float if name in search.given else search.table.c[name].type.python_type
