"""Opened environments, with what a test wants changed."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import runnerd.runner
from runnerd.environments import Environments
from tests.environments.index import Index, serve_index

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY")
RUNNER = Path(str(runnerd.runner.__file__)).with_name("runner.py")

Open = Callable[..., Awaitable[Environments]]


@pytest.fixture
def index() -> Iterator[Index]:
    with serve_index() as index:
        yield index


@pytest.fixture
async def open_environments(tmp_path: Path, package_cache: Path) -> AsyncIterator[Open]:
    """Give a function that opens environments: an empty base set, unless it is told more."""
    async with AsyncExitStack() as stack:

        async def open_with(**changes: Any) -> Environments:
            settings: dict[str, Any] = {
                "root": tmp_path / "environments",
                "cache": package_cache,
                "runner": RUNNER,
                "base": lambda: (),
                "constraints": (),
                "python": None,
                "index_url": None,
                "extra_index_urls": (),
                "allow_urls": False,
                "resolve_timeout": 60,
                "build_timeout": 120,
                "max_bytes": 1024**3,
                "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
            }
            environments = Environments(**{**settings, **changes})
            await environments.open()
            stack.push_async_callback(environments.close)
            return environments

        yield open_with
