"""How a reservation is read: its visibility rule, its fields and its two searches."""

from app.read.plan import Column, Field, Nodes, Selection
from app.read.search import ById, Listing
from app.visibility.rules import of_two_roles
from tests.exchange.private_entity.tables import reservation

RULE = of_two_roles("provider_role_id", "operator_role_id")

FIELDS = (
    Field("id", Column(("id",), shape=str)),
    Field("evseId", Column(("evse_id",))),
    Field("status", Column(("status",))),
)
ONE = ById(reservation, ("id",))
ONE_SELECTION = Selection(FIELDS)
ALL = Listing(reservation, ("created_at", "id"))
ALL_SELECTION = Selection((Field("nodes", Nodes(), FIELDS),))
