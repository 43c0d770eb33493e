"""The hub's own PostgreSQL cluster, kept in the data directory: for everybody who has not set DATABASE_URL.

The cluster's home is `<data dir>/cluster`:

    data/               the database, owned by the user the server runs as
    log/                the server's log, one file per weekday, overwritten after a week
    socket/             the server's only listener; in /tmp where this path is too long for a socket
    start.log           the server's output before its log is open
    *.conf              written by every start
    *.lock              see below

PostgreSQL refuses to run as root. Started by root it runs as `postgres`, the user the distribution's package creates
(else as `nobody`), and where that user cannot reach the data directory, `cluster` is a symbolic link to a directory
under /var/lib/ochub, named after the data directory's path.

Three locks, all of the kernel's, so that whatever dies leaves none behind:

- `starting.lock` is held while a server is started or stopped: two commands at once take turns.
- `users.lock` is shared by all commands that use the cluster. The last command to end stops the server, so a command
  next to a running hub never stops its database. A hub that was killed leaves its server running; the next command
  uses it and, being the last to end, stops it.
- `server.lock` is inherited by the server and all its children: as long as one of them lives, it is taken. Unlike
  postmaster.pid it cannot be stale, and does not mistake an unrelated process for the server.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from app.db.cluster_home import (
    ClusterUnusable,
    Home,
    find_home,
    hold_lock,
    open_lock,
    own_directory,
    take_lock,
    user_name,
)
from app.db.postgres import find_binaries

DATABASE = "ochub"
#: Owns everything in the private cluster; the hub steps down from it to the runtime role.
LOGIN_ROLE = "ochub"
#: Part of the socket's name only; nothing listens on TCP.
PORT = 5432
#: The one request that is answered to everybody, by a byte that says yes or no.
ASK_FOR_TLS = bytes.fromhex("0000000804d2162f")
#: Recovery after a crash replays up to max_wal_size; a killed server's last statement may run up to its timeout.
PATIENCE_S = 120.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    # The hub's statements are many and short: compiling one costs more than it saves, and a parallel worker takes
    # the core the next request needs (and shared memory that containers keep small).
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
    # Statements carry their values as parameters, details quote them: a secret may be among them.
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

#: A crash of the machine destroys the cluster: for tests.
FAST_AND_UNSAFE: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "128MB",
}


class Cluster:
    """A running private cluster, for as long as the caller uses it.

    `owned` is true when this call started the server, or took over one whose users have all died.
    """

    def __init__(self, home: Home, users_lock: int, owned: bool, fast_and_unsafe: bool) -> None:
        self.home = home.path
        self.dsn = f"postgresql://{LOGIN_ROLE}@/{DATABASE}?host={home.socket_directory}&port={PORT}"
        self.owned = owned
        self._home = home
        self._fast_and_unsafe = fast_and_unsafe
        self._users_lock: int | None = users_lock

    def stop(self) -> None:
        """Leave the cluster; stop its server unless another command still uses it. Twice does no harm.

        Raises: ClusterUnusable when the server does not go away.
        """
        if self._users_lock is None:
            return
        with hold_lock(self._home, "starting"):
            nobody_left = take_lock(self._users_lock)
            os.close(self._users_lock)
            self._users_lock = None
            if nobody_left:
                _stop_server(self._home)

    def is_gone(self) -> bool:
        """Return whether all processes of the server have ended."""
        return _is_gone(self._home, 0)

    def start_again(self) -> None:
        """Start the server if it is gone. Raises: ClusterUnusable."""
        with hold_lock(self._home, "starting"):
            _ensure_server(self._home, self._fast_and_unsafe)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(data_dir: Path, *, fast_and_unsafe: bool = False) -> Cluster:
    """Use the private cluster in a data directory: find its server running, or start it, or make the cluster first.

    Raises: PostgresMissing; ClusterUnusable, with the server's own words.
    """
    home = find_home(data_dir)
    with hold_lock(home, "starting"):
        users_lock = open_lock(home, "users")
        try:
            nobody_else = take_lock(users_lock)
            fcntl.flock(users_lock, fcntl.LOCK_SH)
            started = _ensure_server(home, fast_and_unsafe)
        except BaseException:
            os.close(users_lock)
            raise
    return Cluster(home, users_lock, owned=started or nobody_else, fast_and_unsafe=fast_and_unsafe)


def _ensure_server(home: Home, fast_and_unsafe: bool) -> bool:
    """Return once a server answers. Shape: whether it had to be started."""
    server_lock = open_lock(home, "server")
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not take_lock(server_lock):
            if _answers(home):
                return False
            if time.monotonic() > deadline:
                raise ClusterUnusable(
                    f"a server of the cluster in {home.path} is still going away, or does not answer",
                    f"stop the postgres processes that hold {home.path}/server.lock",
                )
            time.sleep(0.05)
        _start_server(home, server_lock, fast_and_unsafe)
    finally:
        os.close(server_lock)
    return True


def _start_server(home: Home, server_lock: int, fast_and_unsafe: bool) -> None:
    binaries = find_binaries(_find_major_version(home))
    if not home.data.exists():
        _initialise(home, binaries, server_lock, fast_and_unsafe)
    _clear_leftovers(home)
    own_directory(home.socket_directory, home.account)
    own_directory(home.path / "log", home.account)
    _write_configuration(home, fast_and_unsafe)
    server = _spawn(home, binaries, server_lock)
    try:
        _wait_for_answer(home, server)
    except BaseException:
        server.send_signal(signal.SIGQUIT)
        server.wait()
        raise
    # A process has to be waited for when it ends, or it stays as a zombie.
    threading.Thread(target=server.wait, name="postgres", daemon=True).start()


def _spawn(home: Home, binaries: Path, server_lock: int) -> subprocess.Popen[bytes]:
    command = [binaries / "postgres", "-D", home.data, "-c", f"config_file={home.path}/postgresql.conf"]
    _write(home, "start.log", "")
    with (home.path / "start.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(server_lock,),
            **home.account.process(),
        )


def _wait_for_answer(home: Home, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not _answers(home):
        if server.poll() is not None:
            raise ClusterUnusable(f"PostgreSQL does not start: {_last_words(home)}", f"its log is in {home.path}/log")
        if time.monotonic() > deadline:
            raise ClusterUnusable(f"PostgreSQL is not ready after {PATIENCE_S:.0f} s: {_last_words(home)}")
        time.sleep(0.02)


def _answers(home: Home) -> bool:
    """Return whether a server accepts connections: line 8 of its pid file is `ready`, and a connection is answered."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        status = (home.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()[7:8]
        if status and status[0].strip() == "ready":
            connection.settimeout(1.0)
            connection.connect(f"{home.socket_directory}/.s.PGSQL.{PORT}")
            # A dying server still has its socket: connecting proves nothing, an answer does.
            connection.sendall(ASK_FOR_TLS)
            return connection.recv(1) != b""
    return False


def _last_words(home: Home) -> str:
    logs = sorted((home.path / "log").glob("*.log"), key=lambda log: log.stat().st_mtime)[-1:]
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in (home.path / "start.log", *logs)]
    return " | ".join(line for text in texts for line in text.splitlines()[-3:])


def _clear_leftovers(home: Home) -> None:
    """Remove what a killed server leaves. Its lock is ours, so none of its processes lives."""
    postmaster = _find_postmaster(home)
    if postmaster is not None:
        raise ClusterUnusable(f"a server that the hub did not start (process {postmaster}) uses {home.data}", "stop it")
    listener = home.socket_directory / f".s.PGSQL.{PORT}"
    for leftover in (home.data / "postmaster.pid", listener, listener.with_name(f"{listener.name}.lock")):
        leftover.unlink(missing_ok=True)


def _find_major_version(home: Home) -> int | None:
    try:
        return int((home.data / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def _initialise(home: Home, binaries: Path, server_lock: int, fast_and_unsafe: bool) -> None:
    """Make the cluster beside its place and move it there: half a cluster is never mistaken for one."""
    new = home.path / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    own_directory(new, home.account)
    access = f"--username={LOGIN_ROLE} --auth-local=peer --auth-host=reject"
    # Order by code point needs no library whose next version sorts differently and breaks indexes.
    language = "--encoding=UTF8 --locale=C.UTF-8 --lc-collate=C"
    speed = "--no-sync" if fast_and_unsafe else ""
    _run(home, server_lock, [binaries / "initdb", "-D", new, *f"{access} {language} {speed}".split()])
    single = [binaries / "postgres", "--single", "-D", new, "-c", "exit_on_error=on", "postgres"]
    _run(home, server_lock, single, f"create database {DATABASE}\n")
    new.rename(home.data)


def _run(home: Home, server_lock: int, command: list[Path | str], text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(server_lock,),
        **home.account.process(),
    )
    if done.returncode != 0:
        words = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise ClusterUnusable(f"the cluster in {home.path} cannot be made: {words}")


def _write_configuration(home: Home, fast_and_unsafe: bool) -> None:
    settings = {
        **SETTINGS,
        "hba_file": f"{home.path}/pg_hba.conf",
        "ident_file": f"{home.path}/pg_ident.conf",
        "log_directory": f"{home.path}/log",
        "unix_socket_directories": str(home.socket_directory),
        **(FAST_AND_UNSAFE if fast_and_unsafe else {}),
    }
    _write(home, "postgresql.conf", "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items()))
    # The hub may be root while the server is not. The kernel reports the user of each connection: the server's own user
    # and root, which own it anyway, are admitted as the hub's role; no other user is, whatever the permissions are.
    _write(home, "pg_hba.conf", "local all all peer map=hub\n")
    people = sorted({home.account.name, user_name(0)})
    _write(home, "pg_ident.conf", "".join(f'hub "{person}" {LOGIN_ROLE}\n' for person in people))


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _write(home: Home, name: str, text: str) -> None:
    # A new file each time: root may have written the last one into another user's home.
    path = home.path / name
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _stop_server(home: Home) -> None:
    """Stop the server and wait for its last process: politely, then firmly, then by force."""
    for how, patience_s in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 15.0)):
        postmaster = _find_postmaster(home)
        if postmaster is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster, how)
        if _is_gone(home, patience_s):
            break
    else:
        raise ClusterUnusable(f"the server of the cluster in {home.path} does not stop", f"its log: {home.path}/log")
    if home.socket_directory.parent != home.path:
        with contextlib.suppress(OSError):
            home.socket_directory.rmdir()


def _find_postmaster(home: Home) -> int | None:
    """Find the process that postmaster.pid names, unless its number now belongs to something else."""
    try:
        pid = int((home.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split()[0])
        return pid if Path(f"/proc/{pid}/cwd").samefile(home.data) else None
    except (OSError, ValueError, IndexError):
        return None


def _is_gone(home: Home, patience_s: float) -> bool:
    server_lock = open_lock(home, "server")
    try:
        deadline = time.monotonic() + patience_s
        while not (gone := take_lock(server_lock)) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.close(server_lock)
    return gone
