"""From a root field's arguments, as graphql-core coerced them, to what `app.read` searches for."""

from collections.abc import Callable, Mapping, Sized
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from app.auth import Caller
from app.db.tables import (
    api_key,
    audit_log,
    contract,
    evse,
    operator,
    parking_spot,
    partner,
    partner_role,
    refusal,
)
from app.errors import HubError
from app.ids import normalise_location_id
from app.read import plan
from app.read.areas import AreaSearch
from app.read.evses import EvseSearch
from app.read.locations import MIN_AVAILABLE, LocationSearch, OneLocation
from app.read.offers import tariff_ids_of_evse, tariff_ids_of_location
from app.read.paging import check_first
from app.read.parking import SpotSearch
from app.read.plan import Computed
from app.read.prices import Ranking
from app.read.search import ById, Listing, Request
from app.vocabulary import AuthMethod, ConnectorFormat, ConnectorStandard, Restriction, connector_mask, mask_of
from schema.areas import area_of
from schema.price_arguments import ListOrder, pricing_of, tariffs_of

Arguments = Mapping[str, Any]

MAXIMUM_LIST = 1_000
#: Before the bind parameters of a list's prices.
PRICE: Final = "price_"
NOTHING: Arguments = MappingProxyType({})


class BadFilter(HubError):
    """A filter has a value that is not possible."""

    code = "BAD_FILTER"


# ---------------------------------------------------------------- EVSEs

ONE_LOCATION = OneLocation()
ONE_EVSE = ById(evse, ("evse_id",))


def one_evse(arguments: Arguments, caller: Caller | None) -> Request:
    return Request(ONE_EVSE, {"evse_id": arguments["evseId"]})


def evses(arguments: Arguments, caller: Caller | None) -> Request:
    return _by_price(_in_area(EvseSearch, arguments), arguments, lambda given, _: tariff_ids_of_evse(given))


def one_location(arguments: Arguments, caller: Caller | None) -> Request:
    location_id = normalise_location_id(arguments["locationId"])
    return Request(ONE_LOCATION, {"operator_id": arguments["operatorId"], "location_id": location_id})


def locations(arguments: Arguments, caller: Caller | None) -> Request:
    at_least = arguments.get("minAvailable")
    if at_least is not None and at_least < 0:
        raise BadFilter(f"minAvailable is {at_least}; possible: 0 and more")
    request = _in_area(LocationSearch, arguments, {MIN_AVAILABLE: at_least} if at_least else {})
    return _by_price(request, arguments, tariff_ids_of_location)


ONE_SPOT = ById(parking_spot, ("parking_id",))


def one_parking_spot(arguments: Arguments, caller: Caller | None) -> Request:
    return Request(ONE_SPOT, {"parking_id": arguments["parkingId"]})


def parking_spots(arguments: Arguments, caller: Caller | None) -> Request:
    kind, area = area_of(arguments.get("within"))
    names = {"parkingIds": "parking_ids", "psoIds": "pso_ids"}
    given = {name: arguments[name] for name in names if arguments.get(name) is not None}
    for name, ids in given.items():
        check_length(name, ids)
    filters = {names[name]: ids for name, ids in given.items()}
    after = arguments.get("after")
    found = SpotSearch(area=kind, filters=frozenset(filters), after=after is not None)
    return Request(found, {**area, **filters}, check_first(arguments["first"]), after)


def _in_area(search: Callable[..., AreaSearch], arguments: Arguments, more: Arguments = NOTHING) -> Request:
    kind, area = area_of(arguments.get("within"))
    filters = {**evse_filters(arguments.get("filter") or {}), **more}
    after = arguments.get("after")
    found = search(area=kind, filters=frozenset(filters), after=after is not None)
    return Request(found, {**area, **filters}, check_first(arguments["first"]), after)


def _by_price(
    request: Request, arguments: Arguments, tariff_ids: Callable[[plan.Arguments, frozenset[str]], Computed]
) -> Request:
    """Order or filter a list by prices, where these are asked for. Raises: BadFilter."""
    session, most, by_price = arguments.get("price"), arguments.get("maxPrice"), arguments["orderBy"] is ListOrder.PRICE
    if session is None:
        if by_price or most is not None:
            raise BadFilter("orderBy PRICE and maxPrice need `price`, the session that is to be priced")
        return request
    if arguments.get("within") is None:
        raise BadFilter("prices are compared within an area; expected `within`")
    bound = tariffs_of(session)
    given = plan.Arguments(PRICE, frozenset(bound))
    assert isinstance(request.search, AreaSearch)
    filters = request.search.filters - {MIN_AVAILABLE}
    ranking = Ranking(tariff_ids(given, filters), given, partial(pricing_of, session), most, by_price)
    priced = {f"{PRICE}{name}": value for name, value in bound.items()}
    return replace(
        request,
        search=replace(request.search, after=False),
        arguments={**request.arguments, **priced},
        ranking=ranking,
    )


def bind_filter(arguments: Arguments, now: datetime) -> Arguments:
    """Bind the filter of a list inside a selection."""
    return evse_filters(arguments.get("filter") or {})


def _connectors(given: Mapping[str, Any]) -> int:
    standards = given.get("connectorStandards")
    formats = given.get("connectorFormats")
    return connector_mask(
        (standard, format_)
        for standard in (ConnectorStandard if standards is None else standards)
        for format_ in (ConnectorFormat if formats is None else formats)
    )


#: The argument of each filter and how its value is bound; `app.read.evses.FILTERS` has the conditions by these names.
FILTERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "evseIds": ("evse_ids", list),
    "locationIds": ("location_ids", lambda ids: [normalise_location_id(id_) for id_ in ids]),
    "operatorIds": ("operator_ids", list),
    "chargePointTypes": ("charge_point_types", lambda words: [word.value for word in words]),
    "minPowerKw": ("min_power_kw", float),
    "maxPowerKw": ("max_power_kw", float),
    "authMethods": ("auth_methods", lambda words: mask_of(tuple(words), AuthMethod)),
    "locationTypes": ("location_types", lambda words: [word.value for word in words]),
    "availableNow": ("available_now", bool),
    "usableAt": ("usable_at", lambda instant: instant),
    "providerId": ("provider_id", str),
    "withoutRestrictions": ("without_restrictions", lambda words: mask_of(tuple(words), Restriction)),
}


def evse_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bind parameters of the filters that are set; null, false and absent all mean no filter."""
    present = {name: value for name, value in given.items() if value is not None and value is not False}
    for name, value in present.items():
        check_length(f"filter.{name}", value)
    filters = {FILTERS[name][0]: FILTERS[name][1](value) for name, value in present.items() if name in FILTERS}
    if present.keys() & {"connectorStandards", "connectorFormats"}:
        filters["connectors"] = _connectors(present)
    return filters


def check_length(name: str, value: Any) -> None:
    """Hold a list to what the database can well compare with. Raises: BadFilter."""
    count = len(value) if isinstance(value, Sized) else 1
    if count > MAXIMUM_LIST:
        raise BadFilter(f"{name} has {count} values; possible: at most {MAXIMUM_LIST}")


# ---------------------------------------------------------------- partners and contracts

ME = ById(partner_role, ("id",))


def me(arguments: Arguments, caller: Caller | None) -> Request | None:
    return Request(ME, {"id": caller.role_id}) if caller else None


ONE_PARTNER = ById(partner, ("id",))
ONE_CONTRACT = ById(contract, ("id",))
ONE_KEY = ById(api_key, ("id",))
ONE_OPERATOR = ById(operator, ("party_id",))


def one_partner(arguments: Arguments, caller: Caller | None) -> Request | None:
    return by_uuid(ONE_PARTNER, arguments["id"])


def by_uuid(search: ById, id_: Any) -> Request | None:
    """Look for a row by its id; what is not even an id names nothing."""
    try:
        return Request(search, {"id": UUID(str(id_))})
    except ValueError:
        return None


def partners(arguments: Arguments, caller: Caller | None) -> Request:
    return _page(Listing(partner, ("name", "id"), after=_after(arguments)), {}, arguments)


def contracts(arguments: Arguments, caller: Caller | None) -> Request:
    status = arguments.get("status")
    filters = {} if status is None else {"status": [word.value for word in status]}
    search = Listing(contract, ("created_at", "id"), filters=tuple(filters), after=_after(arguments))
    return _page(search, filters, arguments)


def audit_entries(arguments: Arguments, caller: Caller | None) -> Request | None:
    bound: dict[str, Any] = {}
    since: datetime | None = arguments.get("since")
    if since is not None:
        bound["since"] = since
    if arguments.get("partnerId") is not None:
        try:
            bound["partner_id"] = UUID(str(arguments["partnerId"]))
        except ValueError:
            bound["partner_id"] = UUID(int=0)
    search = Listing(
        audit_log,
        ("id",),
        since="at" if "since" in bound else None,
        member_of="partner_id" if "partner_id" in bound else None,
        after=_after(arguments),
    )
    return _page(search, bound, arguments)


def refusals(arguments: Arguments, caller: Caller | None) -> Request:
    return _page(Listing(refusal, ("id",), descending=True, after=_after(arguments)), {}, arguments)


def _after(arguments: Arguments) -> bool:
    return arguments.get("after") is not None


def _page(search: Listing, bound: Mapping[str, Any], arguments: Arguments) -> Request:
    return Request(search, bound, check_first(arguments["first"]), arguments.get("after"))
