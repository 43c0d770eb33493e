"""Which subscribers a change may concern: by cell, id or role, so that a change elsewhere never looks at them."""

from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from app.live.log.rows import Place
from app.live.stream.feed import FeedFilter
from geo.cells import cell_of, cover

T = TypeVar("T")
Key = int | str

#: A subscriber that asks for more ids is looked at for every change: entering it under each would cost more.
MOST_IDS = 1_000


class Index(Generic[T]):
    """Subscribers of one feed by what they ask: ids, roles, cells of an area, or everything."""

    def __init__(self) -> None:
        self._everywhere: dict[T, None] = {}
        self._by_id: dict[Key, dict[T, None]] = {}
        self._by_role: dict[Key, dict[T, None]] = {}
        self._by_cell: dict[int, dict[Key, dict[T, None]]] = {}

    def add(self, subscriber: T, wanted: FeedFilter) -> None:
        """Enter a subscriber."""
        for keyed, key in self._entries(wanted):
            keyed.setdefault(key, {})[subscriber] = None
        if _is_everywhere(wanted):
            self._everywhere[subscriber] = None

    def remove(self, subscriber: T, wanted: FeedFilter) -> None:
        """Remove a subscriber."""
        self._everywhere.pop(subscriber, None)
        for keyed, key in self._entries(wanted):
            there = keyed.get(key, {})
            there.pop(subscriber, None)
            if not there:
                keyed.pop(key, None)
        self._by_cell = {level: cells for level, cells in self._by_cell.items() if cells}

    def _entries(self, wanted: FeedFilter) -> Iterable[tuple[dict[Key, dict[T, None]], Key]]:
        if _is_by_id(wanted):
            return [(self._by_id, id_) for id_ in wanted.ids or ()]
        if wanted.roles is not None:
            return [(self._by_role, role_id) for role_id in wanted.roles]
        if wanted.region is None:
            return []
        level, cells = cover(wanted.region.boxes)
        by_cell = self._by_cell.setdefault(level, {})
        return [(by_cell, cell) for cell in cells]

    def find(self, id_: str, places: Iterable[Place], roles: Iterable[int]) -> Collection[T]:
        """Return the subscribers that an entity may concern that is, or was, at these places, and of these roles."""
        found = [self._everywhere] if self._everywhere else []
        if id_ in self._by_id:
            found.append(self._by_id[id_])
        found += [self._by_role[role_id] for role_id in roles if role_id in self._by_role]
        for place in places:
            found += self._at(place.longitude, place.latitude)
        if len(found) < 2:
            return tuple(found[0]) if found else ()
        united: dict[T, None] = {}
        for each in found:
            united |= each
        return united

    def _at(self, longitude: float, latitude: float) -> Iterable[dict[T, None]]:
        for level, cells in self._by_cell.items():
            there = cells.get(cell_of(level, longitude, latitude))
            if there is not None:
                yield there


def _is_by_id(wanted: FeedFilter) -> bool:
    return wanted.ids is not None and len(wanted.ids) <= MOST_IDS


def _is_everywhere(wanted: FeedFilter) -> bool:
    return wanted.region is None and wanted.roles is None and not _is_by_id(wanted)
