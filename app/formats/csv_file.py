"""Files of registers: UTF-8 CSV with commas and a header, plain or gzipped, read row by row."""

import csv
import gzip
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TextIO, cast

from app.errors import HubError


class UnreadableFile(HubError):
    """The file cannot be read to its end as one of its format."""

    code = "UNREADABLE_FILE"


def read_rows(
    path: Path, columns: Sequence[str], schema: str, optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Yield the data rows with their number from 0; None: a row that has not the header's columns.

    `optional` columns are in the rows of files that have them. Raises: UnreadableFile.
    """
    with _readable(path), _opened(path) as file:
        lines = csv.reader(file)
        header: list[str] = next(lines, cast("list[str]", []))
        missing = [name for name in columns if name not in header]
        if missing:
            raise UnreadableFile(
                f"{path.name} is not a file of {schema}: it has no column {', '.join(missing)}",
                hint="expected UTF-8 CSV with commas and the schema's column names in its first line",
            )
        names = (*columns, *(name for name in optional if name in header))
        cells_of = itemgetter(*(header.index(name) for name in names))
        filled = (line for line in lines if line)
        for index, line in enumerate(filled):
            yield index, dict(zip(names, cells_of(line), strict=True)) if len(line) == len(header) else None


@contextmanager
def _opened(path: Path) -> Generator[TextIO]:
    with path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
    if gzipped:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield cast("TextIO", file)
    else:
        with path.open("rt", encoding="utf-8-sig", newline="") as file:
            yield file


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Return a sentence about what is wrong with the file itself."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path.name} is not UTF-8: {error.reason}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"{path.name} is cut off or damaged: {error}", hint="fetch the file again") from error
    except csv.Error as error:
        raise UnreadableFile(f"{path.name} is not CSV: {error}") from error
    except OSError as error:
        raise UnreadableFile(f"{path.name} cannot be read: {error.strerror or error}") from error
