"""Partners, their roles, keys and contracts, the audit log, refusals of uploads. All but the first two are private."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.db.tables.base import Document, Id, Instant, metadata, one_of
from app.vocabulary import ContractStatus, Role

NEW_ID = text("gen_random_uuid()")

partner = Table(
    "partner",
    metadata,
    Column("id", UUID, primary_key=True, server_default=NEW_ID),
    Column("name", Text, nullable=False),
    Column("suspended_at", Instant),
    Column("last_upload_at", Instant),
    CheckConstraint("length(trim(name)) between 1 and 200", name="name"),
)

#: A role of a partner; contracts and keys belong to it. A revoked role stays for the history and frees its party id.
partner_role = Table(
    "partner_role",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("partner_id", UUID, ForeignKey("partner.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("party_id", Id),
    Column("revoked_at", Instant),
    one_of("role", Role),
    CheckConstraint("party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'", name="party_id"),
    CheckConstraint("(party_id is null) = (role in ('NSP', 'ADMINISTRATOR'))", name="party_id_of_role"),
    UniqueConstraint("id", "partner_id"),
    Index("partner_role_party_key", "role", "party_id", unique=True, postgresql_where=text("revoked_at is null")),
    Index(
        "partner_role_once_key",
        "partner_id",
        "role",
        "party_id",
        unique=True,
        postgresql_where=text("revoked_at is null"),
        postgresql_nulls_not_distinct=True,
    ),
)

#: A secret that acts in one role. Only its hash is stored; `prefix` identifies a key to people.
api_key = Table(
    "api_key",
    metadata,
    Column("id", UUID, primary_key=True, server_default=NEW_ID),
    Column("role_id", Integer, nullable=False),
    Column("partner_id", UUID, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    ForeignKeyConstraint(["role_id", "partner_id"], ["partner_role.id", "partner_role.partner_id"]),
    Index(None, "role_id"),
    Index(None, "partner_id"),
)

#: A roaming connection between two roles. `first` is the role of the lower id, so that a pair has one open row.
contract = Table(
    "contract",
    metadata,
    Column("id", UUID, primary_key=True, server_default=NEW_ID),
    Column("first_role_id", Integer, nullable=False),
    Column("first_partner_id", UUID, nullable=False),
    Column("second_role_id", Integer, nullable=False),
    Column("second_partner_id", UUID, nullable=False),
    Column("proposed_by_role_id", Integer, nullable=False),
    Column("status", Text, nullable=False),
    # Null while suspended: by the administrator, who alone resumes it.
    Column("suspended_by_role_id", Integer),
    Column("valid_from", Instant),
    Column("valid_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    one_of("status", ContractStatus),
    CheckConstraint("first_role_id < second_role_id", name="pair"),
    CheckConstraint("proposed_by_role_id in (first_role_id, second_role_id)", name="proposed_by"),
    CheckConstraint(
        "suspended_by_role_id is null"
        " or (status = 'SUSPENDED' and suspended_by_role_id in (first_role_id, second_role_id))",
        name="suspended_by",
    ),
    CheckConstraint("valid_until >= valid_from", name="validity"),
    ForeignKeyConstraint(["first_role_id", "first_partner_id"], ["partner_role.id", "partner_role.partner_id"]),
    ForeignKeyConstraint(["second_role_id", "second_partner_id"], ["partner_role.id", "partner_role.partner_id"]),
    Index(
        "contract_open_pair_key",
        "first_role_id",
        "second_role_id",
        unique=True,
        postgresql_where=text("status in ('PROPOSED', 'ACTIVE', 'SUSPENDED')"),
    ),
    Index("contract_second_idx", "second_role_id"),
    Index("contract_partners_idx", "first_partner_id", "second_partner_id"),
)

#: Changes and their actors; append-only. `actor_role_id` null: the clearing house operator, at the hub's console.
#: `partner_ids`: the partners that may read the row.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor_role_id", Integer, ForeignKey("partner_role.id")),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("details", Document, nullable=False),
    Column("partner_ids", ARRAY(UUID), nullable=False),
    Index(None, "partner_ids", postgresql_using="gin"),
    Index(None, "at"),
)

#: Refused items of uploads, the newest of each partner.
refusal = Table(
    "refusal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("partner_id", UUID, ForeignKey("partner.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("operation", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("index", Integer, nullable=False),
    Column("item_id", Text),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "partner_id", "id"),
)
