"""The combined status: what an EVSE's own status and the occupancy of its parking spots say together.

The rule, whole. An EVSE that is AVAILABLE by a word in force, that links at least one spot, and all of whose spots are
NOT_AVAILABLE by words in force, is NOT_AVAILABLE/BLOCKED until the first of these words runs out. Every other EVSE
keeps its own status; where its word ran out, or there is none, that is UNKNOWN.

    own word            its spots                               combined
    ------------------  --------------------------------------  ------------------------
    AVAILABLE (any      none linked                             as its own
    minor), in force    each NOT_AVAILABLE, in force            NOT_AVAILABLE / BLOCKED
                        one AVAILABLE, UNKNOWN, ran out, none   as its own
    NOT_AVAILABLE (any  whatever                                as its own
    minor), in force
    UNKNOWN             whatever                                UNKNOWN
    ran out, or none    whatever                                UNKNOWN

A word runs out at `until`: at that instant it is out. The database keeps the answer up to date in
`evse_status.blocked_until` (`refresh_blocked`); this is what that is held against.
Source: OCHP 1.4, live status; the hub's own rule, the protocol has none.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from app.vocabulary import MajorStatus, MinorStatus

#: What may stand beside each major status.
ALLOWED_MINORS: Final[dict[MajorStatus, tuple[MinorStatus | None, ...]]] = {
    MajorStatus.UNKNOWN: (None,),
    MajorStatus.AVAILABLE: (None, MinorStatus.AVAILABLE, MinorStatus.RESERVED),
    MajorStatus.NOT_AVAILABLE: (
        None,
        MinorStatus.CHARGING,
        MinorStatus.BLOCKED,
        MinorStatus.RESERVED,
        MinorStatus.OUT_OF_ORDER,
    ),
}

#: Every pair that can be said.
PAIRS: Final = tuple((major, minor) for major, minors in ALLOWED_MINORS.items() for minor in minors)


class Word(NamedTuple):
    """What somebody said, of an EVSE or of a spot (without `minor`), and when that runs out."""

    major: MajorStatus
    minor: MinorStatus | None
    until: datetime


class Shown(NamedTuple):
    """What a reader sees at an instant, and until when that stands by itself; None: nothing is going to run out."""

    major: MajorStatus
    minor: MinorStatus | None = None
    until: datetime | None = None


NOTHING_KNOWN: Final = Shown(MajorStatus.UNKNOWN)


def own_status(word: Word | None, now: datetime) -> Shown:
    """Give what a reader sees of a word alone; None: nobody said anything."""
    if word is None or word.until <= now or word.major is MajorStatus.UNKNOWN:
        return NOTHING_KNOWN
    return Shown(*word)


def blocked_until(spots: Sequence[Word | None], now: datetime) -> datetime | None:
    """Give the instant until which all spots of an EVSE are taken; None when one is not, or there are none."""
    shown = [own_status(spot, now) for spot in spots]
    if any(each.major is not MajorStatus.NOT_AVAILABLE for each in shown):
        return None
    return min((each.until for each in shown if each.until is not None), default=None)


def combined_status(word: Word | None, spots: Sequence[Word | None], now: datetime) -> Shown:
    """Give what a reader sees of an EVSE together with its spots."""
    own = own_status(word, now)
    blocked = blocked_until(spots, now)
    if own.major is not MajorStatus.AVAILABLE or own.until is None or blocked is None:
        return own
    return Shown(MajorStatus.NOT_AVAILABLE, MinorStatus.BLOCKED, min(own.until, blocked))
