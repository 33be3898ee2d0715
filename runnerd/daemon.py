"""The daemon: builds each part once, hands each what it needs, and runs until told to stop."""

import faulthandler
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import structlog

from runnerd.api.app import make_app
from runnerd.api.server import HttpServer
from runnerd.api.services import Services
from runnerd.delivery import Delivery
from runnerd.environments import Environments
from runnerd.hardening import hide_memory
from runnerd.holding import hold_data_dir
from runnerd.jobs import Capacity, Cause
from runnerd.listening import DaemonRefuses, bind, handed_over, is_loopback, node_url_of, origin_of
from runnerd.log import configure
from runnerd.metrics import History, Metrics, measured
from runnerd.notifying import READY, STOPPING, feed_watchdog, notify
from runnerd.plugins import Executor, Health, PluginContext, PluginError, Storage, Tracker
from runnerd.plugins.listeners import Listeners
from runnerd.plugins.loader import PluginMisconfigured, Plugins, PluginUnknown, load_plugins
from runnerd.plugins.local import LocalStorage
from runnerd.runner import RUNNER_FILE
from runnerd.scheduler import (
    Executors,
    HealthBoard,
    Intake,
    Parts,
    Scheduler,
    Terms,
    keep_noted,
    keep_watch,
    offered_by,
)
from runnerd.seating import place_of, seated
from runnerd.serving import Serving
from runnerd.settings import Loaded, Settings
from runnerd.store import Offer, Store, StoreProblem
from runnerd.traces import Sender, tracing

OPEN_SECONDS = 60.0
CLOSE_SECONDS = 30.0
STOP_SECONDS = 45.0
_log = structlog.get_logger(__name__)
Part = Storage | Tracker | Executor | Environments | Serving | Listeners


def run(loaded: Loaded) -> int:
    """Run the daemon until SIGTERM or SIGINT; gives the exit code.

    Raises ``DaemonRefuses`` with one sentence where it can't or must not start.
    """
    settings = loaded.settings
    configure(settings.log.level, settings.log.format)
    faulthandler.enable()  # what systemd's watchdog kills says where it hung
    os.umask(0o077)
    hide_memory()
    with hold_data_dir(settings.data_dir):
        try:
            anyio.run(_serve, settings)
        except (StoreProblem, PluginUnknown, PluginMisconfigured) as problem:
            raise DaemonRefuses(str(problem)) from problem
    faulthandler.cancel_dump_traceback_later()
    return 0


async def _serve(settings: Settings) -> None:
    # Before anything is started: a signal that comes early ends the daemon in order too.
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with AsyncExitStack() as parts:
            await _serve_until(signals, settings, parts)


async def _serve_until(
    signals: AsyncIterator[signal.Signals], settings: Settings, parts: AsyncExitStack
) -> None:
    stopping = anyio.Event()
    services, scheduler, listener = await _build(settings, parts, stopping.is_set)
    begun = anyio.current_time()
    found = await scheduler.recover()
    async with anyio.create_task_group() as group:
        group.start_soon(services.store.pass_on_changes)
        group.start_soon(keep_noted, services.executors, services.store, settings.node)
        await group.start(scheduler.run)
        recovery = round(anyio.current_time() - begun, 3)
        group.start_soon(
            keep_watch, services.health, _probes(services), services.tracker, services.store
        )
        server = HttpServer(make_app(services), settings.server)
        await server.start(listener)
        _log.info(
            "runnerd is ready",
            url=services.origin,
            jobs_recovered=found,
            recovery_seconds=recovery,
        )
        group.start_soon(feed_watchdog)
        notify(READY, f"STATUS=listens on {services.origin}")
        await anext(signals)
        stopping.set()
        notify(STOPPING)
        _log.info("runnerd stops; running jobs go on")
        # Whatever hangs, the process ends, and says where it hung: jobs don't depend on it.
        faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)
        await server.stop()
        group.cancel_scope.cancel()


def _probes(services: Services) -> dict[str, Callable[[], Awaitable[Health]]]:
    return {
        "storage": services.storage.health,
        "tracking": services.tracker.health,
        **{name: executor.health for name, executor in services.executors.parts()},
    }


async def _build(
    settings: Settings, parts: AsyncExitStack, stopping: Callable[[], bool]
) -> tuple[Services, Scheduler, socket.socket]:
    store = await parts.enter_async_context(Store(settings.database_url()))
    given = handed_over()
    listener = parts.enter_context(given or bind(settings.server.host, settings.server.port))
    loopback = is_loopback(listener.getsockname()[0] if given else settings.server.host)
    await _check_exposure(store, listener, settings, loopback=loopback)
    origin = origin_of(settings.server, listener)
    place = place_of(settings.data_dir)
    url = node_url_of(settings.server, listener)
    metrics = Metrics()
    plugins = load_plugins(settings.loader.admission())
    executors = _executors(settings, plugins, origin, metrics)
    offer = _offer(settings, executors)
    store.observe(History(metrics, settings.queue_names()).count)
    if settings.traces.endpoint is not None:
        await parts.enter_async_context(tracing(store, _sender(settings)))
    await parts.enter_async_context(seated(store, offer, url, place, metrics=metrics))
    backend = measured(_storage(settings, plugins, origin), Storage, "storage", metrics)
    kept = LocalStorage(settings.data_dir / "undelivered")
    delivery = Delivery(backend, kept) if backend.remote else None
    storage = delivery or backend
    tracker = measured(_tracker(settings, plugins, origin), Tracker, "tracking", metrics)
    environments = make_environments(settings, tracker)
    serving = _serving(settings, tracker, storage, environments)
    listeners = plugins.listeners(
        settings.plugins, lambda name: _context(settings, name, origin), store.events_beyond
    )
    store.observe(listeners.job_changed)
    # The tracker last: a server that it starts competes with the daemon for the processor.
    launching: tuple[Part, ...] = (listeners, storage, *executors.opened.values())
    for part in (*launching, environments, serving, tracker):
        await parts.enter_async_context(_opened(part))
    services = Services(
        settings=settings,
        store=store,
        storage=storage,
        tracker=tracker,
        executors=executors,
        environments=environments,
        serving=serving,
        health=HealthBoard(),
        origin=origin,
        loopback=loopback,
        accepting=lambda: not stopping(),
        intake=Intake(),
        listeners=listeners,
        installed=plugins.installed,
        metrics=metrics,
    )
    terms = _terms(settings, origin, offer, place)
    carried_with = Parts(
        store, storage, delivery, executors, tracker, environments, terms, listeners
    )
    return services, Scheduler(carried_with, services.intake), listener


@asynccontextmanager
async def _opened(part: Part) -> AsyncIterator[None]:
    try:
        await _open(part)
        yield
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True) as limit:
            try:
                await part.close()
            except Exception:  # the parts behind this one must be closed too
                _log.exception("a part could not be closed", part=type(part).__name__)
        if limit.cancelled_caught:
            _log.error("a part did not close in time", part=type(part).__name__)


async def _open(part: Part) -> None:
    try:
        with anyio.fail_after(OPEN_SECONDS):
            await part.open()
    except TimeoutError as error:
        raise DaemonRefuses(
            f"{type(part).__name__} was not open within {OPEN_SECONDS:g} seconds: look at its "
            "settings and at what it connects to"
        ) from error
    except PluginError as error:
        raise DaemonRefuses(str(error)) from error
    except Exception as error:
        _log.exception("a part could not be opened", part=type(part).__name__)
        raise DaemonRefuses(
            f"{type(part).__name__} could not be opened ({type(error).__name__}: {error}): look at "
            "its settings, or select another plugin"
        ) from error


async def _check_exposure(
    store: Store, listener: socket.socket, settings: Settings, *, loopback: bool
) -> None:
    if loopback or settings.server.allow_unauthenticated or await store.has_tokens():
        return
    host = listener.getsockname()[0]
    raise DaemonRefuses(
        f"{host} can be reached from other machines and no token exists: make one "
        "with `runnerd token create NAME` (same --data-dir), listen on 127.0.0.1, or set "
        "server.allow_unauthenticated = true to let anybody who reaches it run code here"
    )


def _sender(settings: Settings) -> Sender:
    traces = settings.traces
    try:
        from runnerd.traces.otlp import OtlpSender  # noqa: PLC0415  # an extra: it may be missing
    except ImportError as missing:
        raise DaemonRefuses(
            f'traces.endpoint is set, and {missing.name} is missing: pip install "runnerd[otel]", '
            "or take the setting out"
        ) from missing
    return OtlpSender(str(traces.endpoint), traces.sample_ratio, settings.node)


def _context(settings: Settings, name: str, origin: str) -> PluginContext:
    return PluginContext(data_dir=settings.data_dir / "plugins" / name, origin=origin)


def _storage(settings: Settings, plugins: Plugins, origin: str) -> Storage:
    name = settings.storage.plugin
    return plugins.storage(name, settings.plugins.get(name, {}), _context(settings, name, origin))


def _tracker(settings: Settings, plugins: Plugins, origin: str) -> Tracker:
    name = settings.tracking.plugin
    return plugins.tracker(name, settings.plugins.get(name, {}), _context(settings, name, origin))


def _executors(settings: Settings, plugins: Plugins, origin: str, metrics: Metrics) -> Executors:
    opened: dict[str, Executor] = {}
    for name in settings.executor.names():
        context = _context(settings, name, origin)
        built = plugins.executor(name, settings.plugins.get(name, {}), context)
        opened[name] = measured(built, Executor, "executor", metrics)
    return Executors(opened, offered_by(settings.executor.plugin, opened))


def make_environments(settings: Settings, tracker: Tracker) -> Environments:
    """Build the environments' room; the base set follows the tracker unless it is configured."""
    chosen = settings.environments
    return Environments(
        root=settings.data_dir / "environments",
        cache=chosen.cache or settings.data_dir / "cache" / "uv",
        runner=RUNNER_FILE,
        base=lambda: chosen.base or tracker.client_requirements,
        constraints=chosen.constraints,
        python=chosen.python,
        index_url=chosen.index_url.get_secret_value() if chosen.index_url else None,
        extra_index_urls=tuple(url.get_secret_value() for url in chosen.extra_index_urls),
        allow_urls=chosen.allow_urls,
        resolve_timeout=chosen.resolve_timeout,
        build_timeout=chosen.build_timeout,
        max_bytes=chosen.max_bytes,
        variables=_allowed(chosen.build_variables),
    )


def _serving(
    settings: Settings, tracker: Tracker, storage: Storage, environments: Environments
) -> Serving:
    limits = settings.serving
    return Serving(
        tracker=tracker,
        storage=storage,
        environments=environments,
        models_dir=settings.data_dir / "models",
        sockets_dir=settings.data_dir / "serving",
        max_workers=limits.max_workers,
        idle_seconds=limits.idle_seconds,
        load_timeout=limits.load_timeout,
        predict_timeout=limits.predict_timeout,
        max_rows=limits.max_rows,
        variables=_allowed(("PATH", "HOME", "LANG", "TZ")),
        base=lambda: settings.environments.base or tracker.client_requirements,
    )


def _offer(settings: Settings, executors: Executors) -> Offer:
    given = settings.resources
    return Offer(
        node=settings.node,
        executors=executors.offered,
        capacity=Capacity(settings.jobs.max_running, given.cpus, given.memory_bytes, given.gpus),
        queue_limits=settings.queue_limits(),
    )


def _terms(settings: Settings, origin: str, offer: Offer, place: str) -> Terms:
    jobs = settings.jobs
    return Terms(
        offer=offer,
        place=place,
        release_after=settings.nodes.release_after_seconds,
        jobs_dir=settings.data_dir / "jobs",
        origin=origin,
        grace_seconds=jobs.grace_seconds,
        log_limit=jobs.log_limit_bytes,
        log_tail=jobs.log_tail_bytes,
        finish_timeout=jobs.finish_timeout,
        retry_on=frozenset(Cause(cause) for cause in jobs.retry_on),
        retry_seconds=jobs.retry_seconds,
        passed=jobs.pass_environment,
        daemon_variables=dict(os.environ),
    )


def _allowed(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


__all__ = ["DaemonRefuses", "make_environments", "run"]
