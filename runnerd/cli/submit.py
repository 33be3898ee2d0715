"""`runnerd submit`."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.follow import exit_code, follow_job
from runnerd.cli.output import print_json, state, stdout
from runnerd.client import Job


@click.command
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-r", "--requirement", "required", multiple=True, help="A requirement, as for pip. Repeatable."
)
@click.option(
    "--requirements",
    "requirements_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one requirement a line.",
)
@click.option("--experiment", help="The experiment.  [default: the script's name]")
@click.option("--model", help="The name to register the model under.  [default: the script's name]")
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="A variable for the script; without a value, the one it has here. Repeatable.",
)
@click.option(
    "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag for run and model. Repeatable."
)
@click.option("--timeout", type=click.IntRange(min=1), help="Seconds that the script may take.")
@click.option("--queue", help="The queue to wait in.  [default: default]")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    help="Each point passes up to 100 jobs that were submitted earlier.",
)
@click.option("--cpus", type=click.FloatRange(min=0), help="Processors that the job takes.")
@click.option("--memory", metavar="SIZE", help="Memory that the job takes, as 8GiB.")
@click.option("--gpus", type=click.IntRange(min=0), help="GPUs that the job takes.")
@click.option("--executor", help="What runs the job.  [default: its queue's, or the node's]")
@click.option("--image", help="The image to run in, where the executor runs images.")
@click.option("--name", help="The script's name in the job.  [default: the file's name]")
@click.option("-f", "--follow", is_flag=True, help="Show the output, and wait for the end.")
@json_option
@client_options
def submit(
    address: Address,
    *,
    script: Path,
    required: tuple[str, ...],
    requirements_file: Path | None,
    experiment: str | None,
    model: str | None,
    variables: tuple[str, ...],
    tags: tuple[str, ...],
    timeout: int | None,
    queue: str | None,
    priority: int | None,
    cpus: float | None,
    memory: str | None,
    gpus: int | None,
    executor: str | None,
    image: str | None,
    name: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Submit the training script SCRIPT.

    With --follow the exit code is the script's own; after Ctrl-C, 130, and the job goes on.

    \b
    Example:
      runnerd submit train.py -r scikit-learn --experiment iris --model iris --follow
      runnerd submit train.py --requirements requirements.txt --env ALPHA=0.5 --tag team=a
      runnerd submit train.py --queue nightly --priority 5 --cpus 4 --memory 8GiB --gpus 1
      runnerd submit train.py --executor docker --image python:3.11-slim --cpus 2
    """
    with connected(address) as client:
        job = client.submit(
            name or script.name,
            script.read_bytes(),
            experiment_name=experiment or script.stem,
            model_name=model or script.stem,
            requirements=[*_listed(required), *_lines(requirements_file)],
            environment_vars=dict(_variables(variables)),
            tags=dict(_pair("--tag", text) for text in tags),
            timeout=timeout,
            queue=queue,
            priority=priority,
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            executor=executor,
            image=image,
        )
        if follow:
            return exit_code(follow_job(client, job, as_json=as_json))
    if as_json:
        print_json(job)
    else:
        _tell(job)
    return 0


def _tell(job: Job) -> None:
    console = stdout()
    console.print("Job", job["job_id"], "is", state(job["status"]))
    for warning in job.get("warnings") or ():
        console.print(f"Warning: {warning}", style="yellow", markup=False)
    console.print(f"[dim]Follow it: runnerd logs -f {job['job_id'][:8]}[/dim]")


def _listed(requirements: Iterable[str]) -> Iterator[str]:
    for requirement in requirements:
        if Path(requirement).suffix == ".txt":
            raise click.UsageError(
                f"-r takes one requirement, and {requirement!r} looks like a file: "
                f"use --requirements {requirement}"
            )
        yield requirement


def _lines(file: Path | None) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines() if file else ():
        requirement = line.split(" #")[0].strip()
        if requirement and not requirement.startswith("#"):
            yield requirement


def _variables(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        if "=" in text:
            yield _pair("--env", text)
        elif text in os.environ:
            yield text, os.environ[text]
        else:
            raise click.UsageError(f"--env {text}: no such variable here; write {text}=VALUE")


def _pair(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"{option} {text}: write it as KEY=VALUE")
    return key, value
