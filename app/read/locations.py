"""How locations are found: by operator and id, or in an area by what their EVSEs have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Select, Table, and_, bindparam, exists, func, select

from app.db.tables import evse, location, operator
from app.read.areas import AreaSearch
from app.read.evses import filter_conditions
from app.read.live import available_now
from app.read.plan import Arguments
from app.visibility.rules import CallerKind, visible

KEY = ("operator_no", "location_id")


@dataclass(frozen=True, slots=True)
class OneLocation:
    """The location of an operator, named by its party id, and a location id."""

    table: Table = location
    order: tuple[str, ...] = ()
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = True
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        number = select(operator.c.no).where(operator.c.party_id == bindparam("operator_id")).scalar_subquery()
        return select(*(location.c[name] for name in names)).where(
            visible(location, caller_kind),
            location.c.operator_no == number,
            location.c.location_id == bindparam("location_id"),
        )


MIN_AVAILABLE = "min_available"


def has_matching_evses(locations: FromClause, given: Arguments) -> list[ColumnElement[bool]]:
    """Keep locations with an EVSE that passes the filters, if there are any; or with so many that are available now."""
    if not given.bound:
        return []
    here = of_location(evse, *(locations.c[name] for name in KEY))
    filters = replace(given, bound=given.bound - {MIN_AVAILABLE})
    matching = [here, *filter_conditions(evse, filters)]
    if MIN_AVAILABLE not in given.bound:
        return [exists().where(*matching).correlate(locations)]
    count = select(func.count()).where(*matching, available_now(evse)).select_from(evse).correlate(locations)
    return [count.scalar_subquery() >= given(MIN_AVAILABLE, Integer)]


def of_location(evses: FromClause, *row: ColumnElement[Any]) -> Any:
    """Return the condition for the EVSEs of a location, of which the columns KEY are known."""
    return and_(*(evses.c[name] == value for name, value in zip(KEY, row, strict=True)))


#: Locations of an area with EVSEs that pass the named filters.
LocationSearch = partial(AreaSearch, table=location, key=KEY, conditions=has_matching_evses)
