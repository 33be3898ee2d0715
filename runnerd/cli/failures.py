"""How a command ends when something is wrong: one sentence, no traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


@contextmanager
def failing() -> Iterator[None]:
    """End the process with a sentence and an exit code where a command can't go on.

    With the variable RUNNERD_LOG_LEVEL=debug an unexpected fault shows its traceback.
    """
    try:
        yield
    except click.UsageError as error:
        _explain_usage(error)
        sys.exit(WRONG_USAGE)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # whoever read the output has gone: nothing may be written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        if os.environ.get("RUNNERD_LOG_LEVEL") == "debug":
            raise
        first = _innermost(error)
        _say(
            f"unexpected {type(first).__name__}: {first} "
            "(RUNNERD_LOG_LEVEL=debug shows where, for a bug report)"
        )
        sys.exit(FAILED)


def _innermost(error: Exception) -> Exception:
    """Give the first fault of those that tasks beside each other raised together."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain_usage(error: click.UsageError) -> None:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)
    _say(error.format_message())


def _say(message: str) -> None:
    color = None if "NO_COLOR" in os.environ else "red"
    click.secho(f"Error: {message}", err=True, fg=color)
