"""The mutations and the queries of CDRs."""

from typing import Annotated, Any

import strawberry

from app.auth import Caller
from app.errors import Forbidden
from app.exchange.actor import acting
from app.exchange.cdrs.confirmations import confirm_cdrs, read_confirmation
from app.exchange.cdrs.reconciliation import reconcile
from app.exchange.cdrs.uploads import add_cdrs, read_cdrs
from app.vocabulary import Role
from schema.publishing import published
from schema.root_fields import Info
from schema.scalars import Decimal, PartyId
from schema.types.cdr import ReconciliationRow
from schema.types.cdr_input import CdrDecline, CdrInput, CdrKey
from schema.types.report import UploadReport
from schema.uploads import uploaded


@strawberry.type
class CdrExchange:
    @strawberry.mutation(
        description="Uploads CDRs of your sessions. Each is checked on its own for plausibility, and all that is wrong "
        "with it is reported; what is refused changes nothing. The same again is `unchanged`, for ever. REVISED "
        "replaces the content of one that is ACCEPTED or DECLINED; REJECTED, with the content that was declined, "
        "waives the claim. OCHP AddCDRs."
    )
    async def add_cdrs(
        self,
        info: Info,
        cdrs: Annotated[list[CdrInput], strawberry.argument(description="CDRs, each checked on its own.")],
    ) -> UploadReport:
        caller = _acting_as(info, Role.EVSE_OPERATOR, "CDRs are uploaded by EVSE operators")
        return await published(info, add_cdrs, await read_cdrs(uploaded(info, "cdrs")), caller)

    @strawberry.mutation(
        description="Approves or declines CDRs of your customers. The same again is `unchanged`. What is neither stays "
        "in `cdrs`. OCHP ConfirmCDRs."
    )
    async def confirm_cdrs(
        self,
        info: Info,
        approved: Annotated[list[CdrKey] | None, strawberry.argument(description="CDRs that you will pay.")] = None,
        declined: Annotated[list[CdrDecline] | None, strawberry.argument(description="CDRs that you dispute.")] = None,
    ) -> UploadReport:
        caller = _acting_as(info, Role.EVSP, "CDRs are confirmed by EVSPs")
        read = await read_confirmation(uploaded(info, "approved"), uploaded(info, "declined"))
        return await published(info, confirm_cdrs, read, caller)


def _acting_as(info: Info, role: Role, rule: str) -> Caller:
    """Return the caller, which must act in the role. Raises: Unauthenticated; Forbidden with `rule`."""
    caller = acting(info.context.caller)
    if caller.role is not role:
        raise Forbidden(f"{rule}; this key acts as {caller.role}")
    return caller


async def answer_reconciliation(
    info: Info, counterparty: PartyId | None, begin: Any, end: Any
) -> list[ReconciliationRow]:
    """Answer `reconciliation`: nothing for callers without a key."""
    context = info.context
    if context.caller is None:
        return []
    rows = await reconcile(context.database, context.caller, counterparty, begin, end)
    return [
        ReconciliationRow(
            operator_id=PartyId(row.operator_id),
            provider_id=PartyId(row.provider_id),
            currency=row.currency,
            status=row.status,
            count=row.count,
            total=Decimal(row.total),
        )
        for row in rows
    ]
