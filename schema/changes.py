"""Changes as they are asked for: arguments to an interest, a cursor to a place in the log, a page to text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson
from graphql import FieldNode, GraphQLField
from graphql.execution.values import get_argument_values

from app.auth import Caller
from app.db.engine import Database
from app.errors import BadInput
from app.live.catch_up import changes_after
from app.live.cursor import Position, decode_cursor, encode_cursor
from app.live.facts import fetch_facts
from app.live.interest import EVSE_KINDS, SPOT_KINDS, Interest
from app.live.log import position_since, read_state
from app.live.matching import Told
from app.live.sight import Viewer
from app.read.evses import TESTS, EvseSearch
from app.read.paging import check_first
from app.read.parking import SpotSearch
from app.read.search import Request
from app.vocabulary import ChangeAction, ChangeKind
from app.worker_thread import beside
from schema.areas import Asked, area_of, region_of, takes_long
from schema.change_pages import Rendered, Rendering
from schema.root_fields import Context, Info, raw_info
from schema.search_arguments import BadFilter, evse_filters
from schema.select import Selected, Selector, details_of

MAXIMUM_FIRST = 1_000
LISTED_AT_ONCE = 500

#: In a position's `entity`: the present list is being read, and how far it was.
LIST: Final = "list "

Arguments = Mapping[str, Any]


class NotLive(BadFilter):
    """`usableAt` is about one instant and cannot be followed."""

    code = "FILTER_NOT_LIVE"


def interest_of(arguments: Arguments, caller: Caller | None) -> Interest:
    """Read what somebody wants to hear of. Raises: BadArea, BadFilter, NotLive."""
    given = dict(_filter(arguments))
    if given.get("usableAt") is not None:
        raise NotLive(
            "filter.usableAt is about one instant; changes have none",
            "leave it out, ask for `usable` or `openingTimes`, and decide by the clock",
        )
    available_now = given.pop("availableNow", None)
    filters = evse_filters(given)
    evse_ids = filters.pop("evse_ids", None)
    return Interest.of(
        Viewer.of(caller, filters.pop("provider_id", None)),
        _kinds(arguments),
        region=region_of(arguments.get("within")),
        evse_ids=None if evse_ids is None else frozenset(evse_ids),
        tests=tuple((TESTS[name], _held(value)) for name, value in sorted(filters.items())),
        available_now=available_now is True,
    )


def _kinds(arguments: Arguments) -> frozenset[ChangeKind]:
    """Give the kinds asked for; those of spots, which no filter is about, not by themselves where there is one."""
    if arguments.get("kinds") is not None:
        return frozenset(arguments["kinds"])
    filtered = any(value is not None for value in _filter(arguments).values())
    return frozenset(EVSE_KINDS if filtered else (*EVSE_KINDS, *SPOT_KINDS))


def _filter(arguments: Arguments) -> Arguments:
    return cast(Arguments, arguments.get("filter") or {})


def _held(value: Any) -> Any:
    return frozenset[Any](cast(list[Any], value)) if isinstance(value, list) else value


# ---------------------------------------------------------------- pages


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes as text, without its cursor, and the place where the next one begins.

    `keys`: the kinds and ids that it shows of the present list, if it is of that.
    """

    changes: list[Rendered]
    position: Position
    more: bool
    keys: tuple[tuple[ChangeKind, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Following:
    """What somebody asked for, ready to be read: from the present list, then from the log."""

    database: Database
    caller: Caller | None
    arguments: Arguments
    interest: Interest
    rendering: Rendering

    async def page(self, after: Position, first: int, until: Position | None = None) -> Page:
        """Give the next page behind a position: of the list where it was not read to its end, else of the log."""
        if after.entity.startswith(LIST):
            return await self._list_page(after)
        page = await changes_after(self.database, self.interest, after, first, until)
        return Page(await self.rendering.render(page.told), page.position, page.more)

    def beginning(self, at: Position) -> Position:
        """Give the place from which first the list is read, and then what changed since `at`."""
        return Position(at.transaction, at.row, LIST)

    async def _list_page(self, after: Position) -> Page:
        """Give a page of the list: EVSEs first, then spots, as far as they are wanted."""
        families = [kinds for kinds in (self.interest.evse_kinds, self.interest.spot_kinds) if kinds]
        name, _, place = after.entity.removeprefix(LIST).partition(" ")
        at = next((index for index, kinds in enumerate(families) if kinds[0].value == name), 0)
        if not families:
            return Page([], Position(after.transaction, after.row), more=True)
        kinds = families[at]
        listed, end = await self._listed(kinds[0], place or None)
        if end is not None:
            going_on = f"{LIST}{kinds[0].value} {end}"
        else:
            going_on = f"{LIST}{families[at + 1][0].value} " if at + 1 < len(families) else ""
        keys = tuple((kind, id_) for id_ in listed for kind in kinds)
        return Page(list(listed.values()), Position(after.transaction, after.row, going_on), more=True, keys=keys)

    async def _listed(self, kind: ChangeKind, after: str | None) -> tuple[Mapping[str, Rendered], str | None]:
        of_evses = kind in EVSE_KINDS
        request = self._list_request(of_evses, after)
        listed, end = await self.rendering.listed(request, self.caller, of_evses)
        if of_evses and self.interest.available_now:
            facts = await fetch_facts(self.database, [id_ for id_, _ in listed], ())
            listed = [each for each in listed if each[0] in facts.evses and facts.evses[each[0]].available]
        now = datetime.now(UTC)
        told = ((Told(kind, ChangeAction.UPSERTED, id_, now, None), shown) for id_, shown in listed)
        return {each.id: self.rendering.rendered(each, shown) for each, shown in told}, end

    def _list_request(self, of_evses: bool, after: str | None) -> Request:
        area, place = area_of(self.arguments.get("within"))
        filters: Mapping[str, Any] = {}
        if of_evses:
            given = _filter(self.arguments)
            filters = evse_filters({name: value for name, value in given.items() if name != "availableNow"})
        search = EvseSearch if of_evses else SpotSearch
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

    def read() -> tuple[Interest, Asked]:
        return interest_of(arguments, context.caller), area_of(within)

    interest, area = await beside(read) if takes_long(within) else read()
    rendering = Rendering(context.database, context.caller, selected, context.variables, area, root_key)
    await rendering.prepare()
    return Following(context.database, context.caller, arguments, interest, rendering)


# ---------------------------------------------------------------- the query


async def answer_changes(info: Info) -> Any:
    """Answer `Query.changes`, as JSON that the executor lets pass."""
    raw, context = raw_info(info), info.context
    field = raw.parent_type.fields[raw.field_name]
    selector = Selector(raw.schema, raw.operation, raw.fragments, context.variables)
    nodes = list(raw.field_nodes)
    asked = await following(context, field, nodes[0], selector.select(field.type, details_of(nodes)))
    first = check_first(asked.arguments["first"], MAXIMUM_FIRST)
    state = await read_state(context.database)
    position = await start_of(context.database, asked.arguments, state.epoch)
    page = Page([], state.head, more=False)
    if position is not None:
        page = await asked.page(position, first)
    cursor = encode_cursor(state.epoch, page.position)
    return orjson.Fragment(asked.rendering.page(cursor, page.more, page.changes).encode())


async def start_of(database: Database, arguments: Arguments, epoch: str) -> Position | None:
    """Give the position to go on from; None: from now. Raises: BadInput, CursorExpired."""
    cursor, since = arguments.get("cursor"), arguments.get("since")
    if cursor is not None and since is not None:
        raise BadInput("cursor and since are both given; possible: one of them, or none for what happens from now on")
    if cursor is not None:
        return decode_cursor(cursor, epoch)
    return None if since is None else await position_since(database, since)
