"""How EVSEs are found: the filters, each a condition on the wide row."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, FromClause, Integer, Text, any_, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import evse, operator
from app.read.areas import AreaSearch
from app.read.live import available_now
from app.read.plan import Arguments
from app.read.usable import USABLE_COLUMNS, Instant, surely_usable
from app.visibility.rules import ROLE_ID

TEXTS = ARRAY(Text)
ZERO: ColumnElement[Any] = literal_column("0")

#: A filter: the bind parameter it brings, and its condition. `schema.search_arguments` fills the parameter of the same
#: name; `available_now` has none.
FILTERS: Mapping[str, Callable[[FromClause, Arguments], ColumnElement[bool]]] = {
    "evse_ids": lambda e, given: e.c.evse_id == any_(given("evse_ids", TEXTS)),
    "location_ids": lambda e, given: e.c.location_id == any_(given("location_ids", TEXTS)),
    "operator_ids": lambda e, given: e.c.operator_no == any_(func.array(_operators(given("operator_ids", TEXTS)))),
    "connectors": lambda e, given: e.c.connector_mask.bitwise_and(given("connectors", BigInteger)) != ZERO,
    "charge_point_types": lambda e, given: e.c.charge_point_type == any_(given("charge_point_types", TEXTS)),
    "min_power_kw": lambda e, given: e.c.maximum_power_kw >= given("min_power_kw", Float(53)),
    "max_power_kw": lambda e, given: e.c.maximum_power_kw <= given("max_power_kw", Float(53)),
    "auth_methods": lambda e, given: e.c.auth_methods.bitwise_and(given("auth_methods", Integer)) != ZERO,
    "location_types": lambda e, given: e.c.location_type == any_(given("location_types", TEXTS)),
    "available_now": lambda e, given: available_now(e),
    "usable_at": lambda e, given: surely_usable([e.c[name] for name in USABLE_COLUMNS], given("usable_at", Instant)),
    "provider_id": lambda e, given: e.c.operator_no == any_(func.array(_of_provider(given("provider_id", Text)))),
    "without_restrictions": lambda e, given: (
        e.c.restrictions.bitwise_and(given("without_restrictions", Integer)) == ZERO
    ),
}


#: The same filters, except those by id and those that time or contracts decide, over an EVSE in memory: for
#: subscriptions.
#: Lists are sets here; the filter by operator is by party id, which is stored beside the EVSE.
TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "location_ids": lambda e, ids: e.location_id in ids,
    "operator_ids": lambda e, ids: e.party_id in ids,
    "connectors": lambda e, mask: e.connector_mask & mask != 0,
    "charge_point_types": lambda e, types: e.charge_point_type in types,
    "min_power_kw": lambda e, kw: e.maximum_power_kw is not None and e.maximum_power_kw >= kw,
    "max_power_kw": lambda e, kw: e.maximum_power_kw is not None and e.maximum_power_kw <= kw,
    "auth_methods": lambda e, mask: e.auth_methods & mask != 0,
    "location_types": lambda e, types: e.location_type in types,
    "without_restrictions": lambda e, mask: e.restrictions & mask == 0,
}


def rare_condition(evses: FromClause, name: str) -> ColumnElement[bool]:
    """Return a filter's condition as an index finds rows by it; it may let more rows pass."""
    given = Arguments()
    if name == "connectors":
        return evses.c.connector_standards.overlap(given("standards", TEXTS))
    return FILTERS[name](evses, given)


def filter_conditions(evses: FromClause, given: Arguments) -> list[ColumnElement[bool]]:
    """Return the conditions of the filters that are bound."""
    return [FILTERS[name](evses, given) for name in sorted(given.bound)]


def _operators(party_ids: ColumnElement[Any]) -> ColumnElement[Any]:
    return select(operator.c.no).where(operator.c.party_id == any_(party_ids)).scalar_subquery()


def _of_provider(provider_id: ColumnElement[Any]) -> ColumnElement[Any]:
    numbers = func.operators_of_provider(ROLE_ID, provider_id, type_=Integer).column_valued()
    return select(numbers).scalar_subquery()


#: EVSEs of an area that pass the named filters.
EvseSearch = partial(
    AreaSearch,
    table=evse,
    key=("evse_id",),
    conditions=filter_conditions,
    selective=frozenset({"evse_ids", "location_ids"}),
    rare=rare_condition,
)
