"""The transitions of a session. `update` adds instants and energy and keeps the state; also after the end."""

from enum import StrEnum
from typing import Final

from app.exchange.workflow import ADMINISTRATOR, Transition, Workflow
from app.vocabulary import SessionStatus

OPERATOR: Final = "its operator"
PROVIDER: Final = "its provider"


class Command(StrEnum):
    BEGIN = "begin"
    UPDATE = "update"
    END = "end"
    EXPIRE = "expire"


#: What `update` may bring, with the SQL types of the columns.
KNOWN: Final = (
    ("connected_at", "timestamptz"),
    ("energy_started_at", "timestamptz"),
    ("energy_ended_at", "timestamptz"),
    ("disconnected_at", "timestamptz"),
    ("energy_kwh", "numeric"),
    ("evse_id", "text"),
)

#: A session that expired was not ended: its operator may still report how it ended.
SESSION_WORKFLOW: Final = Workflow(
    noun="session",
    table="session",
    transitions=(
        Transition(None, Command.BEGIN, SessionStatus.ACTIVE, (OPERATOR,)),
        Transition(SessionStatus.ACTIVE, Command.UPDATE, SessionStatus.ACTIVE, (OPERATOR,)),
        Transition(SessionStatus.ACTIVE, Command.END, SessionStatus.ENDED, (OPERATOR,)),
        Transition(SessionStatus.ACTIVE, Command.EXPIRE, SessionStatus.EXPIRED, (ADMINISTRATOR,)),
        Transition(SessionStatus.EXPIRED, Command.UPDATE, SessionStatus.EXPIRED, (OPERATOR,)),
        Transition(SessionStatus.EXPIRED, Command.END, SessionStatus.ENDED, (OPERATOR,)),
        Transition(SessionStatus.ENDED, Command.UPDATE, SessionStatus.ENDED, (OPERATOR,)),
    ),
    parts=((OPERATOR, "operator_role_id"), (PROVIDER, "provider_role_id")),
    sides=("operator_role_id", "provider_role_id"),
    given=(*KNOWN, ("ended_at", "timestamptz")),
    assignments=f"""
        {", ".join(f"{name} = coalesce(step.{name}, subject.{name})" for name, _ in KNOWN)},
        updated_at = step.at,
        contradictions = case when step.to_state = 'ACTIVE' then subject.contradictions else '{{}}' end,
        ended_by = case step.command when 'end' then step.reason when 'expire' then 'EXPIRED' else subject.ended_by end,
        ended_at = case step.command
            when 'end' then step.ended_at when 'expire' then step.at else subject.ended_at end
    """,
)
