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


async def link(database: Database, member: Member, evse_id: str, at: tuple[float, float], *parking_ids: str) -> None:
    """Publish an EVSE that links these spots."""
    links = tuple(EvseParkingSpot(parking_id=id_) for id_ in parking_ids)
    point = charge_point(evse_id, parking_spots=links, position=Point(longitude=at[0], latitude=at[1]))
    await update_charge_points(database, [point], owner_of(member), MONDAY)


async def spots_by_id(database: Database) -> dict[str, dict[str, Any]]:
    """Give all stored spots, with the version of each row."""
    rows = await database.fetch("select *, xmin::text from parking_spot_version order by parking_id")
    return {row["parking_id"]: dict(row) for row in rows}


async def spot_contradictions(database: Database) -> list[dict[str, Any]]:
    """Give what must never be: links at odds with EVSEs, spots, shown or not, at odds with their links."""
    rows = await database.fetch(
        """
        select 'link' as what, evse_id as id from (
            (select evse_id, unnest(parking_ids) from evse except select evse_id, parking_id from evse_parking_spot)
            union all
            (select evse_id, parking_id from evse_parking_spot except select evse_id, unnest(parking_ids) from evse)
        ) as differing
        union all
        select 'spot', parking_id from parking_spot_version as spot
        cross join lateral (
            select coalesce(array_agg(distinct operator_no), '{}') as nos,
                (array_agg(longitude order by evse_id) filter (where operator_no = located_by))[1] as longitude,
                (array_agg(latitude order by evse_id) filter (where operator_no = located_by))[1] as latitude
            from evse where parking_id = any(parking_ids)
        ) as linked
        where (until_no is null or until_no in (select no from spot_list where in_force_at is null)) and (
            operator_nos <> nos
            or (spot.longitude, spot.latitude)
                is distinct from (coalesce(own_longitude, linked.longitude), coalesce(own_latitude, linked.latitude))
            or (own_longitude is null and cardinality(nos) > 0 and located_by is null)
            or (content_hash is null and cardinality(nos) = 0)
        )
        union all
        select 'linked, but not shown once', parking_id from parking_status left join parking_spot using (parking_id)
        where parking_id in (select parking_id from evse_parking_spot)
        group by parking_id having count(operator_nos) <> 1
        """
    )
    return [dict(row) for row in rows]
