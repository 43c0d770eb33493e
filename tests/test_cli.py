"""The command `ochub`: in this process where that tells enough, as real processes for servers and signals."""

import asyncio
import contextlib
import fcntl
import gzip
import json
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import asyncpg
import click
import httpx
import pytest
import structlog
from click.testing import CliRunner, Result

from app.auth import new_secret
from app.cli import main
from app.db.cluster import Cluster
from app.db.migrate import newest_revision
from app.demo_stations import EVSES
from app.settings import Settings, variable_of
from tests.waiting import until_locked_out

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
OCHUB = [sys.executable, "-c", "from app.cli import main; main(prog_name='ochub')"]
#: Generous: two cores may be busy with other tests.
PATIENCE_S = 60


def _commands(group: click.Group = main, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Walk all commands that do something, with their paths."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(_commands())
EVERY_COMMAND = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


# Help --------------------------------------------------------------------------------------------------------------


def test_has_the_commands_that_the_readme_promises() -> None:
    alone = {("up",), ("serve",), ("migrate",), ("import",), ("demo",)}
    in_groups = {"partner": ("add", "list"), "key": ("issue", "list", "revoke"), "contract": ("add", "list", "end")}
    assert COMMANDS.keys() >= alone | {(group, name) for group, names in in_groups.items() for name in names}


@EVERY_COMMAND
def test_shows_an_example_that_can_be_pasted(path: tuple[str, ...]) -> None:
    examples = re.findall(r"^ +(?:[A-Z_]+=\S+ )*ochub (.+)$", _help(*path), re.MULTILINE)
    assert examples
    command = COMMANDS[path]
    for example in examples:
        words = shlex.split(example)
        assert tuple(words[: len(path)]) == path
        # Refuses options that the command does not have, and too many arguments.
        _, left, _ = command.make_parser(click.Context(command)).parse_args(words[len(path) :])
        assert left == []


@EVERY_COMMAND
def test_explains_every_option(path: tuple[str, ...]) -> None:
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []
    assert COMMANDS[path].get_short_help_str(200).endswith(".")


@EVERY_COMMAND
def test_can_be_told_the_database_by_flag(path: tuple[str, ...]) -> None:
    assert {"database_url", "data_dir"} <= {each.name for each in COMMANDS[path].params}


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
@pytest.mark.parametrize("command", ["up", "serve"])
def test_documents_every_setting(setting: Any, command: str) -> None:
    text = " ".join(_help(command).split())
    assert f"--{setting.name.replace('_', '-')} " in text
    assert setting.metadata["meaning"] in text
    assert f"[{variable_of(setting.name)}" in text


def _help(*path: str) -> str:
    return CliRunner().invoke(main, [*path, "--help"], terminal_width=200, prog_name="ochub").output


# In one process ----------------------------------------------------------------------------------------------------


@pytest.fixture
def restored() -> Iterator[None]:
    """What a command sets up for its whole process, put back."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.fixture
async def bare_database_url(cluster: Cluster) -> AsyncIterator[str]:
    """A fresh database without anything in it."""
    name = f"bare_{uuid4().hex}"
    await _administer(cluster.dsn, f"create database {name}")
    yield cluster.dsn.replace("/ochub?", f"/{name}?")
    await _administer(cluster.dsn, f"drop database {name} with (force)")


async def _administer(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _run(*arguments: str, **environment: str) -> Result:
    cleared = dict.fromkeys((variable_of(setting.name) for setting in fields(Settings)), "")
    return CliRunner().invoke(main, arguments, env={**cleared, **environment}, prog_name="ochub")


@pytest.mark.usefixtures("restored")
def test_migrates_once(bare_database_url: str) -> None:
    first = _run("migrate", "--json", DATABASE_URL=bare_database_url)
    assert json.loads(first.stdout) == {"from": None, "to": newest_revision()}
    second = _run("migrate", "--database-url", bare_database_url)
    assert second.stdout == f"The schema is at {newest_revision()} already.\n"


@pytest.mark.usefixtures("restored")
def test_migrates_before_any_command_that_needs_it(bare_database_url: str) -> None:
    done = _run("partner", "list", "--json", DATABASE_URL=bare_database_url)
    assert (done.exit_code, done.stdout.strip(), done.stderr) == (0, "[]", "")


@pytest.mark.usefixtures("restored")
def test_refuses_a_database_that_a_newer_version_migrated(bare_database_url: str) -> None:
    _run("migrate", DATABASE_URL=bare_database_url)
    asyncio.run(_administer(bare_database_url, "update alembic_version set version_num = 'from_the_future'"))
    for command in (["partner", "list"], ["migrate"]):
        done = _run(*command, DATABASE_URL=bare_database_url)
        assert done.exit_code == 1
        assert "from_the_future" in done.stderr


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:s3cret@127.0.0.1:1/hub", "Errno 111"),
        ("postgresql://me:s3cret@no-such-host.invalid/hub", "Errno -"),
        ("postgresql://me:s3cret@/hub?host=/nowhere", "No such file"),
        ("mysql://me:s3cret@localhost/hub", "mysql"),
        ("s3cret", ""),
    ],
)
@pytest.mark.parametrize("command", ["partner list", "migrate", "serve --port 0", "up --port 0"])
def test_says_in_a_sentence_that_it_cannot_reach_the_database(url: str, says: str, command: str) -> None:
    done = _run(*command.split(), DATABASE_URL=url)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: cannot use the database")
    assert says in done.stderr
    assert "Hint: check DATABASE_URL" in done.stderr
    assert "me:s3cret" not in done.output
    assert "Traceback" not in done.output


@pytest.mark.usefixtures("restored")
def test_says_which_setting_cannot_be_used() -> None:
    done = _run("up", OCHUB_PORT="eighty")
    assert (done.exit_code, done.stderr) == (1, "Error: OCHUB_PORT is 'eighty'; possible: a whole number\n")


@pytest.mark.usefixtures("restored")
def test_lets_a_flag_win_over_the_environment(database_url: str) -> None:
    done = _run("key", "list", "--json", "--database-url", database_url, DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert (done.exit_code, done.stdout.strip()) == (0, "[]")


@pytest.mark.usefixtures("restored")
def test_shows_refusals_as_a_sentence_and_a_hint(database_url: str) -> None:
    done = _run("key", "issue", "Nobody", DATABASE_URL=database_url)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("restored")
def test_fills_an_empty_hub_and_prints_what_to_paste(database_url: str) -> None:
    first = _run("demo", "--seed", "1", DATABASE_URL=database_url)
    assert first.exit_code == 0, first.output
    assert f"{EVSES:,} EVSEs are in the hub, made with --seed 1." in first.stdout
    assert "Demo Mobility has 200 tokens, and 6 sessions with them." in first.stdout
    assert re.search(r"-H 'Authorization: Bearer ochub_[0-9A-Za-z]{38}'", first.stdout)
    assert "ochub key issue 'Demo Mobility'" in first.stdout
    again = _run("demo", DATABASE_URL=database_url)
    assert again.exit_code == 0
    assert "The demo data is there already" in again.stdout
    other = _run("partner", "add", "Hafenstrom", "--role", "EVSE_OPERATOR:DE*DCX", DATABASE_URL=database_url)
    assert other.exit_code == 0, other.output
    assert "The demo data is there already" in _run("demo", DATABASE_URL=database_url).stdout


@pytest.mark.usefixtures("restored")
def test_prints_the_demo_for_scripts(database_url: str) -> None:
    made = json.loads(_run("demo", "--seed", "7", "--json", DATABASE_URL=database_url, OCHUB_PORT="81").stdout)
    assert (made["seed"], made["evses"], made["url"]) == (7, EVSES, "http://127.0.0.1:81/graphql")
    roles = {key["role"]: key for partner in made["partners"] for key in partner["keys"]}
    assert roles.keys() == {"EVSE_OPERATOR", "NSP", "EVSP", "PSO"}
    assert roles["NSP"]["secret"].startswith("ochub_")


@pytest.mark.usefixtures("restored")
def test_refuses_to_put_the_demo_among_other_data(database_url: str) -> None:
    _run("partner", "add", "Hafenstrom", "--role", "NSP", DATABASE_URL=database_url)
    done = _run("demo", DATABASE_URL=database_url)
    assert done.exit_code == 1
    assert "the hub is not empty: it holds the partner Hafenstrom" in done.stderr


IRVE = ROOT / "tests" / "formats" / "irve" / "data" / "irve-static-sample.csv"


@pytest.mark.usefixtures("restored")
def test_imports_a_register_and_accounts_for_every_row(database_url: str, tmp_path: Path) -> None:
    def run(*more: str) -> Result:
        arguments = ["import", "irve-static", str(IRVE), "--data-dir", str(tmp_path / "var"), *more]
        return _run(*arguments, DATABASE_URL=database_url)

    done = json.loads(run("--json").stdout)
    assert done["rows"] == done["accepted"] + done["unchanged"] + sum(done["refused"].values())
    assert done["accepted"] > 0
    refusals = [json.loads(line) for line in Path(done["report"]).read_text(encoding="utf-8").splitlines()]
    assert Counter(refusal["code"] for refusal in refusals) == done["refused"]
    assert Path(done["report"]).parent == tmp_path / "var" / "imports"

    table = run("--report", str(tmp_path / "refused.jsonl")).stdout
    assert re.search(rf"^ +{done['rows']} rows in the file$", table, re.MULTILINE)
    assert re.search(rf"^ +{done['accepted']} unchanged$", table, re.MULTILINE)
    for code, rows in done["refused"].items():
        assert re.search(rf"^ +{rows}   {code}  \S", table, re.MULTILINE), code
    assert len((tmp_path / "refused.jsonl").read_text(encoding="utf-8").splitlines()) == len(refusals)


@pytest.mark.usefixtures("restored")
def test_removes_most_of_a_register_only_when_that_is_confirmed(database_url: str, tmp_path: Path) -> None:
    header, first, *_ = IRVE.read_text(encoding="utf-8").splitlines(keepends=True)
    shorter = tmp_path / "shorter.csv"
    shorter.write_text(header + first, encoding="utf-8")
    assert (
        _run("import", "irve-static", str(IRVE), "--data-dir", str(tmp_path), DATABASE_URL=database_url).exit_code == 0
    )
    short = ["import", "irve-static", str(shorter), "--json", "--data-dir", str(tmp_path)]
    refused = _run(*short, DATABASE_URL=database_url)
    assert refused.exit_code == 1
    assert "more than half; none was removed" in refused.stderr
    confirmed = _run(*short, "--confirm-removals", DATABASE_URL=database_url)
    assert json.loads(confirmed.stdout)["removed"] > 1


@pytest.mark.usefixtures("restored")
def test_says_what_is_wrong_with_a_file(database_url: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(IRVE.read_bytes())[:500])
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("a,b\n1,2\n", encoding="utf-8")
    for file in (broken, foreign):
        done = _run("import", "irve-static", str(file), "--data-dir", str(tmp_path), DATABASE_URL=database_url)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert file.name in done.stderr
    locked = _run("import", "irve-static", str(IRVE), "--report", "/proc/nowhere/report", DATABASE_URL=database_url)
    assert (locked.exit_code, locked.stderr.splitlines()[-1]) == (1, "Error: /proc/nowhere: No such file or directory")


def test_shows_a_progress_bar_on_a_terminal(database_url: str, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [*OCHUB, "import", "irve-static", str(IRVE), "--data-dir", str(tmp_path)],
        env=_environment(DATABASE_URL=database_url, TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while more := os.read(terminal, 65_536):
            shown += more
    os.close(terminal)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "━".encode() in shown
    assert b"rows in the file" in out
    assert "━".encode() not in out


@pytest.mark.usefixtures("restored")
def test_names_the_port_that_is_taken_before_it_starts_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("up", "--port", str(port), "--data-dir", str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"Error: cannot listen on port {port} of 127.0.0.1: Address already in use",
        "Hint: choose another port with --port or OCHUB_PORT, another address with --host or OCHUB_HOST",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--host", "192.0.2.1"], "of 192.0.2.1: Cannot assign"),
        (["--host", "no-such-host.invalid"], "of no-such-host.invalid: "),
        (["--port", "65536"], "--port is '65536'; possible: 0 to 65535"),
    ],
)
def test_names_the_address_that_cannot_be_listened_on(tmp_path: Path, flags: list[str], says: str) -> None:
    done = _run("serve", "--port", "0", "--data-dir", str(tmp_path), *flags)
    assert done.exit_code == 1
    assert says in done.stderr


# As processes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A fresh data directory."""
    with _data_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def lived_in() -> Iterator[Path]:
    """A data directory in which there is a cluster already."""
    with _data_directory() as directory:
        assert _call("migrate", "--data-dir", str(directory)).returncode == 0
        yield directory


@contextmanager
def _data_directory() -> Generator[Path]:
    # Not pytest's own: that one is private, and a server started by root could not reach it.
    directory = Path(tempfile.mkdtemp(prefix="ochub-cli-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


class Running:
    """A hub's process, its URL, and the lines it printed."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: list[str]) -> None:
        self.process = process
        self.url = url
        self.said = said

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Stop it. Shape: exit code, what standard error held."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OCHUB_", "DATABASE_URL"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def _running(*arguments: str, **environment: str) -> Generator[Running]:
    process = subprocess.Popen(
        [*OCHUB, *arguments],
        env=_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _wait_until_it_serves(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def _wait_until_it_serves(process: subprocess.Popen[str]) -> Running:
    """Read what `up` prints, or `serve` logs, until it is ready."""
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    production = "serve" in cast(list[str], process.args)
    for line in process.stderr if production else process.stdout:
        if production and '"message":"serving"' in line:
            return Running(process, json.loads(line)["url"], said)
        if line == "Stop with Ctrl-C.\n":
            return Running(process, said[0].split()[-1], said)
        said.append(line)
    raise AssertionError(f"it does not serve: {said} {process.stderr.read()}")


def _call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OCHUB, *arguments],
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def _ask(url: str, query: str, **headers: str) -> Any:
    answer = httpx.post(f"{url}/graphql", json={"query": query}, headers=headers, timeout=PATIENCE_S)
    return answer.json()


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _server_runs(data_dir: Path) -> bool:
    """Whether a process of the private cluster lives: each of them holds this lock."""
    with (data_dir / "cluster" / "server.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_runs_a_hub_that_a_newcomer_can_fill_and_ask(data_dir: Path) -> None:
    up = ["up", "--port", "0", "--data-dir", str(data_dir)]
    with _running(*up) as hub:
        assert f"OCHub serves on {hub.url}\n" in hub.said
        assert f"GraphiQL, with examples: {hub.url}/graphql\n" in hub.said
        assert any(line.endswith(f"demo --data-dir {data_dir}\n") for line in hub.said)
        assert _ask(hub.url, "{ evses { nodes { evseId } } }")["data"] == {"evses": {"nodes": []}}

        made = json.loads(_call("demo", "--json", "--data-dir", str(data_dir)).stdout)
        [secret] = [key["secret"] for each in made["partners"] for key in each["keys"] if key["role"] == "NSP"]
        seen = _ask(hub.url, made["query"], authorization=f"Bearer {secret}")["data"]["evses"]["edges"]
        strangers = _ask(hub.url, made["query"])["data"]["evses"]["edges"]
        assert len(seen) == 5
        assert {edge["node"]["operator"]["name"] for edge in strangers} == {"Demo Town Charging"}

        assert hub.stop(signal.SIGINT)[0] == 0
        assert not _server_runs(data_dir)

    with _running(*up) as hub:
        assert not any("empty" in line for line in hub.said)
        assert len(_ask(hub.url, made["query"], authorization=f"Bearer {secret}")["data"]["evses"]["edges"]) == 5
        assert hub.stop(signal.SIGTERM)[0] == 0
        assert not _server_runs(data_dir)


def test_starts_again_after_it_was_killed(lived_in: Path) -> None:
    up = ["up", "--port", "0", "--data-dir", str(lived_in)]
    with _running(*up) as hub:
        hub.stop(signal.SIGKILL)
    assert _server_runs(lived_in)
    with _running(*up) as hub:
        assert _ask(hub.url, "{ __typename }")["data"] == {"__typename": "Query"}
    assert not _server_runs(lived_in)


def test_stops_when_its_terminal_goes_away_even_before_it_serves(lived_in: Path) -> None:
    log = lived_in / "cluster" / "start.log"
    log.unlink()
    process = subprocess.Popen(
        [*OCHUB, "up", "--port", "0", "--data-dir", str(lived_in)],
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_until(log.exists)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (128 + signal.SIGHUP, "")
    assert not _server_runs(lived_in)


def test_serves_in_production_only_on_the_present_schema(bare_database_url: str) -> None:
    refused = _call("serve", "--port", "0", DATABASE_URL=bare_database_url)
    assert refused.returncode == 1
    assert "the database's schema is at nothing" in refused.stderr
    assert "Hint: run `ochub migrate`" in refused.stderr
    assert _call("migrate", DATABASE_URL=bare_database_url).returncode == 0
    with _running("serve", "--port", "0", DATABASE_URL=bare_database_url) as hub:
        assert _ask(hub.url, "{ __typename }")["data"] == {"__typename": "Query"}
        page = httpx.get(f"{hub.url}/graphql", headers={"accept": "text/html"})
        assert "html" not in page.headers["content-type"]
        code, errors = hub.stop(signal.SIGTERM)
    assert (code, json.loads(errors.splitlines()[-1])["message"]) == (0, "stopped")


def test_logs_requests_with_their_ids_and_without_secrets(database_url: str) -> None:
    secret = new_secret()
    with _running("serve", "--port", "0", "--log-level", "debug", DATABASE_URL=database_url) as hub:
        headers = {"authorization": f"Bearer {secret}", "x-request-id": "from-outside"}
        httpx.post(f"{hub.url}/graphql", json={"query": "{ me { role } }"}, headers=headers)
        httpx.get(f"{hub.url}/{secret}?key={secret}", headers=headers)
        _, errors = hub.stop(signal.SIGTERM)
    requests = [line for line in map(json.loads, errors.splitlines()) if line["message"] == "request"]
    assert [line["request_id"] for line in requests] == ["from-outside", "from-outside"]
    assert requests[1]["path"] == "/ochub_***"
    assert secret not in errors


def test_migrates_once_when_many_start_at_the_same_time(bare_database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [*OCHUB, "migrate", "--json"],
            env=_environment(DATABASE_URL=bare_database_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    done = [(*process.communicate(timeout=PATIENCE_S), process.returncode) for process in processes]
    assert [(errors, code) for _, errors, code in done] == [("", 0)] * 3
    assert all(json.loads(out)["to"] == newest_revision() for out, _, _ in done)


def test_waits_for_the_libraries_of_no_other_command() -> None:
    """They take a second, in which Ctrl-C would show a traceback."""
    script = (
        "import sys, app.cli; sys.exit(bool({'alembic', 'sqlalchemy', 'strawberry', 'uvicorn'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], env=_environment(), check=False).returncode == 0


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_is_silent_when_a_command_is_interrupted(database_url: str, how: signal.Signals, code: int) -> None:
    assert asyncio.run(_interrupt_while_it_waits(database_url, how)) == (code, "", "")


async def _interrupt_while_it_waits(database_url: str, how: signal.Signals) -> tuple[int | None, str, str]:
    """Stop a command while it waits for a lock that another process holds."""
    holder = await asyncpg.connect(database_url)
    try:
        await holder.execute("begin; lock table partner in access exclusive mode")
        process = await asyncio.create_subprocess_exec(
            *OCHUB,
            *("partner", "list"),
            env=_environment(DATABASE_URL=database_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await until_locked_out(holder)
        process.send_signal(how)
        out, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        return process.returncode, out.decode(), errors.decode()
    finally:
        await holder.close()


def test_is_silent_when_nobody_reads_its_output(database_url: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [*OCHUB, "partner", "list", "--json"],
        env=_environment(DATABASE_URL=database_url),
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")
