"""Whole lists in parts: each part is checked and staged on its own; the list goes into force when all of it is there.

A part is one short transaction. The list goes into force in one more, which writes only what differs from what stands:
readers see the old list or the new one. The same part again replaces itself. A list that is not complete a day after it
began is forgotten with the party's next upload.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Table

from app.db.engine import Connection, Database
from app.db.tables import listed_evse, listed_parking_spot
from app.errors import BadInput, HubError
from app.ids import InvalidId, party_of
from app.ingest.records import Refusal
from app.ingest.uploads import CHARGE_POINTS, PARKING_SPOTS, Noun, Owner

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
        return tuple(column.name for column in self.table.columns)[3:]


CHARGE_POINT_LIST: Final = Kind("setChargePointList", CHARGE_POINTS, listed_evse)
PARKING_SPOT_LIST: Final = Kind("setParkingSpotList", PARKING_SPOTS, listed_parking_spot)


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


_FIND_OR_MAKE: Final = """
insert into upload_list (partner_id, role_id, operation, list_id, begun_at) values ($1, $2, $3, $4, $5)
on conflict (role_id, operation, list_id) do update set begun_at = upload_list.begun_at
returning no
"""

_COUNT_OTHERS: Final = """
select coalesce(sum(items), 0) from list_part join upload_list on upload_list.no = list_no
where role_id = $1 and (list_no, number) <> ($2, $3)
"""


async def stage_part(
    connection: Connection,
    kind: Kind,
    owner: Owner,
    part: Part,
    rows: Sequence[tuple[int, dict[str, Any]]],
    refused: Sequence[Refusal],
    now: datetime,
) -> Staged:
    """Keep a part until its list is complete; the uploader is locked. Raises: BadInput; ListTooLarge."""
    list_no = await connection.fetchval(
        _FIND_OR_MAKE, owner.partner_id, owner.role_id, kind.operation, part.list_id, now
    )
    known = await connection.fetch("select number, last from list_part where list_no = $1", list_no)
    _check_place(part, {row["number"]: row["last"] for row in known if row["number"] != part.number})
    others = await connection.fetchval(_COUNT_OTHERS, owner.role_id, list_no, part.number)
    if others + len(rows) > MOST_LISTED:
        raise ListTooLarge(
            f"{others + len(rows)} items in your lists that are not complete; at most {MOST_LISTED} are possible",
            "finish the others first, or wait a day until they are forgotten",
        )
    await connection.execute("delete from list_part where list_no = $1 and number = $2", list_no, part.number)
    await connection.execute(
        "insert into list_part (list_no, number, last, items, refused, kept_ids) values ($1, $2, $3, $4, $5, $6)",
        *(list_no, part.number, part.last, len(rows), len(refused), kept_ids(refused, kind.noun, owner)),
    )
    if rows:
        await connection.copy_records_to_table(
            kind.table.name,
            records=[(list_no, part.number, index, *(row[name] for name in kind.columns)) for index, row in rows],
            columns=("list_no", "part", "place", *kind.columns),
        )
    return Staged(list_no, await missing_parts(connection, list_no))


def _check_place(part: Part, others: dict[int, bool]) -> None:
    last = next((number for number, is_last in others.items() if is_last), None)
    if last is not None and (part.last or part.number > last):
        raise BadInput(f"part {part.number} cannot follow: part {last} of this list was called the last")
    if part.last and others and max(others) > part.number:
        raise BadInput(f"part {part.number} cannot be the last: part {max(others)} of this list is here")


async def missing_parts(connection: Connection, list_no: int) -> tuple[int, ...] | None:
    """Give the numbers that a list lacks; None while nobody knows how many it has."""
    rows = await connection.fetch("select number, last from list_part where list_no = $1", list_no)
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


_BEGIN_FLIP: Final = "update upload_list set list_id = null where no = $1 and list_id is not null returning no"


async def begin_flip(connection: Connection, list_no: int) -> bool:
    """Take a list that is still complete out of the way of its parts; say whether it is there."""
    if await missing_parts(connection, list_no) != ():
        return False
    return await connection.fetchval(_BEGIN_FLIP, list_no) is not None


async def has_refusals(connection: Connection, list_no: int) -> bool:
    """Say whether items of a list were refused."""
    return await connection.fetchval(
        "select exists (select from list_part where list_no = $1 and refused > 0)", list_no
    )


async def forget_list(database: Database, list_no: int) -> None:
    """Forget a list that is done with."""

    async def work(connection: Connection) -> None:
        await connection.execute("delete from upload_list where no = $1", list_no)

    await database.write(work)
