"""Where a private cluster lies, whose its files are, and its locks."""

import contextlib
import fcntl
import os
import pwd
import re
import stat
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypedDict

from app.errors import HubError

#: Where root keeps what the server's user could not reach in the data directory.
ELSEWHERE = Path("/var/lib/ochub")
#: Linux takes 107 bytes; the rest is for the socket's own name.
SOCKET_DIRECTORY_BYTES = 80


class ClusterUnusable(HubError):
    """The private cluster cannot be created, started or stopped."""

    code = "CLUSTER_UNUSABLE"


class Process(TypedDict, total=False):
    """Arguments of `subprocess` that say as whom and where."""

    cwd: str
    env: dict[str, str]
    umask: int
    start_new_session: bool
    user: int
    group: int
    extra_groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """The user the server runs as."""

    name: str
    uid: int
    gid: int

    def process(self) -> Process:
        """Return the options that run a process as this user, away from the caller's terminal and settings."""
        # Ctrl-C reaches every process of the terminal's session; the server must outlive the hub's last transaction.
        process = Process(cwd="/", env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, umask=0o077, start_new_session=True)
        if self.uid != os.geteuid():
            process.update(user=self.uid, group=self.gid, extra_groups=())
        return process


@dataclass(frozen=True, slots=True)
class Home:
    """Where a cluster lies, and whose its files are."""

    path: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def socket_directory(self) -> Path:
        # A comma or colon in the path would split it into several hosts for one client or another.
        inside = self.path / "socket"
        if len(os.fsencode(inside)) <= SOCKET_DIRECTORY_BYTES and re.fullmatch(r"[\w/.+-]+", str(inside), re.ASCII):
            return inside
        return Path("/tmp") / f"ochub-{_fingerprint(self.path)}"


def find_home(data_dir: Path) -> Home:
    """Find the home of a data directory's cluster, or make an empty one.

    Raises: ClusterUnusable, when the caller or the server's user has no access.
    """
    if sys.platform != "linux":
        raise ClusterUnusable("the private cluster needs Linux", "set DATABASE_URL to a PostgreSQL with PostGIS")
    here = data_dir.resolve() / "cluster"
    try:
        here.parent.mkdir(parents=True, exist_ok=True)
        account = _find_account(here / "data")
        path = here.resolve() if here.is_symlink() or _reaches(account, here.parent) else _lead_elsewhere(here)
        _make_home(path)
        _require_access(path)
    except PermissionError as error:
        raise ClusterUnusable(
            f"{user_name(os.geteuid())} has no access to {error.filename}",
            "run as the user it belongs to, or set OCHUB_DATA_DIR to another directory",
        ) from None
    return Home(path, account)


def user_name(uid: int) -> str:
    """Return the name of a user. Raises: ClusterUnusable when there is none."""
    return _account(uid).name


def own_directory(path: Path, account: Account) -> None:
    """Create a directory that only the server's user, and root, may enter.

    Raises: ClusterUnusable when another user's file or directory is in its place.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        # By descriptor and never through a link: in /tmp others may have been here first.
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise ClusterUnusable(f"{path} is in the way: {error.strerror}", "remove it") from None
    try:
        owner = os.fstat(directory).st_uid
        if owner not in (account.uid, os.geteuid()):
            raise ClusterUnusable(f"{path} is in the way: it belongs to user id {owner}", "remove it")
        if owner != account.uid:
            os.fchown(directory, account.uid, account.gid)
        if stat.S_IMODE(os.fstat(directory).st_mode) != 0o700:
            os.fchmod(directory, 0o700)
    finally:
        os.close(directory)


def open_lock(home: Home, name: str) -> int:
    """Open one of the home's locks, without taking it."""
    lock = os.open(home.path / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = home.path.stat()
        os.fchown(lock, owner.st_uid, owner.st_gid)
    return lock


def take_lock(lock: int) -> bool:
    """Take an exclusive lock without waiting. Return whether it was free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def hold_lock(home: Home, name: str) -> Generator[None]:
    """Wait for a lock and hold it."""
    lock = open_lock(home, name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_home(path: Path) -> None:
    # Two may come at once; who finds it made goes on with what the other made.
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
        path.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _require_access(path: Path) -> None:
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(None, None, str(path))


def _find_account(data: Path) -> Account:
    me = os.geteuid()
    if me != 0:
        return _account(me)
    # What a user made before stays that user's, also when root comes along once.
    if data.exists() and data.stat().st_uid != 0:
        return _account(data.stat().st_uid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return _account(pwd.getpwnam(name).pw_uid)
    raise ClusterUnusable("PostgreSQL does not run as root, and there is no user postgres", "useradd --system postgres")


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ClusterUnusable(
            f"user id {uid} has no name, and PostgreSQL needs one", "add the user, or set DATABASE_URL"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _reaches(account: Account, directory: Path) -> bool:
    # Asked of the kernel as that user: permission bits alone do not tell.
    return subprocess.run(["test", "-x", directory], check=False, **account.process()).returncode == 0


def _lead_elsewhere(here: Path) -> Path:
    if here.exists():
        raise ClusterUnusable(
            f"the user the server runs as can no longer reach {here}", f"open {here.parent} and its parents to it"
        )
    ELSEWHERE.mkdir(parents=True, exist_ok=True)
    ELSEWHERE.chmod(0o755)
    with contextlib.suppress(FileExistsError):
        here.symlink_to(ELSEWHERE / _fingerprint(here.parent))
    return here.resolve()


def _fingerprint(path: Path) -> str:
    return sha256(os.fsencode(path)).hexdigest()[:16]
