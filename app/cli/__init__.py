"""The command `ochub`."""

import signal
import sys
import traceback
from functools import cache
from importlib import import_module
from types import FrameType, TracebackType
from typing import Any

import click

from app.errors import HubError
from app.logs import masked

INTERRUPTED = 130

#: Where each command is; imported by name, so that a command loads no libraries but its own.
COMMANDS = {
    "up": "app.cli.run:up",
    "serve": "app.cli.run:serve",
    "migrate": "app.cli.run:migrate_",
    "import": "app.cli.data:import_",
    "demo": "app.cli.data:demo",
    "partner": "app.cli.partners:partner",
    "key": "app.cli.partners:key",
    "contract": "app.cli.partners:contract",
    "person": "app.cli.person:person",
    "verify": "app.cli.verify:verify",
    "cdrs": "app.cli.cdrs:cdrs",
}


class _Refused(click.ClickException):
    """Shows a HubError as a sentence and, where there is one, a hint."""

    def __init__(self, error: HubError) -> None:
        super().__init__(masked(error.message))
        self.hint = error.hint

    def show(self, file: Any = None) -> None:
        click.echo(f"Error: {self.message}", err=True)
        if self.hint is not None:
            click.echo(f"Hint: {masked(self.hint)}", err=True)


class Commands(click.Group):
    """The outermost group, which reports every error of a command in a sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.add_command(_load(cmd_name))
        return self.commands.get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HubError as error:
            raise _Refused(error) from error
        except OSError as error:
            # A file that cannot be read or written; errors without a file name have other causes.
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ochub")
@click.pass_context
def main(context: click.Context) -> None:
    """Run and operate OCHub, the hub between the parties of EV charging.

    \b
    Example:
      ochub up                  run it, then in another terminal:
      ochub demo                fill it with synthetic data

    Every setting is a flag or an environment variable; the flag wins.
    """
    context.obj = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.excepthook = _print_unexpected


@cache
def _load(name: str) -> click.Command:
    """Import a command and add its flags: once, because commands are objects of their modules."""
    from app.cli.connect import DATABASE_SETTINGS, takes_settings

    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    if isinstance(command, click.Group):
        # Every command takes the flags that name the database.
        for each in command.commands.values():
            takes_settings(*DATABASE_SETTINGS)(each)
    return command


def _stop(number: int, _frame: FrameType | None) -> None:
    # An exception runs every cleanup on its way.
    raise SystemExit(128 + number)


def _print_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))
