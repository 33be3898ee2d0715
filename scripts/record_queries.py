"""Records what this code says to its database, for the code after the next migration.

``python -m scripts.record_queries URL FILE`` on an empty database, run before the migration is
written. The version after it replays the file on its own schema
(``tests/store/test_expand_contract.py``): daemons of both share the database during an upgrade.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from runnerd.jobs import (
    Abilities,
    Capacity,
    Cause,
    Handle,
    JobSpecification,
    JobState,
    NodeExecutors,
    Outcome,
)
from runnerd.store import Offer, Store

EXECUTORS = NodeExecutors(default="subprocess", opened={"subprocess": Abilities()})
OFFER = Offer("recorder", EXECUTORS, Capacity(9), {})
Entry = dict[str, Any]


async def use(store: Store) -> None:
    """Do everything once that a daemon does with its store."""
    seat = await store.take_seat("recorder", "http://recorder", "0" * 32, Capacity(9))
    await store.beat(seat)
    for key in (None, "key", "key"):
        await store.submit(_specification(), idempotency_key=key)
    for _ in range(3):
        await store.submit(_specification())
    claims = [claim async for claim in _claims(store)]
    completed, lost, running, cancelled, left = claims
    for claim in claims:
        await store.note_launch(claim, Handle(1, "state"), "1" * 64)
        await store.note_event(claim, "building_environment")
    for claim in (completed, running):
        await store.mark_running(claim, 1_700_000_000.5)
        await store.note_run(claim.job.id, f"run-{claim.job.id}")
        await store.note_model(claim.job.id, f"model-{claim.job.id}", f"run-{claim.job.id}")
        await store.note_version(claim.job.id, f"forest-{claim.job.id}", "1")
    ended = Outcome(Cause.EXITED, exit_code=0, ended_at=1_700_000_001.0)
    await store.mark_finishing(completed, JobState.RUNNING, ended)
    await store.finish(completed, JobState.FINISHING, JobState.COMPLETED, run_id="r")
    await store.requeue(lost, JobState.PREPARING, Outcome(Cause.LOST), error="vanished", delay=3600)
    await store.request_cancel(running.job.id)
    await store.finish(cancelled, JobState.PREPARING, JobState.CANCELLED, error="cancelled")
    await store.request_retry(cancelled.job.id)
    await store.request_cancel(cancelled.job.id)
    await store.take_over("recorder", known=[left.job.id])
    await _read(store, completed.job.id)
    token = await store.create_token("recorder")
    await store.identify(token.secret)
    await store.revoke_token("recorder")
    await store.leave_seat(seat)


async def _claims(store: Store) -> Any:
    while (claim := await store.claim(OFFER)) is not None:
        yield claim


async def _read(store: Store, job_id: str) -> None:
    await store.get_job(job_id)
    await store.attempts(job_id)
    await store.events(job_id)
    await store.makings(job_id)
    await store.cancels_requested()
    await store.count_by_state(set(JobState))
    await store.list_nodes()
    await store.list_tokens()
    await store.list_jobs(
        states={JobState.COMPLETED}, experiment_name="iris", model_name="forest", tag=("team", "x")
    )


def _specification() -> JobSpecification:
    return JobSpecification(
        script_name="train.py",
        script="print('hello')",
        experiment_name="iris",
        model_name="forest",
        tags={"team": "x"},
    )


@contextmanager
def recorded(entries: list[Entry]) -> Iterator[None]:
    """Note every statement with its parameters, and how many rows it changed."""

    def note(_: Any, cursor: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if statement.startswith(("BEGIN", "SET ")):
            return
        for each in parameters if many else [parameters]:
            answers = many or statement.startswith("SELECT") or "RETURNING" in statement
            changed = None if answers else cursor.rowcount
            entries.append(
                {"sql": statement, "parameters": [_plain(one) for one in each], "rows": changed}
            )

    event.listen(Engine, "after_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", note)


def _plain(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


async def record(url: str) -> list[Entry]:
    """Use an empty database, and give what was said to it."""
    entries: list[Entry] = []
    async with Store(url) as store:
        with recorded(entries):
            await use(store)
    return entries


if __name__ == "__main__":
    database, file = sys.argv[1:]
    lines = ",\n".join(json.dumps(entry) for entry in asyncio.run(record(database)))
    Path(file).write_text(f"[\n{lines}\n]\n")
