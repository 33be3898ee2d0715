"""Calls the listeners of all plugins, so that none of them can hurt the daemon or each other."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import anyio
import structlog

from runnerd.jobs import Event
from runnerd.plugins.errors import TakeOut
from runnerd.plugins.installed import Installed, Standing
from runnerd.plugins.listener import (
    ExecutorRequest,
    Failure,
    Listener,
    Registration,
    ResolvedEnvironment,
    heard_by,
    opens,
)

TOLD_SECONDS = 10.0
ASKED_SECONDS = 5.0
CLOSE_SECONDS = 5.0
MOST_WAITING = 1000
LONGEST_SENTENCE = 500
_log = structlog.get_logger(__name__)

Call = Callable[[], object]
History = Callable[[int], Awaitable[list[Event]]]


@dataclass(slots=True)
class Member:
    """A plugin's listener. ``stuck`` is the thread's future of a call that was given up.

    ``caught_up`` are the events that were told out of the history, so that none is told twice.
    """

    plugin: Installed
    listener: Listener
    heard: tuple[str, ...] = ()
    waiting: "asyncio.Queue[tuple[str, Call, int]]" = field(
        default_factory=lambda: asyncio.Queue(MOST_WAITING)
    )
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    stuck: "asyncio.Future[object] | None" = None
    caught_up: set[int] = field(default_factory=set)

    @property
    def is_stuck(self) -> bool:
        return self.stuck is not None and not self.stuck.done()


class Listeners:
    """Every listener of one daemon. Its verbs are called on the daemon's event loop."""

    def __init__(
        self,
        members: Iterable[tuple[Installed, Listener]] = (),
        history: History | None = None,
    ) -> None:
        """``history`` gives stored events with ids beyond one, oldest first, some at a time."""
        self._history = history
        self._members = [Member(plugin, each, heard_by(each)) for plugin, each in members]
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to call."""
        self._tasks = [asyncio.create_task(self._work_off(each)) for each in self._members]

    async def close(self) -> None:
        """Tell what still waits, and let the listeners go; what hangs is left behind."""
        with anyio.move_on_after(CLOSE_SECONDS):
            for member in self._members:
                await member.waiting.join()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for member in self._members:
            await self._call(member, "close", member.listener.close, CLOSE_SECONDS)

    def job_changed(self, event: Event) -> None:
        """Tell of a line in a job's history."""
        self._tell("job_changed", lambda each: lambda: each.job_changed(event), event.id)

    def environment_resolved(self, environment: ResolvedEnvironment) -> None:
        """Tell what a job's requirements were resolved to."""
        self._tell(
            "environment_resolved", lambda each: lambda: each.environment_resolved(environment)
        )

    def model_registered(self, registration: Registration) -> None:
        """Tell of a new model version."""
        self._tell("model_registered", lambda each: lambda: each.model_registered(registration))

    async def diagnosis(self, failure: Failure) -> str:
        """Ask why an attempt failed; gives the daemon's words where no listener knows better."""
        for member in self._members:
            if "diagnose" not in member.heard:
                continue
            call = _diagnosing(member.listener, failure)
            said = await self._call(member, "diagnose", call, ASKED_SECONDS)
            if isinstance(said, str) and said.strip():
                return " ".join(said.split())[:LONGEST_SENTENCE]
        return failure.diagnosis

    @property
    def choose_executors(self) -> bool:
        """Tell whether any listener is to be asked what runs a job."""
        return any("choose_executor" in member.heard for member in self._members)

    async def chosen_executor(self, request: ExecutorRequest) -> str | None:
        """Ask what is to run a job; gives None where no listener cares."""
        for member in self._members:
            if "choose_executor" not in member.heard:
                continue
            call = _choosing(member.listener, request)
            said = await self._call(member, "choose_executor", call, ASKED_SECONDS)
            if isinstance(said, str) and said in request.executors:
                return said
            if said is not None:
                among = ", ".join(request.executors) or "nothing"
                _fail(member.plugin, "choose_executor", f"it chose {said!r}, not among {among}")
        return None

    def _tell(self, hook: str, calling: Callable[[Listener], Call], event_id: int = 0) -> None:
        for member in self._members:
            if hook not in member.heard or member.plugin.standing is Standing.OUT:
                continue
            try:
                member.waiting.put_nowait((hook, calling(member.listener), event_id))
            except asyncio.QueueFull:
                member.plugin.tally.missed += 1

    async def _work_off(self, member: Member) -> None:
        await self._catch_up(member)
        while True:
            hook, call, event_id = await member.waiting.get()
            if event_id in member.caught_up:
                member.caught_up.remove(event_id)
            else:
                await self._call(member, hook, call, TOLD_SECONDS)
            member.waiting.task_done()

    async def _catch_up(self, member: Member) -> None:
        """Open a listener, and tell it of stored events beyond the one that it gives."""
        if not opens(member.listener):
            return
        place = await self._call(member, "open", member.listener.open, TOLD_SECONDS)
        if self._history is None or not isinstance(place, int):
            return
        try:
            while events := await self._history(place):
                for event in events:
                    call = partial(member.listener.job_changed, event)
                    await self._call(member, "job_changed", call, TOLD_SECONDS)
                    member.caught_up.add(event.id)
                place = events[-1].id
        except Exception as error:  # the store's own; what happens from now on is told all the same
            _fail(member.plugin, "open", f"the history could not be read ({error})", error)

    async def _call(self, member: Member, hook: str, call: Call, seconds: float) -> object:
        """Make one call in a thread; gives its answer, None where there was none in time."""
        plugin = member.plugin
        async with member.turn:
            if plugin.standing is Standing.OUT:
                return None
            if member.is_stuck:
                plugin.tally.missed += 1
                return None
            plugin.tally.calls += 1
            begun = anyio.current_time()
            answer = _in_thread(call, f"plugin {plugin.name}: {hook}")
            await asyncio.wait({answer}, timeout=seconds)
            took = round(anyio.current_time() - begun, 4)
            _log.debug("hook", hook=hook, plugin=plugin.name, seconds=took)
            if not answer.done():
                member.stuck = answer
                _fail(plugin, hook, f"it took longer than {seconds:g} seconds and was given up")
                return None
            error = answer.exception()
            if error is None:
                return answer.result()
            _fail(plugin, hook, f"{type(error).__name__}: {error}", error)
            if isinstance(error, TakeOut):
                plugin.standing, plugin.why = Standing.OUT, str(error)
                _log.error("a plugin is taken out", plugin=plugin.name, why=plugin.why)
            return None


def _diagnosing(listener: Listener, failure: Failure) -> Call:
    return lambda: listener.diagnose(failure)


def _choosing(listener: Listener, request: ExecutorRequest) -> Call:
    return lambda: listener.choose_executor(request)


def _fail(plugin: Installed, hook: str, why: str, error: BaseException | None = None) -> None:
    plugin.tally.failures += 1
    plugin.tally.last_failure = f"{hook}: {why}"
    _log.warning("a hook failed", plugin=plugin.name, hook=hook, why=why, exc_info=error)


def _in_thread(call: Call, name: str) -> "asyncio.Future[object]":
    """Call in a thread that nobody waits for at the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[object] = loop.create_future()

    def settle(result: object, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)
            answer.exception()  # it is looked at where it came in time

    def work() -> None:
        result: object = None
        fault: BaseException | None = None
        try:
            result = call()
        except (StopIteration, SystemExit, KeyboardInterrupt) as error:
            fault = RuntimeError(f"{type(error).__name__}: {error}")  # no future may carry these
        except BaseException as error:
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, name=name, daemon=True).start()
    return answer
