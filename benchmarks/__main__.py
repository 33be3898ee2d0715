"""Runs the measurements that are named, or all: ``python -m benchmarks [NAME …]``."""

import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    adoption,
    full_store,
    s3_transfer,
    seed_example,
    status_latency,
    submissions,
)
from benchmarks.numbers import Measurement
from scripts.daemon import Daemon, NotWorking, empty_folder, running

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
SCRATCH = ROOT / ".cache" / "benchmarks"
ALL: dict[str, Callable[[Daemon], Measurement]] = {
    "seed_example": seed_example.measure,
    "submissions": submissions.measure,
    "status_latency": status_latency.measure,
    "full_store": full_store.measure,
    "adoption": adoption.measure,
    "s3_transfer": s3_transfer.measure,
}


def main(names: list[str]) -> int:
    """Measure what is named; gives the exit code."""
    if unknown := set(names) - set(ALL):
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
        return 2
    console = Console()
    for name in names or ALL:
        try:
            with console.status(f"{name} …"):
                measurement = _measure(name)
        except NotWorking as error:
            console.print(f"{name} failed: {error}")
            return 1
        console.print(_table(measurement))
        console.print(f"written to {_keep(name, measurement).relative_to(ROOT)}\n")
    return 0


def _measure(name: str) -> Measurement:
    settings = submissions.SETTINGS if name == "submissions" else {}
    cache = str(SCRATCH / "cache" / "uv")
    with running(empty_folder(SCRATCH / "data"), ENVIRONMENTS_CACHE=cache, **settings) as daemon:
        return ALL[name](daemon)


def _table(measurement: Measurement) -> Table:
    table = Table(title=measurement.title)
    table.add_column("")
    for name in measurement.columns:
        table.add_column(name, justify="right")
    for label, values in measurement.rows.items():
        table.add_row(label, *(f"{value:,.2f}" for value in values))
    return table


def _keep(name: str, measurement: Measurement) -> Path:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    report = {
        "title": measurement.title,
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        },
        "rows": {
            label: dict(zip(measurement.columns, values, strict=True))
            for label, values in measurement.rows.items()
        },
    }
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
