"""The pages name every setting, variable, command, code and metric, and their generated parts are up to date."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from graphql import parse, validate

from app import metrics
from app.errors import HubError
from app.guides.generate import OTHER_CODES, commands, hub_errors, updated
from app.guides.pages import PAGES, ROOT, Page
from app.settings import Settings, variable_of
from app.uploads.checks import RefusalCode
from schema.build import schema

TEXTS = {page.path: (ROOT / page.path).read_text("utf-8") for page in PAGES}
ALL = "\n".join(TEXTS.values())
GUIDES = "app/guides"
PACKAGES = ("app", "schema")
#: Close codes that the library of WebSockets sends.
OF_THE_LIBRARY = {1009, 1011}
A_CLOSE_CODE = re.compile(r"44\d\d|10[01]\d")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug or "readme")
def test_has_up_to_date_generated_parts(page: Page) -> None:
    text = TEXTS[page.path]
    assert updated(text) == text, "run `python -m app.guides.generate`"


def codes() -> set[str]:
    errors = import_module("schema.errors")
    named = {errors.PARSE_FAILED, errors.VALIDATION_FAILED, errors.BAD_INPUT, errors.INTERNAL}
    return named | set(OTHER_CODES) | {error.code for error in hub_errors()} | {code.value for code in RefusalCode}


@pytest.mark.parametrize("code", sorted(codes()))
def test_explains_every_code(code: str) -> None:
    rows = re.findall(rf"^\| `{code}` \| +(\S[^|]+)\|", TEXTS[f"{GUIDES}/errors.md"], re.M)
    assert rows, code
    assert all(row.strip().endswith(".") for row in rows), rows


def test_knows_no_code_that_does_not_exist() -> None:
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", TEXTS[f"{GUIDES}/errors.md"], re.M))
    assert named == codes()


def sources(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from (ROOT / package).rglob("*.py")


def close_codes() -> set[int]:
    """Return every integer constant of the modules that looks like a close code."""
    assignments = (
        node.value
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assign | ast.AnnAssign)
    )
    numbers = (value.value for value in assignments if isinstance(value, ast.Constant) and type(value.value) is int)
    return {number for number in numbers if A_CLOSE_CODE.fullmatch(str(number))} - {1000}


def test_explains_every_close_code() -> None:
    section = TEXTS[f"{GUIDES}/errors.md"].split("## Close codes")[1]
    explained = {int(code) for code in re.findall(r"^\| (\d{4}) \|", section, re.M)}
    assert len(close_codes()) > 5
    assert explained == close_codes() | OF_THE_LIBRARY


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_explains_every_setting(name: str) -> None:
    assert f"| `{variable_of(name)}` |" in TEXTS[f"{GUIDES}/configuration.md"]


def test_explains_every_environment_variable() -> None:
    read = set[str]()
    for path in (*sources(*PACKAGES), ROOT / "setup"):
        text = path.read_text("utf-8")
        read |= set(re.findall(r"\bOCHUB_[A-Z_]*[A-Z]\b", text))
        read |= set(re.findall(r"\"(\w+)\" not in os\.environ", text))
    unexplained = {name for name in read if f"| `{name}` |" not in TEXTS[f"{GUIDES}/configuration.md"]}
    assert not unexplained


def test_names_no_variable_that_does_not_exist() -> None:
    known = {variable_of(field.name) for field in fields(Settings)} | {"OCHUB_WORKERS", "OCHUB_SETUP_SERVERS"}
    assert set(re.findall(r"\bOCHUB_[A-Z_]*[A-Z]\b", ALL)) <= known


@pytest.mark.parametrize("name", [command.name for command in commands()])
def test_explains_every_command(name: str) -> None:
    assert re.search(rf"^## {name}\b", TEXTS[f"{GUIDES}/commands.md"], re.M)


def test_names_no_command_that_does_not_exist() -> None:
    known = {command.name for command in commands()}
    groups = {name.rsplit(" ", 1)[0] for name in known if name.count(" ") == 2}
    for words in re.findall(r"(?:`|bin/)ochub ([a-z]+(?: [a-z]+)?)\b", ALL):
        assert {f"ochub {words}", f"ochub {words.split()[0]}"} & (known | groups), words


def test_explains_every_metric_and_names_no_other() -> None:
    collected = list(metrics.REGISTRY.collect())
    known = {f"{each.name}_total" if each.type == "counter" else each.name for each in collected}
    text = TEXTS[f"{GUIDES}/operating.md"]
    assert {name for name in known if f"| `{name}` |" not in text} == set()
    assert set(re.findall(r"`(ochub_[a-z_]+)`", ALL)) - {"ochub_runtime"} == known


PATHS = sorted(
    {
        found
        for text in TEXTS.values()
        for found in re.findall(r"`((?:app|schema|tests|migrations|geo)/[\w./-]+)`", text)
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_names_files_that_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_names_the_files_that_a_stored_field_touches() -> None:
    [entry] = [
        each
        for each in TEXTS[f"{GUIDES}/architecture.md"].split("\n- ")
        if each.startswith("**A stored field of an EVSE**")
    ]
    named = set(re.findall(r"`([\w./]+/[\w.]+)`", entry))
    files = (path for package in ("app", "schema", "migrations") for path in (ROOT / package).rglob("*"))
    code = (path for path in files if path.suffix in (".py", ".sql") and "demo" not in path.name)
    touched = {
        path.relative_to(ROOT).as_posix() for path in code if "max_reservation_minutes" in path.read_text("utf-8")
    }
    assert touched == named
    assert len(named) <= 5


def test_quotes_valid_documents() -> None:
    documents = re.findall(r"```graphql\n(.*?)```", ALL, re.S)
    assert len(documents) >= 8
    for document in documents:
        assert validate(schema._schema, parse(document)) == []


def test_leaves_out_errors_that_are_not_the_products():
    class Elsewhere(HubError):
        """Defined by a test, as some are in the same process."""

        code = "NOT_POSSIBLE"

    assert Elsewhere not in hub_errors()
