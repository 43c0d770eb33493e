"""Replaying live states from the command line, as a real process."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

Run = Callable[..., subprocess.CompletedProcess[str]]
REGISTER = Path(__file__).parents[1] / "formats" / "irve" / "data" / "irve-static-sample.csv"
EVENTS = """id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage,horodatage_collecte
FRZZAE0011,en_service,libre,2026-08-13T05:00:00Z,2026-08-13T05:00:10+00:00
FRZZAE0011,hors_service,libre,2026-08-13T05:05:00Z,2026-08-13T05:05:10+00:00
FRZZAE0404,en_service,libre,2026-08-13T05:05:00Z,2026-08-13T05:05:10+00:00
"""


@pytest.fixture
def ochub(database_url: str, tmp_path: Path) -> Run:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main(prog_name='ochub')", *words],
            env={**os.environ, "DATABASE_URL": database_url, "OCHUB_DATA_DIR": str(tmp_path / "var")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def events(tmp_path: Path) -> str:
    path = tmp_path / "events.csv"
    path.write_text(EVENTS, encoding="utf-8")
    return str(path)


def test_accounts_for_every_row(ochub: Run, events: str):
    assert ochub("import", "irve-static", str(REGISTER)).returncode == 0
    done = json.loads(ochub("import", "irve-dynamic", events, "--speed", "1000", "--json").stdout)
    assert (done["rows"], done["accepted"], done["refused"]) == (3, 2, {"UNKNOWN_EVSE": 1})
    assert done["warnings"] == {"BROKEN_YET_FREE": 1}
    lines = Path(done["report"]).read_text(encoding="utf-8").splitlines()
    assert Counter(json.loads(line)["code"] for line in lines) == done["refused"]
    words = ochub("import", "irve-dynamic", events, "--keep-times").stdout
    assert "        3 rows in the file\n" in words
    assert "        2 unchanged: older than what is known\n" in words
    assert "UNKNOWN_EVSE  Imports: the status of an EVSE that the hub does not have." in words


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("irve-dynamic", "--confirm-removals"), "it removes nothing"),
        (("irve-static", "--speed", "2"), "it has no live states"),
        (("irve-static", "--keep-times"), "it has no live states"),
        (("irve-dynamic", "--speed", "0"), "0"),
    ],
)
def test_refuses_options_of_another_format(ochub: Run, events: str, words: tuple[str, ...], complaint: str):
    done = ochub("import", words[0], events, *words[1:])
    assert done.returncode == 2
    assert complaint in done.stderr
