"""How much a caller may ask: buckets of tokens that refill, one per key or address.

Buckets are per process, like the quotas of sockets and subscriptions: several processes allow as many times more.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from cachetools import LRUCache

from app.errors import HubError
from app.settings import Settings

#: Buckets that are kept; one that was evicted is full again.
KEPT_SUBJECTS = 20_000

#: Owner of a bucket, and of sockets and subscriptions: a key, or without one an address.
Subject = str | UUID


class RateLimited(HubError):
    """The budget of the key or address is spent.

    Units: `retry_after_s` whole seconds.
    """

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, f"ask again in {retry_after_s} s, ask for less at a time, or ask with a key")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Rate:
    """How a bucket refills, and how much it holds. Units: tokens per second, tokens."""

    per_s: float
    burst: float


@dataclass(frozen=True, slots=True)
class Payer:
    """The budget a request is charged to, and its size. A rate of None: unlimited."""

    subject: Subject
    requests: Rate | None
    cost: Rate | None


@dataclass(slots=True)
class Balance:
    """What is left in a bucket. Units: `full_in_s` seconds until it is full again."""

    remaining: float
    full_in_s: float


@dataclass(slots=True)
class Bucket:
    """The tokens of one owner, as they were at an instant. Units: `at` seconds of a clock that is never set back."""

    tokens: float
    at: float

    def take(self, rate: Rate, amount: float, now: float, owing: bool = False) -> float:
        """Refill the bucket and take tokens. Return how many are missing; nothing is taken where that is above 0.

        A request may cost more than a full bucket, which then owes; with `owing` whatever is left in it.
        """
        burst = rate.burst
        tokens = self.tokens + rate.per_s * (now - self.at)
        tokens = tokens if tokens < burst else burst  # a tenth of the time of `min`, on every request
        short = 0.0 if owing else (amount if amount < burst else burst) - tokens
        self.tokens = tokens if short > 0 else tokens - amount
        self.at = now
        return short


class Budget:
    """The buckets of one kind of token. `clock`: in seconds, never set back."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        self._buckets: LRUCache[Subject, Bucket] = LRUCache(KEPT_SUBJECTS)

    def take(self, subject: Subject, rate: Rate, amount: float, owing: bool = False) -> Balance:
        """Take tokens; with `owing` even those that are not there. Raises: RateLimited."""
        now = self.clock()
        try:
            bucket = self._buckets[subject]  # half the time of `get`
        except KeyError:
            bucket = self._buckets[subject] = Bucket(rate.burst, now)
        short = bucket.take(rate, amount, now, owing)
        if short > 0:
            raise RateLimited(
                f"the budget of {self.name} is spent: {amount:g} asked, {rate.per_s:g} per second come back",
                max(math.ceil(short / rate.per_s), 1),
            )
        return Balance(max(bucket.tokens, 0.0), (rate.burst - bucket.tokens) / rate.per_s)

    def give_back(self, subject: Subject, amount: float) -> None:
        """Return tokens to a bucket."""
        bucket = self._buckets.get(subject)
        if bucket is not None:
            bucket.tokens += amount


class Budgets:
    """The kinds of budget: requests, cost, and keys that this process has not verified yet."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests = Budget("requests", clock)
        self.cost = Budget("cost", clock)
        self.unknown_keys = Budget("unknown keys", clock)
        self.database_cost_per_s = settings.database_cost_per_s
        burst_s = settings.budget_burst_s
        #: The rate of messages on a socket, each of which has its own bucket.
        self.messages = Rate(settings.messages_per_s, settings.messages_per_s * burst_s)
        self._partner = (
            _rate(settings.partner_requests_per_s, burst_s),
            _rate(settings.partner_cost_per_s, burst_s),
        )
        self._anonymous = (
            _rate(settings.anonymous_requests_per_s, burst_s),
            _rate(settings.anonymous_cost_per_s, burst_s),
        )

    def payer(self, key_id: UUID | None, address: str) -> Payer:
        """Return the budget that is charged: the key's, or without one the address's."""
        if key_id is not None:
            return Payer(key_id, *self._partner)
        return Payer(network_of(address), *self._anonymous)

    def charge_request(self, payer: Payer) -> None:
        """Charge one request. Raises: RateLimited."""
        if payer.requests is not None:
            self.requests.take(payer.subject, payer.requests, 1.0)

    def charge_cost(self, payer: Payer, cost: float) -> Balance | None:
        """Charge the cost of a request; None where it is unlimited. Raises: RateLimited."""
        return None if payer.cost is None else self.cost.take(payer.subject, payer.cost, cost)

    def settle(self, payer: Payer, cost: float, database_s: float) -> tuple[float, Balance | None]:
        """Charge what the database took beyond the cost that a request was charged before.

        Return what it has cost in all, and the balance; None where nothing was charged.
        """
        taken = self.database_cost_per_s * database_s
        if payer.cost is None or taken <= cost:
            return cost, None
        return taken, self.cost.take(payer.subject, payer.cost, taken - cost, owing=True)

    def charge_unknown_key(self, anonymous: Payer) -> None:
        """Charge a key that may be guessed, before it is looked up. Raises: RateLimited."""
        if anonymous.requests is not None:
            self.unknown_keys.take(anonymous.subject, anonymous.requests, 1.0)

    def credit_known_key(self, anonymous: Payer) -> None:
        """Return the charge of a key that proved to be good."""
        if anonymous.requests is not None:
            self.unknown_keys.give_back(anonymous.subject, 1.0)


def _rate(per_s: float, burst_s: float) -> Rate | None:
    return Rate(per_s, max(per_s * burst_s, 1.0)) if per_s > 0 else None


def network_of(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 that an IPv6 customer gets.

    Some proxies add the port, which differs from connection to connection.
    """
    if address.count(":") < 2:
        return address.partition(":")[0][:64]
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    try:
        ip = ipaddress.IPv6Address(bare.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
