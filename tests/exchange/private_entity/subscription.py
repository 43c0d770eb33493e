"""The subscription to the reservations of one's own role: what it follows, and how its pages are read and written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from app.auth import Caller
from app.db.engine import Database, Reader
from app.live.log.cursor import Cursor, Position
from app.live.log.rows import check_cursor, read_position
from app.live.stream.feed import FeedFilter, SubscriptionFilter
from app.live.stream.matching import Change
from app.live.stream.pages import changes_after
from app.read.execute import read
from app.read.plan import Field, Nodes, PageInfo, PageLeaf, Selection
from app.read.search import Listing, Request
from app.visibility.viewer_scope import Viewer, ViewerScope, read_scope_rows
from app.vocabulary import ChangeAction
from tests.exchange.private_entity.feed import KINDS, ReservationFilter
from tests.exchange.private_entity.reading import FIELDS
from tests.exchange.private_entity.tables import reservation

ROOT_KEY: Final = "reservationChanges"
KEPT: Final = timedelta(days=7)
LISTED_AT_ONCE: Final = 500
#: In a cursor's `place`: the present list is being read, and how far it was.
LIST: Final = "list"

ORDER = ("created_at", "id")
BY_IDS = Listing(reservation, ORDER, filters=("id",))
PAGE = (Field("end", PageLeaf("endCursor")), Field("more", PageLeaf("hasNextPage")))
SELECTION = Selection((Field("nodes", Nodes(), FIELDS), Field("page", PageInfo(), PAGE)))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes as values."""

    changes: Sequence[Any]
    cursor: Cursor
    more: bool
    scope: ViewerScope


@dataclass(frozen=True, slots=True)
class Rendering:
    """Writes changes for one role: every read names it to row-level security, in a round of all roles too."""

    caller: Caller

    @property
    def key(self) -> tuple[str, int]:
        return ROOT_KEY, self.caller.role_id

    async def render(self, changes: Sequence[Change], reader: Reader) -> Sequence[Any]:
        ids = {UUID(each.id) for each in changes if each.action is ChangeAction.UPSERTED}
        shown = await self._shown(ids, reader)
        return [_written(each, shown.get(each.id)) for each in changes]

    async def _shown(self, ids: Collection[UUID], reader: Reader) -> Mapping[str, Any]:
        if not ids:
            return {}
        request = Request(BY_IDS, {"id": list(ids)}, len(ids))
        answer = await read(reader, self.caller, SELECTION, request, datetime.now(UTC))
        return {node["id"]: node for node in answer["nodes"]}

    def page(self, cursor: str, more: bool, changes: Sequence[Any]) -> str:
        page = {"cursor": cursor, "hasMore": more, "changes": changes}
        return orjson.dumps({"data": {ROOT_KEY: page}}).decode()


def _written(change: Change, shown: Any) -> Any:
    """Return a change with its reservation; what the role does not see any more is removed."""
    if shown is None:
        change = change.removed()
    return {"kind": change.kind, "action": change.action, "id": change.id, "reservation": shown}


@dataclass(frozen=True, slots=True)
class Following:
    """The reservations of a caller's role, ready to be read: from the present list, then from the log."""

    database: Database
    caller: Caller
    asked: FeedFilter

    @property
    def wanted(self) -> SubscriptionFilter:
        return SubscriptionFilter(Viewer.of(self.caller), (self.asked,))

    @property
    def rendering(self) -> Rendering:
        return Rendering(self.caller)

    async def page(self, cursor: Cursor, first: int) -> Page:
        """Read the next page since a cursor, in one snapshot. Raises: CursorExpired."""
        async with self.database.reading() as reader:
            present = await read_position(reader)
            await check_cursor(reader, cursor, present, KEPT)
            if cursor.place.startswith(LIST):
                return await self._list_page(reader, cursor, present)
            page = await changes_after(reader, self.wanted, cursor, first, present)
            return Page(await self.rendering.render(page.changes, reader), page.cursor, page.more, page.scope)

    async def _list_page(self, reader: Reader, cursor: Cursor, present: Position) -> Page:
        """Read a page of the list. Changes after it go on from the snapshot of its first page."""
        after = cursor.place.removeprefix(LIST)
        base = cursor.base if after else present
        request = Request(Listing(reservation, ORDER, after=bool(after)), {}, LISTED_AT_ONCE, after or None)
        answer = await read(reader, self.caller, SELECTION, request, present.at)
        changes = [
            _written(Change(KINDS[0], ChangeAction.UPSERTED, node["id"], present.at, None), node)
            for node in answer["nodes"]
        ]
        place = LIST + answer["page"]["end"] if answer["page"]["more"] else ""
        viewer = self.wanted.viewer
        scope = (await read_scope_rows(reader, [viewer], present.at)).present(viewer)
        return Page(changes, Cursor(base, place=place), bool(place) or base.snapshot != present.snapshot, scope)


async def start(database: Database) -> Cursor:
    """Return the cursor at which the present list comes first."""
    return Cursor(await read_position(database), place=LIST)


def follow_own(database: Database, caller: Caller) -> Following:
    return Following(database, caller, ReservationFilter(caller.role_id))
