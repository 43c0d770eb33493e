"""The command: prepare the world, compare the answers, measure, print the table and what was to be reached."""

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.db import cluster
from tests.benchmarks import authorisation, fanout, growth, prices, sockets, status, uploads
from tests.benchmarks.log import measure_log, told
from tests.benchmarks.measure import AnswersDiffer, Result, Round, Variant, compare, measure, serving
from tests.benchmarks.questions import Question, bare_requests, graphql_requests, leaves, questions
from tests.benchmarks.world import World, find_spots, prepare_world

PARTS = ("reads", "growth", "prices", "status", "uploads", "authorisation", "log", "sockets", "fanout")
CLIENTS = (1, 8)
SPOTS = 2_000
COMPARED = 50
#: One statement for the EVSEs, and one for each relation that the documents select.
ORM_STATEMENTS = 4
IMPORT_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Target:
    """How many times a baseline's requests per second the hub is to reach, at 8 clients."""

    question: str
    baseline: str
    times: float


@dataclass(frozen=True, slots=True)
class Limit:
    """How many times the time of another question an answer may take at most, for one client."""

    question: str
    what: str
    other: str
    times: float


TARGETS = (Target("a", "orm", 20), Target("a", "bare", 0.75), Target("b", "orm", 40), Target("b", "bare", 0.7))
CLIENTS_OF_TARGETS = 8
LIMITS = (
    Limit("f", "the 50 nearest with their live status", "a", 1.3),
    Limit("g", "the 50 nearest that are available now, where nine in ten are occupied", "a", 3),
)
#: The questions that the mapper answers too, and that are asked with a key as well.
WITH_ALL_BASELINES = ("a", "b")
BESIDE_BARE = ("c", "d", "e")


@click.command(context_settings={"show_default": True})
@click.option("--evses", default=300_000, help="How many EVSEs the world has at least.")
@click.option("--tokens", default=authorisation.TOKENS, help="How many tokens the longest list has.")
@click.option("--rounds", default=5, help="How often each variant is measured.")
@click.option("--seconds", default=3.0, help="How long each time.")
@click.option("--seed", type=int, help="Repeat an earlier run's questions. [default: by chance]")
@click.option("--data-dir", default="var/benchmarks", type=click.Path(path_type=Path), help="Where the world is kept.")
@click.option(
    "--part", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS, help="What to measure; may be repeated."
)
@click.option("--import/--no-import", "measure_import", default=True, help="Measure the import as well.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file.")
def main(
    evses: int,
    tokens: int,
    rounds: int,
    seconds: float,
    seed: int | None,
    data_dir: Path,
    parts: tuple[str, ...],
    measure_import: bool,
    json_file: Path | None,
) -> None:
    """Measure reads, uploads, tokens, log, sockets and fan-out beside their baselines, in one run; print the ratios.

    A slow answer is no failure: the exit code is 0 unless the variants' answers differ.
    """
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    console = Console(width=120)
    console.print(f"seed: --seed {seed}; load of the machine before: {os.getloadavg()[0]:.1f}")
    figures: dict[str, Any] = {"seed": seed}
    with cluster.start(data_dir) as running:
        postmaster = int((running.home / "data" / "postmaster.pid").read_text().split()[0])
        if "prices" in parts:
            figures["prices"] = _measure_prices(running.dsn, seed, rounds, seconds, postmaster, console)
        if "status" in parts:
            figures["status"] = _measure_status(running.dsn, rounds, seconds, postmaster, console)
        if "uploads" in parts:
            figures["uploads"] = _measure_uploads(running.dsn, console)
        if "authorisation" in parts:
            figures["authorisation"] = _measure_authorisation(running.dsn, postmaster, tokens, rounds, console)
        if "log" in parts:
            figures["log"] = _measure_log(running.dsn, rounds, console)
        if "sockets" in parts:
            figures["sockets"] = _measure_sockets(running.dsn, console)
        if "fanout" in parts:
            figures["fanout"] = _measure_fanout(running.dsn, console)
        if "reads" in parts:
            figures |= _measure_reads(console, running.dsn, evses, measure_import, seed, rounds, seconds, postmaster)
        if "growth" in parts:
            figures["growth"] = _measure_growth(running.dsn, seed, rounds, seconds, postmaster, console)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def _measure_prices(dsn: str, seed: int, rounds: int, seconds: float, postmaster: int, console: Console) -> Any:
    console.print(f"Prices: lists of {prices.FIRST} among {prices.EVSES:,} EVSEs with {prices.TARIFFS} tariffs ...")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Measuring", total=prices.steps(rounds))
        figures = prices.run(dsn, seed, rounds, seconds, postmaster, lambda: progress.advance(task))
    for line in prices.lines(figures):
        console.print(line)
    return asdict(figures)


def _measure_status(dsn: str, rounds: int, seconds: float, postmaster: int, console: Console) -> Any:
    console.print(f"Status: {status.BLOCKS * status.ITEMS:,} EVSEs, {status.ITEMS:,} items per call ...")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Measuring", total=status.steps(rounds))
        figures = status.run(dsn, rounds, seconds, postmaster, lambda: progress.advance(task))
    for line in status.lines(figures):
        console.print(line)
    return {"times": figures.times, "hot": figures.hot, "updates": figures.updates}


def _measure_uploads(dsn: str, console: Console) -> Any:
    console.print(f"Uploads: a list of {uploads.ITEMS:,} charge points in parts of {uploads.PART:,} ...")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Measuring", total=uploads.steps())
        figures = uploads.run(dsn, lambda: progress.advance(task))
    for line in uploads.lines(figures):
        console.print(line)
    return asdict(figures)


def _measure_authorisation(dsn: str, postmaster: int, tokens: int, rounds: int, console: Console) -> Any:
    console.print(f"Authorisation: lists of up to {tokens:,} tokens in parts of {authorisation.PART:,} ...")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Measuring", total=authorisation.steps(tokens, rounds=rounds))
        figures = authorisation.run(dsn, postmaster, lambda: progress.advance(task), tokens, rounds=rounds)
    for line in authorisation.lines(figures):
        console.print(line)
    console.print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
    return asdict(figures)


def _measure_log(dsn: str, rounds: int, console: Console) -> Any:
    console.print("Change log ...")
    figures = asyncio.run(measure_log(dsn, rounds))
    for line in told(figures):
        console.print(line)
    return asdict(figures)


def _measure_sockets(dsn: str, console: Console) -> Any:
    console.print(f"Sockets: opening {sockets.SOCKETS:,} on each of two servers ...")
    figures = sockets.run(dsn)
    for line in sockets.lines(figures):
        console.print(line)
    return asdict(figures)


def _measure_growth(
    dsn: str, seed: int, rounds: int, seconds: float, postmaster: int, console: Console
) -> Mapping[str, float]:
    console.print(f"Growth: {growth.SMALL:,} and {growth.LARGE:,} EVSEs (made once, in minutes, and kept) ...")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Measuring", total=growth.steps(rounds))
        times = growth.run(dsn, seed, rounds, seconds, postmaster, lambda: progress.advance(task))
    for line in growth.lines(times):
        console.print(line)
    return times


def _measure_fanout(dsn: str, console: Console) -> Any:
    console.print("Fan-out: 1,000 subscribers, each change reaches 100 ...")
    figures = asyncio.run(fanout.measure_fanout(dsn))
    for line in fanout.told(figures):
        console.print(line)
    return asdict(figures)


def _measure_reads(
    console: Console,
    dsn: str,
    evses: int,
    measure_import: bool,
    seed: int,
    rounds: int,
    seconds: float,
    postmaster: int,
) -> Any:
    console.print(f"Preparing at least {evses:,} EVSEs (made once and kept) ...")
    world = prepare_world(dsn, evses, measure_import)
    try:
        sizes, results = _run(world, seed, rounds, seconds, postmaster, console)
    except AnswersDiffer as error:
        raise click.ClickException(f"the variants' answers differ: {error}") from None
    _print_all(console, world, sizes, results)
    return _figures(seed, world, sizes, results)


def _run(
    world: World, seed: int, rounds: int, seconds: float, postmaster: int, console: Console
) -> tuple[Mapping[str, float], Sequence[Result]]:
    spots = asyncio.run(find_spots(world.dsn, SPOTS, seed))
    commands = {
        "hub": ["hub", world.dsn],
        "bare": ["bare", world.dsn],
        "bare, key": ["bare", world.dsn, str(world.nsp_role_id)],
        "orm": ["orm", world.dsn],
        "orm, cached": ["orm-cached", world.dsn],
    }
    with serving(commands) as servers:
        variants = [
            variant for question in questions(spots, seed) for variant in _variants(question, servers, world.key)
        ]
        sizes = compare(variants, COMPARED, leaves)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("Measuring", total=len(variants) * (1 + rounds * len(CLIENTS)))
            results = measure(variants, CLIENTS, rounds, seconds, postmaster, lambda: progress.advance(task))
    return sizes, results


def _variants(question: Question, servers: Mapping[str, Any], key: str) -> list[Variant]:
    asked = graphql_requests(question)
    variants = [Variant(question.name, "hub", servers["hub"], asked)]
    if question.path is None:
        return variants
    bare = bare_requests(question, question.path)
    variants.append(Variant(question.name, "bare", servers["bare"], bare, like="hub"))
    if question.name[0] not in WITH_ALL_BASELINES:
        return variants
    return [
        *variants,
        Variant(question.name, "orm", servers["orm"], asked, like="hub", statements=ORM_STATEMENTS),
        Variant(question.name, "orm, cached", servers["orm, cached"], asked, like="hub", statements=ORM_STATEMENTS),
        Variant(question.name, "hub, key", servers["hub"], graphql_requests(question, key)),
        Variant(question.name, "bare, key", servers["bare, key"], bare, like="hub, key"),
    ]


# ---------------------------------------------------------------- what is printed


def _print_all(console: Console, world: World, sizes: Mapping[str, float], results: Sequence[Result]) -> None:
    console.print(f"{world.evses:,} EVSEs of {world.operators} operators; leaf values per answer of the hub:")
    for name, size in sizes.items():
        if name.endswith("hub"):
            console.print(f"  {name.removesuffix(', hub')}: {size:,.1f}")
    console.print(_table(results))
    for line in _verdicts(results):
        console.print(line)
    if world.imported is not None:
        console.print(_import_line(world))


def _table(results: Sequence[Result]) -> Table:
    table = Table()
    for heading in ("question", "variant"):
        table.add_column(heading)
    for heading in ("clients", "requests/s", "p50 ms", "p99 ms", "server CPU ms", "PostgreSQL CPU ms", "load CPU ms"):
        table.add_column(heading, justify="right")
    for clients in CLIENTS:
        for result in results:
            if result.clients == clients:
                table.add_row(*_cells(result))
        table.add_section()
    return table


def _cells(result: Result) -> list[str]:
    r = result.median
    return [
        result.variant.question,
        result.variant.name,
        str(result.clients),
        f"{r.per_s:,.0f}" if r.per_s >= 100 else f"{r.per_s:.1f}",
        *(f"{value:.2f}" for value in (r.p50_ms, r.p99_ms, r.server_ms, r.postgres_ms, r.load_ms)),
    ]


def _verdicts(results: Sequence[Result]) -> list[str]:
    targets = [_verdict(results, target) for target in TARGETS]
    others = [
        f"({letter}) {_ratios(results, letter, name, baseline)}"
        for letter in WITH_ALL_BASELINES
        for name, baseline in (("hub", "orm, cached"), ("hub, key", "bare, key"), ("hub, key", "hub"))
    ]
    others += [f"({letter}) {_ratios(results, letter, 'hub', 'bare')}" for letter in BESIDE_BARE]
    return [
        f"At {CLIENTS_OF_TARGETS} clients, medians of the rounds' ratios:",
        *targets,
        *others,
        "At one client:",
        *(_limited(results, limit) for limit in LIMITS),
    ]


def _verdict(results: Sequence[Result], target: Target) -> str:
    reached = ratio(results, target.question, "hub", target.baseline, _per_s)
    word = "reached" if reached >= target.times else "NOT reached"
    ratios = _ratios(results, target.question, "hub", target.baseline)
    return f"({target.question}) {ratios}; to reach: {target.times:g}: {word}"


def _limited(results: Sequence[Result], limit: Limit) -> str:
    took, cpu = (times_as_much(results, limit, of) for of in (_p50_ms, _cpu_ms))
    word = "reached" if took <= limit.times else "NOT reached"
    return (
        f"({limit.question}) {limit.what}: {took:.2f} times as long as ({limit.other}), {cpu:.2f} times the CPU;"
        f" to reach: at most {limit.times:g}: {word}"
    )


def _p50_ms(measured: Round) -> float:
    return measured.p50_ms


def _cpu_ms(measured: Round) -> float:
    return measured.server_ms + measured.postgres_ms


def times_as_much(results: Sequence[Result], limit: Limit, of: Callable[[Round], float]) -> float:
    """Return the ratio of the hub's cost to that of the other question: the median over rounds."""
    taken = {
        result.variant.question[0]: [of(each) for each in result.rounds]
        for result in results
        if result.clients == 1 and result.variant.name == "hub"
    }
    return median(one / other for one, other in zip(taken[limit.question], taken[limit.other], strict=True))


def _ratios(results: Sequence[Result], letter: str, name: str, baseline: str) -> str:
    per_s, cpu = (ratio(results, letter, name, baseline, of) for of in (_per_s, _per_cpu_s))
    return f"{name} / {baseline}: {per_s:.2f} times the requests/s, {cpu:.2f} times as many per second of CPU"


def _per_s(measured: Round) -> float:
    return measured.per_s


def _per_cpu_s(measured: Round) -> float:
    """Return requests per second of CPU, server and PostgreSQL together: steadier on a machine that is shared."""
    return 1000 / _cpu_ms(measured)


def ratio(results: Sequence[Result], letter: str, name: str, baseline: str, of: Callable[[Round], float]) -> float:
    """Return how many times as good as a baseline a variant was: the median over rounds, each with its own ratio."""
    of_all = {
        result.variant.name: [of(each) for each in result.rounds]
        for result in results
        if result.clients == CLIENTS_OF_TARGETS and result.variant.question.startswith(letter)
    }
    return median(one / other for one, other in zip(of_all[name], of_all[baseline], strict=True))


def _import_line(world: World) -> str:
    imported = world.imported
    assert imported is not None
    word = "reached" if imported.seconds < IMPORT_LIMIT_S else "NOT reached"
    return (
        f"import of {imported.what}: {imported.seconds:.1f} s (to reach: under {IMPORT_LIMIT_S} s: {word}), "
        f"peak {imported.peak_mb:.0f} MB, {imported.evses:,} EVSEs"
    )


def _figures(seed: int, world: World, sizes: Mapping[str, float], results: Sequence[Result]) -> Any:
    return {
        "seed": seed,
        "evses": world.evses,
        "operators": world.operators,
        "leaves": sizes,
        "import": None if world.imported is None else asdict(world.imported),
        "results": [
            {
                "question": result.variant.question,
                "variant": result.variant.name,
                "clients": result.clients,
                **asdict(result.median),
            }
            for result in results
        ],
        "ratios": [
            {**asdict(target), "reached": ratio(results, target.question, "hub", target.baseline, _per_s)}
            for target in TARGETS
        ],
        "limits": [{**asdict(limit), "reached": times_as_much(results, limit, _p50_ms)} for limit in LIMITS],
    }


if __name__ == "__main__":
    main()
