"""How parking spots are found, and which EVSEs they serve."""

from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Text, any_, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import evse_parking_spot, parking_place, parking_spot
from app.read.areas import AreaSearch
from app.read.plan import Arguments, ToOne
from app.visibility.rules import PUBLISHED_SPOT

#: A filter: a column, and the bind parameter with the values that pass. `schema.search_arguments` fills it.
FILTERS = {"parking_ids": "parking_id", "pso_ids": "party_id"}


def _published(*columns: str, known: str) -> ToOne:
    """Return the way from a spot to what its PSO publishes of it, where that has a column and the caller may see it."""
    s = parking_spot.c
    published = select(s.parking_id, s.party_id, s.contracted_nos, *(s[name] for name in columns))
    table = published.where(s[known].is_not(None)).subquery(PUBLISHED_SPOT)
    return ToOne(table, ("parking_id",), ("parking_id",), optional=True)


TO_PUBLISHED = _published("restrictions", "floor_level", "number", "updated_at", known="content_hash")
TO_POSITION = _published("longitude", "latitude", known="longitude")


def spot_conditions(spots: FromClause, given: Arguments) -> list[ColumnElement[bool]]:
    """Return the conditions of the filters that are bound."""
    return [spots.c[FILTERS[name]] == any_(given(name, ARRAY(Text))) for name in sorted(given.bound)]


def served_by(evses: FromClause, parking_id: Column[Any]) -> Any:
    """Return the condition for the EVSEs that a spot serves."""
    links = evse_parking_spot.c
    linked = select(links.evse_id).where(links.parking_id == parking_id)
    # Said aloud: a select this deep does not correlate by itself, and every spot would get all EVSEs.
    return evses.c.evse_id.in_(linked.correlate(parking_id.table))


#: Spots of an area, each by the places that the caller may know: its PSO's position, or an EVSE that links it.
SpotSearch = partial(
    AreaSearch,
    table=parking_spot,
    places=parking_place,
    key=("parking_id",),
    conditions=spot_conditions,
    selective=frozenset({"parking_ids"}),
)
