"""CDRs of two operators and two providers do what a plain model of them does, whatever comes in which order."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from app.exchange.actor import CONSOLE
from app.exchange.cdrs.workflow import CDR_WORKFLOW
from app.exchange.workflow import find_tampered
from app.vocabulary import CdrStatus, CdrUploadStatus
from tests.exchange.cdrs.world import EVSE, FOREIGN_EVSE, NOON, World, costing, outcome
from tests.exchange.world import Member, look
from tests.length import rounds

#: From the reference, not from the code: (before, command, after).
TRANSITIONS: Final = {
    ("ACCEPTED", "approve"): "APPROVED",
    ("REVISED", "approve"): "APPROVED",
    ("ACCEPTED", "decline"): "DECLINED",
    ("REVISED", "decline"): "DECLINED",
    ("ACCEPTED", "revise"): "REVISED",
    ("DECLINED", "revise"): "REVISED",
    ("DECLINED", "reject"): "REJECTED",
}
OUTCOMES: Final = {"approve": "APPROVED", "decline": "DECLINED"}

#: An operator, a provider, and an id; those that do not begin with the operator's party id need the EVSE.
CDRS: Final = tuple(
    (operator, provider, f"{prefix}{number}")
    for operator, party in enumerate(("DE8AC", "DE8AD"))
    for provider in (0, 1)
    for number, prefix in enumerate((party, party, f"OLD{party}"), provider * 3)
)
EVSES: Final = (EVSE, FOREIGN_EVSE)

#: What an operator says: an hour, and what it costs in cents.
Content = tuple[int, int]


@dataclass
class Row:
    """`contents`: of all revisions. `history`: the commands that changed it."""

    operator: int
    provider: int
    contents: list[Content]
    status: str = "ACCEPTED"
    history: list[str] = field(default_factory=lambda: ["upload"])

    @property
    def total(self) -> Decimal:
        return Decimal(self.contents[-1][1]) / 100


class Model:
    """CDRs as plain values, with the rules of the reference. Commands return what becomes of them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def is_occupied(self, id_: str, operator: int, hour: int) -> bool:
        return any(
            row.operator == operator and row.contents[-1][0] == hour and self.blocks(row)
            for other, row in self.rows.items()
            if other != id_
        )

    def blocks(self, row: Row) -> bool:
        return row.status != "REJECTED"

    def after(self, row: Row, command: str) -> str | None:
        return TRANSITIONS.get((row.status, command))

    def move(self, row: Row, command: str) -> str:
        after = self.after(row, command)
        if after is None:
            return "refused"
        row.status = after
        row.history.append(command)
        return "accepted"

    def upload(self, cdr: tuple[int, int, str], by: int, status: str, content: Content) -> str:
        operator, provider, id_ = cdr
        row = self.rows.get(id_)
        if by != operator or (row is None and status != "NEW"):
            return "refused"
        if row is None:
            if self.is_occupied(id_, operator, content[0]):
                return "refused"
            self.rows[id_] = Row(operator, provider, [content])
            return "accepted"
        if self.is_repeated(row, status, content):
            return "unchanged"
        if status == "NEW":
            return "refused"
        if status == "REJECTED":
            return "refused" if content != row.contents[-1] else self.move(row, "reject")
        if self.is_occupied(id_, operator, content[0]):
            return "refused"
        result = self.move(row, "revise")
        if result == "accepted":
            row.contents.append(content)
        return result

    def is_repeated(self, row: Row, status: str, content: Content) -> bool:
        if status == "NEW":
            return content == row.contents[0]
        if status == "REVISED":
            return content in row.contents[1:]
        return row.status == "REJECTED" and content == row.contents[-1]

    def confirm(self, id_: str, by: int, command: str) -> str:
        row = self.rows.get(id_)
        if row is None or row.provider != by:
            return "refused"
        return "unchanged" if row.status == OUTCOMES[command] else self.move(row, command)


class Forgiving(Model):
    """Believes that what was revised may be revised again."""

    def after(self, row: Row, command: str) -> str | None:
        return "REVISED" if (row.status, command) == ("REVISED", "revise") else super().after(row, command)


class Lax(Model):
    """Believes that a declined CDR gives up its time."""

    def blocks(self, row: Row) -> bool:
        return row.status not in ("REJECTED", "DECLINED")


class Forgetful(Model):
    """Believes that only the present revision is compared."""

    def is_repeated(self, row: Row, status: str, content: Content) -> bool:
        return super().is_repeated(row, status, content) and content == row.contents[-1]


@dataclass
class Drive:
    """The hub and the model beside each other."""

    world: World
    model: Model
    dice: random.Random
    seen: dict[Any, Any] = field(default_factory=dict)

    @property
    def operators(self) -> tuple[Member, Member]:
        return self.world.operator, self.world.second_operator

    async def run(self, steps: int) -> None:
        for step in range(steps):
            await self.step()
            await self.reconcile()
            if step % 25 == 24:
                await self.compare()
        await self.compare()

    async def step(self) -> None:
        if self.dice.random() < 0.6:
            await self.upload()
        else:
            await self.confirm()

    async def upload(self) -> None:
        cdr = operator, provider, id_ = self.dice.choice(CDRS)
        row = self.model.rows.get(id_)
        status = self.dice.choice(["NEW", "REVISED", "REVISED", "REJECTED"]) if row else "NEW"
        content = self.dice.randrange(8), self.dice.randrange(1, 1_000)
        if row is not None and self.dice.random() < 0.5:
            content = self.dice.choice([row.contents[-1], *row.contents])
        by = self.dice.choices([operator, 1 - operator], [19, 1])[0]
        start = NOON + timedelta(hours=content[0])
        cost = format(Decimal(content[1]) / 100, ".2f")
        item = costing(cost, cdr_id=id_, evse=EVSES[operator], by=provider, start=start, status=status)
        report = await self.world.add(item, by=self.operators[by])
        assert outcome(report) == self.model.upload(cdr, by, status, content), report

    async def confirm(self) -> None:
        operator, provider, id_ = self.dice.choice(CDRS)
        by = self.dice.choices([provider, 1 - provider], [19, 1])[0]
        command = self.dice.choice(["approve", "decline"])
        named = {"cdrId": id_, "evseId": EVSES[operator] if id_.startswith("OLD") else None}
        lists = ([named], []) if command == "approve" else ([], [named])
        report = await self.world.confirm(*lists, by=self.world.providers[by])
        assert outcome(report) == self.model.confirm(id_, by, command), report

    async def reconcile(self) -> None:
        """Compare the sums of each role and of the administrator, and add up what was uploaded."""
        sums: dict[Any, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
        for row in self.model.rows.values():
            pair = ("DE8AC", "DE8AD")[row.operator], ("DE8AA", "FRA1B")[row.provider]
            count, total = sums[*pair, "EUR", row.status]
            sums[*pair, "EUR", row.status] = count + 1, total + row.total
        for member in (*self.operators, *self.world.providers):
            expected = {key: value for key, value in sums.items() if member.caller.party_id in key[:2]}
            assert await self.world.totals(member.caller) == expected
        everything = await self.world.totals(CONSOLE)
        assert everything == sums
        assert sum(count for count, _ in everything.values()) == len(self.model.rows)
        assert sum(total for _, total in everything.values()) == sum(row.total for row in self.model.rows.values())

    async def compare(self) -> None:
        """Compare all that is stored. The history has the transitions that were made and no other; its chains hold."""
        rows = await self.world.rows()
        assert rows.keys() == self.model.rows.keys()
        history = await look(self.world.database, "select * from workflow_history where subject = 'cdr' order by no")
        steps: dict[str, list[Any]] = defaultdict(list)
        for each in history:
            steps[each["subject_id"]].append(each)
        assert len(steps) == len(rows)
        for id_, row in self.model.rows.items():
            stood = rows[id_]
            assert (stood["status"], stood["revision"], stood["total"]) == (row.status, len(row.contents), row.total)
            assert stood["started_at"] == NOON + timedelta(hours=row.contents[-1][0])
            made = steps[str(stood["id"])]
            assert [each["command"] for each in made] == row.history
            assert [each["from_state"] for each in made] == [None, *(each["to_state"] for each in made[:-1])]
            assert made[-1]["to_state"] == row.status
            assert all(TRANSITIONS[each["from_state"], each["command"]] == each["to_state"] for each in made[1:])
        occupied = await look(self.world.database, "select cdr_key from cdr_occupancy")
        assert {each["cdr_key"] for each in occupied} == {
            each["id"] for each in rows.values() if each["status"] != "REJECTED"
        }
        written = {(each["first_partner_id"], each["second_partner_id"], each["no"]): each for each in history}
        assert self.seen.items() <= written.items()
        self.seen = written
        assert await find_tampered(self.world.database, CONSOLE) == ()


async def test_cdrs_behave_like_the_model(world: World, seed: int):
    await Drive(world, Model(), random.Random(seed)).run(rounds(150, full=5_000))


@pytest.mark.parametrize(("twin", "dice"), [(Forgiving, 141), (Lax, 36), (Forgetful, 112)])
async def test_would_notice_a_model_that_believes_something_else(world: World, twin: type[Model], dice: int):
    """Each with dice that soon lead to what it believes."""
    with pytest.raises(AssertionError):
        await Drive(world, twin(), random.Random(dice)).run(600)


def test_lists_the_transitions_of_the_reference_and_no_other():
    listed = {(each.before, each.command): each.after for each in CDR_WORKFLOW.transitions}
    assert listed == {**TRANSITIONS, (None, "upload"): "ACCEPTED"}


#: How a CDR comes into each state.
PATHS: Final = {
    CdrStatus.ACCEPTED: (),
    CdrStatus.DECLINED: ("decline",),
    CdrStatus.REVISED: ("decline", "revise"),
    CdrStatus.APPROVED: ("approve",),
    CdrStatus.REJECTED: ("decline", "reject"),
}
SENT_AS: Final = {"revise": CdrUploadStatus.REVISED, "reject": CdrUploadStatus.REJECTED, "upload": CdrUploadStatus.NEW}


async def command_on(world: World, command: str, number: int, hour: int) -> str:
    """Run a command as the side whose it is; uploads other than waivers bring content `number`."""
    cdr_id = f"DE8AC{hour}"
    if command in OUTCOMES:
        return outcome(await (world.approve(cdr_id) if command == "approve" else world.decline(cdr_id)))
    if command == "reject":
        number = (await world.rows()).get(cdr_id, {"revision": 1})["revision"]
    start = NOON + timedelta(hours=hour)
    return outcome(await world.add(costing(f"{number}.00", cdr_id=cdr_id, start=start, status=SENT_AS[command])))


async def test_refuses_every_transition_that_is_not_listed(world: World):
    pairs = [(state, command) for state in (None, *PATHS) for command in (*SENT_AS, *OUTCOMES)]
    for hour, (state, command) in enumerate(pairs):
        cdr_id = f"DE8AC{hour}"
        if state is not None:
            for number, each in enumerate(("upload", *PATHS[state]), 1):
                assert await command_on(world, each, 2 if each == "revise" else number, hour) == "accepted"
        before = (await world.rows()).get(cdr_id), await world.history(cdr_id)
        is_listed = (state, command) == (None, "upload") or (state and (state.value, command) in TRANSITIONS)
        is_repeated = (OUTCOMES | {"reject": "REJECTED"}).get(command) == state and state is not None
        expected = "accepted" if is_listed else "unchanged" if is_repeated else "refused"
        assert await command_on(world, command, 7, hour) == expected, (state, command)
        after = (await world.rows()).get(cdr_id), await world.history(cdr_id)
        assert (after == before) == (not is_listed), (state, command)
