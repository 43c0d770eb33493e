"""Uploads of live status: who may publish which, which of several counts, and how the others are reported.

One upload is one short transaction with a fixed number of statements. Rules:

- An operator publishes statuses of its EVSEs, and of the spots that these link; a PSO of the spots under its party id,
  also of those that it never published. Anything else is refused with the same message, whether or not it exists.
- An operator's status of a spot counts for its own EVSEs only. The PSO's counts for the EVSEs of all operators that it
  has a contract with, instead of theirs, until it expires. Each has its own, whatever the `at` of the others.
- A status with an older `at` than the sender's stored one is `unchanged`, and so are all statuses of an EVSE or a spot
  in one upload but the newest (of equally new ones the last): no reader could ever see them, so they are not history.
- A status that only lasts longer than the stored one, or repeats it, is `unchanged` too.
- A ttl that lies further ahead than the hub allows is cut to that, with a warning.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from app.db.engine import Connection, Database
from app.ids import party_of, separated_party_id
from app.ingest.nouns import EVSE_STATUSES, PARKING_STATUSES
from app.ingest.status.tables import lock_evses, lock_spots, write_evses, write_spots
from app.records.status import EvseStatus, ParkingStatus
from app.settings import Settings
from app.uploads.checks import Refusal, RefusalCode, show_instant
from app.uploads.items import (
    REFUSALS_LISTED,
    NotItsOperator,
    Noun,
    Owner,
    Reason,
    Report,
    by_index,
    count_items,
    records,
)
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals
from app.uploads.yielding import yielding
from app.vocabulary import Role

#: How long a status with a ttl is valid at most.
LONGEST: Final = timedelta(seconds=Settings().status_ttl_s)

Status = TypeVar("Status", EvseStatus, ParkingStatus)


@dataclass(frozen=True, slots=True)
class _Upload(Generic[Status]):
    """An upload: the status that counts for each id, in the order of the ids, and the indices of its items.

    `warnings`: with the id that each is about.
    """

    statuses: dict[str, Status]
    indices: dict[str, list[int]]
    refused: list[Refusal]
    warnings: list[tuple[str, Refusal]]


async def update_status(
    database: Database,
    evses: Sequence[EvseStatus | Refusal],
    spots: Sequence[ParkingStatus | Refusal],
    owner: Owner,
    role: Role,
    now: datetime,
    trust: timedelta,
    *,
    longest: timedelta = LONGEST,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Write statuses of EVSEs and spots by an operator or a PSO; refuse those that cannot be written.

    `trust`: how long a status without a ttl is valid; `longest`: one with a ttl at most. Raises: NotItsOperator.
    """
    latest = now + longest
    is_pso = role is Role.PSO
    no_evse, no_spot = _no_evse(owner), _no_spot(owner, is_pso)
    of_evses = await _sort_out(
        evses, EVSE_STATUSES, no_evse, latest, lambda id_: not is_pso and party_of(id_) == owner.party_id
    )
    # The links decide of which spots an operator may publish statuses.
    of_spots = await _sort_out(
        spots, PARKING_STATUSES, no_spot, latest, lambda id_: not is_pso or party_of(id_) == owner.party_id
    )

    async def work(connection: Connection) -> Report:
        said_by = await _begin(connection, owner, role, now)
        known_spots = await lock_spots(connection, of_spots.statuses, said_by) if of_spots.statuses else _NONE
        needed = of_evses.statuses or known_spots
        known_evses = await lock_evses(connection, of_evses.statuses, known_spots, said_by) if needed else _NONE
        changed = 0
        if spot_statuses := [status for id_, status in of_spots.statuses.items() if id_ in known_spots]:
            changed += (await write_spots(connection, spot_statuses, now, trust, said_by)).changed
        if evse_statuses := [status for id_, status in of_evses.statuses.items() if id_ in known_evses]:
            changed += (await write_evses(connection, evse_statuses, now, trust)).changed
        refused = (
            *_all_refused(of_evses, known_evses, EVSE_STATUSES, no_evse),
            *_all_refused(of_spots, known_spots, PARKING_STATUSES, no_spot),
        )
        await keep_refusals(connection, owner.partner_id, "updateStatus", refused, now, refusals_kept)
        warnings = (*_warnings(of_evses, known_evses), *_warnings(of_spots, known_spots))
        accounted = Report(changed, 0, 0, refused, warnings=warnings)
        return replace(accounted, unchanged=_count(of_evses) + _count(of_spots) - changed - accounted.refused_items)

    return await database.write(work, partner=owner.partner_id)


_NONE: Final = frozenset[str]()


async def _sort_out(
    items: Sequence[Status | Refusal], noun: Noun[Status], reason: str, latest: datetime, may: Callable[[str], bool]
) -> _Upload[Status]:
    """Select the status that counts for each id for which the sender may publish; cut a ttl after `latest`."""
    refused = [item for item in items if isinstance(item, Refusal)]
    statuses: dict[str, Status] = {}
    indices: dict[str, list[int]] = {}
    warnings: list[tuple[str, Refusal]] = []
    async for index, status in yielding(records(items)):
        id_ = noun.id_of(status)
        if not may(id_):
            refused.append(_absent(noun, index, id_, reason))
            continue
        if status.ttl is not None and status.ttl > latest:
            if len(warnings) < REFUSALS_LISTED:
                warnings.append((id_, _cut(noun, index, id_, status.ttl, latest)))
            status = status._replace(ttl=latest)
        indices.setdefault(id_, []).append(index)
        if id_ not in statuses or status.at >= statuses[id_].at:
            statuses[id_] = status
    return _Upload(dict(sorted(statuses.items())), indices, refused, warnings)


def _cut(noun: Noun[Any], index: int, id_: str, ttl: datetime, latest: datetime) -> Refusal:
    message = f"{show_instant(ttl)} is further ahead than a status is valid here; it was cut to {show_instant(latest)}"
    return noun.refusal(index, id_, Reason(".ttl", RefusalCode.TTL_CUT, message))


def _warnings(upload: _Upload[Any], known: frozenset[str]) -> Iterable[Refusal]:
    return (warning for id_, warning in upload.warnings if id_ in known)


def _count(upload: _Upload[Any]) -> int:
    return sum(map(len, upload.indices.values())) + count_items(upload.refused)


def _all_refused(
    upload: _Upload[Status], known: frozenset[str], noun: Noun[Status], reason: str
) -> tuple[Refusal, ...]:
    unknown = [id_ for id_ in upload.statuses if id_ not in known]
    late = [_absent(noun, index, id_, reason) for id_ in unknown for index in upload.indices[id_]]
    return by_index((*upload.refused, *late))


def _absent(noun: Noun[Any], index: int, id_: str, reason: str) -> Refusal:
    message = f"{noun.separated(id_)} is {reason}"
    return noun.refusal(index, id_, Reason(f".{noun.id_field}", RefusalCode.INVALID_ID, message))


def _no_evse(owner: Owner) -> str:
    return f"no charge point of {separated_party_id(owner.party_id)}"


def _no_spot(owner: Owner, is_pso: bool) -> str:
    party_id = separated_party_id(owner.party_id)
    return f"no parking spot of {party_id}" if is_pso else f"no parking spot that EVSEs of {party_id} link"


#: The time of the upload is noted now and then, and never by waiting: status comes often, and many at once.
_BEGIN: Final = """
with noted as (
    update partner set last_upload_at = $4 where id = (
        select id from partner
        where id = $5 and (last_upload_at is null or last_upload_at < $4::timestamptz - interval '10 seconds')
        for no key update skip locked
    )
)
select (select no from operator where role_id = partner_role.id) as operator_no
from partner_role where id = $1 and role = $2 and party_id = $3 and revoked_at is null
"""


async def _begin(connection: Connection, owner: Owner, role: Role, now: datetime) -> int:
    """Begin an upload; return the number of the operator that sends it, 0 for a PSO. Raises: NotItsOperator."""
    row = await connection.fetchrow(_BEGIN, owner.role_id, role, owner.party_id, now, owner.partner_id)
    if row is None or (row["operator_no"] is None and role is Role.EVSE_OPERATOR):
        raise NotItsOperator(f"the role that acts here does not hold {separated_party_id(owner.party_id)}")
    return 0 if role is Role.PSO else row["operator_no"]
