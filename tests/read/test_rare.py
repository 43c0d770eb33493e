"""The nearest of few: however they are looked for, they are the same; and how they are looked for follows the data."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.read import execute
from app.read.areas import SEEN, AreaKind
from app.read.evses import EvseSearch
from app.read.frequencies import Column, Frequencies, choose, read_frequencies
from app.read.search import Request
from app.visibility.rules import CallerKind
from app.vocabulary import ConnectorFormat, ConnectorStandard, connector_mask, standards_of
from tests.length import rounds
from tests.read.ground import Ground, make_ground, make_owner
from tests.world import evse

T2, T3C = "IEC_62196_T2/SOCKET", "IEC_62196_T3C/SOCKET"
CENTRE = (9.99, 48.4)

#: Filters, and by which of them the few may be found.
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [SEEN]),
    ({"connectorStandards": ["IEC_62196_T3C"]}, ["connectors", SEEN]),
    ({"connectorStandards": ["IEC_62196_T3C"], "connectorFormats": ["CABLE"]}, ["connectors"]),
    ({"connectorStandards": ["CHADEMO"]}, ["connectors"]),
    ({"operatorIds": ["DESML"]}, ["operator_ids"]),
    ({"operatorIds": ["DESML", "DETST"], "minPowerKw": 150}, ["operator_ids", "min_power_kw"]),
    ({"minPowerKw": 300, "connectorStandards": ["IEC_62196_T2"]}, ["min_power_kw", "connectors", SEEN]),
    ({"maxPowerKw": 3.7}, ["max_power_kw", SEEN]),
    ({"locationTypes": ["UNDERGROUND_GARAGE"]}, ["location_types"]),
    ({"locationTypes": ["UNDERGROUND_GARAGE", "OTHER"], "maxPowerKw": 3.7}, ["location_types", "max_power_kw"]),
    ({"providerId": "DE-XXX"}, ["provider_id"]),
    ({"usableAt": "2026-03-04T12:00:00Z", "minPowerKw": 150}, ["min_power_kw"]),
]


@pytest.fixture(scope="module")
def ground(cluster: Cluster, template: str, seed: int) -> Iterator[Ground]:
    """Charge points around a city, many at one place, few with rare plugs, few of a small operator, some hidden."""
    chance = random.Random(seed)
    with make_ground(cluster, template) as ground:
        places = [(chance.gauss(CENTRE[0], 0.05), chance.gauss(CENTRE[1], 0.03)) for _ in range(60)]
        for party_id, count, open_ in (("DETST", 500, True), ("DESML", 12, True), ("DEHID", 60, False)):
            owner = ground.owner if party_id == "DETST" else ground.run(_making(party_id, open_))
            ground.put([_charge_point(chance, party_id, n, chance.choice(places)) for n in range(count)], owner)
        yield ground


def _making(party_id: str, open_: bool) -> Callable[[Database], Awaitable[Any]]:
    return lambda database: make_owner(database, party_id, open_)


def _charge_point(chance: random.Random, party_id: str, n: int, place: tuple[float, float]) -> Any:
    plug = T3C if chance.random() < 0.02 else T2
    power_kw = chance.choice([11.0] * 30 + [3.7, 150.0, 300.0])
    point = evse(f"DE*{party_id[2:]}*E{n}", f"L{n}", round(place[1], 5), round(place[0], 5), plug)
    place_type = "UNDERGROUND_GARAGE" if chance.random() < 0.05 else "ON_STREET"
    return {**point, "ratings": {"maximumPowerKw": power_kw}, "locationType": place_type}


def _looking(ground: Ground, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """Have the nearest rows looked for in one way, whatever the frequencies."""

    async def prepare(database: Database, request: Request, caller_kind: CallerKind) -> Request:
        if not how:
            return request
        standards = standards_of(request.arguments.get("connectors", 0))
        found_by = {name: how[name] for name in ("rarest", "many")}
        arguments = {**request.arguments, "standards": standards, "walk_most": how["walk_most"]}
        return replace(request, search=replace(request.search, **found_by), arguments=arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execute, "prepare_nearest", prepare)


@pytest.mark.parametrize(("given", "by"), FILTERS, ids=str)
def test_finds_the_same_rows_in_every_way(
    ground: Ground, seed: int, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], by: list[str]
):
    chance = random.Random(seed)
    for _ in range(rounds(1, full=3)):
        place = {"longitude": chance.gauss(CENTRE[0], 0.05), "latitude": chance.gauss(CENTRE[1], 0.03)}
        for radius_m in (500, 4_000, 100_000):
            asked = {"within": {"near": {**place, "radiusM": radius_m}}, "filter": given}
            _looking(ground, monkeypatch)
            plain = ground.everything("evses", "evseId distanceM", asked, first=100)
            how = {
                "rarest": chance.choice(by),
                "many": chance.random() < 0.5,
                "walk_most": chance.choice([0, 1, 40, 9999]),
            }
            _looking(ground, monkeypatch, **how)
            assert ground.everything("evses", "evseId distanceM", asked, first=100) == plain, how
            few = chance.choice([1, 3, 30]) if len(plain) < 100 else 30
            assert ground.everything("evses", "evseId distanceM", asked, first=few) == plain, (few, how)


def test_would_notice_a_walk_that_ends_too_early(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    """The broken twin: an index that leads to nothing, behind a walk that is too short."""
    near = {"longitude": CENTRE[0], "latitude": CENTRE[1], "radiusM": 100_000}
    asked = {"within": {"near": near}, "filter": {"connectorStandards": ["IEC_62196_T3C"]}}
    _looking(ground, monkeypatch)
    plain = ground.everything("evses", "evseId", asked)
    assert len(plain) > 2
    monkeypatch.setattr("tests.read.test_rare.standards_of", lambda mask: ["CHADEMO"])
    _looking(ground, monkeypatch, rarest="connectors", many=False, walk_most=1)
    assert ground.everything("evses", "evseId", asked) != plain


# ---------------------------------------------------------------- what is known, and what follows

T2_MASK = connector_mask([(ConnectorStandard.IEC_62196_T2, ConnectorFormat.SOCKET)])
T3C_MASK = connector_mask([(ConnectorStandard.IEC_62196_T3C, ConnectorFormat.SOCKET)])

KNOWN = Frequencies(
    rows=100_000,
    operators={"DEBIG": 0.6, "DEMID": 0.2},
    other_operator=0.001,
    seen=0.9,
    masks=Column(0, {float(T2_MASK): 0.97, float(T3C_MASK): 0.01}, ()),
    powers=Column(0.1, {22.0: 0.7}, (50.0, 100.0, 150.0, 200.0)),
    location_types={"ON_STREET": 0.9, "PARKING_LOT": 0.09},
)


def _chosen(known: Frequencies = KNOWN, caller_kind: CallerKind = CallerKind.ANONYMOUS, **filters: Any) -> Request:
    search = EvseSearch(area=AreaKind.NEAR, filters=frozenset(filters))
    return choose(known, search, Request(search, filters, 50), caller_kind)


@pytest.mark.parametrize(
    ("filters", "rarest", "walk_most"),
    [
        ({}, None, None),
        ({"connectors": T2_MASK}, None, None),
        ({"connectors": T3C_MASK}, "connectors", 333),
        ({"connectors": T2_MASK | T3C_MASK}, None, None),
        ({"connectors": 0}, "connectors", 100),
        ({"operator_ids": ["DEBIG"]}, "operator_ids", 20_000),
        ({"operator_ids": ["DEMID"]}, None, None),
        ({"operator_ids": ["DEXXX"], "connectors": T3C_MASK}, None, None),
        ({"operator_ids": ["DEBIG"], "connectors": T3C_MASK}, "connectors", 333),
        ({"min_power_kw": 22.0}, None, None),
        ({"min_power_kw": 1000.0}, "min_power_kw", 100),
        ({"max_power_kw": 50.0}, None, None),
        ({"max_power_kw": 3.7}, "max_power_kw", 100),
        ({"location_types": ["ON_STREET"]}, None, None),
        ({"location_types": ["UNDERGROUND_GARAGE"]}, "location_types", 100),
        ({"auth_methods": 1}, None, None),
    ],
)
def test_looks_for_few_by_the_rarest_filter(filters: dict[str, Any], rarest: str | None, walk_most: int | None):
    request = _chosen(**filters)
    assert request.search.rarest == rarest  # type: ignore[attr-defined]
    assert request.arguments.get("walk_most") == walk_most


def test_looks_by_operators_for_who_sees_few():
    few = replace(KNOWN, seen=0.02)
    assert _chosen(few).search.rarest == SEEN  # type: ignore[attr-defined]
    assert _chosen(few, CallerKind.PARTNER).search.rarest == SEEN  # type: ignore[attr-defined]
    assert _chosen(few, CallerKind.ADMINISTRATOR).search.rarest is None  # type: ignore[attr-defined]


def test_shares_out_power():
    assert KNOWN.powers.at_least(22) == pytest.approx(0.9)
    assert KNOWN.powers.at_least(100) == pytest.approx(0.15)
    assert KNOWN.powers.at_least(201) == 0
    assert KNOWN.powers.at_most(22) == pytest.approx(0.7)
    assert KNOWN.powers.at_most(100) == pytest.approx(0.8)
    assert KNOWN.powers.at_most(3.7) == 0


def test_reads_what_the_planner_knows(ground: Ground):
    async def analyze() -> None:
        connection = await asyncpg.connect(ground.dsn)
        await connection.execute("analyze evse")
        await connection.close()

    asyncio.run(analyze())
    known = ground.run(read_frequencies)
    assert known.rows == 572
    assert known.operators["DETST"] == pytest.approx(500 / 572, abs=0.01)
    assert known.of_operators(["DESML", "DEHID"]) == pytest.approx(72 / 572, abs=0.01)
    assert known.seen == pytest.approx(512 / 572, abs=0.01)
    assert known.masks.with_any(T3C_MASK) < 0.1
    assert known.masks.with_any(T2_MASK | T3C_MASK) == pytest.approx(1, abs=0.01)
    assert known.powers.at_least(300) < 0.2
    assert known.powers.at_most(3.7) < 0.2
    assert known.location_types["ON_STREET"] == pytest.approx(0.95, abs=0.05)


def test_does_without_while_the_planner_knows_nothing(cluster: Cluster, template: str):
    with make_ground(cluster, template) as ground:
        assert ground.run(read_frequencies) is None
        near = {"longitude": CENTRE[0], "latitude": CENTRE[1], "radiusM": 1_000}
        assert ground.everything("evses", "evseId", {"within": {"near": near}, "filter": {"minPowerKw": 900}}) == []
