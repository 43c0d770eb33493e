"""The table of reservations. A reservation belongs to two roles: the provider asks, the operator answers."""

from enum import StrEnum

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from app.db.tables.base import Id, Instant, one_of


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    CONFIRMED = "CONFIRMED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"


#: In the product the metadata is that of `app.db.tables.base`.
reservation = Table(
    "reservation",
    MetaData(),
    Column("id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("provider_role_id", Integer, nullable=False),
    Column("operator_role_id", Integer, nullable=False),
    Column("evse_id", Id, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    one_of("status", Status),
    Index("reservation_provider_idx", "provider_role_id", "created_at"),
    Index("reservation_operator_idx", "operator_role_id", "created_at"),
)
