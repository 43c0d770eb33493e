"""The pages of reservations of one's own role: what these consist of, and how tests follow them without GraphQL."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from graphql.execution.values import VariableValues

from app.auth import Caller
from app.db.engine import Database
from app.live.feeds.sides import SidesFilter
from app.read.plan import Field, PageLeaf, Selection
from app.read.search import Listing
from schema.private_changes import Following, Listed, PrivateEntity, Rendering
from schema.root_fields import NO_VARIABLES
from schema.select import Selected
from tests.exchange.private_entity.feed import RESERVATIONS
from tests.exchange.private_entity.reading import FIELDS
from tests.exchange.private_entity.tables import reservation

ROOT_KEY: Final = "reservationChanges"
KEPT: Final = timedelta(days=7)
ORDER: Final = ("created_at", "id")


def role_of(caller: Caller | None) -> int | None:
    return None if caller is None else caller.role_id


RESERVATION: Final = PrivateEntity(
    feed=RESERVATIONS,
    wanted=lambda arguments, caller: SidesFilter(RESERVATIONS, role_of(caller)),
    listed=lambda arguments, caller: Listed(lambda after: Listing(reservation, ORDER, after=after), {}),
    by_ids=Listing(reservation, ORDER, filters=("id",)),
    id_of=UUID,
    items="changes",
    parts=frozenset({"reservation"}),
)

CHANGE: Final = (
    Field("action", PageLeaf("action")),
    Field("id", PageLeaf("id")),
    Field("reservation", PageLeaf("reservation"), FIELDS),
)
PAGE: Final = Selection(
    (
        Field("cursor", PageLeaf("cursor")),
        Field("hasMore", PageLeaf("hasMore")),
        Field("changes", PageLeaf("changes"), CHANGE),
    )
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A selection that no document made."""

    selection: Selection

    def bind(self, variables: VariableValues, now: datetime) -> tuple[Selection, dict[str, Any]]:
        return self.selection, {}


def follow(database: Database, caller: Caller, entity: PrivateEntity = RESERVATION) -> Following:
    rendering = Rendering(entity, caller, cast(Selected, Whole(PAGE)), NO_VARIABLES, ROOT_KEY)
    return Following(database, entity, caller, {}, rendering, KEPT)
