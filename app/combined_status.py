"""The combined status: an EVSE's own status together with the occupancy of its parking spots.

Of a spot the PSO's status counts for the EVSEs of the operators that have a contract with it, as long as it is valid
and not UNKNOWN; else the status that the EVSE's own operator publishes. Other operators' statuses never count.

The whole rule. An EVSE that is AVAILABLE, that links at least one spot, and all of whose spots are NOT_AVAILABLE, each
by a status that has not expired, is NOT_AVAILABLE/BLOCKED until the first of these expires. Every other EVSE keeps its
own status; where that has expired, or there is none, it is UNKNOWN.

    own status          its spots                               combined
    ------------------  --------------------------------------  ------------------------
    AVAILABLE (any      none linked                             as its own
    minor), valid       each NOT_AVAILABLE, valid               NOT_AVAILABLE / BLOCKED
                        one AVAILABLE, UNKNOWN, expired, none   as its own
    NOT_AVAILABLE (any  any                                     as its own
    minor), valid
    UNKNOWN             any                                     UNKNOWN
    expired, or none    any                                     UNKNOWN

A status expires at `until`, that instant included. The database maintains the result in `evse_status.blocked_until`
(`refresh_blocked`); tests compare it with this module.
Source: OCHP 1.4, live status; the hub's own rule, the protocol has none.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from app.vocabulary import MajorStatus, MinorStatus

#: The minor statuses that each major status may have.
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

#: Every possible pair.
PAIRS: Final = tuple((major, minor) for major, minors in ALLOWED_MINORS.items() for minor in minors)


class Word(NamedTuple):
    """A status as it was sent, of an EVSE or of a spot (without `minor`), and when it expires."""

    major: MajorStatus
    minor: MinorStatus | None
    until: datetime


class Shown(NamedTuple):
    """A status as readers see it at an instant, and when it expires by itself; None: it does not."""

    major: MajorStatus
    minor: MinorStatus | None = None
    until: datetime | None = None


NOTHING_KNOWN: Final = Shown(MajorStatus.UNKNOWN)


def own_status(word: Word | None, now: datetime) -> Shown:
    """Return a status as readers see it; `word` None: there is none."""
    if word is None or word.until <= now or word.major is MajorStatus.UNKNOWN:
        return NOTHING_KNOWN
    return Shown(*word)


def spot_word(pso: Word | None, own: Word | None, now: datetime) -> Word | None:
    """Return the status of a spot that counts for an EVSE; `pso`: None too where there is no contract with the PSO."""
    return own if own_status(pso, now) == NOTHING_KNOWN else pso


def blocked_until(spots: Sequence[Word | None], now: datetime) -> datetime | None:
    """Return the instant until which all spots of an EVSE are occupied; None if one is not, or there are none."""
    shown = [own_status(spot, now) for spot in spots]
    if any(each.major is not MajorStatus.NOT_AVAILABLE for each in shown):
        return None
    return min((each.until for each in shown if each.until is not None), default=None)


def combined_status(word: Word | None, spots: Sequence[Word | None], now: datetime) -> Shown:
    """Return the status of an EVSE together with its spots, as readers see it."""
    own = own_status(word, now)
    blocked = blocked_until(spots, now)
    if own.major is not MajorStatus.AVAILABLE or own.until is None or blocked is None:
        return own
    return Shown(MajorStatus.NOT_AVAILABLE, MinorStatus.BLOCKED, min(own.until, blocked))
