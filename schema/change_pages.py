"""How changes are shown: the selection of a page of changes, compiled; what it asks of EVSEs and spots is read for all.

Subscribers with the same selection share one text. Only where an answer depends on the caller (spots show EVSEs, and
are measured to places, and callers see different ones) or on the area (distances), subscribers that differ in it are
kept apart.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from graphql.execution.values import VariableValues

from app.auth import Caller
from app.db.engine import Database, Reader
from app.ids import separated_evse_id, separated_parking_id
from app.live.feeds.evse import EVSES
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
from app.read.search import Request
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


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is asked of EVSEs, or of spots: everything any field asks of them, in one selection."""

    search: Any
    key: str
    selection: Selection
    asks: bool

    @classmethod
    def of(cls, search: Any, key: str, asked: Sequence[Field]) -> "_Rows":
        objects = (Field(str(number), SameRow(), each.fields) for number, each in enumerate(asked))
        nodes = Field("nodes", Nodes(), (Field("id", Column((key,))), *objects))
        page = (Field("end", PageLeaf("endCursor")), Field("more", PageLeaf("hasNextPage")))
        return cls(search, key, Selection((nodes, Field("page", PageInfo(), page))), len(asked) > 0)

    def by_id(self, area: Asked) -> AreaSearch:
        return self.search(area=area[0], filters=frozenset({f"{self.key}s"}))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A page's selection taken apart. `changes`: of each field that asks for changes, its fields."""

    page: tuple[Field, ...]
    changes: tuple[tuple[Field, ...], ...]
    evses: _Rows
    spots: _Rows


@lru_cache(1_000)
def _plan_of(selection: Selection) -> _Plan:
    changes = tuple(each.fields for each in selection.fields if name_of(each) == "changes")
    evses = [each for fields in changes for each in fields if name_of(each) == "evse"]
    spots = [each for fields in changes for each in fields if name_of(each) == "parkingSpot"]
    return _Plan(
        selection.fields,
        changes,
        _Rows.of(EvseSearch, "evse_id", evses),
        _Rows.of(SpotSearch, "parking_id", spots),
    )


def name_of(asked: Field) -> str | None:
    """Return the name of a field of a page or of a change; None for what is read from a row."""
    return asked.read.name if isinstance(asked.read, PageLeaf) else None


@dataclass(slots=True)
class Rendering:
    """Shows changes as one selection asks, to one or to all who ask it.

    `area`: what distances are measured from. `root_key`: pages are whole GraphQL results with this key; None: values.
    """

    database: Database
    caller: Caller | None
    selected: Selected
    variables: VariableValues
    area: Asked
    root_key: str | None = None
    key: Hashable = field(init=False, default=None)

    async def prepare(self) -> "Rendering":
        """Find out what the answer depends on; gives itself."""
        selection, nested = self.selected.bind(self.variables, ANY_TIME)
        plan = _plan_of(selection)
        fields = [*plan.evses.selection.fields, *plan.spots.selection.fields]
        if not _asks(fields, Given) or self.area[0] not in GIVEN:
            self.area = (AreaKind.EVERYWHERE, {})
        if not (await self._depends_on_caller(plan.evses) or await self._depends_on_caller(plan.spots)):
            self.caller = HUB
        role_id = self.caller.role_id if self.caller else None
        self.key = (selection, encode([nested, self.area[1]]), self.area[0], role_id, self.root_key)
        return self

    async def _depends_on_caller(self, rows: _Rows) -> bool:
        search = rows.by_id(self.area)
        if search.by_place or any(not each.visible_with_parent for each in _relations(rows.selection.fields)):
            return True
        statement = await STATEMENTS.get(rows.selection, search, CallerKind.ADMINISTRATOR)
        return not CALLERS_OWN.isdisjoint(statement.parameters)

    # ---------------------------------------------------------------- changes

    async def render(self, changes: Sequence[Change], reader: Reader) -> list[Rendered]:
        """Write changes, each with its entity as the reader's snapshot has it; as removed where it is not there."""
        now = datetime.now(UTC)
        selection, nested = self.selected.bind(self.variables, now)
        plan = _plan_of(selection)
        there = [each for each in changes if each.action is ChangeAction.UPSERTED]
        evses = await self._shown(
            reader, plan.evses, [each.id for each in there if each.kind in EVSES.kinds], now, nested
        )
        spots = await self._shown(
            reader, plan.spots, [each.id for each in there if each.kind not in EVSES.kinds], now, nested
        )
        return [_rendered(plan, each, evses, spots) for each in changes]

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
            request = Request(rows.by_id(self.area), {**self.area[1], f"{rows.key}s": some}, len(some))
            answer = await read(reader, self.caller, rows.selection, request, now, nested)
            shown |= {node["id"]: node for node in answer["nodes"]}
        return shown

    async def listed(
        self, request: Request, caller: Caller | None, of_evses: bool, reader: Reader
    ) -> tuple[list[tuple[str, Shown]], str | None]:
        """Read a page of a list: ids with what is asked of them, and where the next page begins, if there is one."""
        now = datetime.now(UTC)
        selection, nested = self.selected.bind(self.variables, now)
        plan = _plan_of(selection)
        rows = plan.evses if of_evses else plan.spots
        answer = await read(reader, caller, rows.selection, request, now, nested)
        page = answer["page"]
        return [(node["id"], node) for node in answer["nodes"]], page["end"] if page["more"] else None

    def rendered(self, change: Change, shown: Shown) -> Rendered:
        """Show a change of which everything asked was read."""
        plan = _plan_of(self.selected.bind(self.variables, ANY_TIME)[0])
        evses, spots = ({change.id: shown}, None) if change.kind in EVSES.kinds else (None, {change.id: shown})
        return _rendered(plan, change, evses, spots)

    # ---------------------------------------------------------------- pages

    def page(self, cursor: str, more: bool, changes: Sequence[Rendered]) -> str:
        """Put a page together, as the text of a JSON object."""
        plan = _plan_of(self.selected.bind(self.variables, ANY_TIME)[0])
        return page_text(plan.page, "changes", cursor, more, changes, self.root_key)


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


def _rendered(
    plan: _Plan, change: Change, evses: Mapping[str, Shown] | None, spots: Mapping[str, Shown] | None
) -> Rendered:
    of_evse = change.kind in EVSES.kinds
    shown = evses if of_evse else spots
    if change.action is ChangeAction.UPSERTED and shown is not None and change.id not in shown:
        change = change.removed()
    it = shown.get(change.id) if shown is not None and change.action is ChangeAction.UPSERTED else None
    texts: list[str] = []
    numbers = {"evse": 0, "parkingSpot": 0}
    for fields in plan.changes:
        members: dict[str, Any] = {}
        for asked in fields:
            name = name_of(asked)
            if name in numbers:
                mine = it is not None and of_evse is (name == "evse")
                members[asked.key] = it[str(numbers[name])] if it is not None and mine else None
                numbers[name] += 1
            else:
                members[asked.key] = _leaf(asked, name, change)
        texts.append(encode(members).decode())
    return tuple(texts)


def _leaf(asked: Field, name: str | None, change: Change) -> Any:
    match name:
        case "kind":
            return change.kind.value
        case "action":
            return change.action.value
        case "id":
            return separated_evse_id(change.id) if change.kind in EVSES.kinds else separated_parking_id(change.id)
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
