"""The French register of charge points: the national IRVE static schema (data.gouv.fr), as CSV, plain or gzipped.

Read twice, row by row: `survey` finds what needs the whole file (operators' names, which row of a duplicate and which
place of a location stands), `read` then yields every row in file order as a charge point or as the reason why not.
`static.md` says column by column what becomes of what. Pure but for reading the file.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.formats.csv_file import read_rows
from app.formats.irve.row import COLUMNS, IrveWarning, Row, RowRefused, Understood, clean, understand
from app.formats.opening_hours_osm import NotUnderstood, read_opening_hours
from app.ids import InvalidId, normalise_evse_id, party_of, separated_party_id, storable
from app.records.charge_point import Address, ChargePoint
from app.uploads.checks import Refusal, RefusalCode

SOURCE: Final = "irve-static"
LICENCE: Final = "Licence Ouverte 2.0 (Etalab)"
ATTRIBUTION: Final = "Points de recharge pour véhicules électriques (IRVE), data.gouv.fr, Licence Ouverte 2.0 (Etalab)"


Key = tuple[str, str]
"""Party id and location id."""
Position = tuple[float, float]
"""Longitude, latitude in degrees, six decimals."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first reading of the whole file tells. `rows` counts data rows."""

    rows: int
    #: The most frequent name of each party id; its id where the file has no name.
    operators: Mapping[str, str]
    #: The rows that a later or newer row of the same EVSE-ID replaces.
    superseded: frozenset[int]
    #: The most frequent position and address of the locations that contradict themselves.
    positions: Mapping[Key, Position]
    addresses: Mapping[Key, Address]


class IrveStatic:
    """One file of the register. `now` decides which dates lie in the future."""

    source: str = SOURCE
    licence: str = LICENCE
    attribution: str = ATTRIBUTION

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self.now = now
        #: How many accepted rows have lost what, by `IrveWarning`; filled while reading.
        self.warnings: Counter[str] = Counter()
        #: The opening hours that were not understood, with the reason, by frequency; filled while reading.
        self.unknown_hours: Counter[str] = Counter()
        self._survey: Survey | None = None

    def survey(self) -> Survey:
        """Read the file to its end once, and give what `read` needs to know of it.

        Raises: UnreadableFile.
        """
        if self._survey is None:
            self._survey = _take_survey(_rows(self.path), self.now)
        return self._survey

    def read(self) -> Iterator[ChargePoint | Refusal]:
        """Yield one charge point or refusal per row, in file order; EVSEs of one location agree on their place.

        Raises: UnreadableFile.
        """
        survey = self.survey()
        self.warnings.clear()
        self.unknown_hours.clear()
        for index, row in _rows(self.path):
            try:
                charge_point, warnings = _placed(_understand(row, self.now), index, survey)
            except RowRefused as refusal:
                yield _refusal(refusal, index, row)
                continue
            self._note(warnings, row)
            yield charge_point

    def _note(self, warnings: tuple[IrveWarning, ...], row: Row | None) -> None:
        self.warnings.update(warnings)
        if row is not None and IrveWarning.HOURS_UNKNOWN in warnings:
            hours = read_opening_hours(row["horaires"])
            self.unknown_hours[hours.reason if isinstance(hours, NotUnderstood) else ""] += 1


def _understand(row: Row | None, now: datetime) -> Understood:
    if row is None:
        message = "the row has not as many cells as the header has columns"
        raise RowRefused("id_pdc_itinerance", RefusalCode.MALFORMED_ROW, message)
    return understand(row, now)


def _refusal(refusal: RowRefused, index: int, row: Row | None) -> Refusal:
    return Refusal(
        path=f"rows[{index}].{refusal.column}",
        index=index,
        id=None if row is None else storable(row["id_pdc_itinerance"].strip(), 64),
        code=refusal.code,
        message=refusal.message,
    )


# ---------------------------------------------------------------- the file


def _rows(path: Path) -> Iterator[tuple[int, Row | None]]:
    return read_rows(path, COLUMNS, "the IRVE static schema")


# ---------------------------------------------------------------- the whole file


class _Seen(NamedTuple):
    """What the survey keeps of the row that stands for an EVSE so far."""

    stamp: datetime
    number: int
    key: Key
    position: Position
    address: Address


_NO_STAMP = datetime.min.replace(tzinfo=UTC)


class _Tally:
    """Counts while the file runs past once. Grows with the EVSEs of the file, not with its texts."""

    def __init__(self) -> None:
        self.rows = 0
        self.names: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.seen: dict[str, _Seen] = {}
        self.superseded: set[int] = set()
        self._addresses: dict[Address, Address] = {}

    def count_name(self, row: Row) -> None:
        """Count the operator's name for the party id of a row, whether or not the row is accepted."""
        try:
            party = party_of(normalise_evse_id(row["id_pdc_itinerance"].strip()))
        except InvalidId:
            return
        if name := clean(row["nom_operateur"]):
            self.names[party][storable(name)] += 1

    def see(self, charge_point: ChargePoint, number: int) -> None:
        """Keep the newer of two rows of an EVSE, the later of two as new."""
        address = self._addresses.setdefault(charge_point.address, charge_point.address)
        stamp = charge_point.timestamp or _NO_STAMP
        seen = _Seen(stamp, number, _key(charge_point), _position(charge_point), address)
        stands = self.seen.setdefault(charge_point.evse_id, seen)
        if stands is not seen and seen.stamp >= stands.stamp:
            self.seen[charge_point.evse_id] = seen
            self.superseded.add(stands.number)
        elif stands is not seen:
            self.superseded.add(number)


def _take_survey(rows: Iterator[tuple[int, Row | None]], now: datetime) -> Survey:
    tally = _Tally()
    for number, row in rows:
        tally.rows = number + 1
        if row is None:
            continue
        tally.count_name(row)
        with suppress(RowRefused):
            tally.see(understand(row, now).charge_point, number)
    parties = sorted({each.key[0] for each in tally.seen.values()})
    operators = {party: _name(party, tally.names[party]) for party in parties}
    positions, addresses = _standing_places(tally.seen.values())
    return Survey(tally.rows, operators, frozenset(tally.superseded), positions, addresses)


def _name(party: str, names: Counter[str]) -> str:
    return names.most_common(1)[0][0] if names else separated_party_id(party)


def _key(charge_point: ChargePoint) -> Key:
    return party_of(charge_point.evse_id), charge_point.location_id


def _position(charge_point: ChargePoint) -> Position:
    return charge_point.position.longitude, charge_point.position.latitude


def _standing_places(seen: Iterable[_Seen]) -> tuple[dict[Key, Position], dict[Key, Address]]:
    """Find the most frequent position of each location that has several, and the most frequent address there.

    Among equally frequent ones the first of the file stands; of addresses first those that name their city.
    """
    at: defaultdict[Key, Counter[Position]] = defaultdict(Counter)
    named: defaultdict[Key, Counter[tuple[Position, Address]]] = defaultdict(Counter)
    for each in sorted(seen, key=lambda each: each.number):
        at[each.key][each.position] += 1
        named[each.key][each.position, each.address] += 1
    positions = {key: counted.most_common(1)[0][0] for key, counted in at.items() if len(counted) > 1}
    addresses: dict[Key, Address] = {}
    for key, counted in named.items():
        stands = positions.get(key)
        there = {address: n for (position, address), n in counted.items() if stands in (None, position)}
        if len(there) > 1:
            addresses[key] = max(there, key=lambda address: (there[address], address.city is not None))
    return positions, addresses


def _placed(understood: Understood, index: int, survey: Survey) -> Understood:
    """Return a row as it is or with its location's address.

    Raises: RowRefused, if another row of its EVSE or its location takes precedence.
    """
    charge_point, warnings = understood
    if index in survey.superseded:
        message = f"{charge_point.evse_id_as_sent} has another row; the newest date_maj counts, then the last row"
        raise RowRefused("id_pdc_itinerance", RefusalCode.DUPLICATE, message)
    key, position = _key(charge_point), _position(charge_point)
    stands = survey.positions.get(key, position)
    if position != stands:
        message = f"{list(position)} is not where most EVSEs of {charge_point.location_id} are: {list(stands)}"
        raise RowRefused("coordonneesXY", RefusalCode.LOCATION_MISMATCH, message)
    address = survey.addresses.get(key, charge_point.address)
    if address == charge_point.address:
        return understood
    placed = msgspec.structs.replace(charge_point, address=address)
    left_out = {*warnings, IrveWarning.ADDRESS_REPLACED} - {IrveWarning.CITY_UNKNOWN}
    left_out |= {IrveWarning.CITY_UNKNOWN} if address.city is None else set()
    return Understood(placed, tuple(sorted(left_out)))
