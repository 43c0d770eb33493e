"""Find prose that is not plain technical English: in docstrings, comments, messages, descriptions and Markdown.

Run `python -m tests.guides.prose app/exchange README.md`; each line names a place, the words found and better ones.
Without arguments it lists every directory of the code with the number of its findings.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("app", "schema", "geo", "migrations", "tests", "README.md")
SUFFIXES: Final = (".py", ".md", ".sql", ".graphql")
#: Directories whose files are not written here, or quote what is searched for.
LEFT_OUT: Final = ("node_modules", ".venv", "tests/guides/prose.py", "tests/guides/test_prose.py", "tests/evil.py")


@dataclass(frozen=True, slots=True)
class Prose:
    """A piece of text, the line on which it begins, and whether it is a docstring's first line."""

    line: int
    text: str
    is_summary: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Words that are not used and what is used instead. `summary`: applies to the first line of docstrings only."""

    pattern: re.Pattern[str]
    better: str
    summary: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Words that break a rule, and their place."""

    path: str
    line: int
    words: str
    better: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}; better: {self.better}"


def _rule(pattern: str, better: str, summary: bool = False) -> Rule:
    return Rule(re.compile(pattern, 0 if summary else re.IGNORECASE), better, summary)


RULES: Final = (
    # Docstrings begin with what the function does.
    _rule(r"^(?:Gives?|Hands?)\b(?! up\b| back\b)", "Return, Yield", summary=True),
    _rule(r"^(?:Says?|Tells?)\b", "Return whether, Return, Raise", summary=True),
    _rule(r"^Lets?\b", "Allow, Admit, Wait, or the verb of what happens", summary=True),
    _rule(r"^Hears?\b", "Receive, Read, Handle", summary=True),
    _rule(r"^Asks?\b", "Read, Query, Request", summary=True),
    _rule(r"^(?:Makes? anew|Looks? whether|Looks? up whether)\b", "Create, Return whether", summary=True),
    # Data is not spoken.
    _rule(
        r"\b(?:is|are|was|were|be|been|being|has|have|had|not yet|they)(?: \w+)? told\b", "logged, published, delivered"
    ),
    _rule(r"\btold (?:of|about|to|that|by)\b", "logged, published, delivered, notified"),
    _rule(r"\bun ?told\b", "not yet logged"),
    _rule(
        r"\btells? (?:of|the (?:log|bus|keeper|client|others)|subscribers|followers|nobody)\b", "publish, log, notify"
    ),
    _rule(r"\bheard\b", "received, read"),
    _rule(r"\bhears? (?:of|from|about|that|it|so|no)\b", "receives, reads"),
    _rule(r"\b(?:say|tell)(?:s|ing)? (?:whether|whose)\b", "return whether, decide"),
    _rule(r"\bs(?:ays|ay) so\b", "state, configure, confirm"),
    _rule(r"\b(?:the|an?|its|their) (?:last |newest |first |own )?word (?:about|of|on)\b", "status, statement, value"),
    # Persons that are data or programs.
    _rule(r"\bwhoever\b", "the caller, the client, any process: name the noun"),
    _rule(r"\bsomebody(?: else)?(?:'s)?\b", "a caller, another partner: name the noun"),
    _rule(r"\bnobody(?: else)?(?:'s)?\b", "no caller, no client, no process: name the noun"),
    _rule(r"\b(?:for|to|of|by|with|from|and|than) who\b(?! (?:it|they|he) )", "for the caller that, for clients that"),
    _rule(r"^\W*who (?!is\b|are\b|was\b|sees\b|may\b|has\b)\w+s\b", "a caller that, a client that"),
    _rule(r"\b(?:himself|herself)\b", "itself"),
    _rule(r"\b(?:by|of|for|than|to) others\b", "other clients, other processes: name the noun"),
    # Metaphors with a standard term.
    _rule(r"\banew\b", "again, new"),
    _rule(r"\b(?:is|are|be|been|was|were|gets?) forgotten\b|\bforgets?\b|\bforgetting\b", "delete, evict, expire"),
    _rule(r"\bremember(?:s|ed|ing)?\b", "cache, store"),
    _rule(r"\blets? go of\b", "release"),
    _rule(r"\bput(?:s|ting)? in force\b|\bcom(?:e|es|ing) into force\b|\bput it in force\b", "activate"),
    _rule(r"\bstands? beside\b|\bbeside the event loop\b", "in a worker thread"),
    _rule(r"\bsigns? of life\b", "keep-alive"),
    _rule(r"\bfell behind\b|\blags? what\b", "is late"),
    _rule(r"\bcollector of cycles\b|\bthe collector\b", "garbage collection"),
    _rule(r"\bin (?:one|a) go\b", "at once, in one step"),
    _rule(r"\bthe while\b|\bfor a while\b", "during the block, temporarily"),
    _rule(r"\bstranger'?s?\b", "caller without a key"),
    _rule(r"\bquestions? (?:of|that)\b(?= \w+ (?:client|caller))", "request"),
    # Names that had a private meaning.
    _rule(r"\bsights?\b(?! of\b)|\bin(?:to)? sight\b|\bout of sight\b", "viewer scope, visible"),
    _rule(r"\boutlets?\b", "sink"),
    _rule(r"\bkeepers?\b", "leader"),
    _rule(r"\bturnings?\b|\bturns? of sight\b", "visibility change"),
    _rule(r"\boutbox(?:es)?\b", "send queue"),
    _rule(r"\bthe door\b|\bDoor\b", "endpoint"),
    _rule(r"\b(?:make|makes|making) (?:the |its )?rounds\b", "housekeeping"),
    _rule(r"\b(?:the|these|those|present) facts\b", "current state"),
    _rule(r"\bhorizon\b", "snapshot"),
    _rule(r"\bmap of the house\b", "import contracts"),
)


def findings(path: Path) -> list[Finding]:
    """Return what one file says in other words than it should."""
    name = path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else str(path)
    return check(read_prose(path.read_text("utf-8"), path.suffix), name)


def check(prose: Iterable[Prose], path: str) -> list[Finding]:
    """Return the findings of pieces of prose, in order."""
    return [
        Finding(path, piece.line + piece.text.count("\n", 0, found.start()), found[0].strip(), rule.better)
        for piece in prose
        for rule in RULES
        if piece.is_summary or not rule.summary
        for found in rule.pattern.finditer(piece.text)
    ]


def read_prose(text: str, suffix: str) -> Iterator[Prose]:
    """Yield the prose of a file."""
    match suffix:
        case ".py":
            yield from _python_prose(text)
        case ".md":
            yield from _markdown_prose(text)
        case ".sql":
            yield from _comments(text, "--")
        case _:
            yield from _comments(text, "#")
            yield from _descriptions(text)


def _python_prose(text: str) -> Iterator[Prose]:
    tree = ast.parse(text)
    docstrings = {id(node) for node in map(_docstring, ast.walk(tree)) if node is not None}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield from _docstring_prose(node.value, node.lineno)
            elif _is_message(node.value):
                yield Prose(node.lineno, _without_code(node.value))
    yield from _python_comments(text)


def _docstring(node: ast.AST) -> ast.Constant | None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str()) as first), *_]:
                return first
            case _:
                return None
    return None


def _docstring_prose(text: str, line: int) -> Iterator[Prose]:
    summary, newline, rest = _without_code(text).partition("\n")
    yield Prose(line, summary, is_summary=True)
    if newline:
        yield Prose(line + 1, rest)


def _is_message(text: str) -> bool:
    """Return whether a string literal is prose: several words, and neither SQL nor GraphQL nor a path."""
    begins_with_code = re.match(
        r"\s*(?:with|select|insert|update|delete|create|alter|drop|lock|set|from|\{|query|--)\b", text, re.I
    )
    return text.count(" ") >= 2 and not begins_with_code and "{ " not in text


def _python_comments(text: str) -> Iterator[Prose]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(token.start[0], _without_code(token.string.lstrip("#: ")))


def _comments(text: str, mark: str) -> Iterator[Prose]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(mark):
            yield Prose(number, _without_code(line.strip().lstrip(f"{mark} ")))


def _descriptions(text: str) -> Iterator[Prose]:
    for found in re.finditer(r'"""(.*?)"""', text, re.S):
        yield Prose(text.count("\n", 0, found.start()) + 1, _without_code(found[1]))


def _markdown_prose(text: str) -> Iterator[Prose]:
    yield Prose(1, _without_code(re.sub(r"```.*?```", lambda found: "\n" * found[0].count("\n"), text, flags=re.S)))


def _without_code(text: str) -> str:
    """Blank what is quoted as code: names in it have rules of their own."""
    return re.sub(r"`[^`\n]*`", lambda found: " " * len(found[0]), text)


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files below some paths that hold prose."""
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in found:
            name = each.as_posix()
            if each.suffix in SUFFIXES and not any(part in name for part in LEFT_OUT):
                yield each


def main(arguments: Sequence[str]) -> int:
    """Print the findings below the paths given, or without any a summary; return the number of findings."""
    paths = [Path(each) for each in arguments] or [ROOT / room for room in ROOMS]
    found = [finding for path in files(paths) for finding in findings(path)]
    lines = map(str, found) if arguments else _summary(found)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return len(found)


def _summary(found: Iterable[Finding]) -> Iterator[str]:
    counts = Counter(str(Path(each.path).parent) for each in found)
    return (f"{count:5} {directory}" for directory, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
