"""Replay a file of live states into the hub, in file order, as if its operators spoke now, or with its own times.

Only EVSEs that a register brought and whose operator no partner holds are spoken of; partners speak for themselves. It
goes in batches, each a short transaction, by the same statements as an upload.

Time: the file's first instant becomes the instant of the import. What follows it passes so many times faster as
`Pace.speed` says, and is written when its time has come; without a speed it is written at once, a day passing in a
second, so that the order of the operators' clocks stays and nothing lies ahead. What lies before keeps its age.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec

from app.db.engine import Connection, Database
from app.formats.irve.dynamic import Event, Survey
from app.ids import party_of, separated_evse_id, separated_party_id
from app.ingest.registers import open_report, read_ahead
from app.ingest.status.tables import write_evses
from app.uploads.checks import Refusal, RefusalCode

BATCH: Final = 1_000
#: How much faster than real time the instants of a file pass that is replayed at once.
AT_ONCE: Final = 100_000.0


class Feed(Protocol):
    """A file of live states, as its reader offers it."""

    @property
    def warnings(self) -> Counter[str]: ...

    def survey(self) -> Survey: ...

    def read(self) -> Iterator[Event | Refusal]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`speed`: how many times real time; None: at once. `keep_times`: the file's instants stay as they are."""

    speed: float | None = None
    keep_times: bool = False


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of a file: rows = accepted + unchanged + older + refused.

    `older`: what another row, or the hub, knew better by a newer instant.
    """

    rows: int
    accepted: int
    unchanged: int
    older: int
    refused: Mapping[str, int]
    warnings: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a replay needs of the world: the clock, and how long a state is trusted."""

    clock: Callable[[], datetime]
    trust: timedelta
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class _Batch:
    """Rows in file order, at most one for each EVSE. `rows`: how many were read up to here; `due`: when to write it."""

    rows: int = 0
    events: dict[str, Event] = field(default_factory=dict[str, Event])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    due: datetime | None = None

    def is_full(self, size: int) -> bool:
        return len(self.events) >= size or len(self.refused) >= size

    def takes(self, event: Event, shift: "_Shift") -> bool:
        """Return whether the batch can take a row beside those that it has."""
        return not self.events or (event.status.evse_id not in self.events and self.due == shift.due(event.collected))


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    accepted: int = 0
    unchanged: int = 0
    older: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])


async def replay(
    database: Database,
    feed: Feed,
    survey: Survey,
    pace: Pace,
    surroundings: Surroundings,
    progress: Callable[[int], None] | None = None,
    *,
    refusals: Path | None = None,
    batch_size: int = BATCH,
) -> ReplayReport:
    """Write a file's statuses, row after row; `progress` receives the number of rows done.

    `refusals`: a file to write, one JSON object per refused row.
    """
    begins = surroundings.clock()
    shift = _Shift(survey.begins or begins, begins, pace)
    tally = _Tally()
    with open_report(refusals) as report:
        async with aclosing(read_ahead(_batches(feed, shift, batch_size))) as batches:
            async for batch in batches:
                if batch.due is not None and (wait := (batch.due - surroundings.clock()).total_seconds()) > 0:
                    await surroundings.sleep(wait)
                refused = await _take_in(database, batch, surroundings, tally)
                report.writelines(msgspec.json.encode(each) + b"\n" for each in refused)
                if progress is not None:
                    progress(tally.rows)
    return ReplayReport(
        tally.rows, tally.accepted, tally.unchanged, tally.older, dict(tally.refused), dict(feed.warnings)
    )


# ---------------------------------------------------------------- time


@dataclass(frozen=True, slots=True)
class _Shift:
    """Where the instants of a file go: `origin`, its first one, to `begins`."""

    origin: datetime
    begins: datetime
    pace: Pace

    def moved(self, at: datetime) -> datetime:
        """Map an instant of the file to one of the replay; later ones never become earlier."""
        if self.pace.keep_times:
            return at
        passed = at - self.origin
        return self.begins + (passed / (self.pace.speed or AT_ONCE) if passed > timedelta(0) else passed)

    def due(self, collected: datetime | None) -> datetime | None:
        """Return when a row is to be written; None: at once."""
        if self.pace.speed is None or collected is None:
            return None
        return self.begins + (collected - self.origin) / self.pace.speed


def _batches(feed: Feed, shift: _Shift, size: int) -> Iterator[_Batch]:
    """Read the file in parts that end before a second row of one EVSE, and before a row that is due later."""
    batch = _Batch()
    for rows, item in enumerate(feed.read(), 1):
        if batch.is_full(size) or (isinstance(item, Event) and not batch.takes(item, shift)):
            yield batch
            batch = _Batch()
        if isinstance(item, Event):
            status = item.status._replace(at=shift.moved(item.status.at))
            batch.events[status.evse_id] = item._replace(status=status)
            batch.due = shift.due(item.collected)
        else:
            batch.refused.append(item)
        batch.rows = rows
    if batch.rows > 0:
        yield batch


# ---------------------------------------------------------------- writing


async def _take_in(database: Database, batch: _Batch, surroundings: Surroundings, tally: _Tally) -> list[Refusal]:
    """Write a batch in a transaction of its own, count it, and return its refusals."""
    statuses = [event.status for _, event in sorted(batch.events.items())]

    async def work(connection: Connection) -> tuple[dict[str, bool], int, int]:
        free = await _lock(connection, [each.evse_id for each in statuses])
        writable = [each for each in statuses if free.get(each.evse_id)]
        if not writable:
            return free, 0, 0
        written = await write_evses(connection, writable, surroundings.clock(), surroundings.trust)
        return free, written.current, written.changed

    free, current, changed = await database.write(work) if statuses else ({}, 0, 0)
    late = [_refusal(event.row, id_, free.get(id_)) for id_, event in batch.events.items() if not free.get(id_)]
    refused = sorted((*batch.refused, *late), key=lambda each: each.index)
    tally.rows = batch.rows
    tally.accepted += changed
    tally.unchanged += current - changed
    tally.older += len(statuses) - len(late) - current
    tally.refused.update(each.code for each in refused)
    return refused


_LOCK: Final = """
select array_agg(evse_id) filter (where free) as free, array_agg(evse_id) filter (where not free) as held
from (
    select evse_id, source is not null and role_id is null as free
    from evse_status join (
        select evse_id, evse.source, operator.role_id from evse join operator on operator.no = operator_no
    ) as evse using (evse_id)
    where evse_id = any($1::text[]) order by evse_id for no key update of evse_status
) as locked
"""


async def _lock(connection: Connection, evse_ids: list[str]) -> dict[str, bool]:
    """Lock the statuses of EVSEs; return for each that exists whether a register may write it."""
    row = await connection.fetchrow(_LOCK, evse_ids)
    assert row is not None
    return {**dict.fromkeys(row["held"] or (), False), **dict.fromkeys(row["free"] or (), True)}


def _refusal(index: int, evse_id: str, free: bool | None) -> Refusal:
    shown_id, party_id = separated_evse_id(evse_id), separated_party_id(party_of(evse_id))
    if free is None:
        code, message = RefusalCode.UNKNOWN_EVSE, f"{shown_id} is not in the hub; import its register first"
    else:
        message = f"{shown_id} is {party_id}'s own, and a partner speaks for itself; a register does not"
        code = RefusalCode.HELD_BY_OPERATOR
    return Refusal(path=f"rows[{index}].id_pdc_itinerance", index=index, id=shown_id, code=code, message=message)
