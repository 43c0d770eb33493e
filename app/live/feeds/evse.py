"""The feed of EVSEs and their live status."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.live.log.rows import Former, Place
from app.live.stream.feed import Before, Feed, Had, Kind
from app.visibility.viewer_scope import Difference, ViewerScope
from app.vocabulary import ChangeKind, LogKind
from geo.regions import Region


class EvseState(NamedTuple):
    """An EVSE as it is now. `available`: its combined status is. The other names are those of its columns."""

    evse_id: str
    operator_no: int
    party_id: str
    location_id: str
    longitude: float
    latitude: float
    connector_mask: int
    charge_point_type: str
    maximum_power_kw: float | None
    auth_methods: int
    location_type: str
    restrictions: int
    available: bool

    @property
    def id(self) -> str:
        return self.evse_id

    @property
    def places(self) -> Sequence[Place]:
        return (Place(self.operator_no, self.longitude, self.latitude),)


#: Whether a property of an EVSE has the value, or one of the values, that a filter asks for.
Test = Callable[[EvseState, Any], bool]

_EVSE: Final = """
select evse.evse_id, operator_no, party_id, location_id, longitude, latitude, connector_mask, charge_point_type,
    maximum_power_kw, auth_methods, location_type, restrictions,
    major = 'AVAILABLE' and expires_at > now() and coalesce(blocked_until <= now(), true)
from evse join operator on operator.no = operator_no
join evse_status on evse_status.evse_id = evse.evse_id
"""

_OF_OPERATORS: Final = "operator_no = any($1) and cardinality($2::text[]) >= 0"

#: Ids begin with the party id of their operator, so those of one stand together in the index: operators are read one
#: after the other, no further than the page reaches.
_IN_ORDER: Final = f"""
{_EVSE} where evse.evse_id in (
    select behind.evse_id from operator cross join lateral (
        select evse_id from evse
        where evse_id > greatest($3, party_id) and evse_id < party_id || '~' order by evse_id limit $4
    ) as behind
    where no = any($1) and cardinality($2::text[]) >= 0 and party_id || '~' > $3
    order by party_id, behind.evse_id limit $4
) order by evse.evse_id
"""

_IN_BOXES: Final = f"""
{_EVSE} where evse.evse_id in (
    select evse_id from unnest($4::float8[], $5::float8[], $6::float8[], $7::float8[]) as box (west, south, east, north)
    join evse on geog::geometry && st_makeenvelope(west, south, east, north, 4326)
    where evse_id > $3 and {_OF_OPERATORS}
    limit $8
) order by evse.evse_id limit $8
"""


def _concerns(difference: Difference) -> Difference:
    return Difference(evses_of=difference.evses_of, operators=difference.evses_of)


def _was_seen_through(_: str, former: Former, difference: Difference) -> bool:
    return any(place.operator_no in difference.evses_of for place in former.places)


EVSES: Final = Feed(
    name="evse",
    entity_kind=LogKind.EVSE,
    live_kinds=(LogKind.EVSE_STATUS,),
    kinds=(ChangeKind.EVSE, ChangeKind.EVSE_STATUS),
    by_ids=f"{_EVSE} where evse.evse_id = any($1)",
    state_of=EvseState._make,
    concerns=_concerns,
    was_seen_through=_was_seen_through,
    through=f"{_EVSE} where {_OF_OPERATORS} limit $3",
    in_boxes=_IN_BOXES,
    in_order=_IN_ORDER,
    ids_by_operator=True,
)


WAS_NOT: Final = frozenset[bool | None]({False})
WAS: Final = frozenset[bool | None]({True})


@dataclass(frozen=True, slots=True)
class EvseFilter:
    """EVSEs in a region (None: anywhere), among ids (None: any), with properties.

    `tests` hold for as long as the record does not change; whether an EVSE is available changes with its status.
    """

    kinds: tuple[Kind, ...]
    region: Region | None = None
    evse_ids: frozenset[str] | None = None
    tests: tuple[tuple[Test, Any], ...] = ()
    available_now: bool = False

    feed = EVSES
    roles = None

    @property
    def ids(self) -> frozenset[str] | None:
        return self.evse_ids

    def has(self, state: EvseState, scope: ViewerScope) -> bool:
        return (
            scope.sees_evse_of(state.operator_no)
            and (state.available or not self.available_now)
            and self._is_about(state)
        )

    def had(
        self, id_: str, before: Before, state: EvseState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        if self.evse_ids is not None and id_ not in self.evse_ids:
            return Had.NO
        if before.former is None:
            return self._had_unchanged(before, state, scope, has)
        if not any(self._reaches(place, scope) for place in before.former.places):
            return Had.NO
        if self.available_now and before.was_available == WAS_NOT:
            return Had.NO
        is_sure = not self.tests and not self.available_now
        return Had.SURELY if is_sure else Had.MAYBE

    def _had_unchanged(self, before: Before, state: EvseState | None, scope: ViewerScope, has: bool | None) -> Had:
        if state is None or not (has or (scope.sees_evse_of(state.operator_no) and self._is_about(state))):
            return Had.NO
        if not self.available_now:
            return Had.SURELY
        if before.was_available == WAS_NOT:
            return Had.NO
        return Had.SURELY if before.was_available <= WAS and state.available else Had.MAYBE

    def _reaches(self, place: Place, scope: ViewerScope) -> bool:
        is_there = self.region is None or self.region.contains(place.longitude, place.latitude)
        return is_there and scope.sees_evse_of(place.operator_no)

    def _is_about(self, state: EvseState) -> bool:
        return (
            (self.evse_ids is None or state.evse_id in self.evse_ids)
            and all(test(state, value) for test, value in self.tests)
            and (self.region is None or self.region.contains(state.longitude, state.latitude))
        )
