"""Roaming authorisations, requests for single ones, and charging sessions. Pages of them: `schema.private_changes`."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, FromClause, case, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from app.db.tables import authorisation, cdr, session
from app.ids import separated_contract_id, separated_evse_id
from app.read.authorisations import not_removed
from app.read.plan import Arguments, Computed
from app.visibility.rules import ROLE_ID
from schema.field import column, declared, page_leaf, same_row, to_many, to_one
from schema.scalars import ContractId, Cursor, DateTime, Decimal, EvseId, PartyId, show_decimal
from schema.types.common import (
    ChangeAction,
    Contradiction,
    ResultCode,
    SessionEnd,
    SessionWarning,
    TokenRepresentation,
    TokenSubType,
    TokenType,
)

if TYPE_CHECKING:
    from schema.types.cdr import Cdr

#: Authorisations as far as they are shown to anybody: what stands of a removed one only names its token.
#: Its name is that of the table, whose visibility rule it has.
shown_authorisation = select(authorisation).where(not_removed(authorisation)).subquery(authorisation.name)


@strawberry.type(
    description="What a driver shows to be known. It names no owner: two EVSPs may publish the same one. Personal "
    "data. OCHP emtId, OCPI Token uid and type."
)
class Token:
    instance: str = column(
        description="Uid of the card as hexadecimal digits, or its hash; up to 512 characters. Empty once the driver's "
        "data were erased. OCHP instance, OCPI uid."
    )
    type: TokenType = column("token_type", description="What it is. OCHP tokenType, OCPI type.")
    sub_type: TokenSubType | None = column(
        "token_sub_type", description="Kind of card; null: not sent. OCHP tokenSubType."
    )
    representation: TokenRepresentation = column(description="How `instance` is written. OCHP representation.")


@strawberry.type(
    description="A token with which customers of an EVSP may charge, at its expense. OCHP roamingAuthorisationInfo, "
    "OCPI Token."
)
class Authorisation:
    id: strawberry.ID = column(
        shape=str, description="The hub's own id of it, which never changes. Store it by this id."
    )
    token: Token = same_row("What the driver shows. OCHP emtId.")
    contract_id: ContractId = column(
        shape=separated_contract_id, description="The contract that pays. OCHP contractId, OCPI contract_id."
    )
    printed_number: str | None = column(
        description="What is printed on the card, up to 150 characters; null: not sent. OCHP printedNumber, OCPI "
        "visual_number."
    )
    expires_at: DateTime = column(description="First instant at which it does not authorise any more. OCHP expiryDate.")
    updated_at: DateTime = column(description="When the hub last saw a change of it. OCPI last_updated.")


@strawberry.type(description="A token that came or changed, or may not charge any more.")
class AuthorisationChange:
    action: ChangeAction = page_leaf(
        "action",
        "UPSERTED: it may charge, as `authorisation` shows it. REMOVED: not any more: it was removed, it expired, or "
        "the contract with its EVSP ended or rests.",
    )
    id: strawberry.ID = page_leaf("id", "Id of the authorisation. Store authorisations by this id.")
    token: Token = page_leaf(
        "token",
        "The token. Of one that is removed and changed after you could read it, the hash.",
    )
    authorisation: Authorisation | None = page_leaf("authorisation", "As it is now; null: it was removed.")
    at: DateTime = page_leaf("at", "When the hub logged the change.")


@strawberry.type(
    description="Changes of tokens, newest of each. OCHP GetRoamingAuthorisationListUpdates, OCPI GET tokens."
)
class AuthorisationPage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    changes: list[AuthorisationChange] = page_leaf("changes", "What changed; may be empty.")


def contract_or_erased(contract_id: str | None) -> str:
    return "" if contract_id is None else separated_contract_id(contract_id)


def own_contradictions(
    operator_role_id: ColumnElement[Any], found: ColumnElement[Any], _: Arguments
) -> ColumnElement[Any]:
    """Show contradictions to the operator whose statements contradict each other, to no other caller."""
    return case((operator_role_id == ROLE_ID, found), else_=literal([], ARRAY(Text)))


def _of_session(cdrs: FromClause, id_: ColumnElement[Any]) -> ColumnElement[bool]:
    return cdrs.c.session_id == id_


@strawberry.type(
    description="A charging session, from the successful authorisation to the authorised stop or the forced "
    "disconnect. Only its operator and its EVSP see it. OCPI Session; OCHP has no message for it."
)
class Session:
    id: strawberry.ID = column(shape=str, description="Id of the session.")
    operator_id: PartyId = column(description="Its operator. OCPI country_code and party_id.")
    provider_id: PartyId = column(description="The EVSP that pays: the one of its contract.")
    evse_id: EvseId | None = column(
        shape=separated_evse_id, description="Where the car charges; null: not known yet. OCHP evseId, OCPI evse_uid."
    )
    contract_id: ContractId = column(
        shape=contract_or_erased,
        sees_null=True,
        description="The contract that pays; empty once the driver's data were erased. OCHP contractId.",
    )
    token: Token = same_row("What authorised it. OCHP emtId, OCPI cdr_token.")
    authorised_at: DateTime = column(description="When it was authorised: its beginning. OCPI start_date_time.")
    connected_at: DateTime | None = column(
        description="When the plug was connected, maybe before the authorisation; null: not reported."
    )
    energy_started_at: DateTime | None = column(description="When energy began to flow; null: not reported.")
    energy_ended_at: DateTime | None = column(description="When energy last flowed; null: not reported.")
    disconnected_at: DateTime | None = column(description="When the plug was disconnected; null: not reported.")
    ended_at: DateTime | None = column(description="When it ended; null: it is active. OCPI end_date_time.")
    end: SessionEnd | None = column("ended_by", description="How it ended; null: it is active.")
    energy_kwh: Decimal | None = column(
        shape=show_decimal, description="Energy so far, kWh; null: not reported. OCPI kwh."
    )
    warnings: list[SessionWarning] = column(
        description="Why the hub cannot confirm the authorisation; empty: it can. Both parties see it."
    )
    contradictions: list[Contradiction] = declared(
        Computed(("operator_role_id", "contradictions"), own_contradictions),
        "What does not fit this session, for its operator; for its EVSP always empty.",
    )
    cdrs: list[Annotated["Cdr", strawberry.lazy("schema.types.cdr")]] = to_many(
        cdr, "The CDRs that name it, oldest first.", ("id",), _of_session, ("created_at", "id")
    )
    updated_at: DateTime = column(description="When the hub last saw a change of it. OCPI last_updated.")


@strawberry.type(description="Sessions that are new or changed, in their newest state. OCPI GET sessions.")
class SessionPage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    sessions: list[Session] = page_leaf("sessions", "The sessions; may be empty.")


@strawberry.type(
    description="What an operator asked about a token, and the answer. The operator sees its own requests; an EVSP "
    "those about its tokens, by operators that it has a contract with. OCHP RequestSingleRoamingAuthorisation."
)
class AuthorisationRequest:
    id: strawberry.ID = column(shape=str, description="Number of the request.")
    at: DateTime = column(description="When it was asked.")
    operator_id: PartyId = column(description="The operator that asked.")
    evse_id: EvseId | None = column(shape=separated_evse_id, description="The EVSE it named; null: none. OCHP evseId.")
    code: ResultCode = column(
        description="OK: granted; INVALID_ID: expired, or the EVSE is not the operator's; ROAMING: no EVSP with a "
        "contract has the token."
    )
    authorisation: Authorisation | None = to_one(
        shown_authorisation,
        "The authorisation of that token, as it is now; null: there was none, it is removed or deleted, or you cannot "
        "see it.",
        ("authorisation_id",),
        ("id",),
        optional=True,
    )
    session: Session | None = to_one(
        session, "The session that began; null: none did.", ("session_id",), ("id",), optional=True
    )


@strawberry.type(description="Requests for single authorisations, oldest first.")
class AuthorisationRequestPage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    requests: list[AuthorisationRequest] = page_leaf("requests", "The requests; may be empty.")
