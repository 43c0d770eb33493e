"""Commands as tests run them, and what becomes of them."""

import json
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

Run = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


def answer(run: subprocess.CompletedProcess[str]) -> Any:
    assert (run.returncode, run.stderr) == (0, "")
    return json.loads(run.stdout)


def complaint(run: subprocess.CompletedProcess[str]) -> list[str]:
    assert (run.returncode, run.stdout) == (1, "")
    return run.stderr.splitlines()
