"""Budgets: what a subject may take in all processes together, and that a process asks the database seldom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from app.budget import CHUNK_S, KEPT_SUBJECTS, LEASES_PER_CLEARING, Budget, Budgets, Rate, RateLimited, network_of
from app.db.engine import Database
from app.settings import Settings

RATE = Rate(per_s=100.0, burst=1_000.0)
CHUNK = RATE.per_s * CHUNK_S


class Clock:
    """Goes where it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def budgets(database: Database, clock: Clock) -> AsyncIterator[Callable[[], Budget]]:
    """Makes budgets as so many processes would hold them."""
    made: list[Budget] = []

    def make() -> Budget:
        made.append(Budget("requests", database, clock))
        return made[-1]

    yield make
    for budget in made:
        await settled(budget)


async def settled(budget: Budget) -> None:
    """Wait for the leases under way."""
    for share in list(budget._shares.values()):
        if share.lease is not None:
            await share.lease


async def spend_all(take: Callable[[], Awaitable[object]]) -> int:
    """Take until nothing is left; give how often that was possible."""
    for times in range(100_000):
        try:
            await take()
        except RateLimited:
            return times
    raise AssertionError("there is no end to it")


async def statements_of(database: Database, work: Awaitable[object]) -> list[str]:
    seen: list[str] = []
    async with database.writes.acquire() as connection:
        connection.add_query_logger(lambda record: seen.append(record.query))
    with suppress(RateLimited):
        await work
    await asyncio.sleep(0)
    return [statement for statement in seen if "budget" in statement]


async def test_holds_a_burst_and_refills(budgets: Callable[[], Budget], clock: Clock) -> None:
    budget = budgets()
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 1_000
    clock.now += 3.0
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 300
    clock.now += 1_000.0
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 1_000


async def test_takes_back_what_was_taken_for_nothing(budgets: Callable[[], Budget]) -> None:
    budget = budgets()
    for _ in range(2_000):
        await budget.take("a", RATE, 1)
        budget.give_back("a", 1)
    budget.give_back("b", 1_000)
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 1_000
    assert await spend_all(lambda: budget.take("b", RATE, 1)) == 1_000, "nothing was taken of it"


async def test_keeps_subjects_apart(budgets: Callable[[], Budget]) -> None:
    budget = budgets()
    await spend_all(lambda: budget.take("a", RATE, 1))
    assert await spend_all(lambda: budget.take("b", RATE, 1)) == 1_000


async def test_tells_when_to_come_back(budgets: Callable[[], Budget], clock: Clock) -> None:
    budget = budgets()
    await spend_all(lambda: budget.take("a", RATE, 1))
    with pytest.raises(RateLimited) as refused:
        await budget.take("a", RATE, 730)
    assert refused.value.retry_after_s == 8
    clock.now += refused.value.retry_after_s - 1
    with pytest.raises(RateLimited):
        await budget.take("a", RATE, 730)
    clock.now += 1
    await budget.take("a", RATE, 730)


async def test_gives_no_more_to_several_processes_than_credit_on_top(
    budgets: Callable[[], Budget], clock: Clock
) -> None:
    processes = [budgets() for _ in range(4)]

    async def until_spent(budget: Budget) -> int:
        return await spend_all(lambda: budget.take("a", RATE, 1))

    first = sum(await asyncio.gather(*map(until_spent, processes)))
    assert 1_000 <= first <= 1_000 + 4 * CHUNK
    # The credit was settled: it is missing later.
    clock.now += 5.0
    second = sum([await until_spent(budget) for budget in processes])
    assert first + second <= 1_000 + 500
    clock.now += 5.0
    third = sum([await until_spent(budget) for budget in processes])
    assert first + second + third == pytest.approx(1_000 + 1_000, abs=4)


async def test_would_give_more_without_sharing(budgets: Callable[[], Budget], database: Database) -> None:
    """The broken twin: processes that do not meet in the database give a burst each."""
    for name in ("one", "other"):
        budget = Budget(name, database, Clock())
        assert await spend_all(lambda budget=budget: budget.take("a", RATE, 1)) == 1_000
        await settled(budget)


async def test_asks_the_database_once_per_chunk(database: Database, clock: Clock) -> None:
    budget = Budget("requests", database, clock)

    async def take(times: int) -> None:
        for _ in range(times):
            await budget.take("a", RATE, 1)
        await settled(budget)

    assert await statements_of(database, take(int(CHUNK / 2))) == []
    assert len(await statements_of(database, take(int(CHUNK * 10)))) in (10, 11)


async def test_does_not_ask_for_what_cannot_be_there(database: Database, clock: Clock) -> None:
    budget = Budget("requests", database, clock)
    await spend_all(lambda: budget.take("a", RATE, 1))
    await settled(budget)

    async def insist() -> None:
        for _ in range(100):
            with suppress(RateLimited):
                await budget.take("a", RATE, 1)

    assert await statements_of(database, insist()) == []


async def test_lets_many_at_once_share_one_lease(database: Database, clock: Clock) -> None:
    budget = Budget("requests", database, clock)

    async def at_once() -> None:
        await asyncio.gather(*(budget.take("a", RATE, 1) for _ in range(int(CHUNK * 2))))
        await settled(budget)

    assert len(await statements_of(database, at_once())) <= 3


async def test_gives_what_costs_more_than_a_chunk_at_once(budgets: Callable[[], Budget], clock: Clock) -> None:
    budget = budgets()
    standing = await budget.take("a", RATE, 900)
    assert standing.remaining == pytest.approx(100)
    assert standing.full_at == pytest.approx(clock.now + 9.0)


async def test_lets_a_full_bucket_pay_for_what_it_cannot_hold(budgets: Callable[[], Budget], clock: Clock) -> None:
    budget = budgets()
    await budget.take("a", RATE, 50)
    await settled(budget)
    clock.now += 60.0
    await budget.take("a", RATE, 1_500)
    with pytest.raises(RateLimited):
        await budget.take("a", RATE, 100)
    clock.now += 7.0
    await budget.take("a", RATE, 100)


async def test_goes_on_alone_while_the_database_is_away(database_url: str, clock: Clock) -> None:
    database = await Database.open(database_url, Settings(database_url=database_url))
    budget = Budget("requests", database, clock)
    await budget.take("a", RATE, 1)
    await database.close()
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 999
    clock.now += 2.0
    assert await spend_all(lambda: budget.take("a", RATE, 1)) == 200


async def test_is_not_confused_by_clocks_that_differ(database: Database) -> None:
    ahead, behind = Clock(), Clock()
    ahead.now += 30.0
    one, other = Budget("requests", database, ahead), Budget("requests", database, behind)
    taken = await spend_all(lambda: one.take("a", RATE, 1)) + await spend_all(lambda: other.take("a", RATE, 1))
    assert taken <= 1_000 + CHUNK
    await settled(other)


async def test_remembers_so_many_subjects_and_no_more(budgets: Callable[[], Budget]) -> None:
    budget = budgets()
    for number in range(KEPT_SUBJECTS + 100):
        await budget.take(f"address {number}", RATE, 1)
    assert len(budget._shares) == KEPT_SUBJECTS


async def test_clears_away_buckets_that_are_full_again(
    budgets: Callable[[], Budget], clock: Clock, database_url: str
) -> None:
    budget = budgets()
    await budget.take("old", RATE, 900)
    await settled(budget)
    clock.now += 3_601.0
    rate = Rate(per_s=2.0, burst=1e9)
    for _ in range(LEASES_PER_CLEARING):
        await budget.take("new", rate, 1)
        await settled(budget)
    connection = await asyncpg.connect(database_url)
    left = await connection.fetch("select subject from budget")
    await connection.close()
    assert [row["subject"] for row in left] == ["requests:new"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:51234", "192.0.2.7"),
        ("[2001:db8:1:2:3:4:5:6]:51234", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("not an address: " + "x" * 100, "not an address"),
        ("no:address: " + "x" * 100, ("no:address: " + "x" * 100)[:64]),
        ("x" * 100, "x" * 64),
    ],
)
def test_counts_a_network_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_charges_the_key_where_there_is_one(database: Database) -> None:
    budgets = Budgets(database, Settings(anonymous_cost_per_s=0.0))
    stranger = budgets.payer(None, "2001:db8::1")
    assert stranger.subject == "2001:db8::/64"
    assert stranger.requests == Rate(50.0, 500.0)
    assert await budgets.spend(stranger, 1e9) is None
