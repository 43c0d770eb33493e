"""The answers to requests for single authorisations, and what uploads of authorisations take."""

import strawberry
from sqlalchemy import select

from app.db.tables import authorisation_answer, session
from schema.field import same_row, to_one
from schema.scalars import ContractId, DateTime
from schema.types.authorisation import Authorisation, Session
from schema.types.authorisation_input import TokenInput
from schema.types.charge_point_input import required
from schema.types.inputs import option
from schema.types.report import Result

_KEPT = authorisation_answer.c

#: The authorisation as it was when the request was answered: a repeated request gets the same answer.
answered_authorisation = (
    select(
        _KEPT.id.label("answer_id"),
        _KEPT.authorisation_id.label("id"),
        _KEPT.operator_role_id,
        *(_KEPT[name] for name in ("token_type", "token_sub_type", "representation", "instance")),
        *(_KEPT[name] for name in ("contract_id", "printed_number", "expires_at", "updated_at")),
    )
    .where(_KEPT.contract_id.is_not(None))
    .subquery(authorisation_answer.name)
)


@strawberry.type(
    description="The answer to a request for a single authorisation, or to the report of a session. Where it is not "
    "granted, `authorisation` and `session` are null and the result says why. A repeated `requestId` is answered alike."
)
class AuthorisationResult:
    result: Result = same_row("What became of it.")
    authorisation: Authorisation | None = to_one(
        answered_authorisation,
        "The authorisation that counts, as it was then; null: none, or its token was removed and deleted since. Of a "
        "token that several of your EVSPs have, the one counts that was uploaded last: it knows best "
        "of a card that changed hands.",
        ("id",),
        ("answer_id",),
        visible_with_parent=True,
        optional=True,
    )
    session: Session | None = to_one(
        session, "The session that began, as it is now; null: none did.", ("session_id",), ("id",), optional=True
    )


@strawberry.input(description="A token and the contract that pays for it. OCHP roamingAuthorisationInfo, OCPI Token.")
class AuthorisationInput:
    token: TokenInput = required("What the driver shows; REMOTE is refused. OCHP emtId.")
    contract_id: ContractId = required("A contract under your own party id. OCHP contractId.")
    printed_number: str | None = option("What is printed on the card, 1 to 150 characters. OCHP printedNumber.")
    expires_at: DateTime = required("First instant at which it does not authorise any more. OCHP expiryDate.")
