"""Whole lists of any kind: staged in parts, compared in SQL, merged in one transaction.

1. Each part is staged in a transaction of its own (`app.uploads.list_parts`).
2. With the last part one transaction compares the list with what stands by the hashes of their contents, and writes
   only what differs in bounded statements: readers see the old list or the new one. Nothing of a list is ever held in
   the hub but counts and a bounded number of refusals, however long it is.
3. The staged rows are deleted; if the process dies before that, the hub's housekeeping does it.

The uploader holds an advisory lock of its session all the time, so its other uploads wait, and no others. Rows of live
status are locked only by `finish`, the last step, and its row of the partner and its role only after that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from app.db.engine import Connection, Database, Session
from app.db.staging import rows_of
from app.errors import HubError
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.items import Noun, Owner, Reason, Report, by_index
from app.uploads.list_parts import (
    REFUSALS_OF_LIST,
    ListRefusal,
    ListReport,
    Part,
    PartContent,
    StagedAs,
    clear_list,
    content_hash_of,
    forget_lists,
    incomplete,
    lock_complete,
    stage_part,
    the_whole,
)
from app.uploads.locks import holding
from app.uploads.refusals import keep_refusals

#: How many differing items one statement writes.
AT_ONCE: Final = 1_000


class EmptyList(HubError):
    """A whole list without an item would remove everything."""

    code = "EMPTY_LIST"


class TooManyRemovals(HubError):
    """A whole list would drop more than half of what stands; perhaps it is the wrong one."""

    code = "CONFIRM_REMOVALS"


@dataclass(slots=True)
class Refused:
    """Items that the comparison refuses: how many, and the first of their refusals."""

    count: int = 0
    refusals: list[ListRefusal] = field(default_factory=list[ListRefusal])

    def add(self, refusals: Sequence[ListRefusal]) -> None:
        """Count some more."""
        self.count += len(refusals)
        self.refusals += refusals[: max(0, REFUSALS_OF_LIST - len(self.refusals))]


@dataclass(frozen=True, slots=True)
class ListKind:
    """What a kind of list brings to the mechanism.

    `standing`: SELECT of `id` and `content_hash` of what stands; its parameter is the list's `key`. `order`: the
    columns of the staging table in whose order differing items are written; None: by id. The functions get the
    connection and the list: `refuse` removes from `list_chosen` what cannot go in, and adds it to `list_kept`;
    `prepare` locks what must be locked before anything is written; `write` merges the items of `list_changed` whose
    `n` is above the first number and not above the second; `finish` does what is left, and deletes the items of
    `list_removed`.
    """

    staged: StagedAs
    lock: int
    standing: str
    order: str | None
    refuse: Callable[[Connection, "Listed"], Awaitable[Refused]] | None
    prepare: Callable[[Connection, "Listed"], Awaitable[None]] | None
    write: Callable[[Connection, "Listed", int, int], Awaitable[None]]
    finish: Callable[[Connection, "Listed"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that is merged: its number, the key of what stands, and the instant of its upload."""

    no: int
    key: Any
    now: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload of a list, or of a part of one.

    `begin` locks the uploader in a transaction; raises: NotItsOperator. `kept`: as in `PartContent`.
    """

    owner: Owner
    key: Any
    lock_number: int
    begin: Callable[[Connection], Awaitable[None]]
    part: Part | None
    items: dict[int, Any]
    row_of: Callable[[int, Any], Any]
    refused: Sequence[Refusal]
    confirmed: bool
    now: datetime
    refusals_kept: int
    kept: Sequence[str] | None = None


async def take_in(database: Database, kind: ListKind, upload: Upload) -> Report:
    """Replace a whole list, or keep one part of it; the part that completes the list merges it.

    Of a part that is only kept, `accepted` counts its items.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals; Busy.
    """
    owner, part, now = upload.owner, upload.part or the_whole(), upload.now
    content_hash = await content_hash_of(part, upload.items, upload.refused)
    content = PartContent(upload.items, upload.row_of, upload.refused, content_hash, upload.kept)
    await forget_lists(database, [kind.staged], now, owner.role_id)
    async with holding(database, kind.lock, upload.lock_number, owner.partner_id, owner.role_id) as session:

        async def stage(connection: Connection) -> Any:
            await upload.begin(connection)
            await _keep(connection, kind, upload, by_index(upload.refused))
            return await stage_part(connection, kind.staged, owner, part, content, now)

        staged = await session.write(stage)
        if isinstance(staged, ListReport):
            return report_for(staged, part, upload.refused)
        if part.last and staged.missing:
            raise incomplete(part, staged.missing)
        if not staged.complete:
            return Report(len(upload.items), 0, 0, by_index(upload.refused))
        listed = Listed(staged.list_no, upload.key, now)
        report = await _merge_or_clear(session, kind, upload, part, listed)
        await clear_list(session, kind.staged.table, staged.list_no, wholly=part.alone)
    return report_for(report, part, upload.refused)


async def _keep(connection: Connection, kind: ListKind, upload: Upload, refused: Sequence[Refusal]) -> None:
    owner, operation = upload.owner, kind.staged.operation
    await keep_refusals(connection, owner.partner_id, operation, refused, upload.now, upload.refusals_kept)


async def _merge_or_clear(session: Session, kind: ListKind, upload: Upload, part: Part, listed: Listed) -> ListReport:
    """Merge a complete list. One that fails waits for its last part again, unless it came in one request."""

    async def work(connection: Connection) -> ListReport:
        report, late = await merge(connection, kind, listed, upload.confirmed)
        # The uploader is locked last: a long merge must not hold its partner's row, nor its operator's.
        await upload.begin(connection)
        await _keep(connection, kind, upload, [each.refusal for each in late])
        return report

    try:
        return await session.write(work)
    except (Exception, asyncio.CancelledError):
        if part.alone:
            # Without its connection the rows stay until housekeeping deletes them; the sender gets the first error.
            with suppress(Exception):
                await clear_list(session, kind.staged.table, listed.no, wholly=True)
        raise


def report_for(report: ListReport, part: Part, refused: Sequence[Refusal]) -> Report:
    """Return the report of a list as the sender of one of its parts gets it: its own refusals are there in full."""
    others = [_of_part(each) for each in report.refusals if each.part != part.number]
    own = {(each.path, each.code): each for each in refused}
    late = [each.refusal for each in report.refusals if each.part == part.number]
    shown = (*refused, *(each for each in late if (each.path, each.code) not in own))
    return Report(report.accepted, report.unchanged, report.removed, (*by_index(shown), *others), report.refused)


def _of_part(each: ListRefusal) -> Refusal:
    return msgspec.structs.replace(each.refusal, message=f"in part {each.part}: {each.refusal.message}")


# ---------------------------------------------------------------- the merge

#: Tables of the one transaction. `list_chosen`: the item that counts for each id. `list_kept`: ids that the list names
#: but whose previous records stay. `list_changed`, `list_removed`: what differs, numbered in the order of writing.
_TABLES: Final = """
create temporary table if not exists list_chosen (
    id text collate "C" primary key, part_no integer, place integer, number integer, content_hash bytea
) on commit delete rows;
create temporary table if not exists list_kept (id text collate "C" primary key) on commit delete rows;
create temporary table if not exists list_changed (
    n integer primary key, id text collate "C", part_no integer, place integer
) on commit delete rows;
create temporary table if not exists list_removed (n integer primary key, id text collate "C") on commit delete rows
"""

#: Of several parts that name an id the last one counts.
_CHOOSE: Final = """
insert into list_chosen (id, part_no, place, number, content_hash)
select distinct on ({id}) {id}, part_no, place, number, listed.content_hash
from (select part_no, place, {id}, content_hash from {table}) as listed
join list_part on list_part.no = part_no where list_no = $1
order by {id}, number desc, place desc
"""

_DOUBLES: Final = """
select {id} as id, listed.place, list_part.number, chosen.number as counting, count(*) over () as total
from (select part_no, place, {id} from {table}) as listed join list_part on list_part.no = part_no
join list_chosen as chosen on chosen.id = {id}
where list_no = $1 and listed.part_no <> chosen.part_no order by list_part.number, listed.place limit $2
"""

_ITEMS: Final = "select sum(items) from list_part where list_no = $1"

_KEEP: Final = """
insert into list_kept select distinct unnest(kept_ids) from list_part where list_no = $1
except select id from list_chosen
"""

_CHANGE: Final = """
insert into list_changed (n, id, part_no, place)
select row_number() over (order by {order}), chosen.id, chosen.part_no, chosen.place
from list_chosen as chosen {listed}
left join ({standing}) as standing on standing.id = chosen.id
where standing.content_hash is distinct from chosen.content_hash
"""

_REMOVE: Final = """
insert into list_removed (n, id)
select row_number() over (order by id), id from ({standing}) as standing
where not exists (select from list_chosen as chosen where chosen.id = standing.id)
and not exists (select from list_kept as kept where kept.id = standing.id)
"""

_COUNTS: Final = """
select (select count(*) from list_chosen) as chosen, (select count(*) from list_changed) as changed,
    (select count(*) from list_removed) as removed, (select count(*) from ({standing}) as standing) as standing
"""

_REFUSED_IN_PARTS: Final = "select number, refused, refusals from list_part where list_no = $1 order by number"

_FINISH: Final = "update upload_list set finished_at = $2, report = $3 where no = $1"


async def merge(
    connection: Connection, kind: ListKind, listed: Listed, confirmed: bool
) -> tuple[ListReport, Sequence[ListRefusal]]:
    """Merge a complete list into the stored rows; return its report, and the refusals that the comparison added.

    The uploader is locked, so no other transaction changes its rows; the list is locked, so it does not expire.
    Raises: ListIncomplete; EmptyList; TooManyRemovals.
    """
    await lock_complete(connection, listed.no)
    texts = {"id": kind.staged.id, "table": kind.staged.table, "standing": kind.standing, "order": "chosen.id"}
    texts["listed"] = ""
    if kind.order is not None:
        texts |= {"order": kind.order, "listed": f"join {kind.staged.table} as listed using (part_no, place)"}
    parts = await _refused_in_parts(connection, listed.no)
    late = await _choose(connection, kind, listed, texts)
    if not await connection.fetchval("select exists (select from list_chosen)"):
        if not parts.count + late.count:
            name, removal = kind.staged.noun.name, kind.staged.removal
            raise EmptyList(f"a whole list without {name}s would remove all", f"use {removal} if that is meant")
        counts = {"chosen": 0, "changed": 0, "removed": 0}
    else:
        counts = await _compare(connection, kind, listed, texts, confirmed)
        if kind.prepare is not None:
            await kind.prepare(connection, listed)
        for low in range(0, counts["changed"], AT_ONCE):
            await kind.write(connection, listed, low, low + AT_ONCE)
        await kind.finish(connection, listed)
    refusals = sorted((*parts.refusals, *late.refusals), key=lambda each: (each.part, each.refusal.index))
    report = ListReport(
        accepted=counts["changed"],
        unchanged=counts["chosen"] - counts["changed"],
        removed=counts["removed"],
        refused=parts.count + late.count,
        refusals=tuple(refusals[:REFUSALS_OF_LIST]),
    )
    await connection.execute(_FINISH, listed.no, listed.now, msgspec.to_builtins(report))
    return report, late.refusals


async def _choose(connection: Connection, kind: ListKind, listed: Listed, texts: dict[str, str]) -> Refused:
    """Fill `list_chosen` and `list_kept`."""
    await connection.execute(_TABLES)
    chosen = rows_of(await connection.execute(_CHOOSE.format(**texts), listed.no))
    await connection.execute(_KEEP, listed.no)
    await connection.execute("analyze list_chosen, list_kept")
    refused = Refused()
    doubles: Sequence[Any] = ()
    if await connection.fetchval(_ITEMS, listed.no) > chosen:
        doubles = await connection.fetch(_DOUBLES.format(**texts), listed.no, REFUSALS_OF_LIST)
    refused.refusals += [_double(kind.staged.noun, *row[:4]) for row in doubles]
    refused.count = doubles[0]["total"] if doubles else 0
    if kind.refuse is not None:
        more = await kind.refuse(connection, listed)
        refused = replace(refused, count=refused.count + more.count, refusals=[*refused.refusals, *more.refusals])
    return refused


async def _compare(
    connection: Connection, kind: ListKind, listed: Listed, texts: dict[str, str], confirmed: bool
) -> dict[str, int]:
    """Fill `list_changed` and `list_removed`, and count. Raises: TooManyRemovals."""
    await connection.execute(_CHANGE.format(**texts), listed.key)
    await connection.execute(_REMOVE.format(**texts), listed.key)
    await connection.execute("analyze list_changed, list_removed")
    row = await connection.fetchrow(_COUNTS.format(**texts), listed.key)
    assert row is not None
    if row["removed"] * 2 > row["standing"] and not confirmed:
        raise TooManyRemovals(
            f"the list would remove {row['removed']} of {row['standing']} {kind.staged.noun.name}s",
            "if that is meant send the last part again with confirmRemovals: true",
        )
    return dict(row)


async def _refused_in_parts(connection: Connection, list_no: int) -> Refused:
    refused = Refused()
    for row in await connection.fetch(_REFUSED_IN_PARTS, list_no):
        listed = [ListRefusal(row["number"], msgspec.convert(each, Refusal)) for each in row["refusals"]]
        refused.add(listed)
        refused.count += row["refused"] - len(listed)
    return refused


def _double(noun: Noun[Any], id_: str, place: int, number: int, counting: int) -> ListRefusal:
    message = f"{noun.separated(id_)}, here in part {number}, stands in part {counting} again; that one counts"
    return ListRefusal(number, noun.refusal(place, id_, Reason(f".{noun.id_field}", RefusalCode.DUPLICATE, message)))
