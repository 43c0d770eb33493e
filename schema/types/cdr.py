"""Charge detail records: what an operator claims of an EVSP for a session, its revisions, and what became of it."""

from typing import Any

import strawberry
from sqlalchemy import ColumnElement, FromClause, Text, cast, select

from app.db.tables import cdr_content, partner_role, session, workflow_history
from app.exchange.cdrs.workflow import CDR_WORKFLOW
from app.ids import separated_contract_id, separated_evse_id
from app.read.plan import ToOne, Via
from schema.field import column, declared, documents, page_leaf, same_row, to_many, to_one
from schema.field import document as in_document
from schema.scalars import CdrId, ContractId, Cursor, DateTime, Decimal, EvseId, LocalDateTime, PartyId, show_decimal
from schema.types.authorisation import Session, Token
from schema.types.charge_point import Connector, Ratings
from schema.types.common import Address, BillingItem, CdrStatus, ChargePointType
from schema.types.report import Refusal

#: The content that counts. Both sides of a CDR are sides of its contents.
CONTENT = ToOne(cdr_content, ("month", "id", "revision"), ("month", "cdr_key", "revision"), visible_with_parent=True)


def of_content(name: str, description: str, shape: Any = None) -> Any:
    return column(Via(CONTENT, name), description=description, shape=shape)


#: The history of CDRs with the party ids of the actors. Its name is that of the table, whose visibility rule it has.
cdr_event = (
    select(
        *(workflow_history.c[name] for name in ("subject_id", "first_role_id", "second_role_id", "no", "at")),
        *(workflow_history.c[name] for name in ("command", "from_state", "to_state", "reason", "content_hash")),
        partner_role.c.party_id,
    )
    .select_from(workflow_history.outerjoin(partner_role, partner_role.c.id == workflow_history.c.actor_role_id))
    .where(workflow_history.c.subject == CDR_WORKFLOW.noun)
    .subquery(workflow_history.name)
)


def _of_cdr(events: FromClause, id_: ColumnElement[Any]) -> ColumnElement[bool]:
    return events.c.subject_id == cast(id_, Text)


def _revision_of(contents: FromClause, month: ColumnElement[Any], id_: ColumnElement[Any]) -> ColumnElement[bool]:
    return (contents.c.month == month) & (contents.c.cdr_key == id_)


def hexadecimal(found: str) -> str:
    """Show bytes that are a row of a list inside an answer, where PostgreSQL writes them as text."""
    return found.removeprefix("\\x")


@strawberry.type(description="A part of a session and what it costs. Periods may overlap. OCHP CdrPeriodType.")
class CdrPeriod:
    start: LocalDateTime = column(description="When it began, local time. OCHP startDateTime.")
    end: LocalDateTime = column(description="When it ended, local time. OCHP endDateTime.")
    billing_item: BillingItem = column("billingItem", description="What is billed. OCHP billingItem.")
    billing_value: Decimal = column(
        "billingValue", description="How much of it: hours, kWh, kW, or 1 for a fee. OCHP billingValue."
    )
    item_price: Decimal = column("itemPrice", description="Net price per unit; 0: not billed. OCHP itemPrice.")
    period_cost: Decimal | None = column(
        "periodCost", description="Net cost of the period; null: billingValue x itemPrice. OCHP periodCost."
    )
    tax_rate: Decimal | None = column("taxRate", description="Tax in percent; null: not sent. OCHP taxrate.")


@strawberry.type(description="A step in the life of a CDR. Never changed, and chained by hashes with those before it.")
class CdrEvent:
    status: CdrStatus = column("to_state", description="The state that it led to.")
    before: CdrStatus | None = column("from_state", description="The state before; null: the CDR was uploaded.")
    at: DateTime = column(description="When.")
    by: PartyId | None = column("party_id", description="Who; null: the administrator.")
    reason: str | None = column(description="Why, as the EVSP gave it; null: no reason was given.")
    content_hash: str | None = column(
        shape=hexadecimal,
        description="Hash of the content that the operator sent with this step, hexadecimal; null: none was sent.",
    )


@strawberry.type(description="What a revision of a CDR holds, as it was sent.")
class CdrRevision:
    revision: int = column(description="Number of the revision, from 1.")
    at: DateTime = column(description="When it was uploaded.")
    content_hash: str = column(
        shape=hexadecimal,
        description="Hash of the content, hexadecimal: equal where the contents mean the same.",
    )
    token: Token = same_row("What authorised the session. OCHP emtId.")
    contract_id: ContractId = column(
        shape=separated_contract_id, description="The contract that pays. OCHP contractId."
    )
    start: LocalDateTime = column(description="Login, local time. OCHP startDateTime.")
    end: LocalDateTime = column(description="Log-off or disconnect, local time. OCHP endDateTime.")
    duration: str | None = column(description="HHH:MM:SS; null: not sent. OCHP duration.")
    address: Address = same_row("Where. OCHP chargePointAddress.")
    charge_point_type: ChargePointType = column(description="AC or DC. OCHP chargePointType.")
    connector: Connector = same_row("The connector that was used. OCHP connectorType.")
    ratings: Ratings | None = in_document("ratings", "What the EVSE could deliver; null: not sent. OCHP ratings.")
    meter_id: str | None = column(description="Number of the meter; null: not sent. OCHP meterId.")
    periods: list[CdrPeriod] = documents("periods", "What is billed. OCHP chargingPeriods.")
    total_cost: Decimal | None = column(
        shape=show_decimal, description="Net total; null: not sent, the sum of the periods. OCHP totalCost."
    )
    currency: str = column(description="ISO 4217, e.g. EUR. OCHP currency.")
    warnings: list[Refusal] = documents("warnings", "What the EVSP should look at; it was accepted all the same.")


@strawberry.type(
    description="A charge detail record: what an operator claims of an EVSP for a session. Only these two see it. "
    "OCHP CDRInfo, OCPI CDR."
)
class Cdr:
    cdr_id: CdrId = column(description="Its id. OCHP cdrId, OCPI id.")
    evse_id: EvseId = column(shape=separated_evse_id, description="Where the car charged. OCHP evseId, OCPI evse_id.")
    operator_id: PartyId = column(description="The operator that claims. OCPI country_code and party_id.")
    provider_id: PartyId = column(description="The EVSP that pays: the one of the contract.")
    status: CdrStatus = column(description="Where it stands. OCHP status.")
    revision: int = column(description="Number of the revision that counts, from 1.")
    decline_reason: str | None = column(
        description="Why the EVSP declined it, also once it is REJECTED; null: it did not, or gave no reason."
    )
    token: Token = declared(CONTENT, "What authorised the session. OCHP emtId, OCPI cdr_token.")
    contract_id: ContractId = of_content(
        "contract_id", "The contract that pays. OCHP contractId.", separated_contract_id
    )
    session: Session | None = to_one(
        session, "The session that it names; null: none.", ("session_id",), ("id",), optional=True
    )
    start: LocalDateTime = of_content("start", "Login, local time. OCHP startDateTime, OCPI start_date_time.")
    end: LocalDateTime = of_content("end", "Log-off or disconnect, local time. OCHP endDateTime, OCPI end_date_time.")
    duration: str | None = of_content("duration", "HHH:MM:SS; null: not sent. OCHP duration.")
    address: Address = declared(CONTENT, "Where. OCHP chargePointAddress.")
    charge_point_type: ChargePointType = of_content("charge_point_type", "AC or DC. OCHP chargePointType.")
    connector: Connector = declared(CONTENT, "The connector that was used. OCHP connectorType.")
    ratings: Ratings | None = in_document(
        Via(CONTENT, "ratings"), "What the EVSE could deliver; null: not sent. OCHP ratings."
    )
    meter_id: str | None = of_content("meter_id", "Number of the meter; null: not sent. OCHP meterId.")
    periods: list[CdrPeriod] = documents(Via(CONTENT, "periods"), "What is billed. OCHP chargingPeriods.")
    total_cost: Decimal | None = of_content(
        "total_cost",
        "Net total; null: not sent, the sum of the periods. OCHP totalCost, OCPI total_cost.",
        show_decimal,
    )
    currency: str = column(description="ISO 4217, e.g. EUR. OCHP and OCPI currency.")
    warnings: list[Refusal] = documents(
        Via(CONTENT, "warnings"), "What the EVSP should look at; it was accepted all the same."
    )
    history: list[CdrEvent] = to_many(cdr_event, "Its steps, oldest first.", ("id",), _of_cdr, ("no",))
    revisions: list[CdrRevision] = to_many(
        cdr_content, "All its revisions, oldest first, to compare them.", ("month", "id"), _revision_of, ("revision",)
    )
    updated_at: DateTime = column(description="When the hub last saw a change of it. OCPI last_updated.")


@strawberry.type(description="CDRs that are new or changed, in their newest state.")
class CdrPage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    cdrs: list[Cdr] = page_leaf("cdrs", "The CDRs; may be empty.")


@strawberry.type(
    description="The CDRs of a pair of partners in one currency and state. What was uploaded of a pair and currency is "
    "the sum over the states: ACCEPTED and REVISED are open, the others settled or disputed."
)
class ReconciliationRow:
    operator_id: PartyId = strawberry.field(description="The operator that claims.")
    provider_id: PartyId = strawberry.field(description="The EVSP that pays.")
    currency: str = strawberry.field(description="ISO 4217.")
    status: CdrStatus = strawberry.field(description="The state that these CDRs are in.")
    count: int = strawberry.field(description="How many they are.")
    total: Decimal = strawberry.field(
        description="Sum of their totalCost, net, exact; of the periods where a CDR has no totalCost."
    )
