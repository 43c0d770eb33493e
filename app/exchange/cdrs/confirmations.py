"""What providers say to CDRs: they approve or decline them. The same answer again changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.auth import Caller
from app.db.engine import Connection, Database
from app.exchange.actor import write_as
from app.exchange.cdrs.workflow import CDR_WORKFLOW, Command
from app.exchange.workflow import Move, advance
from app.records.cdr import CdrDeclineInput, CdrKey, CdrKeyInput, read_cdr_key
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.items import Report, by_index, worth_keeping
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals
from app.uploads.yielding import yielding
from app.vocabulary import CdrStatus

APPROVED: Final = "approved"
DECLINED: Final = "declined"
COMMANDS: Final = {APPROVED: Command.APPROVE, DECLINED: Command.DECLINE}
OUTCOMES: Final = {APPROVED: CdrStatus.APPROVED, DECLINED: CdrStatus.DECLINED}

#: Names without an EVSE find the CDRs whose ids are unique without it. Rows are locked before their states are read: of
#: two equal confirmations at once the second finds what the first one did.
_FIND: Final = """
select asked.place::integer, cdr.id, cdr.status
from unnest($2::text[], $3::text[]) with ordinality as asked (cdr_id, evse_id, place)
join cdr on cdr.cdr_id = asked.cdr_id and cdr.provider_role_id = $1
    and case when asked.evse_id is null then left(cdr.cdr_id, 5) = operator_id else cdr.evse_id = asked.evse_id end
order by cdr.id for no key update of cdr
"""


@dataclass(slots=True)
class ReadKeys:
    """The CDRs that a confirmation names, and what is wrong with the other items."""

    items: list[CdrKey] = field(default_factory=list[CdrKey])
    refused: list[Refusal] = field(default_factory=list[Refusal])


async def read_confirmation(approved: Sequence[Any], declined: Sequence[Any]) -> ReadKeys:
    """Check the items of a confirmation, each by itself."""
    found = ReadKeys()
    for argument, raw, type_ in ((APPROVED, approved, CdrKeyInput), (DECLINED, declined, CdrDeclineInput)):
        async for index, item in yielding(enumerate(raw)):
            read = read_cdr_key(item, index, argument, type_)
            if isinstance(read, CdrKey):
                found.items.append(read)
            else:
                found.refused += worth_keeping(read, len(found.refused))
    return found


async def confirm_cdrs(
    database: Database, read: ReadKeys, caller: Caller, now: datetime, *, refusals_kept: int = REFUSALS_KEPT
) -> Report:
    """Approve and decline CDRs of a provider; what the transition table does not list is refused."""

    async def work(connection: Connection) -> Report:
        await connection.execute("set local plan_cache_mode = force_custom_plan")
        found = await _find(connection, caller, read.items)
        refused = [*read.refused, *(_absent(each) for place, each in enumerate(read.items) if place not in found)]
        named: dict[UUID, CdrKey] = {}
        repeated = 0
        for place, item in ((place, each) for place, each in enumerate(read.items) if place in found):
            row = found[place]
            before = named.get(row["id"])
            if row["status"] == OUTCOMES[item.argument] or (before is not None and before.argument == item.argument):
                repeated += 1
            elif before is not None:
                refused.append(_refusal(item, RefusalCode.DUPLICATE, "this CDR is approved and declined; choose one"))
            else:
                named[row["id"]] = item
        moves = [Move(id_, COMMANDS[item.argument], item.reason) for id_, item in named.items()]
        advanced = await advance(connection, CDR_WORKFLOW, moves, caller, now)
        for each in advanced.refused:
            item = named[UUID(str(each.move.key))]
            refused.append(_refusal(item, RefusalCode.NOT_POSSIBLE, each.error.message))
        report = Report(len(advanced.moved), repeated, 0, by_index(refused))
        await keep_refusals(connection, caller.partner_id, "confirmCdrs", report.refused, now, refusals_kept)
        return report

    return await write_as(database, caller, work)


async def _find(connection: Connection, caller: Caller, items: Sequence[CdrKey]) -> Mapping[int, asyncpg.Record]:
    """Return the rows that are named, by the place of the item."""
    rows = await connection.fetch(
        _FIND, caller.role_id, [each.cdr_id for each in items], [each.evse_id for each in items]
    )
    return {row["place"] - 1: row for row in rows}


def _absent(item: CdrKey) -> Refusal:
    """Refuse what is not there or not the caller's: the same words for both."""
    words = f"there is no CDR {item.cdr_id}"
    if item.evse_id is None:
        words += " that is named without its evseId: only ids that begin with the operator's party id are"
    else:
        words += " of that EVSE"
    return _refusal(item, RefusalCode.INVALID_ID, f"{words}, or it is not yours")


def _refusal(item: CdrKey, code: RefusalCode, words: str) -> Refusal:
    path = f"{item.argument}[{item.index}]"
    return Refusal(path=path, index=item.index, id=item.sent_id, code=code, message=words)
