"""What a document may ask: one memoised pass over it, before validation, whose own work can be quadratic.

A fragment is weighed once and counts wherever it is spread, so a document that doubles its fragments twenty times is
weighed in as many steps as it has words.

Cost is the number of objects that the answer may hold: a list counts as its `first`, one without counts as `LIST_SIZE`.
What depends on variables is left open, as a sum of products, and is worked out per request.
"""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, field, replace
from math import isinf, prod
from typing import Any, cast

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
)

from app.errors import HubError
from app.read.paging import MAXIMUM_FIRST
from app.settings import Settings

#: A list without `first`, such as the connectors of an EVSE.
LIST_SIZE = 5
#: A mutation is a transaction; of the items uploaded with it, ten count as one object.
MUTATION_COST = 10
#: A list by price is priced as a whole, whatever its `first`.
PRICED_COST = MAXIMUM_FIRST
ITEM_COST = 0.1
#: What is refused is quoted in the error, so what is written out must be short.
MAXIMUM_WRITTEN = 300
MAXIMUM_DIGITS = 100
#: Beyond this the walk itself would run out of stack.
MAXIMUM_DEPTH = 100
#: Characters of a polyline that take no time worth mentioning, and those that take as long as the corner of a polygon.
LONG_POLYLINE = 1_000
CHARACTERS_PER_CORNER = 4
#: The members of an area whose size counts, wherever it is used.
SIZED = frozenset({"polygon", "route", "polyline"})
#: Fields that lead to no object of their own: their work is done whether or not they are asked for.
FREE = frozenset({"pageInfo", "ofType"})


class TooComplex(HubError):
    """The document, its variables or its cost exceed a limit."""

    code = "TOO_COMPLEX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may ask. Units: characters, tokens, levels, pieces, objects."""

    characters: int
    tokens: int
    depth: int
    fields: int
    aliases: int
    directives: int
    root_fields: int
    definitions: int
    cost: int
    values: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(
            characters=settings.max_document_characters,
            tokens=settings.max_document_tokens,
            depth=min(settings.max_depth, MAXIMUM_DEPTH),
            fields=settings.max_fields,
            aliases=settings.max_aliases,
            directives=settings.max_directives,
            root_fields=settings.max_root_fields,
            definitions=settings.max_definitions,
            cost=settings.max_cost,
            values=settings.max_values,
        )

    def hold(self, name: str, found: float, what: str) -> None:
        """Raises: TooComplex when there is more of something than there may be."""
        allowed: int = getattr(self, name)
        if found > allowed:
            raise TooComplex(f"{what}: {found:g}; possible: at most {allowed}", "ask for less, or in several requests")


# ---------------------------------------------------------------- cost

#: The variable that a size is read from, and what counts where it is not given.
Factor = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Cost:
    """A sum of products: what is fixed, and what is to be multiplied by the sizes of variables."""

    fixed: float = 0
    terms: Mapping[tuple[Factor, ...], float] = field(default_factory=dict[tuple[Factor, ...], float])

    def __add__(self, other: "Cost") -> "Cost":
        terms = dict(self.terms)
        for factors, coefficient in other.terms.items():
            terms[factors] = terms.get(factors, 0) + coefficient
        return Cost(self.fixed + other.fixed, terms)

    def times(self, size: int | Factor) -> "Cost":
        if isinstance(size, int):
            return Cost(self.fixed * size, {factors: each * size for factors, each in self.terms.items()})
        terms = {tuple(sorted((*factors, size))): each for factors, each in self.terms.items()}
        return Cost(0, terms | {(size,): self.fixed})

    def of(self, variables: Mapping[str, Any]) -> float:
        """Return the number of objects under these variables, as they were sent."""
        cost = self.fixed
        for factors, coefficient in self.terms.items():
            cost += coefficient * prod(size_of(variables.get(name, default)) for name, default in factors)
        return cost


def size_of(value: Any) -> float:
    """Return the size that a variable stands for. An invalid one counts nothing: it is refused where it is read."""
    match value:
        case bool():
            return 0
        case int() | float():
            # GraphQL takes 500.0 for an Int too.
            return int(min(max(value, 0), MAXIMUM_FIRST))
        case list():
            return len(cast(Sized, value))
        case str():
            return len(value) / CHARACTERS_PER_CORNER if len(value) > LONG_POLYLINE else 0
        case dict():
            members = cast(dict[str, Any], value)
            return sum(size_of(members.get(name)) for name in SIZED)
        case _:
            return 0


# ---------------------------------------------------------------- the pass


@dataclass(frozen=True, slots=True)
class Weight:
    """What a selection holds, fragments included. `width`: fields at its top; `depth`: levels below.

    `lists`: the lists without `first` anywhere in it.
    """

    width: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    cost: Cost = Cost()
    lists: frozenset[str] = frozenset()

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(
            self.width + other.width,
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
            max(self.depth, other.depth),
            self.cost + other.cost,
            self.lists | other.lists,
        )


def weigh(schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> Mapping[str, Cost]:
    """Return the cost of every operation by its name. Raises: TooComplex."""
    limits.hold("definitions", len(document.definitions), "operations and fragments")
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    walk = _Walk(schema, fragments, limits)
    for name in fragments:
        walk.fragment(name, 0)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return {node.name.value if node.name else "": walk.operation(node) for node in operations}


@dataclass(slots=True)
class _Walk:
    """Everything met on the way down is held against the limits at once, so that no walk goes far."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    limits: Limits
    weights: dict[str, Weight] = field(default_factory=dict[str, Weight])
    written: int = 0

    def operation(self, node: OperationDefinitionNode) -> Cost:
        definitions = node.variable_definitions or ()
        root = self.schema.get_root_type(node.operation)
        weight = self._selections(node.selection_set, root, 1)
        self.limits.hold("root_fields", weight.width, "root fields")
        own = self._directives(node.directives)
        for definition in definitions:
            own += self._directives(definition.directives)
            if definition.default_value is not None:
                self._check_value(definition.default_value, 1)
        self.limits.hold("directives", weight.directives + own.directives, "directives")
        return _with_defaults(weight.cost, definitions)

    def fragment(self, name: str, depth: int) -> Weight:
        """Weigh a fragment once. One that holds itself weighs nothing there: validation refuses it."""
        weight = self.weights.get(name)
        node = self.fragments.get(name)
        if weight is not None or node is None:
            return weight or Weight()
        self.weights[name] = Weight()
        type_ = self.schema.get_type(node.type_condition.name.value)
        weight = self._selections(node.selection_set, type_, depth + 1) + self._directives(node.directives)
        self.weights[name] = weight
        return weight

    def _selections(self, node: SelectionSetNode, type_: Any, depth: int) -> Weight:
        limits = self.limits
        limits.hold("depth", depth, "levels of nesting")
        total = Weight()
        for selection in node.selections:
            total += self._selection(selection, type_, depth)
            limits.hold("fields", total.fields, "fields")
            limits.hold("aliases", total.aliases, "aliases")
            limits.hold("directives", total.directives, "directives")
        limits.hold("depth", depth + total.depth, "levels of nesting")
        return total

    def _selection(self, node: SelectionNode, type_: Any, depth: int) -> Weight:
        own = self._directives(node.directives)
        match node:
            case FieldNode():
                return own + self._field(node, type_, depth)
            case FragmentSpreadNode():
                return own + _below(self.fragment(node.name.value, depth))
            case InlineFragmentNode():
                condition = node.type_condition
                inner = type_ if condition is None else self.schema.get_type(condition.name.value)
                return own + _below(self._selections(node.selection_set, inner, depth + 1))
            case _:
                return own

    def _field(self, node: FieldNode, type_: Any, depth: int) -> Weight:
        is_object = isinstance(type_, GraphQLObjectType)
        definition = self.schema.get_field(type_, node.name.value) if is_object else None
        self._check_arguments(node.arguments)
        named = cast(object, get_named_type(cast(Any, definition.type))) if definition else None
        inner = self._selections(node.selection_set, named, depth + 1) if node.selection_set else Weight()
        return Weight(
            1,
            1 + inner.fields,
            inner.aliases + (node.alias is not None),
            inner.directives,
            inner.depth + (node.selection_set is not None),
            self._cost(node, type_, definition, inner.cost) + self._areas(node),
            inner.lists | self._list(node, type_, definition, inner),
        )

    def _list(self, node: FieldNode, type_: Any, definition: GraphQLField | None, inner: Weight) -> frozenset[str]:
        """Name a list that has no `first`. Raises: TooComplex when it stands within itself.

        It leads to nothing new there, and at each turn a hundred EVSEs of one location become ten thousand.
        """
        if definition is None or node.selection_set is None or "first" in definition.args or type_.name[:2] == "__":
            return frozenset()
        if _list_size(self.schema, type_, definition) == 1:
            return frozenset()
        name = f"{type_.name}.{node.name.value}"
        if name in inner.lists:
            raise TooComplex(f"{name} is asked for within itself", "ask for it once on each way")
        return frozenset({name})

    def _cost(self, node: FieldNode, type_: Any, definition: GraphQLField | None, inner: Cost) -> Cost:
        if type_ is self.schema.mutation_type:
            return self._uploaded(node) + inner
        if definition is None or node.name.value in FREE:
            return inner
        if "first" in definition.args:
            priced = PRICED_COST if any(each.name.value == "price" for each in node.arguments or ()) else 0
            return Cost(1 + priced) + inner.times(_first(node, definition))
        if node.selection_set is None:
            return Cost(1) if type_ is self.schema.query_type else Cost()
        return (Cost(1) + inner).times(_list_size(self.schema, type_, definition))

    def _areas(self, node: FieldNode) -> Cost:
        """Count the corners of the area that a field searches."""
        given = (argument.value for argument in node.arguments or () if argument.name.value == "within")
        return sum(map(_corners, given), Cost())

    def _uploaded(self, node: FieldNode) -> Cost:
        cost = Cost(MUTATION_COST)
        for argument in node.arguments or ():
            value = argument.value
            if isinstance(value, ListValueNode):
                cost += Cost(len(value.values) * ITEM_COST)
            elif isinstance(value, VariableNode):
                cost += Cost(ITEM_COST).times((value.name.value, 0))
        return cost

    def _directives(self, nodes: Iterable[DirectiveNode] | None) -> Weight:
        count = 0
        for node in nodes or ():
            count += 1
            self._check_arguments(node.arguments)
        return Weight(directives=count)

    def _check_arguments(self, nodes: Iterable[ArgumentNode] | None) -> None:
        for node in nodes or ():
            self._check_value(node.value, 1)

    def _check_value(self, node: ValueNode, depth: int) -> None:
        self.limits.hold("depth", depth, "levels of nesting in a value")
        self.written += 1
        if self.written > MAXIMUM_WRITTEN:
            raise TooComplex(f"the document holds more than {MAXIMUM_WRITTEN} values", "send them as variables")
        match node:
            case ListValueNode():
                for each in node.values:
                    self._check_value(each, depth + 1)
            case ObjectValueNode():
                for each in node.fields:
                    self._check_value(each.value, depth + 1)
            case IntValueNode() | FloatValueNode() if len(node.value) > MAXIMUM_DIGITS:
                raise TooComplex(f"a number has {len(node.value)} digits; possible: at most {MAXIMUM_DIGITS}")
            case FloatValueNode() if isinf(float(node.value)):
                raise TooComplex(f"{node.value} is beyond what a number can be")
            case _:
                pass


def _below(weight: Weight) -> Weight:
    """A fragment is a level of its own."""
    return replace(weight, depth=weight.depth + 1)


def _corners(value: ValueNode) -> Cost:
    match value:
        case VariableNode():
            return Cost(1).times((value.name.value, 0))
        case ListValueNode():
            return Cost(len(value.values))
        case ObjectValueNode():
            return sum((_corners(each.value) for each in value.fields if each.name.value in SIZED), Cost())
        case _:
            return Cost()


def _first(node: FieldNode, definition: GraphQLField) -> int | Factor:
    default = int(size_of(definition.args["first"].default_value))
    given = next((each.value for each in node.arguments or () if each.name.value == "first"), None)
    match given:
        case VariableNode():
            return given.name.value, default
        case IntValueNode():
            return int(size_of(int(given.value))) if len(given.value) < 12 else 0
        case _:
            return default


def _list_size(schema: GraphQLSchema, type_: GraphQLObjectType, definition: GraphQLField) -> int:
    inner = cast(object, definition.type)
    if isinstance(inner, GraphQLNonNull):
        inner = cast(object, inner.of_type)
    if not isinstance(inner, GraphQLList) or type_.name.endswith(("Connection", "Page")):
        return 1
    return len(schema.type_map) if type_.name == "__Schema" else LIST_SIZE


def _with_defaults(cost: Cost, definitions: Iterable[VariableDefinitionNode]) -> Cost:
    """Count a variable that is not given as its own default, where it has one."""
    defaults = {
        each.variable.name.value: int(size_of(int(each.default_value.value)))
        for each in definitions
        if isinstance(each.default_value, IntValueNode) and len(each.default_value.value) < 12
    }
    terms: dict[tuple[Factor, ...], float] = {}
    for factors, coefficient in cost.terms.items():
        named = tuple((name, defaults.get(name, default)) for name, default in factors)
        terms[named] = terms.get(named, 0) + coefficient
    return Cost(cost.fixed, terms)


# ---------------------------------------------------------------- variables


def count_values(value: Any, limit: int) -> int:
    """Count the values in decoded JSON, a text as one per 100 characters; stop beyond the limit."""
    count, pending = 0, [value]
    while pending and count <= limit:
        each = pending.pop()
        count += 1
        if isinstance(each, str):
            count += len(each) // 100
        elif isinstance(each, dict):
            pending += cast(dict[str, Any], each).values()
        elif isinstance(each, list):
            pending += cast(list[Any], each)
    return count
