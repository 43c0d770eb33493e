"""Charge detail records: the claims of operators for sessions, what each of their revisions holds, and occupied times.

`cdr` and `cdr_occupancy` are narrow and have no partitions, because ids are unique and times exclusive for ever.
`cdr_content` has the wide part, in partitions by month.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, UUID, ExcludeConstraint

from app.db.tables.authorisations import token_checks
from app.db.tables.base import Document, Id, Instant, metadata, one_of
from app.vocabulary import CdrStatus, ChargePointType, ConnectorFormat, ConnectorStandard

#: A CDR belongs to the operator of its EVSE and to the provider of its contract; it keeps both. `revision` numbers the
#: content that counts, from 1; `content_hash`, `currency`, `total`, times and session are of that content. `month` (its
#: first day, UTC) is that of the first start and never changes: the content of all revisions is filed under it.
cdr = Table(
    "cdr",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("cdr_id", Id, nullable=False),
    Column("evse_id", Id, nullable=False),
    Column("operator_role_id", Integer, nullable=False),
    Column("provider_role_id", Integer, nullable=False),
    Column("operator_id", Id, nullable=False),
    Column("provider_id", Id, nullable=False),
    Column("month", Date, nullable=False),
    Column("status", Text, nullable=False),
    Column("decline_reason", Text),
    Column("revision", Integer, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("session_id", UUID),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    one_of("status", CdrStatus),
    CheckConstraint("revision > 0", name="revision"),
    CheckConstraint("started_at < ended_at", name="times"),
    CheckConstraint("left(evse_id, 5) = operator_id", name="evse_of_operator"),
    CheckConstraint("extract(day from month) = 1", name="month"),
    Index("cdr_evse_key", "cdr_id", "evse_id", unique=True),
    # What begins with the operator's party id is unique by itself.
    Index("cdr_own_key", "cdr_id", unique=True, postgresql_where=text("left(cdr_id, 5) = operator_id")),
    Index("cdr_operator_idx", "operator_role_id", "status", "started_at", "id"),
    Index("cdr_provider_idx", "provider_role_id", "status", "started_at", "id"),
    Index(None, "session_id", postgresql_where=text("session_id is not null")),
)

#: What a revision of a CDR holds, as it was sent: never changed. `start` and `end` are local with their offset;
#: decimals inside `periods` are text. `connector_standards` and the two below hold the one connector; they have the
#: names that EVSEs give to the same columns.
cdr_content = Table(
    "cdr_content",
    metadata,
    Column("month", Date, primary_key=True),
    Column("cdr_key", UUID, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("operator_role_id", Integer, nullable=False),
    Column("provider_role_id", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("token_type", Text, nullable=False),
    Column("token_sub_type", Text),
    Column("representation", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("contract_id", Id, nullable=False),
    Column("start", Text, nullable=False),
    Column("end", Text, nullable=False),
    Column("duration", Text),
    Column("house_number", Text),
    Column("address", Text, nullable=False),
    Column("city", Text),
    Column("zip_code", Text),
    Column("country", Text, nullable=False),
    Column("charge_point_type", Text, nullable=False),
    Column("connector_standards", Text, nullable=False),
    Column("connector_formats", Text, nullable=False),
    Column("connector_tariff_ids", Id),
    Column("ratings", Document),
    Column("meter_id", Text),
    Column("periods", Document, nullable=False),
    Column("total_cost", Numeric),
    Column("currency", Text, nullable=False),
    Column("warnings", Document, nullable=False),
    *token_checks(),
    one_of("charge_point_type", ChargePointType),
    one_of("connector_standards", ConnectorStandard),
    one_of("connector_formats", ConnectorFormat),
    Index(None, "contract_id"),
    postgresql_partition_by="RANGE (month)",
)

#: The times that CDRs claim of EVSEs, of which no two overlap. A rejected CDR has none. `place` stands for the EVSE: a
#: GiST index of numbers takes a third of the time that one of texts takes, and no two EVSEs share one of 2^64.
cdr_occupancy = Table(
    "cdr_occupancy",
    metadata,
    Column("cdr_key", UUID, primary_key=True),
    Column("operator_role_id", Integer, nullable=False),
    Column("evse_id", Id, nullable=False),
    Column("place", BigInteger, Computed("hashtextextended(evse_id, 0)", persisted=True), nullable=False),
    Column("during", TSTZRANGE, nullable=False),
    CheckConstraint("not isempty(during)", name="during"),
    ExcludeConstraint(("place", "="), ("during", "&&"), using="gist", name="cdr_occupancy_excl"),
)
