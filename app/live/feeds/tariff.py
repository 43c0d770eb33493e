"""The feed of tariffs, which goes by operators. What a tariff is differs from viewer to viewer.

A viewer is sent a tariff when what it is shown of it became another: by the providers that the log names, or because it
is shown a provider's individual tariffs from now on, or not any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from app.auth import Caller
from app.ids import party_of
from app.live.log.rows import Former, Place
from app.live.stream.feed import Before, Feed, Had, Kind
from app.live.stream.matching import Touched
from app.visibility.tariff_audience import is_concerned
from app.visibility.viewer_scope import Difference, ViewerScope
from app.vocabulary import ChangeKind, LogKind, Role


class TariffState(NamedTuple):
    """A tariff as it is now. `recipients`: the providers that have, or had, individual tariffs."""

    id: str
    operator_no: int
    recipients: Sequence[str]

    @property
    def places(self) -> Sequence[Place]:
        return ()


_COLUMNS: Final = "select id, operator_no, recipients from"


def _concerns(difference: Difference) -> Difference:
    return Difference(operators=difference.operators | difference.individual)


def _was_seen_through(_: str, former: Former, difference: Difference) -> bool:
    return any(place.operator_no in difference.operators for place in former.places)


def _operators(difference: Difference) -> Sequence[Sequence[int]]:
    return (list(difference.operators),)


def _changed_for(
    wanted: "TariffFilter", touched: Touched, state: TariffState, scope: ViewerScope, scope_before: ViewerScope
) -> datetime | None:
    audiences = touched.audiences
    if party_of(state.id) == wanted.operator_id:
        return max((at for _, at in audiences), default=None)
    shown = {state.operator_no in each.individual for each in (scope, scope_before)}
    if len(shown) > 1 and wanted.provider_id in state.recipients:
        return touched.at
    meant = [wanted.provider_id if individual else None for individual in shown]
    instants = (at for recipients, at in audiences if any(is_concerned(recipients, each) for each in meant))
    return max(instants, default=None)


TARIFFS: Final = Feed(
    name="tariff",
    entity_kind=LogKind.TARIFF,
    live_kinds=(),
    kinds=(ChangeKind.TARIFF,),
    by_ids=f"{_COLUMNS} tariff_states($1)",
    state_of=TariffState._make,
    concerns=_concerns,
    was_seen_through=_was_seen_through,
    through=f"{_COLUMNS} tariffs_of($1, '', $2)",
    in_order=f"{_COLUMNS} tariffs_of($1, $2, $3)",
    subjects=_operators,
    ids_by_operator=True,
    changed_for=_changed_for,
)


@dataclass(frozen=True, slots=True)
class TariffFilter:
    """All tariffs that a viewer sees.

    `provider_id`: the provider whose individual tariffs it is shown where its scope lets it. `operator_id`: the party
    id under which the tariffs are its own.
    """

    provider_id: str | None = None
    operator_id: str | None = None

    feed = TARIFFS
    kinds: tuple[Kind, ...] = TARIFFS.kinds
    region = None
    ids = None
    roles = None

    @classmethod
    def of(cls, caller: Caller | None, provider_id: str | None) -> "TariffFilter":
        """Return the tariffs of a caller, as meant for a provider that it asks about; None: for itself."""
        if caller is None:
            return cls()
        match caller.role:
            case Role.EVSP:
                return cls(caller.party_id)
            case Role.EVSE_OPERATOR:
                return cls(None, caller.party_id)
            case _:
                return cls(provider_id)

    def has(self, state: TariffState, scope: ViewerScope) -> bool:
        return _sees(state.operator_no, scope)

    def had(
        self, id_: str, before: Before, state: TariffState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        if before.former is not None:
            held = before.former.existed and any(_sees(place.operator_no, scope) for place in before.former.places)
        else:
            held = state is not None and self.has(state, scope)
        return Had.SURELY if held else Had.NO


def _sees(operator_no: int, scope: ViewerScope) -> bool:
    return scope.operators is None or operator_no in scope.operators
