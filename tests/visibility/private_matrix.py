"""A hub whose database takes any number of worlds, and questions in the name of their callers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.visibility.filling import put
from tests.visibility.worlds import AFTER, BEFORE, Draft, World, Worlds
from tests.visibility_matrix import CLEARING_HOUSE, Held, Matrix, matrix

LISTED = ("partners", "contracts", "auditLog")
LISTS = f"""query ({", ".join(f"${name}: String" for name in LISTED)}) {{
    {" ".join(f"{name}(first: 500, after: ${name}) {{ pageInfo {{ endCursor }} }}" for name in LISTED)}
}}"""


@dataclass(repr=False)
class PrivateMatrix:
    """The hub. `after`: where the administrator's lists go on, which have the rows of all worlds."""

    made: Matrix
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

    def go_behind_others(self) -> None:
        """Have the administrator's lists go on behind all that is there."""
        data = self.ask(CLEARING_HOUSE, LISTS, self.after)
        ends = {name: data[name]["pageInfo"]["endCursor"] for name in LISTED}
        self.after |= {name: end for name, end in ends.items() if end is not None}

    def cursor(self) -> str:
        """Return the present position of the change log."""
        return self.ask(None, "{ changes(kinds: [PARKING_SPOT]) { cursor } }")["changes"]["cursor"]

    def ask(self, caller: Held | None, query: str, given: Any = None) -> Any:
        """Send a request that must succeed; return `data`."""
        return self.made.hub.ask(query, given, self.made.headers(caller))


@contextmanager
def private_matrix(dsn: str) -> Iterator[PrivateMatrix]:
    """Serve a database with the parties of the public matrix, its administrator among them."""
    with matrix(dsn, key_check_s=0.05) as made:
        yield PrivateMatrix(made)


def callers_of(worlds: Worlds) -> list[tuple[Held | None, World]]:
    """Return callers, each with the world that it belongs to, or that it asks about.

    Of a world's NSP and PSO, which see the least, one or the other.
    """
    every = [(role, world) for world in worlds.worlds for role in (*world.roles[:4], world.roles[4 + world.number % 2])]
    return [*every, (None, worlds.worlds[0]), (CLEARING_HOUSE, worlds.worlds[-1])]
