"""From a GraphQL selection to plan fields: aliases, fragments, directives, merged keys, arguments, __typename.

What graphql-core collects is what the plan holds, so the compiled way answers as the executed one would.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from cachetools import LRUCache
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values

from app.read.plan import Arguments, Constant, Field, Selection
from schema.field import Bind, bind_of, read_of

CACHED_SHAPES = 64


@dataclass(frozen=True, slots=True)
class Nested:
    """A field inside a selection that has arguments of its own; `prefix` tells its bind parameters from others."""

    prefix: str
    field: GraphQLField
    node: FieldNode
    bind: Bind


@dataclass(frozen=True, slots=True)
class Selector:
    """Compiles the selections of one operation under one set of variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: VariableValues

    def select(self, return_type: Any, details: list[FieldDetails]) -> "Selected":
        """Return the selection of a field of this type. Raises: NotReadable for a field without a declaration."""
        return Selected(self, return_type, details)


class Selected:
    """The selection of one root field: one, or one for each set of nested arguments that are given."""

    def __init__(self, selector: Selector, return_type: Any, details: list[FieldDetails]) -> None:
        self.selector, self.type, self.details = selector, _object_type(return_type), details
        walk = _Walk(selector)
        self.plain = Selection(walk.fields(self.type, details))
        self.nested = tuple(walk.nested)
        self._cache: LRUCache[tuple[frozenset[str], ...], Selection] = LRUCache(CACHED_SHAPES)

    def bind(self, variables: VariableValues, now: datetime) -> tuple[Selection, Mapping[str, Any]]:
        """Return the selection for these variables, and the values of its nested arguments."""
        if not self.nested:
            return self.plain, {}
        bound = [each.bind(get_argument_values(each.field, each.node, variables), now) for each in self.nested]
        values = {
            f"{nested.prefix}{name}": value
            for nested, given in zip(self.nested, bound, strict=True)
            for name, value in given.items()
        }
        return self._selection(tuple(frozenset(given) for given in bound)), values

    def _selection(self, shapes: tuple[frozenset[str], ...]) -> Selection:
        selection = self._cache.get(shapes)
        if selection is None:
            selection = self._cache[shapes] = Selection(_Walk(self.selector, shapes).fields(self.type, self.details))
        return selection


@dataclass(slots=True)
class _Walk:
    """One walk over a selection: the fields it gives, and the nested arguments it meets on the way."""

    selector: Selector
    shapes: tuple[frozenset[str], ...] = ()
    nested: list[Nested] = field(default_factory=list)

    def fields(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> tuple[Field, ...]:
        selector = self.selector
        fragments = {name: FragmentDetails(definition) for name, definition in selector.fragments.items()}
        grouped = collect_subfields(
            selector.schema, fragments, selector.variables, selector.operation, type_, details
        ).grouped_field_set
        return tuple(self._field(type_, key, same_key) for key, same_key in grouped.items())

    def _field(self, type_: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Field:
        name = details[0].node.name.value
        if name == "__typename":
            return Field(key, Constant(type_.name))
        field_def = type_.fields[name]
        declared = field_def.extensions["strawberry-definition"]
        arguments = self._arguments(field_def, details[0].node, bind_of(declared))
        read = read_of(declared, type_.name)
        named = cast(object, get_named_type(field_def.type))
        fields = self.fields(named, details) if isinstance(named, GraphQLObjectType) else ()
        return Field(key, read, fields, arguments)

    def _arguments(self, field_def: GraphQLField, node: FieldNode, bind: Bind | None) -> Arguments:
        if bind is None:
            return Arguments()
        index = len(self.nested)
        prefix = f"nested_{index}_"
        self.nested.append(Nested(prefix, field_def, node, bind))
        return Arguments(prefix, self.shapes[index] if self.shapes else frozenset())


def _object_type(type_: Any) -> GraphQLObjectType:
    named = cast(object, get_named_type(type_))
    assert isinstance(named, GraphQLObjectType), f"{named} has no fields to select"
    return named


def details_of(nodes: list[FieldNode]) -> list[FieldDetails]:
    """Return the nodes of one response key as graphql-core passes them."""
    return [FieldDetails(node, None) for node in nodes]
