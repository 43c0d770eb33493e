"""From a GraphQL selection to plan fields: aliases, fragments, directives, merged keys, __typename.

What graphql-core collects is what the plan holds, so the compiled way answers as the executed one would.
"""

from typing import Any, cast

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues

from app.read.plan import Constant, Field, Selection
from schema.field import read_of


class Selector:
    """Compiles the selections of one operation under one set of variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        variables: VariableValues,
    ) -> None:
        self.schema = schema
        self.operation = operation
        self.fragments = {name: FragmentDetails(definition) for name, definition in fragments.items()}
        self.variables = variables

    def selection(self, return_type: Any, details: list[FieldDetails]) -> Selection:
        """Give what is asked of a field of this type. Raises: NotReadable for a field nobody declared."""
        return Selection(self._fields(_object_type(return_type), details))

    def _fields(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> tuple[Field, ...]:
        grouped = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, type_, details
        ).grouped_field_set
        return tuple(self._field(type_, key, same_key) for key, same_key in grouped.items())

    def _field(self, type_: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Field:
        name = details[0].node.name.value
        if name == "__typename":
            return Field(key, Constant(type_.name))
        field = type_.fields[name]
        read = read_of(field.extensions["strawberry-definition"], type_.name)
        named = cast(object, get_named_type(field.type))
        return Field(key, read, self._fields(named, details) if isinstance(named, GraphQLObjectType) else ())


def _object_type(type_: Any) -> GraphQLObjectType:
    named = cast(object, get_named_type(type_))
    assert isinstance(named, GraphQLObjectType), f"{named} has no fields to select"
    return named
