"""Run the variants as servers, make sure that they answer alike, and measure them in turn."""

import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: The first answer waits until its server has loaded its code, on a machine that may be busy.
PATIENCE_S = 300
ROOT = Path(__file__).parents[2]


class AnswersDiffer(Exception):
    """Two variants do not answer a request alike, so comparing their speed means nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A variant's process."""

    name: str
    port: int
    process_id: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A question put to a server. `like`: the variant whose answers it must give."""

    question: str
    name: str
    server: Server
    requests: Sequence[bytes]
    like: str | None = None
    #: Statements that one answer takes, where the server counts them.
    statements: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one variant did in one round. CPU in milliseconds per request."""

    per_s: float
    p50_ms: float
    p99_ms: float
    server_ms: float
    postgres_ms: float
    load_ms: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a variant did with so many clients, round by round."""

    variant: Variant
    clients: int
    rounds: Sequence[Round]

    @property
    def median(self) -> Round:
        return Round(*(median(getattr(each, name) for each in self.rounds) for name in Round.__slots__))


@contextmanager
def serving(commands: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, Server]]:
    """Run servers by name, each a process of its own, during the block."""
    with ExitStack() as stack:
        yield {name: _serve(stack, name, arguments) for name, arguments in commands.items()}


def _serve(stack: ExitStack, name: str, arguments: Sequence[str]) -> Server:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        number = listener.fileno()
        command = [sys.executable, "-m", "tests.benchmarks.serve", str(number), *arguments]
        process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, pass_fds=(number,), stdout=sys.stderr))
        stack.callback(process.terminate)
        return Server(name, listener.getsockname()[1], process.pid)


# ---------------------------------------------------------------- equal answers


def compare(variants: Sequence[Variant], count: int, leaves: Callable[[Any], Iterator[Any]]) -> Mapping[str, float]:
    """Send every variant its first requests; return the mean number of leaves of each variant's answers.

    Raises: AnswersDiffer.
    """
    seen: dict[str, list[Any]] = {}
    sizes: dict[str, float] = {}
    for variant in variants:
        name = f"{variant.question}, {variant.name}"
        before = _statements(variant)
        answers = [ask(variant, request) for request in variant.requests[:count]]
        _check_statements(variant, _statements(variant) - before, len(answers))
        seen[name] = answers
        expected = seen.get(f"{variant.question}, {variant.like}", answers)
        for number, (answer, other) in enumerate(zip(answers, expected, strict=True)):
            if answer != other or "errors" in answer:
                raise AnswersDiffer(f"{name}, request {number}:\n{answer}\n{variant.like}:\n{other}")
        sizes[name] = sum(sum(1 for _ in leaves(answer)) for answer in answers) / len(answers)
    return sizes


def ask(variant: Variant, request: bytes) -> Any:
    """Send one request; return the decoded response."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    url = f"http://127.0.0.1:{variant.server.port}{first.split()[1]}"
    with urlopen(Request(url, data=body, headers=headers), timeout=PATIENCE_S) as answer:
        return json.load(answer)


def _statements(variant: Variant) -> int:
    if variant.statements is None:
        return 0
    with urlopen(f"http://127.0.0.1:{variant.server.port}/statements", timeout=PATIENCE_S) as answer:
        return json.load(answer)


def _check_statements(variant: Variant, ran: int, answers: int) -> None:
    if variant.statements is not None and ran != variant.statements * answers:
        raise AnswersDiffer(f"{variant.name} took {ran} statements, not {variant.statements} for each of {answers}")


# ---------------------------------------------------------------- measuring


def measure(
    variants: Sequence[Variant],
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    postmaster: int,
    progress: Callable[[], None],
) -> Sequence[Result]:
    """Measure all variants round by round, each time in another order."""
    done: dict[tuple[int, int], list[Round]] = {}
    with TemporaryDirectory() as directory:
        files = [_write(Path(directory) / str(number), variant.requests) for number, variant in enumerate(variants)]
        for variant, file in zip(variants, files, strict=True):
            _load(variant, file, max(clients), seconds)
            progress()
        for turn in range(rounds):
            for at_once in clients:
                for number in _order(len(variants), turn):
                    measured = _measure_one(variants[number], files[number], at_once, seconds, postmaster)
                    done.setdefault((number, at_once), []).append(measured)
                    progress()
    return [Result(variants[number], at_once, every) for (number, at_once), every in sorted(done.items())]


def _order(count: int, turn: int) -> Sequence[int]:
    """Begin with another variant in each round, and go the other way in every other one; neighbours stay neighbours."""
    order = [(turn * 5 + number) % count for number in range(count)]
    return order[::-1] if turn % 2 else order


def _measure_one(variant: Variant, file: Path, clients: int, seconds: float, postmaster: int) -> Round:
    server, postgres = cpu_s(variant.server.process_id), family_cpu_s(postmaster)
    load = _load(variant, file, clients, seconds)
    answers = load["answers"]
    return Round(
        per_s=answers / load["seconds"],
        p50_ms=load["p50_ms"],
        p99_ms=load["p99_ms"],
        server_ms=(cpu_s(variant.server.process_id) - server) * 1000 / answers,
        postgres_ms=(family_cpu_s(postmaster) - postgres) * 1000 / answers,
        load_ms=load["load_cpu_s"] * 1000 / answers,
    )


def _write(path: Path, requests: Sequence[bytes]) -> Path:
    path.write_bytes(pickle.dumps(list(requests)))
    return path


def _load(variant: Variant, file: Path, clients: int, seconds: float) -> Any:
    arguments = [str(variant.server.port), str(clients), str(seconds), str(file)]
    command = [sys.executable, "-m", "tests.benchmarks.load", *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


# ---------------------------------------------------------------- CPU time, from /proc


def _stat(process_id: int) -> list[str]:
    """Return the fields of /proc/<id>/stat that follow the name, which may hold blanks: user time is the twelfth."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()


def cpu_s(process_id: int) -> float:
    """Return the CPU time of a process so far, in seconds."""
    user, system = _stat(process_id)[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def family_cpu_s(parent: int) -> float:
    """Return the CPU time of a process, its children, and those that have ended."""
    ended = sum(map(int, _stat(parent)[13:15])) / TICKS_PER_S
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    alive = 0.0
    for child in children:
        with suppress(FileNotFoundError):
            alive += cpu_s(int(child))
    return cpu_s(parent) + ended + alive
