"""Baseline: plain Strawberry resolvers over SQLAlchemy's ORM behind FastAPI's GraphQLRouter, as their documents say.

Written to be good of its kind: relations are loaded with `selectinload`, and only those that the query selects;
nearest first is the hub's own two-step search; orjson writes the answer; reads run in autocommit. `cached` adds
Strawberry's own caches for parsing and validation.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NewType

import orjson
import strawberry
from fastapi import FastAPI
from geoalchemy2 import Geography
from sqlalchemy import ARRAY, JSON, DateTime, Enum, Float, ForeignKey, Select, event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    query_expression,
    relationship,
    selectinload,
    with_expression,
)
from sqlalchemy.orm.interfaces import ORMOption
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig
from strawberry.types.nodes import SelectedField, Selection

from app import vocabulary as words
from app.db.migrate import sqlalchemy_url
from app.ids import normalise_evse_id, separated_evse_id
from app.read.paging import encode_cursor
from app.settings import Settings

# ---------------------------------------------------------------- tables


class Base(DeclarativeBase):
    __table_args__ = {"schema": "normalised"}  # noqa: RUF012


def _word(vocabulary: type) -> Enum:
    return Enum(vocabulary, native_enum=False)


class Operator(Base):
    __tablename__ = "operator"
    id: Mapped[int] = mapped_column(primary_key=True)
    party_id: Mapped[str]
    name: Mapped[str]
    open: Mapped[bool]
    suspended: Mapped[bool]


class Location(Base):
    __tablename__ = "location"
    id: Mapped[int] = mapped_column(primary_key=True)
    location_id: Mapped[str]
    name: Mapped[str]
    location_type: Mapped[words.GeneralLocationType] = mapped_column(_word(words.GeneralLocationType))
    time_zone: Mapped[str | None]
    street: Mapped[str]
    city: Mapped[str | None]
    zip_code: Mapped[str | None]
    country: Mapped[str]


class Connector(Base):
    __tablename__ = "connector"
    id: Mapped[int] = mapped_column(primary_key=True)
    evse_id: Mapped[int] = mapped_column(ForeignKey("normalised.evse.id"))
    standard: Mapped[words.ConnectorStandard] = mapped_column(_word(words.ConnectorStandard))
    format: Mapped[words.ConnectorFormat] = mapped_column(_word(words.ConnectorFormat))


class Evse(Base):
    __tablename__ = "evse"
    id: Mapped[int] = mapped_column(primary_key=True)
    evse_id: Mapped[str]
    operator_id: Mapped[int] = mapped_column(ForeignKey("normalised.operator.id"))
    location_id: Mapped[int] = mapped_column(ForeignKey("normalised.location.id"))
    longitude: Mapped[float]
    latitude: Mapped[float]
    geog: Mapped[Any] = mapped_column(Geography("POINT", 4326), deferred=True)
    charge_point_type: Mapped[words.ChargePointType] = mapped_column(_word(words.ChargePointType))
    static_status: Mapped[words.ChargePointStatus | None] = mapped_column(_word(words.ChargePointStatus))
    maximum_power_kw: Mapped[float | None]
    opening_times: Mapped[Any] = mapped_column(JSON)
    telephone_number: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    auth_methods: Mapped[list[words.AuthMethod]] = mapped_column(ARRAY(_word(words.AuthMethod)))

    operator: Mapped[Operator] = relationship(lazy="raise")
    location: Mapped[Location] = relationship(lazy="raise")
    connectors: Mapped[list[Connector]] = relationship(lazy="raise", order_by=Connector.id)

    #: Known to searches around a point only.
    distance_m: Mapped[float | None] = query_expression()


RELATIONS = {"operator": Evse.operator, "location": Evse.location, "connectors": Evse.connectors}


# ---------------------------------------------------------------- types

EvseId = NewType("EvseId", str)
Instant = NewType("Instant", datetime)


def show_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


SCALARS: dict[object, Any] = {
    EvseId: strawberry.scalar(name="EvseId", serialize=separated_evse_id, parse_value=normalise_evse_id),
    Instant: strawberry.scalar(name="DateTime", serialize=show_instant),
}

for vocabulary in (
    words.ChargePointType,
    words.ChargePointStatus,
    words.ConnectorStandard,
    words.ConnectorFormat,
    words.GeneralLocationType,
    words.AuthMethod,
):
    strawberry.enum(vocabulary)


@strawberry.input
class NearInput:
    latitude: float
    longitude: float
    radius_m: float = strawberry.field(default=10_000, name="radiusM")


@strawberry.input
class AreaInput:
    near: NearInput


# The resolvers' `self` is the row: types without data of their own name the row's attributes.


@strawberry.type(name="Operator")
class OperatorType:
    party_id: str
    name: str


@strawberry.type(name="Address")
class AddressType:
    city: str | None
    zip_code: str | None
    country: str

    @strawberry.field
    def address(self: Any) -> str:
        return self.street


@strawberry.type(name="Location")
class LocationType:
    location_id: str
    name: str
    location_type: words.GeneralLocationType
    time_zone: str | None

    @strawberry.field
    def address(self: Any) -> AddressType:
        return self


@strawberry.type(name="Point")
class PointType:
    latitude: float
    longitude: float


@strawberry.type(name="Connector")
class ConnectorType:
    standard: words.ConnectorStandard
    format: words.ConnectorFormat


@strawberry.type(name="Ratings")
class RatingsType:
    maximum_power_kw: float


@strawberry.type(name="RegularHours")
class RegularHoursType:
    weekday: int
    begin: str
    end: str


@strawberry.type(name="OpeningTimes")
class OpeningTimesType:
    twentyfourseven: bool | None
    regular_hours: list[RegularHoursType]


@strawberry.type(name="Evse")
class EvseType:
    evse_id: EvseId
    charge_point_type: words.ChargePointType
    operator: OperatorType
    location: LocationType
    connectors: list[ConnectorType]
    auth_methods: list[words.AuthMethod]
    telephone_number: str | None
    updated_at: Instant

    @strawberry.field
    def distance_m(self: Any) -> float | None:
        return None if self.distance_m is None else round(self.distance_m, 1)

    @strawberry.field
    def position(self: Any) -> PointType:
        return self

    @strawberry.field
    def static_status(self: Any) -> words.ChargePointStatus:
        return self.static_status or words.ChargePointStatus.UNKNOWN

    @strawberry.field
    def ratings(self: Any) -> RatingsType | None:
        return None if self.maximum_power_kw is None else self

    @strawberry.field
    def opening_times(self: Any) -> OpeningTimesType | None:
        times = self.opening_times
        if times is None:
            return None
        hours = [RegularHoursType(**each) for each in times.get("regularHours") or ()]
        return OpeningTimesType(twentyfourseven=times.get("twentyfourseven"), regular_hours=hours)


@strawberry.type(name="PageInfo")
class PageInfoType:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class EvseConnection:
    nodes: list[EvseType]
    page_info: PageInfoType


# ---------------------------------------------------------------- resolvers

Info = strawberry.Info[dict[str, Any], None]


@strawberry.type
class Query:
    @strawberry.field
    async def evses(self, info: Info, within: AreaInput, first: int = 50) -> EvseConnection:
        session: AsyncSession = info.context["session"]
        selected = _below(info.selected_fields, "nodes")
        rows = (await session.scalars(nearest(within.near, first).options(*_loads(selected)))).all()
        shown: list[Any] = list(rows[:first])
        end = encode_cursor("distance_m+evse_id", shown[-1].distance_m, shown[-1].evse_id) if shown else None
        return EvseConnection(nodes=shown, page_info=PageInfoType(has_next_page=len(rows) > first, end_cursor=end))

    @strawberry.field
    async def evse(self, info: Info, evse_id: EvseId) -> EvseType | None:
        session: AsyncSession = info.context["session"]
        statement = select(Evse).join(Evse.operator).where(*VISIBLE, Evse.evse_id == evse_id)
        loads = _loads(_below(info.selected_fields))
        return await session.scalar(statement.options(*loads))  # pyright: ignore[reportReturnType]: the row stands for the type


VISIBLE = (Operator.open, ~Operator.suspended)


def nearest(near: NearInput, first: int) -> Select[Evse]:
    """Return EVSEs with their distance, nearest first, one more than asked for."""
    centre = func.geography(func.ST_SetSRID(func.ST_MakePoint(near.longitude, near.latitude), 4326))
    distance = Evse.geog.op("<->", return_type=Float(53))(centre)
    found = (
        select(Evse.id, distance.label("distance_m"))
        .join(Evse.operator)
        .where(*VISIBLE, func.ST_DWithin(Evse.geog, centre, near.radius_m, False))
        .order_by(distance)
        .fetch(first + 1, with_ties=True)
        .subquery()
    )
    rows = select(Evse).join(found, found.c.id == Evse.id).options(with_expression(Evse.distance_m, found.c.distance_m))
    return rows.order_by(found.c.distance_m, Evse.evse_id).limit(first + 1)


def _below(fields: Iterable[Selection], *path: str) -> set[str]:
    """Return the names selected below the field that is being resolved, at the end of a path."""
    selected = [field for parent in fields for field in parent.selections if isinstance(field, SelectedField)]
    if path:
        return _below([field for field in selected if field.name == path[0]], *path[1:])
    return {field.name for field in selected}


def _loads(selected: set[str]) -> list[ORMOption]:
    return [selectinload(relation) for name, relation in RELATIONS.items() if name in selected]


# ---------------------------------------------------------------- application


class Router(GraphQLRouter[Any, None]):
    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def orm_app(dsn: str, cached: bool) -> FastAPI:
    """Put the baseline together. GET /statements tells how many statements it has run."""
    engine = _engine(dsn)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def context() -> AsyncIterator[dict[str, Any]]:
        async with sessions() as session:
            yield {"session": session}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    extensions = [lambda: ParserCache(maxsize=100), lambda: ValidationCache(maxsize=100)] if cached else []
    schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS), extensions=extensions)
    app.include_router(Router(schema, context_getter=context, graphql_ide=None), prefix="/graphql")
    _count_statements(app, engine)
    return app


def _engine(dsn: str) -> AsyncEngine:
    settings = Settings()
    return create_async_engine(
        sqlalchemy_url(dsn),
        pool_size=settings.pool_size,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        json_deserializer=orjson.loads,
        connect_args={"server_settings": {"role": settings.runtime_role, "timezone": "UTC", "jit": "off"}},
    )


def _count_statements(app: FastAPI, engine: AsyncEngine) -> None:
    ran = 0

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def count(*_: Any) -> None:
        nonlocal ran
        ran += 1

    @app.get("/statements")
    async def statements() -> int:
        return ran
