"""Sending traces to a collector, by OTLP over HTTP, beside the daemon's work."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import structlog

from runnerd.jobs import Event, Job
from runnerd.scheduler.beside import beside
from runnerd.store import Store, StoreAway
from runnerd.traces.context import TraceContext, own_context, read_traceparent
from runnerd.traces.history import ENDS, Phase, Value, phases_of

MOST_WAITING = 1000
RETRY_SECONDS = 5.0
CLOSE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Sender(Protocol):
    """What takes spans to a collector. None of it waits, ``close`` aside."""

    def send(
        self,
        job_id: str,
        context: TraceContext,
        phases: list[Phase],
        attributes: Mapping[str, Value],
    ) -> None:
        """Take a job's trace."""

    def close(self) -> None:
        """Send what is left; may take seconds."""


class Tracing:
    """Hears of each line in jobs' histories that this daemon stored: ``store.observe(it.hear)``."""

    def __init__(self, store: Store, sender: Sender) -> None:
        self._store = store
        self._sender = sender
        self._put, self._ended = anyio.create_memory_object_stream[str](MOST_WAITING)

    def hear(self, event: Event) -> None:
        """Note a job that is over; it is dropped where too many wait."""
        if event.kind not in ENDS:
            return
        try:
            self._put.send_nowait(event.job_id)
        except anyio.WouldBlock:
            _log.warning("a trace was dropped: too many wait to be sent", job_id=event.job_id)

    async def run(self) -> None:
        """Send the traces of jobs that are over; runs until it is cancelled."""
        async for job_id in self._ended:
            try:
                await self._send(job_id)
            except Exception:  # one trace's trouble must not end the others
                _log.exception("a trace could not be sent", job_id=job_id)

    async def close(self) -> None:
        """Send what waits, within a few seconds; a collector that is away loses it."""
        self._put.close()
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            async for job_id in self._ended:
                await self._send(job_id)
            await anyio.to_thread.run_sync(self._sender.close, abandon_on_cancel=True)
        self._ended.close()

    async def _send(self, job_id: str) -> None:
        while True:
            try:
                job = await self._store.get_job(job_id)
                history = await self._store.events(job_id)
            except StoreAway as away:
                _log.warning("a trace waits for the database", job_id=job_id, why=str(away))
                await anyio.sleep(RETRY_SECONDS)
                continue
            context = _context_of(job_id, history)
            self._sender.send(job_id, context, phases_of(history), _attributes_of(job))
            return


@asynccontextmanager
async def tracing(store: Store, sender: Sender) -> AsyncIterator[Tracing]:
    """Send the traces of jobs that end while the context lasts."""
    sending = Tracing(store, sender)
    store.observe(sending.hear)
    try:
        async with beside(sending.run()):
            yield sending
    finally:
        await sending.close()


def _context_of(job_id: str, history: list[Event]) -> TraceContext:
    brought = history[0].data.get("traceparent") if history else None
    return (read_traceparent(brought) if brought else None) or own_context(job_id)


def _attributes_of(job: Job) -> dict[str, Value]:
    specification = job.specification
    told = {
        "job_id": job.id,
        "experiment": specification.experiment_name,
        "model": specification.model_name,
        "queue": specification.queue,
        "run_id": job.run_id,
        "model_version": job.model_version,
    }
    return {name: value for name, value in told.items() if value is not None}
