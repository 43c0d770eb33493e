"""The feed of parking spots and their occupancy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.live.log.rows import Former, Place
from app.live.stream.feed import Before, Feed, Had, Kind
from app.visibility.viewer_scope import Difference, ViewerScope
from app.vocabulary import ChangeKind, LogKind
from geo.regions import Region

PARTY_ID_CHARACTERS: Final = 5
#: The PSO among the operators of places and statements.
PSO: Final = 0


class SpotState(NamedTuple):
    """A parking spot as it is now.

    `places`: of the EVSEs that link it, then its own if its PSO publishes it, through each operator that has a contract
    with the PSO, `contracted_nos`, and as operator 0.
    """

    parking_id: str
    places: tuple[Place, ...]
    contracted_nos: tuple[int, ...]

    @property
    def id(self) -> str:
        return self.parking_id


_SPOT: Final = """
select parking_id, operator_nos, link_longitudes, link_latitudes, longitude, latitude, contracted_nos from parking_spot
"""
_SEEN_THROUGH: Final = "(operator_nos && $1::int[] or party_id = any($2::text[]))"

_IN_BOXES: Final = f"""
{_SPOT} where parking_id in (
    select parking_id from unnest($4::float8[], $5::float8[], $6::float8[], $7::float8[])
        as box (west, south, east, north)
    join parking_place on geog::geometry && st_makeenvelope(west, south, east, north, 4326)
    where parking_id > $3 limit 4 * $8
) and {_SEEN_THROUGH} order by parking_id limit $8
"""


def _state(row: Any) -> SpotState:
    parking_id, operator_nos, longitudes, latitudes, longitude, latitude, contracted_nos = row
    places = tuple(map(Place, operator_nos, longitudes, latitudes))
    if longitude is not None:
        places += tuple(Place(no, longitude, latitude) for no in (*contracted_nos, PSO))
    return SpotState(parking_id, places, tuple(contracted_nos))


def _sees_pso(parking_id: str, scope: ViewerScope) -> bool:
    return scope.operators is None or parking_id[:PARTY_ID_CHARACTERS] in scope.psos


def _statements(parking_id: str, places: Iterable[Place], state: SpotState, scope: ViewerScope) -> frozenset[int]:
    """Return the operators whose links a viewer sees, and 0 where it reads what the PSO publishes."""
    operators = {place.operator_no for place in places if scope.sees_through(place.operator_no)}
    if _sees_pso(parking_id, scope) or any(scope.sees_through(no) for no in state.contracted_nos):
        operators.add(PSO)
    return frozenset(operators)


def _concerns(difference: Difference) -> Difference:
    return Difference(operators=difference.operators, psos=difference.psos)


def _was_seen_through(parking_id: str, former: Former, difference: Difference) -> bool:
    return parking_id[:PARTY_ID_CHARACTERS] in difference.psos or any(
        place.operator_no in difference.operators for place in former.places
    )


SPOTS: Final = Feed(
    name="parking spot",
    entity_kind=LogKind.PARKING_SPOT,
    live_kinds=(LogKind.PARKING_STATUS,),
    kinds=(ChangeKind.PARKING_SPOT, ChangeKind.PARKING_STATUS),
    by_ids=f"{_SPOT} where parking_id = any($1)",
    state_of=_state,
    concerns=_concerns,
    was_seen_through=_was_seen_through,
    through=f"{_SPOT} where {_SEEN_THROUGH} limit $3",
    in_boxes=_IN_BOXES,
    statements=_statements,
    in_order=f"{_SPOT} where {_SEEN_THROUGH} and parking_id > $3 order by parking_id limit $4",
)


@dataclass(frozen=True, slots=True)
class SpotFilter:
    """Parking spots in a region; None: anywhere."""

    kinds: tuple[Kind, ...]
    region: Region | None = None

    feed = SPOTS
    ids = None
    roles = None

    def has(self, state: SpotState, scope: ViewerScope) -> bool:
        return self._is_seen(state.parking_id, state.places, scope) and self._reaches(
            state.parking_id, state.places, scope
        )

    def had(
        self, id_: str, before: Before, state: SpotState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        if before.former is not None:
            is_there, places = before.former.existed, before.former.places
        else:
            is_there, places = state is not None, () if state is None else state.places
        held = is_there and self._is_seen(id_, places, scope) and self._reaches(id_, places, scope)
        return Had.SURELY if held else Had.NO

    def _is_seen(self, parking_id: str, places: Iterable[Place], scope: ViewerScope) -> bool:
        return _sees_pso(parking_id, scope) or any(scope.sees_through(place.operator_no) for place in places)

    def _reaches(self, parking_id: str, places: Iterable[Place], scope: ViewerScope) -> bool:
        region = self.region
        return region is None or any(
            (scope.sees_through(place.operator_no) or (place.operator_no == PSO and _sees_pso(parking_id, scope)))
            and region.contains(place.longitude, place.latitude)
            for place in places
        )
