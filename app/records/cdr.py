"""Charge detail records: from one item of `cdrs`, as plain JSON values, to a checked record or what is wrong with it.

Decisions (*hub*: the reference is silent)
- Decimals are texts; a number is refused, since it may have been a float on its way. Prices and costs may be negative.
- Local times keep their offset and are shown as they were sent; `Z` is refused.
- Tokens and contract ids are personal data: no refusal quotes them.
- Two items have the same content where all but their status means the same: ids in any spelling, decimals by value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from hashlib import blake2b
from itertools import islice
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
import orjson
from msgspec import Meta

from app.ids import normalise_cdr_id, normalise_evse_id, normalise_tariff_id, party_of, storable
from app.records.authorisation import contract_id_of, unquoted
from app.records.base import Record
from app.records.charge_point import Address, Connector, Ratings
from app.records.charge_point_input import (
    MOST_REFUSALS,
    OPERATOR_LIMITS,
    address_flaws,
    id_flaws,
    without_nulls,
    year_flaws,
)
from app.records.token import Token, token_flaw
from app.uploads.checks import (
    VISIBLE,
    AtLeastOne,
    Flaw,
    LocalTime,
    Refusal,
    RefusalCode,
    SignedDecimal,
    UnsignedDecimal,
    flaws,
    is_object,
)
from app.vocabulary import BillingItem, CdrUploadStatus, ChargePointType

T = TypeVar("T", bound=Record)

#: Count up when the same CDR must be compared in another way.
LAYOUT: Final = 1
MOST_PERIODS: Final = 1_000
#: Products and sums of the decimals that are taken need fewer digits: nothing is ever rounded.
EXACT: Final = Context(prec=100)

Duration = Annotated[str, Meta(pattern=r"\A[0-9]{3}:[0-5][0-9]:[0-5][0-9]\Z", extra={"expected": "HHH:MM:SS"})]
MeterId = Annotated[str, Meta(min_length=1, max_length=20, pattern=VISIBLE, extra={"expected": "a text"})]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z", extra={"expected": "three capital letters"})]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=VISIBLE, extra={"expected": "a text"})]


class CdrPeriodInput(Record, frozen=True, kw_only=True):
    start: LocalTime
    end: LocalTime
    billing_item: BillingItem
    billing_value: UnsignedDecimal
    item_price: SignedDecimal
    period_cost: SignedDecimal | None = None
    tax_rate: UnsignedDecimal | None = None


class CdrInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape."""

    cdr_id: str
    evse_id: str
    token: Token
    contract_id: str
    session_id: str | None = None
    status: CdrUploadStatus = CdrUploadStatus.NEW
    start: LocalTime
    end: LocalTime
    duration: Duration | None = None
    address: Address
    charge_point_type: ChargePointType
    connector: Connector
    ratings: Ratings | None = None
    meter_id: MeterId | None = None
    periods: Annotated[tuple[CdrPeriodInput, ...], AtLeastOne]
    total_cost: SignedDecimal | None = None
    currency: Currency


@dataclass(frozen=True, slots=True)
class Period:
    """A period as it is billed. Instants are UTC."""

    started_at: datetime
    ended_at: datetime
    item: BillingItem
    value: Decimal
    price: Decimal
    cost: Decimal | None

    @property
    def exact_cost(self) -> Decimal:
        """Return value times price, with all digits."""
        return EXACT.multiply(self.value, self.price)


@dataclass(frozen=True, slots=True)
class Cdr:
    """A CDR right by itself. Ids are normalised, instants UTC; `sent` has what is stored as it came.

    `content_hash`: of all but the status.
    """

    index: int
    sent: CdrInput
    cdr_id: str
    evse_id: str
    contract_id: str
    session_id: UUID | None
    started_at: datetime
    ended_at: datetime
    periods: tuple[Period, ...]
    total_cost: Decimal | None
    content_hash: bytes

    @property
    def operator_id(self) -> str:
        return party_of(self.evse_id)

    @property
    def provider_id(self) -> str:
        return party_of(self.contract_id)

    @property
    def is_own_id(self) -> bool:
        """Return whether the id alone names the CDR, without its EVSE."""
        return is_own_id(self.cdr_id, self.operator_id)

    @property
    def key(self) -> tuple[str, str | None]:
        """Return what names the CDR among its operator's."""
        return self.cdr_id, None if self.is_own_id else self.evse_id

    @property
    def sum_of_periods(self) -> Decimal:
        """Return the sum of the period costs, of those that are absent value times price."""
        with localcontext(EXACT):
            return sum((each.exact_cost if each.cost is None else each.cost for each in self.periods), Decimal(0))

    @property
    def total(self) -> Decimal:
        return self.sum_of_periods if self.total_cost is None else self.total_cost


def is_own_id(cdr_id: str, operator_id: str) -> bool:
    """Return whether a CDR-ID begins with the party id of its operator: then it is unique without the EVSE."""
    return party_of(cdr_id) == operator_id


_SHAPE: Final = msgspec.inspect.type_info(CdrInput)
#: A CDR, its list of periods, a period, or its token.
_DEPTH: Final = 3
_UNKNOWN_FLAW: Final = Flaw("", RefusalCode.WRONG_TYPE, "the item does not have the shape of CdrInput")
_PERSONAL: Final = re.compile(r"\.(?:token|contractId)\b")
_EXPECTED_CONTRACT: Final = "expected a Contract-ID like DE-8AA-001234567-0; a check digit must be right"


def read_cdr(raw: Any, index: int) -> Cdr | list[Refusal]:
    """Check one item and return the CDR, or every refusal (at least one). Never raises on a JSON value."""
    sent = decode(raw, CdrInput)
    found = flaws(raw, _SHAPE) if sent is None else _rules(sent)
    wrong = [unquoted(each) if _PERSONAL.match(each.path) else each for each in islice(found, MOST_REFUSALS)]
    if sent is None or wrong:
        return refusals_of(wrong or [_UNKNOWN_FLAW], raw, index, "cdrs")
    return _cdr(sent, index)


def decode(raw: Any, type_: type[T]) -> T | None:
    """Decode an item; its nulls stand for absent, as in GraphQL."""
    try:
        return msgspec.convert(without_nulls(raw, _DEPTH), type_)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return None


def refusals_of(wrong: list[Flaw], raw: Any, index: int, argument: str) -> list[Refusal]:
    """Refuse an item that has a `cdrId` for some flaws."""
    sent_id = raw.get("cdrId") if is_object(raw) else None
    id_ = storable(sent_id, 64) if isinstance(sent_id, str) else None
    return [
        Refusal(path=f"{argument}[{index}]{flaw.path}", index=index, id=id_, code=flaw.code, message=flaw.message)
        for flaw in wrong
    ]


# ---------------------------------------------------------------- rules within a CDR


def _rules(sent: CdrInput) -> Iterator[Flaw]:
    yield from id_flaws(sent.cdr_id, normalise_cdr_id, ".cdrId")
    yield from id_flaws(sent.evse_id, normalise_evse_id, ".evseId")
    if contract_id_of(sent.contract_id) is None:
        yield Flaw(".contractId", RefusalCode.INVALID_ID, _EXPECTED_CONTRACT)
    wrong = token_flaw(sent.token)
    if wrong is not None:
        yield Flaw(f".token{wrong.path}", wrong.code, wrong.message)
    if sent.session_id is not None and _uuid(sent.session_id) is None:
        yield Flaw(".sessionId", RefusalCode.INVALID_ID, "expected the id of a session of the hub")
    if sent.connector.tariff_id is not None:
        yield from id_flaws(sent.connector.tariff_id, normalise_tariff_id, ".connector.tariffId")
    yield from address_flaws(sent.address, OPERATOR_LIMITS)
    yield from _time_flaws(sent.start, ".start")
    yield from _time_flaws(sent.end, ".end")
    if len(sent.periods) > MOST_PERIODS:
        message = f"the list has {len(sent.periods)} entries; at most {MOST_PERIODS} are possible"
        yield Flaw(".periods", RefusalCode.TOO_MANY, message)
    for place, period in enumerate(sent.periods):
        yield from _time_flaws(period.start, f".periods[{place}].start")
        yield from _time_flaws(period.end, f".periods[{place}].end")


def _time_flaws(text: str, path: str) -> Iterator[Flaw]:
    try:
        instant = instant_of(text)
    except (ValueError, OverflowError):
        yield Flaw(
            path, RefusalCode.PATTERN, f"{text} is no date and time; expected one like 2026-03-29T14:05:00+02:00"
        )
    else:
        yield from year_flaws(instant, path)


def instant_of(text: str) -> datetime:
    """Return the instant of a local time. Raises: ValueError, OverflowError where the calendar has none."""
    return datetime.fromisoformat(text).astimezone(UTC)


def duration_of(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# ---------------------------------------------------------------- the checked record


def _cdr(sent: CdrInput, index: int) -> Cdr:
    contract_id = contract_id_of(sent.contract_id)
    assert contract_id is not None
    cdr_id, evse_id = normalise_cdr_id(sent.cdr_id), normalise_evse_id(sent.evse_id)
    return Cdr(
        index=index,
        sent=sent,
        cdr_id=cdr_id,
        evse_id=evse_id,
        contract_id=contract_id,
        session_id=None if sent.session_id is None else _uuid(sent.session_id),
        started_at=instant_of(sent.start),
        ended_at=instant_of(sent.end),
        periods=tuple(_period(each) for each in sent.periods),
        total_cost=_decimal(sent.total_cost),
        content_hash=_hash(sent, cdr_id, evse_id, contract_id),
    )


def _period(sent: CdrPeriodInput) -> Period:
    return Period(
        instant_of(sent.start),
        instant_of(sent.end),
        sent.billing_item,
        Decimal(sent.billing_value),
        Decimal(sent.item_price),
        _decimal(sent.period_cost),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


_DECIMALS: Final = ("billingValue", "itemPrice", "periodCost", "taxRate")


def _hash(sent: CdrInput, cdr_id: str, evse_id: str, contract_id: str) -> bytes:
    content: dict[str, Any] = msgspec.to_builtins(sent)
    content |= {"status": None, "cdrId": cdr_id, "evseId": evse_id, "contractId": contract_id}
    content["sessionId"] = None if sent.session_id is None else str(_uuid(sent.session_id))
    content["totalCost"] = _by_value(sent.total_cost)
    if sent.connector.tariff_id is not None:
        content["connector"]["tariffId"] = normalise_tariff_id(sent.connector.tariff_id)
    for period in content["periods"]:
        period |= {name: _by_value(period[name]) for name in _DECIMALS}
    said = orjson.dumps(without_nulls(content, _DEPTH), option=orjson.OPT_SORT_KEYS)
    return blake2b(bytes([LAYOUT]) + said, digest_size=16).digest()


def _by_value(text: str | None) -> str | None:
    """Write a decimal without zeros that mean nothing: 12.50 and 12.5 are the same."""
    if text is None:
        return None
    whole = format(EXACT.normalize(Decimal(text)), "f")
    return "0" if whole == "-0" else whole


# ---------------------------------------------------------------- what providers say


class CdrKeyInput(Record, frozen=True, kw_only=True):
    """A CDR named by its provider, as sent."""

    cdr_id: str
    evse_id: str | None = None


class CdrDeclineInput(CdrKeyInput, frozen=True, kw_only=True):
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class CdrKey:
    """A CDR named by its provider. `argument` and `index`: where it was named; `reason`: why it is declined."""

    argument: str
    index: int
    sent_id: str
    cdr_id: str
    evse_id: str | None
    reason: str | None = None


_KEY_SHAPES: Final = {type_: msgspec.inspect.type_info(type_) for type_ in (CdrKeyInput, CdrDeclineInput)}


def read_cdr_key(raw: Any, index: int, argument: str, type_: type[CdrKeyInput]) -> CdrKey | list[Refusal]:
    """Check one item of a confirmation, as `read_cdr`."""
    sent = decode(raw, type_)
    found = flaws(raw, _KEY_SHAPES[type_]) if sent is None else _key_flaws(sent)
    wrong = list(islice(found, MOST_REFUSALS))
    if sent is None or wrong:
        unknown = Flaw("", RefusalCode.WRONG_TYPE, "the item does not name a CDR")
        return refusals_of(wrong or [unknown], raw, index, argument)
    evse_id = None if sent.evse_id is None else normalise_evse_id(sent.evse_id)
    reason = sent.reason if isinstance(sent, CdrDeclineInput) else None
    return CdrKey(argument, index, sent.cdr_id, normalise_cdr_id(sent.cdr_id), evse_id, reason)


def _key_flaws(sent: CdrKeyInput) -> Iterator[Flaw]:
    yield from id_flaws(sent.cdr_id, normalise_cdr_id, ".cdrId")
    if sent.evse_id is not None:
        yield from id_flaws(sent.evse_id, normalise_evse_id, ".evseId")
