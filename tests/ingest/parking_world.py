"""Parking spots for tests of this room: a PSO, spots as it publishes them, and what must never be of them."""

from typing import Any

from app.db.engine import Database
from app.ingest.charge_points.updates import update_charge_points
from app.records.base import Point
from app.records.charge_point import EvseParkingSpot
from app.records.parking_spot import ParkingSpot
from app.uploads.items import Owner
from app.vocabulary import Role
from tests.exchange.world import Member, enrol
from tests.ingest.world import MONDAY, charge_point


async def make_pso(database: Database, party_id: str = "DEPRK") -> Owner:
    """Enrol a partner that operates parking spots."""
    [member] = await enrol(database, f"Parking {party_id}", (Role.PSO, party_id))
    return Owner(member.caller.partner_id, member.caller.role_id, party_id)


def spot(parking_id: str, at: tuple[float, float] | None = None, **more: Any) -> ParkingSpot:
    position = {} if at is None else {"position": Point(longitude=at[0], latitude=at[1])}
    return ParkingSpot(parking_id=parking_id, **position, **more)


def owner_of(member: Member) -> Owner:
    assert member.caller.party_id is not None
    return Owner(member.caller.partner_id, member.caller.role_id, member.caller.party_id)


async def link(
    database: Database, member: Member, evse_id: str, at: tuple[float, float], *parking_ids: str, **more: Any
) -> None:
    """Publish an EVSE that links these spots."""
    links = tuple(EvseParkingSpot(parking_id=id_) for id_ in parking_ids)
    position = Point(longitude=at[0], latitude=at[1])
    point = charge_point(evse_id, location_id=evse_id[5:], parking_spots=links, position=position, **more)
    await update_charge_points(database, [point], owner_of(member), MONDAY)


async def spots_by_id(database: Database) -> dict[str, dict[str, Any]]:
    """Return all stored spots, with the version of each row."""
    rows = await database.fetch("select *, xmin::text from parking_spot order by parking_id")
    return {row["parking_id"]: dict(row) for row in rows}


async def spot_contradictions(database: Database) -> list[dict[str, Any]]:
    """Return the rows that must never exist: links that contradict EVSEs, and spots that contradict their links."""
    rows = await database.fetch(
        """
        select 'link' as what, evse_id as id from (
            (select evse_id, unnest(parking_ids) from evse except select evse_id, parking_id from evse_parking_spot)
            union all
            (select evse_id, parking_id from evse_parking_spot except select evse_id, unnest(parking_ids) from evse)
        ) as differing
        union all
        select 'spot', parking_id from parking_spot as spot
        cross join lateral (
            select coalesce(array_agg(operator_no order by evse_id), '{}') as nos,
                coalesce(array_agg(longitude order by evse_id), '{}') as longitudes,
                coalesce(array_agg(latitude order by evse_id), '{}') as latitudes,
                coalesce(array_agg(distinct operator_no) filter (where exists (
                    select from spot_contract as contract
                    where contract.operator_no = evse.operator_no and contract.party_id = spot.party_id
                )), '{}') as contracted
            from evse where parking_id = any(parking_ids)
        ) as linked
        where (operator_nos, link_longitudes, link_latitudes, contracted_nos)
            <> (nos, linked.longitudes, linked.latitudes, linked.contracted)
        or (content_hash is null and cardinality(nos) = 0)
        union all
        select 'place', coalesce(place.parking_id, wanted.parking_id) from parking_place as place
        full join (
            select parking_id, true as own, contracted_nos as operator_nos, longitude, latitude from parking_spot
            where longitude is not null
            union all
            select parking_id, false, array_agg(distinct no), link.longitude, link.latitude from parking_spot
            cross join lateral unnest(operator_nos, link_longitudes, link_latitudes) as link (no, longitude, latitude)
            group by parking_id, link.longitude, link.latitude
        ) as wanted using (parking_id, own, operator_nos, longitude, latitude)
        where place.parking_id is null or wanted.parking_id is null
        union all
        select 'status', parking_id from (
            select distinct parking_id, unnest(0 || operator_nos) as said_by from parking_spot
        ) as wanted full join parking_status as status using (parking_id, said_by)
        where wanted.parking_id is null or status.parking_id is null
        """
    )
    return [dict(row) for row in rows]
