"""Scalars: ids in every accepted spelling, instants with their offset. Inputs are normalised where they are read."""

import decimal
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from app import ids
from app.errors import BadInput

EvseId = NewType("EvseId", str)
ParkingId = NewType("ParkingId", str)
TariffId = NewType("TariffId", str)
PartyId = NewType("PartyId", str)
ContractId = NewType("ContractId", str)
CdrId = NewType("CdrId", str)
Decimal = NewType("Decimal", decimal.Decimal)
LocalDateTime = NewType("LocalDateTime", str)
DateTime = NewType("DateTime", datetime)
Cursor = NewType("Cursor", str)


#: Python reads more than the standard allows: week dates, commas, offsets with seconds, a NUL at the end.
RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def parse_instant(value: Any) -> datetime:
    """Read an RFC 3339 instant. Raises: BadInput without an offset, or when it is no instant at all."""
    if isinstance(value, str) and RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise BadInput(f"{value!r:.60} is not an RFC 3339 instant; expected e.g. 2026-08-13T05:20:15Z, with Z or an offset")


LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?[+-][0-9]{2}:[0-9]{2}")


def parse_local(value: Any) -> str:
    """Read a local time with its offset, which is kept. Raises: BadInput."""
    if isinstance(value, str) and LOCAL.fullmatch(value):
        return value
    raise BadInput(
        f"{value!r:.60} is not a local time with its offset; expected e.g. 2026-03-29T14:05:00+02:00, without Z"
    )


def parse_cursor(value: Any) -> str:
    """Read a cursor, which only the change log understands. Raises: BadInput when it is no text."""
    if not isinstance(value, str):
        raise BadInput(f"{value!r:.60} is not text; a cursor is written in quotes")
    return value


#: Digits before and behind the point that a decimal has at most.
DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")


def parse_decimal(value: Any) -> decimal.Decimal:
    """Read an exact decimal. Raises: BadInput for a number, which may have been a float on its way."""
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        return decimal.Decimal(value)
    raise BadInput(f'{value!r:.60} is not a decimal; expected text like "12.50", at most 18 and 12 digits')


def show_decimal(value: Any) -> Any:
    return format(value, "f") if isinstance(value, decimal.Decimal) else value


def parse_contract_id(value: Any) -> str:
    """Read a Contract-ID. Raises: BadInput, which does not quote it: it is personal data."""
    try:
        return ids.normalise_contract_id(value if isinstance(value, str) else "")
    except ids.InvalidId:
        message = "this is not a Contract-ID; expected text like DE-8AA-001234567-0 or DE8AA001234567, with or without"
        raise BadInput(f"{message} its check digit, which must be right") from None


def show_instant(value: Any) -> Any:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _id(name: str, description: str, parse: Callable[[str], str], show: Callable[[str], str]) -> ScalarDefinition:
    def parse_value(value: Any) -> str:
        if not isinstance(value, str):
            raise BadInput(f"{value!r:.60} is not text; an id is written in quotes")
        return parse(value)

    return strawberry.scalar(name=name, description=description, serialize=show, parse_value=parse_value)


SCALARS: Mapping[object, ScalarDefinition] = {
    EvseId: _id(
        "EvseId",
        "EVSE-ID (ISO 15118, eMI3), e.g. FR*A23*E45B*78C. Takes any case, both separators or none, and the DIN form "
        "+49*823*1234*5678; gives the separated form. OCHP evseId, OCPI evse_id.",
        ids.normalise_evse_id,
        ids.separated_evse_id,
    ),
    ParkingId: _id(
        "ParkingId",
        "Id of a parking spot, e.g. DE*823*P1234. Spellings as for EvseId; gives the separated form. OCHP parkingId.",
        ids.normalise_parking_id,
        ids.separated_parking_id,
    ),
    TariffId: _id(
        "TariffId",
        "Id of a tariff, e.g. DE*823*T1. Spellings as for EvseId; gives the separated form. OCHP and OCPI tariffId.",
        ids.normalise_tariff_id,
        ids.separated_tariff_id,
    ),
    PartyId: _id(
        "PartyId",
        "Country (2 letters) and 3 alphanumerics, e.g. DE8AC: id of an operator, provider or parking spot operator. "
        "OCHP operator or provider id, OCPI country_code and party_id.",
        ids.normalise_party_id,
        str,
    ),
    ContractId: strawberry.scalar(
        name="ContractId",
        description="Id of a driver's contract with an EVSP (EMAID, ISO 15118), e.g. DE-8AA-001234567. Takes any case, "
        "with or without separators and check digit, which is verified when it is there; gives the separated form "
        "without it. Personal data. OCHP contractId, OCPI contract_id.",
        serialize=ids.separated_contract_id,
        parse_value=parse_contract_id,
    ),
    CdrId: _id(
        "CdrId",
        "Id of a charge detail record, 1 to 36 letters or digits, in any case. One that begins with the operator's "
        "party id is unique in the hub, others together with their EVSE. OCHP cdrId, OCPI CDR id.",
        ids.normalise_cdr_id,
        str,
    ),
    LocalDateTime: strawberry.scalar(
        name="LocalDateTime",
        description="RFC 3339 local time with its offset, which is kept, e.g. 2026-03-29T14:05:00+02:00. Z is refused "
        "(OCHP: Greenwich is not UTC); +00:00 is Greenwich.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=str,
        parse_value=parse_local,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='Exact decimal as a JSON string, e.g. "12.50", never a float. Digits as sent, trailing zeros kept.',
        serialize=show_decimal,
        parse_value=parse_decimal,
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description="Opaque position in the change log; one and the same for queries and subscriptions.",
        serialize=str,
        parse_value=parse_cursor,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 instant. Output is UTC with Z; input needs Z or an offset.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=show_instant,
        parse_value=parse_instant,
    ),
}
