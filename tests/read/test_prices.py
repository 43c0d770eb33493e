"""What a session costs at EVSEs, and lists that are ordered and filtered by it."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.exchange.roles import Party, RoleName
from app.exchange.tariffs.updates import update_tariffs
from app.ingest.charge_points.updates import Owner
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.vocabulary import Role
from tests.exchange.world import nsp, provider, utc_now
from tests.hub import AROUND_PRIVATE
from tests.prices.tariffs import element, hours
from tests.read.ground import Ground, make_ground, make_owner
from tests.world import CCS, T2_SOCKET, evse

#: In the middle of Ulm, to the metre nearly 0.0000135 degrees of longitude.
LATITUDE, LONGITUDE = 48.4, 9.99
NEAR = {"near": {"latitude": LATITUDE, "longitude": LONGITUDE, "radiusM": 5_000}}
#: A Tuesday, at noon in Ulm.
SESSION = {"energyKwh": "20", "durationMinutes": 60, "start": "2026-06-02T10:00:00Z"}

PRICE = """query ($id: EvseId!, $connector: ConnectorStandard, $providerId: PartyId, $powerKw: Decimal) {
    evse(evseId: $id) { price(energyKwh: "20", durationMinutes: 60, parkingMinutes: 30, start: "2026-06-02T10:00:00Z"
        connector: $connector, providerId: $providerId, powerKw: $powerKw)
    { total currency tariffId reason description parts { billingItem billingValue itemPrice cost } } } }"""
EVSES = """query ($within: AreaInput, $filter: EvseFilter, $price: PriceInput, $maxPrice: Decimal, $orderBy: ListOrder!
        $first: Int!, $after: String) {
    evses(within: $within, filter: $filter, first: $first, after: $after
        price: $price, maxPrice: $maxPrice, orderBy: $orderBy) {
        edges { cursor price { total reason } node { evseId distanceM
            price(energyKwh: "20", durationMinutes: 60, start: "2026-06-02T10:00:00Z") { total } } }
        pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
LOCATIONS = """query ($within: AreaInput, $filter: EvseFilter, $price: PriceInput, $maxPrice: Decimal,
        $minAvailable: Int) {
    locations(within: $within, filter: $filter, minAvailable: $minAvailable
        price: $price, maxPrice: $maxPrice, orderBy: PRICE) {
        edges { price { total tariffId } node { locationId } } } }"""

#: By name, the default of a tariff. EVSEs are named after them and lie from west to east in this order.
TARIFFS: Mapping[str, list[dict[str, Any]]] = {
    "DEAR": [element("ENERGY", "0.79")],
    "DAY": [element("ENERGY", "0.30", regularHours=hours(range(1, 8), "00:00", "12:30")), element("ENERGY", "0.50")],
    "CHEAP": [element("ENERGY", "0.20")],
    "FREE": [element("ENERGY", "0")],
    "FAST": [element("ENERGY", "0.10", maxPowerKw="11"), element("ENERGY", "0.60")],
    "OLD": [element("ENERGY", "0.01", end="2026-01-01T00:00:00Z")],
}
FRANCS = {"currency": "CHF", "elements": [element("ENERGY", "0.01")]}
#: What 20 kWh in an hour from noon on cost, in euros: of FAST the power is needed, of OLD no element applies.
EXPECTED = {"DEAR": "15.80", "DAY": "8.00", "CHEAP": "4.00", "FREE": "0.00", "FAST": None, "OLD": None}


def tariff_of(name: str) -> str:
    return f"DE*TST*T{name}"


def put_tariffs(ground: Ground, tariffs: Mapping[str, list[dict[str, Any]]], by: Owner | None = None) -> None:
    """Publish tariffs by name; values are individual tariffs as they are sent."""
    owner = by or ground.owner
    ids = {name: f"{owner.party_id}T{name}" for name in tariffs}
    items = [read_tariff({"tariffId": ids[name], "individualTariffs": sent}, 0) for name, sent in tariffs.items()]
    assert all(isinstance(each, Tariff) for each in items), items

    async def work(database: Database) -> Any:
        return await update_tariffs(database, items, owner, utc_now())  # type: ignore[arg-type]

    assert not ground.run(work).refused


def default(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "EUR", "elements": list(elements)}


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with make_ground(cluster, template) as ground:
        put_tariffs(
            ground,
            {name: [default(*elements)] for name, elements in TARIFFS.items()}
            | {
                "FRANC": [FRANCS],
                "SECRET": [
                    default(element("ENERGY", "1")),
                    default(element("ENERGY", "0.5")) | {"recipients": ["DE8AA"]},
                ],
            },
        )
        connectors = {name: [f"{T2_SOCKET}/{tariff_of(name)}"] for name in (*TARIFFS, "FRANC", "SECRET")} | {
            "NONE": [T2_SOCKET],
            "UNKNOWN": [f"{T2_SOCKET}/DE*TST*T404"],
            "BOTH": [f"{T2_SOCKET}/{tariff_of('DEAR')}", f"{CCS}/{tariff_of('CHEAP')}", T2_SOCKET],
        }
        ground.put(
            [
                evse(f"DE*TST*E{name}", f"L{place // 2}", LATITUDE, LONGITUDE + place // 2 / 1_000, *each)
                for place, (name, each) in enumerate(connectors.items())
            ]
        )
        yield ground


def priced(ground: Ground, name: str, headers: Any = None, **variables: Any) -> Any:
    return ground.hub.ask(PRICE, {"id": f"DE*TST*E{name}", **variables}, headers)["evse"]["price"]


def listed(ground: Ground, headers: Any = None, **variables: Any) -> list[tuple[str, str | None]]:
    """Return the EVSEs of a list with their prices, all of its pages."""
    given = {"within": NEAR, "price": SESSION, "orderBy": "PRICE", "first": 500, "after": None} | variables
    found: list[tuple[str, str | None]] = []
    while True:
        page = ground.hub.ask(EVSES, given, headers)["evses"]
        assert page["pageInfo"]["hasPreviousPage"] is (given["after"] is not None)
        found += [
            (each["node"]["evseId"].removeprefix("DE*TST*E"), each["price"] and each["price"]["total"])
            for each in page["edges"]
        ]
        given["after"] = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


def code_of(ground: Ground, document: str = EVSES, **variables: Any) -> str:
    given = {"within": NEAR, "price": SESSION, "orderBy": "PRICE", "first": 50} | variables
    [error] = ground.hub.post(document, given).json()["errors"]
    return error["extensions"]["code"]


# ---------------------------------------------------------------- one EVSE


def test_shows_total_and_parts_and_the_tariff_in_the_language_of_the_place(ground: Ground) -> None:
    assert priced(ground, "DAY") == {
        "total": "8.00",
        "currency": "EUR",
        "tariffId": "DE*TST*TDAY",
        "reason": None,
        "description": "0,30 EUR je kWh, täglich 00:00-12:30; sonst 0,50 EUR je kWh.",
        "parts": [
            {"billingItem": "ENERGY", "billingValue": "10", "itemPrice": "0.30", "cost": "3.00"},
            {"billingItem": "ENERGY", "billingValue": "10", "itemPrice": "0.50", "cost": "5.00"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "reason", "tariff_id"),
    [
        ("FAST", "the price depends on the power of the session, which is not given", "DE*TST*TFAST"),
        ("OLD", "no element of the tariff applies to this session", "DE*TST*TOLD"),
        ("NONE", "no tariff is known for it", None),
        ("UNKNOWN", "no tariff is known for it", None),
    ],
)
def test_has_no_total_but_a_reason_where_the_price_is_not_known(
    ground: Ground, name: str, reason: str, tariff_id: str | None
) -> None:
    price = priced(ground, name)
    assert (price["total"], price["reason"], price["tariffId"], price["parts"]) == (None, reason, tariff_id, [])


def test_uses_the_power_that_is_given(ground: Ground) -> None:
    assert priced(ground, "FAST", powerKw="11")["total"] == "12.00"
    assert priced(ground, "FAST", powerKw="10.9")["total"] == "2.00"


def test_has_the_lowest_price_of_its_connectors_or_that_of_one_standard(ground: Ground) -> None:
    assert priced(ground, "BOTH")["tariffId"] == "DE*TST*TCHEAP"
    assert priced(ground, "BOTH", connector="IEC_62196_T2")["tariffId"] == "DE*TST*TDEAR"
    assert priced(ground, "BOTH", connector="CHADEMO")["reason"] == "no tariff is known for it"


def test_reads_the_tariffs_of_a_list_with_a_second_statement(ground: Ground) -> None:
    given = {"within": NEAR, "price": SESSION, "orderBy": "PRICE", "first": 5}
    ground.hub.ask(EVSES, given)  # may look up how common values are
    with ground.hub.recording() as statements:
        ground.hub.ask(EVSES, given)
    assert len(statements) == 2 * (1 + len(AROUND_PRIVATE))


def test_refuses_what_is_no_session(ground: Ground) -> None:
    document = """query ($energyKwh: Decimal!, $durationMinutes: Int!, $parkingMinutes: Int, $powerKw: Decimal
            $start: DateTime) {
        evse(evseId: "DE*TST*EDAY") { price(energyKwh: $energyKwh, durationMinutes: $durationMinutes, powerKw: $powerKw
            parkingMinutes: $parkingMinutes, start: $start) { total } } }"""
    for wrong in (
        {"energyKwh": "-1"},
        {"energyKwh": "10001"},
        {"durationMinutes": -1},
        {"durationMinutes": 10_081},
        {"parkingMinutes": 10_081},
        {"powerKw": "-0.1"},
        {"start": "9999-12-31T23:59:59Z"},
    ):
        [error] = ground.hub.post(document, {**SESSION, **wrong}).json()["errors"]
        assert error["extensions"]["code"] == "BAD_PRICE", wrong
        assert next(iter(wrong)) in error["message"]


# ---------------------------------------------------------------- lists


def test_orders_by_price_and_puts_what_is_not_known_last_in_the_order_of_the_area(ground: Ground) -> None:
    by_price = listed(ground)
    assert by_price == [
        ("FREE", "0.00"),
        ("CHEAP", "4.00"),
        ("BOTH", "4.00"),
        ("DAY", "8.00"),
        ("DEAR", "15.80"),
        ("SECRET", "20.00"),
        *((name, None) for name in ("FAST", "OLD", "FRANC", "NONE", "UNKNOWN")),
    ]
    for first in (1, 2, 3, 7):
        assert listed(ground, first=first) == by_price


def test_orders_alike_in_every_area(ground: Ground) -> None:
    bounds = {"minimumLatitude": 48, "minimumLongitude": 9, "maximumLatitude": 49, "maximumLongitude": 11}
    known = [each for each in listed(ground) if each[1] is not None]
    corners = [{"latitude": a, "longitude": b} for a, b in ((48, 9), (48, 11), (49, 11), (49, 9))]
    for within in ({"bounds": bounds}, {"polygon": corners}):
        found = listed(ground, within=within, first=2)
        assert sorted(found[: len(known)]) == sorted(known)
        assert [price for _, price in found] == [price for _, price in listed(ground)]


def test_shows_in_an_edge_what_the_evse_shows(ground: Ground) -> None:
    page = ground.hub.ask(EVSES, {"within": NEAR, "price": SESSION, "orderBy": "AREA", "first": 50})["evses"]
    names = [each["node"]["evseId"] for each in page["edges"]]
    distances = [each["node"]["distanceM"] for each in page["edges"]]
    assert distances == sorted(distances)
    assert len(names) == 11
    for each in page["edges"]:
        if not each["node"]["evseId"].endswith("EFRANC"):
            assert each["price"]["total"] == each["node"]["price"]["total"]


def test_shows_no_price_in_an_edge_of_a_list_without_a_session(ground: Ground) -> None:
    page = ground.hub.ask(EVSES, {"within": NEAR, "orderBy": "AREA", "first": 2})["evses"]
    assert [each["price"] for each in page["edges"]] == [None, None]


def test_keeps_what_costs_no_more_than_a_highest_price(ground: Ground) -> None:
    assert listed(ground, maxPrice="8.00") == [("FREE", "0.00"), ("CHEAP", "4.00"), ("BOTH", "4.00"), ("DAY", "8.00")]
    assert listed(ground, maxPrice="7.99", orderBy="AREA", first=1) == [
        ("CHEAP", "4.00"),
        ("FREE", "0.00"),
        ("BOTH", "4.00"),
    ]
    assert listed(ground, maxPrice="-1") == []


def test_compares_prices_of_one_currency(ground: Ground) -> None:
    francs = listed(ground, price=SESSION | {"currency": "CHF"})
    assert francs[0] == ("FRANC", "0.20")
    assert {price for _, price in francs[1:]} == {None}


def test_prices_only_connectors_of_a_standard(ground: Ground) -> None:
    assert listed(ground, price=SESSION | {"connector": "IEC_62196_T2_COMBO"}, maxPrice="100") == [("BOTH", "4.00")]


def test_prices_with_the_filter_of_the_list(ground: Ground) -> None:
    filtered = listed(ground, filter={"evseIds": ["DE*TST*EDEAR", "DE*TST*EDAY"]})
    assert filtered == [("DAY", "8.00"), ("DEAR", "15.80")]


def test_orders_locations_by_the_lowest_price_of_their_matching_evses(ground: Ground) -> None:
    def found(**variables: Any) -> list[tuple[str, str | None]]:
        edges = ground.hub.ask(LOCATIONS, {"within": NEAR, "price": SESSION} | variables)["locations"]["edges"]
        return [(each["node"]["locationId"], each["price"]["total"]) for each in edges]

    # L0: DEAR, DAY; L1: CHEAP, FREE; L2: FAST, OLD; L3: FRANC, SECRET; L4: NONE, UNKNOWN; L5: BOTH
    assert found() == [("L1", "0.00"), ("L5", "4.00"), ("L0", "8.00"), ("L3", "20.00"), ("L2", None), ("L4", None)]
    assert found(maxPrice="4") == [("L1", "0.00"), ("L5", "4.00")]
    only = {"evseIds": [f"DE*TST*E{name}" for name in ("DEAR", "CHEAP", "OLD")]}
    assert found(filter=only) == [("L1", "4.00"), ("L0", "15.80"), ("L2", None)]
    assert found(minAvailable=1) == []


def test_refuses_lists_by_price_that_cannot_be(ground: Ground) -> None:
    assert code_of(ground, price=None) == "BAD_FILTER"
    assert code_of(ground, price=None, orderBy="AREA", maxPrice="1") == "BAD_FILTER"
    assert code_of(ground, within=None) == "BAD_FILTER"
    assert code_of(ground, price=SESSION | {"durationMinutes": -1}) == "BAD_PRICE"
    assert code_of(ground, price=SESSION | {"currency": "euro"}) == "BAD_PRICE"


def test_refuses_cursors_of_other_orders(ground: Ground) -> None:
    given = {"within": NEAR, "price": SESSION, "orderBy": "PRICE", "first": 1}
    by_price = ground.hub.ask(EVSES, given)["evses"]["pageInfo"]["endCursor"]
    by_area = ground.hub.ask(EVSES, given | {"price": None, "orderBy": "AREA"})["evses"]["pageInfo"]["endCursor"]
    assert code_of(ground, after=by_area) == "BAD_CURSOR"
    assert code_of(ground, after=by_price, price=None, orderBy="AREA") == "BAD_CURSOR"


# ---------------------------------------------------------------- whose tariffs


def test_uses_the_tariff_that_is_meant_for_the_caller(ground: Ground) -> None:
    async def members(database: Database) -> Any:
        evsp, first, second = await provider(database), await nsp(database), await nsp(database, "Other")
        await set_contract(database, CONSOLE, evsp.party, first.party, utc_now())
        secrets = [each.key.secret for each in (evsp, first, second)]
        return [{"Authorization": f"Bearer {secret}"} for secret in secrets], evsp.party.partner_id

    async def allow(database: Database) -> None:
        operator = Party(ground.owner.partner_id, RoleName(Role.EVSE_OPERATOR, "DETST"))
        await set_contract(database, CONSOLE, Party(partner_id, RoleName(Role.EVSP, "DE8AA")), operator, utc_now())

    (evsp, first, second), partner_id = ground.run(members)

    def total(headers: Any, **variables: Any) -> Any:
        return priced(ground, "SECRET", headers, **variables)["total"]

    assert [total(each) for each in (None, evsp, first, second)] == ["20.00", "10.00", "20.00", "20.00"]
    for_provider = [total(each, providerId="DE8AA") for each in (None, evsp, first, second)]
    assert for_provider == ["20.00", "10.00", "10.00", "20.00"]
    assert total(first, providerId="NLTNM") == "20.00"
    assert dict(listed(ground, evsp))["SECRET"] == "10.00"
    of_provider = SESSION | {"providerId": "DE8AA"}
    assert [dict(listed(ground, each, price=of_provider))["SECRET"] for each in (first, second)] == ["10.00", "20.00"]
    by_filter = {"providerId": "DE8AA"}
    ground.run(allow)
    assert dict(listed(ground, first, filter=by_filter))["SECRET"] == "10.00"


def test_uses_no_tariff_of_an_operator_that_the_caller_does_not_see(ground: Ground) -> None:
    closed = ground.run(lambda database: make_owner(database, "DEOWN", open_=False))
    put_tariffs(ground, {"CLOSED": [default(element("ENERGY", "0.11"))]}, closed)
    ground.put([evse("DE*TST*ECLOSED", "CLOSED", LATITUDE, LONGITUDE, f"{T2_SOCKET}/DE*OWN*TCLOSED")])
    with_contract = ground.run(partial(make_nsp, closed))
    for headers, total in ((None, None), (with_contract, "2.20")):
        assert priced(ground, "CLOSED", headers)["total"] == total
        assert dict(listed(ground, headers))["CLOSED"] == total
    ground.remove("DE*TST*ECLOSED")


async def make_nsp(operator: Owner, database: Database) -> dict[str, str]:
    member = await nsp(database, "With a contract")
    role = RoleName(Role.EVSE_OPERATOR, operator.party_id)
    await set_contract(database, CONSOLE, member.party, Party(operator.partner_id, role), utc_now())
    return {"Authorization": f"Bearer {member.key.secret}"}


def test_shows_prices_and_words_in_changes(ground: Ground) -> None:
    document = """query ($cursor: Cursor!) {
        changes(cursor: $cursor, kinds: [EVSE]) { changes { evse { evseId price(energyKwh: "20", durationMinutes: 60
            start: "2026-06-02T10:00:00Z") { total description } } } }
        tariffs { changes { tariffId tariff { individualTariffs { description(language: "NLD") } } } } }"""
    cursor = ground.hub.ask("{ evses(first: 1) { cursor } }")["evses"]["cursor"]
    ground.put([evse("DE*TST*ENEW", "NEW", 10, 10, f"{T2_SOCKET}/{tariff_of('CHEAP')}")])
    answer = ground.hub.ask(document, {"cursor": cursor})
    price = {"total": "4.00", "description": "0,20 EUR je kWh."}
    assert answer["changes"]["changes"] == [{"evse": {"evseId": "DE*TST*ENEW", "price": price}}]
    tariffs = {each["tariffId"]: each["tariff"]["individualTariffs"] for each in answer["tariffs"]["changes"]}
    assert tariffs["DE*TST*TCHEAP"] == [{"description": "0,20 EUR per kWh."}]


# ---------------------------------------------------------------- many


def test_prices_the_nearest_500_and_refuses_more_elsewhere(cluster: Cluster, template: str, seed: int) -> None:
    chance = random.Random(seed)
    with make_ground(cluster, template) as ground:
        prices = [str(Decimal(chance.randrange(100)).scaleb(-2)) for _ in range(20)]
        put_tariffs(ground, {str(n): [default(element("ENERGY", price))] for n, price in enumerate(prices)})
        named = [chance.randrange(20) for _ in range(501)]
        ground.put(
            [
                evse(f"DE*TST*E{n}", f"L{n}", LATITUDE, LONGITUDE + n / 100_000, f"{T2_SOCKET}/{tariff_of(str(each))}")
                for n, each in enumerate(named)
            ]
        )
        expected = sorted((20 * Decimal(prices[each]), n) for n, each in enumerate(named[:500]))
        found = listed(ground, first=chance.randrange(40, 200))
        assert [(Decimal(price or 0), int(name)) for name, price in found] == expected
        bounds = {"minimumLatitude": 48, "minimumLongitude": 9, "maximumLatitude": 49, "maximumLongitude": 11}
        assert code_of(ground, within={"bounds": bounds}) == "TOO_MANY_TO_PRICE"
        ground.remove("DE*TST*E500")
        assert len(listed(ground, within={"bounds": bounds})) == 500
