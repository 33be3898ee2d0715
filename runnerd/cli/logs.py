"""`runnerd logs`."""

import codecs
import json
import sys

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected, job_id_of
from runnerd.cli.failures import INTERRUPTED
from runnerd.cli.follow import copy_log
from runnerd.client import Client


@click.command
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@json_option
@client_options
def logs(address: Address, job_id: str, follow: bool, as_json: bool) -> None:
    """Print the output of the job JOB_ID; its first 6 digits or more are enough.

    With --json each piece of the output is one line, {"text": "…"}.

    \b
    Example:
      runnerd logs -f 3f9a1c
    """
    with connected(address) as client:
        whole_id = job_id_of(client, job_id)
        try:
            if as_json:
                _print_lines(client, whole_id, follow=follow)
            elif follow:
                copy_log(client, whole_id, sys.stdout, end_line=sys.stdout.isatty())
            else:
                _print(client, whole_id)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


def _print(client: Client, job_id: str) -> None:
    for piece in client.log(job_id):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _print_lines(client: Client, job_id: str, *, follow: bool) -> None:
    pieces = client.follow_log(job_id) if follow else client.log(job_id)
    for text in codecs.iterdecode(pieces, "utf-8", errors="replace"):
        click.echo(json.dumps({"text": text}, ensure_ascii=False))
