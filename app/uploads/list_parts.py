"""Parts of whole lists: each is checked and staged on its own, in one short transaction, until all of them are there.

Staged rows are logged, so a part that was acknowledged survives a crash. The same part again replaces itself. A list
that is not complete a day after it began is deleted; one that came in one request, after an hour. A finished list
keeps its name, the hashes of its parts and its report for a day: a part of it that is repeated gets that report again
and changes nothing. A new list takes the name over with a first part of other content; any other part of other content
is refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from app.db.engine import Connection, Database, Session
from app.errors import BadInput, HubError
from app.ids import InvalidId, party_of
from app.uploads.checks import Refusal
from app.uploads.items import Noun, Owner, count_items
from app.uploads.yielding import yielding

#: *hub*: items of unfinished lists that a role may have at the hub.
MOST_LISTED: Final = 1_000_000
MOST_PARTS: Final = 10_000
LONGEST_LIST_ID: Final = 255
#: How many refusals are stored of a part, and in the report of a list.
REFUSALS_OF_PART: Final = 200
REFUSALS_OF_LIST: Final = 5_000
#: How long an unfinished list waits for its parts, and a finished one is known.
LISTS_LAST: Final = timedelta(days=1)
#: How long a list that came in one request is kept after its process died: no further part of it can come.
UNNAMED_LAST: Final = timedelta(hours=1)
#: The first character of the names of lists that came in one request. Names that senders choose are printable.
UNNAMED: Final = "\x1f"


class ListIncomplete(HubError):
    """The last part came, but others did not."""

    code = "LIST_INCOMPLETE"


class ListTooLarge(HubError):
    """More items than the hub keeps for a party's unfinished lists."""

    code = "LIST_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list: 1 is the first; the list is complete once the last and all before it are there."""

    list_id: str
    number: int
    last: bool
    alone: bool = False


@dataclass(frozen=True, slots=True)
class StagedAs:
    """Where items of a kind wait: the operation that uploads them, the one that removes some, their noun, their table.

    A row of the table begins with `part_no` and `place`, its index in the part; `columns` are the others. `id` is the
    one that names the item; one is `content_hash`.
    """

    operation: str
    removal: str
    noun: Noun[Any]
    table: str
    columns: tuple[str, ...]
    id: str


@dataclass(frozen=True, slots=True)
class PartContent:
    """What came with a part: items by index, the function that makes the row of one, and what was refused of it.

    `kept`: ids of refused items, whose previous records stay; None: those that the refusals name.
    """

    items: Mapping[int, Any]
    row_of: Callable[[int, Any], Mapping[str, Any]]
    refused: Sequence[Refusal]
    content_hash: bytes
    kept: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Staged:
    """A part that was staged. `missing`: the numbers of parts that lack; None while the last part has not come."""

    list_no: int
    missing: tuple[int, ...] | None

    @property
    def complete(self) -> bool:
        return self.missing == ()


class ListRefusal(msgspec.Struct, frozen=True):
    """A refusal in the report of a list, with the number of the part it is about."""

    part: int
    refusal: Refusal


class ListReport(msgspec.Struct, frozen=True):
    """What became of a list. `refused`: how many items; `refusals`: the first of their refusals."""

    accepted: int
    unchanged: int
    removed: int
    refused: int
    refusals: tuple[ListRefusal, ...]


def the_whole() -> Part:
    """Return the only part of a list that comes in one request; no other upload can name it."""
    return Part(f"{UNNAMED}{uuid4()}", 1, True, alone=True)


def checked_part(list_id: str, number: int, last: bool) -> Part:
    """Return a part as the sender names it. Raises: BadInput."""
    if not 1 <= len(list_id) <= LONGEST_LIST_ID or not list_id.isprintable():
        raise BadInput(f"part.listId has {len(list_id)} characters; possible: 1 to {LONGEST_LIST_ID}, printable")
    if not 1 <= number <= MOST_PARTS:
        raise BadInput(f"part.number is {number}; possible: 1 to {MOST_PARTS}")
    return Part(list_id, number, last)


async def content_hash_of(part: Part, items: Mapping[int, Any], refused: Collection[Refusal]) -> bytes:
    """Hash what came with a part, alike in every process."""
    encode = msgspec.msgpack.Encoder().encode
    hashed = blake2b(encode([part.number, part.last]), digest_size=16)
    async for index, item in yielding(items.items()):
        hashed.update(encode([index, item]))
    async for refusal in yielding(refused):
        hashed.update(encode(refusal))
    return hashed.digest()


# ---------------------------------------------------------------- staging

_FIND: Final = """
select no, finished_at, report from upload_list where (role_id, operation, list_id) = ($1, $2, $3)
for no key update
"""

_MAKE: Final = """
insert into upload_list (partner_id, role_id, operation, list_id, begun_at) values ($1, $2, $3, $4, $5) returning no
"""

_COUNT_OTHERS: Final = """
select coalesce(sum(items), 0) from list_part join upload_list on upload_list.no = list_no
where role_id = $1 and staged and (list_no, number) <> ($2, $3)
"""

_MAKE_PART: Final = """
insert into list_part (list_no, number, last, content_hash, items, refused, refusals, kept_ids)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning no
"""


async def stage_part(
    connection: Connection, kind: StagedAs, owner: Owner, part: Part, content: PartContent, now: datetime
) -> Staged | ListReport:
    """Stage a part of a list, or return the report of the finished list whose part is repeated.

    The uploader is locked; the list gets locked, so that it does not expire meanwhile. Raises: BadInput; ListTooLarge.
    """
    found = await connection.fetchrow(_FIND, owner.role_id, kind.operation, part.list_id)
    if found is not None and found["finished_at"] is not None:
        report = await _repeated(connection, found, part, content.content_hash)
        if report is not None:
            return report
        await connection.execute("delete from upload_list where no = $1", found["no"])
        found = None
    list_no = found["no"] if found is not None else await _make_list(connection, kind, owner, part, now)
    parts = {row["number"]: row for row in await connection.fetch(_PARTS, list_no)}
    _check_place(part, {number: row["last"] for number, row in parts.items() if number != part.number})
    await _check_room(connection, owner, list_no, part, len(content.items))
    before = parts.get(part.number)
    if before is None or before["content_hash"] != content.content_hash:
        if before is not None:
            await connection.execute("delete from list_part where no = $1", before["no"])
        await _copy(connection, kind, owner, list_no, part, content)
    return Staged(list_no, await _missing_parts(connection, list_no))


_PARTS: Final = "select no, number, last, content_hash from list_part where list_no = $1"


async def _repeated(
    connection: Connection, found: asyncpg.Record, part: Part, content_hash: bytes
) -> ListReport | None:
    """Return the report of a finished list if this is one of its parts; None: a new list begins. Raises: BadInput."""
    known = await connection.fetchval(
        "select content_hash from list_part where list_no = $1 and number = $2", found["no"], part.number
    )
    if known == content_hash:
        return msgspec.convert(found["report"], ListReport)
    if part.number == 1:
        return None
    since = found["finished_at"].astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    raise BadInput(
        f"list {part.list_id!r:.60} has been in force since {since}; part {part.number} was not taken",
        "a new list needs a name of its own, or begins with part 1",
    )


async def _make_list(connection: Connection, kind: StagedAs, owner: Owner, part: Part, now: datetime) -> int:
    return await connection.fetchval(_MAKE, owner.partner_id, owner.role_id, kind.operation, part.list_id, now)


async def _check_room(connection: Connection, owner: Owner, list_no: int, part: Part, items: int) -> None:
    others = await connection.fetchval(_COUNT_OTHERS, owner.role_id, list_no, part.number)
    if others + items > MOST_LISTED:
        raise ListTooLarge(
            f"{others + items} items in your lists that are not complete; at most {MOST_LISTED} are possible",
            "finish the others first, or wait a day until they expire",
        )


async def _copy(
    connection: Connection, kind: StagedAs, owner: Owner, list_no: int, part: Part, content: PartContent
) -> None:
    stored = [msgspec.to_builtins(each) for each in content.refused[:REFUSALS_OF_PART]]
    kept = content.kept if content.kept is not None else await kept_ids(content.refused, kind.noun, owner)
    row = (list_no, part.number, part.last, content.content_hash, len(content.items), count_items(content.refused))
    part_no = await connection.fetchval(_MAKE_PART, *row, stored, kept)
    await connection.copy_records_to_table(
        kind.table, records=_records(kind, part_no, content), columns=("part_no", "place", *kind.columns)
    )


async def _records(kind: StagedAs, part_no: int, content: PartContent) -> AsyncIterator[tuple[Any, ...]]:
    """Make rows one by one: all at once would take more memory than the items themselves."""
    async for index, item in yielding(content.items.items()):
        row = content.row_of(index, item)
        yield (part_no, index, *map(row.__getitem__, kind.columns))


async def kept_ids(refused: Collection[Refusal], noun: Noun[Any], owner: Owner) -> list[str]:
    """Return the owner's ids among refused items: their previous records stay."""
    kept: set[str] = set()
    async for refusal in yielding(refused):
        try:
            kept.add(noun.normalise(refusal.id or ""))
        except InvalidId:
            continue
    return sorted(id_ for id_ in kept if party_of(id_) == owner.party_id)


def _check_place(part: Part, others: dict[int, bool]) -> None:
    last = next((number for number, is_last in others.items() if is_last), None)
    if last is not None and (part.last or part.number > last):
        raise BadInput(f"part {part.number} cannot follow: part {last} of this list was called the last")
    if part.last and others and max(others) > part.number:
        raise BadInput(f"part {part.number} cannot be the last: part {max(others)} of this list is here")


_LOCK_UNFINISHED: Final = "select from upload_list where no = $1 and finished_at is null for no key update"


async def lock_complete(connection: Connection, list_no: int) -> None:
    """Lock a list whose parts were all staged, so that it does not expire while it is merged.

    Raises: ListIncomplete, if it has begun to expire since.
    """
    if not await connection.fetch(_LOCK_UNFINISHED, list_no) or await _missing_parts(connection, list_no) != ():
        raise ListIncomplete(
            "the list expired before it was merged; nothing was changed", "send all of its parts again"
        )


async def _missing_parts(connection: Connection, list_no: int) -> tuple[int, ...] | None:
    rows = await connection.fetch(_PARTS, list_no)
    here = {row["number"] for row in rows}
    last = next((row["number"] for row in rows if row["last"]), None)
    return None if last is None else tuple(number for number in range(1, last + 1) if number not in here)


def incomplete(part: Part, missing: Sequence[int]) -> ListIncomplete:
    """Return the error that names the parts that a list lacks."""
    shown = ", ".join(str(number) for number in missing[:20]) + (", ..." if len(missing) > 20 else "")
    return ListIncomplete(
        f"part {part.number} is the last, but of the parts before it these are missing: {shown}",
        "this part is kept; send the missing ones, and the list goes into force with the last of them",
    )


# ---------------------------------------------------------------- expiry

#: Whether a list has expired: begun or finished before $1, or before $2 if it came in one request.
_IS_OVER: Final = (
    "coalesce(finished_at, begun_at) < case when starts_with(list_id, $3) then $2::timestamptz else $1 end"
)

#: Lists that have expired, and finished ones whose staged rows a process that died has left.
_NEEDLESS: Final = f"""
select no, operation from upload_list
where ({_IS_OVER}
    or finished_at is not null and exists (select from list_part where list_no = upload_list.no and staged))
and ($4::int is null or role_id = $4)
"""

#: A list that is being staged or merged does not expire, and one that was finished since has a day more.
_LOCK_NEEDLESS: Final = f"""
select finished_at is not null as finished, {_IS_OVER} as wholly from upload_list
where no = $4 and ({_IS_OVER} or finished_at is not null) for update skip locked
"""

_LOCK_LIST: Final = """
select finished_at is not null as finished, $1::boolean as wholly from upload_list where no = $2 for update
"""


async def forget_lists(
    database: Database, kinds: Collection[StagedAs], now: datetime, role_id: int | None = None
) -> None:
    """Delete lists that have expired, and staged rows that are not needed any more, of one role or of all."""
    bounds = (now - LISTS_LAST, now - UNNAMED_LAST, UNNAMED)
    rows = await database.fetch(_NEEDLESS, *bounds, role_id)
    tables = {kind.operation: kind.table for kind in kinds}
    for row in (row for row in rows if row["operation"] in tables):
        async with database.session() as session:
            await _clear(session, tables[row["operation"]], row["no"], _LOCK_NEEDLESS, *bounds)


async def clear_list(session: Session, table: str, list_no: int, wholly: bool) -> None:
    """Delete the staged rows of a list; `wholly`: its name and its parts, too."""
    await _clear(session, table, list_no, _LOCK_LIST, wholly)


async def _clear(session: Session, table: str, list_no: int, lock: str, *conditions: Any) -> None:
    """Delete the staged rows of a list part by part, each in a transaction of its own, while `lock` finds the list.

    An unfinished list loses the part with its rows, so that the part is missing and is staged if it comes again.
    """
    rows = await session.connection.fetch("select no from list_part where list_no = $1 and staged order by no", list_no)

    def clear(part_nos: Sequence[int], is_last: bool) -> Callable[[Connection], Awaitable[bool]]:
        async def work(connection: Connection) -> bool:
            found = await connection.fetchrow(lock, *conditions, list_no)
            if found is None:
                return False
            await connection.execute(f"delete from {table} where part_no = any($1)", part_nos)
            part = "update list_part set staged = false" if found["finished"] else "delete from list_part"
            await connection.execute(f"{part} where no = any($1)", part_nos)
            if is_last and found["wholly"]:
                await connection.execute("delete from upload_list where no = $1", list_no)
            return True

        return work

    numbers = [row["no"] for row in rows]
    for number in numbers[:-1]:
        if not await session.write(clear([number], False)):
            return
    await session.write(clear(numbers[-1:], True))
