"""A link is its operator's own statement: what the PSO and other operators say of the spot does not come with it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import true

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, resume_contract, set_contract, suspend_contract
from app.exchange.partners import resume_partner, suspend_partner
from app.ingest.parking.updates import update_parking_spots
from app.ingest.status.updates import update_status
from app.read.statements import STATEMENTS
from app.records.charge_point import OpeningTimes
from app.records.status import EvseStatus, ParkingStatus
from app.visibility import rules
from app.vocabulary import MajorStatus, Restriction, Role
from tests.exchange.world import Member, administrator, enrol, nsp, operator, utc_now
from tests.ingest.parking_world import link, owner_of, spot
from tests.live.streams import ask

HERE, OWN = (46.0, 46.0), (-60.0, 3.0)
SPOT = """parkingId status ttl updatedAt restrictions floorLevel number position { longitude latitude }
    evses { evseId }"""
ALWAYS = OpeningTimes(twentyfourseven=True)
AVAILABLE, TAKEN = MajorStatus.AVAILABLE, MajorStatus.NOT_AVAILABLE


@dataclass(frozen=True)
class Scene:
    """An honest operator with a contract with the PSO, and a curious one without, both with an NSP.

    The PSO published P1 and says that it is taken; the honest operator links it. The curious one links P1 and P9, of
    which no other partner says anything.
    """

    database: Database
    pso: Member
    honest: Member
    curious: Member
    of_honest: Member
    of_curious: Member
    contract: UUID

    async def say(self, by: Member, status: MajorStatus, parking_id: str = "DEPRKP1") -> None:
        now = utc_now()
        said = [ParkingStatus(parking_id, status, None, now)]
        role = by.caller.role
        report = await update_status(self.database, [], said, owner_of(by), role, now, timedelta(days=1))
        assert not report.refused

    async def sign(self) -> UUID:
        return await set_contract(self.database, CONSOLE, self.curious.party, self.pso.party, utc_now())


@pytest.fixture
async def scene(database: Database) -> Scene:
    [pso] = await enrol(database, "Parking", (Role.PSO, "DEPRK"))
    honest, curious = await operator(database, "DE111", "Honest"), await operator(database, "DE222", "Curious")
    of_honest, of_curious = await nsp(database, "Honest's"), await nsp(database, "Curious'")
    for one, other in ((of_honest, honest), (of_curious, curious)):
        await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    contract = await set_contract(database, CONSOLE, honest.party, pso.party, utc_now())
    made = Scene(database, pso, honest, curious, of_honest, of_curious, contract)
    published = spot("DEPRKP1", at=OWN, restrictions=(Restriction.DISABLED,), floor_level="-1", number="12")
    await update_parking_spots(database, [published], owner_of(pso), utc_now())
    await link(database, honest, "DE111E1", HERE, "DEPRKP1", opening_times=ALWAYS)
    await made.say(pso, TAKEN)
    await made.say(honest, AVAILABLE)
    await link(database, curious, "DE222E1", HERE, "DEPRKP1", opening_times=ALWAYS)
    await link(database, curious, "DE222E9", HERE, "DEPRKP9")
    return made


async def shown(scene: Scene, caller: Caller, parking_id: str = "DE*PRK*P1") -> dict[str, Any]:
    """Return a spot as a caller sees it, which is the same in every way."""
    near = {"near": {"longitude": HERE[0], "latitude": HERE[1]}}
    query = f"""query ($id: ParkingId!, $within: AreaInput) {{
        one: parkingSpot(parkingId: $id) {{ {SPOT} }}
        listed: parkingSpots(parkingIds: [$id]) {{ nodes {{ {SPOT} }} }}
        there: parkingSpots(within: $within, parkingIds: [$id]) {{ nodes {{ {SPOT} }} }}
        evses {{ nodes {{ parkingSpots {{ spot {{ {SPOT} }} }} }} }} }}"""
    data = await ask(scene.database, caller, query, {"id": parking_id, "within": near})
    linked = [each["spot"] for node in data["evses"]["nodes"] for each in node["parkingSpots"]]
    for each in (*data["listed"]["nodes"], *data["there"]["nodes"], *linked):
        if each["parkingId"] == parking_id:
            assert each == data["one"]
    return data["one"]


async def found_at_its_own_place(scene: Scene, caller: Caller) -> bool:
    query = "query ($within: AreaInput) { parkingSpots(within: $within) { nodes { parkingId } } }"
    within = {"near": {"longitude": OWN[0], "latitude": OWN[1]}}
    return bool((await ask(scene.database, caller, query, {"within": within}))["parkingSpots"]["nodes"])


def nothing(parking_id: str, evse_id: str) -> dict[str, Any]:
    return {
        "parkingId": parking_id, "status": "UNKNOWN", "ttl": None, "updatedAt": None, "restrictions": [],
        "floorLevel": None, "number": None, "position": None, "evses": [{"evseId": evse_id}],
    }  # fmt: skip


async def test_shows_nothing_but_the_link_to_those_who_see_an_operator_without_a_contract(scene: Scene):
    """A spot that its PSO publishes looks like one that no PSO does."""
    for caller in (scene.curious.caller, scene.of_curious.caller):
        assert await shown(scene, caller) == nothing("DE*PRK*P1", "DE*222*E1")
        assert await shown(scene, caller, "DE*PRK*P9") == nothing("DE*PRK*P9", "DE*222*E9")
        assert not await found_at_its_own_place(scene, caller)


async def test_would_notice_statuses_that_everybody_sees(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(rules.RULES, rules.SPOT_STATUS, lambda _table, _kind: true())  # type: ignore[arg-type]
    STATEMENTS.clear()
    try:
        with pytest.raises(AssertionError):
            await test_shows_nothing_but_the_link_to_those_who_see_an_operator_without_a_contract(scene)
    finally:
        monkeypatch.undo()
        STATEMENTS.clear()


async def test_shows_each_what_the_operators_say_that_it_sees(scene: Scene):
    await scene.say(scene.curious, AVAILABLE)
    for caller in (scene.curious.caller, scene.of_curious.caller):
        one = await shown(scene, caller)
        assert (one["status"], one["number"], one["position"]) == ("AVAILABLE", None, None)
        assert one["updatedAt"] is not None
    for caller in (scene.honest.caller, scene.of_honest.caller, scene.pso.caller):
        await check_published(scene, caller)
    hub = await administrator(scene.database)
    assert (await shown(scene, hub.caller))["status"] == "NOT_AVAILABLE"
    # Of two operators without the PSO: the newest.
    await end_contract(scene.database, CONSOLE, scene.contract, utc_now())
    await set_contract(scene.database, CONSOLE, scene.of_honest.party, scene.curious.party, utc_now())
    await scene.say(scene.honest, TAKEN)
    assert (await shown(scene, scene.of_honest.caller))["status"] == "NOT_AVAILABLE"
    await scene.say(scene.curious, TAKEN)
    await scene.say(scene.curious, AVAILABLE)
    assert (await shown(scene, scene.of_honest.caller))["status"] == "AVAILABLE"
    assert (await shown(scene, scene.honest.caller))["status"] == "NOT_AVAILABLE"


async def check_published(scene: Scene, caller: Caller) -> None:
    one = await shown(scene, caller)
    assert (one["status"], one["restrictions"], one["floorLevel"], one["number"]) == (
        "NOT_AVAILABLE",
        ["DISABLED"],
        "-1",
        "12",
    )
    assert one["position"] == {"longitude": OWN[0], "latitude": OWN[1]}
    assert await found_at_its_own_place(scene, caller)


async def test_shows_what_the_pso_publishes_while_a_contract_is_in_force(scene: Scene):
    database, viewers = scene.database, (scene.curious.caller, scene.of_curious.caller)

    async def check(published: bool, *callers: Caller) -> None:
        for caller in callers:
            if published:
                await check_published(scene, caller)
            else:
                assert await shown(scene, caller) == nothing("DE*PRK*P1", "DE*222*E1")

    contract = await scene.sign()
    await check(True, *viewers)
    await suspend_contract(database, CONSOLE, contract, utc_now())
    await check(False, *viewers)
    await resume_contract(database, CONSOLE, contract, utc_now())
    await check(True, *viewers)
    await suspend_partner(database, CONSOLE, scene.pso.caller.partner_id, utc_now())
    await check(False, *viewers)
    await resume_partner(database, CONSOLE, scene.pso.caller.partner_id, utc_now())
    await check(True, *viewers)
    await end_contract(database, CONSOLE, contract, utc_now())
    await check(False, *viewers)


@pytest.mark.parametrize("ends", [False, True])
async def test_follows_contracts_that_begin_and_end_by_the_clock(scene: Scene, database_url: str, ends: bool):
    contract = await scene.sign()
    owner = await asyncpg.connect(database_url)
    hour = timedelta(hours=1)
    column = "valid_until" if ends else "valid_from"
    await owner.execute("update contract set valid_from = $2 where id = $1", contract, utc_now() - 3 * hour)
    await owner.execute(f"update contract set {column} = $2 where id = $1", contract, utc_now() + hour)

    async def is_shown() -> bool:
        return (await shown(scene, scene.of_curious.caller))["number"] == "12"

    assert await is_shown() is ends
    # As if that had been an hour ago, and nothing happened since.
    await owner.execute("set session_replication_role = replica")
    await owner.execute(f"update contract set {column} = $2 where id = $1", contract, utc_now() - hour)
    await owner.execute("update viewer_scope set valid_until = $1 where valid_until is not null", utc_now() - hour)
    await owner.execute("set session_replication_role = origin")
    await owner.execute("select refresh_viewer_scope($1)", utc_now() - 2 * hour)
    assert await is_shown() is not ends
    await owner.close()


async def test_keeps_a_rivals_evse_available_whatever_is_said_of_a_shared_spot(scene: Scene):
    """The attack: an instant ahead and a ttl in ten years, by an operator without a contract."""
    now = utc_now()
    await scene.say(scene.pso, AVAILABLE)
    for by, id_ in ((scene.honest, "DE111E1"), (scene.curious, "DE222E1")):
        said = [EvseStatus(id_, AVAILABLE, None, None, now)]
        await update_status(scene.database, said, [], owner_of(by), by.caller.role, now, timedelta(days=1))
    far = [ParkingStatus("DEPRKP1", TAKEN, now + timedelta(days=3_650), now + timedelta(minutes=5))]
    owner = owner_of(scene.curious)
    report = await update_status(scene.database, [], far, owner, Role.EVSE_OPERATOR, now, timedelta(days=1))
    assert [each.code for each in report.warnings] == ["TTL_CUT"]
    query = """{ evses(filter: { availableNow: true }) { nodes { evseId } }
        all: evses { nodes { combinedStatus { major minor } } } }"""
    for caller, found, status in (
        (scene.of_honest.caller, [{"evseId": "DE*111*E1"}], {"major": "AVAILABLE", "minor": None}),
        (scene.of_curious.caller, [], {"major": "NOT_AVAILABLE", "minor": "BLOCKED"}),
    ):
        data = await ask(scene.database, caller, query)
        assert data["evses"]["nodes"] == found
        assert data["all"]["nodes"][0]["combinedStatus"] == status
