"""An operator in the mixed soak: EVSEs, open to everybody, that link parking spots of PSOs."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.soak.published import (
    NEAREST,
    REPORT,
    Documents,
    Hoarding,
    Published,
    Publisher,
    Question,
    latitude_of,
    separated,
)
from tests.soak.spots import PARKED_FREELY, ParkingOperator

NODE = "evseId telephoneNumber status { major minor } parkingSpots { spot { parkingId } }"
DOCUMENTS = Documents(
    near=f"""query Near($near: NearInput!, $availableNow: Boolean) {{
        found: evses(within: {{near: $near}}, filter: {{availableNow: $availableNow}}, first: {NEAREST}) {{
            nodes {{ {NODE} }} }} }}""",
    box=f"""query Box($bounds: BoundsInput!) {{
        found: evses(within: {{bounds: $bounds}}, first: 500) {{ nodes {{ {NODE} }} }} }}""",
    list=f"""query List($partyId: PartyId!, $first: Int!) {{
        found: evses(filter: {{operatorIds: [$partyId]}}, first: $first) {{ nodes {{ {NODE} }} }} }}""",
    one=f"query One($id: EvseId!) {{ found: evse(evseId: $id) {{ {NODE} }} }}",
    changes=f"""query Changes($partyId: PartyId!, $cursor: Cursor) {{
        changes(filter: {{operatorIds: [$partyId]}}, kinds: [EVSE, EVSE_STATUS], cursor: $cursor) {{
            cursor hasMore changes {{ action id now: evse {{ {NODE} }} }} }} }}""",
    set=f"""mutation Set($partyId: PartyId!, $items: [ChargePointInput!]!, $part: ListPart) {{
        report: setChargePointList(
            operatorId: $partyId, chargePoints: $items, part: $part, confirmRemovals: true) {REPORT} }}""",
    update=f"""mutation Update($items: [ChargePointInput!]!) {{
        report: updateChargePointList(chargePoints: $items) {REPORT} }}""",
    remove=f"mutation Remove($ids: [EvseId!]!) {{ report: removeChargePoints(evseIds: $ids) {REPORT} }}",
    push=f"mutation Push($items: [EvseStatusInput!]!) {{ report: updateStatus(evses: $items) {REPORT} }}",
)
NOTHING_KNOWN = {"major": "UNKNOWN", "minor": None}
STATUSES = (
    {"major": "AVAILABLE", "minor": None},
    {"major": "NOT_AVAILABLE", "minor": "CHARGING"},
    {"major": "NOT_AVAILABLE", "minor": "OUT_OF_ORDER"},
)


@dataclass(kw_only=True)
class Operator(Publisher):
    """An operator that knows what it published. `psos`: whose spots its EVSEs link."""

    psos: Sequence[ParkingOperator]

    noun = "EVSEs"
    documents = DOCUMENTS
    nothing_known = NOTHING_KNOWN

    def id_of(self, number: int) -> str:
        return f"{separated(self.party_id)}*E{number:04}"

    def node(self, number: int, published: Published) -> Any:
        return {
            "evseId": self.id_of(number),
            "telephoneNumber": telephone_number(published.version),
            "status": published.status,
            "parkingSpots": [{"spot": {"parkingId": id_}} for id_ in self.links(published.version)],
        }

    def item(self, number: int, version: int, bad: bool) -> Any:
        """Describe an EVSE; a bad one has no connector."""
        return {
            "evseId": self.id_of(number),
            "locationId": f"L{number}",
            "locationName": f"Place {number}",
            "locationNameLanguage": "DEU",
            "address": {"address": "Am Ring", "city": "Ulm", "zipCode": "89073", "country": "DEU"},
            "position": {"latitude": latitude_of(number), "longitude": self.longitude},
            "locationType": "ON_STREET",
            "openingTimes": {"twentyfourseven": True},
            "telephoneNumber": telephone_number(version),
            "parkingSpots": [{"parkingId": id_} for id_ in self.links(version)],
            "authMethods": ["PUBLIC"],
            "connectors": [] if bad else [{"standard": "IEC_62196_T2", "format": "SOCKET"}],
            "chargePointType": "AC",
        }

    def links(self, version: int) -> Sequence[str]:
        """Return the spots of a version: none, or two of a PSO, one of them never taken, so that no EVSE is blocked."""
        if version % 3 == 0:
            return ()
        pso = self.psos[version % len(self.psos)]
        free = version * PARKED_FREELY % pso.most
        return pso.id_of(free), pso.id_of(free + 1 + version % (PARKED_FREELY - 1))

    def status_item(self, number: int, status: Any) -> Any:
        return {"evseId": self.id_of(number), **status}

    def own(self) -> Mapping[str, Any]:
        return {"partyId": self.party_id}

    def numbers_to_push(self) -> Sequence[int]:
        return range(self.most)

    def statuses_to_push(self, number: int) -> Sequence[Any]:
        return STATUSES

    def questions(self) -> Sequence[Callable[[random.Random], Question]]:
        return (*super().questions(), self.available_question)

    def available_question(self, chance: random.Random) -> Question:
        """Return the question for the nearest that are available now."""
        near = self.near_question(chance)
        return replace(
            near,
            variables={**near.variables, "availableNow": True},
            answer=lambda row: near.answer({n: each for n, each in row.items() if each.status["major"] == "AVAILABLE"}),
        )


class HoardingOperator(Hoarding, Operator):
    """The broken twin of an operator."""


def telephone_number(version: int) -> str:
    return f"+49731{version:07}"
