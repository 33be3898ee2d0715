"""What a running daemon says of itself."""

from collections.abc import Iterator
from typing import Any

from runnerd import __version__
from runnerd.cli.address import Address
from runnerd.cli.checks.finding import Finding
from runnerd.client import Client, DaemonAway, RequestRefused, Unauthenticated

_SECONDS = 5.0
_SIGN_IN = "set RUNNERD_TOKEN; `runnerd token create NAME` on the daemon's machine makes one"


def service(address: Address) -> Iterator[Finding]:
    """Check the daemon at an address, and its plugins as it last saw them."""
    try:
        with Client(address.url, address.token, _SECONDS) as client:
            status = client.status()
    except ValueError as error:
        yield Finding("daemon", "fail", str(error), "correct --url or RUNNERD_URL")
    except DaemonAway as error:
        cure = "start it with `runnerd serve`, or correct --url or RUNNERD_URL"
        yield Finding("daemon", "fail", f"none at {error.url}: {error.reason}", cure)
    except Unauthenticated as error:
        yield Finding("daemon", "fail", error.detail, _SIGN_IN)
    except RequestRefused as error:
        yield Finding("daemon", "fail", f"it answers {error.status}: {error.detail}", "see its log")
    else:
        yield _daemon(client.url, status)
        yield from _plugins(status)


def _daemon(url: str, status: dict[str, Any]) -> Finding:
    version = status.get("version")
    if version != __version__:
        detail = f"{url} runs version {version}, and this command is {__version__}"
        return Finding("daemon", "warn", detail, "install the same version on both sides")
    return Finding("daemon", "ok", f"{url} runs version {version}")


def parts_of(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the health of each plugin in use by what it is, further executors with their names."""
    plugins = dict(status.get("plugins", {}))
    executors = status.get("executors", {})
    default = next(iter(executors), None)
    return plugins | {
        f"executor {name}": health for name, health in executors.items() if name != default
    }


def _plugins(status: dict[str, Any]) -> Iterator[Finding]:
    for kind, health in parts_of(status).items():
        name = f"{kind} plugin"
        detail = health.get("detail") or health["condition"]
        match health["condition"]:
            case "healthy":
                yield Finding(name, "ok", detail)
            case "starting":
                yield Finding(name, "warn", detail, "it is still starting: look again soon")
            case _:
                yield Finding(name, "fail", detail, "see the daemon's log")
