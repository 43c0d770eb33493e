"""What uploads and confirmations of CDRs take. The items are read by `app.records.cdr`, one by one."""

import strawberry

from schema.scalars import CdrId, ContractId, Decimal, EvseId, LocalDateTime
from schema.types.authorisation_input import TokenInput
from schema.types.charge_point_input import AddressInput, ConnectorInput, RatingsInput, required
from schema.types.common import BillingItem, CdrUploadStatus, ChargePointType
from schema.types.inputs import option


@strawberry.input(description="A part of a session and what it costs. OCHP CdrPeriodType.")
class CdrPeriodInput:
    start: LocalDateTime = required("When it began, within the CDR. OCHP startDateTime.")
    end: LocalDateTime = required("When it ended, within the CDR, not before its start. OCHP endDateTime.")
    billing_item: BillingItem = required("What is billed. OCHP billingItem.")
    billing_value: Decimal = required(
        "How much of it: hours, kWh, kW, or 1 for a fee; not negative. OCHP billingValue."
    )
    item_price: Decimal = required("Net price per unit; 0: not billed; at most 8 decimals. OCHP itemPrice.")
    period_cost: Decimal | None = option(
        "Net cost: billingValue x itemPrice, at most half a minor unit of the currency away; at most 8 decimals. OCHP "
        "periodCost."
    )
    tax_rate: Decimal | None = option("Tax in percent. OCHP taxrate.")


@strawberry.input(description="A charge detail record as its operator uploads it. OCHP CDRInfo.")
class CdrInput:
    cdr_id: CdrId = required("Its id; begin it with your party id. OCHP cdrId.")
    evse_id: EvseId = required("One of your EVSEs. OCHP evseId.")
    token: TokenInput = required("What authorised the session; REMOTE with `sessionId`. OCHP emtId.")
    contract_id: ContractId = required("The contract that pays: its EVSP gets the CDR. OCHP contractId.")
    session_id: strawberry.ID | None = option("The session of the hub that it is about.")
    status: CdrUploadStatus = strawberry.field(
        default=CdrUploadStatus.NEW, description="What you say of it. OCHP status."
    )
    start: LocalDateTime = required("Login. OCHP startDateTime.")
    end: LocalDateTime = required("Log-off or disconnect, after the start. OCHP endDateTime.")
    duration: str | None = option("HHH:MM:SS, the time from start to end. OCHP duration.")
    address: AddressInput = required("Where. OCHP chargePointAddress.")
    charge_point_type: ChargePointType = required("AC or DC. OCHP chargePointType.")
    connector: ConnectorInput = required("The connector that was used. OCHP connectorType.")
    ratings: RatingsInput | None = option("What the EVSE could deliver. OCHP ratings.")
    meter_id: str | None = option("Number of the meter, 1 to 20 characters. OCHP meterId.")
    periods: list[CdrPeriodInput] = required("What is billed; not empty, at most 1,000. OCHP chargingPeriods.")
    total_cost: Decimal | None = option(
        "Net total: the sum of the periods, at most half a minor unit per period away; no more decimals than the "
        "currency has. OCHP totalCost."
    )
    currency: str = required("ISO 4217, e.g. EUR. OCHP currency.")


@strawberry.input(description="A CDR by its name.")
class CdrKey:
    cdr_id: CdrId = required("Its id.")
    evse_id: EvseId | None = option("Its EVSE; needed only for ids that do not begin with the operator's party id.")


@strawberry.input(description="A CDR that is declined.")
class CdrDecline:
    cdr_id: CdrId = required("Its id.")
    evse_id: EvseId | None = option("Its EVSE; needed only for ids that do not begin with the operator's party id.")
    reason: str | None = option("Why, for its operator; 1 to 1,000 characters.")
