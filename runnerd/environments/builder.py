"""Building an environment by the runner's file, in a process of its own."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from runnerd.environments.errors import BuildFailed
from runnerd.environments.processes import OutOfTime, run
from runnerd.environments.reasons import condensed, redacted
from runnerd.jobs import EnvironmentPlan

_MARGIN_SECONDS = 30.0


async def build(plan: EnvironmentPlan, *, runner: Path, index_urls: Sequence[str]) -> None:
    """Build what a plan says, or wait for another builder of the same. Raises ``BuildFailed``.

    The wait is bounded by two build timeouts: the other builder's and this one's.
    """
    seconds = 2 * plan.build_timeout + _MARGIN_SECONDS
    with _written(plan) as file:
        command = [plan.python, "-I", "-S", str(runner), "build", str(file)]
        try:
            finished = await run(command, env=plan.variables, seconds=seconds)
        except OutOfTime:
            raise BuildFailed(f"Building did not end within {seconds:g} s.") from None
        except OSError as error:
            raise BuildFailed(f"The Python {plan.python} can't be run: {error.strerror}.") from None
    if finished.returncode != 0:
        said = reason_of(finished.stderr, index_urls)
        raise BuildFailed(said or f"The builder ended with code {finished.returncode}.")


def reason_of(printed: str, index_urls: Sequence[str]) -> str:
    """Give what a failed builder printed as sentences, without credentials of the indexes."""
    return condensed(redacted(printed, index_urls))


@contextmanager
def _written(plan: EnvironmentPlan) -> Iterator[Path]:
    """Write a plan where only this user can read it: its variables may hold credentials."""
    with tempfile.TemporaryDirectory(prefix="runnerd-build-") as folder:
        file = Path(folder, "plan.json")
        file.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        yield file
