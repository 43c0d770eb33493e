"""How long tests of generated input go on: briefly in `make test`, at full length in `make soak`."""

_full = False


def set_full_length(full: bool) -> None:
    """Decide for the process, before test files are read: they ask as they are loaded."""
    global _full
    _full = full


def rounds(brief: int, *, full: int) -> int:
    """Return how many examples to generate. The seed that the run prints repeats them."""
    return full if _full else brief
