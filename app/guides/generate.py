"""Write the generated parts of the pages: settings, commands, error codes, refusal codes, metrics.

Run `python -m app.guides.generate` after changing one of these; a test compares the pages with what would be written.
A generated part stands between two comments, `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import Field, dataclass, fields
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click

from app import metrics
from app.errors import HubError
from app.exchange.cdrs.plausibility import CHECKS
from app.exchange.cdrs.workflow import CDR_WORKFLOW
from app.guides.pages import PAGES, ROOT
from app.settings import CHECKOUT, Settings, variable_of
from app.uploads.checks import MEANINGS, RefusalCode

#: Errors of these rooms are shown by commands, in the terminal, and by no request.
COMMAND_ROOMS: Final = (
    *("app.cli", "app.demo", "app.settings", "app.formats", "app.ingest.registers"),
    *("app.db.migrate", "app.db.postgres", "app.db.cluster"),
)

#: Codes that no class of their own stands for: documents that graphql-core refuses, and defects of the hub.
OTHER_CODES: Final = {
    "GRAPHQL_PARSE_FAILED": "The document is not GraphQL.",
    "GRAPHQL_VALIDATION_FAILED": "The document does not fit the schema.",
    "SERVER": "The hub failed to answer; the message has the id under which its log has the cause.",
}

#: What a client does about an error.
ADVICE: Final = {
    "AMBIGUOUS": "Use the id or the party id.",
    "BAD_AREA": "The message has the bounds.",
    "BAD_CURSOR": "Read the list from its first page.",
    "BAD_FILTER": "The message has the possible values.",
    "BAD_INPUT": "The message has the possible values.",
    "BAD_PAGE_SIZE": "The message has the bounds.",
    "BAD_PRICE": "The message has the bounds.",
    "BAD_REQUEST": "Correct the request; the HTTP status says which part.",
    "BUSY": "Repeat the request.",
    "CONFIRM_REMOVALS": "If the list is right, repeat it with `confirmRemovals: true` (`--confirm-removals`).",
    "CURSOR_EXPIRED": "Read a new initial state, [like a new subscriber](following.md#when-a-cursor-expires).",
    "EMPTY_LIST": "Send the items, or remove them by id.",
    "FILTER_NOT_LIVE": "Use `availableNow`, which can be followed.",
    "FORBIDDEN": "Use a key of another role.",
    "GRAPHQL_PARSE_FAILED": "Correct the document.",
    "GRAPHQL_VALIDATION_FAILED": "Correct the document.",
    "INVALID_ID": "The message has the expected form.",
    "LIST_INCOMPLETE": "Send the missing parts, which the message names.",
    "LIST_TOO_LARGE": "Finish or abandon the lists that you began.",
    "NOT_FOUND": "Check the id, and your contracts.",
    "NOT_POSSIBLE": "The message lists the possible transitions.",
    "OVERLOADED": "Repeat it after `retryAfterS` seconds.",
    "PARTY_ID_TAKEN": "Check the party id.",
    "RATE_LIMITED": "Wait `retryAfterS` seconds; see [Budgets](limits.md#budgets).",
    "REQUEST_ID_REUSED": "Give a new request its own id; see [Charging](charging.md#the-first-single-authorisation).",
    "RESYNC": "Subscribe again with `extensions.cursor`.",
    "SERVER": "Report the id.",
    "TIMEOUT": "Ask for less: a smaller area, fewer filters, a smaller page.",
    "TOO_COMPLEX": "Ask for less, or in several requests; see [Limits](limits.md).",
    "TOO_MANY_ITEMS": "Send the rest in other calls, or a whole list in parts.",
    "TOO_MANY_KEYS": "Revoke one of the two keys first.",
    "TOO_MANY_OPEN": "Close some first.",
    "TOO_MANY_SUBSCRIPTIONS": "Try again later.",
    "TOO_MANY_TO_PRICE": "Ask for a smaller area, add a filter, or ask around a point.",
    "UNAUTHENTICATED": "Send a valid key.",
    "UNAVAILABLE": "Repeat it after `retryAfterS` seconds; uploads may be sent again.",
    "UNKNOWN_OPERATION": "Name one of them.",
}

SETTING_GROUPS: Final[dict[str, Sequence[str]]] = {
    "Database": (
        *("database_url", "runtime_role", "data_dir", "pool_size", "caller_share"),
        *("read_timeout_s", "write_timeout_s", "mutation_timeout_s"),
    ),
    "Server": ("host", "port", "log_level", "log_format", "cors_origins", "trusted_proxies", "gzip_from_bytes"),
    "Requests": (
        *("key_cache_s", "max_body_bytes", "max_anonymous_body_bytes", "max_bodies_bytes", "body_timeout_s"),
        *(
            "max_document_characters",
            "max_document_tokens",
            "max_depth",
            "max_fields",
            "max_aliases",
            "max_directives",
            "max_root_fields",
        ),
        *("max_definitions", "max_cost", "max_values"),
    ),
    "Budgets": (
        *("partner_requests_per_s", "partner_cost_per_s", "anonymous_requests_per_s", "anonymous_cost_per_s"),
        *("database_cost_per_s", "budget_burst_s"),
    ),
    "Sockets and subscriptions": (
        *("max_sockets_per_key", "max_sockets_per_address", "max_subscriptions", "max_subscriptions_per_socket"),
        *("max_subscriptions_per_key", "max_subscriptions_per_address", "max_message_bytes", "messages_per_s"),
        *("init_timeout_s", "keepalive_s", "send_timeout_s", "socket_buffer_bytes", "key_check_s"),
    ),
}
OTHER_SETTINGS: Final = "Live status, change log and uploads"


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is typed, with click's description of it."""

    name: str
    click: click.Command


def updated(text: str) -> str:
    """Return the text of a page with its generated parts replaced."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end: \2 -->)",
        lambda found: f"{found[1]}\n{GENERATED[found[2]]()}\n\n{found[3]}",
        text,
        flags=re.S,
    )


def hub_errors() -> list[type[HubError]]:
    """Return every error class of the product, after importing all of its modules."""
    for room in ("app", "schema"):
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
    return [error for error in _subclasses(HubError) if error.__module__.partition(".")[0] in ("app", "schema")]


def _subclasses(error: type[HubError]) -> Iterator[type[HubError]]:
    yield error
    for each in error.__subclasses__():
        yield from _subclasses(each)


def error_codes() -> str:
    """Return the table of codes that GraphQL errors carry."""
    shown = (each for each in hub_errors() if not each.__module__.startswith(COMMAND_ROOMS))
    meanings = _meanings(shown) | OTHER_CODES
    rows = [(f"`{code}`", meaning, ADVICE.get(code, "")) for code, meaning in sorted(meanings.items())]
    return _table(("Code", "Meaning", "What to do"), rows)


def command_codes() -> str:
    """Return the table of errors that end a command."""
    shown = (each for each in hub_errors() if each.__module__.startswith(COMMAND_ROOMS))
    return _table(("Error", "Meaning"), [(f"`{code}`", text) for code, text in sorted(_meanings(shown).items())])


def _meanings(errors: Iterable[type[HubError]]) -> dict[str, str]:
    """Return the first lines of the docstrings by code, each once."""
    by_code = sorted(errors, key=lambda error: error.code)
    return {
        code: " ".join(sorted({(error.__doc__ or "").partition("\n")[0] for error in group}))
        for code, group in groupby(by_code, lambda error: error.code)
    }


def refusal_codes() -> str:
    """Return the table of codes with which an item of an upload is refused."""
    return _table(("Code", "Meaning"), [(f"`{code.value}`", MEANINGS[code]) for code in RefusalCode])


def settings() -> str:
    """Return the tables of settings, by group."""
    known = {each.name: each for each in fields(Settings)}
    grouped = {name for names in SETTING_GROUPS.values() for name in names}
    groups = {**SETTING_GROUPS, OTHER_SETTINGS: [name for name in known if name not in grouped]}
    return "\n\n".join(
        f"### {title}\n\n"
        + _table(("Variable", "Default", "Meaning"), [_setting(known[name]) for name in names if name in known])
        for title, names in groups.items()
    )


def _setting(field: Field[Any]) -> tuple[str, str, str]:
    return f"`{variable_of(field.name)}`", _default(field.default), field.metadata["meaning"]


def _default(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, Path):
        return f"`{value.relative_to(CHECKOUT)}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"


def metric_names() -> str:
    """Return the table of metrics."""
    rows = [
        (f"`{_shown_name(each)}`", each.type, ", ".join(f"`{name}`" for name in _labels(each.name)), each.documentation)
        for each in metrics.REGISTRY.collect()
    ]
    return _table(("Metric", "Type", "Labels", "Meaning"), sorted(rows))


def _shown_name(metric: Any) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(name: str) -> Sequence[str]:
    collectors: dict[str, Any] = metrics.REGISTRY._names_to_collectors  # pyright: ignore[reportPrivateUsage]
    return collectors[name]._labelnames


def commands() -> list[Command]:
    """Return every command, groups resolved, in the order of the help text."""
    main = importlib.import_module("app.cli").main
    return list(_commands(main, "ochub", click.Context(main)))


def _commands(group: click.Group, name: str, context: click.Context) -> Iterator[Command]:
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {child}", context)
        elif command is not None:
            yield Command(f"{name} {child}", command)


def command_reference() -> str:
    """Return a section per command: its help text, its example and its options."""
    return "\n\n".join(map(_section, commands()))


def _section(command: Command) -> str:
    shared = {variable_of(each.name) for each in fields(Settings)}
    options = [
        (f"`{', '.join(each.opts)}`", _option_help(each))
        for each in command.click.params
        if isinstance(each, click.Option) and not any(f"[{name}" in (each.help or "") for name in shared)
    ]
    arguments = " ".join(each.human_readable_name for each in command.click.params if isinstance(each, click.Argument))
    heading = f"## {command.name} {arguments}".rstrip()
    return "\n\n".join(filter(None, (heading, _help(command.click), _table(("Option", "Meaning"), options))))


def _option_help(option: click.Option) -> str:
    return _cell(option.help or "")


def _help(command: click.Command) -> str:
    """Return the help text as Markdown: the part after click's `\\b` is an example."""
    paragraphs = cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_example(each) if each.startswith("\b") else " ".join(each.split()) for each in paragraphs)


def _example(paragraph: str) -> str:
    lines = [line.strip() for line in paragraph.splitlines()[1:] if "ochub " in line]
    return "```sh\n" + "\n".join(lines) + "\n```"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = (titles, ["---"] * len(titles), *(map(_cell, row) for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def cdr_transitions() -> str:
    """Return the table of transitions of a CDR."""
    rows = [
        ("nothing" if each.before is None else f"`{each.before}`", each.command, ", ".join(each.by), f"`{each.after}`")
        for each in CDR_WORKFLOW.transitions
    ]
    return _table(("Before", "Command", "By", "After"), rows)


def plausibility_codes() -> str:
    """Return the table of checks that a CDR must pass, in the order in which they are reported."""
    rows = [(f"`{check.code.value}`", MEANINGS[check.code].removeprefix("CDRs: ")) for check in CHECKS]
    return _table(("Code", "What is wrong"), rows)


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "commands": command_reference,
    "error_codes": error_codes,
    "command_codes": command_codes,
    "refusal_codes": refusal_codes,
    "cdr_transitions": cdr_transitions,
    "plausibility_codes": plausibility_codes,
    "metrics": metric_names,
}


def main() -> None:
    """Write every page whose generated parts have changed."""
    for path in (ROOT / page.path for page in PAGES):
        text = path.read_text("utf-8")
        if (new := updated(text)) != text:
            path.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
