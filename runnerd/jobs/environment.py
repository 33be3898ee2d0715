"""What it takes to build a script's environment, on whatever machine the script runs."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """A resolved environment: its content and how to build it.

    ``key`` is the hash of lock, interpreter and platform. ``lock`` is the text of a pinned
    requirements file. ``python`` is the interpreter's full path, empty for the one that runs the
    runner in an image, and ``python_version`` its version as ``3.11.7``. ``root`` is the folder
    that holds one folder a key, ``cache`` uv's package cache and ``uv`` its executable. ``options``
    are further arguments of the install (package indexes), ``variables`` what the build's process
    may see: they may hold credentials, so the repr leaves them out. ``build_timeout`` is in
    seconds.
    """

    key: str
    lock: str
    python: str
    python_version: str
    root: str
    cache: str
    uv: str
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    build_timeout: float = 900.0
