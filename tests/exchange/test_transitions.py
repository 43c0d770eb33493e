"""The mechanism itself, on a table of its own."""

import pytest

from app.errors import Forbidden
from app.exchange.transitions import NotPossible, Table, Transition, move, states_before

TABLE: Table = {
    (None, "hand in"): Transition("ACCEPTED", ("the operator",)),
    ("ACCEPTED", "approve"): Transition("APPROVED", ("the provider",)),
    ("ACCEPTED", "decline"): Transition("DECLINED", ("the provider",)),
    ("DECLINED", "waive"): Transition("REJECTED", ("the operator", "the administrator")),
}


def test_follows_the_table():
    assert move(TABLE, None, "hand in", {"the operator"}) == "ACCEPTED"
    assert move(TABLE, "DECLINED", "waive", {"the administrator"}) == "REJECTED"


@pytest.mark.parametrize(
    ("state", "event", "part", "sentence"),
    [
        (
            "ACCEPTED",
            "waive",
            "the provider",
            "waive is not possible while accepted; possible: approve, decline",
        ),
        ("ACCEPTED", "waive", "the operator", "waive is not possible while accepted; possible: nothing"),
        ("APPROVED", "decline", "the provider", "decline is not possible while approved; possible: nothing"),
        (None, "approve", "the operator", "approve is not possible before there is one; possible: hand in"),
        ("ACCEPTED", "explode", "the provider", "explode is not possible while accepted; possible: approve, decline"),
    ],
)
def test_says_what_is_possible_instead(state, event, part, sentence):
    with pytest.raises(NotPossible) as refused:
        move(TABLE, state, event, {part})
    assert (refused.value.code, refused.value.message) == ("NOT_POSSIBLE", sentence)


def test_says_whose_an_event_is():
    with pytest.raises(Forbidden) as refused:
        move(TABLE, "DECLINED", "waive", {"the provider"}, hint="it is CDR 7")
    assert refused.value.message == ("waive while declined is for the operator or the administrator; possible: nothing")
    assert refused.value.hint == "it is CDR 7"


def test_lists_the_states_before_an_event():
    assert states_before(TABLE, "approve") == ("ACCEPTED",)
    assert states_before(TABLE, "hand in") == ()
