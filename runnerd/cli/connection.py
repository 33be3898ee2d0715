"""The client as commands use it: its errors in words for people who type."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from runnerd.cli.address import Address
from runnerd.client import Client, DaemonAway, RequestRefused, Unauthenticated

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{6,31}")
_SEARCHED = 1000


@contextmanager
def connected(address: Address, timeout: float = 30.0) -> Iterator[Client]:
    """Give a client; what it raises ends the command with one sentence."""
    try:
        client = Client(address.url, address.token, timeout)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        with client:
            yield client
    except DaemonAway as error:
        raise click.ClickException(str(error)) from error
    except Unauthenticated as error:
        raise click.ClickException(
            f"{error.detail} (set RUNNERD_TOKEN or --token; `runnerd token create NAME` on the "
            "daemon's machine makes one)"
        ) from error
    except RequestRefused as error:
        raise click.ClickException(_in_words(error)) from error


def _in_words(error: RequestRefused) -> str:
    lines = [
        f"  {'.'.join(map(str, fault.get('loc', ())))}: {fault.get('msg', '')}"
        for fault in error.errors
        if fault.get("msg", "") not in error.detail
    ]
    request = [f"  (request {error.request_id})"] if error.status >= 500 else []
    return "\n".join([error.detail, *lines, *request])


def job_id_of(client: Client, text: str) -> str:
    """Give the whole id for an id, or for the first six digits or more of a recent job's."""
    wanted = text.lower()
    if _JOB_ID.fullmatch(wanted):
        return wanted
    if not _PREFIX.fullmatch(wanted):
        raise click.UsageError(
            f"{text!r} is not a job id: give all 32 digits of it, or at least the first 6"
        )
    found = [
        job["job_id"]
        for job in client.list_jobs(limit=_SEARCHED)["items"]
        if job["job_id"].startswith(wanted)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"{len(found)} jobs begin with {wanted}: give more digits")
    raise click.ClickException(
        f"none of the newest {_SEARCHED} jobs begins with {wanted}: `runnerd jobs` lists them"
    )
