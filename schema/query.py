"""The query root. Each field says what its arguments search for; `schema.root_fields` does the rest."""

from typing import Annotated

import strawberry

from schema import private_entities as private
from schema import search_arguments as requests
from schema.cdrs import answer_reconciliation
from schema.changes import answer_changes
from schema.price_arguments import ListOrder
from schema.private_changes import answer_private
from schema.root_fields import Info, answer, root
from schema.scalars import CdrId, ContractId, Cursor, DateTime, Decimal, EvseId, ParkingId, PartyId, TariffId
from schema.types.authorisation import (
    AuthorisationPage,
    AuthorisationRequest,
    AuthorisationRequestPage,
    Session,
    SessionPage,
)
from schema.types.authorisation_input import TokenInput
from schema.types.cdr import Cdr, CdrPage, ReconciliationRow
from schema.types.change import ChangePage
from schema.types.charge_point import (
    Evse,
    EvseConnection,
    Location,
    LocationConnection,
    ParkingSpot,
    ParkingSpotConnection,
)
from schema.types.common import After, CdrStatus, ChangeKind, Connection, ContractStatus, First
from schema.types.inputs import AreaInput, EvseFilter, PriceInput
from schema.types.partner import AuditEntry, Caller, Contract, KeptRefusal, Partner
from schema.types.tariff import Tariff, TariffPage

Within = Annotated[AreaInput | None, strawberry.argument(description="Where to look; absent: everywhere.")]
Matching = Annotated[EvseFilter | None, strawberry.argument(name="filter", description="What an EVSE must have.")]
Price = Annotated[
    PriceInput | None,
    strawberry.argument(
        description="Price this session at what is found, within an area. At most 500 are priced: around a point or "
        "along a route the first 500, elsewhere more are refused with TOO_MANY_TO_PRICE."
    ),
]
MaxPrice = Annotated[
    Decimal | None,
    strawberry.argument(description="Only where `price` is known, and no more than this, in its currency."),
]
OrderBy = Annotated[ListOrder, strawberry.argument(description="The order of the list.")]

Kinds = Annotated[
    list[ChangeKind] | None,
    strawberry.argument(
        description="Kinds of changes; absent: all, with an area all but TARIFF, with a filter those of EVSEs. The "
        "filter selects EVSEs; parking spots are selected by the area alone, tariffs by neither: all that you see."
    ),
]

OnFrom = Annotated[
    Cursor | None,
    strawberry.argument(
        description="Everything after this position: the next page of the list, then changes. CURSOR_EXPIRED: too old."
    ),
]
Since = Annotated[
    DateTime | None,
    strawberry.argument(description="Changes after this instant, and maybe a little before. Not with cursor."),
]
OfProvider = Annotated[
    PartyId | None,
    strawberry.argument(
        description="For an NSP: as meant for this EVSP. Without a contract with it the answer is the one without this "
        "argument. Other roles have no use for it."
    ),
]
PerPage = Annotated[int, strawberry.argument(description="Items per page, about; 1 to 1000.")]
Counterparty = Annotated[
    PartyId | None,
    strawberry.argument(description="With this party on the other side; for the administrator on either side."),
]
StartedFrom = Annotated[
    DateTime | None, strawberry.argument(name="from", description="Of sessions that started at or after this instant.")
]
StartedBefore = Annotated[
    DateTime | None, strawberry.argument(description="Of sessions that started before this instant.")
]


@strawberry.type(
    description="Queries. A caller sees open operators, its own data, and what a contract in force lets it see."
)
class Query:
    @root(requests.me, "The caller: role, party id, contracts in force. Null without a key.")
    async def me(self, info: Info) -> Caller | None:
        return await answer(info)

    @root(
        requests.one_evse, "One EVSE. Null when it does not exist or is not visible to you; both have the same answer."
    )
    async def evse(
        self,
        info: Info,
        evse_id: Annotated[EvseId, strawberry.argument(description="Its id, in any spelling.")],
    ) -> Evse | None:
        return await answer(info)

    @root(requests.evses, "EVSEs of an area, nearest first, along the route, or by id. OCHP GetChargePointList.")
    async def evses(
        self,
        info: Info,
        within: Within = None,
        matching: Matching = None,
        price: Price = None,
        max_price: MaxPrice = None,
        order_by: OrderBy = ListOrder.AREA,
        first: First = 50,
        after: After = None,
    ) -> EvseConnection:
        return await answer(info)

    @root(requests.one_location, "One location. Null when it does not exist or is not visible to you.")
    async def location(
        self,
        info: Info,
        operator_id: Annotated[PartyId, strawberry.argument(description="Party id of its operator.")],
        location_id: Annotated[str, strawberry.argument(description="Its id, unique within the operator; any case.")],
    ) -> Location | None:
        return await answer(info)

    @root(requests.locations, "Locations of an area with an EVSE that passes the filter.")
    async def locations(
        self,
        info: Info,
        within: Within = None,
        matching: Matching = None,
        min_available: Annotated[
            int | None,
            strawberry.argument(
                description="With at least so many EVSEs that pass the filter and are available now (availableNow)."
            ),
        ] = None,
        price: Price = None,
        max_price: MaxPrice = None,
        order_by: OrderBy = ListOrder.AREA,
        first: First = 50,
        after: After = None,
    ) -> LocationConnection:
        return await answer(info)

    @root(requests.one_parking_spot, "One parking spot. Null when it does not exist or is not visible to you.")
    async def parking_spot(
        self,
        info: Info,
        parking_id: Annotated[ParkingId, strawberry.argument(description="Its id, in any spelling.")],
    ) -> ParkingSpot | None:
        return await answer(info)

    @root(requests.parking_spots, "Parking spots of an area; those without an own position at an EVSE that you see.")
    async def parking_spots(
        self,
        info: Info,
        within: Within = None,
        pso_ids: Annotated[
            list[PartyId] | None, strawberry.argument(description="Of one of these parking spot operators.")
        ] = None,
        parking_ids: Annotated[list[ParkingId] | None, strawberry.argument(description="One of these spots.")] = None,
        first: First = 50,
        after: After = None,
    ) -> ParkingSpotConnection:
        return await answer(info)

    @strawberry.field(
        description="Changes, page by page: since a cursor, since an instant, or from now on, with the newest state of "
        "each kind and id. What you may not see any more, or what left the area or the filter, is REMOVED. A page with "
        "`hasMore` may be empty: continue with its cursor. OCHP lastUpdate."
    )
    async def changes(
        self,
        info: Info,
        within: Within = None,
        matching: Matching = None,
        kinds: Kinds = None,
        cursor: Annotated[
            Cursor | None, strawberry.argument(description="Everything after this position. CURSOR_EXPIRED: too old.")
        ] = None,
        since: Annotated[
            DateTime | None,
            strawberry.argument(
                description="Everything after this instant, and maybe a little before. Not with cursor."
            ),
        ] = None,
        first: Annotated[int, strawberry.argument(description="Changes per page, about; 1 to 1000.")] = 500,
    ) -> ChangePage:
        return await answer_changes(info)

    @strawberry.field(
        description="Tokens that may charge, page by page: the whole list, then with its last cursor what changed. For "
        "operators those of EVSPs with a contract in force, for an EVSP its own. With `token`, `contractId` or "
        "`printedNumber` a search, whose cursors lead through what it finds only; an EVSP finds its expired ones too. "
        "OCHP GetRoamingAuthorisationList; with cursor or since GetRoamingAuthorisationListUpdates."
    )
    async def roaming_authorisations(
        self,
        info: Info,
        cursor: OnFrom = None,
        since: Since = None,
        token: Annotated[
            TokenInput | None, strawberry.argument(description="This token; plain ones and their hashes are the same.")
        ] = None,
        contract_id: Annotated[ContractId | None, strawberry.argument(description="Of this contract.")] = None,
        printed_number: Annotated[
            str | None, strawberry.argument(description="With this number printed on the card, as the EVSP sent it.")
        ] = None,
        first: PerPage = 1_000,
    ) -> AuthorisationPage:
        return await answer_private(info, private.AUTHORISATION)

    @root(
        private.authorisation_requests,
        "Requests for single authorisations, newest first: of an EVSP's tokens, or of an operator itself.",
    )
    async def authorisation_requests(
        self,
        info: Info,
        from_: Annotated[
            DateTime | None, strawberry.argument(name="from", description="Asked at or after this instant.")
        ] = None,
        to: Annotated[DateTime | None, strawberry.argument(description="Asked before this instant.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[AuthorisationRequest]:
        return await answer(info)

    @strawberry.field(
        description="The same requests, oldest first, page by page: the whole list, then with its last cursor new ones."
    )
    async def authorisation_request_changes(
        self, info: Info, cursor: OnFrom = None, since: Since = None, first: PerPage = 1_000
    ) -> AuthorisationRequestPage:
        return await answer_private(info, private.REQUEST)

    @root(
        private.one_tariff,
        "One tariff, as it is meant for you: an EVSP's own individual one, else the default. Null when it does not "
        "exist or is not visible to you.",
    )
    async def tariff(
        self,
        info: Info,
        tariff_id: Annotated[TariffId, strawberry.argument(description="Its id, in any spelling.")],
        provider_id: OfProvider = None,
    ) -> Tariff | None:
        return await answer(info)

    @strawberry.field(
        description="Tariffs, page by page: the whole list, then with its last cursor what changed for you. A change "
        "that is meant for another EVSP is none. OCHP GetTariffUpdates."
    )
    async def tariffs(
        self,
        info: Info,
        cursor: OnFrom = None,
        since: Since = None,
        provider_id: OfProvider = None,
        first: PerPage = 500,
    ) -> TariffPage:
        return await answer_private(info, private.TARIFF)

    @root(private.one_session, "One session. Null when it does not exist or is not visible to you.")
    async def session(
        self, info: Info, session_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id.")]
    ) -> Session | None:
        return await answer(info)

    @root(private.sessions, "The sessions of your role, newest first.")
    async def sessions(
        self,
        info: Info,
        active: Annotated[
            bool | None, strawberry.argument(description="True: those that have not ended; false: the others.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[Session]:
        return await answer(info)

    @strawberry.field(
        description="The same sessions, oldest first, page by page: the whole list, then with its last cursor those "
        "that are new or changed."
    )
    async def session_changes(
        self, info: Info, cursor: OnFrom = None, since: Since = None, first: PerPage = 1_000
    ) -> SessionPage:
        return await answer_private(info, private.SESSION)

    @root(
        private.one_cdr, "One CDR. Null when it does not exist or is not visible to you: only its two parties see it."
    )
    async def cdr(
        self,
        info: Info,
        cdr_id: Annotated[CdrId, strawberry.argument(description="Its id.")],
        evse_id: Annotated[
            EvseId | None,
            strawberry.argument(
                description="Its EVSE; needed only for ids that do not begin with the operator's party id."
            ),
        ] = None,
    ) -> Cdr | None:
        return await answer(info)

    @root(
        private.cdrs,
        "CDRs of your role, oldest session first. Without `status` those that wait for you: for an EVSP the ACCEPTED "
        "and REVISED ones, until it confirms them, for an operator the DECLINED ones. OCHP GetCDRs, CheckCDRs.",
    )
    async def cdrs(
        self,
        info: Info,
        status: Annotated[list[CdrStatus] | None, strawberry.argument(description="In one of these states.")] = None,
        counterparty: Counterparty = None,
        from_: StartedFrom = None,
        to: StartedBefore = None,
        first: First = 500,
        after: After = None,
    ) -> Connection[Cdr]:
        return await answer(info)

    @strawberry.field(
        description="CDRs of your role that come or change, page by page: first those that wait for you, then with the "
        "last cursor those that are new or changed."
    )
    async def cdr_changes(
        self, info: Info, cursor: OnFrom = None, since: Since = None, first: PerPage = 500
    ) -> CdrPage:
        return await answer_private(info, private.CDR)

    @strawberry.field(
        description="Counts and sums of CDRs per pair of partners, currency and state: for the two partners, and for "
        "the administrator of all pairs. Uploaded = open (ACCEPTED, REVISED) + APPROVED + DECLINED + REJECTED."
    )
    async def reconciliation(
        self,
        info: Info,
        counterparty: Counterparty = None,
        from_: StartedFrom = None,
        to: StartedBefore = None,
    ) -> list[ReconciliationRow]:
        return await answer_reconciliation(info, counterparty, from_, to)

    @root(requests.one_partner, "One partner: the administrator sees all, a partner itself; else null.")
    async def partner(
        self, info: Info, partner_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id.")]
    ) -> Partner | None:
        return await answer(info)

    @root(requests.partners, "Partners by name: the administrator sees all, a partner itself.")
    async def partners(self, info: Info, first: First = 50, after: After = None) -> Connection[Partner]:
        return await answer(info)

    @root(requests.contracts, "Contracts, oldest first: the administrator sees all, a partner its own.")
    async def contracts(
        self,
        info: Info,
        status: Annotated[
            list[ContractStatus] | None, strawberry.argument(description="In one of these states.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[Contract]:
        return await answer(info)

    @root(
        requests.audit_entries,
        "Changes of partners, keys and contracts, oldest first: the administrator sees all, a partner its own.",
    )
    async def audit_log(
        self,
        info: Info,
        partner_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="What concerns this partner.")
        ] = None,
        since: Annotated[DateTime | None, strawberry.argument(description="Done at or after this instant.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[AuditEntry]:
        return await answer(info)

    @root(
        requests.refusals,
        "What was refused of your uploads, newest first; the hub keeps the last thousand per partner.",
    )
    async def refusals(self, info: Info, first: First = 50, after: After = None) -> Connection[KeptRefusal]:
        return await answer(info)
