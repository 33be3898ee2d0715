"""Whether scripts reach the daemon from where each executor runs them."""

from collections.abc import Iterator

import anyio

from runnerd.cli.checks.finding import Finding
from runnerd.cli.configuration import usable_plugins
from runnerd.plugins import Executor, ExecutorCapability, PluginContext, PluginError
from runnerd.plugins.loader import PluginMisconfigured, PluginUnknown
from runnerd.settings import Settings

REACH_SECONDS = 60.0
_CURE = (
    "set server.public_url to an address that is reached from there, let the daemon listen on it, "
    "and look at the network that the executor gives to scripts"
)


def reach(settings: Settings, origin: str) -> Iterator[Finding]:
    """Ask for the running daemon from inside of every executor that can; it takes seconds each.

    ``origin`` is where jobs are told to track to.
    """
    plugins = usable_plugins(settings)
    for name in settings.executor.names():
        context = PluginContext(settings.data_dir / "plugins" / name, origin)
        try:
            executor = plugins.executor(name, settings.plugins.get(name, {}), context)
        except (PluginUnknown, PluginMisconfigured) as error:
            yield Finding(f"executor {name}", "fail", str(error), f"look at [plugins.{name}]")
            continue
        if ExecutorCapability.REACH in executor.capabilities:
            yield anyio.run(_asked, name, executor, f"{origin.rstrip('/')}/healthz")


async def _asked(name: str, executor: Executor, url: str) -> Finding:
    title = f"from inside {name}"
    try:
        with anyio.fail_after(REACH_SECONDS):
            met = await executor.reach(url)
    except (PluginError, TimeoutError) as error:
        why = str(error) or f"no answer within {REACH_SECONDS:g} seconds"
        return Finding(title, "fail", why, f"look at [plugins.{name}]")
    finally:
        with anyio.CancelScope(shield=True):
            await executor.close()
    if met is not None:
        return Finding(title, "fail", f"scripts do not reach {url}: {met}", _CURE)
    return Finding(title, "ok", f"scripts reach {url}")
