"""What a new transition and a new private entity touch, as the guide and `app.exchange.workflow` state it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.exchange import workflow
from app.exchange.actor import write_as
from app.exchange.workflow import Move, Transition, advance
from tests.exchange.private_entity.tables import Status
from tests.exchange.private_entity.workflow import PROVIDER, WORKFLOW, Command, move_reservations, request_reservations
from tests.exchange.private_entity.world import install, make_sides
from tests.exchange.world import utc_now

ROOT = Path(__file__).parents[3]

#: The folder of an entity, without what only tests need.
FOLDER = {"tables.py", "reservation.sql", "workflow.py", "reading.py", "feed.py", "subscription.py"}

#: The files outside the folder that get a line, each with a line of the same kind that is there.
LINES = {
    "app/db/tables/__init__.py": '"workflow_history",',
    "app/db/migrate.py": '"workflow",',
    "app/visibility/rules.py": 'workflow_history.name: of_two_roles("first_role_id", "second_role_id"),',
    "app/vocabulary.py": 'PARKING_SPOT = "PARKING_SPOT"',
    "schema/private_entities.py": '"sessionChanges": SESSION,',
    "schema/query.py": "async def contracts(",
    "schema/subscription.py": "FEEDS: Final = (EVSES, SPOTS, ",
}


def paths_in(text: str) -> Sequence[str]:
    return re.findall(r"`((?:app|schema)/[\w/]+\.py)`", text)


def test_names_the_files_that_a_private_entity_touches():
    folder = Path(__file__).parent
    assert {path.name for path in folder.iterdir()} >= FOLDER
    assert set(re.findall(r"`(\w+\.\w+)` \|", (folder / "README.md").read_text(encoding="utf-8"))) == FOLDER
    assert paths_in(workflow.__doc__ or "") == list(LINES)
    for path, line in LINES.items():
        assert line in (ROOT / path).read_text(encoding="utf-8"), path


def test_names_the_same_files_in_the_guide():
    guide = (ROOT / "app/guides/architecture.md").read_text(encoding="utf-8")
    [entry] = [entry for entry in guide.split("\n- ") if entry.startswith("**A private entity**")]
    assert paths_in(entry) == list(LINES)


async def test_takes_one_row_of_the_table_for_a_new_transition(database, database_url):
    await install(database_url)
    sides = await make_sides(database)
    caller = sides.provider.caller
    [id_] = await request_reservations(database, caller, sides.operator.caller.role_id, ["DE8ACE1"], utc_now())
    await move_reservations(database, sides.operator.caller, [Move(id_, Command.DECLINE)], utc_now())
    again = Transition(Status.DECLINED, "request again", Status.REQUESTED, (PROVIDER,))
    longer = replace(WORKFLOW, transitions=(*WORKFLOW.transitions, again))
    move = [Move(id_, "request again")]
    advanced = await write_as(database, caller, lambda c: advance(c, longer, move, caller, utc_now()))
    assert [moved.after for moved in advanced.moved] == [Status.REQUESTED]
