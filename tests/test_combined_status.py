"""The rule of the combined status, whole."""

from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement

import pytest

from app.combined_status import NOTHING_KNOWN, PAIRS, Shown, Word, combined_status, own_status, spot_word
from app.vocabulary import MajorStatus, MinorStatus

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOON, LATER, PAST = NOW + timedelta(minutes=1), NOW + timedelta(hours=1), NOW - timedelta(seconds=1)
AVAILABLE, TAKEN, UNKNOWN = MajorStatus.AVAILABLE, MajorStatus.NOT_AVAILABLE, MajorStatus.UNKNOWN

OWN = {
    "nothing": None,
    **{f"{major} {minor}": Word(major, minor, SOON) for major, minor in PAIRS},
    **{f"{major} {minor} ran out": Word(major, minor, PAST) for major, minor in PAIRS},
    **{f"{major} {minor} runs out now": Word(major, minor, NOW) for major, minor in PAIRS},
}
SPOTS = {
    "none": None,
    "free": Word(AVAILABLE, None, LATER),
    "taken": Word(TAKEN, None, LATER),
    "unknown": Word(UNKNOWN, None, LATER),
    "was free": Word(AVAILABLE, None, PAST),
    "was taken": Word(TAKEN, None, NOW),
}
LINKED = [links for size in range(4) for links in combinations_with_replacement(SPOTS, size)]


def expected(own: str, links: tuple[str, ...]) -> tuple[MajorStatus, MinorStatus | None]:
    """Write the table down once more, by names."""
    word = OWN[own]
    if word is None or "out" in own:
        return UNKNOWN, None
    if own.startswith("AVAILABLE") and links and set(links) == {"taken"}:
        return TAKEN, MinorStatus.BLOCKED
    return word.major, word.minor


@pytest.mark.parametrize("own", OWN)
def test_follows_from_its_own_status_and_all_of_its_spots(own: str):
    for links in LINKED:
        shown = combined_status(OWN[own], [SPOTS[each] for each in links], NOW)
        assert (shown.major, shown.minor) == expected(own, links), links


def test_has_the_pairs_of_the_reference():
    assert {f"{major} {minor}" for major, minor in PAIRS} == {
        "UNKNOWN None",
        "AVAILABLE None",
        "AVAILABLE AVAILABLE",
        "AVAILABLE RESERVED",
        "NOT_AVAILABLE None",
        "NOT_AVAILABLE CHARGING",
        "NOT_AVAILABLE BLOCKED",
        "NOT_AVAILABLE RESERVED",
        "NOT_AVAILABLE OUT_OF_ORDER",
    }


def test_stands_until_the_first_word_involved_runs_out():
    taken = [Word(TAKEN, None, LATER), Word(TAKEN, None, SOON)]
    assert combined_status(Word(AVAILABLE, None, LATER), taken, NOW).until == SOON
    assert combined_status(Word(AVAILABLE, None, SOON), taken[:1], NOW).until == SOON
    assert combined_status(Word(AVAILABLE, None, SOON), [None], NOW) == Shown(AVAILABLE, None, SOON)


def test_is_unknown_from_the_instant_of_the_ttl():
    word = Word(AVAILABLE, None, NOW)
    assert own_status(word, NOW - timedelta(microseconds=1)).major is AVAILABLE
    assert own_status(word, NOW) == NOTHING_KNOWN


@pytest.mark.parametrize("pso", SPOTS)
@pytest.mark.parametrize("own", SPOTS)
def test_takes_of_a_spot_the_word_of_the_pso_where_it_says_something_else_the_operator(pso: str, own: str):
    expected = SPOTS[pso] if pso in ("free", "taken") else SPOTS[own]
    assert spot_word(SPOTS[pso], SPOTS[own], NOW) == expected
