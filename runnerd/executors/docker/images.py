"""Images: is one there, may it be pulled, and with whose credentials."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import structlog

from runnerd.executors.docker.containers import Image
from runnerd.executors.docker.engine import Engine, EngineFailed, EngineRefused
from runnerd.executors.docker.settings import DockerSettings
from runnerd.plugins import BackendAway, FailJob

_HUB = "https://index.docker.io/v1/"
# What a registry says of an image that is not there, or not for this user.
_FINAL = ("not found", "manifest unknown", "denied", "unauthorized", "invalid reference")
_log = structlog.get_logger(__name__)


class Images:
    """The engine's images. Each is pulled once at a time, however many attempts wait for it."""

    def __init__(self, engine: Engine, settings: DockerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._pulls: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Leave pulls that are under way; the engine keeps the layers it has."""
        for pull in self._pulls.values():
            pull.cancel()
        await asyncio.gather(*self._pulls.values(), return_exceptions=True)

    async def provide(self, name: str) -> Image:
        """Give an image, pulled first where the settings say so.

        Raises ``FailJob`` for one that is not there and ``BackendAway`` while a registry is away.
        """
        policy = self._settings.pull
        found = None if policy == "always" else await self.find(name)
        if found is None and policy == "never":
            raise FailJob(
                f"the Docker engine has no image {name!r}, and plugins.docker.pull is 'never': "
                "load it there, or name one that is there"
            )
        if found is None:
            await self._pulled(name)
            found = await self.find(name)
        if found is None:
            raise BackendAway(f"the image {name!r} was pulled and is not there: it is pulled again")
        return found

    async def find(self, name: str) -> Image | None:
        """Look an image up on the engine."""
        found = await self._engine.get(f"/images/{quote(name, safe='')}/json")
        if found is None:
            return None
        return Image(name, found["Id"], (found.get("Config") or {}).get("User") or "")

    async def _pulled(self, name: str) -> None:
        """Join the pull of an image, which goes on where the one who waits gives up."""
        pull = self._pulls.get(name)
        if pull is None:
            pull = self._pulls[name] = asyncio.create_task(self._pull(name))
            pull.add_done_callback(lambda _: self._pulls.pop(name, None))
        await asyncio.shield(pull)

    async def _pull(self, name: str) -> None:
        _log.info("an image is pulled", image=name)
        headers = {}
        if (login := login_for(name, _auths_of(self._settings))) is not None:
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(
                json.dumps(login).encode()
            ).decode()
        repository, tag = _split(name)
        try:
            async with (
                asyncio.timeout(self._settings.pull_timeout),
                self._engine.stream(
                    "POST",
                    "/images/create",
                    query={"fromImage": repository, "tag": tag},
                    headers=headers,
                ) as stream,
            ):
                async for line in stream:
                    if "error" in (told := json.loads(line)):
                        raise _fault(name, str(told["error"]))
        except (EngineRefused, EngineFailed) as error:
            raise _fault(name, error.message) from error
        except TimeoutError:
            limit = self._settings.pull_timeout
            raise BackendAway(f"the image {name!r} was not pulled in {limit:g} seconds") from None


def _fault(name: str, said: str) -> FailJob | BackendAway:
    if any(word in said.lower() for word in _FINAL):
        return FailJob(
            f"the image {name!r} can't be pulled: {said}; correct its name, or give the engine "
            "credentials for it ([plugins.docker] registry_config)"
        )
    return BackendAway(f"the image {name!r} can't be pulled now: {said}", retry_after=30)


def _split(name: str) -> tuple[str, str]:
    """Give the repository and the tag, which may be a digest."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    head, slash, last = name.rpartition("/")
    plain, _, tag = last.partition(":")
    return head + slash + plain, tag or "latest"


def registry_of(name: str) -> str:
    """Give the host of the registry that an image comes from."""
    first, slash, _ = name.partition("/")
    has_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if has_host else _HUB


def login_for(name: str, auths: Mapping[str, Any]) -> dict[str, str] | None:
    """Find the credentials for an image's registry among those of ``docker login``."""
    registry = registry_of(name)
    for host in (registry, f"https://{registry}", f"https://{registry}/v1/", "docker.io"):
        found = auths.get(host)
        if found is None or (host == "docker.io" and registry != _HUB):
            continue
        if "auth" in found:
            user, _, password = base64.b64decode(found["auth"]).decode().partition(":")
        else:
            user, password = found.get("username", ""), found.get("password", "")
        return {"username": user, "password": password, "serveraddress": registry}
    return None


def _auths_of(settings: DockerSettings) -> Mapping[str, Any]:
    """Read the credentials anew for each pull, so that a rotated file needs no restart."""
    text = settings.registry_auths.get_secret_value() if settings.registry_auths else ""
    try:
        if not text and settings.registry_config is not None:
            text = settings.registry_config.read_text()
        auths = json.loads(text)["auths"] if text else {}
    except OSError as error:
        raise FailJob(f"the registry credentials can't be read: {error}") from error
    except (ValueError, KeyError, TypeError):
        raise FailJob(
            'the registry credentials are not as `docker login` writes them: {"auths": …}'
        ) from None
    found: Mapping[str, Any] = auths
    return found
