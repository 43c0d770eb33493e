"""Everything at once for a long time: whole lists, single updates, statuses, and questions about all of it.

Operators write through the hub's API, each knowing what it has published. Others ask, meanwhile, and each answer must
be the whole truth about an instant while they waited: what an operator published before, or after, never a mixture.
Each operator's changes, polled by cursor, must lead to what it published. The memory of the hub must level off.

An operator's EVSEs lie in a row to the north, a step apart, in the order of their ids. So who is near, or in a box, can
be said without geometry.
"""

import asyncio
import json
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from time import monotonic
from typing import Any

import httpx

from tests.soak.hub import ask, connecting, ochub, running, serving, told_memory, watch_memory

#: Between neighbours in a row: degrees of latitude, and metres.
STEP, STEP_M = 0.001, 111.195
SOUTH, WEST = 48.0, 2.0
#: Who is asked for near a place lies at most so many steps away; places lie a quarter of a step beside an EVSE.
REACH = 400.5
NEAREST = 50
MOST_IN_BOX = 300
PART = 700
SETTLE_S = 60.0

NODE = "evseId telephoneNumber status { major minor }"
NEAR = f"""query Near($near: NearInput!, $availableNow: Boolean) {{
    evses(within: {{near: $near}}, filter: {{availableNow: $availableNow}}, first: {NEAREST}) {{
        nodes {{ {NODE} }} }} }}"""
BOX = f"query Box($bounds: BoundsInput!) {{ evses(within: {{bounds: $bounds}}, first: 500) {{ nodes {{ {NODE} }} }} }}"
LIST = f"""query List($operatorId: PartyId!, $first: Int!) {{
    evses(filter: {{operatorIds: [$operatorId]}}, first: $first) {{ nodes {{ {NODE} }} }} }}"""
ONE = f"query One($evseId: EvseId!) {{ evse(evseId: $evseId) {{ {NODE} }} }}"
CHANGES = f"""query Changes($operatorId: PartyId!, $cursor: Cursor) {{
    changes(filter: {{operatorIds: [$operatorId]}}, kinds: [EVSE, EVSE_STATUS], cursor: $cursor) {{
        cursor hasMore changes {{ action id evse {{ {NODE} }} }} }} }}"""
REPORT = "{ accepted unchanged removed refused { index } }"
SET = f"""mutation Set($operatorId: PartyId!, $chargePoints: [ChargePointInput!]!, $part: ListPart) {{
    report: setChargePointList(
        operatorId: $operatorId, chargePoints: $chargePoints, part: $part, confirmRemovals: true) {REPORT} }}"""
UPDATE = f"""mutation Update($chargePoints: [ChargePointInput!]!) {{
    report: updateChargePointList(chargePoints: $chargePoints) {REPORT} }}"""
REMOVE = f"mutation Remove($evseIds: [EvseId!]!) {{ report: removeChargePoints(evseIds: $evseIds) {REPORT} }}"
PUSH = f"mutation Push($evses: [EvseStatusInput!]!) {{ report: updateStatus(evses: $evses) {REPORT} }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long, how many, how often. `evses`: the most that an operator has."""

    seconds: float
    operators: int
    evses: int
    askers: int
    workers: int = 2
    writes_per_s: float = 5
    questions_per_s: float = 10


SMALL = Size(seconds=6, operators=2, evses=900, askers=3, workers=1)
FULL = Size(seconds=600, operators=6, evses=2_000, askers=8)


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


# ---------------------------------------------------------------- what is published

Status = tuple[str, str | None]
UNKNOWN: Status = ("UNKNOWN", None)
STATUSES: Sequence[Status] = (("AVAILABLE", None), ("NOT_AVAILABLE", "CHARGING"), ("NOT_AVAILABLE", "OUT_OF_ORDER"))


@dataclass(frozen=True, slots=True)
class Published:
    """An EVSE as its operator last described it: a version of its record, and its status."""

    version: int
    status: Status = UNKNOWN


#: EVSEs by their numbers.
Row = Mapping[int, Published]
#: What became of an upload.
Report = Mapping[str, Any]


@dataclass
class State:
    """What an operator has published, and what it did after that: whoever holds the one finds the other."""

    row: Row
    later: "State | None" = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an operator, and what its answer must be, given what was published."""

    document: str
    variables: Mapping[str, Any]
    answer: Callable[[Row], Any]


@dataclass
class Operator:
    """An operator that knows what it published. `state`: what is in force for sure; what is under way stands behind."""

    party_id: str
    longitude: float
    key: str
    size: Size
    chance: random.Random
    figures: Figures
    state: State = field(default_factory=lambda: State({}))
    versions: Iterator[int] = field(default_factory=count)
    held: dict[str, Any] = field(default_factory=dict[str, Any])
    cursor: str | None = None

    # ------------------------------------------------------------ how it is written

    def evse_id(self, number: int) -> str:
        return f"{self.party_id[:2]}*{self.party_id[2:]}*E{number:04}"

    def node(self, number: int, published: Published) -> Any:
        major, minor = published.status
        return {
            "evseId": self.evse_id(number),
            "telephoneNumber": telephone_number(published.version),
            "status": {"major": major, "minor": minor},
        }

    def nodes(self, row: Row, numbers: Iterable[int]) -> Any:
        return {"evses": {"nodes": [self.node(number, row[number]) for number in numbers]}}

    def charge_point(self, number: int, version: int, bad: bool) -> Any:
        return {
            "evseId": self.evse_id(number),
            "locationId": f"L{number}",
            "locationName": f"Place {number}",
            "locationNameLanguage": "DEU",
            "address": {"address": "Am Ring", "city": "Ulm", "zipCode": "89073", "country": "DEU"},
            "position": {"latitude": latitude_of(number), "longitude": self.longitude},
            "locationType": "ON_STREET",
            "openingTimes": {"twentyfourseven": True},
            "telephoneNumber": telephone_number(version),
            "authMethods": ["PUBLIC"],
            "connectors": [] if bad else [{"standard": "IEC_62196_T2", "format": "SOCKET"}],
            "chargePointType": "AC",
        }

    # ------------------------------------------------------------ what it does

    async def work(self, client: httpx.AsyncClient) -> None:
        """Publish in each way, then at random until the time is over; hold everything to what was published."""
        until = monotonic() + self.size.seconds
        await self.follow(client)
        for do in (self.set_list, self.push_some, self.update_some, self.remove_some, self.set_list):
            await do(client)
        does = (self.set_list, self.update_some, self.remove_some, self.push_some, self.require_followed)
        while monotonic() < until:
            [do] = self.chance.choices(does, weights=(2, 4, 1, 12, 1))
            await do(client)
            await asyncio.sleep(1 / self.size.writes_per_s)
        for question in (self.list_question(500), *(self.some_question(self.chance) for _ in range(20))):
            await require_true(client, self, question)
        await self.require_followed(client)

    async def set_list(self, client: httpx.AsyncClient) -> None:
        """Publish a whole list: little else than before, or another one altogether; long ones in parts."""
        versions = self.a_few_others() if self.state.row and self.chance.random() < 0.5 else self.all_others()
        bad = self.some_bad(versions)
        after = self.after_list(versions, bad)
        numbers = sorted(versions)
        *early, last = [numbers[start : start + PART] for start in range(0, len(numbers), PART)]
        list_id = f"list {next(self.versions)}"
        for number, part in enumerate(early, start=1):
            waiting = {"accepted": sum(n not in bad for n in part), "unchanged": 0, "removed": 0}
            of_list = {"listId": list_id, "number": number, "last": False}
            await self.send(client, SET, self.part_of(part, versions, bad, of_list), waiting | refused(part, bad))
        of_list = {"listId": list_id, "number": len(early) + 1, "last": True} if early else None
        whole = expected_report(self.state.row, after, numbers, bad) | refused(last, bad)
        await self.write(client, SET, self.part_of(last, versions, bad, of_list), after, whole)

    def all_others(self) -> dict[int, int]:
        share = self.chance.uniform(0.4, 0.9)
        return {n: next(self.versions) for n in range(self.size.evses) if self.chance.random() < share}

    def a_few_others(self) -> dict[int, int]:
        row = self.state.row
        gone = self.chance.sample(sorted(row), k=min(len(row) // 2, 10))
        return {n: row[n].version for n in row if n not in gone} | self.some_versions()

    def part_of(self, numbers: Sequence[int], versions: Mapping[int, int], bad: Collection[int], part: Any) -> Any:
        items = [self.charge_point(number, versions[number], number in bad) for number in numbers]
        return {"operatorId": self.party_id, "chargePoints": items, "part": part}

    async def update_some(self, client: httpx.AsyncClient) -> None:
        versions = self.some_versions()
        bad = self.some_bad(versions)
        after = {**self.state.row, **self.described(versions, bad)}
        report = expected_report(self.state.row, after, versions, bad)
        items = [self.charge_point(number, version, number in bad) for number, version in versions.items()]
        await self.write(client, UPDATE, {"chargePoints": items}, after, report)

    async def remove_some(self, client: httpx.AsyncClient) -> None:
        gone = self.chance.sample(sorted(self.state.row), k=min(len(self.state.row) // 2, 5))
        after = {number: published for number, published in self.state.row.items() if number not in gone}
        report = {"accepted": 0, "unchanged": 0, "removed": len(gone), "refused": []}
        await self.write(client, REMOVE, {"evseIds": [self.evse_id(number) for number in gone]}, after, report)

    async def push_some(self, client: httpx.AsyncClient) -> None:
        """Say what happens now, also of EVSEs that are not there."""
        row = self.state.row
        said = {
            number: self.chance.choice(STATUSES)
            for number in self.chance.sample(range(self.size.evses), k=self.chance.randint(1, 50))
        }
        items = [
            {"evseId": self.evse_id(number), "major": major, "minor": minor} for number, (major, minor) in said.items()
        ]
        heard = {n: replace(row[n], status=status) for n, status in said.items() if n in row}
        absent = {number for number in said if number not in row}
        after = {**row, **heard}
        await self.write(client, PUSH, {"evses": items}, after, expected_report(row, after, said, absent))

    async def write(self, client: httpx.AsyncClient, document: str, variables: Any, after: Row, report: Report) -> None:
        """Write what leads to `after`; readers may see it from now on, and must when the answer is there."""
        self.state.later = State(after)
        await self.send(client, document, variables, report)
        self.state = self.state.later
        kind = document.split("(")[0].removeprefix("mutation ").lower()
        self.figures.writes[kind] = self.figures.writes.get(kind, 0) + 1

    async def send(self, client: httpx.AsyncClient, document: str, variables: Any, report: Report) -> None:
        told = (await ask(client, document, variables, self.key))["report"]
        if told != report:
            raise Wrong(f"{document.split('(')[0]}: {told} instead of {report}")

    # ------------------------------------------------------------ what that makes of what there was

    def some_versions(self) -> dict[int, int]:
        """Describe some EVSEs, new ones among them, some as they were."""
        numbers = self.chance.sample(range(self.size.evses), k=self.chance.randint(1, 20))
        row = self.state.row
        return {
            number: row[number].version if number in row and self.chance.random() < 0.3 else next(self.versions)
            for number in numbers
        }

    def some_bad(self, versions: Mapping[int, int]) -> Collection[int]:
        """Choose items that have no connector."""
        return set(self.chance.sample(sorted(versions), k=min(2, len(versions)))) if self.chance.random() < 0.3 else ()

    def described(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        """Give what becomes of the EVSEs that an upload names; a refused item keeps its previous record."""
        row = self.state.row
        good = {
            number: replace(row.get(number, Published(version)), version=version)
            for number, version in versions.items()
            if number not in bad
        }
        return good | {number: row[number] for number in bad if number in row}

    def after_list(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        """Give what is there after a whole list: what it names."""
        return self.described(versions, bad)

    def of_operator(self, **variables: Any) -> Any:
        return {"operatorId": self.party_id, **variables}

    # ------------------------------------------------------------ what is asked about it

    def some_question(self, chance: random.Random) -> Question:
        return chance.choice((self.near_question, self.box_question, self.one_question, self.some_list_question))(
            chance
        )

    def near_question(self, chance: random.Random) -> Question:
        """Ask for the nearest to a place in the row; a third time for those that are available now."""
        place = chance.randrange(self.size.evses) + 0.25
        only_available = chance.random() < 1 / 3
        near = {"latitude": latitude_of(place), "longitude": self.longitude, "radiusM": REACH * STEP_M}

        def answer(row: Row) -> Any:
            passing = [
                number
                for number, published in row.items()
                if abs(number - place) < REACH and (not only_available or published.status[0] == "AVAILABLE")
            ]
            return self.nodes(row, sorted(passing, key=lambda number: abs(number - place))[:NEAREST])

        return Question(NEAR, {"near": near, "availableNow": only_available}, answer)

    def box_question(self, chance: random.Random) -> Question:
        first = chance.randrange(self.size.evses)
        end = first + chance.randint(1, MOST_IN_BOX)
        bounds = {
            "minimumLatitude": latitude_of(first - 0.5),
            "maximumLatitude": latitude_of(end - 0.5),
            "minimumLongitude": self.longitude - 0.01,
            "maximumLongitude": self.longitude + 0.01,
        }
        return Question(
            BOX, {"bounds": bounds}, lambda row: self.nodes(row, [n for n in range(first, end) if n in row])
        )

    def one_question(self, chance: random.Random) -> Question:
        number = chance.randrange(self.size.evses)
        return Question(
            ONE,
            {"evseId": self.evse_id(number)},
            lambda row: {"evse": self.node(number, row[number]) if number in row else None},
        )

    def some_list_question(self, chance: random.Random) -> Question:
        return self.list_question(chance.randint(1, 500))

    def list_question(self, first: int) -> Question:
        return Question(LIST, self.of_operator(first=first), lambda row: self.nodes(row, sorted(row)[:first]))

    # ------------------------------------------------------------ its changes

    async def follow(self, client: httpx.AsyncClient) -> None:
        """Take the changes since it was last asked; the first time, begin with the next."""
        while True:
            page = (await ask(client, CHANGES, self.of_operator(cursor=self.cursor)))["changes"]
            for change in page["changes"]:
                if change["action"] == "REMOVED":
                    self.held.pop(change["id"], None)
                else:
                    self.held[change["id"]] = change["evse"]
            self.figures.changes += len(page["changes"])
            self.cursor = page["cursor"]
            if not page["hasMore"]:
                return

    async def require_followed(self, client: httpx.AsyncClient) -> None:
        """Hold to what was published what its changes lead to, once they are complete. Raises: Wrong."""
        expected = {self.evse_id(number): self.node(number, each) for number, each in self.state.row.items()}
        until = monotonic() + SETTLE_S
        while True:
            await self.follow(client)
            if self.held == expected:
                return
            if monotonic() > until:
                ids = self.held.keys() | expected.keys()
                differing = sorted(id_ for id_ in ids if self.held.get(id_) != expected.get(id_))
                raise Wrong(f"changes: {len(differing)} of {len(expected)} differ: {differing[:5]}")
            await asyncio.sleep(0.1)


class Hoarding(Operator):
    """The broken twin: it believes that what a whole list does not name is still there, and reads no reports."""

    def after_list(self, versions: Mapping[int, int], bad: Collection[int]) -> Row:
        return {**self.state.row, **self.described(versions, bad)}

    async def send(self, client: httpx.AsyncClient, document: str, variables: Any, report: Report) -> None:
        await ask(client, document, variables, self.key)


def latitude_of(number: float) -> float:
    return round(SOUTH + number * STEP, 6)


def telephone_number(version: int) -> str:
    return f"+49731{version:07}"


def expected_report(before: Row, after: Row, named: Iterable[int], bad: Collection[int]) -> dict[str, Any]:
    """Give the account of an upload that named these, in this order."""
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


# ---------------------------------------------------------------- who asks


async def require_true(client: httpx.AsyncClient, operator: Operator, question: Question) -> None:
    """Ask, and hold the answer to everything that was published while it was under way. Raises: Wrong."""
    state: State | None = operator.state
    told = await ask(client, question.document, question.variables)
    while state is not None:
        if told == question.answer(state.row):
            operator.figures.questions += 1
            return
        last, state = state, state.later
    expected = question.answer(last.row)  # pyright: ignore[reportPossiblyUnboundVariable]: there is a state
    raise Wrong(f"{json.dumps(question.variables)}: {json.dumps(told)[:400]} instead of {json.dumps(expected)[:400]}")


async def keep_asking(
    client: httpx.AsyncClient, operators: Sequence[Operator], size: Size, chance: random.Random
) -> None:
    until = monotonic() + size.seconds
    while monotonic() < until:
        operator = chance.choice(operators)
        await require_true(client, operator, operator.some_question(chance))
        await asyncio.sleep(1 / size.questions_per_s)


# ---------------------------------------------------------------- the whole


def enrol(dsn: str, number: int, size: Size, seed: int, figures: Figures, kind: type[Operator]) -> Operator:
    """Add a partner that is an operator, open to everybody."""
    party_id = f"DES{number:02}"
    added = json.loads(
        ochub(dsn, "partner", "add", party_id, "--role", f"EVSE_OPERATOR:{party_id}", "--open", "--json")
    )
    return kind(party_id, WEST + number, added["keys"][0]["secret"], size, random.Random(f"{seed} {number}"), figures)


async def soak(dsn: str, size: Size, seed: int, kind: type[Operator] = Operator) -> Figures:
    """Let it run; `dsn` is an empty database. Raises: Wrong."""
    figures = Figures()
    ochub(dsn, "migrate")
    operators = [enrol(dsn, number, size, seed, figures, kind) for number in range(size.operators)]
    with serving(dsn, size.workers) as (address, hub):
        async with connecting(address) as client, running(watch_memory(hub.pid, figures.memory)):
            askers = [random.Random(f"{seed} asker {number}") for number in range(size.askers)]
            await asyncio.gather(
                *(operator.work(client) for operator in operators),
                *(keep_asking(client, operators, size, asker) for asker in askers),
            )
    return figures
