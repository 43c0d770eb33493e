"""Charging sessions, and the requests for single authorisations with their answers."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.db.tables.authorisations import token_checks, token_columns
from app.db.tables.base import Id, Instant, each_of, metadata, one_of
from app.vocabulary import Contradiction, ResultCode, SessionEnd, SessionStatus, SessionWarning

#: A session belongs to the operator that reports it and to the provider of its contract. `contradictions`: with the
#: live status of its EVSE, and with other sessions there (app/db/sql/sessions.sql). `contract_id` is null and the
#: token blank, once the driver's data were erased.
session = Table(
    "session",
    metadata,
    Column("id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("operator_role_id", Integer, nullable=False),
    Column("provider_role_id", Integer, nullable=False),
    Column("operator_id", Id, nullable=False),
    Column("provider_id", Id, nullable=False),
    Column("evse_id", Id),
    Column("contract_id", Id),
    *token_columns(),
    Column("status", Text, nullable=False),
    Column("authorised_at", Instant, nullable=False),
    Column("connected_at", Instant),
    Column("energy_started_at", Instant),
    Column("energy_ended_at", Instant),
    Column("disconnected_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("energy_kwh", Numeric),
    Column("warnings", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("contradictions", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("updated_at", Instant, nullable=False),
    *token_checks(),
    one_of("status", SessionStatus),
    one_of("ended_by", SessionEnd),
    each_of("warnings", SessionWarning),
    each_of("contradictions", Contradiction),
    CheckConstraint("(status = 'ACTIVE') = (ended_by is null)", name="ended"),
    CheckConstraint("(status = 'ACTIVE') = (ended_at is null)", name="ended_at"),
    CheckConstraint("connected_at <= energy_started_at", name="connected_first"),
    CheckConstraint("energy_started_at <= energy_ended_at", name="energy_order"),
    CheckConstraint("energy_ended_at <= disconnected_at", name="disconnected_last"),
    CheckConstraint("connected_at <= energy_ended_at", name="connected_before_energy_ended"),
    CheckConstraint("connected_at <= disconnected_at", name="connected_before_disconnected"),
    CheckConstraint("energy_started_at <= disconnected_at", name="energy_before_disconnected"),
    CheckConstraint("energy_kwh >= 0", name="energy"),
    Index(None, "operator_role_id", "authorised_at", "id"),
    Index(None, "provider_role_id", "authorised_at", "id"),
    Index("session_active_idx", "evse_id", postgresql_where=text("status = 'ACTIVE'")),
    Index("session_open_since_idx", "authorised_at", postgresql_where=text("status = 'ACTIVE'")),
    Index(None, "contract_id", postgresql_where=text("contract_id is not null")),
)

#: What an operator asked about a token, as its provider reads it. `provider_role_id` is null where no provider that has
#: a contract with the operator has the token: then only the operator reads it. `authorisation_id`: of that token, while
#: it is kept.
authorisation_request = Table(
    "authorisation_request",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("at", Instant, nullable=False),
    Column("operator_role_id", Integer, nullable=False),
    Column("provider_role_id", Integer),
    Column("operator_id", Id, nullable=False),
    Column("evse_id", Id),
    Column("code", Text, nullable=False),
    Column("authorisation_id", UUID),
    Column("session_id", UUID),
    one_of("code", ResultCode),
    Index(None, "id"),
    Index(None, "provider_role_id", "at", "id"),
    Index(None, "operator_role_id", "at", "id"),
    postgresql_partition_by="RANGE (at)",
)

#: What an operator was answered, to answer the same when a request is repeated. `request_id`: as the operator names it,
#: null where it has no name. `content_hash`: of what was asked. From `token_type` on: the authorisation as it was then.
authorisation_answer = Table(
    "authorisation_answer",
    metadata,
    Column("id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("operator_role_id", Integer, nullable=False),
    Column("request_id", Text),
    Column("at", Instant, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("code", Text),
    Column("description", Text),
    Column("authorisation_id", UUID),
    Column("session_id", UUID),
    Column("token_type", Text),
    Column("token_sub_type", Text),
    Column("representation", Text),
    Column("instance", Text),
    Column("contract_id", Id),
    Column("printed_number", Text),
    Column("expires_at", Instant),
    Column("updated_at", Instant),
    one_of("code", ResultCode),
    *token_checks(),
    Index("authorisation_answer_request_key", "operator_role_id", "request_id", unique=True),
    Index(None, "at"),
    Index(None, "authorisation_id", postgresql_where=text("authorisation_id is not null")),
    Index(None, "session_id", postgresql_where=text("session_id is not null")),
    Index(None, "contract_id", postgresql_where=text("contract_id is not null")),
)
