"""The mutations by which operators and parking spot operators publish: arguments -> records -> what became of them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import strawberry

from app.auth import Caller
from app.errors import Forbidden
from app.exchange.actor import acting
from app.ingest.charge_points.lists import set_charge_points
from app.ingest.charge_points.updates import remove_charge_points, update_charge_points
from app.ingest.parking.lists import set_parking_spots
from app.ingest.parking.updates import ReadSpot, remove_parking_spots, update_parking_spots
from app.ingest.status.updates import update_status
from app.live.log.cursor import Cursor, encode_cursor
from app.live.log.rows import read_position
from app.records.charge_point import ChargePoint, Read
from app.records.charge_point_input import read_charge_point
from app.records.parking_spot import ParkingSpot
from app.records.parking_spot_input import read_parking_spot
from app.records.status_input import Hearing, read_evse_statuses, read_parking_statuses
from app.uploads.items import Owner, Report, worth_keeping
from app.uploads.list_parts import Part, checked_part
from app.uploads.yielding import yielding
from app.vocabulary import Role
from schema.root_fields import Info
from schema.scalars import DateTime, EvseId, ParkingId, PartyId
from schema.types.charge_point_input import ChargePointInput, ListPart, ParkingSpotInput
from schema.types.report import UploadReport, upload_report
from schema.types.status_input import EvseStatusInput, ParkingStatusInput
from schema.uploads import uploaded

ChargePoints = Annotated[
    list[ChargePointInput], strawberry.argument(description="Charge points, each checked on its own.")
]
ParkingSpots = Annotated[
    list[ParkingSpotInput], strawberry.argument(description="Parking spots, each checked on its own.")
]
ThePart = Annotated[
    ListPart | None, strawberry.argument(description="Which part of the list this is; absent: all of it.")
]
Confirm = Annotated[
    bool, strawberry.argument(description="Drop what the list does not name, even more than half of what stands.")
]


@strawberry.type
class Publishing:
    # ---------------------------------------------------------------- operators

    @strawberry.mutation(
        description="Replaces an operator's whole list; large lists come in parts, activated by the last. An empty "
        "list is refused; one that deletes more than half of the present records needs confirmRemovals; a refused item "
        "keeps its previous record. Until all parts are there, `accepted` counts the staged items. "
        "OCHP SetChargePointList."
    )
    async def set_charge_point_list(
        self,
        info: Info,
        operator_id: Annotated[PartyId, strawberry.argument(description="Your own party id.")],
        charge_points: ChargePoints,
        part: ThePart = None,
        confirm_removals: Confirm = False,
    ) -> UploadReport:
        owner = own(_operator(info), operator_id)
        return await published(
            info, set_charge_points, await _charge_points(info), owner, part_of(part), confirm_removals
        )

    @strawberry.mutation(
        description="Adds or changes charge points of your own; the others stay. OCHP UpdateChargePointList."
    )
    async def update_charge_point_list(
        self,
        info: Info,
        charge_points: ChargePoints,
    ) -> UploadReport:
        owner = _operator(info)
        return await published(info, update_charge_points, await _charge_points(info), owner)

    @strawberry.mutation(description="Removes charge points of your own.")
    async def remove_charge_points(
        self,
        info: Info,
        evse_ids: Annotated[list[EvseId], strawberry.argument(description="Ids, in any spelling.")],
    ) -> UploadReport:
        owner = _operator(info)
        return await published(info, remove_charge_points, uploaded(info, "evseIds"), owner)

    # ---------------------------------------------------------------- parking spot operators

    @strawberry.mutation(
        description="Replaces a PSO's whole list; large lists come in parts, activated by the last. An empty list "
        "is refused; one that deletes more than half of the present records needs confirmRemovals; a refused item "
        "keeps its previous record. Until all parts are there, `accepted` counts the staged items."
    )
    async def set_parking_spot_list(
        self,
        info: Info,
        pso_id: Annotated[PartyId, strawberry.argument(description="Your own party id.")],
        parking_spots: ParkingSpots,
        part: ThePart = None,
        confirm_removals: Confirm = False,
    ) -> UploadReport:
        owner = own(_parking_operator(info), pso_id)
        return await published(
            info, set_parking_spots, await _parking_spots(info), owner, part_of(part), confirm_removals
        )

    @strawberry.mutation(description="Adds or changes parking spots of your own; the others stay.")
    async def update_parking_spot_list(
        self,
        info: Info,
        parking_spots: ParkingSpots,
    ) -> UploadReport:
        owner = _parking_operator(info)
        return await published(info, update_parking_spots, await _parking_spots(info), owner)

    @strawberry.mutation(
        description="Removes parking spots of your own; one that an EVSE links is known by that link again."
    )
    async def remove_parking_spots(
        self,
        info: Info,
        parking_ids: Annotated[list[ParkingId], strawberry.argument(description="Ids, in any spelling.")],
    ) -> UploadReport:
        owner = _parking_operator(info)
        return await published(info, remove_parking_spots, uploaded(info, "parkingIds"), owner)

    # ---------------------------------------------------------------- live status

    @strawberry.mutation(
        description="Publishes the present status. Operators: of their EVSEs, and of spots that these link, which "
        "counts for their own EVSEs; PSOs: of their spots, which counts until it expires for the EVSEs of operators "
        "that have a contract with them. A ttl too far ahead is cut, with a warning. "
        "An older status, a repetition, and one that is only valid longer are `unchanged`. OCHP UpdateStatus."
    )
    async def update_status(
        self,
        info: Info,
        evses: Annotated[
            list[EvseStatusInput] | None, strawberry.argument(description="EVSEs, each checked on its own.")
        ] = None,
        parking_spots: Annotated[
            list[ParkingStatusInput] | None, strawberry.argument(description="Spots, each checked on its own.")
        ] = None,
        ttl: Annotated[
            DateTime | None, strawberry.argument(description="The ttl of items that have none of their own.")
        ] = None,
    ) -> UploadReport:
        caller, owner = _status_sender(info)
        hearing = Hearing(info.context.now, ttl)
        evse_statuses = await read_evse_statuses(uploaded(info, "evses"), hearing)
        parking_statuses = await read_parking_statuses(uploaded(info, "parkingSpots"), hearing)
        settings = info.context.settings
        upload = partial(
            update_status,
            trust=timedelta(seconds=settings.status_age_s),
            longest=timedelta(seconds=settings.status_ttl_s),
        )
        return await published(info, upload, evse_statuses, parking_statuses, owner, caller.role)


async def published(info: Info, upload: Callable[..., Awaitable[Report]], *arguments: Any) -> UploadReport:
    """Run an upload, and report it with the place in the change log before it."""
    context = info.context
    before = await read_position(context.database)
    report = await upload(context.database, *arguments, now=context.now, refusals_kept=context.settings.refusals_kept)
    return upload_report(report, encode_cursor(Cursor(before)))


def _operator(info: Info) -> Owner:
    """Return the acting operator. Raises: Unauthenticated, Forbidden."""
    return publisher(info, "charge points are published by EVSE operators", Role.EVSE_OPERATOR)[1]


def _parking_operator(info: Info) -> Owner:
    """Return the acting parking spot operator. Raises: Unauthenticated, Forbidden."""
    return publisher(info, "parking spots are published by parking spot operators", Role.PSO)[1]


def _status_sender(info: Info) -> tuple[Caller, Owner]:
    """Return the acting operator or parking spot operator. Raises: Unauthenticated, Forbidden."""
    rule = "live status is sent by EVSE operators and parking spot operators"
    return publisher(info, rule, Role.EVSE_OPERATOR, Role.PSO)


def publisher(info: Info, rule: str, *roles: Role) -> tuple[Caller, Owner]:
    """Return the caller, which must act in one of the roles. Raises: Unauthenticated; Forbidden with `rule`."""
    caller: Caller = acting(info.context.caller)
    if caller.role not in roles or caller.party_id is None:
        raise Forbidden(f"{rule}; this key acts as {caller.role}")
    return caller, Owner(caller.partner_id, caller.role_id, caller.party_id)


def own(owner: Owner, party_id: str) -> Owner:
    """Hold the party id that is named to the one that acts. Raises: Forbidden."""
    if party_id != owner.party_id:
        raise Forbidden(f"{party_id} is not your party id; this key acts for {owner.party_id}")
    return owner


def part_of(part: ListPart | None) -> Part | None:
    return None if part is None else checked_part(str(part.list_id), part.number, part.last)


async def _charge_points(info: Info) -> list[Read]:
    items: list[Read] = []
    refused = 0
    async for index, raw in yielding(enumerate(uploaded(info, "chargePoints"))):
        read = read_charge_point(raw, index)
        if isinstance(read, ChargePoint):
            items.append(read)
        else:
            items += worth_keeping(read, refused)
            refused += len(read)
    return items


async def _parking_spots(info: Info) -> list[ReadSpot]:
    items: list[ReadSpot] = []
    refused = 0
    async for index, raw in yielding(enumerate(uploaded(info, "parkingSpots"))):
        read = read_parking_spot(raw, index)
        if isinstance(read, ParkingSpot):
            items.append(read)
        else:
            items += worth_keeping(read, refused)
            refused += len(read)
    return items
