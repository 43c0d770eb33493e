"""What a subscriber, or who asks for changes, wants to hear of: places, properties, kinds, and what it may see."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from app.live.facts import EvseFacts, Former, SpotFacts
from app.live.sight import Seen, Viewer
from app.vocabulary import ChangeKind
from geo.regions import Region

#: Says whether a property of an EVSE has the value, or one of the values, that a filter asks for.
Test = Callable[[EvseFacts, Any], bool]

EVSE_KINDS: Final = (ChangeKind.EVSE, ChangeKind.EVSE_STATUS)
SPOT_KINDS: Final = (ChangeKind.PARKING_SPOT, ChangeKind.PARKING_STATUS)


@dataclass(frozen=True, slots=True)
class Interest:
    """What is to be told. `region` None: everywhere. `evse_ids` None: whichever.

    `tests` hold for as long as the EVSE's record does not change, whether it is available changes with its status.
    Tests are about EVSEs; spots are chosen by the region alone.
    """

    viewer: Viewer
    kinds: frozenset[ChangeKind]
    region: Region | None = None
    evse_ids: frozenset[str] | None = None
    tests: tuple[tuple[Test, Any], ...] = ()
    available_now: bool = False
    evse_kinds: tuple[ChangeKind, ...] = ()
    spot_kinds: tuple[ChangeKind, ...] = ()

    @classmethod
    def of(cls, viewer: Viewer, kinds: Collection[ChangeKind], **more: Any) -> "Interest":
        """Make an interest in these kinds."""
        evse_kinds = tuple(kind for kind in EVSE_KINDS if kind in kinds)
        spot_kinds = tuple(kind for kind in SPOT_KINDS if kind in kinds)
        return cls(viewer, frozenset(kinds), evse_kinds=evse_kinds, spot_kinds=spot_kinds, **more)

    def reaches(self, longitude: float | None, latitude: float | None) -> bool:
        """Say whether a place, or one that is not known, is of interest."""
        if self.region is None:
            return True
        return longitude is not None and latitude is not None and self.region.contains(longitude, latitude)

    def may_be(self, evse_id: str) -> bool:
        """Say whether an EVSE is of interest, going by its id."""
        return self.evse_ids is None or evse_id in self.evse_ids

    def is_about(self, evse: EvseFacts) -> bool:
        """Say whether an EVSE is of interest, going by its record."""
        return (
            self.may_be(evse.evse_id)
            and all(test(evse, value) for test, value in self.tests)
            and self.reaches(evse.longitude, evse.latitude)
        )

    def wants_evse(self, evse: EvseFacts) -> bool:
        """Say whether an EVSE, seen, is of interest as it is now."""
        return (evse.available or not self.available_now) and self.is_about(evse)

    def reaches_spot(self, spot: SpotFacts | Former, seen: Seen) -> bool:
        """Return whether one of the places of a spot that the viewer knows is of interest."""
        return self.region is None or any(
            seen.has_place_of(no) and self.reaches(longitude, latitude)
            for no, longitude, latitude in zip(spot.operator_nos, spot.longitudes, spot.latitudes, strict=True)
        )
