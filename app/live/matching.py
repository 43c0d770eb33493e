"""From rows of the log to what a subscriber is told: decided in memory, by what is and what the log says was.

What enters an interest is told in a kind that was asked for, what leaves it in all of them, whatever the cause: who
keeps what was told by id, or by kind and id, holds what the lists show.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.live.facts import EvseFacts, Facts, Former, SpotFacts
from app.live.interest import Interest
from app.live.log import LogRow
from app.live.sight import Seen
from app.vocabulary import ChangeAction, ChangeKind, LogKind

STATIC = frozenset({LogKind.EVSE, LogKind.PARKING_SPOT})
SPOTS = frozenset({LogKind.PARKING_SPOT, LogKind.PARKING_STATUS})
NO_KINDS: tuple[ChangeKind, ...] = ()


class Told(NamedTuple):
    """A change as it is told. `facts`: of what is there now, None for what is removed.

    `transaction`: the latest that made it; 0: several, in the course of time.
    """

    kind: ChangeKind
    action: ChangeAction
    id: str
    at: datetime
    facts: EvseFacts | SpotFacts | None
    transaction: int = 0

    @property
    def key(self) -> tuple[ChangeKind, str]:
        return self.kind, self.id

    def removed(self) -> "Told":
        """Give the change that takes it away again."""
        return Told(self.kind, ChangeAction.REMOVED, self.id, self.at, None, self.transaction)


@dataclass(slots=True)
class Touched:
    """What some rows of the log say of one EVSE or spot. `static_at`, `status_at`: of the last row of that kind."""

    id: str
    is_spot: bool
    static_at: datetime | None = None
    status_at: datetime | None = None
    existed: bool = True
    formers: list[Former] = field(default_factory=list[Former])
    was_available: set[bool | None] = field(default_factory=set[bool | None])
    transaction: int = 0
    _told: dict[tuple[ChangeKind, ChangeAction], Told] = field(
        default_factory=dict[tuple[ChangeKind, ChangeAction], Told]
    )

    def add(self, row: LogRow) -> None:
        """Take a row in."""
        self.transaction = row.transaction
        if row.kind not in STATIC:
            self.status_at = row.at
            self.was_available.add(row.was_available)
            return
        self.static_at = row.at
        self.existed = self.existed and row.existed
        if row.existed:
            self.formers.append(Former(row.operator_nos or (), row.longitudes or (), row.latitudes or ()))

    @property
    def at(self) -> datetime:
        """When the last of them was written."""
        at = max(filter(None, (self.static_at, self.status_at)), default=None)
        assert at is not None
        return at

    def tell(self, kind: ChangeKind, action: ChangeAction, facts: EvseFacts | SpotFacts | None) -> Told:
        """Give the change that is told: to all whom it is told the same one."""
        told = self._told.get((kind, action))
        if told is None:
            at = self.told_at(kind) or self.at
            told = self._told[kind, action] = Told(kind, action, self.id, at, facts, self.transaction)
        return told

    def told_at(self, kind: ChangeKind) -> datetime | None:
        """Give when this kind of change happened; None: it did not."""
        return self.static_at if kind in (ChangeKind.EVSE, ChangeKind.PARKING_SPOT) else self.status_at


def segments(rows: Iterable[LogRow]) -> Iterator[list[LogRow] | LogRow]:
    """Part rows where sight changes: rows of entities in lists, each row about sight alone."""
    together: list[LogRow] = []
    for row in rows:
        if row.kind is not LogKind.SIGHT:
            together.append(row)
            continue
        if together:
            yield together
            together = []
        yield row
    if together:
        yield together


def touched_by(rows: Iterable[LogRow]) -> list[Touched]:
    """Gather what rows say of each EVSE and spot."""
    by_id: dict[tuple[bool, str], Touched] = {}
    for row in rows:
        if row.kind in (LogKind.SIGHT, LogKind.TARIFF):
            continue
        is_spot = row.kind in SPOTS
        touched = by_id.get((is_spot, row.entity_id))
        if touched is None:
            touched = by_id[is_spot, row.entity_id] = Touched(row.entity_id, is_spot)
        touched.add(row)
    return list(by_id.values())


def changes_of(touched: Touched, facts: Facts, interest: Interest, seen: Seen, before: Seen) -> Sequence[Told]:
    """Decide what one who sees `seen`, and saw `before` until these rows, is told of an EVSE or spot."""
    if touched.is_spot:
        return _of_spot(touched, facts.spots.get(touched.id), interest, seen, before)
    return _of_evse(touched, facts.evses.get(touched.id), interest, seen, before)


# ---------------------------------------------------------------- EVSEs


def _of_evse(touched: Touched, evse: EvseFacts | None, interest: Interest, seen: Seen, before: Seen) -> Sequence[Told]:
    kinds = interest.evse_kinds
    if not kinds or not interest.may_be(touched.id):
        return ()
    if evse is not None and seen.has_evse_of(evse.operator_no) and interest.wants_evse(evse):
        return _upserted(touched, evse, kinds, _surely_had_evse(touched, interest, before))
    return _removed(touched, kinds) if _maybe_had_evse(touched, evse, interest, before) else ()


def _surely_had_evse(touched: Touched, interest: Interest, before: Seen) -> bool:
    """Say whether an EVSE that is wanted now was so before."""
    if touched.static_at is not None and not (
        touched.existed and not interest.tests and all(_had(former, interest, before) for former in touched.formers)
    ):
        return False
    return not interest.available_now or touched.was_available <= {True}


def _maybe_had_evse(touched: Touched, evse: EvseFacts | None, interest: Interest, before: Seen) -> bool:
    if touched.static_at is not None:
        return any(_had(former, interest, before) for former in touched.formers)
    was_available = not interest.available_now or touched.was_available != {False}
    return was_available and evse is not None and before.has_evse_of(evse.operator_no) and interest.is_about(evse)


def _had(former: Former, interest: Interest, before: Seen) -> bool:
    return any(
        before.has_evse_of(no) and interest.reaches(longitude, latitude)
        for no, longitude, latitude in zip(former.operator_nos, former.longitudes, former.latitudes, strict=True)
    )


# ---------------------------------------------------------------- parking spots


def _of_spot(touched: Touched, spot: SpotFacts | None, interest: Interest, seen: Seen, before: Seen) -> Sequence[Told]:
    kinds = interest.spot_kinds
    if not kinds:
        return ()
    had = [_had_spot(touched.id, former, interest, before) for former in touched.formers]
    if spot is not None and seen.has(spot) and interest.reaches_spot(spot, seen):
        return _upserted(touched, spot, kinds, touched.existed and all(had))
    return _removed(touched, kinds) if any(had) else ()


def _had_spot(parking_id: str, former: Former, interest: Interest, before: Seen) -> bool:
    return before.has_spot_of(former.operator_nos, parking_id[:5]) and interest.reaches_spot(former, before)


# ---------------------------------------------------------------- what is told


def _upserted(
    touched: Touched, facts: EvseFacts | SpotFacts, kinds: tuple[ChangeKind, ...], had: bool
) -> Sequence[Told]:
    return [
        touched.tell(kind, ChangeAction.UPSERTED, facts)
        for kind in kinds
        if touched.told_at(kind) is not None or (not had and kind is kinds[0])
    ]


def _removed(touched: Touched, kinds: tuple[ChangeKind, ...]) -> Sequence[Told]:
    return [touched.tell(kind, ChangeAction.REMOVED, None) for kind in kinds]


# ---------------------------------------------------------------- what came into sight, or went out of it


@dataclass(frozen=True, slots=True)
class Turned:
    """An EVSE or a spot that came into sight or went out of it with its operator, or PSO.

    `formers`: how it may have been seen until then, none if it was not there. `changed`: it is another now, or gone.
    """

    id: str
    facts: EvseFacts | SpotFacts | None
    formers: Sequence[Former]
    is_spot: bool
    changed: bool
    _told: dict[tuple[ChangeKind, ChangeAction], Told] = field(
        default_factory=dict[tuple[ChangeKind, ChangeAction], Told], compare=False
    )

    def tell(self, kind: ChangeKind, action: ChangeAction, at: datetime) -> Told:
        """Give the change that is told: to all whom it is told the same one."""
        told = self._told.get((kind, action))
        if told is None:
            facts = self.facts if action is ChangeAction.UPSERTED else None
            told = self._told[kind, action] = Told(kind, action, self.id, at, facts)
        return told


def turned_changes(turned: Turned, interest: Interest, seen: Seen, before: Seen, at: datetime) -> Sequence[Told]:
    """Decide what one is told of it: that it is there, if it is seen now; that it is gone, if it was seen only then.

    A spot that is seen through others too may be seen elsewhere now, or nowhere. Only who surely saw it all the time is
    not told again that it is there.
    """
    kinds = interest.spot_kinds if turned.is_spot else interest.evse_kinds
    if not kinds or not (turned.is_spot or interest.may_be(turned.id)):
        return ()
    had = [_had_turned(turned, former, interest, before) for former in turned.formers]
    facts = turned.facts
    if facts is not None and seen.has(facts) and _wants(interest, facts, seen):
        as_before = bool(had) and all(had) and _is_placed_alike(facts, seen, before)
        return () if as_before else [turned.tell(kinds[0], ChangeAction.UPSERTED, at)]
    return [turned.tell(kind, ChangeAction.REMOVED, at) for kind in kinds] if any(had) else ()


def _wants(interest: Interest, facts: EvseFacts | SpotFacts, seen: Seen) -> bool:
    return interest.wants_evse(facts) if isinstance(facts, EvseFacts) else interest.reaches_spot(facts, seen)


def _is_placed_alike(facts: EvseFacts | SpotFacts, seen: Seen, before: Seen) -> bool:
    if isinstance(facts, EvseFacts):
        return True
    return all(seen.has_place_of(no) == before.has_place_of(no) for no in facts.operator_nos)


def _had_turned(turned: Turned, former: Former, interest: Interest, before: Seen) -> bool:
    if turned.is_spot:
        return _had_spot(turned.id, former, interest, before)
    if not turned.changed and isinstance(turned.facts, EvseFacts) and not interest.is_about(turned.facts):
        return False
    return _had(former, interest, before)
