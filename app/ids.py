"""The identifiers of the field: how they are read, stored and shown. Pure functions, one compiled pattern per kind.

Every id is accepted in any case and with or without its optional separators; the normalised form (upper case,
without them) is stored and compared; the separated form is shown. Only ASCII is an id: look-alikes of other scripts
are refused. Countries are two letters and are not looked up.

Source: OCHP 1.4 (schema), ISO 15118-2 annex H.1.
"""

import re
from typing import NamedTuple, NoReturn

from app.errors import HubError


class InvalidId(HubError):
    """A text is not an id of the expected kind."""

    code = "INVALID_ID"


def _component(letter: str, instance: str) -> re.Pattern[str]:
    """Country, operator, a letter for the kind, instance; both separators or none."""
    return re.compile(rf"([A-Za-z]{{2}})(\*?)([A-Za-z0-9]{{3}})\2([{letter}{letter.lower()}]{instance})")


_EVSE = _component("E", r"[A-Za-z0-9][A-Za-z0-9*]{0,30}")
_PARKING = _component("P", r"[A-Za-z0-9][A-Za-z0-9*]{0,30}")
_TARIFF = _component("T", r"[A-Za-z0-9][A-Za-z0-9*]{0,9}")
_DIN_EVSE = re.compile(r"\+49\*([0-9]{3})\*([0-9][0-9*]{0,30})")
_PARTY = re.compile(r"([A-Za-z]{2})[*-]?([A-Za-z0-9]{3})")
_CONTRACT = re.compile(
    r"([A-Za-z]{2})-([A-Za-z0-9]{3})-([A-Za-z0-9]{9})(?:-([A-Za-z0-9]))?"
    r"|([A-Za-z]{2})([A-Za-z0-9]{3})([A-Za-z0-9]{9})(?:-?([A-Za-z0-9]))?"
)
_CDR = re.compile(r"[A-Za-z0-9]{1,36}")
_LOCATION = re.compile(r"[A-Za-z0-9 *-]{1,36}")

_OPERATOR = "country (2 letters), operator (3 letters or digits)"
_EVSE_EXPECTED = f"{_OPERATOR}, E and 1 to 31 letters, digits or *, like FR*A23*E45B*78C or FRA23E45B*78C"
_PARKING_EXPECTED = f"{_OPERATOR}, P and 1 to 31 letters, digits or *, like DE*8AC*P12 or DE8ACP12"
_TARIFF_EXPECTED = f"{_OPERATOR}, T and 1 to 10 letters, digits or *, like DE*8AC*T12 or DE8ACT12"
_PARTY_EXPECTED = "country (2 letters) and 3 letters or digits, like DE8AC, DE*8AC or DE-8AC"
_CONTRACT_EXPECTED = (
    "country (2 letters), provider (3), instance (9 letters or digits) and maybe the check digit, "
    "like DE-8AA-001234567-0 or DE8AA001234567"
)
_CDR_EXPECTED = "1 to 36 letters or digits"
_LOCATION_EXPECTED = "1 to 36 letters, digits, blanks, * or -"


def _refuse(text: str, kind: str, expected: str) -> NoReturn:
    raise InvalidId(f"{shown(text)} is not {kind}; expected {expected}")


def shown(text: str, length: int = 60) -> str:
    """Quote a received text for a message: shortened, and with whatever cannot be printed or stored escaped."""
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def storable(text: str, length: int = 255) -> str:
    """Escape what neither UTF-8 nor PostgreSQL can hold (lone surrogates, NUL), and shorten."""
    return text[:length].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def normalise_evse_id(text: str) -> str:
    """Return the stored form of an EVSE-ID: FR*A23*E45B*78C and fra23e45b*78c become FRA23E45B*78C.

    The DIN form +49*823*1234*5678 becomes DE823E1234*5678. A `*` after the E is significant and stays.
    Raises: InvalidId.
    """
    if match := _EVSE.fullmatch(text):
        return (match[1] + match[3] + match[4]).upper()
    if match := _DIN_EVSE.fullmatch(text):
        return f"DE{match[1]}E{match[2]}"
    _refuse(text, "an EVSE-ID", _EVSE_EXPECTED)


def normalise_parking_id(text: str) -> str:
    """Return the stored form of a Parking-ID.

    Raises: InvalidId.
    """
    if match := _PARKING.fullmatch(text):
        return (match[1] + match[3] + match[4]).upper()
    _refuse(text, "a Parking-ID", _PARKING_EXPECTED)


def normalise_tariff_id(text: str) -> str:
    """Return the stored form of a Tariff-ID.

    Raises: InvalidId.
    """
    if match := _TARIFF.fullmatch(text):
        return (match[1] + match[3] + match[4]).upper()
    _refuse(text, "a Tariff-ID", _TARIFF_EXPECTED)


def _separated(normalised: str) -> str:
    return f"{normalised[:2]}*{normalised[2:5]}*{normalised[5:]}"


def separated_evse_id(normalised: str) -> str:
    """Show an EVSE-ID: FRA23E45B*78C as FR*A23*E45B*78C."""
    return _separated(normalised)


def separated_parking_id(normalised: str) -> str:
    """Show a Parking-ID: DE8ACP12 as DE*8AC*P12."""
    return _separated(normalised)


def separated_tariff_id(normalised: str) -> str:
    """Show a Tariff-ID: DE8ACT12 as DE*8AC*T12."""
    return _separated(normalised)


def normalise_party_id(text: str) -> str:
    """Return the stored form of a party id: DE8AC, de*8ac and DE-8AC become DE8AC.

    Raises: InvalidId.
    """
    if match := _PARTY.fullmatch(text):
        return (match[1] + match[2]).upper()
    _refuse(text, "a party id", _PARTY_EXPECTED)


def separated_party_id(normalised: str) -> str:
    """Show a party id with its separator: DE8AC as DE*8AC."""
    return f"{normalised[:2]}*{normalised[2:]}"


def party_of(normalised: str) -> str:
    """Return the party id that a normalised EVSE-, Parking-, Tariff- or Contract-ID begins with."""
    return normalised[:5]


def normalise_contract_id(text: str) -> str:
    """Return the key of a Contract-ID: its 14 characters without separators and check digit.

    The check digit is optional and no part of the identity; when it is there it must be right. Separators: all, none,
    or only the one before the check digit.
    Raises: InvalidId.
    """
    match = _CONTRACT.fullmatch(text)
    if match is None:
        _refuse(text, "a Contract-ID", _CONTRACT_EXPECTED)
    country, provider, instance, sent = match.group(1, 2, 3, 4) if match[1] else match.group(5, 6, 7, 8)
    key = (country + provider + instance).upper()
    if sent is not None and sent.upper() != check_digit(key):
        _refuse(text, f"a Contract-ID with the check digit {sent.upper()}", f"the check digit {check_digit(key)}")
    return key


def separated_contract_id(key: str) -> str:
    """Show a Contract-ID without check digit: DE8AA001234567 as DE-8AA-001234567."""
    return f"{key[:2]}-{key[2:5]}-{key[5:]}"


def normalise_cdr_id(text: str) -> str:
    """Return the stored form of a CDR-ID.

    Raises: InvalidId.
    """
    if _CDR.fullmatch(text):
        return text.upper()
    _refuse(text, "a CDR-ID", _CDR_EXPECTED)


def normalise_location_id(text: str) -> str:
    """Return the stored form of a location id, unique within one operator.

    Raises: InvalidId.
    """
    if _LOCATION.fullmatch(text):
        return text.upper()
    _refuse(text, "a location id", _LOCATION_EXPECTED)


class _Vectors(NamedTuple):
    """A character of a Contract-ID as the two row vectors of annex H.1: over the integers modulo 2 and modulo 3."""

    two: tuple[int, int]
    three: tuple[int, int]


_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VECTORS = {c: _Vectors((n // 18, n // 9 % 2), (n // 3 % 3, n % 3)) for n, c in enumerate(_ALPHABET)}
_CHARACTERS = {vectors: c for c, vectors in _VECTORS.items()}


def check_digit(key: str) -> str:
    """Compute the check digit of a Contract-ID's 14 characters.

    Each character is a row vector c(i). With P = (0 1 / 1 1) modulo 2 and P = (0 1 / 1 2) modulo 3 the sum of c(i) P^i
    over all 15 places is zero; Horner's scheme gives the sum of the first 14.
    Source: ISO 15118-2 annex H.1.
    """
    a, b, x, y = 0, 0, 0, 0
    for character in reversed(key):
        (two_1, two_2), (three_1, three_2) = _VECTORS[character]
        a, b, x, y = a + two_1, b + two_2, x + three_1, y + three_2
        a, b, x, y = b % 2, (a + b) % 2, y % 3, (x + 2 * y) % 3
    return _CHARACTERS[_solve(a, b, x, y)]


def _solve(a: int, b: int, x: int, y: int) -> _Vectors:
    """Find c(15) in c(15) P^15 = -(sum of the first fourteen), by undoing fifteen multiplications with P."""
    for _ in range(15):
        a, b = (b - a) % 2, a
        x, y = (y - 2 * x) % 3, x
    return _Vectors((-a % 2, -b % 2), (-x % 3, -y % 3))
