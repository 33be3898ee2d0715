"""What is handed to sbatch."""

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

from runnerd.plugins import AttemptFolder, BackendAway, FailJob, LaunchRequest
from runnerd_slurm.attempts import name_of, token_file
from runnerd_slurm.programs import Programs, Said
from runnerd_slurm.settings import SlurmSettings

# Beyond timeout, grace and building: entering the environment, and ending what will not end.
MARGIN_SECONDS = 180
MIB = 1024 * 1024
# What Slurm sets where it has given devices to the job.
DEVICES = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
# Words of refusals that pass by themselves.
PASSING = (
    "communication connection failure",
    "connect failure",
    "authentication error",  # munge is away, or clocks are apart
    "socket timed out",
    "standby mode",
    "temporarily unable",
    "transport endpoint",
    "unable to contact slurm controller",
    "zero bytes were transmitted",
)
SCRIPT = """\
#!/bin/sh
# Starts the runner of one attempt, once: an older submission, or one that Slurm starts again, ends.
cd {folder} || exit 1
[ "$(cat {token_file})" = {token} ] || exit 0
[ ! -e {started} ] || exit 0
trap : TERM INT HUP  # the runner is told too, and gives the script its grace
{python} -I -S {runner} run {folder}
status=$?
[ $status -eq 0 ] || {python} -I -S {runner} sweep {attempt_id}
[ $status -le 128 ] || kill -9 $$  # as the runner ended: Slurm tells the signal
exit $status
"""


def batch_script(folder: AttemptFolder, token: str, *, python: Path, runner: Path) -> str:
    """Give the script of the batch job. It holds no secret: Slurm shows it to its users."""
    paths = {
        "folder": folder.path,
        "token_file": token_file(folder),
        "started": folder.started,
        "python": python,
        "runner": runner,
    }
    words = {**paths, "token": token, "attempt_id": folder.attempt_id}
    return SCRIPT.format(**{name: shlex.quote(str(word)) for name, word in words.items()})


def options_of(
    folder: AttemptFolder, request: LaunchRequest, settings: SlurmSettings
) -> Iterator[str]:
    """Give sbatch's options; the settings' own come last, where sbatch lets them win."""
    yield from ("--parsable", "--no-requeue", "--export=NIL", "--open-mode=append")
    yield f"--job-name={name_of(folder)}"
    yield f"--chdir={folder.path}"
    yield "--output=" + str(folder.runner_log).replace("%", "%%")
    seconds = request.timeout + request.grace_seconds + request.environment.build_timeout
    yield f"--time={math.ceil((seconds + MARGIN_SECONDS) / 60)}"
    asked = request.resources
    if asked.cpus:
        yield f"--cpus-per-task={math.ceil(asked.cpus)}"
    if asked.memory_bytes:
        yield f"--mem={math.ceil(asked.memory_bytes / MIB)}M"
    if asked.gpus:
        yield f"--gres={settings.gres}:{asked.gpus}"
    for name in ("partition", "account", "qos", "constraint"):
        if value := getattr(settings, name):
            yield f"--{name}={value}"
    yield from settings.options


async def submit(programs: Programs, options: list[str], script: str) -> int:
    """Submit a batch job and give its number.

    Raises ``BackendAway`` where Slurm can't take it now or its answer was lost, and ``FailJob``
    where it refuses, with its own words.
    """
    said = await programs.run("sbatch", *options, given=script)
    number = said.output.strip().partition(";")[0]
    if number.isdigit():
        return int(number)
    raise _refusal(said)


def _refusal(said: Said) -> BackendAway | FailJob:
    if not said.errors.strip() or any(words in said.errors.lower() for words in PASSING):
        return BackendAway(f"Slurm does not take jobs now: {said.reason}")
    return FailJob(
        f"Slurm refused it: {said.reason}; mend [plugins.slurm], or what the job asks for"
    )
