"""The command line on a database of the test's own."""

import asyncio
import subprocess
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from app.cli import Commands
from tests.cli.running import Run

#: The group of all commands, without the signal handlers of the process that the installed command is.
ALL_COMMANDS = Commands("ochub")


@pytest.fixture
def ochub(database_url: str) -> Run:
    """Run `ochub` on the test's own database, within this process and in a thread: a command has its own event loop."""

    def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        result = CliRunner().invoke(ALL_COMMANDS, words, env={"DATABASE_URL": database_url}, obj={})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)

    return lambda *words: asyncio.to_thread(run, words)
