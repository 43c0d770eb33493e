"""`ochub serve --workers N` as real processes: they share a port, are replaced, count together and stop together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.process

OCHUB = (sys.executable, "-c", "from app.cli import main; main()")
PATIENCE_S = 120.0
ASKED = 'ochub_graphql_requests_total{way="compiled"}'


def children(parent: int) -> set[int]:
    """The workers of a hub: its children that Python spawned, without the one that tracks resources."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, ppid = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
            if ppid == parent and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.add(pid)
        except OSError:
            continue  # it has gone meanwhile
    return found


class Hub:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.url = ""

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    def wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.02)

    def serving(self) -> int:
        """How many workers have said that they serve."""
        return sum('"message":"serving"' in line for line in self.said())

    def ask(self, times: int) -> None:
        for _ in range(times):  # each on a connection of its own, so that all workers have a share
            answer = httpx.post(f"{self.url}/graphql", json={"query": "{ evses { nodes { evseId } } }"}, timeout=60)
            assert answer.json()["data"] == {"evses": {"nodes": []}}

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=60).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@contextmanager
def running(database_url: str, directory: Path, workers: int) -> Generator[Hub]:
    log = directory / "log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OCHUB_")}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*OCHUB, "serve", "--port", "0", "--workers", str(workers)],
            env={**kept, "DATABASE_URL": database_url},
            cwd=Path(__file__).parents[2],
            stderr=errors,
            start_new_session=True,
        )
    hub = Hub(process, log)
    try:
        hub.wait(lambda: hub.serving() == workers)
        hub.url = next(line.split('"url":"')[1].split('"')[0] for line in hub.said() if '"url":"' in line)
        yield hub
    finally:
        process.kill()
        process.wait(30)


def test_serves_and_counts_as_one_replaces_a_worker_that_dies_and_stops_in_peace(
    database_url: str, tmp_path: Path
) -> None:
    with running(database_url, tmp_path, 2) as hub:
        hub.ask(20)
        assert {hub.metric(ASKED) for _ in range(6)} == {20.0}
        hub.wait(lambda: hub.metric("ochub_leader") == 1)
        before = children(hub.process.pid)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        hub.ask(10)  # meanwhile the other one answers
        hub.wait(lambda: hub.serving() == 3)
        assert len(children(hub.process.pid) - before) == 1
        hub.ask(10)
        assert hub.metric(ASKED) >= 39  # what a dead worker has counted stays, but for what it had in hand
        hub.wait(lambda: hub.metric("ochub_leader") == 1)
        workers = children(hub.process.pid)
        hub.process.send_signal(signal.SIGTERM)
        check_peace(hub, workers)


def test_stops_in_peace_when_its_terminal_says_so(database_url: str, tmp_path: Path) -> None:
    with running(database_url, tmp_path, 2) as hub:
        workers = children(hub.process.pid)
        os.killpg(hub.process.pid, signal.SIGINT)  # as a terminal does
        check_peace(hub, workers)


def check_peace(hub: Hub, workers: set[int]) -> None:
    """Wait for the end: every worker that was left, and the hub, has said that it stopped."""
    assert hub.process.wait(PATIENCE_S) == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert sum('"message":"stopped"' in line for line in hub.said()) == 3
    assert "Traceback" not in hub.log.read_text()


def test_leaves_no_worker_behind_when_it_is_killed(database_url: str, tmp_path: Path) -> None:
    with running(database_url, tmp_path, 2) as hub:
        workers = children(hub.process.pid)
        hub.process.kill()
        hub.process.wait(30)
        deadline = time.monotonic() + PATIENCE_S
        while any(_lives(worker) for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_refuses_an_old_schema_before_it_starts_any(database_url: str, tmp_path: Path) -> None:
    asked = ["serve", "--port", "0", "--workers", "2"]
    environment = {**os.environ, "DATABASE_URL": database_url.replace("/test_", "/no_such_")}
    done = subprocess.run([*OCHUB, *asked], env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "cannot use the database" in done.stderr
