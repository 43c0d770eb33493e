"""Documents that callers sent: parsed and validated once, kept in bounds; their selections compiled once.

Everything that depends on the text alone is done here and remembered, so that the hot route starts with variables.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import VariableValues
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.errors import HubError
from schema.compiled import Requested, requested_by
from schema.select import Selected, Selector

#: Strawberry's one is for inputs of which exactly one member is given: graphql-core does not know of them.
RULES = (*specified_rules, OneOfInputValidationRule)

KEPT_DOCUMENTS = 1_000
KEPT_CHARACTERS = 20_000
KEPT_SELECTIONS = 64
MAXIMUM_TOKENS = 20_000


class UnknownOperation(HubError):
    """The request names no operation of its document, or does not choose among several."""

    code = "UNKNOWN_OPERATION"


@dataclass(frozen=True, slots=True)
class CompiledField:
    """A root field whose selection is compiled, or `__typename`, whose value is known."""

    key: str
    node: FieldNode
    field: GraphQLField | None
    requested: Requested | None
    selected: Selected | None
    constant: Any = None

    @property
    def non_null(self) -> bool:
        return self.field is None or isinstance(cast(object, self.field.type), GraphQLNonNull)


@dataclass(slots=True)
class Operation:
    """One operation of a document. `switches`: the variables that decide what is selected."""

    node: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    switches: tuple[str, ...]
    _compiled: dict[tuple[Any, ...], tuple[CompiledField, ...] | None] = field(default_factory=dict)

    @property
    def is_query(self) -> bool:
        return self.node.operation is OperationType.QUERY

    def compiled(self, schema: GraphQLSchema, variables: VariableValues) -> tuple[CompiledField, ...] | None:
        """Give the root fields, compiled; None when some need the executor."""
        if not self.is_query:
            return None
        values = tuple(variables.coerced.get(name) for name in self.switches)
        if values not in self._compiled:
            if len(self._compiled) >= KEPT_SELECTIONS:
                self._compiled.clear()
            self._compiled[values] = _compile(schema, self, variables)
        return self._compiled[values]


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its operations, or the reasons why it is not one."""

    errors: tuple[GraphQLError, ...]
    operations: dict[str, Operation]

    def operation(self, name: str | None) -> Operation:
        """Choose an operation. Raises: UnknownOperation."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        operation = self.operations.get(name or "")
        if operation is None or name is None:
            named = ", ".join(sorted(n for n in self.operations if n)) or "none with a name"
            raise UnknownOperation(f"operationName is {name!r}; the document has: {named}")
        return operation


class Documents:
    """Remembers the documents asked most recently."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._kept: OrderedDict[str, Document] = OrderedDict()

    def get(self, text: str) -> Document:
        """Parse and validate a document, once."""
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
            return document
        document = _read(self.schema, text)
        if len(text) <= KEPT_CHARACTERS:
            self._kept[text] = document
            if len(self._kept) > KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return document


def _read(schema: GraphQLSchema, text: str) -> Document:
    try:
        node = parse(text, max_tokens=MAXIMUM_TOKENS)
    except GraphQLError as error:
        return Document((error,), {})
    except RecursionError:
        return Document((GraphQLError("the document is nested too deeply to be read"),), {})
    errors = tuple(validate(schema, node, RULES))
    return Document(errors, {} if errors else _operations(node))


def _operations(document: DocumentNode) -> dict[str, Operation]:
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    switches = _switches(document)
    return {
        d.name.value if d.name else "": Operation(d, fragments, switches)
        for d in document.definitions
        if isinstance(d, OperationDefinitionNode)
    }


def _switches(document: DocumentNode) -> tuple[str, ...]:
    """Give the variables used in @skip and @include anywhere in the document."""
    names: set[str] = set()

    class Finder(Visitor):
        def enter_directive(self, node: Any, *_: Any) -> None:
            if node.name.value in ("skip", "include"):
                names.update(a.value.name.value for a in node.arguments if isinstance(a.value, VariableNode))

    visit(document, Finder())
    return tuple(sorted(names))


def _compile(
    schema: GraphQLSchema, operation: Operation, variables: VariableValues
) -> tuple[CompiledField, ...] | None:
    query = schema.query_type
    assert query is not None
    fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
    grouped = collect_fields(schema, fragments, variables, query, operation.node).grouped_field_set
    selector = Selector(schema, operation.node, operation.fragments, variables)
    compiled: list[CompiledField] = []
    for key, details in grouped.items():
        node = details[0].node
        if node.name.value == "__typename":
            compiled.append(CompiledField(key, node, None, None, None, query.name))
            continue
        field_def = query.fields.get(node.name.value)
        requested = requested_by(field_def) if field_def is not None else None
        if field_def is None or requested is None:
            return None
        compiled.append(CompiledField(key, node, field_def, requested, selector.select(field_def.type, details)))
    return tuple(compiled)
