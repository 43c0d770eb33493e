"""Pages of an entity's list and changes, as one caller's role sees them: for queries and for subscriptions.

For private entities, and for tariffs, which differ from caller to caller. An entity is data
(`schema.private_entities`). A page is read in one snapshot and under the role of the caller, by row-level security too;
its selection is compiled. Subscribers of one role with the same selection share one text.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from graphql import FieldNode, GraphQLField
from graphql.execution.values import VariableValues, get_argument_values

from app.auth import Caller
from app.db.engine import Database, Reader
from app.errors import BadInput
from app.ids import separated_tariff_id
from app.live.log.cursor import Cursor, Position, encode_cursor
from app.live.log.rows import check_cursor, read_position
from app.live.stream.feed import Feed, FeedFilter, SubscriptionFilter
from app.live.stream.matching import Change
from app.live.stream.pages import changes_after
from app.read.execute import read
from app.read.paging import check_first
from app.read.plan import Column, Field, Nodes, PageInfo, PageLeaf, SameRow, Selection
from app.read.search import Request, Search
from app.visibility.viewer_scope import Viewer, ViewerScope, read_scope_rows
from app.vocabulary import ChangeAction
from schema.change_pages import ANY_TIME, Rendered, constant_of, name_of, page_text
from schema.changes import LIST, MAXIMUM_FIRST, first_cursor
from schema.root_fields import Context, Info, encode, raw_info
from schema.select import Selected, Selector, details_of

#: In a cursor's `place`: what a search found is being read, and how far it was.
SEARCH: Final = "search"
IDS_AT_ONCE: Final = 1_000

Arguments = Mapping[str, Any]
#: What one entity's fields and parts have, by the number of the field that asked.
Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list in pages. `search`: takes whether the page is behind another one. `bound`: its arguments."""

    search: Callable[[bool], Search]
    bound: Arguments
    is_search: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PrivateEntity:
    """What pages of an entity are made of.

    `wanted`: what arguments of a caller follow. `listed`: the list that they ask for. `by_ids`: a search for those with
    the ids `key`; `id_of`: from an id as text. `items`: the field of a page that holds them. Without `parts` these are
    the entities themselves, and removals are left out; else changes, with these parts that are objects of the entity's
    row. `removed`: a search for the `removed_part` of what is taken away: what it does not find is left out.
    """

    feed: Feed
    wanted: Callable[[Arguments, Caller | None], FeedFilter]
    listed: Callable[[Arguments, Caller | None], Listed]
    by_ids: Search
    id_of: Callable[[str], Any]
    items: str
    key: str = "id"
    parts: frozenset[str] = frozenset()
    removed: Search | None = None
    removed_part: str | None = None


# ---------------------------------------------------------------- the selection of a page


@dataclass(frozen=True, slots=True)
class _Items:
    """One field that asks for items. `members`: of a change, each with the number of its part; else `number`."""

    members: tuple[tuple[Field, int | None], ...] = ()
    number: int | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A page's selection taken apart. `rows`, `removed`: what is asked of present and of removed entities."""

    page: tuple[Field, ...]
    items: tuple[_Items, ...]
    rows: Selection
    removed: Selection


@lru_cache(1_000)
def _plan_of(entity: PrivateEntity, selection: Selection) -> _Plan:
    asked: list[Field] = []
    items: list[_Items] = []
    for each in selection.fields:
        if name_of(each) != entity.items:
            continue
        if entity.parts:
            items.append(_Items(tuple([(member, _numbered(entity, member, asked)) for member in each.fields])))
        else:
            asked.append(each)
            items.append(_Items(number=len(asked) - 1))
    removed = {number: each for number, each in enumerate(asked) if name_of(each) == entity.removed_part}
    rows, gone = (_rows(entity.key, each) for each in (dict(enumerate(asked)), removed))
    return _Plan(selection.fields, tuple(items), rows, gone)


def _numbered(entity: PrivateEntity, member: Field, asked: list[Field]) -> int | None:
    if name_of(member) not in entity.parts:
        return None
    asked.append(member)
    return len(asked) - 1


def _rows(key: str, asked: Mapping[int, Field]) -> Selection:
    objects = (Field(str(number), SameRow(), each.fields) for number, each in asked.items())
    nodes = Field("nodes", Nodes(), (Field("id", Column((key,), shape=str)), *objects))
    page = (Field("end", PageLeaf("endCursor")), Field("more", PageLeaf("hasNextPage")))
    return Selection((nodes, Field("page", PageInfo(), page)))


# ---------------------------------------------------------------- changes as text


@dataclass(frozen=True, slots=True)
class Rendering:
    """Writes changes as one selection asks, for one role: every read names it to row-level security.

    `root_key`: pages are whole GraphQL results with this key; None: values. `provider_id`: the provider that is asked
    about.
    """

    entity: PrivateEntity
    caller: Caller | None
    selected: Selected
    variables: VariableValues
    root_key: str | None = None
    provider_id: str | None = None

    @property
    def key(self) -> Hashable:
        selection, nested = self.selected.bind(self.variables, ANY_TIME)
        role_id = self.caller.role_id if self.caller else None
        return self.entity.feed.name, selection, encode(nested), role_id, self.root_key, self.provider_id

    async def render(self, changes: Sequence[Change], reader: Reader) -> list[Rendered | None]:
        """Write changes; None: one that has nothing to show. What the role does not see any more is removed."""
        there = {each.id for each in changes if each.action is ChangeAction.UPSERTED}
        shown = await self._read(self.plan.rows, self.entity.by_ids, there, reader)
        gone = {each.id for each in changes} - shown.keys()
        removed = await self._read(self.plan.removed, self.entity.removed, gone, reader)
        unread: Shown | None = {} if self.entity.parts and self.entity.removed is None else None
        return [self.written(each, shown.get(each.id), removed.get(each.id, unread)) for each in changes]

    async def _read(
        self, selection: Selection, search: Search | None, ids: Collection[str], reader: Reader
    ) -> Mapping[str, Shown]:
        shown: dict[str, Shown] = {}
        listed = sorted(ids) if search is not None else []
        for start in range(0, len(listed), IDS_AT_ONCE):
            some = listed[start : start + IDS_AT_ONCE]
            assert search is not None
            request = Request(search, {self.entity.key: [self.entity.id_of(each) for each in some]}, len(some))
            shown |= {node["id"]: node for node in (await self.answer(selection, request, reader))["nodes"]}
        return shown

    async def answer(self, selection: Selection, request: Request, reader: Reader) -> Any:
        now = datetime.now(UTC)
        nested = {"provider_id": self.provider_id, **self.selected.bind(self.variables, now)[1]}
        return await read(reader, self.caller, selection, request, now, nested)

    @property
    def plan(self) -> _Plan:
        return _plan_of(self.entity, self.selected.bind(self.variables, ANY_TIME)[0])

    def written(self, change: Change, shown: Shown | None, removed: Shown | None = None) -> Rendered | None:
        """Write a change of which everything asked was read."""
        if shown is None and removed is None:
            return None
        row = removed if shown is None else shown
        assert row is not None
        if shown is None:
            change = change.removed()
        return tuple([encode(_item(each, change, row)).decode() for each in self.plan.items])

    def page(self, cursor: str, more: bool, changes: Sequence[Rendered | None]) -> str:
        """Put a page together, as the text of a JSON object."""
        listed = [each for each in changes if each is not None]
        return page_text(self.plan.page, self.entity.items, cursor, more, listed, self.root_key)


def _item(asked: _Items, change: Change, row: Shown) -> Any:
    if asked.number is not None:
        return row[str(asked.number)]
    return {
        member.key: _leaf(member, change) if number is None else row.get(str(number))
        for member, number in asked.members
    }


def _leaf(asked: Field, change: Change) -> Any:
    match name_of(asked):
        case "action":
            return change.action.value
        case "id":
            return change.id
        case "tariffId":
            return separated_tariff_id(change.id)
        case "at":
            return change.at
        case _:
            return constant_of(asked)


# ---------------------------------------------------------------- pages


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes as text, without its cursor. `scope`: what the viewer sees in its snapshot."""

    changes: Sequence[Rendered | None]
    cursor: Cursor
    more: bool
    scope: ViewerScope


@dataclass(frozen=True, slots=True)
class Following:
    """The entities of a caller's role, ready to be read: from a list, then from the log."""

    database: Database
    entity: PrivateEntity
    caller: Caller | None
    arguments: Arguments
    rendering: Rendering
    kept: timedelta

    @property
    def wanted(self) -> SubscriptionFilter:
        viewer = Viewer.of(self.caller, self.rendering.provider_id)
        return SubscriptionFilter(viewer, (self.entity.wanted(self.arguments, self.caller),))

    @property
    def listed(self) -> Listed:
        return self.entity.listed(self.arguments, self.caller)

    @property
    def place(self) -> str:
        """Return the place of a cursor at the beginning of the list."""
        return f"{SEARCH if self.listed.is_search else LIST} {self.entity.feed.name}:"

    async def start(self, initial: bool = False) -> Cursor:
        """Return the cursor from which arguments ask to go on. `initial`: without one, the list comes first.

        Raises: BadInput, CursorExpired.
        """
        cursor = await first_cursor(self.database, self.arguments, self.place if initial else "")
        is_in_list = cursor.place.startswith((LIST, SEARCH))
        if (is_in_list or self.listed.is_search) and not cursor.place.startswith(self.place):
            raise BadInput(
                "the cursor is not one of this list", "pass a cursor that was returned for the same field and arguments"
            )
        return cursor

    async def page(self, cursor: Cursor, first: int) -> Page:
        """Read the next page since a cursor, in one snapshot. Raises: CursorExpired."""
        async with self.database.reading() as reader:
            present = await read_position(reader)
            await check_cursor(reader, cursor, present, self.kept)
            if cursor.place.startswith(self.place):
                return await self._list_page(reader, cursor, first, present)
            page = await changes_after(reader, self.wanted, cursor, first, present)
            return Page(await self.rendering.render(page.changes, reader), page.cursor, page.more, page.scope)

    async def _list_page(self, reader: Reader, cursor: Cursor, first: int, present: Position) -> Page:
        """Read a page of the list. Changes after it go on from the snapshot of its first page."""
        rendering, listed, after = self.rendering, self.listed, cursor.place.removeprefix(self.place)
        base = cursor.base if after else present
        request = Request(listed.search(bool(after)), listed.bound, first, after or None)
        answer = await rendering.answer(rendering.plan.rows, request, reader)
        kind, page = self.entity.feed.kinds[0], answer["page"]
        found = ((Change(kind, ChangeAction.UPSERTED, each["id"], present.at, None), each) for each in answer["nodes"])
        place = self.place + page["end"] if page["more"] else ""
        viewer = self.wanted.viewer
        scope = (await read_scope_rows(reader, [viewer], present.at)).present(viewer)
        more = bool(place) or (not listed.is_search and base.snapshot != present.snapshot)
        return Page([rendering.written(*each) for each in found], Cursor(base, place=place), more, scope)


def following_private(
    context: Context,
    entity: PrivateEntity,
    field: GraphQLField,
    node: FieldNode,
    selected: Selected,
    root_key: str | None = None,
) -> Following:
    """Read what is asked of a field about an entity; with `root_key` it is shown as a whole GraphQL result.

    Raises: BadFilter.
    """
    arguments = get_argument_values(field, node, context.variables)
    entity.listed(arguments, context.caller)
    provider_id = arguments.get("providerId")
    rendering = Rendering(entity, context.caller, selected, context.variables, root_key, provider_id)
    kept = timedelta(days=context.settings.cursor_days)
    return Following(context.database, entity, context.caller, arguments, rendering, kept)


async def answer_private(info: Info, entity: PrivateEntity) -> Any:
    """Answer a root field about an entity, as JSON that the executor lets pass."""
    raw, context = raw_info(info), info.context
    field, nodes = raw.parent_type.fields[raw.field_name], list(raw.field_nodes)
    selector = Selector(raw.schema, raw.operation, raw.fragments, context.variables)
    selected = selector.select(field.type, details_of(nodes))
    asked = following_private(context, entity, field, nodes[0], selected)
    first = check_first(asked.arguments["first"], MAXIMUM_FIRST)
    page = await asked.page(await asked.start(initial=True), first)
    return orjson.Fragment(asked.rendering.page(encode_cursor(page.cursor), page.more, page.changes).encode())
