"""How long tests of generated or real input go on: briefly in `make test`, at full length in `make soak`."""

import csv
import gzip
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: A sample of a real file has one of every so many runs of so many rows: neighbours stay together, as a location's do.
RUN = 25
EVERY = 16

_full = False


def set_full_length(full: bool) -> None:
    """Decide for the process, before test files are read: they ask as they are loaded."""
    global _full
    _full = full


def rounds(brief: T, *, full: T) -> T:
    """Return how many examples to generate, or what holds for so many. The seed that the run prints repeats them."""
    return full if _full else brief


def sampled(path: Path, directory: Path) -> Path:
    """Return a gzipped CSV file at full length; else a sample of it, evenly from the whole file, in the directory."""
    if _full:
        return path
    sample = directory / path.name
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="") as whole,
        gzip.open(sample, "wt", encoding="utf-8", newline="") as part,
    ):
        rows, writer = csv.reader(whole), csv.writer(part)
        writer.writerow(next(rows))
        writer.writerows(row for number, row in enumerate(rows) if number // RUN % EVERY == 0)
    return sample
