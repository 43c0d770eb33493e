"""Whom a caller sees, as sets held in memory: what `app.visibility` says in SQL, for many changes at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.auth import Caller
from app.db.engine import Database
from app.live.facts import PSO_ITSELF, EvseFacts, SpotFacts


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, as far as sight depends on it. `provider_id`: only at EVSEs where its customers can charge."""

    role_id: int | None
    administrator: bool = False
    provider_id: str | None = None

    @classmethod
    def of(cls, caller: Caller | None, provider_id: str | None = None) -> "Viewer":
        if caller is None:
            return cls(None, False, provider_id)
        return cls(caller.role_id, caller.is_administrator, provider_id)


@dataclass(frozen=True, slots=True)
class Seen:
    """The numbers of operators whose EVSEs, and whose spots, a viewer sees, and the PSOs. None: all of them."""

    evses_of: frozenset[int] | None
    spots_of: frozenset[int] | None
    psos: frozenset[str]

    def has_evse_of(self, operator_no: int) -> bool:
        return self.evses_of is None or operator_no in self.evses_of

    def has_spot_of(self, operator_nos: Collection[int], party_id: str) -> bool:
        return self.spots_of is None or party_id in self.psos or not self.spots_of.isdisjoint(operator_nos)

    def has_place_of(self, operator_no: int) -> bool:
        """Return whether a place of a spot that is seen is known: the PSO's own, or that of an operator seen."""
        return operator_no == PSO_ITSELF or self.spots_of is None or operator_no in self.spots_of

    def has(self, facts: EvseFacts | SpotFacts) -> bool:
        """Say whether an EVSE or a spot is seen."""
        if isinstance(facts, EvseFacts):
            return self.has_evse_of(facts.operator_no)
        return self.has_spot_of(facts.operator_nos, facts.party_id)


NOTHING: Final = Seen(frozenset(), frozenset(), frozenset())

SIGHTS: Final = """
select case when not administrator then array(select visible_operators(role_id)) end,
    case when not administrator then array(select visible_parking_operators(role_id)) end,
    case when provider_id is not null then array(select operators_of_provider(role_id, provider_id)) end
from unnest($1::integer[], $2::boolean[], $3::text[]) with ordinality
    as viewer (role_id, administrator, provider_id, place)
order by place
"""


async def fetch_sights(database: Database, viewers: Collection[Viewer]) -> Mapping[Viewer, Seen]:
    """Ask the database what these viewers see now."""
    listed = list(viewers)
    rows = await database.fetch(
        SIGHTS,
        [each.role_id for each in listed],
        [each.administrator for each in listed],
        [each.provider_id for each in listed],
    )
    return {viewer: _seen(*row) for viewer, row in zip(listed, rows, strict=True)}


def _seen(operators: Any, psos: Any, of_provider: Any) -> Seen:
    seen = None if operators is None else frozenset[int](operators)
    narrowed = seen if of_provider is None else _both(seen, frozenset[int](of_provider))
    return Seen(narrowed, seen, frozenset[str](psos or ()))


def _both(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    return one if other is None else other if one is None else one & other


def both(one: Seen, other: Seen) -> Seen:
    """Give what is in both sights."""
    return Seen(_both(one.evses_of, other.evses_of), _both(one.spots_of, other.spots_of), one.psos & other.psos)


def either(one: Seen, other: Seen) -> Seen:
    """Give what is in one of two sights, or in both."""
    evses_of, spots_of = (
        None if a is None or b is None else a | b
        for a, b in ((one.evses_of, other.evses_of), (one.spots_of, other.spots_of))
    )
    return Seen(evses_of, spots_of, one.psos | other.psos)
