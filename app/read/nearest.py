"""Nearest first where few rows pass: walk so many neighbours, and if they do not fill a page find the few by an index.

Walking neighbours until enough of them pass is best for most filters, and hopeless for a plug that hardly anybody has.
So the walk ends after `walk_most` neighbours, as long as finding all that the rarest filter's index leads to takes:
whatever the place, both together take at most about twice as long as the better one. Both give the same rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, bindparam, false, func, literal_column, select
from sqlalchemy import union_all as union

from app.read.search import LIMIT

Value = ColumnElement[Any]
Conditions = Callable[[FromClause], list[ColumnElement[bool]]]

WALK_MOST = bindparam("walk_most", type_=BigInteger)
ONE: Value = literal_column("1")


def walk_or_find(
    table: FromClause,
    key: Sequence[str],
    order: Sequence[str],
    distance: Callable[[FromClause], Value],
    near: Conditions,
    passes: Conditions,
    rare: Conditions,
    many: bool,
) -> FromClause:
    """Return the keys and `distance_m` of the nearest rows that pass.

    `near` says which rows may be walked, `passes` which of them count; `rare` is what of that an index
    finds; `many`: so many that an index of positions helps.
    """
    walk = _walk(table, key, distance, near, passes).cte("walk").prefix_with("materialized")
    walked: Any = select(func.count()).select_from(walk)
    around = select(ONE).select_from(table).where(*near(table)).limit(WALK_MOST + ONE).subquery("around")
    unwalked: Any = select(func.count()).select_from(around)
    too_short = (walked.scalar_subquery() < LIMIT) & (unwalked.scalar_subquery() > WALK_MOST)
    short = select(too_short.label("too_short")).cte("short").prefix_with("materialized")
    is_short: Any = select(short.c.too_short).scalar_subquery()
    others = [_filtering(condition) for condition in passes(table)]
    others += near(table) if many else [_filtering(condition) for condition in near(table)]
    found: Any = select(*(table.c[name] for name in key), distance(table).label("distance_m"))
    found = found.where(is_short, *rare(table), *others)
    few = found.subquery("few")
    page: Any = select(few).order_by(*(few.c[name] for name in order)).limit(LIMIT).subquery("found")
    return union(select(walk).where(~is_short), select(page)).subquery("page")


def _walk(
    table: FromClause,
    key: Sequence[str],
    distance: Callable[[FromClause], Value],
    near: Conditions,
    passes: Conditions,
) -> Select[Any]:
    """Return those of the first neighbours that pass. As many are walked as a page needs, at most `walk_most`."""
    metres = distance(table)
    neighbours: Any = select(*table.c, metres.label("distance_m")).where(*near(table))
    # By the table's name, so that who may see its rows is asked as of the table itself.
    neighbour = neighbours.order_by(metres).fetch(WALK_MOST, with_ties=True).subquery(str(getattr(table, "name", "")))
    shown: Any = select(*(neighbour.c[name] for name in key), neighbour.c.distance_m).where(*passes(neighbour))
    return shown.order_by(neighbour.c.distance_m).fetch(LIMIT, with_ties=True)


def _filtering(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Keep a condition from the indexes, which the rare one is to use."""
    return func.coalesce(condition, false())
