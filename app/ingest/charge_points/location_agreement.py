"""The EVSEs of one location agree on its address and position: which items of an upload may go in.

The state after the upload counts. EVSEs whose place the upload does not change decide; where there are none, the most
frequent place in the upload wins. A refused item leaves its EVSE where it was, so one refusal may cause others.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.ids import separated_evse_id
from app.ingest.charge_points.rows import Place


class LocationKey(NamedTuple):
    operator_no: int
    location_id: str


class Placement(NamedTuple):
    """Where an EVSE is: its location, with the address and position that it gives."""

    location: LocationKey
    place: Place


@dataclass(frozen=True, slots=True)
class AgreedPlace:
    """The place that a location's EVSEs must have, and an EVSE that has it: one that stays, or the majority's first."""

    place: Place
    evse_id: str
    by_majority: bool = False


def find_mismatches(
    wanted: Mapping[str, Placement],
    before: Mapping[str, Placement],
    staying: Mapping[LocationKey, AgreedPlace],
) -> dict[str, AgreedPlace]:
    """Return the EVSEs that must be refused, each with the place that contradicts it.

    `wanted`: where the upload puts its EVSEs, in its order. `before`: where those of them that exist are now.
    `staying`: the places of its locations according to EVSEs that are not in the upload.

    Locations with an EVSE that stays are settled first, with every refusal that follows; then the locations without
    such EVSEs, one after the other. The refused set only grows, and a location is settled at most twice, so the work
    is proportional to the upload.
    """
    agreement = _Agreement(wanted, before, staying)
    for location in list(agreement.open):
        if location in agreement.held:
            agreement.settle(location)
    for location in agreement.open:
        if location not in agreement.held:
            agreement.choose(location)
    return agreement.refused


class _Agreement:
    """The state of one decision: locations whose place is decided, items that are still possible, refused items."""

    def __init__(
        self,
        wanted: Mapping[str, Placement],
        before: Mapping[str, Placement],
        staying: Mapping[LocationKey, AgreedPlace],
    ) -> None:
        self.before = before
        self.held = dict(staying)
        self.open: dict[LocationKey, dict[str, Place]] = {}
        self.refused: dict[str, AgreedPlace] = {}
        for evse_id, placement in wanted.items():
            self.open.setdefault(placement.location, {})[evse_id] = placement.place
            if before.get(evse_id) == placement:
                self.held.setdefault(placement.location, AgreedPlace(placement.place, evse_id))

    def settle(self, location: LocationKey) -> None:
        """Refuse the items that contradict a held location, and every item that must be refused as a result."""
        pending = [location]
        while pending:
            each = pending.pop()
            pending += self._refuse_all_but(each, self.held[each])

    def choose(self, location: LocationKey) -> None:
        """Settle a location on its most frequent place, the earlier of two equally frequent ones."""
        places = self.open[location]
        [(place, count)] = Counter(places.values()).most_common(1)
        if count == len(places):
            return
        first = next(evse_id for evse_id, each in places.items() if each == place)
        for held in self._refuse_all_but(location, AgreedPlace(place, first, by_majority=True)):
            self.settle(held)

    def _refuse_all_but(self, location: LocationKey, agreed: AgreedPlace) -> list[LocationKey]:
        """Refuse every other place. Return the open locations that the refused EVSEs, staying where they were, hold."""
        places = self.open[location]
        held: list[LocationKey] = []
        for evse_id in [evse_id for evse_id, place in places.items() if place != agreed.place]:
            del places[evse_id]
            self.refused[evse_id] = agreed
            previous = self.before.get(evse_id)
            if previous is None or previous.location in self.held:
                continue
            self.held[previous.location] = AgreedPlace(previous.place, evse_id)
            if previous.location in self.open:
                held.append(previous.location)
        return held


def describe_mismatch(placement: Placement, agreed: AgreedPlace) -> str:
    """Describe a mismatch in a sentence: the place required, an EVSE that has it, and the place of the item."""
    others = "most EVSEs of this upload put it at" if agreed.by_majority else "it is at"
    return (
        f"location {placement.location.location_id}: {others} {describe_place(agreed.place)}"
        f" ({separated_evse_id(agreed.evse_id)}), this item says {describe_place(placement.place)};"
        " EVSEs of one location agree on address and coordinates, so move all of them in one upload"
    )


def describe_place(place: Place) -> str:
    """Format an address and a position for people."""
    longitude, latitude, house_number, address, city, zip_code, country = place
    street = " ".join(filter(None, (address, house_number)))
    town = " ".join(filter(None, (zip_code, city)))
    return f"{', '.join(filter(None, (street, town, country)))} at {latitude:.6f}, {longitude:.6f}"
