"""The command `runnerd`: finds each subcommand when it is called, so that it starts quickly."""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from runnerd import __version__
from runnerd.cli.address import URL_VARIABLE, Address
from runnerd.cli.failures import failing

DEFAULT_URL = "http://127.0.0.1:8000"
COMMANDS = {
    "serve": ("runnerd.cli.serve:serve", "Run the daemon."),
    "submit": ("runnerd.cli.submit:submit", "Submit a training script."),
    "jobs": ("runnerd.cli.jobs:jobs", "List jobs, newest first."),
    "job": ("runnerd.cli.jobs:job", "Show one job."),
    "logs": ("runnerd.cli.logs:logs", "Print a job's output."),
    "cancel": ("runnerd.cli.jobs:cancel", "Stop a job."),
    "retry": ("runnerd.cli.jobs:retry", "Try an ended job again."),
    "release": ("runnerd.cli.jobs:release", "Release parked jobs."),
    "queues": ("runnerd.cli.queues:queues", "List the queues and what they hold."),
    "drain": ("runnerd.cli.drain:drain", "Stop claiming jobs, and wait for the running ones."),
    "models": ("runnerd.cli.models:models", "List the registered models, or show one."),
    "predict": ("runnerd.cli.predict:predict", "Ask a model for predictions."),
    "status": ("runnerd.cli.status:status", "Show how the daemon and its plugins are."),
    "nodes": ("runnerd.cli.nodes:nodes", "List the daemons that share the queue."),
    "doctor": ("runnerd.cli.doctor:doctor", "Check the setup and say what to do about faults."),
    "config": ("runnerd.cli.config:config", "Show the settings in force and their sources."),
    "plugins": ("runnerd.cli.plugins:plugins", "List, check and begin plugins."),
    "token": ("runnerd.cli.token:token", "Create, list and revoke access tokens."),
    "db": ("runnerd.cli.db:db", "Look after the database."),
    "backup": ("runnerd.cli.backup:backup", "Save everything while the daemon runs."),
    "restore": ("runnerd.cli.backup:restore", "Make a backup a data folder again."),
    "storage": ("runnerd.cli.storage:storage", "Copy what one storage keeps to another."),
    "completion": ("runnerd.cli.completion:completion", "Print the completion of a shell."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        place, summary = COMMANDS[cmd_name]
        module, _, name = place.partition(":")
        # Collections in the middle of imports find nothing: they were a fifth of the start.
        gc.disable()
        command: click.Command = getattr(import_module(module), name)
        gc.enable()
        command.short_help = summary
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, name="runnerd", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    envvar=URL_VARIABLE,
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    help="The daemon's address.",
)
@click.option("--token", envvar="RUNNERD_TOKEN", show_envvar=True, help="The daemon's token.")
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context, url: str, token: str | None) -> None:
    """Run training scripts, and serve the models that they make.

    \b
    Example:
      runnerd serve
      runnerd submit train.py -r scikit-learn --follow
    """
    context.obj = Address(url, token)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that was typed; ends the process with its exit code."""
    with failing():
        code = root.main(arguments, prog_name="runnerd", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else os.EX_OK)
