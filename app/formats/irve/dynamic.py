"""Live states of French charge points: the national IRVE dynamic schema, as CSV, plain or gzipped.

Two kinds of file: a snapshot, one row per EVSE and publisher, and a day's events, each with the time at which it was
collected (`horodatage_collecte`), in that order. `dynamic.md` says column by column what becomes of what.
Pure but for reading the file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from app.formats.csv_file import read_rows
from app.formats.irve.row import RowRefused
from app.ids import InvalidId, normalise_evse_id, shown, storable
from app.records.status import EvseStatus
from app.records.status_input import CLOCKS_DIFFER, EARLIEST
from app.uploads.checks import Refusal, RefusalCode
from app.vocabulary import MajorStatus, MinorStatus

COLUMNS: Final = ("id_pdc_itinerance", "etat_pdc", "occupation_pdc", "horodatage")
COLLECTED: Final = "horodatage_collecte"
SCHEMA: Final = "the IRVE dynamic schema"
#: Times without an offset are on the clock of the country.
FRANCE: Final = ZoneInfo("Europe/Paris")

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(Z|[+-]\d{2}:\d{2})?", re.ASCII)

Row = Mapping[str, str]


class DynamicWarning(StrEnum):
    """What was understood although the row says something else besides."""

    BROKEN_YET_FREE = "BROKEN_YET_FREE"
    BROKEN_YET_TAKEN = "BROKEN_YET_TAKEN"
    STATE_UNKNOWN_YET_OCCUPANCY = "STATE_UNKNOWN_YET_OCCUPANCY"
    NO_OFFSET = "NO_OFFSET"


class Event(NamedTuple):
    """A row, numbered from 0. `status.at`: the operator's clock; `collected`: when the row was; None: in snapshots."""

    row: int
    status: EvseStatus
    collected: datetime | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look at the file tells: its rows, and the instant at which its time begins (or was taken)."""

    rows: int
    begins: datetime | None


class IrveDynamic:
    """One file of states. `now`: nothing in it can be later."""

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self.now = now
        #: What was said besides, by `DynamicWarning`; filled while reading.
        self.warnings: Counter[str] = Counter()

    def survey(self) -> Survey:
        """Read the file to its end once. Raises: UnreadableFile."""
        rows, first, newest = 0, None, None
        for index, row in self._rows():
            rows = index + 1
            if row is None:
                continue
            if COLLECTED in row:
                first = first or read_instant(row[COLLECTED])
            elif (at := read_instant(row["horodatage"])) is not None and at <= self.now:
                newest = at if newest is None else max(newest, at)
        return Survey(rows, first or newest)

    def read(self) -> Iterator[Event | Refusal]:
        """Yield one event or refusal per row, in file order. Raises: UnreadableFile."""
        self.warnings.clear()
        for index, row in self._rows():
            try:
                yield self._event(row, index)
            except RowRefused as refused:
                yield _refusal(refused, row, index)

    def _rows(self) -> Iterator[tuple[int, Row | None]]:
        return read_rows(self.path, COLUMNS, SCHEMA, (COLLECTED,))

    def _event(self, row: Row | None, index: int) -> Event:
        if row is None:
            message = "the row has not as many cells as the header has columns"
            raise RowRefused("id_pdc_itinerance", RefusalCode.MALFORMED_ROW, message)
        evse_id = _evse_id(row["id_pdc_itinerance"])
        major, minor, doubt = _state(row["etat_pdc"], row["occupation_pdc"])
        collected = _instant(row, COLLECTED) if COLLECTED in row else None
        at = _instant(row, "horodatage")
        _check_time(at, collected or self.now)
        if doubt is not None:
            self.warnings[doubt] += 1
        if not _has_offset(row["horodatage"]):
            self.warnings[DynamicWarning.NO_OFFSET] += 1
        return Event(index, EvseStatus(evse_id, major, minor, None, at), collected)


def _evse_id(text: str) -> str:
    try:
        return normalise_evse_id(text.strip())
    except InvalidId as error:
        raise RowRefused("id_pdc_itinerance", RefusalCode.INVALID_ID, error.message) from None


_STATES: Final = ("en_service", "hors_service", "inconnu")
_OCCUPANCIES: Final[Mapping[str, tuple[MajorStatus, MinorStatus | None]]] = {
    "libre": (MajorStatus.AVAILABLE, None),
    "occupe": (MajorStatus.NOT_AVAILABLE, MinorStatus.CHARGING),
    "reserve": (MajorStatus.NOT_AVAILABLE, MinorStatus.RESERVED),
    "inconnu": (MajorStatus.UNKNOWN, None),
}


@lru_cache(maxsize=64)
def _state(state: str, occupancy: str) -> tuple[MajorStatus, MinorStatus | None, DynamicWarning | None]:
    """Read what works and what is taken; what does not work cannot be used, whatever its occupancy is."""
    if state not in _STATES:
        raise _unknown("etat_pdc", state, _STATES)
    if occupancy not in _OCCUPANCIES:
        raise _unknown("occupation_pdc", occupancy, _OCCUPANCIES)
    said = occupancy != "inconnu"
    if state == "hors_service":
        doubt = DynamicWarning.BROKEN_YET_FREE if occupancy == "libre" else DynamicWarning.BROKEN_YET_TAKEN
        return MajorStatus.NOT_AVAILABLE, MinorStatus.OUT_OF_ORDER, doubt if said else None
    if state == "inconnu":
        return MajorStatus.UNKNOWN, None, DynamicWarning.STATE_UNKNOWN_YET_OCCUPANCY if said else None
    major, minor = _OCCUPANCIES[occupancy]
    return major, minor, None


def _unknown(column: str, word: str, possible: Mapping[str, object] | tuple[str, ...]) -> RowRefused:
    message = f"{shown(word)} is not known; possible: {', '.join(possible)}"
    return RowRefused(column, RefusalCode.UNKNOWN_VALUE, message)


@lru_cache(maxsize=4_096)
def read_instant(text: str) -> datetime | None:
    """Read a time in any of the spellings that occur; None: it is none. Without an offset it is French time."""
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=FRANCE)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _has_offset(text: str) -> bool:
    return text.endswith("Z") or text[-6] in "+-"


def _instant(row: Row, column: str) -> datetime:
    at = read_instant(row[column])
    if at is None:
        message = f"{shown(row[column])} is not an instant; expected one like 2026-01-31T12:00:00Z"
        raise RowRefused(column, RefusalCode.PATTERN, message)
    return at


def _check_time(at: datetime, heard: datetime) -> None:
    if not EARLIEST <= at <= heard + CLOCKS_DIFFER:
        expected = f"from {EARLIEST.year} on and at most five minutes after {heard.isoformat()}"
        message = f"{at.isoformat()} is not possible; expected an instant {expected}"
        raise RowRefused("horodatage", RefusalCode.OUT_OF_RANGE, message)


def _refusal(refused: RowRefused, row: Row | None, index: int) -> Refusal:
    return Refusal(
        path=f"rows[{index}].{refused.column}",
        index=index,
        id=None if row is None else storable(row["id_pdc_itinerance"].strip(), 64),
        code=refused.code,
        message=refused.message,
    )
