"""What tests of this room share: charge points with everything in them, and two operators that hold their party ids."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from app.db.engine import Connection, Database
from app.ingest.charge_points.updates import Owner
from app.records.base import Point
from app.records.charge_point import Address, ChargePoint, Connector, Ratings
from app.uploads.locks import lock_operators
from app.vocabulary import AuthMethod, ChargePointType, ConnectorFormat, ConnectorStandard, GeneralLocationType
from tests.exchange.world import operator as enrolled_operator

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)

ULM = Point(latitude=48.398012, longitude=9.991543)
LYON = Point(latitude=45.757814, longitude=4.832011)

SQUARE = Address(house_number="1", address="Münsterplatz", city="Ulm", zip_code="89073", country="DEU")


def charge_point(evse_id: str, **changes: Any) -> ChargePoint:
    """Make a small charge point; `evse_id` normalised."""
    plain = ChargePoint(
        evse_id=evse_id,
        evse_id_as_sent=evse_id,
        location_id="L1",
        location_name="Am Münster",
        location_name_language="DEU",
        address=SQUARE,
        position=ULM,
        location_type=GeneralLocationType.ON_STREET,
        auth_methods=(AuthMethod.PUBLIC,),
        connectors=(Connector(standard=ConnectorStandard.IEC_62196_T2, format=ConnectorFormat.SOCKET),),
        charge_point_type=ChargePointType.AC,
        ratings=Ratings(maximum_power_kw=22.0),
    )
    return msgspec.structs.replace(plain, **changes)


@dataclass(frozen=True)
class World:
    """A hub with two operators, each with a partner of its own."""

    database: Database
    german: Owner
    french: Owner


async def make_world(database: Database) -> World:
    return World(database, await make_owner(database, "DE8AC"), await make_owner(database, "FRA23"))


async def make_owner(database: Database, party_id: str) -> Owner:
    """Enrol a partner that holds an operator."""
    member = await enrolled_operator(database, party_id, f"Operator {party_id}")
    caller = member.caller
    assert caller.party_id is not None
    [row] = await database.fetch("select no from operator where role_id = $1", caller.role_id)
    return Owner(caller.partner_id, caller.role_id, caller.party_id, row["no"])


@asynccontextmanager
async def waiting_behind(database: Database, operator_no: int) -> AsyncIterator[Connection]:
    """Be another writer of this operator's charge points during the block. Yield its connection."""
    async with database.writes.acquire() as connection, connection.transaction():
        await lock_operators(connection, [operator_no])
        await connection.execute("set local role none")  # which may see the waits of other sessions
        yield connection


async def evse_ids(database: Database) -> list[str]:
    """Return the ids of all stored EVSEs, in order."""
    return [row["evse_id"] for row in await database.fetch("select evse_id from evse order by evse_id")]


async def rows_by_id(database: Database) -> dict[str, dict[str, Any]]:
    """Return all stored EVSEs whole, with the version of each row: it moves whenever the row is written."""
    rows = await database.fetch("select *, xmin::text, ctid::text from evse order by evse_id")
    return {row["evse_id"]: dict(row) for row in rows}


async def contradictions(database: Database) -> list[dict[str, Any]]:
    """Return the rows that must never exist: EVSEs that contradict their location, and locations without EVSEs."""
    at_odds = await database.fetch(
        """
        select 'place' as what, evse_id as id from evse join location using (operator_no, location_id)
        where (evse.longitude, evse.latitude, evse.house_number, evse.address, evse.city, evse.zip_code, evse.country)
        is distinct from (location.longitude, location.latitude, location.house_number, location.address,
                          location.city, location.zip_code, location.country)
        union all
        select 'empty', location_id from location
        where not exists (
            select from evse
            where (evse.operator_no, evse.location_id) = (location.operator_no, location.location_id)
        )
        union all
        select 'words', location.location_id from location
        cross join lateral (
            select * from evse
            where (evse.operator_no, evse.location_id) = (location.operator_no, location.location_id)
            order by updated_at desc, evse_id limit 1
        ) as newest
        where (location.location_name, location.location_name_language, location.location_type, location.time_zone,
               location.related_locations::text)
        is distinct from (newest.location_name, newest.location_name_language, newest.location_type, newest.time_zone,
                          newest.related_locations::text)
        """
    )
    return [dict(row) for row in at_odds]
