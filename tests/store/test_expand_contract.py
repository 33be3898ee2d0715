"""Data that the first revision's code wrote is read by this one's, after the upgrade."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from runnerd.jobs import DEFAULT_QUEUE, JobState
from runnerd.store import Store, migrations
from runnerd.store.engine import run_blocking
from tests.conftest import ROOT
from tests.offers import offer

SPECIFICATION = {
    "script_name": "train.py",
    "script": "print('hello')",
    "experiment_name": "iris",
    "model_name": "forest",
    "requirements": ["scikit-learn"],
    "environment_vars": {"A": "1"},
    "timeout": 300,
    "tags": {"team": "blue"},
}
JOB = """INSERT INTO jobs
    (id, specification, specification_digest, idempotency_key, experiment_name,
    model_name, state, lease_token, node, attempt, warnings, created_at, started_at)
    VALUES (:id, :specification, 'd', :key, 'iris', 'forest', :state, :lease, :node, :attempt,
    '[]', $AT, $AT)"""
ATTEMPT = """INSERT INTO attempts (job_id, number, node, executor, created_at)
    VALUES (:id, 1, 'a', 'subprocess', $AT)"""
EVENT = """INSERT INTO events (job_id, attempt, at, kind, state, reason, data)
    VALUES (:id, :attempt, $AT, 'submitted', 'queued', '', '{}')"""
RECORDED = Path(__file__).parent / "recorded"
AT = "2026-01-02 03:04:05.000006"
RUN = "INSERT INTO made_runs (job_id, run_id) VALUES (:id, 'run-1')"
TAG = "INSERT INTO job_tags (job_seq, key, value) SELECT seq, 'team', 'blue' FROM jobs"


def _upgrade_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.commit()


def _write(connection: Connection) -> None:
    at = AT + "+00" if connection.dialect.name == "postgresql" else AT
    for number, state in enumerate(("queued", "running", "completed")):
        live = state == "running"
        row: dict[str, Any] = {
            "id": f"{number:032x}",
            "specification": json.dumps(SPECIFICATION),
            "key": f"key-{number}",
            "state": state,
            "lease": "0" * 32 if live else None,
            "node": None if state == "queued" else "a",
            "attempt": 0 if state == "queued" else 1,
        }
        for statement in (JOB, EVENT, *((ATTEMPT, RUN) if live else ())):
            connection.execute(text(statement.replace("$AT", f"'{at}'")), row)
    connection.execute(text(TAG))
    connection.commit()


def _replay(connection: Connection) -> list[str]:
    """Say what the revision before said; gives the statements that changed other rows."""
    file = RECORDED / f"0003-{connection.dialect.name}.json"
    differing = []
    for entry in json.loads(file.read_text()):
        parameters = tuple(_value(each) for each in entry["parameters"])
        done = connection.exec_driver_sql(entry["sql"], parameters)
        if done.returns_rows:
            done.all()
        elif entry["rows"] is not None and entry["rows"] != done.rowcount:
            differing.append(f"{done.rowcount} rows, not {entry['rows']}: {entry['sql']}")
    connection.commit()
    return differing


def _value(recorded: Any) -> Any:
    return datetime.fromisoformat(recorded["at"]) if isinstance(recorded, dict) else recorded


def test_everything_that_the_revision_before_says_is_valid_in_this_one(url: str) -> None:
    migrations.upgrade(url)
    assert run_blocking(url, _replay) == []
    anyio.run(_carry_on_after_the_revision_before, url)


def test_everything_that_the_revision_before_wrote_is_carried_on(url: str) -> None:
    run_blocking(url, lambda connection: _upgrade_to(connection, "0003"))
    assert run_blocking(url, _replay) == []
    anyio.run(_carry_on_after_the_revision_before, url)


async def _carry_on_after_the_revision_before(url: str) -> None:
    async with Store(url) as store:
        found = (await store.list_jobs(tag=("team", "x"))).items
        assert Counter(job.state for job in found) == {
            JobState.QUEUED: 1,
            JobState.PREPARING: 1,
            JobState.RUNNING: 1,
            JobState.CANCELLED: 1,
            JobState.COMPLETED: 1,
        }
        assert {job.specification.queue for job in found} == {DEFAULT_QUEUE}
        for job in found:
            events = await store.events(job.id)
            assert (events[0].kind, events[-1].state) == ("submitted", job.state)
        again = await store.submit(found[0].specification, idempotency_key="key")
        assert not again.created
        assert len(await store.take_over("recorder")) == 2
        (node,) = await store.list_nodes()
        assert (node.live_jobs, node.capacity) == (2, None)


def test_what_the_first_revision_wrote_is_read_and_carried_on(url: str) -> None:
    run_blocking(url, lambda connection: _upgrade_to(connection, "0001"))
    assert migrations.current(url) == "0001"
    run_blocking(url, _write)
    anyio.run(_read_and_carry_on, url)


async def _read_and_carry_on(url: str) -> None:
    async with Store(url) as store:
        assert [job.state for job in (await store.list_jobs(tag=("team", "blue"))).items] == [
            JobState.COMPLETED,
            JobState.RUNNING,
            JobState.QUEUED,
        ]
        (event,) = await store.events(f"{0:032x}")
        assert (event.kind, event.at.isoformat()) == (
            "submitted",
            "2026-01-02T03:04:05.000006+00:00",
        )
        (node_left,) = await store.take_over("a")
        assert node_left.job.specification.tags == {"team": "blue"}
        assert (await store.makings(node_left.job.id)).of_attempt(1).runs[0].run_id == "run-1"
        await store.finish(node_left, JobState.RUNNING, JobState.FAILED, error="x")
        claim = await store.claim(offer("a", 1))
        assert claim is not None and claim.job.id == f"{0:032x}"
        assert (await store.request_retry(f"{2:032x}")).state is JobState.QUEUED


def test_every_column_that_was_added_leaves_the_earlier_codes_inserts_valid(
    url: str,
) -> None:
    """The expanding half: an earlier daemon writes on while a newer one has migrated."""
    migrations.upgrade(url)
    run_blocking(url, _write)
