"""A hub whose database takes any number of worlds, and questions in the name of their callers."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from tests.visibility.filling import put
from tests.visibility.worlds import AFTER, BEFORE, Draft, World, Worlds
from tests.visibility_matrix import CLEARING_HOUSE, Held, Matrix, matrix

#: Slow machines are waited for; nothing here is measured.
PATIENCE_S = 25

LISTED = ("partners", "contracts", "auditLog")
LISTS = f"""query ({", ".join(f"${name}: String" for name in LISTED)}) {{
    {" ".join(f"{name}(first: 500, after: ${name}) {{ pageInfo {{ endCursor }} }}" for name in LISTED)}
}}"""


@dataclass
class PrivateMatrix:
    """The hub. `after`: where the administrator's lists go on, which have the rows of all worlds."""

    made: Matrix
    client: httpx.AsyncClient
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    after: dict[str, str | None] = field(default_factory=dict)

    def worlds(self, drafts: Iterable[Draft]) -> Worlds:
        return Worlds(World(next(self.numbers), each) for each in drafts)

    def put(self, *drafts: Draft) -> Worlds:
        """Return worlds that are at their second moment."""
        worlds = self.worlds(drafts)
        for moment in (BEFORE, AFTER):
            self.made.hub.run(put(self.made, worlds, moment))
        return worlds

    async def go_behind_others(self) -> None:
        """Have the administrator's lists go on behind all that is there."""
        data = await self.ask(CLEARING_HOUSE, LISTS, self.after)
        ends = {name: data[name]["pageInfo"]["endCursor"] for name in LISTED}
        self.after |= {name: end for name, end in ends.items() if end is not None}

    async def cursor(self) -> str:
        """Return the present position of the change log."""
        data = await self.ask(None, "{ changes(kinds: [PARKING_SPOT]) { cursor } }")
        return data["changes"]["cursor"]

    async def ask(self, caller: Held | None, query: str, given: Any = None) -> Any:
        """Send a request that must succeed; return `data`."""
        answer = (await self.post(self.made.headers(caller), query, given)).json()
        assert "errors" not in answer, (caller, answer)
        return answer["data"]

    async def post(self, headers: Mapping[str, str], query: str, given: Any = None) -> httpx.Response:
        return await self.client.post("/graphql", json={"query": query, "variables": given or {}}, headers=headers)


@contextmanager
def private_matrix(dsn: str) -> Iterator[PrivateMatrix]:
    """Serve a database with the parties of the public matrix, its administrator among them."""
    with matrix(dsn, key_check_s=0.05, pool_size=4) as made:
        limits = httpx.Limits(max_connections=None)
        client = httpx.AsyncClient(base_url=made.hub.url, timeout=PATIENCE_S, limits=limits)
        try:
            yield PrivateMatrix(made, client)
        finally:
            made.hub.run(client.aclose())


def callers_of(worlds: Worlds) -> list[tuple[Held | None, World]]:
    """Return all callers, each with the world that it belongs to, or that it asks about."""
    every = [(role, world) for world in worlds.worlds for role in world.roles]
    return [*every, (None, worlds.worlds[0]), (CLEARING_HOUSE, worlds.worlds[-1])]
