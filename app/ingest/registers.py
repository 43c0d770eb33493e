"""Import a register: a published file of charge points, for operators that no partner holds.

Records of a register are replaced by its next file. It is written in batches, each a short transaction that leaves the
tables consistent, so an import that crashed is completed by the next one. Rules:

- EVSEs that operators uploaded, and those of other registers, are never changed; their locations stay.
- Within a register the newer file counts: a location that moved moves with its EVSEs, also those of later batches.
- EVSEs of the register that the file does not name are removed at the end. One that it names but whose row is refused
  keeps its previous record, as with uploads: absence removes, damage does not.
- An operator that is not in the file, and has no EVSE of the register left, no longer has the register as its source.
- Once a partner holds a party id, the EVSEs under it are the partner's, those from the register too.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

import msgspec

from app.db.engine import Connection, Database
from app.ids import InvalidId, normalise_evse_id, party_of, separated_evse_id, separated_party_id
from app.ingest.charge_points import tables as evse_tables
from app.ingest.charge_points.location_agreement import find_mismatches
from app.ingest.charge_points.tables import StoredEvse
from app.ingest.charge_points.updates import (
    Item,
    Outcome,
    Reason,
    item_of,
    mismatch_reasons,
    moving_placements,
    staying_places,
    write_changed,
)
from app.records.charge_point import Read
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.locks import lock_operators
from app.uploads.whole_list import TooManyRemovals

T = TypeVar("T")

#: Rows per transaction: a few tenths of a second, in which the operators' own uploads wait.
BATCH: Final = 500

#: After so many rows the statistics of tables that may have been empty are updated: until then the planner assumes
#: 200 different ids.
FIRST_ANALYZED: Final = 5_000


class Survey(Protocol):
    """The results of a first pass over a register's file."""

    @property
    def operators(self) -> Mapping[str, str]:
        """The most frequent name of every party id in the file."""
        ...

    @property
    def rows(self) -> int: ...


class Register(Protocol):
    """A register's file, as its reader offers it. EVSEs of one location agree in what it yields."""

    @property
    def source(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def warnings(self) -> Counter[str]: ...

    def survey(self) -> Survey: ...

    def read(self) -> Iterator[Read]: ...


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a register's file: rows = accepted + unchanged + refused. `removed`: EVSEs it no longer names."""

    rows: int
    accepted: int
    unchanged: int
    removed: int
    refused: Mapping[str, int]
    warnings: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some items of a file, prepared. `rows`: the number of rows read so far; `named`: the EVSEs that they name."""

    rows: int
    wanted: dict[str, Item]
    refused: list[Refusal]
    named: set[str]


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    accepted: int = 0
    unchanged: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])


async def import_register(
    database: Database,
    register: Register,
    now: datetime,
    progress: Callable[[int], None] | None = None,
    *,
    confirm_removals: bool = False,
    refusals: Path | None = None,
) -> ImportReport:
    """Replace a register's EVSEs by those of its file.

    `progress` receives the number of rows done so far. `refusals`: a file to write, one JSON object per refused row.
    Raises: TooManyRemovals when more than half of the register's EVSEs would be removed: the file's EVSEs are written
    then, and none is removed.
    """
    survey = await asyncio.to_thread(register.survey)
    numbers = await database.write(lambda connection: _know_operators(connection, register, survey.operators))
    absent = await _find_standing(database, register.source)
    stood, tally = len(absent), _Tally()
    with open_report(refusals) as report:
        async with aclosing(read_ahead(_batches(register, numbers))) as batches:
            async for batch in batches:
                refused = await _take_in(database, batch, register.source, now, tally)
                report.writelines(msgspec.json.encode(each) + b"\n" for each in refused)
                absent -= batch.named
                if batch.rows >= FIRST_ANALYZED > batch.rows - BATCH:
                    await _analyze(database)
                if progress is not None:
                    progress(tally.rows)
    if not confirm_removals and len(absent) * 2 > stood:
        raise _too_many(register.source, len(absent), stood)
    removed = await _remove(database, register.source, absent, now)
    names = list(survey.operators)
    await database.write(lambda connection: connection.execute(_NO_LONGER_NAME, register.source, names))
    await _analyze(database)
    return ImportReport(
        tally.rows, tally.accepted, tally.unchanged, removed, dict(tally.refused), dict(register.warnings)
    )


async def _analyze(database: Database) -> None:
    """Update the planner's statistics: the server would after a minute, or never if it stops before.

    Only the tables' owner may; an import under another login leaves it to the server.
    """
    for table in ("evse", "evse_status", "location"):
        sql = f"set local role none; analyze {table}"
        await database.write(lambda connection, sql=sql: connection.execute(sql))


async def _take_in(database: Database, batch: _Batch, source: str, now: datetime, tally: _Tally) -> list[Refusal]:
    """Write a batch in a transaction of its own, count it, and return its refusals."""
    outcome = await database.write(lambda connection: _put(connection, batch, source, now))
    late = [_refusal(batch.wanted[evse_id].index, evse_id, reason) for evse_id, reason in outcome.refused.items()]
    refused = sorted((*batch.refused, *late), key=lambda each: each.index)
    tally.rows = batch.rows
    tally.accepted += outcome.accepted
    tally.unchanged += outcome.unchanged
    tally.refused.update(each.code for each in refused)
    return refused


def open_report(path: Path | None) -> BinaryIO:
    """Open the file of refusals; without a path they are discarded."""
    return Path(os.devnull if path is None else path).open("wb")


# ---------------------------------------------------------------- reading


async def read_ahead(batches: Iterator[T]) -> AsyncGenerator[T, None]:
    """Yield batches while a thread prepares the next one: PostgreSQL and the reader work at the same time."""
    reading = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await reading) is not None:
            reading = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        await asyncio.wait([reading])


def _batches(register: Register, numbers: Mapping[str, int]) -> Iterator[_Batch]:
    """Read the file in parts. The first of several rows for one EVSE counts; the others may lie many parts apart."""
    items = enumerate(register.read())
    first: dict[str, int] = {}
    rows = 0
    while part := list(islice(items, BATCH)):
        rows += len(part)
        batch = _Batch(rows, {}, [], set())
        for index, item in part:
            if isinstance(item, Refusal):
                batch.refused.append(item)
                batch.named.update(_named_by(item))
            elif item.evse_id in first:
                batch.refused.append(_refusal(index, item.evse_id, _duplicate(item.evse_id, first[item.evse_id])))
            else:
                first[item.evse_id] = index
                number = numbers[party_of(item.evse_id)]
                batch.wanted[item.evse_id] = item_of(item, index, number, register.source)
        batch.named.update(batch.wanted)
        yield batch


def _named_by(refusal: Refusal) -> Iterator[str]:
    with suppress(InvalidId):
        yield normalise_evse_id(refusal.id or "")


# ---------------------------------------------------------------- deciding and writing


async def _put(connection: Connection, batch: _Batch, source: str, now: datetime) -> Outcome:
    """Write a batch without EVSEs that the register may not touch or that contradict locations of other sources."""
    wanted = batch.wanted
    roles = await lock_operators(connection, {each.placement.location.operator_no for each in wanted.values()})
    before = await evse_tables.find_evses(connection, wanted)
    held = _held(wanted, before, roles, source)
    free = {evse_id: item for evse_id, item in wanted.items() if evse_id not in held}
    moving = moving_placements(free, before)
    locations = await evse_tables.find_locations(
        connection, {placement.location for placement in moving.values()}, free, source
    )
    # The register's own EVSEs decide no location's place: they move with it.
    mismatches = find_mismatches(moving, {}, staying_places(locations))
    places = {placement.location: placement.place for evse_id, placement in moving.items() if evse_id not in mismatches}
    moved = {key: places[key] for key, stored in locations.items() if key in places and places[key] != stored.place}
    if moved:
        await evse_tables.move_along(connection, moved, source, now)
    return await write_changed(connection, wanted, before, {**held, **mismatch_reasons(moving, mismatches)}, now)


def _held(
    wanted: Mapping[str, Item],
    before: Mapping[str, StoredEvse],
    roles: Mapping[int, int | None],
    source: str,
) -> dict[str, Reason]:
    """Refuse EVSEs of partners and of other sources."""
    held: dict[str, Reason] = {}
    for evse_id, item in wanted.items():
        stored = before.get(evse_id)
        if roles[item.placement.location.operator_no] is not None or (stored is not None and stored.source is None):
            held[evse_id] = _held_by_operator(evse_id)
        elif stored is not None and stored.source != source:
            held[evse_id] = _held_by_register(evse_id, stored.source)
    return held


async def _remove(database: Database, source: str, evse_ids: Collection[str], now: datetime) -> int:
    """Remove EVSEs of a register in small transactions."""
    ordered = iter(sorted(evse_ids))
    removed = 0
    while part := list(islice(ordered, BATCH)):
        gone = await database.write(lambda connection, part=part: _remove_part(connection, source, part, now))
        removed += len(gone)
    return removed


async def _remove_part(connection: Connection, source: str, evse_ids: list[str], now: datetime) -> set[str]:
    before = await evse_tables.find_evses(connection, evse_ids)
    operator_nos = {stored.placement.location.operator_no for stored in before.values()}
    await lock_operators(connection, operator_nos)
    return await evse_tables.delete(connection, evse_ids, operator_nos, now, source)


_FIND_STANDING: Final = """
select evse_id from evse join operator on operator.no = operator_no
where evse.source = $1 and operator.role_id is null
"""


async def _find_standing(database: Database, source: str) -> set[str]:
    return {row["evse_id"] for row in await database.fetch(_FIND_STANDING, source)}


#: An operator without a partner takes name, source and licence from the register that brought its EVSEs; one that has
#: no EVSE of another source is taken over and opened.
_KNOW_OPERATORS: Final = """
insert into operator (party_id, name, open, source, licence)
select party_id, name, true, $3, $4 from unnest($1::text[], $2::text[]) as known (party_id, name) order by party_id
on conflict (party_id) do update set
    name = excluded.name, source = excluded.source, licence = excluded.licence,
    open = operator.open or operator.source is distinct from excluded.source
where operator.role_id is null
and (operator.name, operator.source, operator.licence)
    is distinct from (excluded.name, excluded.source, excluded.licence)
and (operator.source is not distinct from excluded.source
    or not exists (
        select from evse where evse.operator_no = operator.no and evse.source is distinct from excluded.source
    ))
"""

#: Source and licence stay as long as the file has the operator, or an EVSE of the register is left.
_NO_LONGER_NAME: Final = """
update operator set source = null, licence = null
where source = $1 and (role_id is not null or party_id <> all($2::text[]))
and not exists (select from evse where evse.operator_no = operator.no and evse.source = operator.source)
"""


async def _know_operators(connection: Connection, register: Register, names: Mapping[str, str]) -> dict[str, int]:
    """Create the operators of a register, or rename them as it does; return their numbers by party id."""
    await connection.execute(_KNOW_OPERATORS, list(names), list(names.values()), register.source, register.licence)
    rows = await connection.fetch("select party_id, no from operator where party_id = any($1)", list(names))
    return {row["party_id"]: row["no"] for row in rows}


# ---------------------------------------------------------------- sentences


def _refusal(index: int, evse_id: str, reason: Reason) -> Refusal:
    return Refusal(
        path=f"rows[{index}]{reason.field}",
        index=index,
        id=separated_evse_id(evse_id),
        code=reason.code,
        message=reason.message,
    )


def _duplicate(evse_id: str, first: int) -> Reason:
    message = f"{separated_evse_id(evse_id)} is in this file already; rows[{first}], the first one, counts"
    return Reason(".evseId", RefusalCode.DUPLICATE, message)


def _held_by_operator(evse_id: str) -> Reason:
    party_id = separated_party_id(party_of(evse_id))
    message = f"{party_id} is held by a partner; a register no longer overwrites its EVSEs"
    return Reason("", RefusalCode.HELD_BY_OPERATOR, message)


def _held_by_register(evse_id: str, source: str | None) -> Reason:
    message = f"{separated_evse_id(evse_id)} came from {source}; one register does not overwrite another's EVSEs"
    return Reason("", RefusalCode.HELD_BY_REGISTER, message)


def _too_many(source: str, absent: int, stood: int) -> TooManyRemovals:
    return TooManyRemovals(
        f"{absent} of {stood} EVSEs from {source} are not in this file, more than half; none was removed",
        "check that it is the right file; to remove them import it again and confirm the removals",
    )
