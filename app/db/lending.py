"""Lending connections: how long work may wait and hold one, how many one caller holds, and what is not waited for.

A request that reads has a deadline over all its statements. It is part of its `Work`, which is set where the request is
admitted and used here alone: a context variable, because a connection is borrowed far below what knows the caller.
"""

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Final

import asyncpg

from app.errors import HubError

Connection = asyncpg.pool.PoolConnectionProxy

#: How long the server may take to end a statement that is not waited for any more. Then its connection is cut: a
#: backend that hangs acknowledges nothing.
CUT_AFTER_S: Final = 0.5

#: Errors that end the connection.
LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    TimeoutError,  # the driver waited longer than a statement may take
)


class Overloaded(HubError):
    """No database connection became free in time, or uploads take as much memory as they may."""

    code = "OVERLOADED"
    retry_after_s = 1


class Unavailable(Overloaded):
    """The database cannot be reached, or the connection to it broke."""

    code = "UNAVAILABLE"
    retry_after_s = 2

    def __init__(self) -> None:
        super().__init__("the database does not answer", "repeat it in a moment; what was uploaded may be sent again")


class TookTooLong(HubError):
    """The answer took longer than the time limit of the request, of the database or of the endpoint."""

    code = "TIMEOUT"
    retry_after_s = 5

    def __init__(self, message: str) -> None:
        super().__init__(message, "ask for less: a smaller area, fewer filters, a smaller page")


class Work:
    """What one request may take of the database, and has taken.

    `subject`: the caller whose share of the connections it takes; None: no caller's. `until`: the deadline, by the
    clock of the event loop. `seconds`: how long it has held connections. `settle`: called when that is more, after the
    request has ended.
    """

    __slots__ = ("limit_s", "seconds", "settle", "subject", "until")

    def __init__(self, subject: Hashable | None, limit_s: float, settle: "Settle | None") -> None:
        self.subject = subject
        self.settle = settle
        self.limit_s = limit_s
        self.until = asyncio.get_running_loop().time() + limit_s
        self.seconds = 0.0

    def took_late(self, seconds: float) -> None:
        """Count the time of a statement that was ended at the deadline, or for a client that left."""
        self.seconds += seconds
        if self.settle is not None:
            self.settle(self)


Settle = Callable[[Work], None]

_WORK: Final[ContextVar[Work | None]] = ContextVar("work", default=None)


def begin_work(subject: Hashable | None, limit_s: float, settle: Settle | None = None) -> Work:
    """Begin a request: what its task, and the tasks that it starts, do from now on counts as its work."""
    work = Work(subject, limit_s, settle)
    _WORK.set(work)
    return work


class Lender:
    """A pool whose connections are borrowed: `async with Loan(lender) as connection`.

    `patience_s`: how long one is waited for. `most_each`: how many of them one caller may hold.
    """

    __slots__ = ("_held", "_late", "_waiting", "most_each", "patience_s", "pool")

    def __init__(self, pool: asyncpg.Pool, patience_s: float, most_each: int) -> None:
        self.pool = pool
        self.patience_s = patience_s
        self.most_each = most_each
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[Future[None]]] = {}
        self._late: set[Task[None]] = set()

    def take_turn(self, subject: Hashable) -> bool:
        """Count one connection more for a caller; False: it holds its share. A semaphore takes three times as long."""
        held = self._held.get(subject, 0)
        if held >= self.most_each:
            return False
        self._held[subject] = held + 1
        return True

    async def wait_for_turn(self, subject: Hashable) -> None:
        """Wait until another request of the caller gives a connection back, and take its turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subject, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.end_turn(subject)
            raise

    def end_turn(self, subject: Hashable) -> None:
        """Pass the turn to the request of the caller that waits longest, or count one connection less."""
        waiting = self._waiting.get(subject, ())
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(subject, None)
        held = self._held.pop(subject) - 1
        if held:
            self._held[subject] = held

    def waiting(self) -> int:
        """Return how many requests wait for earlier requests of their callers."""
        return sum(not turn.done() for turns in self._waiting.values() for turn in turns)

    async def take_back(self, connection: Connection, subject: Hashable | None) -> None:
        """Return a connection to the pool, and only then let the next statement of its caller begin."""
        try:
            await self.pool.release(connection, timeout=CUT_AFTER_S)
        finally:
            if subject is not None:
                self.end_turn(subject)

    def take_back_late(
        self, connection: Connection, subject: Hashable | None, work: Work | None, seconds: float
    ) -> None:
        """Return a connection once the server has ended its statement, or cut it; no request waits for that."""
        task = asyncio.create_task(self._take_back_late(connection, subject, work, seconds))
        self._late.add(task)
        task.add_done_callback(self._forget)

    async def _take_back_late(
        self, connection: Connection, subject: Hashable | None, work: Work | None, seconds: float
    ) -> None:
        await self.take_back(connection, subject)
        if work is not None:
            work.took_late(seconds)  # not where the server hangs: no caller pays for that

    def _forget(self, task: Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # the connection was cut, as it should be


class Loan:
    """A connection for the length of a block, and no longer than the request may take.

    A class, because a generator would take four times as long, in every read: 20 microseconds.

    Raises: Overloaded when no connection is free in time; TookTooLong at the deadline; Unavailable.
    """

    __slots__ = (
        "_began", "_cancelling", "_connection", "_expired", "_lender", "_loop", "_subject", "_task", "_timer", "_work",
    )  # fmt: skip

    def __init__(self, lender: Lender) -> None:
        self._lender = lender
        self._connection: Connection | None = None
        self._subject: Hashable | None = None
        self._expired = False

    async def __aenter__(self) -> Connection:
        lender, work, loop = self._lender, _WORK.get(), asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._work, self._loop, self._task, self._cancelling = work, loop, task, task.cancelling()
        now = loop.time()
        waits_until = now + lender.patience_s
        if work is not None:
            if work.until <= now:
                raise _took_too_long(work)
            waits_until = min(waits_until, work.until)
        self._timer = loop.call_at(waits_until, self._expire)
        try:
            if work is not None and work.subject is not None:
                if not lender.take_turn(work.subject):
                    await lender.wait_for_turn(work.subject)
                self._subject = work.subject
            self._connection = connection = await lender.pool.acquire()
        except BaseException as error:
            self._timer.cancel()
            if self._subject is not None:
                lender.end_turn(self._subject)
            refusal = self._refusal(error, waits_until - now)
            if refusal is error:
                raise
            raise refusal from error
        if work is None or waits_until != work.until:
            self._timer.cancel()
            if work is not None:
                self._timer = loop.call_at(work.until, self._expire)
        self._began = loop.time()
        return connection

    def _refusal(self, error: BaseException, waited_s: float) -> BaseException:
        work = self._work
        if self._is_late() and isinstance(error, asyncio.CancelledError):
            if work is not None and work.subject is not self._subject:
                return _took_too_long(work)  # its caller's other requests did
            message = f"no connection to the database was free within {waited_s:g} s"
            return Overloaded(message, "ask again in a moment")
        return Unavailable() if isinstance(error, OSError | asyncpg.PostgresError) else error

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        connection, work = self._connection, self._work
        assert connection is not None
        took_s = self._loop.time() - self._began
        if error is None and not self._expired:
            if work is not None:
                work.seconds += took_s
            try:
                await self._lender.pool.release(connection)
            finally:
                if self._subject is not None:
                    self._lender.end_turn(self._subject)
            return
        is_late = self._is_late()
        is_lost = isinstance(error, LOST) or _is_closed(connection)
        if is_lost or is_late or isinstance(error, asyncio.CancelledError):
            self._lender.take_back_late(connection, self._subject, None if is_lost else work, took_s)
        else:
            if work is not None:
                work.seconds += took_s
            await self._lender.take_back(connection, self._subject)
        if is_late and work is not None and (is_lost or isinstance(error, asyncio.CancelledError)):
            raise _took_too_long(work) from error
        if is_lost and error is not None and not isinstance(error, asyncio.CancelledError):
            # A transaction whose connection was cut fails to end; a cancellation would be lost.
            raise (asyncio.CancelledError() if self._task.cancelling() else Unavailable()) from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
        if self._connection is not None:
            # A transaction ends once its statement has, which a backend that hangs never says.
            self._timer = self._loop.call_later(CUT_AFTER_S, _cut, self._connection)

    def _is_late(self) -> bool:
        """Return whether the deadline has passed, and nothing else has cancelled the task."""
        return self._expired and self._task.uncancel() <= self._cancelling


def _is_closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # so that the pool has it back already


def _cut(connection: Connection) -> None:
    if not _is_closed(connection):
        connection.terminate()


def _took_too_long(work: Work) -> TookTooLong:
    return TookTooLong(f"there was no answer within {work.limit_s:g} s")
