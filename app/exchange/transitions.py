"""Workflows as data: a table says what may follow; one function refuses what the table does not list."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from app.errors import Forbidden, HubError


class NotPossible(HubError):
    """A command does not fit the state of what it is about."""

    code = "NOT_POSSIBLE"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an event leads, and the parts of which somebody must play one to bring it about, in words for sentences."""

    to: str
    by: tuple[str, ...]


#: (state, event) -> transition. State None: there is nothing yet.
Table = Mapping[tuple[str | None, str], Transition]


def move(table: Table, state: str | None, event: str, parts: Set[str], hint: str | None = None) -> str:
    """Give the state that `event` leads to.

    Raises: NotPossible when the table does not list the event for this state; Forbidden when it is for others.
    """
    transition = table.get((state, event))
    if transition is None:
        raise NotPossible(f"{event} is not possible {_while(state)}; {_possible(table, state, parts)}", hint)
    if parts.isdisjoint(transition.by):
        whom = " or ".join(transition.by)
        raise Forbidden(f"{event} {_while(state)} is for {whom}; {_possible(table, state, parts)}", hint)
    return transition.to


def states_before(table: Table, event: str) -> tuple[str, ...]:
    """List the states in which an event is possible for somebody."""
    return tuple(state for state, listed in table if listed == event and state is not None)


def _while(state: str | None) -> str:
    return "before there is one" if state is None else f"while {state.lower()}"


def _possible(table: Table, state: str | None, parts: Set[str]) -> str:
    events = [event for (listed, event), t in table.items() if listed == state and not parts.isdisjoint(t.by)]
    return "possible: " + (", ".join(events) or "nothing")
