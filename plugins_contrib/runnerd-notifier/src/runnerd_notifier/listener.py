"""Hears of jobs, and has what it heard delivered by a thread of its own."""

import random
import threading
import time
from pathlib import Path

import structlog

from runnerd.jobs import Event
from runnerd.plugins import Listener
from runnerd_notifier.queue import Delivery, Queue
from runnerd_notifier.sending import NotDelivered, Sender, as_body
from runnerd_notifier.settings import NotifierSettings

LOOK_SECONDS = 2.0  # how soon what another process put into the queue is seen
CLOSE_SECONDS = 3.0
_chance = random.SystemRandom()
_log = structlog.get_logger(__name__)


class Notifier(Listener):
    """Each event that is wanted is on the disk when ``job_changed`` returns, and sent from there.

    What is sent has an id that stays the same however often it is sent.
    """

    def __init__(self, settings: NotifierSettings, file: Path, origin: str) -> None:
        self._settings = settings
        self._file = file
        self._origin = origin
        self._sender = Sender(settings)
        self._queue: Queue | None = None
        self._opening = threading.Lock()
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> int | None:
        return self._opened().last_heard()

    def job_changed(self, event: Event) -> None:
        queue = self._opened()
        if self._settings.events and event.kind not in self._settings.events:
            queue.note_heard(event.id)
            return
        delivery = f"{event.job_id}-{event.id}"
        body = as_body(
            id=delivery,
            event=event.kind,
            job_id=event.job_id,
            attempt=event.attempt,
            state=event.state.value,
            reason=event.reason,
            at=event.at.isoformat(),
            job=f"{self._origin.rstrip('/')}/mlops/training/jobs/{event.job_id}",
        )
        queue.add(delivery, body, time.time(), event.id)
        self._news.set()

    def close(self) -> None:
        with self._opening:
            queue, thread = self._queue, self._thread
        if queue is None or thread is None:
            return
        self._ending.set()
        self._news.set()
        thread.join(CLOSE_SECONDS)
        if not thread.is_alive():
            queue.close()

    def _opened(self) -> Queue:
        with self._opening:
            if self._queue is None:
                self._queue = Queue(self._file)
                self._thread = threading.Thread(
                    target=self._deliver, args=(self._queue,), name="notifier", daemon=True
                )
                self._thread.start()
            return self._queue

    def _deliver(self, queue: Queue) -> None:
        while not self._ending.is_set():
            self._news.clear()
            delivery = queue.next()
            wait = LOOK_SECONDS if delivery is None else delivery.next_at - time.time()
            if delivery is None or wait > 0:
                self._news.wait(min(wait, LOOK_SECONDS))
            else:
                self._try(queue, delivery)

    def _try(self, queue: Queue, delivery: Delivery) -> None:
        try:
            self._sender.send(delivery.id, delivery.body)
        except NotDelivered as error:
            again = self._next_try(delivery)
            queue.failed(delivery.id, str(error), again)
            told = "a notification was given up" if again is None else "a notification waits"
            _log.warning(told, delivery=delivery.id, tries=delivery.tries + 1, why=str(error))
        else:
            queue.delivered(delivery.id)

    def _next_try(self, delivery: Delivery) -> float | None:
        """Give when to try again: pauses double, and differ, so that many do not come at once."""
        settings = self._settings
        pause = min(settings.longest_pause, settings.first_pause * 2.0 ** min(delivery.tries, 30))
        at = time.time() + pause * _chance.uniform(0.5, 1.0)
        return None if at > delivery.since + settings.give_up_after else at
