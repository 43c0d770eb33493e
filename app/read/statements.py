"""A bounded cache of statements, compiled once in a worker thread."""

from collections import OrderedDict
from functools import partial

from app.read.plan import Selection
from app.read.search import Search
from app.read.statement import Statement, compile_statement
from app.visibility import Sight
from app.worker_thread import beside

KEPT_STATEMENTS = 2_000
#: Of their texts: what is kept is looked through for garbage now and then, while every request waits.
KEPT_CHARACTERS = 1_000_000

_Key = tuple[Selection, Search, Sight]


class Statements:
    """A cache of the statements run most recently."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Statement] = OrderedDict()
        self._characters = 0

    async def get(self, selection: Selection, search: Search, sight: Sight) -> Statement:
        """Compile what is asked of a search for one kind of caller, once."""
        key = selection, search, sight
        statement = self._kept.get(key)
        if statement is None:
            statement = await beside(partial(compile_statement, selection, search, sight))
            self._keep(key, statement)
        else:
            self._kept.move_to_end(key)
        return statement

    def clear(self) -> None:
        """Evict all statements."""
        self._kept.clear()
        self._characters = 0

    def _keep(self, key: _Key, statement: Statement) -> None:
        if key in self._kept:
            return  # two asked for it at once
        self._kept[key] = statement
        self._characters += len(statement.sql)
        while len(self._kept) > KEPT_STATEMENTS or self._characters > KEPT_CHARACTERS:
            _, oldest = self._kept.popitem(last=False)
            self._characters -= len(oldest.sql)


#: Statements depend on nothing but what is asked, so all hubs of a process share them.
STATEMENTS = Statements()
