"""How much longer the hub takes with ten times as many EVSEs, in as many more countries: the same questions of both."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from tests.benchmarks.measure import Result, Variant, compare, measure, serving
from tests.benchmarks.questions import graphql_requests, leaves, questions
from tests.benchmarks.world import COPIED, find_spots, prepare_grown

SIZES = SMALL, LARGE = (100_000, 1_000_000)
ASKED = ("a", "c")
#: To reach: at most so many times the time.
MOST = 1.5
SPOTS = 1_000
COMPARED = 20
#: One alone: what an answer takes, not what the cores do.
CLIENTS = (1,)


def steps(rounds: int) -> int:
    return len(ASKED) * len(SIZES) * (1 + rounds)


def run(
    dsn: str, seed: int, rounds: int, seconds: float, postmaster: int, progress: Callable[[], None]
) -> Mapping[str, float]:
    """Return, by question, the ratio of the median latencies with many and with few EVSEs."""
    databases = {size: prepare_grown(dsn, size) for size in SIZES}
    # Around what was imported both are alike, so both give the same answers.
    spots = [spot for spot in asyncio.run(find_spots(databases[SMALL], SPOTS, seed)) if COPIED not in spot.evse_id]
    with serving({str(size): ["hub", databases[size]] for size in SIZES}) as servers:
        variants = [
            Variant(question.name, str(size), servers[str(size)], graphql_requests(question), like=str(SMALL))
            for question in questions(spots, seed)
            if question.name[0] in ASKED
            for size in SIZES
        ]
        compare(variants, COMPARED, leaves)
        results = measure(variants, CLIENTS, rounds, seconds, postmaster, progress)
    return {question: _times(results, question) for question in ASKED}


def _times(results: Sequence[Result], question: str) -> float:
    p50_ms = {
        result.variant.name: [each.p50_ms for each in result.rounds]
        for result in results
        if result.variant.question.startswith(question)
    }
    return median(many / few for few, many in zip(p50_ms[str(SMALL)], p50_ms[str(LARGE)], strict=True))


def lines(times: Mapping[str, float]) -> list[str]:
    """Format the figures with their targets."""
    return [
        f"({question}) with {LARGE:,} EVSEs: {ratio:.2f} times the time with {SMALL:,}; "
        f"to reach: at most {MOST:g}: {'reached' if ratio <= MOST else 'NOT reached'}"
        for question, ratio in times.items()
    ]
