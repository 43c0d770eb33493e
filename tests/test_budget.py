"""Budgets: what a subject may take, and when it may take more."""

from collections.abc import Callable

import pytest

from app.budget import KEPT_SUBJECTS, Budget, Budgets, Rate, RateLimited, network_of
from app.settings import Settings

RATE = Rate(per_s=100.0, burst=1_000.0)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget("requests", clock)


def spend_all(take: Callable[[], object]) -> int:
    """Take until nothing is left. Return how often that was possible."""
    for times in range(100_000):
        try:
            take()
        except RateLimited:
            return times
    raise AssertionError("there is no end to it")


def test_holds_a_burst_and_refills(budget: Budget, clock: Clock) -> None:
    assert spend_all(lambda: budget.take("a", RATE, 1)) == 1_000
    clock.now += 3.0
    assert spend_all(lambda: budget.take("a", RATE, 1)) == 300
    clock.now += 1_000.0
    assert spend_all(lambda: budget.take("a", RATE, 1)) == 1_000


def test_refills_while_it_refuses(budget: Budget, clock: Clock) -> None:
    spend_all(lambda: budget.take("a", RATE, 1))
    for _ in range(100):
        clock.now += 0.001
        with pytest.raises(RateLimited):
            budget.take("a", RATE, 10.5)
    clock.now += 0.005
    budget.take("a", RATE, 10.4)


def test_returns_tokens_and_holds_no_more_than_a_burst(budget: Budget, clock: Clock) -> None:
    for _ in range(2_000):
        budget.take("a", RATE, 1)
        budget.give_back("a", 1)
    budget.give_back("b", 1_000)
    assert spend_all(lambda: budget.take("a", RATE, 1)) == 1_000
    assert spend_all(lambda: budget.take("b", RATE, 1)) == 1_000, "nothing was taken of it"
    clock.now += 1_000.0
    budget.take("a", RATE, 1)
    budget.give_back("a", 500)
    assert spend_all(lambda: budget.take("a", RATE, 1)) == 1_000


def test_keeps_subjects_apart(budget: Budget) -> None:
    spend_all(lambda: budget.take("a", RATE, 1))
    assert spend_all(lambda: budget.take("b", RATE, 1)) == 1_000


def test_says_when_to_come_back(budget: Budget, clock: Clock) -> None:
    spend_all(lambda: budget.take("a", RATE, 1))
    with pytest.raises(RateLimited) as refused:
        budget.take("a", RATE, 730)
    assert refused.value.retry_after_s == 8
    clock.now += refused.value.retry_after_s - 1
    with pytest.raises(RateLimited):
        budget.take("a", RATE, 730)
    clock.now += 1
    budget.take("a", RATE, 730)


def test_says_what_is_left_and_when_it_is_full(budget: Budget) -> None:
    standing = budget.take("a", RATE, 900)
    assert (standing.remaining, standing.full_in_s) == (100, 9.0)


def test_lets_a_full_bucket_pay_for_what_it_cannot_hold(budget: Budget, clock: Clock) -> None:
    budget.take("a", RATE, 50)
    clock.now += 60.0
    assert budget.take("a", RATE, 1_500).remaining == 0
    with pytest.raises(RateLimited):
        budget.take("a", RATE, 100)
    clock.now += 7.0
    budget.take("a", RATE, 100)


def test_keeps_so_many_subjects_and_evicts_the_one_used_least_recently(budget: Budget) -> None:
    spend_all(lambda: budget.take("busy", RATE, 1))
    for number in range(KEPT_SUBJECTS + 100):
        budget.take(f"address {number}", RATE, 1)
        if number % 1_000 == 0:
            assert spend_all(lambda: budget.take("busy", RATE, 1)) == 0
    assert len(budget._buckets) == KEPT_SUBJECTS
    assert spend_all(lambda: budget.take("busy", RATE, 1)) == 0


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


def test_charges_the_key_where_there_is_one() -> None:
    budgets = Budgets(Settings(anonymous_cost_per_s=0.0))
    stranger = budgets.payer(None, "2001:db8::1")
    assert stranger.subject == "2001:db8::/64"
    assert stranger.requests == Rate(50.0, 500.0)
    assert budgets.charge_cost(stranger, 1e9) is None
