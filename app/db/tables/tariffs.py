"""Tariffs: per tariff one individual tariff for each group of providers, and a default for all other callers.

What a provider pays is a secret between it and the operator, and so is which providers have a tariff of their own: rows
of providers say nothing of each other.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from app.db.tables.base import Document, Id, Instant, metadata

#: `content_hash` and `updated_at`: of all individual tariffs with their recipients, for the operator alone.
#: `default_updated_at`: of the default, which is what callers without a row in `tariff_recipient` are shown.
tariff = Table(
    "tariff",
    metadata,
    Column("tariff_id", Id, primary_key=True),
    Column("operator_no", Integer, ForeignKey("operator.no"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("default_updated_at", Instant, nullable=False),
    Index(None, "operator_no"),
)

#: `number` 0: the default. `elements`: as the API shows them, decimals as text with the digits that were sent.
individual_tariff = Table(
    "individual_tariff",
    metadata,
    Column("tariff_id", Id, ForeignKey("tariff.tariff_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("operator_no", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("elements", Document, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    CheckConstraint("number >= 0", name="number"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
)

#: Which individual tariff is meant for a provider, which need not be known to the hub. `updated_at`: since when this
#: provider is shown what it is shown now. A provider that is no recipient any more keeps its row, with the default's
#: number: what it is shown changed later than the default itself.
tariff_recipient = Table(
    "tariff_recipient",
    metadata,
    Column("tariff_id", Id, ForeignKey("tariff.tariff_id", ondelete="CASCADE"), primary_key=True),
    Column("party_id", Id, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("operator_no", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint("party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'", name="party_id"),
    Index(None, "tariff_id", "number"),
)
