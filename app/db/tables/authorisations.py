"""Roaming authorisations: the tokens with which customers of providers may charge.

Tokens and contract ids are personal data. They stand here and in what is staged of a list, and nowhere else: the change
log, refusals and logs name an authorisation by `id`, which means nothing outside the hub.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.schema import SchemaItem

from app.db.tables.base import Id, Instant, metadata, one_of
from app.db.tables.lists import place_in_list
from app.vocabulary import TokenRepresentation, TokenSubType, TokenType


def token_columns() -> tuple[SchemaItem, ...]:
    """Return a token as it was sent, and the keys that it answers to (app/records/token.py)."""
    return (
        Column("token_key", Id, nullable=False),
        Column("token_key_160", Id),
        Column("token_type", Text, nullable=False),
        Column("token_sub_type", Text),
        Column("representation", Text, nullable=False),
        Column("instance", Text, nullable=False),
    )


def token_checks() -> tuple[SchemaItem, ...]:
    return (
        one_of("token_type", TokenType),
        one_of("token_sub_type", TokenSubType),
        one_of("representation", TokenRepresentation),
    )


#: `expired`: the leader has logged that it expired; authorisation itself compares `expires_at`. `removed_at`: the
#: provider removed it; the row names the token to those who follow changes, without contract and printed number, until
#: it is deleted. Once the driver's data were erased, `instance` is empty and `token_key` is none of a token.
authorisation = Table(
    "authorisation",
    metadata,
    Column("id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("provider_role_id", Integer, ForeignKey("partner_role.id"), nullable=False),
    *token_columns(),
    Column("contract_id", Id),
    Column("printed_number", Text),
    Column("expires_at", Instant, nullable=False),
    Column("expired", Boolean, nullable=False, server_default=text("false")),
    Column("removed_at", Instant),
    Column("content_hash", LargeBinary, nullable=False),
    Column("updated_at", Instant, nullable=False),
    *token_checks(),
    CheckConstraint("token_type <> 'REMOTE'", name="never_remote"),
    CheckConstraint("(contract_id is null) = (removed_at is not null)", name="removed"),
    # By token first: an operator asks for one among all providers.
    UniqueConstraint("token_key", "provider_role_id"),
    Index(None, "token_key_160", postgresql_where=text("token_key_160 is not null")),
    Index(None, "provider_role_id", "id"),
    Index(None, "contract_id", postgresql_where=text("contract_id is not null")),
    Index(None, "printed_number", postgresql_where=text("printed_number is not null")),
    Index(None, "expires_at", postgresql_where=text("removed_at is null and not expired")),
    Index(None, "removed_at", postgresql_where=text("removed_at is not null")),
)

#: Authorisations of a list on its way: what the provider says of each.
listed_authorisation = Table(
    "listed_authorisation",
    metadata,
    *place_in_list(),
    *token_columns(),
    Column("contract_id", Id, nullable=False),
    Column("printed_number", Text),
    Column("expires_at", Instant, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
)
