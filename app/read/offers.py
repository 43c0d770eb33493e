"""Under which tariffs EVSEs and locations are offered to a caller: an individual one of each that connectors name.

`Evse.price` reads them as an array of each row. Lists by price read the ids that each row names, and then all of these
tariffs at once: neighbours mostly share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, FromClause, Select, Table, Text, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import evse, tariff_recipient
from app.read.evses import filter_conditions
from app.read.locations import KEY, of_location
from app.read.plan import Arguments, Column, Computed, Field, Nodes, Selection, ToMany
from app.read.prices import OFFER
from app.visibility.rules import DEFAULT, OFFERED_TARIFF, PROVIDER_ID, CallerKind, meant_for_caller, visible

TEXTS = ARRAY(Text)


@cache
def offers_of_evse(given: Arguments) -> ToMany:
    """Return the tariffs that an EVSE is offered under; of one connector standard, and for a provider, where these
    are given."""

    def on(offered: FromClause, tariff_ids: ColumnElement[Any], standards: ColumnElement[Any]) -> ColumnElement[bool]:
        return _meant(offered, _named(tariff_ids, standards, given).subquery("named"), given)

    return ToMany(OFFERED_TARIFF, ("connector_tariff_ids", "connector_standards"), on, ("tariff_id",))


# ---------------------------------------------------------------- lists


@cache
def tariff_ids_of_evse(given: Arguments) -> Computed:
    """Return the ids of the tariffs that an EVSE's connectors name; of one standard where it is given."""

    def sql(tariff_ids: ColumnElement[Any], standards: ColumnElement[Any], _: Arguments) -> ColumnElement[Any]:
        if "connector" not in given.bound:
            return tariff_ids
        return func.array(_named(tariff_ids, standards, given).scalar_subquery(), type_=TEXTS)

    return Computed(("connector_tariff_ids", "connector_standards"), sql)


@cache
def tariff_ids_of_location(given: Arguments, filters: frozenset[str]) -> Computed:
    """Return the ids of the tariffs that the connectors of a location's EVSEs name, of those that pass the filters."""

    def sql(operator_no: ColumnElement[Any], location_id: ColumnElement[Any], _: Arguments) -> ColumnElement[Any]:
        here = [of_location(evse, operator_no, location_id), *filter_conditions(evse, Arguments(bound=filters))]
        named = _named(evse.c.connector_tariff_ids, evse.c.connector_standards, given).lateral("named")
        ids = select(named.c.tariff_id).distinct().select_from(evse).join(named, true()).where(*here)
        return func.array(ids.correlate_except(evse, named).scalar_subquery(), type_=TEXTS)

    return Computed(KEY, sql)


@dataclass(frozen=True, slots=True)
class Offers:
    """The individual tariffs that are meant for the caller, of the tariffs with these ids. Bound: `tariff_ids`."""

    arguments: Arguments
    table: Table = cast(Table, OFFERED_TARIFF)
    order: tuple[str, ...] = ("tariff_id",)
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = False
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        ids = func.unnest(self.arguments("tariff_ids", TEXTS)).table_valued("tariff_id").render_derived("named")
        conditions = [_meant(OFFERED_TARIFF, ids, self.arguments), visible(OFFERED_TARIFF, caller_kind)]
        return select(*(OFFERED_TARIFF.c[name] for name in dict.fromkeys((*names, *self.order)))).where(*conditions)


#: What is read of an offer.
OFFERED = Selection((Field("offers", Nodes(), tuple(Field(name, Column((name,))) for name in OFFER)),))


# ---------------------------------------------------------------- conditions


def _named(tariff_ids: ColumnElement[Any], standards: ColumnElement[Any], given: Arguments) -> Select[Any]:
    """Return the tariffs that connectors name; of one standard where it is given."""
    connectors = func.unnest(tariff_ids, standards).table_valued("tariff_id", "standard").render_derived("connector")
    named = select(connectors.c.tariff_id).where(connectors.c.tariff_id.is_not(None))
    if "connector" in given.bound:
        named = named.where(connectors.c.standard == given("connector", Text))
    return named


def _meant(offered: FromClause, named: FromClause, given: Arguments) -> ColumnElement[bool]:
    """Return the condition for the individual tariffs that are meant for the caller, among those that are named."""
    provider = given("provider_id", Text) if "provider_id" in given.bound else PROVIDER_ID
    number = meant_for_caller(named.c.tariff_id, tariff_recipient.c.number, provider)
    meant = select(named.c.tariff_id, func.coalesce(number, DEFAULT))
    return tuple_(offered.c.tariff_id, offered.c.number).in_(meant)
