"""The feed of roaming authorisations, which goes by the providers whose tokens a viewer reads.

A round of the stream reads of an authorisation its provider and whether it is in force, nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.live.log.rows import Former, Place
from app.live.stream.feed import Before, Feed, Had
from app.visibility.viewer_scope import Difference, ViewerScope
from app.vocabulary import LogKind


class AuthorisationState(NamedTuple):
    """An authorisation as it is now. `in_force`: it is neither removed nor expired."""

    id: str
    provider_role_id: int
    in_force: bool

    @property
    def places(self) -> Sequence[Place]:
        return ()


_COLUMNS: Final = "select id, provider_role_id, in_force from"


def _concerns(difference: Difference) -> Difference:
    return Difference(providers=difference.providers)


def _providers(difference: Difference) -> Sequence[Sequence[Any]]:
    return (list(difference.providers),)


def _was_seen_through(_: str, former: Former, difference: Difference) -> bool:
    return former.existed and not difference.providers.isdisjoint(former.role_ids)


AUTHORISATIONS: Final = Feed(
    name="authorisation",
    entity_kind=LogKind.AUTHORISATION,
    live_kinds=(),
    kinds=(LogKind.AUTHORISATION,),
    by_ids=f"{_COLUMNS} authorisation_states($1::text[]::uuid[])",
    state_of=AuthorisationState._make,
    concerns=_concerns,
    was_seen_through=_was_seen_through,
    through=f"{_COLUMNS} authorisations_of($1, '', $2)",
    in_order=f"{_COLUMNS} authorisations_of($1, $2, $3)",
    subjects=_providers,
    provider_of=lambda state: state.provider_role_id,
)


@dataclass(frozen=True, slots=True)
class AuthorisationFilter:
    """The authorisations of all providers that the viewer reads."""

    feed = AUTHORISATIONS
    kinds = AUTHORISATIONS.kinds
    region = None
    ids = None
    roles = None

    def has(self, state: AuthorisationState, scope: ViewerScope) -> bool:
        return state.in_force and state.provider_role_id in scope.providers

    def had(
        self, id_: str, before: Before, state: AuthorisationState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        former = before.former
        if former is not None:
            held = former.existed and not scope.providers.isdisjoint(former.role_ids)
        else:
            held = state is not None and self.has(state, scope)
        return Had.SURELY if held else Had.NO
