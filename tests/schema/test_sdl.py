"""The printed SDL is what the schema says, and everything in it is described."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    parse,
    print_ast,
)

from schema.build import SDL, printed, schema

CORE: GraphQLSchema = schema._schema
PLANNED = Path(__file__).parents[3] / "shared" / "design" / "api.graphql"


def test_is_committed_as_it_is():
    assert SDL.read_text(encoding="utf-8") == printed(), "run: python -m schema.build"


def undescribed() -> list[str]:
    missing: list[str] = []
    for name, type_ in CORE.type_map.items():
        if name.startswith("__") or name in ("String", "Int", "Float", "Boolean", "ID"):
            continue
        if not type_.description:
            missing.append(name)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                if not field.description:
                    missing.append(f"{name}.{field_name}")
                for argument_name, argument in getattr(field, "args", {}).items():
                    if not argument.description:
                        missing.append(f"{name}.{field_name}({argument_name})")
    return missing


def test_describes_every_type_field_and_argument():
    assert undescribed() == []


def planned_types() -> dict[str, Any]:
    """Return the types of every field and argument of the plan, by Type.field and Type.field(argument)."""
    found: dict[str, Any] = {}
    definitions: tuple[Any, ...] = parse(PLANNED.read_text(encoding="utf-8")).definitions
    for definition in definitions:
        for field in getattr(definition, "fields", None) or ():
            name = f"{definition.name.value}.{field.name.value}"
            found[name] = print_ast(field.type)
            for argument in getattr(field, "arguments", None) or ():
                found[f"{name}({argument.name.value})"] = print_ast(argument.type)
    return found


def our_types() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, type_ in CORE.type_map.items():
        for field_name, field in getattr(type_, "fields", {}).items():
            found[f"{name}.{field_name}"] = str(field.type)
            for argument_name, argument in getattr(field, "args", {}).items():
                found[f"{name}.{field_name}({argument_name})"] = str(argument.type)
    return found


@pytest.mark.realdata
def test_keeps_the_names_and_types_of_the_plan():
    if not PLANNED.exists():
        pytest.skip("no ../shared/design/api.graphql here")
    planned, ours = planned_types(), our_types()
    common = planned.keys() & ours.keys()
    assert len(common) > 150
    assert {name: (ours[name], planned[name]) for name in common if ours[name] != planned[name]} == {}
