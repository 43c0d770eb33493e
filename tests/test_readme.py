"""The README names every setting, command and code, and what it quotes is valid."""

import importlib
import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import click
import pytest
from graphql import parse, validate

import app
import schema as schema_room
from app.cli import main
from app.errors import HubError
from app.ingest.checks import RefusalCode
from app.settings import Settings, variable_of
from schema.build import schema

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def codes() -> set[str]:
    for room in (app, schema_room):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    errors = importlib.import_module("schema.errors")
    named = {errors.PARSE_FAILED, errors.VALIDATION_FAILED, errors.BAD_INPUT, errors.INTERNAL, errors.TIMEOUT}
    pending, found = [HubError], set[str]()
    while pending:
        error = pending.pop()
        found.add(error.code)
        pending += error.__subclasses__()
    return found | named | {code.value for code in RefusalCode}


def commands(group: click.Group, name: str) -> list[str]:
    context = click.Context(group)
    found: list[str] = []
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        found += commands(command, f"{name} {child}") if isinstance(command, click.Group) else [f"{name} {child}"]
    return found


@pytest.mark.parametrize("code", sorted(codes()))
def test_explains_every_code(code: str):
    assert f"`{code}`" in README


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_explains_every_setting(name: str):
    assert f"`{variable_of(name)}`" in README


def test_names_every_command():
    for command in commands(main, "ochub"):
        _, group, *rest = command.split()
        quoted = re.findall(rf"`ochub {group}\b([^`]*)`", README)
        assert any(all(word in row for word in rest) for row in quoted), command


def test_quotes_valid_documents():
    documents = re.findall(r"```graphql\n(.*?)```", README, re.S)
    assert len(documents) >= 2
    for document in documents:
        assert validate(schema._schema, parse(document)) == []


def test_knows_no_code_that_is_gone():
    tables = re.findall(r"^\| (`[A-Z_`, ]+`) \|", README.split("## Errors")[1], re.M)
    named = set(re.findall(r"`([A-Z_]+)`", " ".join(tables)))
    assert named <= codes(), named - codes()
