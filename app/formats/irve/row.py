"""One row of the IRVE static schema, column by column, into the fields of a charge point. Pure.

`static.md` has the mapping and its reasons. A value that is not understood is never guessed: it stays unknown and
the row gets a warning, or, where a charge point cannot be without it, the row is refused.
"""

import html
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from app.formats.opening_hours_osm import NotUnderstood, read_opening_hours
from app.ids import InvalidId, normalise_evse_id, shown
from app.records.charge_point import ChargePoint
from app.records.charge_point_input import REGISTER_LIMITS, read_charge_point
from app.uploads.checks import TELEPHONE_NUMBER, RefusalCode

Row = Mapping[str, str]

#: The columns that are read; a file without one of them is not taken.
COLUMNS: Final = (
    "nom_operateur",
    "telephone_operateur",
    "id_station_itinerance",
    "nom_station",
    "implantation_station",
    "adresse_station",
    "coordonneesXY",
    "id_pdc_itinerance",
    "puissance_nominale",
    "prise_type_ef",
    "prise_type_2",
    "prise_type_combo_ccs",
    "prise_type_chademo",
    "prise_type_autre",
    "paiement_cb",
    "paiement_autre",
    "horaires",
    "accessibilite_pmr",
    "station_deux_roues",
    "date_maj",
    "cable_t2_attache",
)


class IrveWarning(StrEnum):
    """What an accepted row said that could not be taken over; `static.md` has a sentence for each."""

    HOURS_UNKNOWN = "HOURS_UNKNOWN"
    CITY_UNKNOWN = "CITY_UNKNOWN"
    ADDRESS_REPLACED = "ADDRESS_REPLACED"
    CABLE_UNKNOWN = "CABLE_UNKNOWN"
    CONNECTOR_DROPPED = "CONNECTOR_DROPPED"
    POWER_UNKNOWN = "POWER_UNKNOWN"
    DATE_UNKNOWN = "DATE_UNKNOWN"
    TELEPHONE_UNKNOWN = "TELEPHONE_UNKNOWN"
    AUTH_METHODS_UNKNOWN = "AUTH_METHODS_UNKNOWN"
    TWO_WHEELERS_DOUBTED = "TWO_WHEELERS_DOUBTED"
    WORD_UNKNOWN = "WORD_UNKNOWN"


class Understood(NamedTuple):
    """A row that is a charge point of its own, whatever the rest of the file says."""

    charge_point: ChargePoint
    warnings: tuple[IrveWarning, ...]


class RowRefused(Exception):
    """A row is no charge point; caught by the reader, which knows the row's number."""

    def __init__(self, column: str, code: str, message: str) -> None:
        super().__init__(message)
        self.column, self.code, self.message = column, code, message


def understand(row: Row, now: datetime) -> Understood:
    """Return a row as a charge point, with warnings for what was left out.

    Raises: RowRefused, with the first reason: id, position, connectors, then the other limits.
    """
    sent_id = row["id_pdc_itinerance"].strip()
    try:
        normalise_evse_id(sent_id)
    except InvalidId as refusal:
        raise RowRefused("id_pdc_itinerance", RefusalCode.INVALID_ID, refusal.message) from None
    longitude, latitude = _position(row["coordonneesXY"])
    warnings: list[IrveWarning] = []
    connectors = _connectors(row, warnings)
    power_kw = _power_kw(row["puissance_nominale"].strip(), warnings)
    charge_point_type = _charge_point_type(connectors)
    item = {
        "evseId": sent_id,
        "position": {"longitude": longitude, "latitude": latitude},
        "connectors": connectors,
        "locationId": row["id_station_itinerance"].strip(),
        "locationName": clean(row["nom_station"]),
        "locationNameLanguage": "FRA",
        "address": _address(row["adresse_station"], warnings),
        "timestamp": _timestamp(row["date_maj"].strip(), now, warnings),
        "telephoneNumber": _telephone_number(row["telephone_operateur"], warnings),
        "locationType": _location_type(row["implantation_station"], warnings),
        "restrictions": _restrictions(row, charge_point_type == "DC", power_kw, warnings),
        "authMethods": _auth_methods(row, warnings),
        "chargePointType": charge_point_type,
        "ratings": None if power_kw is None else {"maximumPowerKw": power_kw},
        "openingTimes": _opening_times(row["horaires"], warnings),
    }
    return Understood(_checked(item), tuple(dict.fromkeys(warnings)))


#: Which column a refused field came from.
_COLUMN_OF: Final = {
    "locationId": "id_station_itinerance",
    "locationName": "nom_station",
    "address": "adresse_station",
}


def _checked(item: dict[str, Any]) -> ChargePoint:
    """Hold the fields to the limits of a register."""
    answer = read_charge_point(item, 0, limits=REGISTER_LIMITS)
    if isinstance(answer, ChargePoint):
        return answer
    field = answer[0].path.split(".")[1]
    raise RowRefused(_COLUMN_OF.get(field, field), answer[0].code, answer[0].message)


_ESCAPED = re.compile(r"\\+'")


def clean(text: str) -> str:
    """Return a text on one line, with doubled blanks, HTML's character references and escaped apostrophes resolved."""
    text = html.unescape(text) if "&" in text else text
    return " ".join(_ESCAPED.sub("'", text).split())


# ---------------------------------------------------------------- where

#: Where the register has charge points: (southern, northern latitude, western, eastern longitude) in degrees, generous.
TERRITORIES: Final = (
    (41.0, 51.5, -5.5, 9.8),  # France with Corsica
    (14.2, 18.3, -63.4, -60.6),  # Guadeloupe, Martinique, Saint-Martin, Saint-Barthélemy
    (2.0, 6.0, -54.8, -51.4),  # Guyane
    (-21.6, -20.7, 55.0, 56.0),  # La Réunion
    (-13.2, -12.4, 44.9, 45.5),  # Mayotte
    (46.6, 47.3, -56.6, -56.0),  # Saint-Pierre-et-Miquelon
    (-28.0, -7.5, -155.0, -134.0),  # Polynésie française
    (-23.5, -17.5, 163.0, 169.0),  # Nouvelle-Calédonie
    (-14.6, -13.0, -178.5, -175.8),  # Wallis-et-Futuna
)
_NUMBER = r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,30})?"
_COORDINATES = re.compile(rf"\[?\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]?")


def _position(text: str) -> tuple[float, float]:
    """Read `[longitude, latitude]`; a position without a French territory is refused."""
    match = _COORDINATES.fullmatch(text.strip())
    if match is None:
        message = f"{shown(text)} is not a position; expected [longitude, latitude] in degrees"
        raise RowRefused("coordonneesXY", RefusalCode.PATTERN, message)
    longitude, latitude = float(match[1]), float(match[2])
    if _in_a_territory(longitude, latitude):
        return longitude, latitude
    if _in_a_territory(latitude, longitude):
        message = f"{shown(text)} has latitude and longitude swapped; expected [longitude, latitude]"
        raise RowRefused("coordonneesXY", RefusalCode.SWAPPED_COORDINATES, message)
    message = f"{shown(text)} lies in no French territory; expected [longitude, latitude] of the station"
    raise RowRefused("coordonneesXY", RefusalCode.OUTSIDE_COVERAGE, message)


def _in_a_territory(longitude: float, latitude: float) -> bool:
    return any(south <= latitude <= north and west <= longitude <= east for south, north, west, east in TERRITORIES)


_ZIP_CODE = r"(?<![0-9])(?P<zip_code>(?:0[1-9]|[1-8][0-9]|9[0-8])[0-9]{3})(?![0-9])"
_CITY = r"(?P<city>[^\W\d_][^\d,;()\[\]]*[^\W\d_])"
#: A five-digit house number is not a zip code: 24124 Chemin des Matelots.
_NO_STREET = (
    r"(?!(?:rue|r|avenue|av|boulevard|bd|chemin|chem|route|rte|place|pl|all[ée]e|impasse|quai|za|zac|zi)\b[. ])"
)
#: 12 Rue du Lac 74000 Annecy · Rue du Lac, 74000 ANNECY (74) Auvergne-Rhône-Alpes FRANCE
_ZIP_CODE_FIRST = re.compile(
    rf"(?P<street>.*?)[ ,;-]*{_ZIP_CODE}[ ,-]+{_NO_STREET}{_CITY}(?: ?\((?:[0-9]{{2,3}}|2[AB])\).*)?[ .,]*",
    re.IGNORECASE,
)
#: 12 Rue du Lac, Annecy 74000 France
_CITY_FIRST = re.compile(rf"(?P<street>.*), ?{_CITY} {_ZIP_CODE},? France", re.IGNORECASE)
_FRANCE_AT_END = re.compile(r",? france$", re.IGNORECASE)


def _address(text: str, warnings: list[IrveWarning]) -> dict[str, str]:
    """Split a one-line address where the zip code and city are certain; else keep the line."""
    line = clean(text)
    if line.startswith("[") and line.endswith("]"):  # [12 Rue du Lac][74000][Annecy]
        line = re.sub(r"\] ?\[", ", ", line[1:-1])
    parts = _split_address(line)
    if parts is None:
        warnings.append(IrveWarning.CITY_UNKNOWN)
        return {"address": line, "country": "FRA"}
    street, zip_code, city = parts
    return {"address": street, "city": city, "zipCode": zip_code, "country": "FRA"}


@lru_cache(maxsize=4096)
def _split_address(line: str) -> tuple[str, str, str] | None:
    if len(line) > REGISTER_LIMITS.address:
        return None
    match = _CITY_FIRST.fullmatch(line) or _ZIP_CODE_FIRST.fullmatch(_FRANCE_AT_END.sub("", line))
    if match is None:
        return None
    street = match["street"].strip(" ,;-")
    return (street, match["zip_code"], match["city"]) if len(street) > 1 else None


#: The register does not tell open lots from garages.
_LOCATION_TYPES: Final = {
    "voirie": "ON_STREET",
    "parking public": "PARKING_LOT",
    "parking privé à usage public": "PARKING_LOT",
    "parking privé réservé à la clientèle": "PRIVATE",
    "station dédiée à la recharge rapide": "OTHER",
    "": "UNKNOWN",
}


def _location_type(text: str, warnings: list[IrveWarning]) -> str:
    return _word(_LOCATION_TYPES, text, warnings) or "UNKNOWN"


# ---------------------------------------------------------------- what

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False, "": None}
_ANSWER = TypeVar("_ANSWER")


def _word(answers: Mapping[str, _ANSWER], text: str, warnings: list[IrveWarning]) -> _ANSWER | None:
    """Return the meaning of a value of the schema; None, with a warning, for an unknown one."""
    word = text.strip().lower()
    if word not in answers:
        warnings.append(IrveWarning.WORD_UNKNOWN)
    return answers.get(word)


def _connectors(row: Row, warnings: list[IrveWarning]) -> list[dict[str, str]]:
    """Return one connector per true `prise_type_*`; without one the row is refused."""

    def has(column: str) -> bool:
        return _word(_FLAGS, row[column], warnings) is True

    connectors: list[dict[str, str]] = []
    if has("prise_type_ef"):
        connectors.append({"standard": "DOMESTIC_E", "format": "SOCKET"})
    if has("prise_type_2"):
        connectors.append({"standard": "IEC_62196_T2", "format": _type_2_format(row, warnings)})
    if has("prise_type_combo_ccs"):
        connectors.append({"standard": "IEC_62196_T2_COMBO", "format": "CABLE"})
    if has("prise_type_chademo"):
        connectors.append({"standard": "CHADEMO", "format": "CABLE"})
    if has("prise_type_autre"):
        warnings.append(IrveWarning.CONNECTOR_DROPPED)
    if not connectors:
        other = (
            "only another type, which is not named" if IrveWarning.CONNECTOR_DROPPED in warnings else "no type at all"
        )
        message = f"the row has {other}; expected at least one of prise_type_ef, _2, _combo_ccs and _chademo"
        raise RowRefused("prise_type_2", RefusalCode.NO_CONNECTOR, message)
    return connectors


def _type_2_format(row: Row, warnings: list[IrveWarning]) -> str:
    """Return cable or socket; the socket if the register has no value, because a connector must have a format."""
    attached = _word(_FLAGS, row["cable_t2_attache"], warnings)
    if attached is None:
        warnings.append(IrveWarning.CABLE_UNKNOWN)
    return "CABLE" if attached else "SOCKET"


_DIRECT_CURRENT: Final = frozenset({"IEC_62196_T2_COMBO", "CHADEMO"})


def _charge_point_type(connectors: list[dict[str, str]]) -> str:
    return "DC" if any(each["standard"] in _DIRECT_CURRENT for each in connectors) else "AC"


_POWER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,30})?")
#: The schema's own bound. What lies above may be watts, but is not converted on suspicion.
GREATEST_POWER_KW: Final = 1000


def _power_kw(text: str, warnings: list[IrveWarning]) -> float | None:
    """Read a power in kW, to the watt: that cleans what 32-bit floats left (2.299999952316284)."""
    power_kw = round(float(text), 3) if _POWER.fullmatch(text) else 0.0
    if 0 < power_kw <= GREATEST_POWER_KW:
        return power_kw
    warnings.append(IrveWarning.POWER_UNKNOWN)
    return None


#: Two-wheelers charge on one phase: 32 A at 230 V.
_GREATEST_TWO_WHEELER_POWER_KW: Final = 7.4


def _restrictions(row: Row, direct_current: bool, power_kw: float | None, warnings: list[IrveWarning]) -> list[str]:
    """Return the restrictions that the values state for certain."""
    restrictions: list[str] = []
    if row["accessibilite_pmr"].strip().lower() == "réservé pmr":
        restrictions.append("DISABLED")
    if row["implantation_station"].strip().lower() == "parking privé réservé à la clientèle":
        restrictions.append("CUSTOMERS")
    if _word(_FLAGS, row["station_deux_roues"], warnings):
        if direct_current or power_kw is None or power_kw > _GREATEST_TWO_WHEELER_POWER_KW:
            warnings.append(IrveWarning.TWO_WHEELERS_DOUBTED)
        else:
            restrictions.append("MOTORCYCLES")
    return restrictions


def _auth_methods(row: Row, warnings: list[IrveWarning]) -> list[str]:
    """Return the ways to pay that are ways to start; none where the register knows none."""
    methods: list[str] = []
    if _word(_FLAGS, row["paiement_cb"], warnings):
        methods += ["DIRECT_CREDITCARD", "DIRECT_DEBITCARD"]
    if _word(_FLAGS, row["paiement_autre"], warnings):
        methods.append("OPERATOR_AUTH")
    if not methods:
        warnings.append(IrveWarning.AUTH_METHODS_UNKNOWN)
    return methods


def _opening_times(text: str, warnings: list[IrveWarning]) -> Any:
    times = _opening_times_json(text)
    if times is None:
        warnings.append(IrveWarning.HOURS_UNKNOWN)
    return times


@lru_cache(maxsize=4096)
def _opening_times_json(text: str) -> Any:
    times = read_opening_hours(text)
    return None if isinstance(times, NotUnderstood) else msgspec.json.decode(msgspec.json.encode(times))


_TELEPHONE_NUMBER = re.compile(TELEPHONE_NUMBER)


def _telephone_number(text: str, warnings: list[IrveWarning]) -> str | None:
    number = text.strip().removeprefix("tel:")
    if not number or _TELEPHONE_NUMBER.fullmatch(number):
        return number or None
    warnings.append(IrveWarning.TELEPHONE_UNKNOWN)
    return None


#: Before this year there was no register.
FIRST_YEAR: Final = 2010
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _timestamp(text: str, now: datetime, warnings: list[IrveWarning]) -> str | None:
    """Return the beginning of a day in UTC; None, with a warning, for what cannot be a day of the register."""
    day = _day(text)
    if day is not None and day.year >= FIRST_YEAR and day <= (now + timedelta(days=1)).astimezone(UTC).date():
        return f"{text}T00:00:00Z"
    warnings.append(IrveWarning.DATE_UNKNOWN)
    return None


@lru_cache(maxsize=4096)
def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None
