"""Query cases: every folder here is one. To add one add a folder with a `query.graphql`; see README.md beside this."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth import shown_prefix
from tests.hub import AROUND_PRIVATE, Hub
from tests.world import World

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/query.graphql"))

PRIVATE = "-- row-level security knows who is asking"


@dataclass(frozen=True)
class Case:
    """A question, who asks it, and how many statements it may cost: one per root field, none where none is needed."""

    folder: Path
    query: str
    variables: Any
    caller: str | None
    operation: str | None
    statements: int


def read_case(folder: Path) -> Case:
    query = (folder / "query.graphql").read_text()
    notes = dict(re.findall(r"^# (as|operation|statements) (\S+)$", query, re.MULTILINE))
    variables = folder / "variables.json"
    return Case(
        folder,
        query,
        opaque(json.loads(variables.read_text())) if variables.exists() else None,
        notes.get("as"),
        notes.get("operation"),
        int(notes.get("statements", "1")),
    )


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_answers_with_the_statements_and_the_answer_on_file(folder: Path, hub: Hub, world: World) -> None:
    case = read_case(folder)

    def ask() -> httpx.Response:
        return hub.post(case.query, case.variables, world.authorization(case.caller), operationName=case.operation)

    ask()  # fields that the executor answers at the same time are read in their order once no statement is new
    with hub.recording() as recorded:
        response = ask()
    statements = joined(recorded)
    assert len(statements) == case.statements, statements
    sql = "\n\n".join(statements) + "\n" if statements else "-- nothing is read\n"
    answer = json.dumps(readable(response.json(), world), indent=2, ensure_ascii=False) + "\n"
    written = [compare(folder / "statement.sql", sql), compare(folder / "answer.json", answer)]
    assert written == [False, False], "written what was missing; please check it and run again"


def compare(path: Path, found: str) -> bool:
    """Compare `found` with the file; write the file if there is none, and return whether it was written."""
    if path.exists():
        assert found == path.read_text(), f"{path} says otherwise; if that is wrong remove the file and run again"
        return False
    path.write_text(found)
    return True


def joined(recorded: list[str]) -> list[str]:
    """Return the statements, with a note instead of those around a private read."""
    statements: list[str] = []
    around: list[str] = []
    for statement in recorded:
        if statement in AROUND_PRIVATE:
            around.append(statement)
            continue
        private = tuple(around) == AROUND_PRIVATE[:2]
        text = "\n".join(line.rstrip() for line in statement.splitlines())
        statements.append(f"{PRIVATE}\n{text};" if private else f"{text};")
        around = []
    assert len(around) in (0, 1), "a transaction without a read"
    return statements


# ---------------------------------------------------------------- cursors and secrets


def readable(value: Any, world: World) -> Any:
    """Show cursors as what is in them, metres rounded to millimetres, and the secrets of this run by their owners."""
    if isinstance(value, dict):
        return {key: readable(each, world) for key, each in value.items()}
    if isinstance(value, list):
        return [readable(each, world) for each in value]
    if isinstance(value, float):
        return round(value, 6)
    if not isinstance(value, str):
        return value
    for caller, secret in world.secrets.items():
        value = value.replace(shown_prefix(secret), f"<prefix of {caller}>")
    return opened(value)


def opened(text: str) -> str:
    try:
        order, *place = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError):
        return text
    rounded = [round(each, 3) if isinstance(each, float) else each for each in place]
    return f"cursor {json.dumps([order, *rounded], ensure_ascii=False)}"


def opaque(value: Any) -> Any:
    """Make cursors, in variables, of what `readable` shows."""
    if isinstance(value, dict):
        return {key: opaque(each) for key, each in value.items()}
    if isinstance(value, str) and value.startswith("cursor "):
        return urlsafe_b64encode(value.removeprefix("cursor ").encode()).decode().rstrip("=")
    return value
