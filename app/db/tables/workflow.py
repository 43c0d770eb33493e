"""The history of all workflows: one append-only row per transition, in one hash chain per pair of partners.

A row belongs to two roles, which alone may read it. It names what moved by `subject` (the workflow's noun) and
`subject_id`. There are no foreign keys: roles and partners are never deleted, and checking 100,000 rows takes a second.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from app.db.tables.base import Instant, metadata

#: The end of each pair's chain. Its row is locked by every transaction that appends to the chain.
workflow_chain = Table(
    "workflow_chain",
    metadata,
    Column("first_partner_id", UUID, primary_key=True),
    Column("second_partner_id", UUID, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("first_partner_id <= second_partner_id", name="pair"),
)

#: `no` counts from 1 within the pair. `from_state` is null where the row was created; `actor_role_id` is null for the
#: clearing house operator at the hub's console. `content_hash`: of the row's content then, where that can change.
workflow_history = Table(
    "workflow_history",
    metadata,
    Column("first_partner_id", UUID, primary_key=True),
    Column("second_partner_id", UUID, primary_key=True),
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("first_role_id", Integer, nullable=False),
    Column("second_role_id", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor_role_id", Integer),
    Column("command", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("reason", Text),
    Column("content_hash", LargeBinary),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index(None, "subject_id", "subject"),
)
