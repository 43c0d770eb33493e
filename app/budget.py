"""How much a caller may ask: buckets of tokens that refill, one per key or address, shared by all processes.

A process does not write per request. It leases tokens from the shared bucket, half a second's worth at a time, and
spends them from memory. The first such chunk is on credit and is settled with the first lease, so whoever asks little
never costs a round trip. When the database is away each process goes on with what it last knew: what is asked needs
the database anyway, so nothing is gained by refusing here.
"""

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog

from app.db.engine import Database
from app.errors import HubError
from app.settings import Settings

#: A chunk is so many seconds' worth of tokens.
CHUNK_S = 0.5
#: A lease that gave less than was wanted is not tried again sooner.
DRY_S = 0.05
#: No request waits longer for a lease.
LEASE_TIMEOUT_S = 1.0
KEPT_SUBJECTS = 20_000
#: Every so many leases a process removes buckets nobody drew from for an hour; they are full again, as absent ones are.
LEASES_PER_CLEARING = 1_000
FORGOTTEN_AFTER_S = 3_600

log = structlog.get_logger(__name__)

#: $1 subject, $2 tokens per second, $3 burst, $4 wanted, $5 needed, $6 spent on credit, $7 now (seconds of the epoch).
#: What is needed is given when it is there, or when the bucket is full: a request may cost more than a full bucket,
#: which then owes. `greatest` keeps processes whose clocks differ from refilling twice.
_GRANTED = """
lateral (
    select case when free >= least($5::float8, $3::float8) then greatest($5, least($4::float8, free), 0) else 0 end
) as lease (granted)
"""
LEASE = f"""
insert into budget as bucket (subject, tokens, granted, at)
select $1, free - granted, granted, $7
from (select $3 - $6::float8) as full_bucket (free), {_GRANTED}
on conflict (subject) do update set (tokens, granted, at) = (
    select free - granted, granted, greatest(bucket.at, excluded.at)
    from (
        select least($3, bucket.tokens + $2::float8 * greatest(excluded.at - bucket.at, 0)) - $6
    ) as refilled (free), {_GRANTED}
)
returning granted, tokens
"""


class RateLimited(HubError):
    """The caller has asked more than its budget holds. Units: `retry_after_s` whole seconds."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, f"ask again in {retry_after_s} s, ask for less at a time, or ask with a key")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Rate:
    """How a bucket refills, and how much it holds. Units: tokens per second, tokens."""

    per_s: float
    burst: float

    @property
    def chunk(self) -> float:
        return min(max(self.per_s * CHUNK_S, 1.0), self.burst)


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose budget a request is charged to, and how large it is. A rate of None: any amount."""

    subject: str | UUID
    requests: Rate | None
    cost: Rate | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a budget, as far as this process knows, and when it is full again, in seconds of the epoch."""

    remaining: float
    full_at: float


@dataclass(slots=True)
class _Share:
    """What a process holds of one bucket. `owed`: spent on credit; `known`: what was left for all at `asked_at`."""

    left: float
    owed: float
    known: float
    asked_at: float
    dry: bool = False
    lease: asyncio.Task[None] | None = None

    def expected(self, rate: Rate, now: float) -> float:
        """Give what the shared bucket holds now if nobody else drew from it."""
        return min(rate.burst, self.known + rate.per_s * max(now - self.asked_at, 0.0))


@dataclass(slots=True)
class Budget:
    """The buckets of one kind of token, as this process sees them."""

    name: str
    database: Database
    clock: Callable[[], float] = time.time
    _shares: OrderedDict[str | UUID, _Share] = field(default_factory=OrderedDict[str | UUID, _Share])
    _leases: int = 0

    async def take(self, subject: str | UUID, rate: Rate, amount: float) -> Standing:
        """Take tokens; waits only while a lease is under way. Raises: RateLimited."""
        share = self._share(subject, rate)
        while share.left < amount:
            await self._ask_for_more(subject, share, rate, amount)
        share.left -= amount
        if share.left < rate.chunk / 2 and share.lease is None and not self._is_pointless(share, rate, 1.0):
            share.lease = asyncio.create_task(self._lease(subject, share, rate, 0.0))
        now = self.clock()
        remaining = max(min(share.left + share.expected(rate, now), rate.burst), 0.0)
        return Standing(remaining, now + (rate.burst - remaining) / rate.per_s)

    def give_back(self, subject: str | UUID, amount: float) -> None:
        """Give tokens back that were taken for nothing."""
        share = self._shares.get(subject)
        if share is not None:
            share.left += amount

    def _share(self, subject: str | UUID, rate: Rate) -> _Share:
        share = self._shares.get(subject)
        if share is not None:
            self._shares.move_to_end(subject)
            return share
        share = _Share(rate.chunk, rate.chunk, rate.burst - rate.chunk, self.clock())
        self._shares[subject] = share
        if len(self._shares) > KEPT_SUBJECTS:
            self._shares.popitem(last=False)
        return share

    async def _ask_for_more(self, subject: str | UUID, share: _Share, rate: Rate, amount: float) -> None:
        if share.lease is None:
            missing = amount - share.left
            if self._is_pointless(share, rate, missing):
                raise self._refusal(share, rate, amount)
            share.lease = asyncio.create_task(self._lease(subject, share, rate, missing))
        await asyncio.shield(share.lease)

    def _is_pointless(self, share: _Share, rate: Rate, missing: float) -> bool:
        """Say whether the shared bucket cannot have what is missing: it need not be asked."""
        now = self.clock()
        too_soon = share.dry and 0 <= now - share.asked_at < DRY_S
        return too_soon or share.expected(rate, now) < min(missing, rate.burst)

    def _refusal(self, share: _Share, rate: Rate, amount: float) -> RateLimited:
        short = min(amount, rate.burst) - share.left - share.expected(rate, self.clock())
        wait_s = max(math.ceil(short / rate.per_s), 1)
        return RateLimited(
            f"the budget of {self.name} is spent: {amount:g} asked, {rate.per_s:g} per second come back", wait_s
        )

    async def _lease(self, subject: str | UUID, share: _Share, rate: Rate, needed: float) -> None:
        now, wanted = self.clock(), max(rate.chunk, needed)
        arguments = (f"{self.name}:{subject}", rate.per_s, rate.burst, wanted, needed, share.owed, now)
        try:
            granted, known = await self._draw(arguments)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("budgets are not shared: the database is away", reason=type(error).__name__)
            free = share.expected(rate, now)
            granted = max(needed, min(wanted, free), 0.0) if free >= min(needed, rate.burst) else 0.0
            known = free - granted
        finally:
            share.lease = None
        share.left += granted
        share.owed, share.known, share.asked_at = 0.0, known, now
        share.dry = granted < wanted

    async def _draw(self, arguments: tuple[str | float, ...]) -> tuple[float, float]:
        self._leases += 1
        async with asyncio.timeout(LEASE_TIMEOUT_S), self.database.writes.acquire() as connection:
            row = await connection.fetchrow(LEASE, *arguments)
            if self._leases % LEASES_PER_CLEARING == 0:
                await connection.execute("delete from budget where at < $1", self.clock() - FORGOTTEN_AFTER_S)
        assert row is not None
        return row["granted"], row["tokens"]


class Budgets:
    """Who pays, and the kinds of budget: requests, cost, and keys that are shown for the first time."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.requests = Budget("requests", database, clock)
        self.cost = Budget("cost", database, clock)
        self.guesses = Budget("unknown keys", database, clock)
        burst_s = settings.budget_burst_s
        self._partner = (
            _rate(settings.partner_requests_per_s, burst_s),
            _rate(settings.partner_cost_per_s, burst_s),
        )
        self._stranger = (
            _rate(settings.anonymous_requests_per_s, burst_s),
            _rate(settings.anonymous_cost_per_s, burst_s),
        )

    def payer(self, key_id: UUID | None, address: str) -> Payer:
        """Say whose budget counts: the key's, or without one the address's."""
        if key_id is not None:
            return Payer(key_id, *self._partner)
        return Payer(network_of(address), *self._stranger)

    async def admit(self, payer: Payer) -> None:
        """Charge one request. Raises: RateLimited."""
        if payer.requests is not None:
            await self.requests.take(payer.subject, payer.requests, 1.0)

    async def guess(self, stranger: Payer) -> None:
        """Charge a key that may be guessed, before it is looked up. Raises: RateLimited."""
        if stranger.requests is not None:
            await self.guesses.take(stranger.subject, stranger.requests, 1.0)

    def forgive(self, stranger: Payer) -> None:
        """Take back what a key was charged that turned out to be good."""
        if stranger.requests is not None:
            self.guesses.give_back(stranger.subject, 1.0)

    async def spend(self, payer: Payer, cost: float) -> Standing | None:
        """Charge the cost of a request; None where any may be spent. Raises: RateLimited."""
        return None if payer.cost is None else await self.cost.take(payer.subject, payer.cost, cost)


def _rate(per_s: float, burst_s: float) -> Rate | None:
    return Rate(per_s, max(per_s * burst_s, 1.0)) if per_s > 0 else None


def network_of(address: str) -> str:
    """Give what counts as one caller: an IPv4 address, or the /64 that an IPv6 customer gets.

    Some proxies tell the port as well, which differs from connection to connection.
    """
    if address.count(":") < 2:
        return address.partition(":")[0][:64]
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    try:
        ip = ipaddress.IPv6Address(bare.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
