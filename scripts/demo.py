"""What runnerd does, shown: a training script becomes a served model (``make demo``).

It starts a daemon of its own on a free port, with a data folder of its own (``.demo/``), sends
it the example of the API's predecessor, and takes everything down again. Only the package cache
stays, so that the next time nothing is downloaded.
"""

import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from scripts.daemon import Daemon, NotWorking, empty_folder
from scripts.five_rows import ROWS, Answers, cancel_what_runs

FOLDER = Path(__file__).parents[1] / ".demo"
INTERRUPTED = 130
MEASURES = "sepal, petal (cm)"
_console = Console(highlight=False)


def main(folder: Path, cache: Path) -> int:
    """Run the demo in a folder, with packages from a cache; gives the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _console.print("Another demo is running in this folder: let it end first.")
            return 1
        return _with_a_daemon(folder / "data", cache)


def _with_a_daemon(data_dir: Path, cache: Path) -> int:
    daemon = Daemon(empty_folder(data_dir), ENVIRONMENTS_CACHE=str(cache))
    try:
        code = _show(daemon)
    except KeyboardInterrupt:
        _console.print("Interrupted: taking everything down.")
        code = INTERRUPTED
    code = _take_down(daemon) or code
    if code == 0:
        shutil.rmtree(data_dir)
    return code


def _show(daemon: Daemon) -> int:
    try:
        with _console.status("starting the daemon …"):
            seconds = daemon.wait_until_it_listens()
        _console.print(f"runnerd listens on {daemon.url} after {seconds:.1f} s\n")
        answers = _take_the_rows(daemon.url)
    except (NotWorking, httpx.HTTPError) as error:
        _report(daemon, str(error) or type(error).__name__)
        return 1
    _console.print(f"\n[bold green]{len(ROWS)} of {len(ROWS)}[/]\n")
    _console.print(_predictions(answers))
    return 0


def _take_the_rows(url: str) -> Answers:
    answers = Answers()
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        try:
            for name, row in ROWS.items():
                _take(name, row, client, answers)
        finally:
            cancel_what_runs(client, answers)
    return answers


def _take(
    name: str,
    row: Callable[[httpx.Client, Answers, Callable[[str], None]], str],
    client: httpx.Client,
    answers: Answers,
) -> None:
    started = time.monotonic()
    with _console.status(f"{name} …") as status:

        def say(what: str) -> None:
            status.update(f"{name}: {what} ({time.monotonic() - started:.0f} s)")

        try:
            seen = row(client, answers, say)
        except (NotWorking, httpx.HTTPError):
            _console.print(f"[red]✗[/] {name}")
            raise
    seconds = f"{time.monotonic() - started:6.2f} s"
    _console.print(f"[green]✓[/] {name:16} {seconds}  [dim]{seen}[/]", soft_wrap=True)


def _predictions(answers: Answers) -> Table:
    table = Table(title=f"What {answers.model_name} version {answers.version} says")
    for column in (MEASURES, "prediction", *answers.kinds):
        table.add_column(column, no_wrap=True)
    rows = zip(
        zip(*answers.inputs.values(), strict=True),
        answers.prediction["predictions"],
        answers.prediction["probabilities"],
        strict=True,
    )
    for measures, kind, probabilities in rows:
        table.add_row(
            "  ".join(f"{value:.1f}" for value in measures),
            answers.kinds[int(kind)],
            *(f"{share:.2f}" for share in probabilities),
        )
    return table


def _take_down(daemon: Daemon) -> int:
    try:
        daemon.stop()
    except NotWorking as error:
        _report(daemon, str(error))
        return 1
    _console.print("The daemon is stopped, and no process of it is left.")
    return 0


def _report(daemon: Daemon, what: str) -> None:
    _console.print(f"[bold red]The demo failed:[/] {what}", soft_wrap=True)
    _console.print(f"\nThe end of the daemon's log ({daemon.log}):", soft_wrap=True)
    _console.print(daemon.log_tail(), markup=False, soft_wrap=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(FOLDER, FOLDER / "cache" / "uv"))
