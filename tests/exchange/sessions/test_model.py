"""Sessions of two operators and two providers do what a plain model of them does, whatever comes in which order."""

import random
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest

from app.db.engine import Database
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.requests import request_authorisation
from app.exchange.contracts import set_contract
from app.exchange.sessions.commands import INSTANTS, Known, end_session, expire_sessions, update_session
from app.exchange.workflow import find_tampered
from app.ingest.status.updates import update_status
from app.records.status import EvseStatus
from app.records.token import Token
from app.vocabulary import MajorStatus, Role, SessionEnd, TokenType
from tests.exchange.authorisation.world import World, item, make_world, owner_of
from tests.exchange.world import Member, add_evse, look, utc_now
from tests.length import rounds

#: By operator; the first one's number is `1`, and `2` if it has a second.
EVSES: Final = (("DE8ACE1", "DE8ACE2"), ("DE8ADE1",))
PLACES: Final = tuple((operator, evse_id) for operator, ids in enumerate(EVSES) for evse_id in ids)
#: The tokens of the two providers.
TOKENS: Final = ("01", "02")
EXPIRY: Final = timedelta(minutes=60)
AHEAD: Final = timedelta(minutes=5)


@dataclass
class Row:
    """A session in the model. `history`: the commands that changed it."""

    operator: int
    provider: int
    authorised_at: datetime
    values: dict[str, Any]
    status: str = "ACTIVE"
    ended_by: str | None = None
    ended_at: datetime | None = None
    history: list[str] = field(default_factory=lambda: ["begin"])


class Model:
    """Sessions as plain values, with the rules of the reference. Commands return whether they are taken."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Row] = {}
        self.free: dict[str, bool] = {}

    def begin(self, id_: UUID, operator: int, provider: int, evse_id: str | None, now: datetime) -> None:
        self.rows[id_] = Row(operator, provider, now, {"evse_id": evse_id})

    def may_write(self, row: Row, operator: int | None) -> bool:
        return row.operator == operator

    def update(self, id_: UUID, by: int | None, given: dict[str, Any], now: datetime) -> bool:
        row = self.rows[id_]
        evse_id = given.get("evse_id")
        merged = row.values | given
        instants = [merged[name] for name in INSTANTS if merged.get(name) is not None]
        if (
            not self.may_write(row, by)
            or any(given[name] > now + AHEAD for name in INSTANTS if name in given)
            or (evse_id is not None and (evse_id not in EVSES[row.operator]))
            or (row.values["evse_id"] not in (None, merged["evse_id"]))
            or instants != sorted(instants)
        ):
            return False
        if merged != row.values:
            row.values = merged
            row.history.append("update")
        return True

    def end(self, id_: UUID, by: int | None, how: str, at: datetime | None, now: datetime) -> bool:
        row = self.rows[id_]
        if not self.may_write(row, by) or (at is not None and at > now + AHEAD):
            return False
        if row.status == "ENDED":
            return self.is_same_end(row, how, at)
        if at is not None and at < row.authorised_at:
            return False
        row.status, row.ended_by, row.ended_at = "ENDED", how, at or max(now, row.authorised_at)
        row.history.append("end")
        return True

    def is_same_end(self, row: Row, how: str, at: datetime | None) -> bool:
        return row.ended_by == how and at in (None, row.ended_at)

    def expire(self, now: datetime) -> None:
        for row in self.rows.values():
            if row.status == "ACTIVE" and row.authorised_at < now - EXPIRY:
                row.status, row.ended_by, row.ended_at = "EXPIRED", "EXPIRED", now
                row.history.append("expire")

    def contradictions(self, row: Row) -> set[str]:
        evse_id = row.values["evse_id"]
        if row.status != "ACTIVE" or evse_id is None:
            return set()
        active = Counter(each.values["evse_id"] for each in self.rows.values() if each.status == "ACTIVE")
        found = {"EVSE_AVAILABLE": self.free.get(evse_id, False), "SEVERAL_SESSIONS": active[evse_id] > 1}
        return {word for word, holds in found.items() if holds}


class EndsTwice(Model):
    """Believes that a session that ended may end in another way."""

    def is_same_end(self, row: Row, how: str, at: datetime | None) -> bool:
        return True


class Trusting(Model):
    """Believes that every operator may write every session."""

    def may_write(self, row: Row, operator: int | None) -> bool:
        return operator is not None


class Blind(Model):
    """Believes that sessions on one EVSE do not contradict each other."""

    def contradictions(self, row: Row) -> set[str]:
        return super().contradictions(row) - {"SEVERAL_SESSIONS"}


class Patient(Model):
    """Believes that sessions never expire."""

    def expire(self, now: datetime) -> None: ...


@dataclass
class Drive:
    """The hub and the model beside each other. `by`: the operator that sends a command, None for a provider."""

    world: World
    model: Model
    dice: random.Random
    now: datetime = field(default_factory=lambda: utc_now() - timedelta(hours=20))
    seen: dict[Any, Any] = field(default_factory=dict)

    @property
    def operators(self) -> tuple[Member, Member]:
        return (self.world.operator, self.world.stranger)

    async def run(self, steps: int) -> None:
        for step in range(steps):
            self.now += timedelta(seconds=20)
            await self.step()
            if step % 25 == 24:
                await self.compare()
        await self.compare()

    async def step(self) -> None:
        choices = {self.begin: 15, self.update: 45, self.end: 20, self.say: 16, self.expire: 4}
        [command] = self.dice.choices(list(choices), list(choices.values()))
        await (command if self.model.rows else self.begin)()

    async def begin(self) -> None:
        operator, provider = self.dice.randrange(2), self.dice.randrange(2)
        evse_id = self.dice.choice([*EVSES[operator], None])
        token = Token(instance=TOKENS[provider], type=TokenType.RFID)
        caller = self.operators[operator].caller
        answer_id = await request_authorisation(self.world.database, caller, token, evse_id, None, self.now)
        [row] = await look(self.world.database, "select session_id from authorisation_answer where id = $1", answer_id)
        self.model.begin(row["session_id"], operator, provider, evse_id, self.now)

    def sender(self, id_: UUID) -> tuple[int | None, Member]:
        """Return mostly the operator of a session, else another role."""
        row = self.model.rows[id_]
        by = self.dice.choices([row.operator, 1 - row.operator, None], [18, 1, 1])[0]
        return by, (self.world.provider, self.world.second)[row.provider] if by is None else self.operators[by]

    def instant(self) -> datetime:
        return self.now + timedelta(minutes=self.dice.randrange(-12, 8))

    async def update(self) -> None:
        id_ = self.dice.choice(list(self.model.rows))
        by, member = self.sender(id_)
        given: dict[str, Any] = {name: self.instant() for name in INSTANTS if self.dice.random() < 0.3}
        if self.dice.random() < 0.2:
            given = {name: value for name, value in self.model.rows[id_].values.items() if value is not None}
        if self.dice.random() < 0.3:
            given["energy_kwh"] = Decimal(self.dice.randrange(10_000)) / 100
        if self.dice.random() < 0.2:
            given["evse_id"] = self.dice.choice(PLACES)[1]
        sent = update_session(self.world.database, member.caller, id_, Known(**given), self.now)
        assert await is_taken(sent) == self.model.update(id_, by, given, self.now)

    async def end(self) -> None:
        id_ = self.dice.choice(list(self.model.rows))
        by, member = self.sender(id_)
        how = self.dice.choice([SessionEnd.AUTHORISED_STOP, SessionEnd.FORCED_DISCONNECT])
        at = self.dice.choice([None, self.instant(), self.model.rows[id_].ended_at])
        sent = end_session(self.world.database, member.caller, id_, how, at, self.now)
        assert await is_taken(sent) == self.model.end(id_, by, how, at, self.now)

    async def expire(self) -> None:
        await expire_sessions(self.world.database, self.now, EXPIRY)
        self.model.expire(self.now)

    async def say(self) -> None:
        operator, evse_id = self.dice.choice(PLACES)
        major, now = self.dice.choice(list(MajorStatus)), utc_now()
        status, owner = EvseStatus(evse_id, major, None, None, now), owner_of(self.operators[operator])
        await update_status(self.world.database, [status], [], owner, Role.EVSE_OPERATOR, now, timedelta(hours=1))
        self.model.free[evse_id] = major is MajorStatus.AVAILABLE

    async def compare(self) -> None:
        """Compare all that is stored. History only grows, and its chains hold."""
        rows = {row["id"]: row for row in await look(self.world.database, "select * from session")}
        history = await look(
            self.world.database, "select * from workflow_history where subject = 'session' order by no"
        )
        commands: dict[str, list[str]] = {}
        for each in history:
            commands.setdefault(each["subject_id"], []).append(each["command"])
        assert rows.keys() == self.model.rows.keys()
        for id_, row in self.model.rows.items():
            stood = rows[id_]
            assert {name: stood[name] for name in row.values} == row.values
            assert [stood[name] for name in ("status", "ended_by", "ended_at")] == [
                *(row.status, row.ended_by, row.ended_at)
            ]
            assert set(stood["contradictions"]) == self.model.contradictions(row)
            assert commands[str(id_)] == row.history
        written = {(each["first_partner_id"], each["second_partner_id"], each["no"]): each for each in history}
        assert self.seen.items() <= written.items()
        self.seen = written
        assert await find_tampered(self.world.database, CONSOLE) == ()


async def is_taken(command: Awaitable[object]) -> bool:
    try:
        await command
    except HubError:
        return False
    return True


@pytest.fixture
async def world(database: Database) -> World:
    world = await make_world(database)
    for provider, instance in ((world.provider, TOKENS[0]), (world.second, TOKENS[1])):
        await set_contract(database, CONSOLE, provider.party, world.stranger.party, utc_now())
        contract = f"{provider.caller.party_id}C00000001"
        await world.update(item(instance, contract), by=provider)
    for operator, evse_id in PLACES:
        await add_evse(database, ("DE8AC", "DE8AD")[operator], int(evse_id[-1]))
    return world


async def test_sessions_behave_like_the_model(world: World, seed: int):
    await Drive(world, Model(), random.Random(seed)).run(rounds(150, full=5_000))


@pytest.mark.parametrize("twin", [EndsTwice, Trusting, Blind, Patient])
async def test_would_notice_a_model_that_believes_something_else(world: World, twin: type[Model]):
    with pytest.raises(AssertionError):
        await Drive(world, twin(), random.Random(1)).run(600)
