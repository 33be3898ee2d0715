"""Asking for an address from where scripts run: in a container, in their network."""

from typing import Any
from urllib.parse import quote

from runnerd.executors.docker.containers import Image
from runnerd.executors.docker.engine import Engine
from runnerd.executors.docker.settings import DockerSettings

ANSWER_SECONDS = 10
_WORDS = 2000
# Without proxies, as the stock client asks where `no_proxy` names the daemon.
_ASK = f"""
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
try:
    opener.open(sys.argv[1], timeout={ANSWER_SECONDS})
except Exception as error:
    print(error)
    sys.exit(1)
"""


async def reach(engine: Engine, settings: DockerSettings, image: Image, url: str) -> str | None:
    """Give None where the address answers, else what was met instead."""
    body: dict[str, Any] = {
        "Image": image.id,
        "Entrypoint": [settings.python, "-I", "-c", _ASK, url],
        "Cmd": [],
        "User": settings.user or image.user,
        "HostConfig": {
            "NetworkMode": settings.network,
            "ExtraHosts": list(settings.extra_hosts),
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
        },
    }
    made = await engine.call("POST", "/containers/create", body=body)
    path = f"/containers/{quote(made['Id'], safe='')}"
    try:
        await engine.call("POST", f"{path}/start")
        ended = await engine.call("POST", f"{path}/wait")
        if ended["StatusCode"] == 0:
            return None
        query = {"stdout": "1", "stderr": "1", "tail": "1"}
        async with engine.stream("GET", f"{path}/logs", query=query, headers={}) as stream:
            return (await stream.read(_WORDS))[8:].decode(errors="replace").strip()
    finally:
        await engine.call("DELETE", path, query={"v": "1", "force": "1"})
