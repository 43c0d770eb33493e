"""Everything at once for a long time: whole lists, single updates, statuses, and questions about all of it.

Operators and PSOs write through the hub's API, each knowing what it has published. Others ask, meanwhile, and each
answer must be the whole truth about an instant while they waited: what a party published before, or after, never a
mixture. Each party's changes, polled by cursor, must lead to what it published. The memory of the hub must level off.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from app.vocabulary import Role
from tests.soak.evses import Operator
from tests.soak.hub import connecting, migrated, running, secret_of_new, serving, watch_memory
from tests.soak.published import Figures, Publisher
from tests.soak.spots import ParkingOperator

#: A meridian: rows of EVSEs lie to the east of it and rows of spots to the west, a degree apart, which REACH is not.
BETWEEN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long, how many, how often. `evses`, `spots`: the most that an operator, and a PSO, has."""

    seconds: float
    operators: int
    evses: int
    psos: int
    spots: int
    askers: int
    workers: int = 2
    writes_per_s: float = 5
    questions_per_s: float = 10


SMALL = Size(seconds=3, operators=2, evses=600, psos=1, spots=1_000, askers=3, workers=1)
FULL = Size(seconds=600, operators=6, evses=2_000, psos=2, spots=4_000, askers=8)


@dataclass(frozen=True, slots=True)
class Cast:
    """Brings the parties together, each a partner of its own."""

    dsn: str
    size: Size
    seed: int
    figures: Figures

    async def pso(self, number: int, kind: type[ParkingOperator]) -> ParkingOperator:
        common = await self.enrol(Role.PSO, f"DEP{number:02}")
        return kind(most=self.size.spots, longitude=BETWEEN - 1 - number, reading_key=common["key"], **common)

    async def operator(self, number: int, psos: Sequence[ParkingOperator], kind: type[Operator]) -> Operator:
        """Bring an operator, open to everybody."""
        common = await self.enrol(Role.EVSE_OPERATOR, f"DES{number:02}", open_=True)
        return kind(psos=psos, most=self.size.evses, longitude=BETWEEN + number, reading_key=None, **common)

    async def enrol(self, role: Role, party_id: str, *, open_: bool = False) -> dict[str, Any]:
        """Add a partner, and give what is to be known of every party."""
        return {
            "party_id": party_id,
            "key": await secret_of_new(self.dsn, role, party_id, open_=open_),
            "seconds": self.size.seconds,
            "writes_per_s": self.size.writes_per_s,
            "chance": random.Random(f"{self.seed} {party_id}"),
            "figures": self.figures,
        }


async def keep_asking(
    client: httpx.AsyncClient, parties: Sequence[Publisher], size: Size, chance: random.Random
) -> None:
    until = monotonic() + size.seconds
    while monotonic() < until:
        party = chance.choice(parties)
        await party.require_true(client, party.some_question(chance))
        await asyncio.sleep(1 / size.questions_per_s)


async def soak(
    dsn: str,
    size: Size,
    seed: int,
    operator: type[Operator] = Operator,
    pso: type[ParkingOperator] = ParkingOperator,
) -> Figures:
    """Run the soak; `dsn` is an empty database. Raises: Wrong."""
    figures = Figures()
    await migrated(dsn)
    cast = Cast(dsn, size, seed, figures)
    psos = await asyncio.gather(*(cast.pso(number, pso) for number in range(size.psos)))
    operators = await asyncio.gather(*(cast.operator(number, psos, operator) for number in range(size.operators)))
    parties = (*psos, *operators)
    with serving(dsn, size.workers) as (address, hub):
        async with connecting(address) as client, running(watch_memory(hub.pid, figures.memory)):
            askers = [random.Random(f"{seed} asker {number}") for number in range(size.askers)]
            await asyncio.gather(
                *(party.work(client) for party in parties),
                *(keep_asking(client, parties, size, asker) for asker in askers),
            )
    return figures
