"""A job on the terminal: what it waits for, its output as it comes, and what it made."""

import sys
import time
from collections.abc import Collection
from typing import Any, TextIO

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from runnerd.cli.failures import FAILED, INTERRUPTED
from runnerd.cli.output import duration, print_json, sheet, size, state, stderr, stdout
from runnerd.client import ENDED, Client, DaemonAway, Job, RequestRefused

_WORDS = {
    "queued": "Waiting for its turn…",
    "preparing": "Building the environment…",
    "finishing": "Registering the model…",
}
_POLL_SECONDS = 0.3


def follow_job(client: Client, job: Job, *, as_json: bool) -> Job:
    """Follow a job to its end and show what it made; gives it as it ended.

    Ctrl-C leaves the job running and ends the command.
    """
    notes = stderr()
    notes.print("Job", job["job_id"], style="dim")
    try:
        _wait(client, job["job_id"], after={"running", "finishing"} | ENDED)
        target = sys.stderr if as_json else sys.stdout
        copy_log(client, job["job_id"], target, end_line=True)
        ended = _wait(client, job["job_id"], after=ENDED)
    except KeyboardInterrupt:
        short = job["job_id"][:8]
        notes.print(
            f"\nThe job goes on. See it again: runnerd logs -f {short}; "
            f"stop it: runnerd cancel {short}",
            soft_wrap=True,
        )
        raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        print_json(ended)
    else:
        stdout().print(sheet(summary(ended) + _metrics(client, ended)))
    return ended


def copy_log(client: Client, job_id: str, target: TextIO, *, end_line: bool) -> None:
    """Write a job's output as it comes, until the job has ended.

    With ``end_line``, a last line that the script left open is ended.
    """
    target.flush()
    last = b"\n"
    for piece in client.follow_log(job_id):
        target.buffer.write(piece)
        target.buffer.flush()
        last = piece[-1:] or last
    if end_line and last != b"\n":
        target.write("\n")


def exit_code(job: Job) -> int:
    """Give 0 for a completed job, else the script's own exit code where it has one, else 1."""
    if job["status"] == "completed":
        return 0
    code = job.get("exit_code")
    return code if code is not None and 0 < code < 256 else FAILED


def summary(job: Job) -> list[tuple[str, Any]]:
    """Give the rows that describe a job."""
    phase = "parked" if job["parked"] else job.get("phase") or job["status"]
    version = job["model_version"]
    error = job["error"]
    return [
        ("Job", job["job_id"]),
        ("Status", state(phase)),
        ("Queue", _place(job)),
        ("Takes", _takes(job)),
        ("Waits for", job.get("waiting_for")),
        ("Error", Text(error, style="red") if error else None),
        ("Script", job["script_name"]),
        ("Experiment", job["experiment_name"]),
        ("Run", job["run_id"]),
        ("Model", f"{job['model_name']} version {version}" if version else None),
        ("Duration", duration(job.get("duration_seconds")) if job["started_at"] else None),
        *(("Warning", Text(text, style="yellow")) for text in job.get("warnings") or ()),
    ]


def _place(job: Job) -> str:
    priority = f", priority {job['priority']}" if job["priority"] else ""
    return job["queue"] + priority


def _takes(job: Job) -> str | None:
    asked = job["resources"]
    numbers = {"CPU": asked["cpus"], "GPU": asked["gpus"]}
    parts = [f"{number:g} {what}" for what, number in numbers.items() if number]
    if asked["memory_bytes"]:
        parts.append(size(asked["memory_bytes"]))
    return ", ".join(parts) or None


def _metrics(client: Client, job: Job) -> list[tuple[str, Any]]:
    if job["run_id"] is None:
        return []
    try:
        metrics = client.run_metrics(job["run_id"])
    except (DaemonAway, RequestRefused) as error:
        return [("Metrics", Text(f"not to be had: {error}", style="yellow"))]
    return [(name, Text(f"{metrics[name]:.6g}", style="cyan")) for name in sorted(metrics)]


def _words(job: Job, phase: str) -> str:
    waiting_for = job.get("waiting_for")
    return f"Waiting for {waiting_for}…" if waiting_for else _WORDS.get(phase, f"{phase}…")


def _wait(client: Client, job_id: str, *, after: Collection[str]) -> Job:
    console = stderr()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    spinner = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    phase = None
    with spinner:
        while True:
            job = client.get_job(job_id)
            found = job.get("phase") or job["status"]
            if found in after:
                return job
            if found != phase:
                phase, words = found, _words(job, found)
                for task in spinner.task_ids:
                    spinner.remove_task(task)
                spinner.add_task(words)
                if not console.is_terminal:
                    console.print(words)
            time.sleep(_POLL_SECONDS)
