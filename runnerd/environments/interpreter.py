"""The Python that environments are made with: found once, told apart by what it runs."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from runnerd.environments.errors import InterpreterMissing
from runnerd.environments.processes import Finished, OutOfTime, run

_PROBE_SECONDS = 60.0
_PROBE = """
import json, os, platform, sys, sysconfig
v = sys.implementation.version
print(json.dumps({
    "path": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "abi": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag,
    "platform": sysconfig.get_platform(),
    "markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": "%d.%d.%d" % tuple(v[:3]),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    },
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A base interpreter, never a shim or a virtual environment's.

    ``abi`` is the tag of its extension modules, ``platform`` as in ``linux-x86_64``,
    ``markers`` the environment that PEP 508 markers are evaluated in.
    """

    path: str
    abi: str
    platform: str
    markers: Mapping[str, str]

    @property
    def version(self) -> str:
        return self.markers["python_full_version"]

    @property
    def identity(self) -> str:
        """What a compiled package can tell apart; the same wherever the interpreter lies."""
        implementation = self.markers["implementation_name"]
        return f"{implementation} {self.version} {self.abi} {self.platform}"


async def find_interpreter(request: str | None, *, uv: str, env: Mapping[str, str]) -> Interpreter:
    """Find the interpreter that a setting asks for: a path, a name, a version, or the daemon's.

    Raises ``InterpreterMissing`` with what to do about it.
    """
    if request is None:
        return await _probe(sys.executable, env)
    command = [uv, "python", "find", "--no-config", "--no-project", "--color", "never", request]
    finished = await _run(command, env, request)
    if finished.returncode != 0:
        raise InterpreterMissing(
            f"environments.python is {request!r}, and no such Python is installed: "
            "give a version that is, or the full path of an interpreter."
        )
    return await _probe(finished.stdout.strip(), env)


async def _probe(path: str, env: Mapping[str, str]) -> Interpreter:
    finished = await _run([path, "-I", "-S", "-c", _PROBE], env, path)
    if finished.returncode != 0:
        last = finished.stderr.strip().rpartition("\n")[2]
        raise InterpreterMissing(f"The Python at {path} does not run ({last}): choose another one.")
    return Interpreter(**json.loads(finished.stdout))


async def _run(command: list[str], env: Mapping[str, str], what: str) -> Finished:
    try:
        return await run(command, env=env, seconds=_PROBE_SECONDS)
    except OutOfTime:
        raise InterpreterMissing(
            f"Looking for the Python {what!r} took longer than {_PROBE_SECONDS:.0f} s: "
            "set environments.python to the full path of an interpreter."
        ) from None
    except OSError as error:
        raise InterpreterMissing(
            f"The Python {what!r} can't be run ({error.strerror}): "
            "set environments.python to the full path of an interpreter."
        ) from error
