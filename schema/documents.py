"""Documents, parsed and validated once and cached within bounds; their selections are compiled once.

What depends on the text alone is done here and cached, so that the hot route starts with variables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cachetools import LRUCache
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
    ValidationRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values
from graphql.pyutils import Undefined
from graphql.utilities import coerce_input_value  # pyright: ignore[reportUnknownVariableType]
from graphql.validation.rules import overlapping_fields_can_be_merged
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.errors import BadInput, Forbidden, HubError
from app.settings import Settings
from schema.query_cost import Cost, Limits, TooComplex, weigh
from schema.root_fields import Requested, requested_by
from schema.select import Selected, Selector

#: Strawberry's one is for inputs of which exactly one member is given: graphql-core does not know of them.
RULES = (*specified_rules, OneOfInputValidationRule)

INTROSPECTION = frozenset({"__schema", "__type"})

#: A longer document is not cached.
CACHED_CHARACTERS = 20_000
#: Half an object per character: garbage collection looks through what is cached while every request waits.
CACHED_CHARACTERS_IN_ALL = 100_000
#: A shorter document counts as so many, which bounds their number as well, to 1,000.
LEAST_CHARACTERS = 100
CACHED_SELECTIONS = 8
MAXIMUM_ERRORS = 10
MAXIMUM_COMMENTS = 1_000

#: Fields of one name are compared pair by pair. graphql-core's own bound is 25 times as high, and lets a document of
#: 6,000 characters take most of a second; 50 fragments spread in one place stay below this one.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 20_000


class UnknownOperation(HubError):
    """`operationName` selects none of the operations of the document."""

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

    #: By name, the variables that an argument each is; None where graphql-core has to look at the rest.
    variables: Mapping[str, str] | None = None

    def arguments(self, variables: VariableValues) -> Mapping[str, Any]:
        """Return the values of its arguments; graphql-core would go through their nodes in every request."""
        assert self.field is not None
        if self.variables is not None:
            given = {name: variables.coerced.get(variable) for name, variable in self.variables.items()}
            if None not in given.values():
                return given
        return get_argument_values(self.field, self.node, variables)

    @property
    def non_null(self) -> bool:
        return self.field is None or isinstance(cast(object, self.field.type), GraphQLNonNull)


@dataclass(slots=True)
class Operation:
    """One operation of `document`. `switches`: the variables that decide what is selected.

    `introspects`: something in the document asks for the schema, which the executor describes without ever waiting.
    """

    node: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    switches: tuple[str, ...]
    introspects: bool
    cost: Cost
    document: DocumentNode
    signatures: tuple[GraphQLVariableSignature, ...] = ()
    _compiled: LRUCache[tuple[Any, ...], tuple[CompiledField, ...] | None] = field(
        default_factory=lambda: LRUCache(CACHED_SELECTIONS)
    )

    @property
    def is_query(self) -> bool:
        return self.node.operation is OperationType.QUERY

    @property
    def is_mutation(self) -> bool:
        return self.node.operation is OperationType.MUTATION

    @property
    def is_subscription(self) -> bool:
        return self.node.operation is OperationType.SUBSCRIPTION

    def taken(self, given: Mapping[str, Any]) -> VariableValues | None:
        """Coerce variables that are all given and valid; else None, and graphql-core finds the default or the error.

        graphql-core would resolve each variable's type again in every request.
        """
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature in self.signatures:
            value = given.get(signature.name, Undefined)
            taken = coerce_input_value(value, signature.type)  # pyright: ignore[reportUnknownMemberType]
            if taken is Undefined or value is Undefined:
                return None
            sources[signature.name] = VariableValueSource(signature, value)
            coerced[signature.name] = taken
        return VariableValues(sources, coerced)

    def compiled(self, schema: GraphQLSchema, variables: VariableValues) -> tuple[CompiledField, ...] | None:
        """Return the root fields of a query, compiled; None when some need the executor."""
        return self._selected(schema, variables) if self.is_query else None

    def subscribed(self, schema: GraphQLSchema, variables: VariableValues) -> CompiledField:
        """Return the one root field of a subscription, the same object for all subscribers with this document.

        Raises: BadInput where variables leave it out.
        """
        selected = self._selected(schema, variables)
        if not selected:
            raise BadInput("the subscription asks for nothing", "ask for `changes`")
        return selected[0]

    def _selected(self, schema: GraphQLSchema, variables: VariableValues) -> tuple[CompiledField, ...] | None:
        values = tuple(variables.coerced.get(name) for name in self.switches)
        try:
            return self._compiled[values]
        except KeyError:
            compiled = self._compiled[values] = _compile(schema, self, variables)
            return compiled


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its operations, or the errors in it."""

    characters: int
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


class IntrospectionNeedsKey(ValidationRule):
    """Refuses introspection."""

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value in INTROSPECTION:
            cause = Forbidden("the schema is not shown without a key", "send a key, or read schema/schema.graphql")
            self.report_error(GraphQLError(cause.message, node, original_error=cause))


class Documents:
    """The documents received most recently. `for_anonymous`: errors reveal no names, and introspection is refused."""

    def __init__(self, schema: GraphQLSchema, limits: Limits | None = None, for_anonymous: bool = False) -> None:
        self.schema = schema
        self.limits = limits or Limits.of(Settings())
        self.for_anonymous = for_anonymous
        self._cache: LRUCache[str, Document] = LRUCache(
            CACHED_CHARACTERS_IN_ALL, getsizeof=lambda document: max(document.characters, LEAST_CHARACTERS)
        )

    def get(self, text: str) -> Document:
        """Parse and validate a document, once."""
        document = self.known(text)
        if document is None:
            document = self.read(text)
            self.keep(text, document)
        return document

    def known(self, text: str) -> Document | None:
        """Return a cached document."""
        try:
            return self._cache[text]  # half the time of `get`
        except KeyError:
            return None

    def keep(self, text: str, document: Document) -> None:
        """Cache a document unless it is long; the least recently used ones are evicted."""
        if len(text) <= CACHED_CHARACTERS:
            self._cache[text] = document

    def read(self, text: str) -> Document:
        """Parse, weigh and validate a document. Takes milliseconds and changes nothing: may run in any thread."""
        try:
            self.limits.hold("characters", len(text), "characters in the document")
            node = parse(text, max_lexical_tokens=self.limits.tokens, max_comments=MAXIMUM_COMMENTS)
            costs = weigh(self.schema, node, self.limits)
        except TooComplex as error:
            return Document(len(text), (_refusal(error),), {})
        except GraphQLError as error:
            return Document(len(text), (_unreadable(error),), {})
        errors = self._errors(node)
        return Document(len(text), errors, {} if errors else _operations(self.schema, node, costs))

    def _errors(self, node: DocumentNode) -> tuple[GraphQLError, ...]:
        rules = (*RULES, IntrospectionNeedsKey) if self.for_anonymous else RULES
        errors = validate(self.schema, node, rules, MAXIMUM_ERRORS, self.for_anonymous)
        if errors and isinstance(errors[-1], ValidationAbortedError) and len(errors) <= MAXIMUM_ERRORS:
            cause = TooComplex("fields of one name are selected together too often", "select each field once")
            errors[-1] = _refusal(cause)
        return tuple(errors)


def _refusal(cause: HubError) -> GraphQLError:
    return GraphQLError(cause.message, original_error=cause)


def _unreadable(error: GraphQLError) -> GraphQLError:
    """Distinguish the parser's own limits, by the beginning of their messages, from syntax errors."""
    message = error.message.removeprefix("Syntax Error: ")
    return _refusal(TooComplex(message)) if message.startswith("Document ") else error


def _operations(schema: GraphQLSchema, document: DocumentNode, costs: Mapping[str, Cost]) -> dict[str, Operation]:
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    switches, introspects = _switches(document)
    operations: dict[str, Operation] = {}
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode):
            name, signatures = each.name.value if each.name else "", _signatures(schema, each)
            operations[name] = Operation(each, fragments, switches, introspects, costs[name], document, signatures)
    return operations


def _signatures(schema: GraphQLSchema, operation: OperationDefinitionNode) -> tuple[GraphQLVariableSignature, ...]:
    listed = [get_variable_signature(schema, each) for each in operation.variable_definitions or ()]
    return tuple(each for each in listed if not isinstance(each, GraphQLError))  # validation has seen to that


def _switches(document: DocumentNode) -> tuple[tuple[str, ...], bool]:
    """Return the variables of @skip and @include anywhere in the document, and whether it introspects."""
    names: set[str] = set()
    introspects = False

    class Finder(Visitor):
        def enter_directive(self, node: Any, *_: Any) -> None:
            if node.name.value in ("skip", "include"):
                names.update(a.value.name.value for a in node.arguments if isinstance(a.value, VariableNode))

        def enter_field(self, node: FieldNode, *_: Any) -> None:
            nonlocal introspects
            introspects = introspects or node.name.value in INTROSPECTION

    visit(document, Finder())
    return tuple(sorted(names)), introspects


def _compile(
    schema: GraphQLSchema, operation: Operation, variables: VariableValues
) -> tuple[CompiledField, ...] | None:
    root = schema.get_root_type(operation.node.operation)
    assert root is not None
    fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
    grouped = collect_fields(schema, fragments, variables, root, operation.node).grouped_field_set
    selector = Selector(schema, operation.node, operation.fragments, variables)
    compiled: list[CompiledField] = []
    for key, details in grouped.items():
        node = details[0].node
        if node.name.value == "__typename":
            compiled.append(CompiledField(key, node, None, None, None, root.name))
            continue
        field_def = root.fields.get(node.name.value)
        requested = requested_by(field_def) if field_def is not None else None
        if field_def is None or (requested is None and operation.is_query):
            return None
        selected = selector.select(field_def.type, details)
        compiled.append(CompiledField(key, node, field_def, requested, selected, variables=_variables(field_def, node)))
    return tuple(compiled)


def _variables(field_def: GraphQLField, node: FieldNode) -> Mapping[str, str] | None:
    """Return the variables that the arguments are; None where one is something else, or absent with a default."""
    nodes = {each.name.value: each.value for each in node.arguments or ()}
    variables: dict[str, str] = {}
    for name, argument in field_def.args.items():
        value = nodes.get(name)
        if isinstance(value, VariableNode):
            variables[argument.out_name or name] = value.name.value
        elif value is not None or argument.default_value is not Undefined:
            return None
    return variables
