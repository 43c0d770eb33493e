"""The mutations of authorisation: tokens of providers, requests of operators, and their sessions."""

from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.auth import Caller
from app.db.tables import authorisation_answer
from app.errors import Forbidden
from app.exchange.actor import acting, id_of
from app.exchange.authorisation.lists import set_authorisations
from app.exchange.authorisation.requests import request_authorisation, start_session
from app.exchange.authorisation.updates import read_authorisations, remove_authorisations, update_authorisations
from app.exchange.sessions.commands import Known, end_session, update_session
from app.read.search import ById, Request
from app.records.token import Token
from app.uploads.items import Owner
from app.vocabulary import Role
from schema.private_entities import ONE_SESSION
from schema.publishing import Confirm, ThePart, own, part_of, published
from schema.root_fields import Info, answer_request
from schema.scalars import ContractId, DateTime, Decimal, EvseId, PartyId
from schema.types.authorisation import Session
from schema.types.authorisation_input import TokenInput
from schema.types.authorisation_result import AuthorisationInput, AuthorisationResult
from schema.types.common import SessionEnd
from schema.types.report import UploadReport
from schema.uploads import uploaded

ONE_ANSWER = ById(authorisation_answer, ("id",))

Authorisations = Annotated[
    list[AuthorisationInput], strawberry.argument(description="Authorisations, each checked on its own.")
]
TheToken = Annotated[TokenInput, strawberry.argument(description="What the driver showed.")]
RequestId = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="Your own name of this request, 1 to 255 characters: sent again it is answered as before, and "
        "begins no second session. With other content it is refused (REQUEST_ID_REUSED). Known for 90 days."
    ),
]
SessionId = Annotated[strawberry.ID, strawberry.argument(description="Id of a session of yours.")]


@strawberry.type
class Charging:
    # ---------------------------------------------------------------- EVSPs

    @strawberry.mutation(
        description="Replaces an EVSP's whole list; large lists come in parts, activated by the last. An empty list is "
        "refused; one that deletes more than half of the present records needs confirmRemovals; a refused item keeps "
        "its previous record. Refusals name no token: see their `index`. OCHP SetRoamingAuthorisationList."
    )
    async def set_roaming_authorisation_list(
        self,
        info: Info,
        provider_id: Annotated[PartyId, strawberry.argument(description="Your own party id.")],
        authorisations: Authorisations,
        part: ThePart = None,
        confirm_removals: Confirm = False,
    ) -> UploadReport:
        owner = own(_provider(info), provider_id)
        read = await read_authorisations(uploaded(info, "authorisations"), owner)
        return await published(info, set_authorisations, read, owner, part_of(part), confirm_removals)

    @strawberry.mutation(
        description="Adds or changes authorisations of your own; the others stay. A plain token replaces an entry with "
        "its hash, and the other way round. OCHP UpdateRoamingAuthorisationList."
    )
    async def update_roaming_authorisation_list(self, info: Info, authorisations: Authorisations) -> UploadReport:
        owner = _provider(info)
        read = await read_authorisations(uploaded(info, "authorisations"), owner)
        return await published(info, update_authorisations, read, owner)

    @strawberry.mutation(
        description="Removes authorisations of your own. Operators receive the change at once; contract and printed "
        "number are deleted at once, the token itself after 30 days, if not set otherwise."
    )
    async def remove_roaming_authorisations(
        self,
        info: Info,
        tokens: Annotated[
            list[TokenInput], strawberry.argument(description="Their tokens, in any representation they answer to.")
        ],
    ) -> UploadReport:
        return await published(info, remove_authorisations, uploaded(info, "tokens"), _provider(info))

    # ---------------------------------------------------------------- operators

    @strawberry.mutation(
        description="Asks whether a token may charge now, by the hub's own list. Granted, it begins a session. The "
        "answer is made from the EVSPs that you have a contract with. OCHP RequestSingleRoamingAuthorisation."
    )
    async def request_single_roaming_authorisation(
        self,
        info: Info,
        token: TheToken,
        evse_id: Annotated[
            EvseId | None, strawberry.argument(description="Where; absent: not known yet, name it with updateSession.")
        ] = None,
        request_id: RequestId = None,
    ) -> AuthorisationResult:
        context, caller = info.context, _operator(info)
        answer_id = await request_authorisation(
            context.database, caller, _token(token), evse_id, request_id, context.now
        )
        return await answer_request(info, Request(ONE_ANSWER, {"id": answer_id}))

    @strawberry.mutation(
        description="Reports a session that you authorised from your own copy of the list. It is stored even where the "
        "hub cannot confirm that it was authorised: then with `warnings`, which its EVSP sees too. Without a contract, "
        "present or past, with the EVSP it is not stored (ROAMING)."
    )
    async def start_session(
        self,
        info: Info,
        token: TheToken,
        contract_id: Annotated[ContractId, strawberry.argument(description="The contract that pays.")],
        evse_id: Annotated[EvseId, strawberry.argument(description="One of your EVSEs.")],
        at: Annotated[
            DateTime,
            strawberry.argument(description="When you did; from 2000 on, at most five minutes ahead."),
        ],
        request_id: RequestId = None,
    ) -> AuthorisationResult:
        context, caller = info.context, _operator(info)
        answer_id = await start_session(
            *(context.database, caller, _token(token), contract_id, evse_id, at), request_id, context.now
        )
        return await answer_request(info, Request(ONE_ANSWER, {"id": answer_id}))

    @strawberry.mutation(
        description="Adds what became known of a session, in any order of arrival, or corrects it; also after its end. "
        "Possible is connectedAt <= energyStartedAt <= energyEndedAt <= disconnectedAt; connectedAt may lie before "
        "authorisedAt. What is absent stays. Instants are from 2000 on and at most five minutes ahead."
    )
    async def update_session(
        self,
        info: Info,
        session_id: SessionId,
        connected_at: Annotated[
            DateTime | None, strawberry.argument(description="When the plug was connected.")
        ] = None,
        energy_started_at: Annotated[
            DateTime | None, strawberry.argument(description="When energy began to flow.")
        ] = None,
        energy_ended_at: Annotated[DateTime | None, strawberry.argument(description="When energy last flowed.")] = None,
        disconnected_at: Annotated[
            DateTime | None, strawberry.argument(description="When the plug was disconnected.")
        ] = None,
        energy_kwh: Annotated[
            Decimal | None, strawberry.argument(description="Energy so far, kWh; 0 to 1,000,000, at most 6 decimals.")
        ] = None,
        evse_id: Annotated[
            EvseId | None, strawberry.argument(description="Where, if it was not named yet; one of your EVSEs.")
        ] = None,
    ) -> Session:
        context, caller = info.context, _operator(info)
        known = Known(connected_at, energy_started_at, energy_ended_at, disconnected_at, energy_kwh, evse_id)
        id_ = await update_session(context.database, caller, id_of("session", session_id), known, context.now)
        return await _session(info, id_)

    @strawberry.mutation(
        description="Ends a session. The same end again changes nothing; another one is refused (NOT_POSSIBLE), unless "
        "the session is EXPIRED: then it may still be ended as it ended in truth."
    )
    async def end_session(
        self,
        info: Info,
        session_id: SessionId,
        end: Annotated[
            SessionEnd, strawberry.argument(description="AUTHORISED_STOP or FORCED_DISCONNECT; EXPIRED is the hub's.")
        ],
        at: Annotated[
            DateTime | None, strawberry.argument(description="When, not before the authorisation; absent: now.")
        ] = None,
    ) -> Session:
        context, caller = info.context, _operator(info)
        id_ = await end_session(context.database, caller, id_of("session", session_id), end, at, context.now)
        return await _session(info, id_)


async def _session(info: Info, id_: UUID) -> Any:
    return await answer_request(info, Request(ONE_SESSION, {"id": id_}))


def _provider(info: Info) -> Owner:
    """Return the acting EVSP. Raises: Unauthenticated, Forbidden."""
    caller = acting(info.context.caller)
    if caller.role is not Role.EVSP or caller.party_id is None:
        raise Forbidden(f"tokens are published by EVSPs; this key acts as {caller.role}")
    return Owner(caller.partner_id, caller.role_id, caller.party_id)


def _operator(info: Info) -> Caller:
    """Return the acting operator. Raises: Unauthenticated, Forbidden."""
    caller = acting(info.context.caller)
    if caller.role is not Role.EVSE_OPERATOR:
        raise Forbidden(f"sessions are authorised and reported by EVSE operators; this key acts as {caller.role}")
    return caller


def _token(sent: TokenInput) -> Token:
    return Token(
        instance=sent.instance, type=sent.type, sub_type=sent.sub_type or None, representation=sent.representation
    )
