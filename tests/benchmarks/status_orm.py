"""The baseline of status uploads: Strawberry's typed inputs and SQLAlchemy, the way its documentation shows.

It does the same work in the same tables: the status itself, the log of what readers see change, the history. It leaves
out what the hub does besides: spots, words that run out, refusals of single items, budgets.
"""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import strawberry
from fastapi import FastAPI
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from strawberry.fastapi import GraphQLRouter

from app.db.migrate import sqlalchemy_url
from app.db.tables import change, evse_status, status_history
from app.ids import normalise_evse_id
from app.vocabulary import MajorStatus, MinorStatus

Major = strawberry.enum(Enum("MajorStatus", {word.name: word.value for word in MajorStatus}))  # pyright: ignore
Minor = strawberry.enum(Enum("MinorStatus", {word.name: word.value for word in MinorStatus}))  # pyright: ignore


@strawberry.input
class EvseStatusInput:
    evse_id: strawberry.ID
    major: Major  # pyright: ignore[reportInvalidTypeForm]
    minor: Minor | None = None  # pyright: ignore[reportInvalidTypeForm]
    ttl: datetime | None = None
    at: datetime | None = None


@strawberry.type
class UploadReport:
    accepted: int
    unchanged: int


def status_app(dsn: str) -> FastAPI:
    """Serve `updateStatus` and nothing else."""
    engine = create_async_engine(sqlalchemy_url(dsn), pool_size=8)

    @strawberry.type
    class Query:
        hello: str = "hello"

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def update_status(self, evses: list[EvseStatusInput]) -> UploadReport:
            return await _write(engine, evses, datetime.now(UTC))

    application = FastAPI()
    application.include_router(GraphQLRouter(strawberry.Schema(Query, Mutation)), prefix="/graphql")
    return application


_UPDATE = (
    update(evse_status)
    .where(evse_status.c.evse_id == bindparam("id_"))
    .values({name: bindparam(f"new_{name}") for name in ("major", "minor", "ttl", "at", "expires_at", "updated_at")})
)


async def _write(engine: AsyncEngine, evses: list[EvseStatusInput], now: datetime) -> UploadReport:
    said = {normalise_evse_id(item.evse_id): item for item in sorted(evses, key=lambda item: item.evse_id)}
    async with engine.begin() as connection:
        stood = await connection.execute(
            select(evse_status).where(evse_status.c.evse_id.in_(said)).order_by(evse_status.c.evse_id).with_for_update()
        )
        updates: list[dict[str, Any]] = []
        changes: list[dict[str, Any]] = []
        kept: list[dict[str, Any]] = []
        for row in stood.mappings():
            item = said[row["evse_id"]]
            major, minor = item.major.value, None if item.minor is None else item.minor.value
            at = item.at or now
            if row["at"] is not None and at < row["at"]:
                continue
            updates.append(
                {
                    "id_": row["evse_id"],
                    "new_major": major,
                    "new_minor": minor,
                    "new_ttl": item.ttl,
                    "new_at": at,
                    "new_expires_at": item.ttl or at + timedelta(days=1),
                    "new_updated_at": now,
                }
            )
            if (major, minor) != (row["major"], row["minor"]):
                was_available = row["major"] == "AVAILABLE"
                changes.append({"kind": "EVSE_STATUS", "entity_id": row["evse_id"], "was_available": was_available})
                kept.append({"evse_id": row["evse_id"], "at": at, "major": major, "minor": minor})
        for statement, rows in ((_UPDATE, updates), (insert(change), changes), (insert(status_history), kept)):
            if rows:
                await connection.execute(statement, rows)
    return UploadReport(accepted=len(changes), unchanged=len(evses) - len(changes))
