"""Run a request: the only place of the read path that waits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from app.auth import Caller
from app.db.engine import Reader
from app.db.seal import UnknownLog, with_known_log
from app.errors import HubError
from app.read.frequencies import prepare_nearest
from app.read.offers import OFFERED, Offers
from app.read.paging import MAXIMUM_FIRST, BadCursor, decode_cursor, page_info
from app.read.plan import Selection
from app.read.prices import Ranking
from app.read.search import Request, Search, order_name
from app.read.statement import Statement
from app.read.statements import STATEMENTS
from app.visibility.rules import caller_arguments, caller_kind_of
from app.worker_thread import in_worker_thread

#: Rows of a list whose prices are compared.
MOST_PRICED: Final = MAXIMUM_FIRST


class TooManyToPrice(HubError):
    """A list by prices has more rows than are compared."""

    code = "TOO_MANY_TO_PRICE"


async def read(
    database: Reader,
    caller: Caller | None,
    selection: Selection,
    request: Request,
    now: datetime,
    nested: Mapping[str, Any] | None = None,
) -> Any:
    """Answer one root field with one statement; with a second one for the tariffs of a list by prices.

    `nested`: the bind parameters of arguments inside the selection.

    Shape: plain dicts and lists that orjson writes as they are; None for a single row that is not there, or not the
    caller's to see.
    """
    caller_kind = caller_kind_of(caller)
    request = await prepare_nearest(database.database, request, caller_kind)
    ranking = request.ranking
    statement = await STATEMENTS.get(selection, request.search, caller_kind, ranking and ranking.tariff_ids)
    page_arguments, place, position = await _page_arguments(database, request)
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
        return statement.build(rows, {}, arguments)
    if statement.logged:
        *_, is_row, present = rows[0]
        rows = rows if is_row else []
        position = _first_position(request, position, present)
    if ranking is not None:
        offered = [statement.offered(row) for row in _to_price(rows, request.search)]
        offers = await _offers(database, caller, ranking, offered, arguments)
        rows = await in_worker_thread(partial(_ranked, rows, offered, offers, ranking, now))
        rows.sort(key=statement.places)
        rows = rows if place is None else [row for row in rows if statement.places(row) > tuple(place)]
    shown = rows[: request.first]
    ends = [statement.places(row) for row in (shown[0], shown[-1])] if shown else []
    name = order_name(request.search, ranking is not None)
    page = page_info(name, ends, len(rows) > len(shown), request.after, position)
    return statement.build(shown, page, arguments)


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


def _to_price(rows: Sequence[Any], search: Search) -> Sequence[Any]:
    """Return the rows that are priced. Raises: TooManyToPrice in areas without a first one."""
    if len(rows) > MOST_PRICED and not search.given:
        raise TooManyToPrice(
            f"more than {MOST_PRICED} match, and prices are compared for at most so many",
            "ask for a smaller area, add a filter, or ask around a point or along a route, where the first ones count",
        )
    return rows[:MOST_PRICED]


async def _offers(
    database: Reader,
    caller: Caller | None,
    ranking: Ranking,
    offered: Sequence[tuple[Any, Sequence[str | None]]],
    arguments: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Return the offers that are meant for a caller, by the ids of their tariffs."""
    ids = {tariff_id for _, tariff_ids in offered for tariff_id in tariff_ids if tariff_id is not None}
    statement = await STATEMENTS.get(OFFERED, Offers(ranking.arguments), caller_kind_of(caller))
    bound = {**arguments, f"{ranking.arguments.prefix}tariff_ids": list(ids), "limit": len(ids)}
    rows = await _fetch(database, caller, statement, statement.bind(bound)) if ids else []
    return {row[0]: row for row in rows}


def _ranked(
    rows: Sequence[Any],
    offered: Sequence[tuple[Any, Sequence[str | None]]],
    offers: Mapping[str, Any],
    ranking: Ranking,
    now: datetime,
) -> list[Any]:
    """Return the rows that a ranking shows, each with its rank and its price at the end."""
    pricing = ranking.pricing(now)
    ranked: list[Any] = []
    for row, (time_zone, tariff_ids) in zip(rows, offered, strict=False):
        offer = pricing.lowest(time_zone, [offers[each] for each in tariff_ids if each is not None and each in offers])
        rank = ranking.rank(offer)
        if rank is not None:
            ranked.append((*row, rank, offer))
    return ranked


async def _page_arguments(
    database: Reader, request: Request
) -> tuple[Mapping[str, Any], Sequence[Any] | None, str | None]:
    """Return what binds a page, the place that it begins after, and the position of its list.

    The limit has one row more, which shows whether there is a next page.
    """
    if request.first is None:
        return {}, None, None
    ranked, search = request.ranking is not None, request.search
    arguments: dict[str, Any] = {"limit": (MOST_PRICED if ranked else request.first) + 1}
    if request.after is None:
        return arguments, None, None
    after, order = request.after, order_name(search, ranked)
    types = [*([Decimal] if ranked else []), *(_type(search, name) for name in search.order)]
    try:
        values, position = await with_known_log(database, lambda: decode_cursor(after, order, types))
    except UnknownLog:
        raise BadCursor(
            "`after` is of another log, which was restored or replaced",
            "pass an `endCursor` that the same query returned, or begin the list again",
        ) from None
    if not ranked:
        arguments |= {f"after_{name}": value for name, value in zip(search.order, values, strict=True)}
    return arguments, values, position


def _type(search: Search, name: str) -> type:
    return float if name in search.given else search.table.c[name].type.python_type
