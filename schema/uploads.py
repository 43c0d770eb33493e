"""Lists that are uploaded: read from the request as they came, not coerced item by item.

GraphQL's own coercion refuses a whole request for one bad item, and costs more than the database. So the route hides
such variables from it (an empty list stands in), and the resolver reads what was really sent.
"""

from typing import Any, cast

from graphql import (
    ListTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    TypeNode,
    VariableNode,
    value_from_ast_untyped,
)

from app.uploads.items import MOST_ITEMS, TooManyItems
from schema.root_fields import Info, raw_info

#: Types whose lists, in a mutation, are read by `app.ingest` item by item.
UPLOADED = frozenset(
    {
        *("ChargePointInput", "EvseId", "ParkingSpotInput", "ParkingId", "EvseStatusInput", "ParkingStatusInput"),
        *("AuthorisationInput", "TokenInput", "TariffInput", "TariffId", "CdrInput", "CdrKey", "CdrDecline"),
    }
)


def without_uploads(operation: OperationDefinitionNode, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the variables as graphql-core may see them: an empty list for each uploaded one."""
    if operation.operation is not OperationType.MUTATION:
        return variables
    uploads = {
        definition.variable.name.value
        for definition in operation.variable_definitions or ()
        if _is_upload(definition.type) and variables.get(definition.variable.name.value) is not None
    }
    return {name: [] if name in uploads else value for name, value in variables.items()} if uploads else variables


def uploaded(info: Info, argument: str) -> list[Any]:
    """Return the items of an uploaded list as plain JSON values; none where it is absent or null.

    Raises: TooManyItems.
    """
    raw = raw_info(info)
    node = next((a.value for a in raw.field_nodes[0].arguments or () if a.name.value == argument), None)
    if node is None:
        return []
    sent = info.context.raw_variables
    if isinstance(node, VariableNode) and node.name.value not in sent:
        definitions = raw.operation.variable_definitions or ()
        node = next(d.default_value for d in definitions if d.variable.name.value == node.name.value)
    value: Any = None if node is None else value_from_ast_untyped(node, sent)
    if value is None:
        return []
    items = cast(list[Any], value) if isinstance(value, list) else [value]
    if len(items) > MOST_ITEMS:
        raise TooManyItems(
            f"{argument} has {len(items):,} items; possible: {MOST_ITEMS:,} in one call",
            "send the rest in other calls, or a whole list in parts",
        )
    return items


def _is_upload(type_: TypeNode) -> bool:
    if isinstance(type_, NonNullTypeNode):
        type_ = type_.type
    if not isinstance(type_, ListTypeNode):
        return False
    item = type_.type
    name = item.type if isinstance(item, NonNullTypeNode) else item
    return getattr(getattr(name, "name", None), "value", None) in UPLOADED
