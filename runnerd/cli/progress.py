"""How far a long command has come, for people who watch it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runnerd.cli.output import stderr

Told = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Told]:
    """Give what a command tells its progress to: the step, what is done of it, and its whole.

    A bar a step is drawn on a terminal, and gone at the end; elsewhere nothing is.
    """
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    steps: dict[str, TaskID] = {}
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:

        def told(step: str, done: int, whole: int) -> None:
            if step not in steps:
                steps[step] = bars.add_task(step)
            bars.update(steps[step], completed=done, total=whole)

        yield told
