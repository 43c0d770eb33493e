"""Under which tariffs EVSEs and locations are offered to a caller: an individual one of each that connectors name."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Text, func, select, tuple_

from app.db.tables import evse, tariff_recipient
from app.read.evses import filter_conditions
from app.read.locations import KEY, of_location
from app.read.plan import Arguments, ToMany
from app.visibility.rules import DEFAULT, OFFERED_TARIFF, PROVIDER_ID, meant_for_caller


@cache
def offers_of_evse(given: Arguments) -> ToMany:
    """Return the tariffs that an EVSE is offered under; of one connector standard, and for a provider, where these
    are given."""

    def on(offered: FromClause, tariff_ids: ColumnElement[Any], standards: ColumnElement[Any]) -> ColumnElement[bool]:
        connectors = (
            func.unnest(tariff_ids, standards).table_valued("tariff_id", "standard").render_derived("connector")
        )
        return _meant(offered, select(connectors.c.tariff_id), connectors, given)

    return ToMany(OFFERED_TARIFF, ("connector_tariff_ids", "connector_standards"), on, ("tariff_id",))


@cache
def offers_of_location(given: Arguments, filters: frozenset[str]) -> ToMany:
    """Return the tariffs that the EVSEs of a location that pass the filters are offered under."""

    def on(offered: FromClause, *location: ColumnElement[Any]) -> ColumnElement[bool]:
        here = [of_location(evse, *location), *filter_conditions(evse, Arguments(bound=filters))]
        connectors = (
            select(
                func.unnest(evse.c.connector_tariff_ids).label("tariff_id"),
                func.unnest(evse.c.connector_standards).label("standard"),
            )
            .where(*here)
            .correlate_except(evse)
            .subquery("connector")
        )
        return _meant(offered, select(connectors.c.tariff_id).distinct(), connectors, given)

    return ToMany(OFFERED_TARIFF, KEY, on, ("tariff_id",))


def _meant(
    offered: FromClause, tariff_ids: Select[Any], connectors: FromClause, given: Arguments
) -> ColumnElement[bool]:
    """Return the condition for the individual tariffs that are meant for the caller, among those of connectors."""
    provider = given("provider_id", Text) if "provider_id" in given.bound else PROVIDER_ID
    number = meant_for_caller(connectors.c.tariff_id, tariff_recipient.c.number, provider)
    named = tariff_ids.add_columns(func.coalesce(number, DEFAULT)).where(connectors.c.tariff_id.is_not(None))
    if "connector" in given.bound:
        named = named.where(connectors.c.standard == given("connector", Text))
    return tuple_(offered.c.tariff_id, offered.c.number).in_(named)
