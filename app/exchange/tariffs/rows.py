"""From tariffs to rows, and what changed for which provider. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec
import orjson

from app.records.tariff import IndividualTariff, Tariff
from app.visibility.tariff_audience import ALL_BUT

#: Count up when the same tariff must be written again because its rows came to mean something else.
LAYOUT: Final = 1


@dataclass(frozen=True, slots=True)
class IndividualRow:
    """An individual tariff as columns. `elements`: JSON."""

    recipients: tuple[str, ...]
    currency: str
    elements: str
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A tariff as columns. `individual`: in the order of their numbers, the default first."""

    tariff_id: str
    individual: tuple[IndividualRow, ...]
    content_hash: bytes

    @property
    def numbers(self) -> Mapping[str, int]:
        """Return the numbers of the individual tariffs by recipient."""
        return {party_id: number for number, each in enumerate(self.individual) for party_id in each.recipients}


@dataclass(slots=True)
class Shown:
    """What callers are shown of a tariff, as hashes, and since when.

    `named`: of providers that are recipients, or were; all other callers are shown the default.
    """

    default: bytes
    default_since: datetime
    named: dict[str, tuple[bytes, datetime]] = field(default_factory=dict[str, tuple[bytes, datetime]])

    def to(self, party_id: str) -> tuple[bytes, datetime]:
        return self.named.get(party_id, (self.default, self.default_since))


@dataclass(frozen=True, slots=True)
class Moved:
    """A tariff that is written. `since`: since when each provider that has a row is shown what it is shown now.

    `recipients`: what the log says of the callers that are shown something else now (app/db/tables/log.py). `numbers`:
    of the individual tariffs by recipient.
    """

    row: TariffRow
    existed: bool
    default_since: datetime
    since: Mapping[str, datetime]
    recipients: tuple[str, ...]
    numbers: Mapping[str, int]


def row_of(tariff: Tariff) -> TariffRow:
    """Return a tariff as columns. The order of individual tariffs means nothing; that of elements may."""
    individual = tuple(
        _individual(each) for each in sorted(tariff.individual_tariffs, key=lambda each: each.recipients)
    )
    said = [[each.recipients, each.content_hash.hex()] for each in individual]
    return TariffRow(tariff.tariff_id, individual, _hash(orjson.dumps(said)))


def _individual(each: IndividualTariff) -> IndividualRow:
    said = _without_absent(msgspec.to_builtins(each.elements, builtin_types=(Decimal, datetime)))
    elements = orjson.dumps(said, default=_digits, option=orjson.OPT_UTC_Z)
    return IndividualRow(each.recipients, each.currency, elements.decode(), _hash(each.currency.encode() + elements))


def _without_absent(value: Any) -> Any:
    """Leave out what is absent, so that an optional field that a release adds changes no content."""
    if isinstance(value, dict):
        members = cast(dict[str, Any], value).items()
        return {name: _without_absent(each) for name, each in members if each is not None and each != []}
    return [_without_absent(each) for each in cast(list[Any], value)] if isinstance(value, list) else value


def _digits(value: Any) -> str:
    """Write a decimal with the digits that were sent: `str` would write 0.0000001 as 1E-7."""
    return format(value, "f")


def _hash(content: bytes) -> bytes:
    return blake2b(bytes([LAYOUT]) + content, digest_size=16).digest()


def moved(row: TariffRow, before: Shown | None, now: datetime) -> Moved:
    """Compare what callers are shown of a tariff with what they were shown before; None: it did not exist."""
    numbers, default = row.numbers, row.individual[0].content_hash
    if before is None:
        return Moved(row, False, now, dict.fromkeys(numbers, now), (ALL_BUT,), numbers)
    since: dict[str, datetime] = {}
    changed: set[str] = set()
    for party_id in {*before.named, *numbers}:
        was, was_since = before.to(party_id)
        is_other = row.individual[numbers.get(party_id, 0)].content_hash != was
        since[party_id] = now if is_other else was_since
        if is_other:
            changed.add(party_id)
    if default == before.default:
        return Moved(row, True, before.default_since, since, _sorted(changed), numbers)
    return Moved(row, True, now, since, (ALL_BUT, *_sorted(since.keys() - changed)), numbers)


def _sorted(party_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(party_ids))
