"""The transitions of a CDR. Source: OCHP 1.4, charge detail records."""

from enum import StrEnum
from typing import Final

from app.exchange.workflow import Transition, Workflow
from app.vocabulary import CdrStatus

OPERATOR: Final = "its operator"
PROVIDER: Final = "its provider"


class Command(StrEnum):
    """`reject` waives the claim: the reference calls an upload with the status `rejected` so."""

    UPLOAD = "upload"
    REVISE = "revise"
    REJECT = "reject"
    APPROVE = "approve"
    DECLINE = "decline"


#: What counts of a revision, with the SQL types of the columns.
OF_REVISION: Final = (
    ("content_hash", "bytea"),
    ("started_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("currency", "text"),
    ("total", "numeric"),
    ("session_id", "uuid"),
)

_ASSIGNED: Final = (
    f"{name} = case step.command when 'revise' then step.new_{name} else subject.{name} end" for name, _ in OF_REVISION
)

CDR_WORKFLOW: Final = Workflow(
    noun="cdr",
    table="cdr",
    transitions=(
        Transition(None, Command.UPLOAD, CdrStatus.ACCEPTED, (OPERATOR,)),
        Transition(CdrStatus.ACCEPTED, Command.APPROVE, CdrStatus.APPROVED, (PROVIDER,)),
        Transition(CdrStatus.REVISED, Command.APPROVE, CdrStatus.APPROVED, (PROVIDER,)),
        Transition(CdrStatus.ACCEPTED, Command.DECLINE, CdrStatus.DECLINED, (PROVIDER,)),
        Transition(CdrStatus.REVISED, Command.DECLINE, CdrStatus.DECLINED, (PROVIDER,)),
        Transition(CdrStatus.ACCEPTED, Command.REVISE, CdrStatus.REVISED, (OPERATOR,)),
        Transition(CdrStatus.DECLINED, Command.REVISE, CdrStatus.REVISED, (OPERATOR,)),
        Transition(CdrStatus.DECLINED, Command.REJECT, CdrStatus.REJECTED, (OPERATOR,)),
    ),
    parts=((OPERATOR, "operator_role_id"), (PROVIDER, "provider_role_id")),
    sides=("operator_role_id", "provider_role_id"),
    given=tuple((f"new_{name}", type_) for name, type_ in OF_REVISION),
    assignments=f"""
        {", ".join(_ASSIGNED)},
        revision = subject.revision + case step.command when 'revise' then 1 else 0 end,
        decline_reason = case step.command
            when 'decline' then step.reason when 'reject' then subject.decline_reason end,
        updated_at = step.at
    """,
)
