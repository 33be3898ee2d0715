"""Fixtures for a plugin's tests: ``pytest_plugins = ["runnerd.testing.fixtures"]``."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon
from runnerd.testing.installing import install_plugin

StartDaemon = Callable[..., RunningDaemon]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start a whole daemon: ``start_daemon(RUNNERD_STORAGE_PLUGIN="shelf")``.

    The arguments are its variables. Its plugins are those that are installed, with one called
    ``fake``, which also tracks: nothing is waited for, and jobs begin in an empty environment.
    Choose ``RUNNERD_TRACKING_PLUGIN="mlflow"`` where the tracking matters. ``plugins`` are modules
    to install for this daemon, by the plugin's name. Every daemon of a test works in one data
    folder, and is stopped at the end.
    """
    with ExitStack() as stack:

        def start(plugins: Mapping[str, str] | None = None, **variables: str) -> RunningDaemon:
            site = tmp_path / "site-of-plugins"
            for name, module in {"fake": "runnerd.testing.fake_plugin", **(plugins or {})}.items():
                if not list(site.glob(f"{name.replace('-', '_')}-*.dist-info")):
                    install_plugin(site, name, module)
            inherited = variables.pop("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
            path = [str(site), *inherited.split(os.pathsep)]
            chosen = {
                "RUNNERD_TRACKING_PLUGIN": "fake",
                **variables,
                "PYTHONPATH": os.pathsep.join(filter(None, path)),
            }
            return stack.enter_context(running_daemon(tmp_path / "data", variables=chosen))

        yield start


__all__ = ["StartDaemon", "start_daemon"]
