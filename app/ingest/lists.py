"""Whole lists in parts: each part is checked and staged on its own; the list goes into force when all of it is there.

However much there is of anything, it is written in many short transactions. The same part again replaces itself. A list
that is not complete a day after it began is forgotten. The name of one in force is known for a day: under it the next
list begins with its first part, so that no part of the old one that is sent again gets into the new one.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import uuid4

from sqlalchemy import Table

from app.db.engine import Connection, Database, Session
from app.db.tables import listed_evse, listed_parking_spot
from app.errors import BadInput, HubError
from app.ids import InvalidId, party_of
from app.ingest.nouns import CHARGE_POINTS, PARKING_SPOTS
from app.uploads.batch_sizes import Pace
from app.uploads.checks import Refusal
from app.uploads.items import Noun, Owner
from app.uploads.yielding import sliced

T = TypeVar("T")

#: *hub*: items of unfinished lists that a role may have at the hub.
MOST_LISTED: Final = 250_000
MOST_PARTS: Final = 10_000
LONGEST_LIST_ID: Final = 255


class ListIncomplete(HubError):
    """The last part came, but others did not."""

    code = "LIST_INCOMPLETE"


class ListTooLarge(HubError):
    """More items than the hub keeps for a party's unfinished lists."""

    code = "LIST_TOO_LARGE"


class EmptyList(HubError):
    """A whole list without an item would remove everything."""

    code = "EMPTY_LIST"


class TooManyRemovals(HubError):
    """A whole list would drop more than half of what stands; perhaps it is the wrong one."""

    code = "CONFIRM_REMOVALS"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list: 1 is the first; the list is complete once the last and all before it are there."""

    list_id: str
    number: int
    last: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """What a list is of: the operation, the words for its items, the table its parts wait in."""

    operation: str
    noun: Noun[Any]
    table: Table

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the columns of an item's row; those before say where in the list it stands."""
        return tuple(column.name for column in self.table.columns)[2:]


CHARGE_POINT_LIST: Final = Kind("setChargePointList", CHARGE_POINTS, listed_evse)
PARKING_SPOT_LIST: Final = Kind("setParkingSpotList", PARKING_SPOTS, listed_parking_spot)
KINDS: Final = (CHARGE_POINT_LIST, PARKING_SPOT_LIST)


@dataclass(frozen=True, slots=True)
class Staged:
    """A part that was staged. `missing`: the numbers that lack; None while the last part has not come."""

    list_no: int
    missing: tuple[int, ...] | None

    @property
    def complete(self) -> bool:
        return self.missing == ()


def the_whole() -> Part:
    """Give the only part of a list that comes in one."""
    return Part(f"whole {uuid4()}", 1, True)


def checked_part(list_id: str, number: int, last: bool) -> Part:
    """Give a part as the sender names it. Raises: BadInput."""
    if not 1 <= len(list_id) <= LONGEST_LIST_ID or "\x00" in list_id or not list_id.isprintable():
        raise BadInput(f"part.listId has {len(list_id)} characters; possible: 1 to {LONGEST_LIST_ID}, printable")
    if not 1 <= number <= MOST_PARTS:
        raise BadInput(f"part.number is {number}; possible: 1 to {MOST_PARTS}")
    return Part(list_id, number, last)


def kept_ids(refused: Collection[Refusal], noun: Noun[Any], owner: Owner) -> list[str]:
    """Give the owner's ids among refused items: their previous records stay."""
    kept: set[str] = set()
    for refusal in refused:
        try:
            kept.add(noun.normalise(refusal.id or ""))
        except InvalidId:
            continue
    return sorted(id_ for id_ in kept if party_of(id_) == owner.party_id)


_DONE: Final = """
select no, in_force_at from upload_list
where role_id = $1 and operation = $2 and list_id = $3 and in_force_at is not null
"""

_FIND_OR_MAKE: Final = """
insert into upload_list (partner_id, role_id, operation, list_id, begun_at) values ($1, $2, $3, $4, $5)
on conflict (role_id, operation, list_id) do update set begun_at = upload_list.begun_at
returning no
"""

_COUNT_OTHERS: Final = """
select coalesce(sum(items), 0) from list_part join upload_list on upload_list.no = list_no
where role_id = $1 and complete and (list_no, number) <> ($2, $3)
"""

_BEGIN_PART: Final = """
insert into list_part (list_no, number, last, items, refused, kept_ids) values ($1, $2, $3, $4, $5, $6) returning no
"""

_RETIRE: Final = "update list_part set complete = false where list_no = $1 and number = $2 and complete returning no"

#: Begins a transaction of an uploader, who is locked until its end.
Begin = Callable[[Connection], Awaitable[None]]


async def stage_part(
    session: Session,
    begin: Begin,
    kind: Kind,
    owner: Owner,
    part: Part,
    items: Mapping[int, T],
    row_of: Callable[[int, T], Mapping[str, Any]],
    refused: Sequence[Refusal],
    now: datetime,
) -> Staged:
    """Keep a part until its list is complete; the uploader is held. `items` by index.

    Rows are made of them piece by piece: all at once would take more memory than anything else.
    Raises: BadInput; ListTooLarge; what `begin` raises.
    """

    async def announce(connection: Connection) -> tuple[int, int]:
        await begin(connection)
        list_no = await _find_list(connection, kind, owner, part, len(items), now)
        kept = kept_ids(refused, kind.noun, owner)
        row = (list_no, part.number, part.last, len(items), len(refused), kept)
        return list_no, await connection.fetchval(_BEGIN_PART, *row)

    async def complete(connection: Connection) -> tuple[Staged, list[int]]:
        await begin(connection)
        retired = [row["no"] for row in await connection.fetch(_RETIRE, list_no, part.number)]
        await connection.execute("update list_part set complete = true where no = $1", part_no)
        return Staged(list_no, await missing_parts(connection, list_no)), retired

    list_no, part_no = await session.write(announce)
    pace, columns = Pace(), kind.columns
    for some in pace.slices(list(items.items())):
        records = [
            (part_no, index, *map(row_of(index, item).__getitem__, columns)) async for index, item in sliced(some)
        ]
        with pace.timing(len(some)):
            await session.write(lambda connection, records=records: _copy(connection, kind, records))
    staged, retired = await session.write(complete)
    for no in retired:
        await _forget_part(session, kind, no)
    return staged


async def _find_list(connection: Connection, kind: Kind, owner: Owner, part: Part, items: int, now: datetime) -> int:
    await _begin_anew(connection, kind, owner, part)
    list_no = await connection.fetchval(
        _FIND_OR_MAKE, owner.partner_id, owner.role_id, kind.operation, part.list_id, now
    )
    known = await connection.fetch("select number, last from list_part where list_no = $1 and complete", list_no)
    _check_place(part, {row["number"]: row["last"] for row in known if row["number"] != part.number})
    others = await connection.fetchval(_COUNT_OTHERS, owner.role_id, list_no, part.number)
    if others + items > MOST_LISTED:
        raise ListTooLarge(
            f"{others + items} items in your lists that are not complete; at most {MOST_LISTED} are possible",
            "finish the others first, or wait a day until they are forgotten",
        )
    return list_no


async def _begin_anew(connection: Connection, kind: Kind, owner: Owner, part: Part) -> None:
    """Let go of a list of the same name that is in force. Raises: BadInput, unless this is the first part."""
    done = await connection.fetchrow(_DONE, owner.role_id, kind.operation, part.list_id)
    if done is None:
        return
    if part.number != 1:
        since = done["in_force_at"].astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        raise BadInput(
            f"list {part.list_id!r:.60} has been in force since {since}; part {part.number} was not taken",
            "a new list needs a name of its own, or begins with part 1",
        )
    await connection.execute("update upload_list set list_id = null where no = $1", done["no"])


async def _copy(connection: Connection, kind: Kind, records: Sequence[tuple[Any, ...]]) -> None:
    await connection.copy_records_to_table(
        kind.table.name, records=records, columns=("part_no", "place", *kind.columns)
    )


def _check_place(part: Part, others: dict[int, bool]) -> None:
    last = next((number for number, is_last in others.items() if is_last), None)
    if last is not None and (part.last or part.number > last):
        raise BadInput(f"part {part.number} cannot follow: part {last} of this list was called the last")
    if part.last and others and max(others) > part.number:
        raise BadInput(f"part {part.number} cannot be the last: part {max(others)} of this list is here")


async def missing_parts(connection: Connection, list_no: int) -> tuple[int, ...] | None:
    """Give the numbers that a list lacks; None while nobody knows how many it has."""
    rows = await connection.fetch("select number, last from list_part where list_no = $1 and complete", list_no)
    here = {row["number"] for row in rows}
    last = next((row["number"] for row in rows if row["last"]), None)
    return None if last is None else tuple(number for number in range(1, last + 1) if number not in here)


def incomplete(part: Part, missing: Sequence[int]) -> ListIncomplete:
    """Say which parts of a list lack."""
    shown = ", ".join(str(number) for number in missing[:20]) + (", ..." if len(missing) > 20 else "")
    return ListIncomplete(
        f"part {part.number} is the last, but of the parts before it these are missing: {shown}",
        "this part is kept; send the missing ones, and the list goes into force with the last of them",
    )


def check_removals(standing: int, dropped: int, confirmed: bool, noun: Noun[Any]) -> None:
    """Refuse to drop more than half without a word. Raises: TooManyRemovals."""
    if dropped * 2 > standing and not confirmed:
        raise TooManyRemovals(
            f"the list would remove {dropped} of {standing} {noun.name}s",
            "if that is meant send the last part again with confirmRemovals: true",
        )


async def note_in_force(connection: Connection, list_no: int, now: datetime) -> None:
    """Take a list out of the way of its parts: it is in force with this transaction."""
    await connection.execute("update upload_list set in_force_at = $2 where no = $1", list_no, now)


async def has_refusals(connection: Connection, list_no: int) -> bool:
    """Say whether items of a list were refused."""
    return await connection.fetchval(
        "select exists (select from list_part where list_no = $1 and complete and refused > 0)", list_no
    )


# ---------------------------------------------------------------- forgetting

#: A list in parts that is not complete by then is forgotten.
LISTS_LAST: Final = timedelta(days=1)

#: What a process that died has left of a list in force goes too.
_OVER: Final = """
select no, operation, list_id is null or greatest(begun_at, in_force_at) < $1 as over from upload_list
where (list_id is null or greatest(begun_at, in_force_at) < $1
    or in_force_at is not null and exists (select from list_part where list_no = upload_list.no))
and ($2::int is null or role_id = $2)
"""


async def forget_lists(database: Database, now: datetime, role_id: int | None = None) -> None:
    """Forget lists that did not become complete in a day, and names of those that did, of one role or of all."""
    async with database.session() as session:
        for row in await session.connection.fetch(_OVER, now - LISTS_LAST, role_id):
            kind = next(kind for kind in KINDS if kind.operation == row["operation"])
            await (forget_list if row["over"] else forget_parts)(session, kind, row["no"])


async def forget_list(session: Session, kind: Kind, list_no: int) -> None:
    """Forget a list that is done with."""
    await forget_parts(session, kind, list_no)
    await session.write(lambda connection: connection.execute("delete from upload_list where no = $1", list_no))


async def forget_parts(session: Session, kind: Kind, list_no: int) -> None:
    """Forget the parts of a list that is in force; its name is still known."""
    for row in await session.connection.fetch("select no from list_part where list_no = $1", list_no):
        await _forget_part(session, kind, row["no"])


async def _forget_part(session: Session, kind: Kind, part_no: int) -> None:
    table = kind.table.name
    beyond = await session.connection.fetchval(f"select max(place) + 1 from {table} where part_no = $1", part_no)
    pace = Pace()
    for places in pace.slices(range(beyond or 0)):
        delete = f"delete from {table} where part_no = $1 and place >= $2 and place <= $3"
        args = (part_no, places[0], places[-1])
        with pace.timing(len(places)):
            await session.write(lambda connection, args=args, delete=delete: connection.execute(delete, *args))
    await session.write(lambda connection: connection.execute("delete from list_part where no = $1", part_no))
