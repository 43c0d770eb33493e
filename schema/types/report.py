"""What the hub answers to an upload."""

from collections.abc import Sequence

import strawberry

from app import metrics
from app.uploads.checks import Refusal as Refused
from app.uploads.items import REFUSALS_LISTED, Report, count_items
from app.vocabulary import ResultCode as Code
from schema.field import column
from schema.scalars import Cursor
from schema.types.common import ResultCode


@strawberry.type(
    description="The result of an upload or of a request, with OCHP's codes. It is about the content only; of an "
    "upload see `refused` for each item."
)
class Result:
    code: ResultCode = column(
        description="OK: everything, or granted; PARTLY: some; else why nothing went in, or why it is not granted. "
        "ROAMING: no EVSP that you have a contract with; INVALID_ID: not yours, or expired."
    )
    description: str = column(description="The same as a sentence.")


@strawberry.type(
    description="Why one item stayed out, while the rest of the upload went in; as a warning: what to look at."
)
class Refusal:
    path: str = strawberry.field(
        description="Where, from the argument down, e.g. chargePoints[3].connectors[0].standard."
    )
    index: int = strawberry.field(description="Which item of the list, from 0.")
    id: str | None = strawberry.field(description="Id of the item as sent; null: it had none that could be read.")
    code: str = strawberry.field(description="Why, as a stable code; the errors page of the documentation lists them.")
    message: str = strawberry.field(description="Why, with the value and what is possible.")


@strawberry.type(description="What became of an upload. Every item is accepted, unchanged, removed or refused.")
class UploadReport:
    result: Result = strawberry.field(description="How it went.")
    accepted: int = strawberry.field(description="Items that went in, new or changed.")
    unchanged: int = strawberry.field(description="Items that said what the hub knew already.")
    removed: int = strawberry.field(description="Items that were removed.")
    refused: list[Refusal] = strawberry.field(
        description="Items that stayed out, and why; an item may have several reasons. At most the first 5,000 reasons."
    )
    warnings: list[Refusal] = strawberry.field(
        description="What to look at of items that were not refused. At most the first 5,000."
    )
    cursor: Cursor | None = strawberry.field(
        description="A place in the change log before this upload: `changes` from there tells what it changed."
    )


def upload_report(report: Report, cursor: str) -> UploadReport:
    """Show a report."""
    for outcome in ("accepted", "unchanged", "removed"):
        metrics.UPLOADED.labels(outcome).inc(getattr(report, outcome))
    metrics.UPLOADED.labels("refused").inc(report.refused_items)
    return UploadReport(
        result=_result(report),
        accepted=report.accepted,
        unchanged=report.unchanged,
        removed=report.removed,
        refused=_listed(report.refused),
        warnings=_listed(report.warnings),
        cursor=Cursor(cursor),
    )


def _listed(refused: Sequence[Refused]) -> list[Refusal]:
    return [
        Refusal(path=each.path, index=each.index, id=each.id, code=each.code, message=each.message)
        for each in refused[:REFUSALS_LISTED]
    ]


def _result(report: Report) -> Result:
    went_well = report.accepted + report.unchanged + report.removed
    refused = report.refused_items
    counts = f"{report.accepted} accepted, {report.unchanged} unchanged, {report.removed} removed, {refused} refused"
    counts += _not_listed(report)
    if not refused:
        return Result(code=Code.OK, description=counts)
    if went_well:
        return Result(code=Code.PARTLY, description=counts)
    codes = {refusal.code for refusal in report.refused}
    return Result(code=Code.INVALID_ID if codes == {Code.INVALID_ID.value} else Code.FORMAT, description=counts)


def _not_listed(report: Report) -> str:
    """Return what a sentence adds if not all refusals are listed."""
    if len(report.refused) <= REFUSALS_LISTED:
        return ""
    if report.refused_count is not None:  # of several parts, whose items have the same indices
        return f"; the first {REFUSALS_LISTED} reasons are listed"
    more = report.refused_items - count_items(report.refused[:REFUSALS_LISTED])
    return f"; the first {REFUSALS_LISTED} reasons are listed, those of {more} more items are not"
