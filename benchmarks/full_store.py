"""What a million ended jobs cost: the store's work on a full SQLite file beside an empty one."""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.numbers import Measurement
from runnerd.jobs import Abilities, Capacity, JobSpecification, JobState, NodeExecutors
from runnerd.store import Offer, Store
from scripts.daemon import Daemon, NotWorking

ENDED_JOBS = 1_000_000
CALLS = 300
SPECIFICATION = JobSpecification(
    script_name="waits.py", script="print('ran')\n", experiment_name="none", model_name="none"
)
EXECUTORS = NodeExecutors(default="none", opened={"none": Abilities()})
OFFER = Offer("local", EXECUTORS, Capacity(1), {})
Work = Callable[[Store], Awaitable[object]]


def measure(_: Daemon) -> Measurement:
    """Do the same on both files, call by call in turns; the daemon stands by."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> Measurement:
    async with (
        Store(f"sqlite:///{folder / 'empty.db'}") as empty,
        Store(f"sqlite:///{folder / 'full.db'}") as full,
    ):
        await _claim_and_end(full)
        await asyncio.to_thread(_multiply, folder / "full.db")
        works: dict[str, Work] = {
            "submit and cancel": _submit_and_cancel,
            "submit, claim and end": _claim_and_end,
            "look for work in vain": _claim_in_vain,
            "list 100, newest first": _list,
        }
        rows = {name: await _compared(work, empty, full) for name, work in works.items()}
    columns = ("empty, ms", f"{ENDED_JOBS:,} ended, ms", "empty / full")
    return Measurement(f"The store, medians of {CALLS} calls each, in turns", columns, rows)


async def _compared(work: Work, empty: Store, full: Store) -> tuple[float, float, float]:
    times: dict[Store, list[float]] = {empty: [], full: []}
    for _ in range(CALLS):
        for store, taken in times.items():
            begun = time.perf_counter()
            await work(store)
            taken.append((time.perf_counter() - begun) * 1000)
    alone, among = statistics.median(times[empty]), statistics.median(times[full])
    return alone, among, alone / among


async def _submit_and_cancel(store: Store) -> None:
    job = (await store.submit(SPECIFICATION)).job
    await store.request_cancel(job.id)


async def _claim_and_end(store: Store) -> None:
    await store.submit(SPECIFICATION)
    claim = await store.claim(OFFER)
    if claim is None:
        raise NotWorking("a queued job could not be claimed")
    await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="a benchmark")


async def _claim_in_vain(store: Store) -> None:
    await store.claim(OFFER)


async def _list(store: Store) -> None:
    await store.list_jobs(limit=100)


def _multiply(file: Path) -> None:
    """Copy the one job and its events until there are a million."""
    database = sqlite3.connect(file)
    with database:
        for table, unique in (("jobs", {"seq", "id"}), ("events", {"id", "job_id"})):
            described = database.execute(f"PRAGMA table_info('{table}')")
            same = ", ".join(row[1] for row in described if row[1] not in unique)
            name = "id" if table == "jobs" else "job_id"
            once = "" if table == "jobs" else "WHERE kind = 'failed'"
            database.execute(
                f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ?) "
                f"INSERT INTO {table} ({name}, {same}) "
                f"SELECT printf('%032x', x), {same} FROM n, (SELECT * FROM {table} {once})",
                (ENDED_JOBS,),
            )
    database.close()
