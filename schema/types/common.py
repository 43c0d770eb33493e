"""What several nouns share: points, addresses, hours, the words of the field, Relay pages."""

from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from app.live.log.cursor import cursor_of
from app.vocabulary import (
    AuthMethod,
    BillingItem,
    CdrStatus,
    CdrUploadStatus,
    ChangeAction,
    ChangeKind,
    ChargePointStatus,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    ContractStatus,
    Contradiction,
    GeneralLocationType,
    ImageClass,
    RelatedLocationType,
    RelatedResourceClass,
    Restriction,
    ResultCode,
    Role,
    SessionEnd,
    SessionWarning,
    TokenRepresentation,
    TokenSubType,
    TokenType,
    words_of,
)
from schema.field import column, documents, edge_cursor, edges, log_cursor, node, nodes, page, page_leaf
from schema.scalars import DateTime

Row = TypeVar("Row")


def vocabulary(enum: type[StrEnum], description: str) -> None:
    """Show a vocabulary of `app.vocabulary` as a GraphQL enum."""
    strawberry.enum(enum, description=description)


vocabulary(
    ChargePointStatus,
    "Static status, valid over days. OCHP status of a charge point; OCPI has it only in part (EVSE status).",
)
vocabulary(ChargePointType, "Alternating or direct current at the connectors. OCHP chargePointType.")
vocabulary(ConnectorFormat, "A socket, or a cable with its plug. OCHP and OCPI format.")
vocabulary(
    ConnectorStandard,
    "Kind of connector, spelt as OCHP and OCPI spell it. OCHP connectorStandard, OCPI standard.",
)
vocabulary(GeneralLocationType, "Kind of place. OCHP location, OCPI parking_type.")
vocabulary(Restriction, "Who or what may park there. OCHP restriction, OCPI parking_restrictions.")
vocabulary(
    AuthMethod,
    "How a session may be authorised at the charge point. OCHP authMethods, OCPI capabilities in part.",
)
vocabulary(RelatedLocationType, "What a related point is. OCHP relatedLocation type.")
vocabulary(ImageClass, "What a picture shows. OCHP image class, OCPI image category.")
vocabulary(RelatedResourceClass, "What a linked page is about. OCHP relatedResource class.")
vocabulary(
    Role,
    "What a partner does in the hub. EVSP: electric vehicle service provider (OCPI eMSP); EVSE_OPERATOR: OCPI CPO; "
    "NSP: navigation service provider; PSO: parking spot operator; ADMINISTRATOR: the clearing house operator.",
)
vocabulary(ContractStatus, "Where a contract stands; only ACTIVE within its validity is in force.")
vocabulary(
    ChangeKind,
    "What changed. EVSE, PARKING_SPOT: its record; EVSE_STATUS: its live status, also when only the combined one did; "
    "PARKING_STATUS: the spot's live status; TARIFF: a tariff.",
)
vocabulary(
    ChangeAction,
    "UPSERTED: it exists, as the change shows it. REMOVED: it does not, or is no longer visible, in the area or in the "
    "filter; it may be one that you do not hold.",
)
vocabulary(ResultCode, "OCHP's result codes, spelt in capitals.")
vocabulary(
    BillingItem,
    "What is billed, and per which unit. PARKING_TIME: per hour of parking after charging; USAGE_TIME: per hour of "
    "use; ENERGY: per kWh; POWER: per kW of the highest power; SERVICE_FEE, RESERVATION: once; RESERVATION_TIME: per "
    "hour reserved. OCHP billingItem, OCPI TariffDimensionType in part.",
)
vocabulary(
    TokenType,
    "What the driver shows. RFID: a card; ISO_15118: the car itself, plug and charge; REMOTE: a session that was "
    "started from afar, in reports of sessions and CDRs only, never in a list. OCHP tokenType, OCPI TokenType in part.",
)
vocabulary(TokenSubType, "Kind of card; tokens are compared without it. OCHP tokenSubType.")
vocabulary(
    TokenRepresentation,
    "How `instance` is written. PLAIN: as it is; SHA_160: 40 hexadecimal digits; SHA_256: 64 hexadecimal digits. "
    "Hashes are those of the plain instance in capitals, as UTF-8. OCHP representation.",
)
vocabulary(
    SessionEnd,
    "How a session ended. AUTHORISED_STOP: by the same token; FORCED_DISCONNECT: the plug was pulled first; EXPIRED: "
    "its operator never ended it, the hub did.",
)
vocabulary(
    SessionWarning,
    "Why the hub cannot confirm that a session was authorised at its instant. NO_CONTRACT_THEN: no contract between "
    "its two parties was in force; TOKEN_NOT_VALID: no authorisation of this token and contract was valid.",
)
vocabulary(
    Contradiction,
    "What does not fit an active session. EVSE_AVAILABLE: its EVSE has the status AVAILABLE; SEVERAL_SESSIONS: another "
    "session is active on its EVSE.",
)
vocabulary(
    CdrUploadStatus,
    "What an operator says of a CDR. NEW: it comes for the first time; REVISED: it replaces what was ACCEPTED or "
    "DECLINED; REJECTED: the claim that was DECLINED is waived. OCHP status.",
)
vocabulary(
    CdrStatus,
    "Where a CDR stands. ACCEPTED: plausible, waiting for the EVSP; REVISED: replaced, waiting again; APPROVED: to be "
    "paid; DECLINED: disputed; REJECTED: waived by its operator. OCHP status; its `new` exists only during the check.",
)


#: Shapes that turn a mask into its words.
RESTRICTIONS = partial(words_of, vocabulary=Restriction)
AUTH_METHODS = partial(words_of, vocabulary=AuthMethod)


@strawberry.type(description="A point on the earth. OCHP GeoPointType, OCPI GeoLocation.")
class Point:
    latitude: float = column(description="Degrees north, WGS 84, six decimals.")
    longitude: float = column(description="Degrees east, WGS 84, six decimals.")


@strawberry.type(
    description="Postal address. City and zip code may be unknown for imported data. OCHP chargePointAddress."
)
class Address:
    house_number: str | None = column(description="House number, where it is sent apart from the street.")
    address: str = column(description="Street, or the whole line for imported data.")
    city: str | None = column(description="City; null: unknown.")
    zip_code: str | None = column(description="Postal code; null: unknown.")
    country: str = column(description="ISO 3166-1 alpha-3, e.g. DEU.")


@strawberry.type(
    description="A point that belongs to the place, such as an entrance. OCHP relatedLocation, OCPI related_locations."
)
class RelatedLocation:
    latitude: float = column(description="Degrees north, WGS 84.")
    longitude: float = column(description="Degrees east, WGS 84.")
    name: str | None = column(description="Name of the point.")
    type: RelatedLocationType = column(description="What the point is.")


@strawberry.type(description="Hours of one weekday, local to the location. OCHP and OCPI regularHours.")
class RegularHours:
    weekday: int = column(description="1 Monday to 7 Sunday.")
    begin: str = column(description="HH:MM, local time.")
    end: str = column(description="HH:MM, local time, after begin; 24:00 is the end of the day.")


@strawberry.type(description="A half-open period of time. OCHP exceptionalPeriod.")
class Period:
    begin: DateTime = column(description="First instant inside.")
    end: DateTime = column(description="First instant outside.")


@strawberry.type(
    description="When the place can be used: twentyfourseven or regularHours is given. OCHP and OCPI openingTimes."
)
class OpeningTimes:
    twentyfourseven: bool | None = column(
        description="True: always open; false: only in exceptional openings. Null: see regularHours."
    )
    regular_hours: list[RegularHours] = documents(
        "regularHours", "Hours of the week, split at midnight; empty with twentyfourseven."
    )
    exceptional_openings: list[Period] = documents("exceptionalOpenings", "Open although the regular hours say closed.")
    exceptional_closings: list[Period] = documents("exceptionalClosings", "Closed although the regular hours say open.")
    closed_charging: bool | None = column(
        "closedCharging", description="True: a plugged car goes on charging while the place is closed."
    )


@strawberry.type(description="A change of the static status planned ahead. OCHP statusSchedule, OCPI status_schedule.")
class StatusPeriod:
    start: DateTime = column(description="First instant of the status.")
    end: DateTime | None = column(description="First instant after it; null: open.")
    status: ChargePointStatus = column(description="Overrides the static status while it applies.")


@strawberry.type(description="A picture or logo. OCHP images, OCPI Image.")
class Image:
    uri: str = column(description="Where it lies.")
    thumb_uri: str | None = column("thumbUri", description="Where a small version lies.")
    class_: ImageClass = column("class", description="What it shows.", name="class")
    type: str = column(description="File type: gif, jpeg, png or svg.")
    width: int | None = column(description="Pixels.")
    height: int | None = column(description="Pixels.")


@strawberry.type(description="A page about the charge point. OCHP relatedResource.")
class RelatedResource:
    uri: str = column(description="Address of the page (http or https).")
    classes: list[RelatedResourceClass] = column(description="What the page is about.")


@strawberry.type(description="Relay's page info: what lies before and behind this page.")
class PageInfo:
    has_next_page: bool = page_leaf("hasNextPage", "There are rows behind this page.")
    has_previous_page: bool = page_leaf("hasPreviousPage", "There are rows before this page.")
    start_cursor: str | None = page_leaf("startCursor", "Cursor of the first row; null when the page is empty.")
    end_cursor: str | None = page_leaf("endCursor", "Cursor of the last row: pass it as `after` for the next page.")


@strawberry.type(description="A row and its place in the list (Relay).")
class Edge(Generic[Row]):
    cursor: str = edge_cursor("Where the row stands in this list; opaque.")
    node: Row = node("The row.")


@strawberry.type(description="A page of a list (Relay connection).")
class Connection(Generic[Row]):
    edges: list[Edge[Row]] = edges("The rows with their cursors.")
    nodes: list[Row] = nodes("The rows alone.")
    page_info: PageInfo = page("What lies before and behind this page.")


def log_position() -> Any:
    return log_cursor(
        cursor_of,
        "Where the list stands in the change log: changes from there on are those that the list does not show, and no "
        "others. Of a list of several pages the place of the first one; ask for it from the first page on.",
    )


First = Annotated[int, strawberry.argument(description="Rows per page, 1 to 500.")]
After = Annotated[
    str | None, strawberry.argument(description="Cursor of the last row already read; absent: from the start.")
]
