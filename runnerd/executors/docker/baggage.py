"""What travels into a container: the runner, the script, and uv for the cache of all attempts."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from anyio import to_thread

from runnerd.executors.docker.archives import Entry, packed, put
from runnerd.executors.docker.containers import (
    CACHE,
    HOME,
    Image,
    user_of,
    variables_inside,
)
from runnerd.executors.docker.engine import Engine
from runnerd.executors.docker.settings import DockerSettings
from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import RUNNER_FILE, FailJob, LaunchRequest
from runnerd.plugins.records import request_record

AUTHORITIES = f"{HOME}/ca.pem"
# Paths of the daemon's machine, which say nothing in a container.
_PATHS = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Tool:
    """An executable that is carried along, under the hash of its content."""

    path: Path
    digest: str


class Baggage:
    """Packs what attempts need. What is large travels once into each cache volume."""

    def __init__(self, engine: Engine, settings: DockerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._digests: dict[tuple[str, float, int], str] = {}
        self._turn = asyncio.Lock()

    async def deliver(self, container: str, request: LaunchRequest, image: Image) -> None:
        """Put everything into a container that has not been started."""
        owner = user_of(image, self._settings)
        if owner is None:
            raise FailJob(
                f"the image {image.name!r} runs as the user {image.user!r}, and files need a "
                "number: set [plugins.docker] user to its UID:GID"
            )
        uid, gid = owner
        tool = await self._tool(Path(request.environment.uv))
        base = f"{CACHE}/u{uid}"
        await self._carry(container, tool, base, uid, gid)
        plan = plan_inside(request.environment, tool, base, image)
        inside = replace(request, environment=plan, variables=variables_inside(request))
        record = request_record(inside)
        entries = [
            Entry("runner.py", await to_thread.run_sync(RUNNER_FILE.read_bytes), 0o644),
            Entry("attempt", mode=0o700),
            Entry("attempt/work", mode=0o700),
            Entry(f"attempt/work/{record['script_name']}", request.script.encode(), 0o644),
            Entry("attempt/request.json", json.dumps(record).encode()),
        ]
        if (trusted := request.environment.variables.get("SSL_CERT_FILE")) is not None:
            content = await to_thread.run_sync(_read_authorities, Path(trusted))
            entries.append(Entry(Path(AUTHORITIES).name, content, 0o644))
        await put(self._engine, container, HOME, packed(entries, uid, gid))

    async def _tool(self, path: Path) -> Tool:
        try:
            state = await to_thread.run_sync(path.stat)
            key = (str(path), state.st_mtime, state.st_size)
            if key not in self._digests:
                self._digests[key] = await to_thread.run_sync(_digest_of, path)
        except OSError as error:
            raise FailJob(f"uv can't be carried into the container: {error}") from error
        return Tool(path, self._digests[key])

    async def _carry(self, container: str, tool: Tool, base: str, uid: int, gid: int) -> None:
        """Put uv into the cache volume, unless an attempt before did."""
        place = _place_of(tool, base)
        async with self._turn:
            if await self._engine.stat(container, place) is not None:
                return
            inside = Path(place).relative_to(CACHE)
            folders = [str(folder) for folder in reversed(inside.parents) if folder.name]
            archive = await to_thread.run_sync(_pack_tool, tool, folders, str(inside), uid, gid)
            await put(self._engine, container, CACHE, archive)


def plan_inside(plan: EnvironmentPlan, tool: Tool, base: str, image: Image) -> EnvironmentPlan:
    """Give the plan as the runner finds it: an environment belongs to the image it is built in."""
    variables = {name: text for name, text in plan.variables.items() if name not in _PATHS}
    if "SSL_CERT_FILE" in plan.variables:
        variables["SSL_CERT_FILE"] = AUTHORITIES
    return replace(
        plan,
        python="",
        root=f"{base}/environments/{short(image)}",
        cache=f"{base}/cache/uv",
        uv=_place_of(tool, base),
        variables=variables,
    )


def short(image: Image) -> str:
    """Give an image's identity as part of a path."""
    return image.id.rpartition(":")[2][:16]


def _place_of(tool: Tool, base: str) -> str:
    return f"{base}/bin/{tool.digest[:16]}/{tool.path.name}"


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_authorities(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailJob(f"SSL_CERT_FILE can't be carried into the container: {error}") from error


def _pack_tool(tool: Tool, folders: list[str], name: str, uid: int, gid: int) -> bytes:
    entries = [Entry(folder, mode=0o755) for folder in folders]
    return packed([*entries, Entry(name, tool.path.read_bytes(), 0o755)], uid, gid)
