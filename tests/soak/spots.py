"""A PSO in the mixed soak: parking spots, asked for with its own key, that operators link and let go all the time.

A spot that is linked and not published waits for its PSO, at the EVSE that links it. The rows of PSOs lie away from
those of EVSEs, so none that waits is in a PSO's row; where spots are asked for by id it is left out.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.soak.published import (
    MOST_IN_LIST,
    NEAREST,
    REPORT,
    Documents,
    EitherOf,
    Hoarding,
    Published,
    Publisher,
    Question,
    Report,
    Row,
    latitude_of,
    separated,
)

#: Of every so many spots the first is never taken: it has no status.
PARKED_FREELY = 10
#: So many unknown spots get statuses, too.
UNKNOWN = 5

NODE = "parkingId number status"
DOCUMENTS = Documents(
    near=f"""query Near($near: NearInput!) {{
        found: parkingSpots(within: {{near: $near}}, first: {NEAREST}) {{ nodes {{ {NODE} }} }} }}""",
    box=f"""query Box($bounds: BoundsInput!) {{
        found: parkingSpots(within: {{bounds: $bounds}}, first: 500) {{ nodes {{ {NODE} }} }} }}""",
    list=f"""query List($bounds: BoundsInput!, $partyId: PartyId!, $first: Int!) {{
        found: parkingSpots(within: {{bounds: $bounds}}, psoIds: [$partyId], first: $first) {{
            nodes {{ {NODE} }} }} }}""",
    one=f"query One($id: ParkingId!) {{ found: parkingSpot(parkingId: $id) {{ {NODE} }} }}",
    changes=f"""query Changes($bounds: BoundsInput!, $cursor: Cursor) {{
        changes(within: {{bounds: $bounds}}, kinds: [PARKING_SPOT, PARKING_STATUS], cursor: $cursor) {{
            cursor hasMore changes {{ action id now: parkingSpot {{ {NODE} }} }} }} }}""",
    set=f"""mutation Set($partyId: PartyId!, $items: [ParkingSpotInput!]!, $part: ListPart) {{
        report: setParkingSpotList(
            psoId: $partyId, parkingSpots: $items, part: $part, confirmRemovals: true) {REPORT} }}""",
    update=f"""mutation Update($items: [ParkingSpotInput!]!) {{
        report: updateParkingSpotList(parkingSpots: $items) {REPORT} }}""",
    remove=f"mutation Remove($ids: [ParkingId!]!) {{ report: removeParkingSpots(parkingIds: $ids) {REPORT} }}",
    push=f"mutation Push($items: [ParkingStatusInput!]!) {{ report: updateStatus(parkingSpots: $items) {REPORT} }}",
)
NAMED = f"""query Named($ids: [ParkingId!]) {{
    found: parkingSpots(parkingIds: $ids, first: {MOST_IN_LIST}) {{ nodes {{ {NODE} }} }} }}"""
STATUSES = ("AVAILABLE", "NOT_AVAILABLE", "UNKNOWN")


@dataclass(kw_only=True)
class ParkingOperator(Publisher):
    """A PSO that knows what it published. `gone`: what it removed, as it was."""

    gone: dict[int, Published] = field(default_factory=dict[int, Published])

    noun = "spots"
    documents = DOCUMENTS
    nothing_known = "UNKNOWN"

    def id_of(self, number: int) -> str:
        return f"{separated(self.party_id)}*P{number:04}"

    def node(self, number: int, published: Published) -> Any:
        return {
            "parkingId": self.id_of(number),
            "number": painted(published.version),
            "status": published.status,
        }

    def item(self, number: int, version: int, bad: bool) -> Any:
        """Describe a spot; a bad one is on no floor that there is."""
        return {
            "parkingId": self.id_of(number),
            "position": {"latitude": latitude_of(number), "longitude": self.longitude},
            "floorLevel": "basement" if bad else "-1",
            "number": painted(version),
        }

    def status_item(self, number: int, status: Any) -> Any:
        return {"parkingId": self.id_of(number), "status": status}

    def own(self) -> Mapping[str, Any]:
        return {"partyId": self.party_id, "bounds": self.bounds(0, self.most)}

    # ------------------------------------------------------------ what happens on its spots

    def numbers_to_push(self) -> Sequence[int]:
        """Return spots of which it is certain whether they are there: one that is not published may be linked."""
        taken = [number for number in self.state.row if number % PARKED_FREELY]
        return [*taken, *range(self.most, self.most + UNKNOWN)]

    def statuses_to_push(self, number: int) -> Sequence[Any]:
        """Return statuses that are surely new where the stored one is not certain: the report counts them."""
        published = self.state.row.get(number)
        if published is None or not isinstance(published.status, EitherOf):
            return STATUSES
        return [status for status in STATUSES if status != published.status]

    def first_status(self, number: int) -> Any:
        """Return the status of a new spot; of one that comes back, its previous one if an EVSE always linked it."""
        if number not in self.gone:
            return self.nothing_known
        status = self.gone[number].status
        return status if isinstance(status, EitherOf) else EitherOf((self.nothing_known, status))

    async def write(
        self, client: httpx.AsyncClient, kind: str, document: str, variables: Any, after: Row, report: Report
    ) -> None:
        self.gone |= {number: each for number, each in self.state.row.items() if number not in after}
        await super().write(client, kind, document, variables, after, report)

    # ------------------------------------------------------------ what is asked about it

    def questions(self) -> Sequence[Callable[[random.Random], Question]]:
        return (*super().questions(), self.named_question)

    def one_question(self, chance: random.Random) -> Question:
        one = super().one_question(chance)
        return Question(one.document, one.variables, one.answer, without_a_waiting_one)

    def named_question(self, chance: random.Random) -> Question:
        """Return the question for some by their ids."""
        numbers = sorted(chance.sample(range(self.most), k=chance.randint(1, MOST_IN_LIST)))
        return Question(
            NAMED,
            {"ids": [self.id_of(number) for number in numbers]},
            lambda row: self.nodes(row, [number for number in numbers if number in row]),
            without_waiting_ones,
        )


class HoardingParkingOperator(Hoarding, ParkingOperator):
    """The broken twin of a PSO."""


def painted(version: int) -> str:
    """Return the number of a spot in five characters; a number repeats only long after it was replaced."""
    return f"{version % 0x100000:X}"


def waits(spot: Any) -> bool:
    """Return whether a spot is known only by its links."""
    return spot["number"] is None


def without_a_waiting_one(told: Any) -> Any:
    return {"found": None} if told["found"] is not None and waits(told["found"]) else told


def without_waiting_ones(told: Any) -> Any:
    return {"found": {"nodes": [spot for spot in told["found"]["nodes"] if not waits(spot)]}}
