"""Compiled statements, cached within bounds."""

from functools import partial

from cachetools import LRUCache

from app.read.plan import Computed, Selection
from app.read.search import Search
from app.read.statement import Statement, compile_statement
from app.visibility.rules import CallerKind
from app.worker_thread import in_worker_thread

#: Bounded by the length of their texts: garbage collection looks through what is cached while every request waits.
CACHED_CHARACTERS = 1_000_000
#: A shorter statement counts as so many, which bounds their number as well, to 2,000.
LEAST_CHARACTERS = 500

_Key = tuple[Selection, Search, CallerKind, Computed | None]


class Statements:
    """The statements executed most recently."""

    def __init__(self, characters: int = CACHED_CHARACTERS) -> None:
        self._cache: LRUCache[_Key, Statement] = LRUCache(characters, getsizeof=_length)

    async def get(
        self, selection: Selection, search: Search, caller_kind: CallerKind, tariff_ids: Computed | None = None
    ) -> Statement:
        """Compile a search for one kind of caller, once, in the worker thread; see `compile_statement`."""
        key = selection, search, caller_kind, tariff_ids
        statement = self._cache.get(key)
        if statement is None:
            statement = await in_worker_thread(partial(compile_statement, *key))
            if _length(statement) <= self._cache.maxsize:
                self._cache[key] = statement
        return statement

    def clear(self) -> None:
        """Empty the cache."""
        self._cache.clear()


def _length(statement: Statement) -> int:
    return max(len(statement.sql), LEAST_CHARACTERS)


#: Statements depend on nothing but the request, so all hubs of a process share them.
STATEMENTS = Statements()
