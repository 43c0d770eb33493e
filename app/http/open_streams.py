"""The open sockets and event streams of this process: quotas per caller, and the end of those whose key was revoked.

Counts are per process: several processes allow as many times more.
"""

import asyncio
from collections import Counter
from typing import Protocol
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Gauge

from app import metrics
from app.auth import Keys
from app.budget import Subject
from app.db.lending import Overloaded
from app.http.refusals import TooManyOpen
from app.settings import Settings

log = structlog.get_logger(__name__)

FORBIDDEN = 4403
RESTART = 1012


class Quota:
    """How many of something each caller has open."""

    def __init__(self, what: str, per_key: int, per_address: int, gauge: Gauge) -> None:
        self.what = what
        self.gauge = gauge
        self.per_key = per_key
        self.per_address = per_address
        self._counts: Counter[Subject] = Counter()

    def take(self, subject: Subject) -> None:
        """Count one more. Raises: TooManyOpen."""
        self.weigh(subject, 1)
        self.gauge.inc()

    def weigh(self, subject: Subject, more: int) -> None:
        """Count one that is open as so many more. Raises: TooManyOpen."""
        is_key = isinstance(subject, UUID)
        allowed = self.per_key if is_key else self.per_address
        if self._counts[subject] + more > allowed:
            whose = "key" if is_key else "address"
            raise TooManyOpen(f"{allowed} {self.what} of this {whose} are open, as many as may be", "close some first")
        self._counts[subject] += more

    def give_back(self, subject: Subject, weight: int = 1) -> None:
        """Count one less, which counted as `weight`."""
        self._counts[subject] -= weight
        self.gauge.dec()
        if self._counts[subject] <= 0:
            del self._counts[subject]


class Stream(Protocol):
    """A socket or an event stream, as far as it can be ended from outside."""

    @property
    def secret_hash(self) -> bytes | None:
        """Return the stored hash of the key that opened it; None without a key."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End it, with the close code of a WebSocket."""


class OpenStreams:
    """All sockets and event streams of this process."""

    def __init__(self, keys: Keys, settings: Settings) -> None:
        self.keys = keys
        self.check_every_s = settings.key_check_s
        self.sockets = Quota("sockets", settings.max_sockets_per_key, settings.max_sockets_per_address, metrics.SOCKETS)
        self.subscriptions = Quota(
            "subscriptions",
            settings.max_subscriptions_per_key,
            settings.max_subscriptions_per_address,
            metrics.SUBSCRIPTIONS,
        )
        self._open: set[Stream] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._stopping = False

    def enter(self, stream: Stream, subject: Subject) -> None:
        """Count a socket. Raises: TooManyOpen."""
        self.sockets.take(subject)
        self._open.add(stream)
        if self._stopping:
            asyncio.get_running_loop().call_soon(stream.close, RESTART, "the hub restarts")

    def leave(self, stream: Stream, subject: Subject) -> None:
        """Remove a socket that is closed."""
        self.sockets.give_back(subject)
        self._open.discard(stream)

    def finish(self, task: asyncio.Task[None]) -> None:
        """Keep a reference to a task that outlives its socket: the event loop alone holds none."""
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def drain(self, timeout_s: float) -> None:
        """Wait, at most so long, for the tasks that outlive their sockets: their connections are closed next."""
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=timeout_s)

    def stop(self) -> None:
        """End everything, so that clients reconnect when the hub serves again."""
        self._stopping = True
        for stream in list(self._open):
            stream.close(RESTART, "the hub restarts")

    async def watch(self) -> None:
        """Check every few seconds whether the keys of open sockets are still valid, and end those whose key is not."""
        while True:
            await asyncio.sleep(self.check_every_s)
            try:
                await self._end_revoked()
            except (Overloaded, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("keys of open sockets were not checked", reason=type(error).__name__)

    async def _end_revoked(self) -> None:
        asked = {stream.secret_hash for stream in self._open} - {None}
        ended = asked - await self.keys.still_good({each for each in asked if each is not None})
        for stream in list(self._open):
            if stream.secret_hash in ended:
                stream.close(FORBIDDEN, "this key is revoked or expired, or its partner is suspended")
