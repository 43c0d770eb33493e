"""What each role may see, with the transactions that began and ended it; kept by app/db/sql/viewer_scope.sql.

Reads query it, and so does the log for what a viewer could see at a cursor: the rows whose `began` the cursor's
snapshot shows and whose `ended` it does not.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import Instant, metadata

#: `role_id` 0: everybody; roles have only what they see besides. `kind`: OPERATOR (`subject`: the operator's number),
#: PSO or EVSP (`subject`: id of the role). `valid_until`: the contract behind it ends then by the clock; readers
#: compare it with their own now. `ended_at`: ended rows are kept as long as cursors live. `ended_snapshot`: shows all
#: that was committed before; what it does not show came too late.
viewer_scope = Table(
    "viewer_scope",
    metadata,
    Column("role_id", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("valid_until", Instant),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("ended_at", Instant),
    Column("ended_snapshot", Text),
    CheckConstraint("kind in ('OPERATOR', 'PSO', 'EVSP')", name="kind"),
    CheckConstraint("(ended is null) = (ended_at is null)", name="ended"),
    Index(
        "viewer_scope_present_key",
        "role_id",
        "kind",
        "subject",
        unique=True,
        postgresql_where=text("ended is null"),
    ),
    Index("viewer_scope_ended_idx", "role_id", "ended", postgresql_where=text("ended is not null")),
)

#: Roles whose scope the present transaction may have changed; `wide`: and that of those who have contracts with them.
#: Empty for every other transaction: emptied before the transaction ends.
viewer_scope_due = Table(
    "viewer_scope_due",
    metadata,
    Column("role_ids", ARRAY(Integer), nullable=False),
    Column("wide", Boolean, nullable=False),
    prefixes=["unlogged"],
)
