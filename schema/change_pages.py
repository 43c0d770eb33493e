"""How changes are shown: the selection of a page of changes, compiled; what it asks of entities is read for all.

Subscribers with the same selection share one text. Only where an answer depends on the caller (spots show EVSEs, and
are measured to places, and callers see different ones; tariffs differ) or on the area (distances), subscribers that
differ in it are kept apart.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import orjson
from graphql.execution.values import VariableValues

from app.auth import Caller
from app.db.engine import Database, Reader
from app.db.tables import tariff
from app.ids import separated_evse_id, separated_parking_id, separated_tariff_id
from app.live.feeds.evse import EVSES
from app.live.feeds.parking import SPOTS
from app.live.feeds.tariff import TARIFFS
from app.live.stream.feed import Feed
from app.live.stream.matching import Change
from app.read.areas import GIVEN, AreaKind, AreaSearch
from app.read.evses import EvseSearch
from app.read.execute import read
from app.read.parking import SpotSearch
from app.read.plan import (
    Column,
    Computed,
    Constant,
    Counted,
    Field,
    Given,
    Name,
    Nodes,
    PageInfo,
    PageLeaf,
    SameRow,
    Selection,
    ToMany,
    ToOne,
    Via,
)
from app.read.search import Listing, Request, Search
from app.read.statements import STATEMENTS
from app.visibility.rules import CallerKind
from app.vocabulary import ChangeAction, Role
from schema.areas import Asked
from schema.root_fields import encode
from schema.select import Selected

#: What everybody may see who may see the row it hangs on is read once for all, as one who sees everything.
HUB = Caller(UUID(int=0), 0, UUID(int=0), "", Role.ADMINISTRATOR, None)
IDS_AT_ONCE = 500
CALLERS_OWN = frozenset({"caller_role_id", "caller_partner_id"})
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)

#: A change as text, once for each time that the selection asks for `changes`.
Rendered = tuple[str, ...]
#: What was asked of an EVSE or spot, by the number of the field that asked.
Shown = Mapping[str, Any]


def _evses(area: AreaKind) -> Search:
    return EvseSearch(area=area, filters=frozenset({"evse_ids"}))


def _spots(area: AreaKind) -> Search:
    return SpotSearch(area=area, filters=frozenset({"parking_ids"}))


def _tariffs(_: AreaKind) -> Search:
    return Listing(tariff, ("tariff_id",), filters=("tariff_id",))


@dataclass(frozen=True, slots=True)
class _Shape:
    """How entities of a feed are shown. `part`: the field of a change that has them; `key`: the column of their ids.

    `by_ids`: a search for those with the ids `argument`.
    """

    feed: Feed
    part: str
    key: str
    separated: Callable[[str], str]
    by_ids: Callable[[AreaKind], Search]
    argument: str


_SHAPES: Final = (
    _Shape(EVSES, "evse", "evse_id", separated_evse_id, _evses, "evse_ids"),
    _Shape(SPOTS, "parkingSpot", "parking_id", separated_parking_id, _spots, "parking_ids"),
    _Shape(TARIFFS, "tariff", "tariff_id", separated_tariff_id, _tariffs, "tariff_id"),
)
_BY_KIND: Final = {kind: each for each in _SHAPES for kind in each.feed.kinds}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is asked of the entities of a feed: everything that any field asks of them, in one selection."""

    shape: _Shape
    selection: Selection
    asks: bool

    @classmethod
    def of(cls, shape: _Shape, asked: Sequence[Field]) -> "_Rows":
        objects = (Field(str(number), SameRow(), each.fields) for number, each in enumerate(asked))
        nodes = Field("nodes", Nodes(), (Field("id", Column((shape.key,))), *objects))
        page = (Field("end", PageLeaf("endCursor")), Field("more", PageLeaf("hasNextPage")))
        return cls(shape, Selection((nodes, Field("page", PageInfo(), page))), len(asked) > 0)

    def by_ids(self, area: Asked) -> Search:
        return self.shape.by_ids(area[0])


@dataclass(frozen=True, slots=True)
class _Plan:
    """A page's selection taken apart. `changes`: of each field that asks for changes, its fields. `rows`: by part."""

    page: tuple[Field, ...]
    changes: tuple[tuple[Field, ...], ...]
    rows: Mapping[str, _Rows]


@lru_cache(1_000)
def _plan_of(selection: Selection) -> _Plan:
    changes = tuple(each.fields for each in selection.fields if name_of(each) == "changes")
    asked = [each for fields in changes for each in fields]
    rows = {shape.part: _Rows.of(shape, [each for each in asked if name_of(each) == shape.part]) for shape in _SHAPES}
    return _Plan(selection.fields, changes, rows)


def name_of(asked: Field) -> str | None:
    """Return the name of a field of a page or of a change; None for what is read from a row."""
    return asked.read.name if isinstance(asked.read, PageLeaf) else None


@dataclass(slots=True)
class Rendering:
    """Shows changes as one selection asks, to one or to all who ask it.

    `area`: what distances are measured from. `root_key`: pages are whole GraphQL results with this key; None: values.
    `provider_id`: the provider that is asked about.
    """

    database: Database
    caller: Caller | None
    selected: Selected
    variables: VariableValues
    area: Asked
    root_key: str | None = None
    provider_id: str | None = None
    key: Hashable = field(init=False, default=None)

    async def prepare(self) -> "Rendering":
        """Find out what the answer depends on; gives itself."""
        selection, nested = self.selected.bind(self.variables, ANY_TIME)
        plan = _plan_of(selection)
        fields = [each for rows in plan.rows.values() for each in rows.selection.fields]
        if not _asks(fields, Given) or self.area[0] not in GIVEN:
            self.area = (AreaKind.EVERYWHERE, {})
        if not any([await self._depends_on_caller(rows) for rows in plan.rows.values()]):
            self.caller, self.provider_id = HUB, None
        role_id = self.caller.role_id if self.caller else None
        bound = encode([nested, self.area[1], self.provider_id])
        self.key = (selection, bound, self.area[0], role_id, self.root_key)
        return self

    async def _depends_on_caller(self, rows: _Rows) -> bool:
        search = rows.by_ids(self.area)
        if isinstance(search, AreaSearch) and search.by_place:
            return True
        if any(not each.visible_with_parent for each in _relations(rows.selection.fields)):
            return True
        statement = await STATEMENTS.get(rows.selection, search, CallerKind.ADMINISTRATOR)
        return not CALLERS_OWN.isdisjoint(statement.parameters)

    # ---------------------------------------------------------------- changes

    async def render(self, changes: Sequence[Change], reader: Reader) -> list[Rendered]:
        """Write changes, each with its entity as the reader's snapshot has it; as removed where it is not there."""
        now = datetime.now(UTC)
        plan, nested = self._plan(now)
        there: dict[str, list[str]] = {}
        for each in changes:
            if each.action is ChangeAction.UPSERTED:
                there.setdefault(_BY_KIND[each.kind].part, []).append(each.id)
        shown = {
            part: await self._shown(reader, rows, there.get(part, ()), now, nested) for part, rows in plan.rows.items()
        }
        return [_rendered(plan, each, shown) for each in changes]

    async def _shown(
        self, reader: Reader, rows: _Rows, ids: Iterable[str], now: datetime, nested: Mapping[str, Any]
    ) -> Mapping[str, Shown] | None:
        """Read what is asked of these; None when nothing is."""
        if not rows.asks:
            return None
        shown: dict[str, Shown] = {}
        listed = sorted(set(ids))
        for start in range(0, len(listed), IDS_AT_ONCE):
            some = listed[start : start + IDS_AT_ONCE]
            request = Request(rows.by_ids(self.area), {**self.area[1], rows.shape.argument: some}, len(some))
            answer = await read(reader, self.caller, rows.selection, request, now, nested)
            shown |= {node["id"]: node for node in answer["nodes"]}
        return shown

    async def listed(
        self, request: Request, caller: Caller | None, feed: Feed, reader: Reader
    ) -> tuple[list[tuple[str, Shown]], str | None]:
        """Read a page of a list: ids with what is asked of them, and where the next page begins, if there is one."""
        now = datetime.now(UTC)
        plan, nested = self._plan(now)
        rows = plan.rows[_BY_KIND[feed.kinds[0]].part]
        answer = await read(reader, caller, rows.selection, request, now, nested)
        page = answer["page"]
        return [(node["id"], node) for node in answer["nodes"]], page["end"] if page["more"] else None

    def rendered(self, change: Change, shown: Shown) -> Rendered:
        """Show a change of which everything asked was read."""
        return _rendered(self._plan(ANY_TIME)[0], change, {_BY_KIND[change.kind].part: {change.id: shown}})

    def _plan(self, now: datetime) -> tuple[_Plan, Mapping[str, Any]]:
        """Return the plan, and what is bound in every read."""
        selection, nested = self.selected.bind(self.variables, now)
        asked = {} if self.provider_id is None else {"provider_id": self.provider_id}
        return _plan_of(selection), {**asked, **nested}

    # ---------------------------------------------------------------- pages

    def page(self, cursor: str, more: bool, changes: Sequence[Rendered]) -> str:
        """Put a page together, as the text of a JSON object."""
        return page_text(self._plan(ANY_TIME)[0].page, "changes", cursor, more, changes, self.root_key)


def page_text(
    page: Iterable[Field], items: str, cursor: str, more: bool, changes: Sequence[Rendered], root_key: str | None
) -> str:
    """Put a page together, as the text of a JSON object; `items`: the field that has the changes.

    With `root_key` it is a whole GraphQL result.
    """
    text = "{" + ",".join(_page_members(page, items, cursor, more, changes)) + "}"
    return text if root_key is None else f'{{"data":{{{_json(root_key)}:{text}}}}}'


def _page_members(
    page: Iterable[Field], items: str, cursor: str, more: bool, changes: Sequence[Rendered]
) -> Iterator[str]:
    number = 0
    for asked in page:
        match name_of(asked):
            case name if name == items:
                value = "[" + ",".join([each[number] for each in changes]) + "]"
                number += 1
            case "hasMore":
                value = "true" if more else "false"
            case "cursor":
                value = f'"{cursor}"'
            case _:
                value = _json(constant_of(asked))
        yield f"{_json(asked.key)}:{value}"


def _rendered(plan: _Plan, change: Change, shown: Mapping[str, Mapping[str, Shown] | None]) -> Rendered:
    """Write a change. `shown`: by part; None, or no part: nothing is asked of it."""
    shape = _BY_KIND[change.kind]
    entities = shown.get(shape.part)
    if change.action is ChangeAction.UPSERTED and entities is not None and change.id not in entities:
        change = change.removed()
    it = entities.get(change.id) if entities is not None and change.action is ChangeAction.UPSERTED else None
    texts: list[str] = []
    numbers = dict.fromkeys(plan.rows, 0)
    for fields in plan.changes:
        members: dict[str, Any] = {}
        for asked in fields:
            name = name_of(asked)
            if name in numbers:
                members[asked.key] = it[str(numbers[name])] if it is not None and name == shape.part else None
                numbers[name] += 1
            else:
                members[asked.key] = _leaf(asked, name, change, shape)
        texts.append(encode(members).decode())
    return tuple(texts)


def _leaf(asked: Field, name: str | None, change: Change, shape: _Shape) -> Any:
    match name:
        case "kind":
            return change.kind.value
        case "action":
            return change.action.value
        case "id":
            return shape.separated(change.id)
        case "at":
            return change.at
        case _:
            return constant_of(asked)


def constant_of(asked: Field) -> Any:
    """Return the value of a field that is the same in every page, such as `__typename`."""
    assert isinstance(asked.read, Constant), f"no way to show {asked.read}"
    return asked.read.value


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _relations(fields: Iterable[Field]) -> Iterator[ToOne | ToMany]:
    for asked in fields:
        match asked.read:
            case ToOne() | ToMany():
                yield asked.read
            case Counted(rows, names):
                yield rows
                yield from _vias(names)
            case Column(names) | Computed(names):
                yield from _vias(names)
            case _:
                pass
        yield from _relations(asked.fields)


def _vias(names: Iterable[Name]) -> Iterator[ToOne]:
    return (name.relation for name in names if isinstance(name, Via))


def _asks(fields: Iterable[Field], kind: type) -> bool:
    return any(isinstance(asked.read, kind) or _asks(asked.fields, kind) for asked in fields)
