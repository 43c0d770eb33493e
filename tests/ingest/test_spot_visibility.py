"""Who sees which parking spots: by an EVSE, by the PSO's contracts, or not at all."""

from datetime import UTC, datetime

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.ingest.charge_points.updates import update_charge_points
from app.ingest.parking.updates import update_parking_spots
from app.read.execute import read
from app.read.parking import SpotSearch
from app.read.plan import Column, Field, Nodes, Selection
from app.read.search import Request
from app.records.charge_point import EvseParkingSpot
from app.vocabulary import Role
from tests.exchange.world import administrator, enrol, nsp, operator, utc_now
from tests.ingest.parking_world import owner_of, spot
from tests.ingest.world import MONDAY, charge_point

IDS = Selection((Field("nodes", Nodes(), (Field("id", Column(("parking_id",))),)),))


async def seen(database: Database, caller: Caller | None) -> set[str]:
    found = await read(database, caller, IDS, Request(SpotSearch(), {}, 100), datetime.now(UTC))
    return {node["id"] for node in found["nodes"]}


async def test_shows_spots_to_those_who_see_an_evse_or_have_a_contract_with_the_pso(database: Database):
    open_, closed = await operator(database, "DE111", "Open", open_=True), await operator(database, "DE222", "Closed")
    partner, app, hub = await operator(database, "DE333", "Partner"), await nsp(database), await administrator(database)
    [pso] = await enrol(database, "Parking", (Role.PSO, "DEPRK"))
    [other] = await enrol(database, "Other", (Role.PSO, "DEOTH"))
    for member, n in ((open_, 1), (closed, 2)):
        links = (EvseParkingSpot(parking_id=f"DEPRKP{n}"), EvseParkingSpot(parking_id="DEPRKP12"))
        items = [charge_point(f"{member.caller.party_id}E1", parking_spots=links)]
        await update_charge_points(database, items, owner_of(member), MONDAY)
    await update_parking_spots(database, [spot("DEPRKP2"), spot("DEPRKP9")], owner_of(pso), MONDAY)

    by_open, by_closed = {"DEPRKP1", "DEPRKP12"}, {"DEPRKP2", "DEPRKP12"}
    everything = by_open | by_closed | {"DEPRKP9"}

    async def visible_spots() -> list[set[str]]:
        callers = (None, open_.caller, closed.caller, partner.caller, app.caller, pso.caller, other.caller, hub.caller)
        return [await seen(database, caller) for caller in callers]

    alone = [by_open, by_open, by_open | by_closed, by_open, by_open, everything, by_open, everything]
    assert await visible_spots() == alone
    contract = await set_contract(database, CONSOLE, partner.party, pso.party, utc_now())
    assert await visible_spots() == [*alone[:3], everything, *alone[4:]]
    await end_contract(database, CONSOLE, contract, utc_now())
    assert await visible_spots() == alone
    contract = await set_contract(database, CONSOLE, app.party, closed.party, utc_now())
    assert await visible_spots() == [*alone[:4], by_open | by_closed, *alone[5:]]
