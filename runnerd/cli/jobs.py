"""`runnerd jobs`, `runnerd job`, `runnerd cancel`, `runnerd retry` and `runnerd release`."""

from typing import Any

import click
from rich.table import Table

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected, job_id_of
from runnerd.cli.follow import summary
from runnerd.cli.output import age, duration, listing, print_json, sheet, state, stdout
from runnerd.client import Client


@click.command
@click.option(
    "--status",
    type=click.Choice(["queued", "running", "completed", "failed", "cancelled"]),
    help="Only jobs of this status.",
)
@click.option("--experiment", help="Only jobs of this experiment.")
@click.option("--model", help="Only jobs for this model.")
@click.option("--tag", metavar="KEY[=VALUE]", help="Only jobs with this tag.")
@click.option("--queue", help="Only jobs of this queue.")
@click.option("--parked", is_flag=True, help="Only jobs that wait for their release.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="The most jobs to show.",
)
@json_option
@client_options
def jobs(
    address: Address,
    *,
    status: str | None,
    experiment: str | None,
    model: str | None,
    tag: str | None,
    queue: str | None,
    parked: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first.

    \b
    Example:
      runnerd jobs --status failed --limit 5
      runnerd jobs --parked
    """
    with connected(address) as client:
        page = client.list_jobs(
            status=status,
            experiment_name=experiment,
            model_name=model,
            tag=tag,
            queue=queue,
            parked=parked,
            limit=limit,
        )
    if as_json:
        print_json(page)
        return
    if not page["items"]:
        click.echo("No job found. `runnerd submit train.py` makes one.")
        return
    table = listing("Job", "Status", "Script", "Experiment", "Model", "Submitted", "Took")
    for each in page["items"]:
        version = each["model_version"]
        table.add_row(
            each["job_id"][:8],
            state("parked" if each["parked"] else each.get("phase") or each["status"]),
            each["script_name"],
            each["experiment_name"],
            f"{each['model_name']} v{version}" if version else "–",
            age(each["created_at"]),
            duration(each.get("duration_seconds")),
        )
    stdout().print(table)
    if page["next_cursor"]:
        click.echo(f"There are more than {limit}: --limit shows up to 1000.", err=True)


@click.command
@click.argument("job_id")
@json_option
@client_options
def job(address: Address, job_id: str, as_json: bool) -> None:
    """Show the job JOB_ID; its first 6 digits or more are enough.

    \b
    Example:
      runnerd job 3f9a1c
    """
    with connected(address) as client:
        found = client.get_job(job_id_of(client, job_id))
        attempts = client.attempts(found["job_id"]) if found["attempt"] > 1 else []
    if as_json:
        print_json(found)
        return
    stdout().print(sheet(summary(found)))
    if attempts:
        stdout().print(_attempts(attempts))


def _attempts(attempts: list[dict[str, Any]]) -> Table:
    table = listing("Attempt", "Node", "Began", "Ended by", "Exit code")
    for attempt in attempts:
        code = attempt["exit_code"]
        table.add_row(
            str(attempt["number"]),
            attempt["node"],
            age(attempt["created_at"]),
            attempt["cause"] or "–",
            "–" if code is None else str(code),
        )
    return table


@click.command
@click.argument("job_id")
@json_option
@client_options
def cancel(address: Address, job_id: str, as_json: bool) -> None:
    """Stop the job JOB_ID: SIGTERM, then SIGKILL after the grace period.

    \b
    Example:
      runnerd cancel 3f9a1c
    """
    with connected(address) as client:
        found = client.cancel(job_id_of(client, job_id))
    if as_json:
        print_json(found)
    elif found["status"] == "cancelled":
        click.echo(f"Job {found['job_id']} is cancelled.")
    else:
        click.echo(f"Job {found['job_id']} is being stopped.")


@click.command
@click.argument("job_id")
@json_option
@client_options
def retry(address: Address, job_id: str, as_json: bool) -> None:
    """Try the ended job JOB_ID again: the same script, in a new attempt.

    \b
    Example:
      runnerd retry 3f9a1c
    """
    with connected(address) as client:
        found = client.retry(job_id_of(client, job_id))
    if as_json:
        print_json(found)
    else:
        click.echo(f"Job {found['job_id']} is queued again.")


@click.command
@click.argument("job_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All jobs that are parked.")
@json_option
@client_options
def release(address: Address, job_ids: tuple[str, ...], *, every: bool, as_json: bool) -> None:
    """Queue the parked jobs JOB_IDS again, once what failed them is mended.

    \b
    Example:
      runnerd release 3f9a1c
      runnerd release --all
    """
    if every == bool(job_ids):
        raise click.UsageError("name the jobs to release, or use --all")
    with connected(address) as client:
        ids = _parked(client) if every else [job_id_of(client, job_id) for job_id in job_ids]
        released = [client.release(job_id) for job_id in ids]
    if as_json:
        print_json(released)
        return
    for each in released:
        click.echo(f"Job {each['job_id']} is queued again.")
    if not released:
        click.echo("No job is parked.")


def _parked(client: Client) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        page = client.list_jobs(parked=True, limit=1000, cursor=cursor)
        ids += [each["job_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return ids
