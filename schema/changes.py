"""Changes as they are asked for: arguments to a filter, a cursor to a place in the log, a page to text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import orjson
from graphql import FieldNode, GraphQLField
from graphql.execution.values import get_argument_values

from app.auth import Caller
from app.db.engine import Database, Reading
from app.db.seal import UnknownLog, with_known_log
from app.db.tables import tariff
from app.errors import BadInput
from app.live.feeds.evse import EVSES, EvseFilter, EvseState
from app.live.feeds.parking import SPOTS, SpotFilter
from app.live.feeds.tariff import TARIFFS, TariffFilter
from app.live.log.cursor import Cursor, CursorExpired, Position, decode_cursor, encode_cursor
from app.live.log.rows import check_cursor, position_since, read_position
from app.live.stream.feed import Feed, FeedFilter, Kind, SubscriptionFilter
from app.live.stream.matching import Change
from app.live.stream.pages import changes_after
from app.read.evses import TESTS, EvseSearch
from app.read.paging import check_first
from app.read.parking import SpotSearch
from app.read.search import Listing, Request
from app.visibility.viewer_scope import Viewer, ViewerScope, read_scope_rows
from app.vocabulary import ChangeAction
from app.worker_thread import in_worker_thread
from schema.areas import Asked, area_of, region_of, takes_long
from schema.change_pages import Rendered, Rendering
from schema.root_fields import Context, Info, raw_info
from schema.search_arguments import BadFilter, evse_filters
from schema.select import Selected, Selector, details_of

MAXIMUM_FIRST = 1_000
LISTED_AT_ONCE = 500

#: In a cursor's `place`: the present list is being read, of which feed, and how far it was.
LIST: Final = "list"

Arguments = Mapping[str, Any]


class NotLive(BadFilter):
    """`usableAt` is about one instant and cannot be followed."""

    code = "FILTER_NOT_LIVE"


def filter_of(arguments: Arguments, caller: Caller | None) -> SubscriptionFilter:
    """Read which changes are asked for. Raises: BadArea, BadFilter, NotLive."""
    given = dict(_filter(arguments))
    if given.get("usableAt") is not None:
        raise NotLive(
            "filter.usableAt is about one instant; changes have none",
            "leave it out, ask for `usable` or `openingTimes`, and decide by the clock",
        )
    available_now = given.pop("availableNow", None)
    filters = evse_filters(given)
    evse_ids = filters.pop("evse_ids", None)
    provider_id = filters.pop("provider_id", None)
    viewer = Viewer.of(caller, provider_id)
    region, kinds = region_of(arguments.get("within")), _kinds(arguments)
    evses = EvseFilter(
        tuple(kind for kind in EVSES.kinds if kind in kinds),
        region,
        None if evse_ids is None else frozenset(evse_ids),
        tuple((TESTS[name], _held(value)) for name, value in sorted(filters.items())),
        available_now is True,
    )
    spots = SpotFilter(tuple(kind for kind in SPOTS.kinds if kind in kinds), region)
    asked: list[FeedFilter] = [each for each in (evses, spots) if each.kinds]
    if TARIFFS.kinds[0] in kinds:
        asked.append(TariffFilter.of(caller, provider_id))
    return SubscriptionFilter(viewer, tuple(asked))


def _kinds(arguments: Arguments) -> frozenset[Kind]:
    """Return the kinds asked for.

    Filters are about EVSEs: with one, spots come only where their kinds are named. Tariffs lie nowhere: in an area,
    too, they come only where theirs is named.
    """
    if arguments.get("kinds") is not None:
        return frozenset(arguments["kinds"])
    if any(value is not None for value in _filter(arguments).values()):
        return frozenset(EVSES.kinds)
    everywhere = TARIFFS.kinds if arguments.get("within") is None else ()
    return frozenset((*EVSES.kinds, *SPOTS.kinds, *everywhere))


def _filter(arguments: Arguments) -> Arguments:
    return cast(Arguments, arguments.get("filter") or {})


def _held(value: Any) -> Any:
    return frozenset[Any](cast(list[Any], value)) if isinstance(value, list) else value


# ---------------------------------------------------------------- pages


async def first_cursor(database: Database, arguments: Arguments, place: str) -> Cursor:
    """Return the cursor from which `cursor` or `since` ask to go on; without either the present one, at `place`.

    Whether the log can still be read from `cursor`, its page decides. Raises: BadInput, CursorExpired.
    """
    cursor, since = arguments.get("cursor"), arguments.get("since")
    if cursor is not None and since is not None:
        raise BadInput("cursor and since are both given; possible: one of them, or none for what happens from now on")
    if cursor is not None:
        try:
            return await with_known_log(database, lambda: decode_cursor(cursor))
        except UnknownLog:
            raise CursorExpired("it is from another log, which was restored, copied or replaced since") from None
    if since is not None:
        return Cursor(await position_since(database, since))
    return Cursor(await read_position(database), place=place)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes as text, without its cursor. `scope`: what the viewer sees in its snapshot."""

    changes: list[Rendered]
    cursor: Cursor
    more: bool
    scope: ViewerScope


@dataclass(frozen=True, slots=True)
class Following:
    """Changes that are asked for, ready to be read: from the present list, then from the log."""

    database: Database
    caller: Caller | None
    arguments: Arguments
    wanted: SubscriptionFilter
    area: Asked
    rendering: Rendering
    kept: timedelta

    async def page(self, cursor: Cursor, first: int) -> Page:
        """Read the next page since a cursor, in one snapshot. Raises: CursorExpired."""
        async with self.database.reading() as reader:
            present = await read_position(reader)
            await check_cursor(reader, cursor, present, self.kept)
            if cursor.place.startswith(LIST):
                return await self._list_page(reader, cursor, present)
            page = await changes_after(reader, self.wanted, cursor, first, present)
            return Page(await self.rendering.render(page.changes, reader), page.cursor, page.more, page.scope)

    async def start(self, initial: bool = False) -> Cursor:
        """Return the cursor from which arguments ask to go on. `initial`: without one, the present list comes first.

        Raises: BadInput, CursorExpired.
        """
        return await first_cursor(self.database, self.arguments, LIST if initial else "")

    async def _list_page(self, reader: Reading, cursor: Cursor, present: Position) -> Page:
        """Read a page of the list: EVSEs first, then spots, then tariffs, as far as they are wanted.

        Changes after it go on from the snapshot of its first page.
        """
        base = present if cursor.place == LIST else cursor.base
        feeds = self.wanted.feeds
        name, _, after = cursor.place.removeprefix(LIST).strip().partition(":")
        at = next((index for index, each in enumerate(feeds) if each.feed.name == name), 0)
        changes: list[Rendered] = []
        place = ""
        if feeds:
            changes, end = await self._listed(reader, feeds[at], after or None)
            if end is not None:
                place = f"{LIST} {feeds[at].feed.name}:{end}"
            elif at + 1 < len(feeds):
                place = f"{LIST} {feeds[at + 1].feed.name}:"
        viewer = self.wanted.viewer
        scope = (await read_scope_rows(reader, [viewer], present.at)).present(viewer)
        more = bool(place) or base.snapshot != present.snapshot
        return Page(changes, Cursor(base, place=place), more, scope)

    async def _listed(
        self, reader: Reading, wanted: FeedFilter, after: str | None
    ) -> tuple[list[Rendered], str | None]:
        request = self._list_request(wanted.feed, after)
        listed, end = await self.rendering.listed(request, self.caller, wanted.feed, reader)
        if isinstance(wanted, EvseFilter) and wanted.available_now:
            rows = await reader.fetch(EVSES.by_ids, [id_ for id_, _ in listed])
            states = (cast(EvseState, EVSES.state_of(row)) for row in rows)
            available = {state.evse_id for state in states if state.available}
            listed = [each for each in listed if each[0] in available]
        now = datetime.now(UTC)
        kind = wanted.kinds[0]
        changes = ((Change(kind, ChangeAction.UPSERTED, id_, now, None), shown) for id_, shown in listed)
        return [self.rendering.rendered(each, shown) for each, shown in changes], end

    def _list_request(self, feed: Feed, after: str | None) -> Request:
        if feed is TARIFFS:
            return Request(Listing(tariff, ("tariff_id",), after=after is not None), {}, LISTED_AT_ONCE, after)
        area, place = self.area
        filters: Mapping[str, Any] = {}
        if feed is EVSES:
            given = _filter(self.arguments)
            filters = evse_filters({name: value for name, value in given.items() if name != "availableNow"})
        search = EvseSearch if feed is EVSES else SpotSearch
        found = search(area=area, filters=frozenset(filters), after=after is not None)
        return Request(found, {**place, **filters}, LISTED_AT_ONCE, after)


async def following(
    context: Context, field: GraphQLField, node: FieldNode, selected: Selected, root_key: str | None = None
) -> Following:
    """Read what is asked of a field `changes`, and how it is to be shown; with `root_key` as a whole GraphQL result.

    Raises: BadArea, BadFilter, NotLive.
    """
    arguments = get_argument_values(field, node, context.variables)
    within = arguments.get("within")

    def read() -> tuple[SubscriptionFilter, Asked]:
        return filter_of(arguments, context.caller), area_of(within)

    wanted, area = await in_worker_thread(read) if takes_long(within) else read()
    provider_id = wanted.viewer.provider_id
    rendering = Rendering(context.database, context.caller, selected, context.variables, area, root_key, provider_id)
    await rendering.prepare()
    kept = timedelta(days=context.settings.cursor_days)
    return Following(context.database, context.caller, arguments, wanted, area, rendering, kept)


# ---------------------------------------------------------------- the query


async def answer_changes(info: Info) -> Any:
    """Answer `Query.changes`, as JSON that the executor lets pass."""
    raw, context = raw_info(info), info.context
    field = raw.parent_type.fields[raw.field_name]
    selector = Selector(raw.schema, raw.operation, raw.fragments, context.variables)
    nodes = list(raw.field_nodes)
    asked = await following(context, field, nodes[0], selector.select(field.type, details_of(nodes)))
    first = check_first(asked.arguments["first"], MAXIMUM_FIRST)
    page = await asked.page(await asked.start(), first)
    return orjson.Fragment(asked.rendering.page(encode_cursor(page.cursor), page.more, page.changes).encode())
