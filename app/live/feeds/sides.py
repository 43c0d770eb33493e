"""Feeds of private entities that belong to two roles, which never change.

Subscribers are found and matched by the ids of the two roles alone, which a statement reads with its owner's rights:
one round serves all roles. The content of an entity is read when it is written for one role, under that role's
row-level security.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.live.log.rows import Place
from app.live.stream.feed import Before, Feed, Had, Kind, nothing, seen_through_none
from app.visibility.viewer_scope import ViewerScope
from app.vocabulary import LogKind


class SidesState(NamedTuple):
    """The roles that an entity belongs to."""

    id: str
    role_ids: Sequence[int]

    @property
    def places(self) -> Sequence[Place]:
        return ()


def feed_of_sides(name: str, kind: LogKind, by_ids: str) -> Feed:
    """Return the feed of an entity. `by_ids`: reads the id and the role ids of the entities with the ids $1, texts."""
    return Feed(
        name=name,
        entity_kind=kind,
        live_kinds=(),
        kinds=(kind,),
        by_ids=by_ids,
        state_of=SidesState._make,
        concerns=nothing,
        was_seen_through=seen_through_none,
    )


@dataclass(frozen=True, slots=True)
class SidesFilter:
    """The entities of one role; None: a caller without a role, which has none."""

    feed: Feed
    role_id: int | None

    region = None
    ids = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return self.feed.kinds

    @property
    def roles(self) -> frozenset[int] | None:
        return frozenset() if self.role_id is None else frozenset((self.role_id,))

    def has(self, state: SidesState, scope: ViewerScope) -> bool:
        return self._is_side(state.role_ids, scope)

    def had(
        self, id_: str, before: Before, state: SidesState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        former = before.former
        held = former is not None and former.existed and self._is_side(former.role_ids, scope)
        return Had.SURELY if held else Had.NO

    def _is_side(self, role_ids: Sequence[int], scope: ViewerScope) -> bool:
        return self.role_id is not None and scope.role_id == self.role_id and self.role_id in role_ids
