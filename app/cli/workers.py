"""Several processes that serve on one port: started together, replaced when one dies, stopped together.

They share the listening socket, so that the next free process accepts a connection, and none is lost with a process.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import structlog

from app.cli.connect import STOP_SIGNALS

#: Seconds that a worker may take to stop; longer than it gives to running requests.
PATIENCE_S = 15.0
#: How long a dead worker's replacement waits: what ended it may end all of them.
REPLACED_AFTER_S = 1.0
POLLED_S = 0.25
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger("ochub")


class _Signals:
    """Counts the signals to stop."""

    def __init__(self) -> None:
        self.count = 0

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        wanted = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in wanted:
            signal.signal(number, self.receive)
        try:
            yield
        finally:
            for number, handler in wanted.items():
                signal.signal(number, handler)


def run_workers(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run `work(*arguments)` in so many processes until a signal to stop; a second one does not wait for requests."""
    signals = _Signals()
    with _shared_metrics(), signals.listening():
        workers = [_start(work, arguments) for _ in range(count)]
        try:
            while signals.count == 0:
                workers = _replaced(workers, lambda: _start(work, arguments))
        finally:
            _stop(workers, signals)
    log.info("stopped")


def live_with_parent() -> None:
    """Have a worker leave signals from the terminal to the parent, and stop when the parent has ended."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _start(work: Callable[..., None], arguments: Sequence[Any]) -> BaseProcess:
    # Spawned, not forked: a fork would copy the parent's threads and locks.
    process = get_context("spawn").Process(target=work, args=tuple(arguments), name="ochub worker")
    process.start()
    return process


def _replaced(workers: Sequence[BaseProcess], start: Callable[[], BaseProcess]) -> list[BaseProcess]:
    """Wait a moment for workers that end; return all, with new ones in place of those."""
    dead = set(wait([worker.sentinel for worker in workers], POLLED_S))
    if not dead:
        return list(workers)
    for worker in workers:
        if worker.sentinel in dead:
            worker.join()
            log.warning("a worker died and is replaced", process=worker.pid, code=worker.exitcode)
            _delete_metrics(worker)
    time.sleep(REPLACED_AFTER_S)
    return [start() if worker.sentinel in dead else worker for worker in workers]


def _stop(workers: Sequence[BaseProcess], signals: _Signals) -> None:
    for worker in workers:
        worker.terminate()
    deadline, answered = time.monotonic() + PATIENCE_S, 1
    while any(worker.is_alive() for worker in workers) and time.monotonic() < deadline:
        if signals.count > answered:
            answered = signals.count
            for worker in workers:
                worker.terminate()
        wait([worker.sentinel for worker in workers if worker.is_alive()], POLLED_S)
    for worker in workers:
        worker.kill()
        worker.join()


@contextlib.contextmanager
def _shared_metrics() -> Generator[None]:
    """Store the workers' metrics in files, so that each of them can return the metrics of all."""
    with TemporaryDirectory(prefix="ochub-metrics-") as directory:
        os.environ[METRICS_DIRECTORY] = directory
        try:
            yield
        finally:
            del os.environ[METRICS_DIRECTORY]


def _delete_metrics(worker: BaseProcess) -> None:
    """Delete the gauges of what a dead worker had open; its counters stay."""
    for path in Path(os.environ[METRICS_DIRECTORY]).glob(f"gauge_live*_{worker.pid}.db"):
        path.unlink()
