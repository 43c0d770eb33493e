"""What becomes of uploaded CDRs. An upload is one transaction; of one partner they come one after the other.

An item that was taken once, the same status with the same content, is `unchanged` for ever, whatever has changed in the
world since: only what would be written is judged.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from app.auth import Caller
from app.db.engine import Connection, Database
from app.exchange.actor import write_as
from app.exchange.cdrs.known import Known, look_up
from app.exchange.cdrs.plausibility import implausible
from app.exchange.cdrs.prices import warn_of_prices
from app.exchange.cdrs.tables import (
    Accepted,
    free_times,
    insert_cdrs,
    make_months,
    months_without_partition,
    write_contents,
)
from app.exchange.cdrs.workflow import CDR_WORKFLOW, OPERATOR, Command
from app.exchange.workflow import Move, NotPossible, advance, next_state, record_created
from app.ids import separated_party_id
from app.records.cdr import Cdr, is_own_id, read_cdr
from app.records.charge_point_input import MOST_REFUSALS
from app.uploads.checks import Flaw, Refusal, RefusalCode
from app.uploads.items import NotItsOperator, Report, by_index, worth_keeping
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals, note_upload
from app.uploads.yielding import yielding
from app.vocabulary import CdrStatus, CdrUploadStatus

COMMANDS: Final = {
    CdrUploadStatus.NEW: Command.UPLOAD,
    CdrUploadStatus.REVISED: Command.REVISE,
    CdrUploadStatus.REJECTED: Command.REJECT,
}

Key = tuple[str, str | None]


@dataclass(slots=True)
class ReadCdrs:
    """What an upload holds: CDRs that are right by themselves, and what is wrong with the others."""

    items: list[Cdr] = field(default_factory=list[Cdr])
    refused: list[Refusal] = field(default_factory=list[Refusal])


async def read_cdrs(raw: Sequence[Any]) -> ReadCdrs:
    """Check the items of an upload, each by itself."""
    found = ReadCdrs()
    async for index, item in yielding(enumerate(raw)):
        read = read_cdr(item, index)
        if isinstance(read, Cdr):
            found.items.append(read)
        else:
            found.refused += worth_keeping(read, len(found.refused))
    return found


async def add_cdrs(
    database: Database, read: ReadCdrs, caller: Caller, now: datetime, *, refusals_kept: int = REFUSALS_KEPT
) -> Report:
    """Take in the CDRs of an operator; what is not plausible, or not possible, is refused and changes nothing.

    Raises: NotItsOperator.
    """
    tried: set[date] = set()

    async def work(connection: Connection) -> Report:
        await _begin(connection, caller, now)
        upload = _Upload(connection, caller, now, tried)
        await upload.take(read.items)
        report = Report(
            upload.accepted,
            upload.unchanged,
            0,
            by_index((*read.refused, *upload.refused)),
            warnings=by_index(upload.warnings),
        )
        await keep_refusals(connection, caller.partner_id, "addCdrs", report.refused, now, refusals_kept)
        return report

    while True:
        try:
            return await write_as(database, caller, work)
        except _NoPartition as missing:
            # In a transaction of its own: its locks must be short.
            months = missing.months
            tried |= set(months)
            await write_as(database, caller, lambda connection, months=months: make_months(connection, months))


class _NoPartition(Exception):
    """Contents would go to the default partition."""

    def __init__(self, months: Sequence[date]) -> None:
        super().__init__()
        self.months = months


_HOLDS: Final = """
select from partner_role where id = $1 and role = 'EVSE_OPERATOR' and party_id = $2 and revoked_at is null for share
"""


async def _begin(connection: Connection, caller: Caller, now: datetime) -> None:
    """Begin an upload of an operator, and lock its role against revocation. Raises: NotItsOperator."""
    await connection.execute("set local plan_cache_mode = force_custom_plan")
    await note_upload(connection, caller.partner_id, now)
    if not await connection.fetch(_HOLDS, caller.role_id, caller.party_id):
        party_id = separated_party_id(caller.party_id or "")
        raise NotItsOperator(f"the role that acts here does not hold operator {party_id}")


_STANDING: Final = """
select id, cdr_id, evse_id, provider_id, provider_role_id, month, status, revision, content_hash
from cdr where operator_role_id = $1 and cdr_id = any($2)
"""

_CONTENTS: Final = """
select cdr_key, revision, cdr_content.content_hash
from unnest($1::date[], $2::uuid[]) as asked (month, cdr_key) join cdr_content using (month, cdr_key)
order by cdr_key, revision
"""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A CDR that stands. `hashes`: of the contents of its revisions, in order."""

    row: asyncpg.Record
    hashes: Sequence[bytes]

    @property
    def id(self) -> UUID:
        return self.row["id"]

    def taken_as(self, cdr: Cdr) -> int | None:
        """Return the number of the revision that a CDR was taken as before; None: it was not."""
        if cdr.sent.status is CdrUploadStatus.REJECTED:
            is_same = self.row["status"] == CdrUploadStatus.REJECTED and self.hashes[-1] == cdr.content_hash
            return len(self.hashes) if is_same else None
        first = 0 if cdr.sent.status is CdrUploadStatus.NEW else 1
        last = 1 if cdr.sent.status is CdrUploadStatus.NEW else len(self.hashes)
        for place in reversed(range(first, last)):
            if self.hashes[place] == cdr.content_hash:
                return place + 1
        return None


class _Times:
    """The times on EVSEs that CDRs of this upload claim; no two overlap."""

    def __init__(self) -> None:
        self._of_evse: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)

    def is_free(self, cdr: Cdr) -> bool:
        times = self._of_evse[cdr.evse_id]
        place = bisect_left(times, (cdr.started_at, cdr.started_at))
        is_free_before = place == 0 or times[place - 1][1] <= cdr.started_at
        return is_free_before and (place == len(times) or cdr.ended_at <= times[place][0])

    def occupy(self, cdr: Cdr) -> None:
        insort(self._of_evse[cdr.evse_id], (cdr.started_at, cdr.ended_at))


@dataclass(slots=True)
class _Upload:
    """One upload under way. `tried`: the months for which a partition was made, as far as that was possible."""

    connection: Connection
    caller: Caller
    now: datetime
    tried: Collection[date]
    standing: Mapping[Key, _Standing] = field(default_factory=dict[Key, _Standing])
    accepted: int = 0
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list[Refusal])
    warnings: list[Refusal] = field(default_factory=list[Refusal])

    async def take(self, items: Sequence[Cdr]) -> None:
        first, doubles = _apart(items)
        self.standing = await self._read_standing(first)
        unsettled = [each async for each in yielding(first) if not self._is_settled(each)]
        waived = [each for each in unsettled if each.sent.status is CdrUploadStatus.REJECTED]
        known = await self._look_up(unsettled, waived)
        times = _Times()
        claimed = [
            each
            async for each in yielding(unsettled)
            if each.sent.status is not CdrUploadStatus.REJECTED and self._is_plausible(each, known, times)
        ]
        fresh = [_new(each, known) for each in claimed if each.key not in self.standing]
        await self._require_partitions(fresh)
        revised = await self._move([*waived, *(each for each in claimed if each.key in self.standing)])
        created = await self._create(fresh)
        written = await self._with_warnings([*revised, *created], known)
        await write_contents(self.connection, self.caller, written, self.now)
        self._account_for(doubles)

    def _refuse(self, cdr: Cdr, *flaws: Flaw) -> None:
        self.refused += worth_keeping(refusals_of(list(flaws), cdr), len(self.refused))

    # ---------------------------------------------------------------- what needs no judgement

    async def _read_standing(self, items: Sequence[Cdr]) -> dict[Key, _Standing]:
        rows = await self.connection.fetch(_STANDING, self.caller.role_id, list({each.cdr_id for each in items}))
        contents = await self.connection.fetch(_CONTENTS, [row["month"] for row in rows], [row["id"] for row in rows])
        hashes: dict[UUID, list[bytes]] = defaultdict(list)
        for row in contents:
            hashes[row["cdr_key"]].append(row["content_hash"])
        return {_key_of(row, self.caller.party_id): _Standing(row, hashes[row["id"]]) for row in rows}

    def _account_for(self, doubles: Sequence[tuple[Cdr, Cdr]]) -> None:
        """Count items whose CDR stands in the upload before: the same, taken in, is unchanged; others come too soon."""
        refused = {each.index for each in self.refused}
        for first, again in doubles:
            is_same = (first.sent.status, first.content_hash) == (again.sent.status, again.content_hash)
            if is_same and first.index not in refused:
                self.unchanged += 1
            else:
                words = f"this CDR stands in the upload twice; cdrs[{first.index}] counts, send this one afterwards"
                self._refuse(again, Flaw(".cdrId", RefusalCode.DUPLICATE, words))

    def _is_settled(self, cdr: Cdr) -> bool:
        """Return whether a CDR was taken before, or is not possible beside what stands."""
        stood = self.standing.get(cdr.key)
        taken_as = None if stood is None else stood.taken_as(cdr)
        if stood is not None and taken_as is not None:
            self.unchanged += 1
            self._warn_of_older(cdr, taken_as, stood.row["revision"])
            return True
        flaw = _impossible(cdr, stood)
        if flaw is not None:
            self._refuse(cdr, flaw)
        return flaw is not None

    def _warn_of_older(self, cdr: Cdr, taken_as: int, present: int) -> None:
        if taken_as != present:
            words = f"this was taken before as revision {taken_as}; revision {present} counts now"
            self.warnings += refusals_of([Flaw("", RefusalCode.SUPERSEDED, words)], cdr)

    # ---------------------------------------------------------------- judgement

    async def _look_up(self, items: Sequence[Cdr], waived: Sequence[Cdr]) -> Known:
        claimed = [each for each in items if each.sent.status is not CdrUploadStatus.REJECTED]
        keys = {each.index: self.standing[each.key].id for each in claimed if each.key in self.standing}
        return await look_up(
            self.connection, self.caller, claimed, keys, [self.standing[each.key].id for each in waived]
        )

    def _is_plausible(self, cdr: Cdr, known: Known, times: _Times) -> bool:
        is_timed = cdr.started_at < cdr.ended_at
        found = implausible(known.claim(cdr, self.now, is_occupied=is_timed and not times.is_free(cdr)))
        if found:
            self._refuse(cdr, *found[:MOST_REFUSALS])
        else:
            times.occupy(cdr)
        return not found

    async def _require_partitions(self, fresh: Sequence[Accepted]) -> None:
        """Raises: _NoPartition."""
        missing = await months_without_partition(self.connection, fresh)
        if not set(missing) <= set(self.tried):
            raise _NoPartition(missing)

    # ---------------------------------------------------------------- what is written

    async def _move(self, items: Sequence[Cdr]) -> list[Accepted]:
        """Waive and revise CDRs that stand; return the revisions. What their providers moved meanwhile is refused."""
        by_key = {self.standing[each.key].id: each for each in items}
        moves = [_move_of(key, each) for key, each in by_key.items()]
        advanced = await advance(self.connection, CDR_WORKFLOW, moves, self.caller, self.now)
        for refused in advanced.refused:
            words = refused.error.message
            self._refuse(by_key[UUID(str(refused.move.key))], Flaw(".status", RefusalCode.NOT_POSSIBLE, words))
        self.accepted += len(advanced.moved)
        moved = {each.key: each.after for each in advanced.moved}
        await free_times(self.connection, [key for key in by_key if moved.get(key) == CdrStatus.REJECTED])
        return [
            _revision(each, self.standing[each.key])
            for key, each in by_key.items()
            if moved.get(key) == CdrStatus.REVISED
        ]

    async def _create(self, fresh: Sequence[Accepted]) -> list[Accepted]:
        inserted = await insert_cdrs(self.connection, self.caller, fresh, self.now)
        created = [each for each in fresh if each.key in inserted]
        for each in fresh:
            if each.key not in inserted:
                self._refuse(each.cdr, Flaw(".cdrId", RefusalCode.CDR_ID_TAKEN, "the id is taken; use another one"))
        moves = [Move(each.key, Command.UPLOAD, content_hash=each.cdr.content_hash) for each in created]
        await record_created(self.connection, CDR_WORKFLOW, moves, self.caller, self.now)
        self.accepted += len(created)
        return created

    async def _with_warnings(self, accepted: Sequence[Accepted], known: Known) -> list[Accepted]:
        """Return CDRs with what their providers should look at, which is reported to the operator too."""
        flaws = await warn_of_prices(self.connection, self.caller, [each.cdr for each in accepted], known.evses)
        warned: list[Accepted] = []
        for each in accepted:
            flaw = flaws.get(each.cdr.index)
            warnings = [] if flaw is None else refusals_of([flaw], each.cdr)
            self.warnings += warnings
            warned.append(replace(each, warnings=warnings))
        return warned


def _apart(items: Sequence[Cdr]) -> tuple[Sequence[Cdr], Sequence[tuple[Cdr, Cdr]]]:
    """Return the first item of each CDR, and the other items, each behind the first one."""
    first: dict[Key, Cdr] = {}
    doubles = [(first[each.key], each) for each in items if first.setdefault(each.key, each) is not each]
    return list(first.values()), doubles


def _key_of(row: asyncpg.Record, operator_id: str | None) -> Key:
    return row["cdr_id"], None if operator_id and is_own_id(row["cdr_id"], operator_id) else row["evse_id"]


def _impossible(cdr: Cdr, stood: _Standing | None) -> Flaw | None:
    """Return why a CDR is not possible beside what stands, by the transition table and the ids."""
    if stood is not None and (cdr.evse_id, cdr.provider_id) != (stood.row["evse_id"], stood.row["provider_id"]):
        words = "the id is that of a CDR with another EVSE or EVSP, which it keeps; use another id"
        return Flaw(".cdrId", RefusalCode.CDR_ID_TAKEN, words)
    try:
        state = None if stood is None else stood.row["status"]
        next_state(CDR_WORKFLOW.transitions, state, COMMANDS[cdr.sent.status], {OPERATOR})
    except NotPossible as error:
        return Flaw(".status", RefusalCode.NOT_POSSIBLE, error.message)
    is_waiver = cdr.sent.status is CdrUploadStatus.REJECTED
    if is_waiver and stood is not None and stood.row["content_hash"] != cdr.content_hash:
        return Flaw("", RefusalCode.CONTENT_DIFFERS, "expected the content that was declined, with REJECTED as status")
    return None


def refusals_of(flaws: Sequence[Flaw], cdr: Cdr) -> list[Refusal]:
    """Refuse a CDR for some flaws, or warn of them."""
    return [
        Refusal(
            path=f"cdrs[{cdr.index}]{flaw.path}",
            index=cdr.index,
            id=cdr.sent.cdr_id,
            code=flaw.code,
            message=flaw.message,
        )
        for flaw in flaws
    ]


def _new(cdr: Cdr, known: Known) -> Accepted:
    month = cdr.started_at.date().replace(day=1)
    return Accepted(cdr, uuid4(), month, 1, known.providers[cdr.index])


def _revision(cdr: Cdr, stood: _Standing) -> Accepted:
    row = stood.row
    return Accepted(cdr, row["id"], row["month"], row["revision"] + 1, row["provider_role_id"])


def _move_of(key: UUID, cdr: Cdr) -> Move:
    values = {
        "new_content_hash": cdr.content_hash,
        "new_started_at": cdr.started_at,
        "new_ended_at": cdr.ended_at,
        "new_currency": cdr.sent.currency,
        "new_total": cdr.total,
        "new_session_id": cdr.session_id,
    }
    return Move(key, COMMANDS[cdr.sent.status], content_hash=cdr.content_hash, values=values)
