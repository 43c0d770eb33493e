"""Synthetic data: believable, made by a seed, and let in by the hub's own pipeline."""

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cli.data import EXAMPLE_PLACE
from app.db.engine import Database
from app.demo import CONTRACTS, NAVIGATION, PARTY_IDS, PROVIDER, ROLES, NotEmpty, fill
from app.demo_charging import TOKENS, authorisations
from app.demo_stations import EVSES, OPERATORS, Input, charge_points, known_places
from app.demo_status import keep_pushing
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, list_contracts
from app.exchange.keys import list_keys
from app.exchange.partners import enrol_partner, list_partners
from app.exchange.roles import RoleName
from app.ids import normalise_evse_id, party_of
from app.records.authorisation import Authorisation, read_authorisation
from app.records.charge_point import ChargePoint
from app.records.charge_point_input import read_charge_point
from app.vocabulary import MajorStatus, Role
from tests.exchange.world import look
from tests.length import rounds

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def _everything(seed: int) -> list[Input]:
    return [item for operator in OPERATORS for item in charge_points(operator, seed, NOW)]


def test_makes_the_same_again_from_the_same_seed() -> None:
    assert _everything(1) == _everything(1)
    assert _everything(1) != _everything(2)


@settings(max_examples=rounds(2, full=5))
@given(st.integers())
def test_makes_what_the_hub_takes_from_every_seed(seed: int) -> None:
    items = _everything(seed)
    assert len(items) == EVSES
    assert [read for read in map(read_charge_point, items, range(EVSES)) if not isinstance(read, ChargePoint)] == []
    assert len({item["evseId"] for item in items}) == EVSES


def test_keeps_every_operator_to_its_own_party_id_and_a_location_to_one_place() -> None:
    for operator in OPERATORS:
        places = defaultdict[str, set[str]](set)
        for item in charge_points(operator, 7, NOW):
            assert party_of(normalise_evse_id(item["evseId"])) == operator.party_id
            places[item["locationId"]].add(repr((item["address"], item["position"])))
        assert all(len(place) == 1 for place in places.values())


def test_is_mixed_like_a_real_network() -> None:
    items = _everything(3)
    stations = Counter(item["evseId"].rpartition("*")[0] for item in items)
    assert (min(stations.values()), max(stations.values())) == (1, 8)
    standards = {connector["standard"] for item in items for connector in item["connectors"]}
    assert {"IEC_62196_T2", "IEC_62196_T2_COMBO", "CHADEMO"} <= standards
    powers = {(item["chargePointType"], item["ratings"]["maximumPowerKw"]) for item in items}
    assert powers >= {("AC", 11), ("AC", 22), ("DC", 50), ("DC", 150), ("DC", 300), ("DC", 350)}
    hours = Counter(_kind_of_hours(item) for item in items)
    assert set(hours) == {"always", "unknown", "once a day", "split"}
    assert len({item["address"]["city"] for item in items}) >= 60
    assert sum(len(item["parkingSpots"]) for item in items) > 300


def _kind_of_hours(item: Input) -> str:
    times = item["openingTimes"]
    if times is None:
        return "unknown"
    if "twentyfourseven" in times:
        return "always"
    days = Counter(hours["weekday"] for hours in times["regularHours"])
    return "split" if max(days.values()) > 1 else "once a day"


@settings(max_examples=rounds(5, full=20))
@given(st.integers())
def test_gives_strangers_something_to_see_where_the_example_looks(seed: int) -> None:
    [open_] = [operator for operator in OPERATORS if operator.open]
    assert EXAMPLE_PLACE in {item["address"]["city"] for item in charge_points(open_, seed, NOW)}


def test_puts_stations_near_the_place_their_address_names() -> None:
    at = {place.name: place for place in known_places().places}
    for item in _everything(5):
        place = at[item["address"]["city"]]
        assert abs(item["position"]["latitude"] - place.latitude) < 0.25
        assert abs(item["position"]["longitude"] - place.longitude) < 0.5


def test_says_by_every_name_that_it_is_synthetic() -> None:
    assert all(name.startswith("Demo ") for name in ROLES)
    item = _everything(1)[0]
    assert {resource["uri"].split("/")[2].rpartition(".")[2] for resource in item["relatedResources"]} == {"example"}


def test_names_the_source_and_the_licence_of_its_facts() -> None:
    known = known_places()
    assert "GeoNames" in known.source
    assert "CC BY 4.0" in known.licence
    assert 60 <= len(known.places) <= 100


async def test_fills_an_empty_hub(database: Database) -> None:
    told: list[tuple[str, int]] = []
    filled = await fill(database, 1, NOW, lambda name, evses: told.append((name, evses)))
    assert filled.evses == EVSES == sum(evses for _, evses in told)
    assert filled.keys.keys() == filled.partner_ids.keys() == ROLES.keys()
    assert len(await list_contracts(database, CONSOLE)) == len(CONTRACTS)
    assert await database.fetch("select 1 from refusal") == []


async def test_shows_the_navigation_service_all_operators_but_one_and_strangers_the_open_one(
    database: Database,
) -> None:
    await fill(database, 1, NOW)
    assert await _seen_by(database, NAVIGATION) == {o.name for o in OPERATORS} - {"Demo Charging South"}
    assert await _names(database, "select name from operator where open") == {"Demo Town Charging"}
    [provider] = [
        each for each in await list_contracts(database, CONSOLE) if _between(each, NAVIGATION, "Demo Mobility")
    ]
    await end_contract(database, CONSOLE, provider.id, NOW)
    assert "Demo Fast Charging" not in await _seen_by(database, NAVIGATION)


def test_makes_tokens_that_the_hub_takes() -> None:
    items = list(authorisations("DEDMO", NOW))
    read = [read_authorisation(item, index) for index, item in enumerate(items)]
    assert [each for each in read if not isinstance(each, Authorisation)] == []
    assert len({item["token"]["instance"] for item in items}) == TOKENS
    kinds = {(item["token"]["type"], item["token"].get("representation", "PLAIN")) for item in items}
    assert kinds == {("RFID", "PLAIN"), ("RFID", "SHA_160"), ("ISO_15118", "PLAIN")}


SESSIONS = "select status, ended_by, warnings, contradictions from session order by 1, 2, 3, 4"
REQUESTS = "select code from authorisation_request order by 1"


async def test_has_tokens_requests_and_sessions_in_every_state(database: Database) -> None:
    filled = await fill(database, 1, NOW)
    sessions = [tuple(row) for row in await look(database, SESSIONS)]
    assert sessions == [
        ("ACTIVE", None, [], []),
        ("ACTIVE", None, [], ["EVSE_AVAILABLE"]),
        ("ENDED", "AUTHORISED_STOP", [], []),
        ("ENDED", "AUTHORISED_STOP", ["TOKEN_NOT_VALID"], []),
        ("ENDED", "FORCED_DISCONNECT", [], []),
        ("EXPIRED", "EXPIRED", [], []),
    ]
    assert (filled.tokens, filled.sessions) == (TOKENS, len(sessions))
    codes = Counter(row["code"] for row in await look(database, REQUESTS))
    assert codes == {"OK": len(sessions), "INVALID_ID": 1, "ROAMING": 1}
    assert len(await look(database, "select from authorisation where expired")) == 1


CDRS = "select cdr_id, status, revision, decline_reason, total from cdr order by right(cdr_id, 5)"


async def test_has_tariffs_and_cdrs_with_a_dispute(database: Database) -> None:
    await fill(database, 1, NOW)
    assert [(row["status"], row["revision"]) for row in await look(database, CDRS)] == [
        ("APPROVED", 1),
        ("REVISED", 2),
        ("DECLINED", 1),
    ]
    [row] = await look(database, "select count(*), count(distinct operator_no) as operators from tariff")
    assert row["operators"] == 2
    unnamed = """
        select from evse cross join unnest(connector_tariff_ids) as named
        where operator_no in (select operator_no from tariff)
        and not exists (select from tariff where tariff_id = named)
    """
    assert not await look(database, unnamed)
    assert all(row["warnings"] == [] for row in await look(database, "select warnings from cdr_content"))


async def test_adds_no_tokens_and_sessions_when_it_goes_on(database: Database) -> None:
    filled = await fill(database, 1, NOW)
    [contract] = [each for each in await list_contracts(database, CONSOLE) if _between(each, NAVIGATION, PROVIDER)]
    await end_contract(database, CONSOLE, contract.id, NOW)
    before = [tuple(row) for row in await look(database, SESSIONS)]
    billed = await look(database, CDRS)
    again = await fill(database, 1, NOW + timedelta(days=1))
    assert (again.tokens, again.sessions) == (filled.tokens, filled.sessions)
    assert [tuple(row) for row in await look(database, SESSIONS)] == before
    assert len(await look(database, REQUESTS)) == len(before) + 2
    assert await look(database, CDRS) == billed


async def test_changes_nothing_when_its_data_is_there(database: Database) -> None:
    first = await fill(database, 1, NOW)
    again = await fill(database, 2, NOW)
    assert again.keys == {}
    assert (again.partner_ids, again.evses) == (first.partner_ids, first.evses)
    assert len(await list_keys(database, CONSOLE)) == len(ROLES)
    assert len(await list_partners(database, CONSOLE)) == len(ROLES)


async def test_says_of_most_evses_and_spots_what_is_with_them(database: Database) -> None:
    await fill(database, 5, NOW)
    said = await database.fetch(
        "select major, count(*) from evse_status where at is not null group by major union all "
        "select 'spot ' || status, count(*) from parking_status where at is not null group by status"
    )
    counts = {row[0]: row[1] for row in said}
    assert sum(counts[major] for major in MajorStatus) == EVSES
    assert counts["AVAILABLE"] > EVSES / 2
    assert {"spot AVAILABLE", "spot NOT_AVAILABLE"} <= counts.keys()


async def test_goes_on_changing_it(database: Database) -> None:
    await fill(database, 5, NOW)
    new: list[int] = []

    def told(changed: int) -> None:
        new.append(changed)
        if sum(new) > 50:
            raise asyncio.CancelledError

    later = NOW + timedelta(minutes=1)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(keep_pushing(database, PARTY_IDS, 200, lambda: later, told), 60)
    assert sum(new) > 50


async def test_goes_on_where_it_was_interrupted(database: Database) -> None:
    def interrupt(name: str, _evses: int) -> None:
        if name == OPERATORS[1].name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await fill(database, 1, NOW, interrupt)
    assert (await fill(database, 1, NOW)).evses == EVSES
    assert len(await list_contracts(database, CONSOLE)) == len(CONTRACTS)
    assert len(await list_partners(database, CONSOLE)) == len(ROLES)


async def test_refuses_a_hub_with_partners_of_its_own(database: Database) -> None:
    await enrol_partner(database, CONSOLE, "Hafenstrom", [RoleName(Role.NSP, None)], NOW)
    with pytest.raises(NotEmpty, match="the partner Hafenstrom"):
        await fill(database, 1, NOW)
    assert await _names(database, "select name from partner") == {"Hafenstrom"}


async def test_refuses_a_hub_with_evses_of_a_register(database: Database) -> None:
    await fill(database, 1, NOW)
    await database.write(
        lambda connection: connection.execute(
            """
            update operator set role_id = null, party_id = 'FRXXX', source = 'register', name = 'Hafenstrom'
            where name = 'Demo Town Charging'
            """
        )
    )
    await end_contract(database, CONSOLE, (await list_contracts(database, CONSOLE))[0].id, NOW)
    with pytest.raises(NotEmpty, match="it holds EVSEs"):
        await fill(database, 1, NOW)


async def test_lets_an_administrator_be_there_before(database: Database) -> None:
    await enrol_partner(database, CONSOLE, "Clearing House", [RoleName(Role.ADMINISTRATOR, None)], NOW)
    assert (await fill(database, 1, NOW)).evses == EVSES


async def _seen_by(database: Database, partner: str) -> set[str]:
    [role] = next(each.roles for each in await list_partners(database, CONSOLE) if each.name == partner)
    return await _names(database, f"select name from operator where no in (select visible_operators({role.id}))")


async def _names(database: Database, statement: str) -> set[str]:
    return {row["name"] for row in await database.fetch(statement)}


def _between(contract: object, one: str, other: str) -> bool:
    return one in str(contract) and other in str(contract)
