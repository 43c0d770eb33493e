"""Who may have to hear of a place: subscribers by cell, so that a change elsewhere never looks at them."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from app.live.interest import Interest
from geo.cells import cell_of, cover

T = TypeVar("T")

#: Looking at many ids costs more than hearing of them all.
MOST_IDS = 1_000


class Index(Generic[T]):
    """Subscribers by what they are interested in. Each has one kind of place: EVSEs by id, cells, or everywhere."""

    def __init__(self) -> None:
        self._everywhere: dict[T, None] = {}
        self._by_evse: dict[int | str, dict[T, None]] = {}
        self._by_cell: dict[int, dict[int | str, dict[T, None]]] = {}

    def add(self, subscriber: T, interest: Interest) -> None:
        """Note where a subscriber is to be found."""
        for keyed, key in self._places(interest):
            keyed.setdefault(key, {})[subscriber] = None
        if _is_everywhere(interest):
            self._everywhere[subscriber] = None

    def remove(self, subscriber: T, interest: Interest) -> None:
        """Forget a subscriber."""
        self._everywhere.pop(subscriber, None)
        for keyed, key in self._places(interest):
            there = keyed.get(key, {})
            there.pop(subscriber, None)
            if not there:
                keyed.pop(key, None)
        self._by_cell = {level: cells for level, cells in self._by_cell.items() if cells}

    def _places(self, interest: Interest) -> Iterable[tuple[dict[int | str, dict[T, None]], int | str]]:
        if _is_by_id(interest):
            return [(self._by_evse, evse_id) for evse_id in interest.evse_ids or ()]
        if interest.region is None:
            return []
        level, cells = cover(interest.region.boxes)
        by_cell = self._by_cell.setdefault(level, {})
        return [(by_cell, cell) for cell in cells]

    def find(self, evse_id: str | None, places: Iterable[tuple[float | None, float | None]]) -> Iterable[T]:
        """Give those who may have to hear of an EVSE (None: of a spot) that is, or was, at these places."""
        found = [self._everywhere] if self._everywhere else []
        if evse_id is not None and evse_id in self._by_evse:
            found.append(self._by_evse[evse_id])
        for longitude, latitude in places:
            if longitude is not None and latitude is not None:
                found += self._at(longitude, latitude)
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


def _is_by_id(interest: Interest) -> bool:
    return interest.evse_ids is not None and len(interest.evse_ids) <= MOST_IDS and not interest.spot_kinds


def _is_everywhere(interest: Interest) -> bool:
    return interest.region is None and not _is_by_id(interest)
