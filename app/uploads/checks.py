"""The limits of the reference as types, the codes of refusals, and the words that explain what broke a limit.

A limit is declared once, as an annotated type of a record's field: msgspec checks it when it decodes an item (fast),
and `flaws` walks the same declaration over an item that did not pass (slow, complete), so the two cannot disagree.
Patterns match the whole text and take ASCII only where the reference lists characters.
Source: OCHP 1.4, charge point; the hub's own limits are marked *hub*.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final, NamedTuple, TypeGuard, cast

import msgspec
from msgspec import Meta, inspect

from app.ids import shown, storable


class RefusalCode(StrEnum):
    """Why an item of an upload stayed out; `MEANINGS` has a sentence for each."""

    REQUIRED = "REQUIRED"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    EMPTY = "EMPTY"
    TOO_LONG = "TOO_LONG"
    TOO_MANY = "TOO_MANY"
    PATTERN = "PATTERN"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    INVALID_ID = "INVALID_ID"
    ORDER = "ORDER"
    OVERLAP = "OVERLAP"
    EXACTLY_ONE = "EXACTLY_ONE"
    RESTRICTION_MISSING = "RESTRICTION_MISSING"
    STATUS_PAIR = "STATUS_PAIR"
    DUPLICATE = "DUPLICATE"
    LOCATION_MISMATCH = "LOCATION_MISMATCH"
    NO_CONNECTOR = "NO_CONNECTOR"
    SWAPPED_COORDINATES = "SWAPPED_COORDINATES"
    OUTSIDE_COVERAGE = "OUTSIDE_COVERAGE"
    MALFORMED_ROW = "MALFORMED_ROW"
    UNKNOWN_EVSE = "UNKNOWN_EVSE"
    HELD_BY_OPERATOR = "HELD_BY_OPERATOR"
    HELD_BY_REGISTER = "HELD_BY_REGISTER"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    CDR_ID_TAKEN = "CDR_ID_TAKEN"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    EVSE_NOT_YOURS = "EVSE_NOT_YOURS"
    NO_CONTRACT = "NO_CONTRACT"
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"
    END_NOT_AFTER_START = "END_NOT_AFTER_START"
    IN_FUTURE = "IN_FUTURE"
    DURATION_DIFFERS = "DURATION_DIFFERS"
    PERIOD_OUTSIDE = "PERIOD_OUTSIDE"
    CURRENCY_UNKNOWN = "CURRENCY_UNKNOWN"
    PERIOD_COST_DIFFERS = "PERIOD_COST_DIFFERS"
    TOTAL_COST_DIFFERS = "TOTAL_COST_DIFFERS"
    TOO_MANY_DECIMALS = "TOO_MANY_DECIMALS"
    TOO_MUCH_ENERGY = "TOO_MUCH_ENERGY"
    TIME_OCCUPIED = "TIME_OCCUPIED"
    SESSION_UNKNOWN = "SESSION_UNKNOWN"
    SESSION_DIFFERS = "SESSION_DIFFERS"
    SUPERSEDED = "SUPERSEDED"
    PRICE_DIFFERS = "PRICE_DIFFERS"
    TTL_CUT = "TTL_CUT"


MEANINGS: Final[dict[RefusalCode, str]] = {
    RefusalCode.REQUIRED: "A field that must be there is absent or null.",
    RefusalCode.UNKNOWN_FIELD: "A field that the input does not have.",
    RefusalCode.WRONG_TYPE: "A value of another type: a number for a text, a text for a list.",
    RefusalCode.UNKNOWN_VALUE: "A value that is not in the vocabulary.",
    RefusalCode.EMPTY: "A text without a visible character, or a list that needs an entry.",
    RefusalCode.TOO_LONG: "A text with more characters than the field takes.",
    RefusalCode.TOO_MANY: "A list with more entries than the field takes.",
    RefusalCode.PATTERN: "A text that is not written as the field needs it.",
    RefusalCode.OUT_OF_RANGE: "A number or an instant beyond what the field takes.",
    RefusalCode.INVALID_ID: "An id that is not one of its kind, or not under the caller's party ids, existing or not.",
    RefusalCode.ORDER: "An end or a highest value that is not above its beginning or lowest, or a ttl before its `at`.",
    RefusalCode.OVERLAP: "Regular hours that overlap on one day.",
    RefusalCode.EXACTLY_ONE: "Two fields, or individual tariffs without recipients: exactly one must be there.",
    RefusalCode.RESTRICTION_MISSING: "A parking spot whose restrictions lack one of its EVSE.",
    RefusalCode.STATUS_PAIR: "A minor status that does not go with the major one.",
    RefusalCode.DUPLICATE: "The same id twice: in one upload the last item counts, within an item neither does.",
    RefusalCode.LOCATION_MISMATCH: "EVSEs of one location disagree on its address or position.",
    RefusalCode.NO_CONNECTOR: "Imports: a charge point without any known connector.",
    RefusalCode.SWAPPED_COORDINATES: "Imports: latitude and longitude are swapped.",
    RefusalCode.OUTSIDE_COVERAGE: "Imports: a position where the register has no charge points.",
    RefusalCode.MALFORMED_ROW: "Imports: a row that does not have the columns of its file.",
    RefusalCode.UNKNOWN_EVSE: "Imports: the status of an EVSE that the hub does not have.",
    RefusalCode.HELD_BY_OPERATOR: "Imports: a partner holds the operator's party id and publishes for itself.",
    RefusalCode.HELD_BY_REGISTER: "Imports: the EVSE came from another register.",
    RefusalCode.NOT_POSSIBLE: "CDRs: the transition table does not list the change for the state that it is in.",
    RefusalCode.CDR_ID_TAKEN: "CDRs: the id is that of a CDR for another EVSE or another EVSP.",
    RefusalCode.CONTENT_DIFFERS: "CDRs: what is waived is not what was declined.",
    RefusalCode.EVSE_NOT_YOURS: "CDRs: the EVSE is not one of the sender's.",
    RefusalCode.NO_CONTRACT: "CDRs: no contract with the EVSP was in force when the session began.",
    RefusalCode.TOKEN_UNKNOWN: "CDRs: the EVSP does not have the token, or a remote one comes without its session.",
    RefusalCode.END_NOT_AFTER_START: "CDRs: the end is not after the start.",
    RefusalCode.IN_FUTURE: "CDRs: the end is more than five minutes ahead.",
    RefusalCode.DURATION_DIFFERS: "CDRs: the duration is not the time from start to end, to the minute.",
    RefusalCode.PERIOD_OUTSIDE: "CDRs: a period ends before it starts, or is not within start and end.",
    RefusalCode.CURRENCY_UNKNOWN: "CDRs: the currency is not one of ISO 4217.",
    RefusalCode.PERIOD_COST_DIFFERS: "CDRs: a period's cost is more than half a minor unit from value times price.",
    RefusalCode.TOTAL_COST_DIFFERS: "CDRs: the total is more than half a minor unit per period away from their sum.",
    RefusalCode.TOO_MANY_DECIMALS: "CDRs: the total has more decimals than its currency.",
    RefusalCode.TOO_MUCH_ENERGY: "CDRs: more energy than the EVSE can deliver in the time, 10 % allowed.",
    RefusalCode.TIME_OCCUPIED: "CDRs: another one that is not rejected claims the EVSE for some of the time.",
    RefusalCode.SESSION_UNKNOWN: "CDRs: the session is not one of the sender's with this EVSP.",
    RefusalCode.SESSION_DIFFERS: "CDRs: what was reported of the session contradicts it.",
    RefusalCode.SUPERSEDED: "CDRs, a warning: the content was taken before, and another revision counts now.",
    RefusalCode.PRICE_DIFFERS: "CDRs, a warning: the total is not what the tariff in force asks for the session.",
    RefusalCode.TTL_CUT: "Status, a warning: the ttl lies further ahead than the hub allows, and was cut to that.",
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one item of an upload stayed out.

    `path` leads from the argument down (chargePoints[3].connectors[0].standard); `code` is a `RefusalCode`.
    """

    path: str
    index: int
    id: str | None = None
    code: str
    message: str


# ---------------------------------------------------------------- limits as types


def _text(longest: int, *, shortest: int = 1) -> Meta:
    return Meta(min_length=shortest, max_length=longest, pattern=VISIBLE, extra={"expected": "a text"})


def _pattern(pattern: str, expected: str) -> Meta:
    return Meta(pattern=rf"\A(?:{pattern})\Z", extra={"expected": expected})


#: Something to see, and nothing that UTF-8 or PostgreSQL cannot hold. One pass, whatever is sent.
VISIBLE: Final = r"\A(?=\s*\S)[^\x00\ud800-\udfff]*\Z"
_URI_REST = r"://[^\s\x00-\x1f\x7f\ud800-\udfff]+"

Text255 = Annotated[str, _text(255)]
#: Address and city: the reference's shorter limits for operators are `app.records.charge_point_input.Limits`.
AddressText = Annotated[str, _text(255, shortest=2)]

Alpha3 = Annotated[str, _pattern("[A-Z]{3}", "three capital letters")]
HouseNumber = Annotated[str, _pattern("[A-Z0-9 -]{1,6}", "1 to 6 capital letters, digits, blanks or -")]
ZipCode = Annotated[str, _pattern("[A-Z0-9 -]{1,10}", "1 to 10 capital letters, digits, blanks or -")]
TELEPHONE_NUMBER: Final = r"\+?[1-9]?[0-9 -]{1,17}"
TelephoneNumber = Annotated[str, _pattern(TELEPHONE_NUMBER, "a number like +49-123-456 789, at most 19 characters")]
FloorLevel = Annotated[str, _pattern("[A-Z0-9+/-]{1,4}", "1 to 4 capital letters, digits, +, / or -")]
SpotNumber = Annotated[str, _pattern("[A-Z0-9+/-]{1,5}", "1 to 5 capital letters, digits, +, / or -")]
#: *hub*: the reference has 15 characters and no `*` and `-`; real registers are longer. Stored in upper case.
LocationId = Annotated[str, _pattern("[A-Za-z0-9 *-]{1,36}", "1 to 36 letters, digits, blanks, * or -")]
BeginTime = Annotated[str, _pattern("(?:[01][0-9]|2[0-3]):[0-5][0-9]", "HH:MM from 00:00 to 23:59")]
EndTime = Annotated[str, _pattern("(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", "HH:MM from 00:00 to 24:00")]

ImageUri = Annotated[
    str, Meta(max_length=255), _pattern("(?i:https?|ftp|file)" + _URI_REST, "a http, https, ftp or file URI")
]
ResourceUri = Annotated[str, Meta(max_length=255), _pattern("(?i:https?)" + _URI_REST, "a http or https URI")]
ImageType = Annotated[str, _text(4)]
Pixels = Annotated[int, Meta(ge=1, le=99_999)]

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Weekday = Annotated[int, Meta(ge=1, le=7)]
#: *hub*: exact decimals as text, never a float on their way; as many digits as amounts of money have anywhere here.
SignedDecimal = Annotated[str, _pattern(r"-?[0-9]{1,14}(?:\.[0-9]{1,8})?", 'a decimal as text like "12.50"')]
UnsignedDecimal = Annotated[str, _pattern(r"[0-9]{1,14}(?:\.[0-9]{1,8})?", 'a decimal from 0 as text like "12.50"')]
#: As far as the calendar goes, an offset is required, and `Z` is none: Greenwich time is written +00:00.
LocalTime = Annotated[
    str,
    _pattern(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?[+-][0-9]{2}:[0-9]{2}",
        "a local time with its offset, like 2026-03-29T14:05:00+02:00; Z is not possible",
    ),
]
#: Ten years.
Seconds = Annotated[int, Meta(ge=0, le=315_360_000)]
Instant = Annotated[datetime, Meta(tz=True)]
#: *hub*: the reference sets no bound. No charge point has 10 MW, so a power in watts is refused.
PowerKw = Annotated[float, Meta(gt=0, le=10_000)]
GuaranteedPowerKw = Annotated[float, Meta(ge=0, le=10_000)]
VoltageV = Annotated[int, Meta(ge=1, le=1000)]
ReservationMinutes = Annotated[int, Meta(ge=1, le=1000)]

AtLeastOne = Meta(min_length=1)

# ---------------------------------------------------------------- what broke a limit

#: Refusals reported per item.
MOST_REFUSALS: Final = 20


class Flaw(NamedTuple):
    """What is wrong at a path below an item; `path` is empty or begins with a dot."""

    path: str
    code: RefusalCode
    message: str


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is a list."""
    return isinstance(value, list)


def show(value: Any) -> str:
    """Show a received JSON value in a message, shortened and harmless."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    return json.dumps(value)


def show_instant(instant: datetime) -> str:
    """Show an instant in a message."""
    return instant.isoformat().replace("+00:00", "Z")


def refusals(wrong: Iterable[Flaw], item: str, index: int, id_: str | None = None) -> list[Refusal]:
    """Return the refusals of one item, a flaw each. `item`: where it is, as chargePoints[3]."""
    return [
        Refusal(path=f"{item}{flaw.path}", index=index, id=id_, code=flaw.code, message=flaw.message) for flaw in wrong
    ]


def sent_id(raw: Any, field: str) -> str | None:
    """Return the id of an item as it was sent; None where it has none that can be stored."""
    sent = raw.get(field) if is_object(raw) else None
    return storable(sent, 64) if isinstance(sent, str) else None


def shape_flaws(raw: Any, shape: inspect.Type) -> list[Flaw]:
    """Return why an item could not be decoded: at least one flaw, `MOST_REFUSALS` at most."""
    unknown = Flaw("", RefusalCode.WRONG_TYPE, "the item does not have the shape of its input type")
    return list(islice(flaws(raw, shape), MOST_REFUSALS)) or [unknown]


def flaws(value: Any, type_: inspect.Type, path: str = "") -> Iterator[Flaw]:
    """Walk a JSON value beside the type it should have had, and give everything that is wrong, in order.

    Null stands for absent, as in GraphQL.
    """
    expected = ""
    while isinstance(type_, inspect.Metadata | inspect.UnionType):
        if isinstance(type_, inspect.Metadata):
            extra = cast("dict[str, str]", type_.extra or {})
            expected, type_ = extra.get("expected", expected), type_.type
        else:
            type_ = next(each for each in type_.types if not isinstance(each, inspect.NoneType))
    match type_:
        case inspect.StructType():
            yield from _object_flaws(value, type_, path)
        case inspect.VarTupleType():
            yield from _list_flaws(value, type_, path)
        case inspect.StrType():
            yield from _text_flaws(value, type_, path, expected)
        case inspect.IntType() | inspect.FloatType():
            yield from _number_flaws(value, type_, path)
        case inspect.EnumType():
            yield from _word_flaws(value, [word.value for word in type_.cls], path)
        case inspect.DateTimeType():
            yield from _instant_flaws(value, path)
        case _:
            if not isinstance(value, bool):
                yield _wrong_type(value, "true or false", path)


def _wrong_type(value: Any, expected: str, path: str) -> Flaw:
    return Flaw(path, RefusalCode.WRONG_TYPE, f"{show(value)} is not possible; expected {expected}")


def _object_flaws(value: Any, type_: inspect.StructType, path: str) -> Iterator[Flaw]:
    if not is_object(value):
        yield _wrong_type(value, "an object", path)
        return
    names = {field.encode_name: field for field in type_.fields}
    for name in (each for each in value if each not in names):
        message = f"{show(name)} is not a field; possible: {', '.join(names)}"
        yield Flaw(f"{path}.{storable(name, 40)}", RefusalCode.UNKNOWN_FIELD, message)
    for name, field in names.items():
        given = value.get(name)
        if given is not None:
            yield from flaws(given, field.type, f"{path}.{name}")
        elif field.required:
            yield Flaw(f"{path}.{name}", RefusalCode.REQUIRED, f"{name} is required")


def _list_flaws(value: Any, type_: inspect.VarTupleType, path: str) -> Iterator[Flaw]:
    if not is_list(value):
        yield _wrong_type(value, "a list", path)
        return
    if len(value) < (type_.min_length or 0):
        yield Flaw(path, RefusalCode.EMPTY, "the list is empty; expected at least one entry")
    for place, entry in enumerate(value):
        yield from flaws(entry, type_.item_type, f"{path}[{place}]")


def _text_flaws(value: Any, type_: inspect.StrType, path: str, expected: str) -> Iterator[Flaw]:
    if not isinstance(value, str):
        yield _wrong_type(value, expected or "a text", path)
    elif type_.max_length is not None and len(value) > type_.max_length:
        yield too_long(value, type_.max_length, path)
    elif _unfit(value, type_):
        if value.strip():
            message = f"{show(value)} is not possible; expected {_expected(expected, type_)}"
            yield Flaw(path, RefusalCode.PATTERN, message)
        else:
            yield Flaw(path, RefusalCode.EMPTY, f"{show(value)} is blank; expected {expected}")


def too_long(value: str, longest: int, path: str) -> Flaw:
    """Return the flaw of a text that is too long."""
    message = f"{show(value)} has {len(value)} characters; at most {longest} are possible"
    return Flaw(path, RefusalCode.TOO_LONG, message)


def _unfit(value: Any, type_: inspect.Type) -> bool:
    """Return whether msgspec itself rejects a value, so that a flaw is found exactly where decoding failed."""
    limits = tuple((name, getattr(type_, name, None)) for name in ("min_length", "pattern", "gt", "ge", "lt", "le"))
    try:
        msgspec.convert(value, _limited(type(type_), limits))
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return True
    return False


@cache
def _limited(type_: type[inspect.Type], limits: tuple[tuple[str, Any], ...]) -> Any:
    python: dict[type[inspect.Type], type] = {inspect.StrType: str, inspect.IntType: int, inspect.FloatType: float}
    return Annotated[python[type_], Meta(**dict(limits))]


def _expected(expected: str, type_: inspect.StrType) -> str:
    shortest = f" of at least {type_.min_length} characters" if (type_.min_length or 0) > 1 else ""
    return f"{expected}{shortest}" + (", without NUL and lone surrogates" if type_.pattern == VISIBLE else "")


def _number_flaws(value: Any, type_: inspect.IntType | inspect.FloatType, path: str) -> Iterator[Flaw]:
    whole = isinstance(type_, inspect.IntType)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        yield _wrong_type(value, "a whole number" if whole else "a number", path)
    elif _unfit(value, type_):
        lowest = f"more than {type_.gt:g}" if type_.gt is not None else f"{type_.ge:g}"
        message = f"{show(value)} is not possible; expected {lowest} to {type_.le:g}"
        yield Flaw(path, RefusalCode.OUT_OF_RANGE, message)


def _word_flaws(value: Any, words: list[str], path: str) -> Iterator[Flaw]:
    if not isinstance(value, str):
        yield _wrong_type(value, f"one of {', '.join(words)}", path)
    elif value not in words:
        message = f"{show(value)} is not known; possible: {', '.join(words)}"
        yield Flaw(path, RefusalCode.UNKNOWN_VALUE, message)


def _instant_flaws(value: Any, path: str) -> Iterator[Flaw]:
    expected = "an instant with Z or an offset, like 2026-01-31T12:00:00Z"
    if not isinstance(value, str):
        yield _wrong_type(value, expected, path)
        return
    try:
        msgspec.convert(value, Instant)
    except ValueError:
        yield Flaw(path, RefusalCode.PATTERN, f"{show(value)} is not possible; expected {expected}")
