"""The private cluster: made, found, shared, killed, left behind and stopped."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from app.db import cluster as cluster_module
from app.db import postgres, supervision
from app.db.cluster import Cluster, start
from app.db.cluster_home import Account, ClusterUnusable, find_home
from app.db.postgres import PostgresMissing, find_binaries
from app.db.supervision import supervised
from tests.databases import CLUSTERS
from tests.waiting import eventually

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")


@pytest.fixture
def somewhere() -> Iterator[Path]:
    """A directory that the server's user can reach; whatever a test leaves in it or runs on it is removed."""
    directory = Path(tempfile.mkdtemp(prefix="ochub-", dir=CLUSTERS))
    directory.chmod(0o755)
    yield directory
    for home in directory.rglob("cluster"):
        for process in processes_in(home / "data"):
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(home.resolve())
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data directory whose cluster is made and not running."""
    directory = Path(tempfile.mkdtemp(prefix="ochub-", dir=CLUSTERS))
    directory.chmod(0o755)
    with use(directory):
        pass
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def data_dir(somewhere: Path, made: Path) -> Path:
    """A copy of it, for tests that are not about the making."""
    subprocess.run(["cp", "-a", made, somewhere / "data"], check=True)
    return somewhere / "data"


def use(data_dir: Path) -> Cluster:
    return start(data_dir, fast_and_unsafe=True)


def ask(cluster: Cluster, statement: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(cluster.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def processes_in(data: Path) -> list[int]:
    """The processes that work in a directory, as every PostgreSQL process does in its cluster's."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").samefile(data):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def postmaster(cluster: Cluster) -> int:
    return int((cluster.home / "data" / "postmaster.pid").read_text().split()[0])


def account_of(cluster: Cluster) -> Account:
    return find_home(cluster.home.parent).account


def run(
    script: str, data_dir: Path, account: Account | None = None, python: Path | None = None
) -> subprocess.Popen[str]:
    """Run a script beside this process; it has `start`, `data_dir` and `ask`."""
    prelude = """
        import asyncio, os, signal, sys
        from pathlib import Path
        import asyncpg
        from app.db.cluster import start

        data_dir = Path(sys.argv[1])

        async def fetch(cluster, statement):
            connection = await asyncpg.connect(cluster.dsn)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        def ask(cluster, statement):
            return asyncio.run(fetch(cluster, statement))
    """
    return subprocess.Popen(
        [python or sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(script), data_dir],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **({"user": account.uid, "group": account.gid, "extra_groups": ()} if account else {}),
    )


def find_python(account: Account) -> Path | None:
    """Find a Python of this version that a user can run; this one may lie in a private directory."""
    for python in (Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", ""], check=False, **account.process()).returncode == 0:
                return python
    return None


def ended(process: subprocess.Popen[str]) -> str:
    """What a script printed; it must have ended well."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def test_makes_a_cluster_that_answers_through_its_socket_only(somewhere: Path) -> None:
    with use(somewhere) as cluster:
        assert cluster.owned
        assert ask(cluster, "select current_user || '@' || current_database()") == "ochub@ochub"
        assert ask(cluster, "show listen_addresses") == ""
        assert ask(cluster, "show server_encoding") == "UTF8"
        assert ask(cluster, "select upper('é') || (select 'Z' < 'a')") == "Étrue"
        socket_directory = Path(ask(cluster, "show unix_socket_directories"))
        assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700


def test_keeps_what_was_written(somewhere: Path) -> None:
    with start(somewhere) as cluster:
        ask(cluster, "create table kept as select 1")
    with start(somewhere) as cluster:
        assert ask(cluster, "select count(*) from kept") == 1
        assert ask(cluster, "show fsync") == "on"


@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["private", "open"])
def test_serves_from_a_path_of_200_characters(somewhere: Path, mode: int) -> None:
    parent = somewhere / "parent"
    parent.mkdir(mode)
    data_dir = parent / "path,with: everything 'in' it"
    data_dir /= "x" * (200 - len(str(data_dir)) - 1)
    with use(data_dir) as cluster:
        socket_path = Path(ask(cluster, "show unix_socket_directories")) / ".s.PGSQL.5432.lock"
        assert len(str(data_dir)) == 200
        assert len(os.fsencode(socket_path)) < 100
        assert socket_path.exists()
        # Where root's server cannot reach the data directory, a link leads to what it can reach.
        assert (data_dir / "cluster").is_symlink() == (IS_ROOT and mode == 0o700)
        assert (data_dir / "cluster").resolve() == cluster.home
    assert not socket_path.exists()


def test_stops_every_process_it_started(data_dir: Path) -> None:
    with use(data_dir) as cluster:
        data = cluster.home / "data"
        assert postmaster(cluster) in processes_in(data)
    assert processes_in(data) == []
    assert not (data / "postmaster.pid").exists()
    cluster.stop()


def test_shares_a_running_server_until_the_last_one_leaves(data_dir: Path) -> None:
    with use(data_dir) as hub:
        command = use(data_dir)
        assert not command.owned
        assert postmaster(command) == postmaster(hub)
    assert ask(command, "select 1") == 1
    command.stop()
    assert processes_in(hub.home / "data") == []


def test_takes_over_the_server_of_a_killed_hub(data_dir: Path) -> None:
    killed = run("cluster = start(data_dir, fast_and_unsafe=True); os.kill(os.getpid(), signal.SIGKILL)", data_dir)
    killed.communicate(timeout=60)
    data = data_dir / "cluster" / "data"
    server = processes_in(data)
    assert server
    with use(data_dir) as cluster:
        assert cluster.owned
        assert postmaster(cluster) in server
    assert processes_in(data) == []


def test_starts_again_after_its_server_was_killed(data_dir: Path) -> None:
    hub = start(data_dir)
    ask(hub, "create table kept as select 1")
    os.kill(killed := postmaster(hub), signal.SIGKILL)
    with use(data_dir) as cluster:
        assert postmaster(cluster) != killed
        assert ask(cluster, "select count(*) from kept") == 1
    # The hub whose server was killed still counts as a user of the new one.
    assert ask(hub, "select 1") == 1
    hub.stop()
    assert processes_in(hub.home / "data") == []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def kill_all(cluster: Cluster) -> None:
    """Kill a server with all its processes, so that none of them can start the others again."""
    while processes := processes_in(cluster.home / "data"):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def test_starts_a_server_again_that_died_while_it_is_used(data_dir: Path) -> None:
    with use(data_dir) as hub, supervised(hub):
        ask(hub, "create table kept as select 1")
        ask(hub, "checkpoint")  # the tests' server does not wait for the disk
        for _ in range(2):
            before = postmaster(hub)
            kill_all(hub)
            until(lambda before=before: answers(hub) and postmaster(hub) != before)
            assert ask(hub, "select count(*) from kept") == 1
    assert processes_in(data_dir / "cluster" / "data") == []


def test_goes_on_trying_while_a_server_does_not_start(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_S", 0.02)
    with use(data_dir) as hub, supervised(hub), capture_logs() as logged:
        needed, away = hub.home / "data" / "global", hub.home / "data" / "away"
        needed.rename(away)
        kill_all(hub)
        until(lambda: sum("does not start" in each["event"] for each in logged) > 2)
        away.rename(needed)
        until(lambda: answers(hub))


def answers(cluster: Cluster) -> bool:
    try:
        return ask(cluster, "select 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


async def test_waits_for_the_last_process_of_a_killed_server(data_dir: Path) -> None:
    hub = await asyncio.to_thread(use, data_dir)
    connection = await asyncpg.connect(hub.dsn)
    backend = connection.get_server_pid()
    watcher = await asyncpg.connect(hub.dsn)
    busy = asyncio.create_task(connection.fetchval("select sum(sqrt(n)) from generate_series(1, 10000000) n"))
    is_busy = "select state = 'active' from pg_stat_activity where pid = $1"
    await eventually(lambda: watcher.fetchval(is_busy, backend))
    os.kill(killed := postmaster(hub), signal.SIGKILL)
    while killed in processes_in(hub.home / "data"):
        pass
    assert backend in processes_in(hub.home / "data")
    with await asyncio.to_thread(use, data_dir) as cluster:
        assert backend not in processes_in(hub.home / "data")
        assert postmaster(cluster) in processes_in(hub.home / "data")
        await asyncio.gather(busy, return_exceptions=True)
        for each in (connection, watcher):
            each.terminate()
        await asyncio.to_thread(hub.stop)


def leave_stale_files(cluster: Cluster, living: int) -> None:
    """Pretend that a server died and its number went to another process of the same user."""
    pid_file = f"{living}\n{cluster.home}/data\n1700000000\n5432\n/tmp\n\n  1234567   1234567\nready   \n"
    door = find_home(cluster.home.parent).socket_directory / ".s.PGSQL.5432"
    for path in (cluster.home / "data" / "postmaster.pid", door, door.with_name(f"{door.name}.lock")):
        path.write_text(pid_file)
        os.chown(path, account_of(cluster).uid, account_of(cluster).gid)


@pytest.fixture
def bystander(data_dir: Path) -> Iterator[tuple[Cluster, int]]:
    """A stopped cluster whose stale files name a living process that has nothing to do with it."""
    with use(data_dir) as cluster:
        pass
    with subprocess.Popen(["sleep", "60"], **account_of(cluster).process()) as process:
        leave_stale_files(cluster, process.pid)
        yield cluster, process.pid
        process.kill()


def test_is_not_held_up_by_stale_files_that_name_a_living_process(
    data_dir: Path, bystander: tuple[Cluster, int]
) -> None:
    with use(data_dir) as cluster:
        assert ask(cluster, "select 1") == 1
    os.kill(bystander[1], 0)


def test_would_be_held_up_by_stale_files_if_it_left_them(
    data_dir: Path, bystander: tuple[Cluster, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "_clear_leftovers", lambda home: None)
    with pytest.raises(ClusterUnusable, match=r"lock file .* already exists"):
        use(data_dir)


def test_makes_the_cluster_anew_after_half_an_initdb(somewhere: Path) -> None:
    half = somewhere / "cluster" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    with use(somewhere) as cluster:
        assert ask(cluster, "select 1") == 1
        assert not half.exists()


def test_makes_the_cluster_after_its_making_was_killed(somewhere: Path) -> None:
    maker = run("start(data_dir, fast_and_unsafe=True)", somewhere)
    unfinished = somewhere / "cluster" / "data.new"
    while not (unfinished / "PG_VERSION").exists() and maker.poll() is None:
        time.sleep(0.001)
    maker.kill()
    maker.communicate()
    assert unfinished.exists()
    with use(somewhere) as cluster:
        assert ask(cluster, "select 1") == 1


def test_makes_one_cluster_when_several_start_at_once(somewhere: Path) -> None:
    script = """
        cluster = start(data_dir, fast_and_unsafe=True)
        print(cluster.owned, ask(cluster, "select pg_postmaster_start_time()"), flush=True)
        sys.stdin.read()
        cluster.stop()
    """
    starters = [run(script, somewhere) for _ in range(4)]
    said = [starter.stdout.readline().split(maxsplit=1) for starter in starters if starter.stdout]
    for starter in starters:
        ended(starter)
    assert sorted(owned for owned, _ in said) == ["False", "False", "False", "True"]
    assert len({started for _, started in said}) == 1
    assert processes_in(somewhere / "cluster" / "data") == []


def test_finds_one_home_when_several_look_at_once(somewhere: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(50):
            together = Barrier(8)

            def look(data_dir: Path = somewhere / str(attempt), together: Barrier = together) -> Path:
                together.wait()
                return find_home(data_dir).path

            looks = [pool.submit(look) for _ in range(8)]
            assert {done.result() for done in looks} == {somewhere / str(attempt) / "cluster"}


def test_keeps_its_server_out_of_reach_of_ctrl_c(data_dir: Path) -> None:
    script = """
        cluster = start(data_dir, fast_and_unsafe=True)
        try:
            print("started", flush=True)
            sys.stdin.read()
        except KeyboardInterrupt:
            print(ask(cluster, "select 'still here'"))
            cluster.stop()
    """
    hub = run(script, data_dir)
    assert hub.stdout
    assert hub.stdout.readline() == "started\n"
    os.killpg(hub.pid, signal.SIGINT)
    assert ended(hub) == "still here\n"
    assert processes_in(data_dir / "cluster" / "data") == []


def test_leaves_a_server_alone_that_it_did_not_start(data_dir: Path) -> None:
    with use(data_dir) as cluster:
        data, account = cluster.home / "data", account_of(cluster)
    manual = [find_binaries() / "postgres", "-D", data, "-k", find_home(data_dir).socket_directory, "-h", ""]
    with subprocess.Popen(manual, stderr=subprocess.DEVNULL, **account.process()) as server:
        while not (data / "postmaster.pid").exists():
            time.sleep(0.01)
        with pytest.raises(ClusterUnusable, match=f"process {server.pid}"):
            use(data_dir)
        assert server.poll() is None
        server.send_signal(signal.SIGINT)


@needs_root
def test_lets_no_other_user_in_even_through_an_open_door(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with use(data_dir) as cluster:
        socket_directory = find_home(data_dir).socket_directory
        psql = [find_binaries() / "psql", "-At", "-c", "select 1", cluster.dsn]
        as_nobody = Account("nobody", nobody.pw_uid, nobody.pw_gid).process()
        before = subprocess.run(psql, capture_output=True, text=True, check=False, **as_nobody)
        assert "Permission denied" in before.stderr
        socket_directory.chmod(0o755)
        (socket_directory / ".s.PGSQL.5432").chmod(0o777)
        after = subprocess.run(psql, capture_output=True, text=True, check=False, **as_nobody)
        assert "Peer authentication failed" in after.stderr
        assert subprocess.run(psql, capture_output=True, text=True, check=True).stdout == "1\n"


@needs_root
def test_works_for_an_ordinary_user_and_then_for_root_without_taking_the_files_away(somewhere: Path) -> None:
    entry = pwd.getpwnam("nobody")
    nobody = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    python = find_python(nobody)
    if python is None:
        pytest.skip("an ordinary user can reach no Python of this version")
    os.chown(somewhere, nobody.uid, nobody.gid)
    script = 'with start(data_dir, fast_and_unsafe=True) as cluster: print(ask(cluster, "select 1"), cluster.owned)'
    assert ended(run(script, somewhere, nobody, python)) == "1 True\n"
    with use(somewhere) as cluster:
        assert ask(cluster, "select 1") == 1
        assert Path(f"/proc/{postmaster(cluster)}").stat().st_uid == nobody.uid
        assert ended(run(script, somewhere, nobody, python)) == "1 False\n"
    assert ended(run(script, somewhere, nobody, python)) == "1 True\n"
    assert processes_in(somewhere / "cluster" / "data") == []


def test_refuses_a_socket_directory_that_is_not_its_own(somewhere: Path) -> None:
    data_dir = somewhere / ("x" * 100)
    in_the_way = find_home(data_dir).socket_directory
    elsewhere = somewhere / "elsewhere"
    elsewhere.mkdir()
    in_the_way.symlink_to(elsewhere)
    try:
        with pytest.raises(ClusterUnusable, match=f"{in_the_way} is in the way"):
            use(data_dir)
        assert list(elsewhere.iterdir()) == []
    finally:
        in_the_way.unlink()


def test_says_why_the_server_does_not_start(data_dir: Path) -> None:
    with use(data_dir) as cluster:
        pass
    (cluster.home / "data" / "global" / "pg_control").unlink()
    with pytest.raises(ClusterUnusable, match="pg_control"):
        use(data_dir)


def test_writes_no_value_of_a_failed_statement_to_its_log(data_dir: Path) -> None:
    async def fail_twice(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("create table keys (secret text primary key)")
        await connection.execute("insert into keys values ($1)", "sesame")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("insert into keys values ($1)", "sesame")
        await connection.close()

    with use(data_dir) as cluster:
        asyncio.run(fail_twice(cluster.dsn))
    log = "".join(path.read_text() for path in (cluster.home / "log").glob("*.log"))
    assert "duplicate key" in log
    assert "sesame" not in log


def test_follows_its_cluster_when_the_data_directory_is_moved(somewhere: Path) -> None:
    parent = somewhere / "parent"
    parent.mkdir(0o700)
    with use(parent / "old") as cluster:
        ask(cluster, "create table kept as select 1")
    (parent / "old").rename(parent / "new")
    with use(parent / "new") as cluster:
        assert ask(cluster, "select count(*) from kept") == 1


def test_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_has_postgis", lambda directory, version: False)
    with pytest.raises(PostgresMissing) as error:
        find_binaries()
    assert error.value.hint
    assert "DATABASE_URL" in error.value.hint


def test_asks_for_the_version_that_made_the_cluster(data_dir: Path) -> None:
    with use(data_dir) as cluster:
        pass
    (cluster.home / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresMissing, match="made by PostgreSQL 9"):
        use(data_dir)


@needs_root
def test_refuses_to_forget_a_cluster_that_became_unreachable(somewhere: Path) -> None:
    with use(somewhere / "data"):
        pass
    somewhere.chmod(0o700)
    with pytest.raises(ClusterUnusable, match="can no longer reach"):
        use(somewhere / "data")
