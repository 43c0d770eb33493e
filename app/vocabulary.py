"""The field's fixed vocabularies, spelt as the GraphQL face spells them.

Every list is total over OCHP 1.4.
Order matters: the position of a word is its bit in the masks of `app.db.tables` (append, never insert).
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache, lru_cache


class MajorStatus(StrEnum):
    AVAILABLE = "AVAILABLE"
    NOT_AVAILABLE = "NOT_AVAILABLE"
    UNKNOWN = "UNKNOWN"


class MinorStatus(StrEnum):
    AVAILABLE = "AVAILABLE"
    RESERVED = "RESERVED"
    CHARGING = "CHARGING"
    BLOCKED = "BLOCKED"
    OUT_OF_ORDER = "OUT_OF_ORDER"


class ChargePointStatus(StrEnum):
    UNKNOWN = "UNKNOWN"
    OPERATIVE = "OPERATIVE"
    INOPERATIVE = "INOPERATIVE"
    PLANNED = "PLANNED"
    CLOSED = "CLOSED"


class ChargePointType(StrEnum):
    AC = "AC"
    DC = "DC"


class ConnectorFormat(StrEnum):
    SOCKET = "SOCKET"
    CABLE = "CABLE"


class ConnectorStandard(StrEnum):
    CHADEMO = "CHADEMO"
    IEC_62196_T1 = "IEC_62196_T1"
    IEC_62196_T1_COMBO = "IEC_62196_T1_COMBO"
    IEC_62196_T2 = "IEC_62196_T2"
    IEC_62196_T2_COMBO = "IEC_62196_T2_COMBO"
    IEC_62196_T3A = "IEC_62196_T3A"
    IEC_62196_T3C = "IEC_62196_T3C"
    DOMESTIC_A = "DOMESTIC_A"
    DOMESTIC_B = "DOMESTIC_B"
    DOMESTIC_C = "DOMESTIC_C"
    DOMESTIC_D = "DOMESTIC_D"
    DOMESTIC_E = "DOMESTIC_E"
    DOMESTIC_F = "DOMESTIC_F"
    DOMESTIC_G = "DOMESTIC_G"
    DOMESTIC_H = "DOMESTIC_H"
    DOMESTIC_I = "DOMESTIC_I"
    DOMESTIC_J = "DOMESTIC_J"
    DOMESTIC_K = "DOMESTIC_K"
    DOMESTIC_L = "DOMESTIC_L"
    TESLA_R = "TESLA_R"
    TESLA_S = "TESLA_S"
    IEC_60309_2_single_16 = "IEC_60309_2_single_16"
    IEC_60309_2_three_16 = "IEC_60309_2_three_16"
    IEC_60309_2_three_32 = "IEC_60309_2_three_32"
    IEC_60309_2_three_64 = "IEC_60309_2_three_64"


class GeneralLocationType(StrEnum):
    ON_STREET = "ON_STREET"
    PARKING_GARAGE = "PARKING_GARAGE"
    UNDERGROUND_GARAGE = "UNDERGROUND_GARAGE"
    PARKING_LOT = "PARKING_LOT"
    PRIVATE = "PRIVATE"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class Restriction(StrEnum):
    EV_ONLY = "EV_ONLY"
    PLUGGED = "PLUGGED"
    DISABLED = "DISABLED"
    CUSTOMERS = "CUSTOMERS"
    MOTORCYCLES = "MOTORCYCLES"
    CARSHARING = "CARSHARING"


class AuthMethod(StrEnum):
    PUBLIC = "PUBLIC"
    LOCAL_KEY = "LOCAL_KEY"
    DIRECT_CASH = "DIRECT_CASH"
    DIRECT_CREDITCARD = "DIRECT_CREDITCARD"
    DIRECT_DEBITCARD = "DIRECT_DEBITCARD"
    RFID_MIFARE_CLS = "RFID_MIFARE_CLS"
    RFID_MIFARE_DES = "RFID_MIFARE_DES"
    RFID_CALYPSO = "RFID_CALYPSO"
    IEC_15118 = "IEC_15118"
    OCHP_DIRECT_AUTH = "OCHP_DIRECT_AUTH"
    OPERATOR_AUTH = "OPERATOR_AUTH"


class RelatedLocationType(StrEnum):
    ENTRANCE = "ENTRANCE"
    EXIT = "EXIT"
    ACCESS = "ACCESS"
    UI = "UI"
    OTHER = "OTHER"


class ImageClass(StrEnum):
    NETWORK_LOGO = "NETWORK_LOGO"
    OPERATOR_LOGO = "OPERATOR_LOGO"
    OWNER_LOGO = "OWNER_LOGO"
    STATION_PHOTO = "STATION_PHOTO"
    LOCATION_PHOTO = "LOCATION_PHOTO"
    ENTRANCE_PHOTO = "ENTRANCE_PHOTO"
    OTHER_PHOTO = "OTHER_PHOTO"
    OTHER_LOGO = "OTHER_LOGO"
    OTHER_GRAPHIC = "OTHER_GRAPHIC"


class RelatedResourceClass(StrEnum):
    OPERATOR_MAP = "OPERATOR_MAP"
    OPERATOR_PAYMENT = "OPERATOR_PAYMENT"
    STATION_INFO = "STATION_INFO"
    SURROUNDING_INFO = "SURROUNDING_INFO"
    OWNER_HOMEPAGE = "OWNER_HOMEPAGE"
    FEEDBACK_FORM = "FEEDBACK_FORM"
    OPENING_TIMES = "OPENING_TIMES"


class Role(StrEnum):
    EVSP = "EVSP"
    EVSE_OPERATOR = "EVSE_OPERATOR"
    NSP = "NSP"
    PSO = "PSO"
    ADMINISTRATOR = "ADMINISTRATOR"


class ContractStatus(StrEnum):
    PROPOSED = "PROPOSED"
    DECLINED = "DECLINED"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    ENDED = "ENDED"


class ChangeKind(StrEnum):
    EVSE = "EVSE"
    EVSE_STATUS = "EVSE_STATUS"
    PARKING_SPOT = "PARKING_SPOT"
    PARKING_STATUS = "PARKING_STATUS"
    TARIFF = "TARIFF"


class LogKind(StrEnum):
    """What a row of the change log is about: a kind of change, or what roles may see."""

    EVSE = "EVSE"
    EVSE_STATUS = "EVSE_STATUS"
    PARKING_SPOT = "PARKING_SPOT"
    PARKING_STATUS = "PARKING_STATUS"
    TARIFF = "TARIFF"
    VIEWER_SCOPE = "VIEWER_SCOPE"
    AUTHORISATION = "AUTHORISATION"
    AUTHORISATION_REQUEST = "AUTHORISATION_REQUEST"
    SESSION = "SESSION"
    CDR = "CDR"


class ChangeAction(StrEnum):
    UPSERTED = "UPSERTED"
    REMOVED = "REMOVED"


class ResultCode(StrEnum):
    OK = "OK"
    PARTLY = "PARTLY"
    NOT_AUTHORIZED = "NOT_AUTHORIZED"
    INVALID_ID = "INVALID_ID"
    SERVER = "SERVER"
    FORMAT = "FORMAT"
    ROAMING = "ROAMING"


class BillingItem(StrEnum):
    PARKING_TIME = "PARKING_TIME"
    USAGE_TIME = "USAGE_TIME"
    ENERGY = "ENERGY"
    POWER = "POWER"
    SERVICE_FEE = "SERVICE_FEE"
    RESERVATION = "RESERVATION"
    RESERVATION_TIME = "RESERVATION_TIME"


class TokenType(StrEnum):
    RFID = "RFID"
    REMOTE = "REMOTE"
    ISO_15118 = "ISO_15118"


class TokenSubType(StrEnum):
    MIFARE_CLS = "MIFARE_CLS"
    MIFARE_DES = "MIFARE_DES"
    CALYPSO = "CALYPSO"


class TokenRepresentation(StrEnum):
    PLAIN = "PLAIN"
    SHA_160 = "SHA_160"
    SHA_256 = "SHA_256"


class SessionStatus(StrEnum):
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    ENDED = "ENDED"


class SessionEnd(StrEnum):
    AUTHORISED_STOP = "AUTHORISED_STOP"
    FORCED_DISCONNECT = "FORCED_DISCONNECT"
    EXPIRED = "EXPIRED"


class SessionWarning(StrEnum):
    """Why the hub cannot confirm that a reported session was authorised at its instant."""

    NO_CONTRACT_THEN = "NO_CONTRACT_THEN"
    TOKEN_NOT_VALID = "TOKEN_NOT_VALID"


class Contradiction(StrEnum):
    """What does not fit a session that has not ended."""

    EVSE_AVAILABLE = "EVSE_AVAILABLE"
    SEVERAL_SESSIONS = "SEVERAL_SESSIONS"


class CdrUploadStatus(StrEnum):
    """What an operator may say of a CDR."""

    NEW = "NEW"
    REVISED = "REVISED"
    REJECTED = "REJECTED"


class CdrStatus(StrEnum):
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REVISED = "REVISED"
    REJECTED = "REJECTED"
    APPROVED = "APPROVED"


ROLES_WITH_PARTY_ID = frozenset({Role.EVSP, Role.EVSE_OPERATOR, Role.PSO})


@lru_cache(10_000)
def mask_of(words: tuple[StrEnum, ...], vocabulary: type[StrEnum]) -> int:
    """Return the bit mask of a set of words: bit n stands for the n-th word of the vocabulary."""
    order = _bits(vocabulary)
    return sum({1 << order[word] for word in words})


@cache
def words_of(mask: int, vocabulary: type[StrEnum]) -> tuple[str, ...]:
    """Return the words of a mask in the vocabulary's order, as they appear in answers."""
    return tuple(word.value for word, bit in _bits(vocabulary).items() if mask >> bit & 1)


@cache
def _bits(vocabulary: type[StrEnum]) -> dict[StrEnum, int]:
    return {word: bit for bit, word in enumerate(vocabulary)}


def connector_mask(connectors: Iterable[tuple[ConnectorStandard, ConnectorFormat]]) -> int:
    """Return the mask of an EVSE's connectors: one bit per pair of standard and format.

    A filter on standards and formats must be met by one and the same connector, which one AND on this mask decides.
    """
    standards, formats = _bits(ConnectorStandard), _bits(ConnectorFormat)
    return sum({1 << (standards[standard] * len(formats) + formats[format_]) for standard, format_ in connectors})


def standards_of(mask: int) -> list[str]:
    """Return the standards of the connectors in a mask, whatever their format."""
    formats = len(_bits(ConnectorFormat))
    either = (1 << formats) - 1
    return [word.value for word, bit in _bits(ConnectorStandard).items() if mask >> bit * formats & either]
