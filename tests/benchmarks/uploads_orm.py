"""The baseline of uploads: Strawberry's typed inputs and SQLAlchemy, the way its documentation shows.

It takes the input types that the hub declares, and writes the same rows into the same tables, each part as it comes:
what is not there yet, by one executemany per table. It leaves out what the hub does besides: parts that wait for each
other, a list in force at once, what changes or goes, spots, limits, refusals of single items, budgets.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import strawberry
from fastapi import FastAPI
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

from app.db.migrate import sqlalchemy_url
from app.db.staging import stored_columns
from app.db.tables import evse, location, operator
from app.ingest.charge_points.rows import content_of, hash_of
from app.records.base import Point
from app.records.charge_point import (
    Address,
    ChargePoint,
    Connector,
    Image,
    OpeningTimes,
    Period,
    Ratings,
    RegularHours,
    RelatedLocation,
    RelatedResource,
    StatusPeriod,
)
from app.vocabulary import AuthMethod, Restriction
from schema.scalars import SCALARS, PartyId
from schema.types.charge_point_input import (
    ChargePointInput,
    ConnectorInput,
    ListPart,
    OpeningTimesInput,
    PeriodInput,
    RatingsInput,
    StatusPeriodInput,
)

T = TypeVar("T")


@strawberry.type
class UploadReport:
    accepted: int
    unchanged: int


def uploads_app(dsn: str) -> FastAPI:
    """Serve `setChargePointList` and nothing else."""
    # Documents are JSON already where they are made.
    engine = create_async_engine(sqlalchemy_url(dsn), pool_size=8, json_serializer=str)

    @strawberry.type
    class Query:
        hello: str = "hello"

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def set_charge_point_list(
            self,
            operator_id: PartyId,
            charge_points: list[ChargePointInput],
            part: ListPart | None = None,
        ) -> UploadReport:
            return await _write(engine, operator_id, charge_points, datetime.now(UTC))

    schema = strawberry.Schema(Query, Mutation, config=StrawberryConfig(scalar_map=SCALARS))
    application = FastAPI()
    application.include_router(GraphQLRouter(schema), prefix="/graphql")
    return application


async def _write(engine: AsyncEngine, party_id: str, sent: Sequence[ChargePointInput], now: datetime) -> UploadReport:
    async with engine.begin() as connection:
        named = select(operator.c.no).where(operator.c.party_id == party_id).with_for_update()
        owner = (await connection.execute(named)).one()
        common = {"operator_no": owner.no, "updated_at": now}
        rows = {row["evse_id"]: row for row in (_row(each) | common for each in sent)}
        places = {row["location_id"]: {name: row[name] for name in _PLACE} for row in rows.values()}
        for table, key, wanted in ((location, location.c.location_id, places), (evse, evse.c.evse_id, rows)):
            there = await connection.scalars(select(key).where(table.c.operator_no == owner.no, key.in_(wanted)))
            for id_ in there:
                del wanted[id_]
            if wanted:
                await connection.execute(insert(table), list(wanted.values()))
    return UploadReport(accepted=len(rows), unchanged=len(sent) - len(rows))


_PLACE = [column.name for column in stored_columns(location)]


def _row(sent: ChargePointInput) -> dict[str, Any]:
    content = content_of(_charge_point(sent), None)
    return content | {"content_hash": hash_of(content)}


def _known(value: T | None) -> T | None:
    """Return the value sent; None where the field was absent."""
    return None if value is strawberry.UNSET else value


def _charge_point(sent: ChargePointInput) -> ChargePoint:
    address, times = sent.address, sent.opening_times
    return ChargePoint(
        evse_id=sent.evse_id,
        evse_id_as_sent=sent.evse_id,
        location_id=sent.location_id.upper(),
        timestamp=_known(sent.timestamp),
        location_name=sent.location_name,
        location_name_language=sent.location_name_language,
        address=Address(
            house_number=_known(address.house_number),
            address=address.address,
            city=address.city,
            zip_code=address.zip_code,
            country=address.country,
        ),
        position=Point(latitude=sent.position.latitude, longitude=sent.position.longitude),
        related_locations=tuple(
            RelatedLocation(latitude=each.latitude, longitude=each.longitude, name=_known(each.name), type=each.type)
            for each in sent.related_locations or ()
        ),
        time_zone=_known(sent.time_zone),
        opening_times=_opening_times(times) if times else None,
        status=_known(sent.status),
        status_schedule=tuple(
            StatusPeriod(start=each.start, end=_known(each.end), status=each.status)
            for each in sent.status_schedule or ()
        ),
        telephone_number=_known(sent.telephone_number),
        location_type=sent.location_type,
        restrictions=tuple(word for word in Restriction if word in (sent.restrictions or ())),
        auth_methods=tuple(word for word in AuthMethod if word in sent.auth_methods),
        connectors=tuple(
            Connector(standard=each.standard, format=each.format, tariff_id=_known(each.tariff_id))
            for each in sent.connectors
        ),
        charge_point_type=sent.charge_point_type,
        ratings=_ratings(sent.ratings) if sent.ratings else None,
        images=tuple(
            Image(
                uri=each.uri,
                thumb_uri=_known(each.thumb_uri),
                class_=each.class_,
                type=each.type,
                width=_known(each.width),
                height=_known(each.height),
            )
            for each in sent.images or ()
        ),
        related_resources=tuple(
            RelatedResource(uri=each.uri, classes=tuple(each.classes)) for each in sent.related_resources or ()
        ),
        user_interface_languages=tuple(sent.user_interface_languages or ()),
        max_reservation_minutes=_known(sent.max_reservation_minutes),
    )


def _status_period(sent: StatusPeriodInput) -> StatusPeriod:
    return StatusPeriod(start=sent.start, end=_known(sent.end), status=sent.status)


def _connector(sent: ConnectorInput) -> Connector:
    return Connector(standard=sent.standard, format=sent.format, tariff_id=_known(sent.tariff_id))


def _opening_times(sent: OpeningTimesInput) -> OpeningTimes:
    hours = [RegularHours(weekday=each.weekday, begin=each.begin, end=each.end) for each in sent.regular_hours or ()]
    return OpeningTimes(
        twentyfourseven=_known(sent.twentyfourseven),
        regular_hours=tuple(sorted(hours, key=lambda each: (each.weekday, each.begin))),
        exceptional_openings=_periods(sent.exceptional_openings or ()),
        exceptional_closings=_periods(sent.exceptional_closings or ()),
        closed_charging=_known(sent.closed_charging),
    )


def _periods(sent: Sequence[PeriodInput]) -> tuple[Period, ...]:
    return tuple(Period(begin=each.begin, end=each.end) for each in sent)


def _ratings(sent: RatingsInput) -> Ratings:
    return Ratings(
        maximum_power_kw=sent.maximum_power_kw,
        guaranteed_power_kw=_known(sent.guaranteed_power_kw),
        nominal_voltage_v=_known(sent.nominal_voltage_v),
    )
