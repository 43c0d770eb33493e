"""The feed of reservations, which goes by the two roles of each.

Subscribers are found and matched by the ids of the two roles alone, which `reservation_sides` reads with its owner's
rights: one round serves all roles. The content of a reservation is read only when it is written for one role, under
that role's row-level security (`subscription.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, cast

from app.live.log.rows import Place
from app.live.stream.feed import Before, Feed, Had, nothing, seen_through_none
from app.visibility.viewer_scope import ViewerScope
from app.vocabulary import ChangeKind, LogKind


class Kind(StrEnum):
    """In the product a member of `LogKind`, and of what the subscription publishes."""

    RESERVATION = "RESERVATION"


class ReservationState(NamedTuple):
    """The two roles of a reservation."""

    id: str
    role_ids: Sequence[int]

    @property
    def places(self) -> Sequence[Place]:
        return ()


KINDS: Final = (cast(ChangeKind, Kind.RESERVATION),)

RESERVATIONS: Final = Feed(
    name="reservation",
    entity_kind=cast(LogKind, Kind.RESERVATION),
    live_kinds=(),
    kinds=KINDS,
    by_ids="select id, role_ids from reservation_sides($1::text[]::uuid[])",
    state_of=ReservationState._make,
    concerns=nothing,
    was_seen_through=seen_through_none,
)


@dataclass(frozen=True, slots=True)
class ReservationFilter:
    """The reservations of one role."""

    role_id: int

    kinds = KINDS
    feed = RESERVATIONS
    region = None
    ids = None

    @property
    def roles(self) -> frozenset[int]:
        return frozenset((self.role_id,))

    def has(self, state: ReservationState, scope: ViewerScope) -> bool:
        return self._is_side(state.role_ids, scope)

    def had(self, id_: str, before: Before, state: ReservationState | None, scope: ViewerScope) -> Had:
        existed = before.former is not None and before.former.existed
        return Had.SURELY if existed and self._is_side(before.role_ids, scope) else Had.NO

    def _is_side(self, role_ids: Sequence[int], scope: ViewerScope) -> bool:
        return scope.role_id == self.role_id and self.role_id in role_ids
