"""What the daemon will find on this machine."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from subprocess import CalledProcessError

import anyio
import uv

from runnerd.cli.checks.finding import Finding
from runnerd.cli.checks.port import port
from runnerd.cli.checks.storage import storage
from runnerd.environments import (
    Environments,
    IndexAway,
    InterpreterMissing,
    RequirementInvalid,
    Unresolvable,
)
from runnerd.listening import is_loopback
from runnerd.runner import RUNNER_FILE
from runnerd.settings import Settings
from runnerd.store import Store, StoreProblem, migrations

SPACE_WANTED = 5 * 1024**3
_PROBED_PACKAGE = "packaging"
_INDEX_SECONDS = 20.0


def machine(settings: Settings) -> Iterator[Finding]:
    """Check what needs no daemon. Takes up to 20 seconds where the package index is away."""
    yield _data_folder(settings.data_dir)
    yield from _database(settings)
    yield anyio.run(_uv)
    yield from anyio.run(_environments, settings)
    yield _mlflow()
    yield from storage(settings)
    yield port(settings.server.host, settings.server.port)


def _data_folder(folder: Path) -> Finding:
    name = "data folder"
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        cure = f"give this user the right to write to {place}, or choose another with --data-dir"
        return Finding(name, "fail", f"{folder} can't be written", cure)
    free = shutil.disk_usage(place).free
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < SPACE_WANTED:
        cure = "an environment takes up to several GiB: make room, or choose another --data-dir"
        return Finding(name, "warn", detail, cure)
    return Finding(name, "ok", detail)


def _database(settings: Settings) -> Iterator[Finding]:
    if settings.database.url is None and not (settings.data_dir / "runnerd.db").exists():
        yield Finding("database", "ok", "none yet: it is made at the first start")
        yield _tokens(settings, live=False)
        return
    try:
        migrations.check(settings.database_url())
        live = anyio.run(_has_tokens, settings.database_url())
    except StoreProblem as error:
        yield Finding("database", "fail", str(error), "runnerd db upgrade, or correct database.url")
        return
    yield Finding("database", "ok", f"at revision {migrations.head()}")
    yield _tokens(settings, live=live)


async def _has_tokens(url: str) -> bool:
    async with Store(url) as store:
        return await store.has_tokens()


def _tokens(settings: Settings, *, live: bool) -> Finding:
    host = settings.server.host
    if settings.server.allow_unauthenticated:
        detail = f"nobody is asked for one on {host}"
        if is_loopback(host):
            return Finding("tokens", "ok", detail)
        return Finding("tokens", "warn", detail, "set server.allow_unauthenticated = false")
    if live:
        return Finding("tokens", "ok", "clients need one")
    if is_loopback(host):
        return Finding("tokens", "ok", f"none, and none is needed on {host}")
    detail = f"none, and {host} can be reached from other machines: the daemon will not start"
    return Finding("tokens", "fail", detail, "runnerd token create NAME, or listen on 127.0.0.1")


async def _uv() -> Finding:
    try:
        executable = uv.find_uv_bin()
        answer = await anyio.run_process([executable, "--version"])
    except (OSError, CalledProcessError) as error:
        return Finding("uv", "fail", f"it does not run: {error}", "install runnerd again")
    return Finding("uv", "ok", f"{answer.stdout.decode().strip()}, {executable}")


async def _environments(settings: Settings) -> list[Finding]:
    chosen = settings.environments
    variables = {name: os.environ[name] for name in chosen.build_variables if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="runnerd-doctor-") as folder:
        environments = Environments(
            root=Path(folder) / "environments",
            cache=Path(folder) / "cache",
            runner=RUNNER_FILE,
            base=lambda: (),
            constraints=(),
            python=chosen.python,
            index_url=chosen.index_url.get_secret_value() if chosen.index_url else None,
            extra_index_urls=tuple(url.get_secret_value() for url in chosen.extra_index_urls),
            allow_urls=chosen.allow_urls,
            resolve_timeout=_INDEX_SECONDS,
            build_timeout=chosen.build_timeout,
            max_bytes=chosen.max_bytes,
            variables=variables,
        )
        try:
            await environments.open()
        except InterpreterMissing as error:
            return [Finding("python", "fail", str(error), "set environments.python")]
        python = Finding("python", "ok", f"{chosen.python or python_version()} for scripts")
        try:
            return [python, await _index(environments)]
        finally:
            await environments.close()


async def _index(environments: Environments) -> Finding:
    name = "package index"
    try:
        await environments.resolve([_PROBED_PACKAGE])
    except (IndexAway, Unresolvable, RequirementInvalid) as error:
        cure = (
            "check the network, or set environments.index_url (credentials go into the URL); "
            "scripts whose environment exists run without it"
        )
        return Finding(name, "fail", str(error), cure)
    return Finding(name, "ok", f"{_PROBED_PACKAGE} can be resolved")


def _mlflow() -> Finding:
    try:
        return Finding("mlflow", "ok", f"{version('mlflow')} for the daemon's own server")
    except PackageNotFoundError:
        return Finding("mlflow", "fail", "it is not installed", "install runnerd again")
