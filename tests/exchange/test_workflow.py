"""The mechanism itself, on a table of its own."""

import pytest

from app.errors import Forbidden
from app.exchange.workflow import NotPossible, Transition, next_state, states_before

TRANSITIONS = (
    Transition(None, "hand in", "ACCEPTED", ("the operator",)),
    Transition("ACCEPTED", "approve", "APPROVED", ("the provider",)),
    Transition("ACCEPTED", "decline", "DECLINED", ("the provider",)),
    Transition("DECLINED", "waive", "REJECTED", ("the operator", "the administrator")),
)


def test_follows_the_table():
    assert next_state(TRANSITIONS, None, "hand in", {"the operator"}) == "ACCEPTED"
    assert next_state(TRANSITIONS, "DECLINED", "waive", {"the administrator"}) == "REJECTED"


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
        next_state(TRANSITIONS, state, event, {part})
    assert (refused.value.code, refused.value.message) == ("NOT_POSSIBLE", sentence)


def test_says_whose_an_event_is():
    with pytest.raises(Forbidden) as refused:
        next_state(TRANSITIONS, "DECLINED", "waive", {"the provider"})
    assert refused.value.message == ("waive while declined is for the operator or the administrator; possible: nothing")


def test_lists_the_states_before_an_event():
    assert states_before(TRANSITIONS, "approve") == ("ACCEPTED",)
    assert states_before(TRANSITIONS, "hand in") == ()
