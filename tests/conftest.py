"""One private cluster for the whole run, and in it a database of its own for every test that asks for one."""

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from app.db.cluster import Cluster, start
from app.db.cluster_home import ClusterUnusable
from app.db.engine import Database
from app.db.migrate import migrate
from app.settings import Settings
from tests.databases import CLUSTERS, Databases, make_template, only_one_process
from tests.length import set_full_length

pytest_plugins = ["tests.hub"]

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
TEMPLATE = "ochub_template"
SHOWN_FILES = 12

# Two busy cores make every deadline a matter of luck.
hypothesis_settings.register_profile("brief", deadline=None, print_blob=True, max_examples=40)
hypothesis_settings.register_profile("full", deadline=None, print_blob=True, max_examples=100)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-length", action="store_true", help="generate as much input as `make soak` does")
    parser.addoption("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="repeat an earlier run")


def pytest_configure(config: pytest.Config) -> None:
    _heed_signals()
    sys.addaudithook(_refuse_processes)
    if _is_main_process(config):
        config.option.cluster_directory = str(CLUSTERS / f"ochub-tests-{os.geteuid()}-{os.getpid()}")
        _remove_abandoned_clusters()
    else:
        config.option.__dict__.update(config.workerinput["ours"])  # pyright: ignore[reportAttributeAccessIssue]: set by xdist
    config.option.hypothesis_seed = str(config.option.seed)
    set_full_length(config.option.full_length)
    hypothesis_settings.load_profile("full" if config.option.full_length else "brief")


def _is_generated(item: pytest.Item) -> bool:
    """Return whether a test goes on for longer at full length, or runs there only."""
    if item.get_closest_marker("timed"):
        return True
    return hasattr(getattr(item, "function", None), "hypothesis") or hasattr(getattr(item, "module", None), "rounds")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass a parallel worker what only the main process knows."""
    options = node.config.option
    node.workerinput["ours"] = {name: getattr(options, name) for name in ("seed", "cluster_directory", "full_length")}


def pytest_unconfigure(config: pytest.Config) -> None:
    if _is_main_process(config):
        shutil.rmtree(config.option.cluster_directory, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: --seed={config.option.seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    full = config.option.full_length
    items[:] = [item for item in items if (_is_generated(item) if full else not item.get_closest_marker("timed"))]
    if not REAL_DATA.is_dir():
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(pytest.mark.skip(reason="the real data is not there"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a test that failed at once: a run that is cut short never comes to its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        where = report.longreprtext.strip().rpartition("\n")[2]
        sys.stderr.write(f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.0f} s): {where}\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.getreports("skipped") if "realdata" in report.keywords]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests on real data not run: ../shared/data is not there")
    _print_slowest_files(terminalreporter)


def _print_slowest_files(terminalreporter: pytest.TerminalReporter) -> None:
    files = defaultdict[str, float](float)
    for report in [each for reports in terminalreporter.stats.values() for each in reports]:
        if isinstance(report, pytest.TestReport):
            files[report.nodeid.partition("::")[0]] += report.duration
    if len(files) < 2:
        return
    terminalreporter.section("slowest files")
    for name, seconds in sorted(files.items(), key=lambda each: -each[1])[:SHOWN_FILES]:
        terminalreporter.write_line(f"{seconds:8.1f}s {name}")
    terminalreporter.write_line(f"{sum(files.values()):8.1f}s all {len(files)}, added up over the processes")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The number that `--seed` repeats."""
    return pytestconfig.option.seed


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Find a file of the real data by its path in ../shared/data; for tests marked `realdata`."""

    def find(name: str) -> Path:
        path = REAL_DATA / name
        assert path.exists(), f"{path} is not there"
        return path

    return find


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """One server for the run; parallel workers share it, and the last to leave stops it."""
    with _processes_allowed():
        cluster = start(Path(pytestconfig.option.cluster_directory), fast_and_unsafe=True)
    with cluster:
        yield cluster


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """The name of a migrated, empty database, made once per run."""
    with only_one_process(cluster):
        asyncio.run(make_template(cluster.dsn, TEMPLATE, lambda dsn: migrate(dsn, Settings(database_url=dsn))))
    return TEMPLATE


@pytest.fixture(scope="session")
def databases(cluster: Cluster, template: str) -> Iterator[Databases]:
    """Clones of the empty database."""
    with Databases(cluster.dsn, template) as databases:
        yield databases


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A fresh migrated database of the test's own."""
    with databases.one() as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The hub's connections to the test's own database."""
    database = await Database.open(database_url, Settings(database_url=database_url))
    yield database
    await database.close()


#: Whether the test that runs may; read by a hook of the interpreter, which cannot be removed.
_may_start_processes = True


@contextmanager
def _processes_allowed(allowed: bool = True) -> Iterator[None]:
    global _may_start_processes
    before, _may_start_processes = _may_start_processes, allowed
    try:
        yield
    finally:
        _may_start_processes = before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Refuse processes to tests that are not marked for them: `make check` leaves the marked ones out."""
    with _processes_allowed(item.get_closest_marker("process") is not None):
        return (yield)


def _refuse_processes(event: str, _arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty") and not _may_start_processes:
        raise RuntimeError("the test starts a process of its own: mark it with `process`")


def _heed_signals() -> None:
    """Restore Ctrl-C for programs that tests start, though a shell that runs the tests in background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _is_main_process(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def _remove_abandoned_clusters() -> None:
    """Remove what earlier runs left that were killed; runs that are under way keep theirs."""
    for directory in CLUSTERS.glob(f"ochub-tests-{os.geteuid()}-*"):
        if time.time() - directory.stat().st_mtime > 60:
            try:
                with start(directory, fast_and_unsafe=True) as cluster:
                    abandoned = cluster.owned
            except ClusterUnusable:
                abandoned = True  # its run was killed while it cleared up
            if abandoned:
                shutil.rmtree(directory, ignore_errors=True)
