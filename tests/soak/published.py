"""A party that publishes, knows what it published, and holds the hub to that: what operators and PSOs have in common.

What a party describes lies in a row to the north, a step apart, in the order of its ids. So what is near, or in a box,
can be said without geometry.
"""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from time import monotonic
from typing import Any, ClassVar, NamedTuple

import httpx

from tests.soak.hub import ask, told_memory

#: Between neighbours in a row: degrees of latitude, and metres.
STEP, STEP_M = 0.001, 111.195
SOUTH = 48.0
#: Who is asked for near a place lies at most so many steps away; places lie a quarter of a step beside a neighbour.
REACH = 400.5
NEAREST = 50
MOST_IN_BOX = 300
MOST_IN_LIST = 500
PART = 700
SETTLE_S = 60.0

REPORT = "{ accepted unchanged removed refused { index } }"


class Wrong(AssertionError):
    """The hub answers something else than what was published."""


@dataclass
class Figures:
    """What happened: printed, and looked at by the test. `writes`: by their kind."""

    writes: dict[str, int] = field(default_factory=dict[str, int])
    questions: int = 0
    changes: int = 0
    memory: list[int] = field(default_factory=list[int])

    def __str__(self) -> str:
        writes = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.writes.items()))
        return (
            f"{writes}; {self.questions:,} questions, {self.changes:,} changes, all as published; "
            f"{told_memory(self.memory)}"
        )


@dataclass(frozen=True, slots=True)
class EitherOf:
    """What may be one or another: equal to whatever equals one of them."""

    possible: Sequence[Any]

    def __eq__(self, other: object) -> bool:
        return other is self or other in self.possible


@dataclass(frozen=True, slots=True)
class Published:
    """An EVSE or a spot as its party last described it: a version of its record, and its status as the API shows it."""

    version: int
    status: Any


#: EVSEs or spots by their numbers.
Row = Mapping[int, Published]
#: What became of an upload.
Report = Mapping[str, Any]


@dataclass
class State:
    """What a party has published, linked with what it did after that."""

    row: Row
    later: "State | None" = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a party, and what its answer must be, given what was published.

    `held`: what of the answer is held to that.
    """

    document: str
    variables: Mapping[str, Any]
    answer: Callable[[Row], Any]
    held: Callable[[Any], Any] = lambda told: told


class Documents(NamedTuple):
    """What a party sends, in the words of its kind; the variables and the names in the answers are everybody's."""

    near: str
    box: str
    list: str
    one: str
    changes: str
    set: str
    update: str
    remove: str
    push: str


@dataclass(kw_only=True)
class Publisher(ABC):
    """A party that knows what it published. `state`: what is in force for sure; what is under way stands behind.

    `most`: how many EVSEs or spots it can have; it writes for `seconds`, so often. `reading_key`: who may see them.
    """

    party_id: str
    longitude: float
    key: str
    reading_key: str | None
    most: int
    seconds: float
    writes_per_s: float
    chance: random.Random
    figures: Figures
    state: State = field(default_factory=lambda: State({}))
    versions: Iterator[int] = field(default_factory=count)
    held: dict[str, Any] = field(default_factory=dict[str, Any])
    cursor: str | None = None

    #: What it publishes, and how many changes of a whole list the hub writes in one transaction.
    noun: ClassVar[str]
    documents: ClassVar[Documents]
    nothing_known: ClassVar[Any]

    # ------------------------------------------------------------ how it is written

    @abstractmethod
    def id_of(self, number: int) -> str: ...

    @abstractmethod
    def node(self, number: int, published: Published) -> Any: ...

    @abstractmethod
    def item(self, number: int, version: int, bad: bool) -> Any: ...

    @abstractmethod
    def status_item(self, number: int, status: Any) -> Any: ...

    @abstractmethod
    def own(self) -> Mapping[str, Any]:
        """Return the variables that select its own items and no other party's."""

    def nodes(self, row: Row, numbers: Iterable[int]) -> Any:
        return {"found": {"nodes": [self.node(number, row[number]) for number in numbers]}}

    # ------------------------------------------------------------ what it does

    async def work(self, client: httpx.AsyncClient) -> None:
        """Publish in each way, then at random until the time is over; hold everything to what was published."""
        until = monotonic() + self.seconds
        await self.follow(client)
        does = (self.set_list, self.change_list, self.push_some, self.update_some, self.remove_some)
        for do in (*does, self.set_list):
            await do(client)
        while monotonic() < until:
            [do] = self.chance.choices((*does, self.require_followed), weights=(1, 1, 12, 4, 1, 1))
            await do(client)
            await asyncio.sleep(1 / self.writes_per_s)
        for question in (self.list_question(MOST_IN_LIST), *(self.some_question(self.chance) for _ in range(20))):
            await self.require_true(client, question)
        await self.require_followed(client)

    async def set_list(self, client: httpx.AsyncClient) -> None:
        """Publish a whole list, another one altogether."""
        share = self.chance.uniform(0.4, 0.9)
        await self.publish_list(
            client, {n: next(self.versions) for n in range(self.most) if self.chance.random() < share}
        )

    async def change_list(self, client: httpx.AsyncClient) -> None:
        """Publish a whole list that is little else than what stands."""
        row = self.state.row
        gone = self.chance.sample(sorted(row), k=min(len(row) // 2, 10))
        staying = {number: row[number].version for number in row if number not in gone}
        await self.publish_list(client, staying | self.some_versions())

    async def publish_list(self, client: httpx.AsyncClient, versions: Mapping[int, int]) -> None:
        """Publish a whole list; a long one in parts."""
        bad = self.some_bad(versions)
        after = self.after_list(versions, bad)
        numbers = sorted(versions)
        *early, last = [numbers[start : start + PART] for start in range(0, len(numbers), PART)]
        list_id = f"list {next(self.versions)}"
        for number, part in enumerate(early, start=1):
            waiting = {"accepted": sum(n not in bad for n in part), "unchanged": 0, "removed": 0}
            of_list = {"listId": list_id, "number": number, "last": False}
            await self.send(
                client, self.documents.set, self.part_of(part, versions, bad, of_list), waiting | refused(part, bad)
            )
        of_list = {"listId": list_id, "number": len(early) + 1, "last": True} if early else None
        of_all = [each for part in (last, *early) for each in refused(part, bad)["refused"]]
        whole = expected_report(self.state.row, after, numbers, bad) | {"refused": of_all}
        await self.write(client, "lists", self.documents.set, self.part_of(last, versions, bad, of_list), after, whole)

    def part_of(self, numbers: Sequence[int], versions: Mapping[int, int], bad: Collection[int], part: Any) -> Any:
        items = [self.item(number, versions[number], number in bad) for number in numbers]
        return {"partyId": self.party_id, "items": items, "part": part}

    async def update_some(self, client: httpx.AsyncClient) -> None:
        versions = self.some_versions()
        bad = self.some_bad(versions)
        after = {**self.state.row, **self.described(versions, bad)}
        report = expected_report(self.state.row, after, versions, bad)
        items = [self.item(number, version, number in bad) for number, version in versions.items()]
        await self.write(client, "updates", self.documents.update, {"items": items}, after, report)

    async def remove_some(self, client: httpx.AsyncClient) -> None:
        gone = self.chance.sample(sorted(self.state.row), k=min(len(self.state.row) // 2, 5))
        after = {number: published for number, published in self.state.row.items() if number not in gone}
        report = {"accepted": 0, "unchanged": 0, "removed": len(gone), "refused": []}
        ids = [self.id_of(number) for number in gone]
        await self.write(client, "removals", self.documents.remove, {"ids": ids}, after, report)

    async def push_some(self, client: httpx.AsyncClient) -> None:
        """Publish statuses, also of items that do not exist."""
        row = self.state.row
        numbers = self.numbers_to_push()
        said = {
            number: self.chance.choice(self.statuses_to_push(number))
            for number in self.chance.sample(numbers, k=min(self.chance.randint(1, 50), len(numbers)))
        }
        items = [self.status_item(number, status) for number, status in said.items()]
        heard = {n: replace(row[n], status=status) for n, status in said.items() if n in row}
        absent = {number for number in said if number not in row}
        after = {**row, **heard}
        report = expected_report(row, after, said, absent)
        await self.write(client, "statuses", self.documents.push, {"items": items}, after, report)

    async def write(
        self, client: httpx.AsyncClient, kind: str, document: str, variables: Any, after: Row, report: Report
    ) -> None:
        """Write what leads to `after`; readers may see it from now on, and must when the answer is there."""
        self.state.later = State(after)
        await self.send(client, document, variables, report)
        self.state = self.state.later
        kind = f"{kind} of {self.noun}"
        self.figures.writes[kind] = self.figures.writes.get(kind, 0) + 1

    async def send(self, client: httpx.AsyncClient, document: str, variables: Any, report: Report) -> None:
        told = (await ask(client, document, variables, self.key))["report"]
        if told != report:
            raise Wrong(f"{document.split('(')[0]} of {self.noun}: {told} instead of {report}")

    # ------------------------------------------------------------ what that makes of what there was

    def some_versions(self) -> dict[int, int]:
        """Describe some, new ones among them, some as they were."""
        numbers = self.chance.sample(range(self.most), k=self.chance.randint(1, 20))
        row = self.state.row
        return {
            number: row[number].version if number in row and self.chance.random() < 0.3 else next(self.versions)
            for number in numbers
        }

    def some_bad(self, versions: Mapping[int, int]) -> Collection[int]:
        """Choose items that are sent with a flaw."""
        return set(self.chance.sample(sorted(versions), k=min(2, len(versions)))) if self.chance.random() < 0.3 else ()

    def described(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        """Return the records after an upload that names these; a refused item keeps its previous record."""
        row = self.state.row
        good = {
            number: replace(row[number], version=version)
            if number in row
            else Published(version, self.first_status(number))
            for number, version in versions.items()
            if number not in bad
        }
        return good | {number: row[number] for number in bad if number in row}

    def after_list(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        """Return the records after a whole list: those it names."""
        return self.described(versions, bad)

    def first_status(self, number: int) -> Any:
        """Return the status of an item that did not exist before."""
        return self.nothing_known

    @abstractmethod
    def numbers_to_push(self) -> Sequence[int]:
        """Return the items whose status it may publish."""

    @abstractmethod
    def statuses_to_push(self, number: int) -> Sequence[Any]:
        """Return the statuses that it may publish."""

    # ------------------------------------------------------------ what is asked about it

    def questions(self) -> Sequence[Callable[[random.Random], Question]]:
        return self.near_question, self.box_question, self.one_question, self.some_list_question

    def some_question(self, chance: random.Random) -> Question:
        return chance.choice(self.questions())(chance)

    def near_question(self, chance: random.Random) -> Question:
        """Return the question for the nearest to a place in the row."""
        place = chance.randrange(self.most) + 0.25
        near = {"latitude": latitude_of(place), "longitude": self.longitude, "radiusM": REACH * STEP_M}

        def answer(row: Row) -> Any:
            around = [number for number in row if abs(number - place) < REACH]
            return self.nodes(row, sorted(around, key=lambda number: abs(number - place))[:NEAREST])

        return Question(self.documents.near, {"near": near}, answer)

    def box_question(self, chance: random.Random) -> Question:
        first = chance.randrange(self.most)
        end = first + chance.randint(1, MOST_IN_BOX)
        return Question(
            self.documents.box,
            {"bounds": self.bounds(first, end)},
            lambda row: self.nodes(row, [n for n in range(first, end) if n in row]),
        )

    def bounds(self, first: int, end: int) -> Mapping[str, float]:
        return {
            "minimumLatitude": latitude_of(first - 0.5),
            "maximumLatitude": latitude_of(end - 0.5),
            "minimumLongitude": self.longitude - 0.01,
            "maximumLongitude": self.longitude + 0.01,
        }

    def one_question(self, chance: random.Random) -> Question:
        number = chance.randrange(self.most)
        return Question(
            self.documents.one,
            {"id": self.id_of(number)},
            lambda row: {"found": self.node(number, row[number]) if number in row else None},
        )

    def some_list_question(self, chance: random.Random) -> Question:
        return self.list_question(chance.randint(1, MOST_IN_LIST))

    def list_question(self, first: int) -> Question:
        return Question(
            self.documents.list, {**self.own(), "first": first}, lambda row: self.nodes(row, sorted(row)[:first])
        )

    async def require_true(self, client: httpx.AsyncClient, question: Question) -> None:
        """Query, and compare the answer with everything that was published meanwhile. Raises: Wrong."""
        state = self.state
        told = question.held(await ask(client, question.document, question.variables, self.reading_key))
        while told != (expected := question.answer(state.row)):
            if state.later is None:
                variables = json.dumps(question.variables)
                raise Wrong(f"{self.noun}, {variables}: {str(told)[:400]} instead of {str(expected)[:400]}")
            state = state.later
        self.figures.questions += 1

    # ------------------------------------------------------------ its changes

    async def follow(self, client: httpx.AsyncClient) -> None:
        """Take the changes since it was last asked; the first time, begin with the next."""
        while True:
            variables = {**self.own(), "cursor": self.cursor}
            page = (await ask(client, self.documents.changes, variables, self.reading_key))["changes"]
            for change in page["changes"]:
                if change["action"] == "REMOVED":
                    self.held.pop(change["id"], None)
                else:
                    self.held[change["id"]] = change["now"]
            self.figures.changes += len(page["changes"])
            self.cursor = page["cursor"]
            if not page["hasMore"]:
                return

    async def require_followed(self, client: httpx.AsyncClient) -> None:
        """Hold to what was published what its changes lead to, once they are complete. Raises: Wrong."""
        expected = {self.id_of(number): self.node(number, each) for number, each in self.state.row.items()}
        until = monotonic() + SETTLE_S
        while True:
            await self.follow(client)
            if self.held == expected:
                return
            if monotonic() > until:
                ids = self.held.keys() | expected.keys()
                differing = sorted(id_ for id_ in ids if self.held.get(id_) != expected.get(id_))
                raise Wrong(f"changes: {len(differing)} of {len(expected)} {self.noun} differ: {differing[:5]}")
            await asyncio.sleep(0.1)


class Hoarding(Publisher):
    """The broken twin: it believes that what a whole list does not name is still there, and reads no reports."""

    def after_list(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        return {**self.state.row, **self.described(versions, bad)}

    async def send(self, client: httpx.AsyncClient, document: str, variables: Any, report: Report) -> None:
        await ask(client, document, variables, self.key)


def separated(party_id: str) -> str:
    return f"{party_id[:2]}*{party_id[2:]}"


def latitude_of(number: float) -> float:
    return round(SOUTH + number * STEP, 6)


def expected_report(before: Row, after: Row, named: Iterable[int], bad: Collection[int]) -> dict[str, Any]:
    """Return the expected report of an upload that named these, in this order."""
    good = [number for number in named if number not in bad]
    changed = sum(before.get(number) != after[number] for number in good)
    return {
        "accepted": changed,
        "unchanged": len(good) - changed,
        "removed": len(before.keys() - after.keys()),
        **refused(named, bad),
    }


def refused(named: Iterable[int], bad: Collection[int]) -> dict[str, Any]:
    return {"refused": [{"index": index} for index, number in enumerate(named) if number in bad]}
