"""The PostgreSQL servers installed on this machine."""

import re
import shutil
import subprocess
from pathlib import Path

from app.errors import HubError


class PostgresMissing(HubError):
    """No PostgreSQL server with PostGIS is installed."""

    code = "POSTGRES_MISSING"


def find_binaries(major_version: int | None = None) -> Path:
    """Find the directory of the newest PostgreSQL server that has PostGIS, or of one major version.

    Raises: PostgresMissing, saying what to install.
    """
    servers = {version: directory for directory, version in _list_servers() if _has_postgis(directory, version)}
    if major_version is None and servers:
        return servers[max(servers)]
    if major_version is None:
        raise PostgresMissing("no PostgreSQL server with PostGIS is installed", _how_to_install("postgresql-postgis"))
    if major_version not in servers:
        raise PostgresMissing(
            f"the cluster was made by PostgreSQL {major_version}, which is not installed with PostGIS",
            _how_to_install(f"postgresql-{major_version}-postgis-3") + "; or move the cluster away and begin a new one",
        )
    return servers[major_version]


def _list_servers() -> list[tuple[Path, int]]:
    directories = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    if on_path := shutil.which("postgres"):
        directories.append(Path(on_path).resolve().parent)
    return [(directory, _version_of(directory)) for directory in directories if (directory / "initdb").exists()]


def _version_of(directory: Path) -> int:
    said = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(version[1]) if version else 0


def _has_postgis(directory: Path, version: int) -> bool:
    share = directory.parent / "share"
    debian = Path(f"/usr/share/postgresql/{version}/extension")
    extensions = [debian, *share.glob("p*sql*/extension"), share / "extension"]
    return any((extension / "postgis.control").exists() for extension in extensions)


def _how_to_install(package: str) -> str:
    if Path("/etc/debian_version").exists():
        return f"apt-get install --no-install-recommends {package}, or set DATABASE_URL"
    return (
        "install PostgreSQL and PostGIS (Fedora: postgresql-server postgis; Arch: postgresql postgis),"
        " or set DATABASE_URL"
    )
