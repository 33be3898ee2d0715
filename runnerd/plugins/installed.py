"""What is known of an installed plugin, loaded or not."""

from dataclasses import dataclass, field
from enum import StrEnum


class Standing(StrEnum):
    """``loaded`` plugins are used. The others are not: kept out by ``[loader]``, ``refused`` for
    their interface or name, ``broken``, or ``out`` since they asked for it while they ran."""

    LOADED = "loaded"
    KEPT_OUT = "kept_out"
    REFUSED = "refused"
    BROKEN = "broken"
    OUT = "out"


@dataclass(slots=True)
class Tally:
    """How often the hooks of a plugin were called while the daemon ran, and how often in vain.

    ``missed`` calls were never made, because an earlier one hung or too many waited.
    """

    calls: int = 0
    failures: int = 0
    missed: int = 0
    last_failure: str = ""


@dataclass(slots=True)
class Installed:
    """One entry point of the group ``runnerd``.

    ``place`` is the folder that its distribution is installed in, ``interface`` the version that it
    states, ``why`` the reason of any other standing than loaded, ``hooks`` those that it
    implements. ``name`` is what it is selected by, and the name of its table in the settings.
    """

    name: str
    distribution: str
    version: str
    place: str
    built_in: bool
    standing: Standing = Standing.LOADED
    why: str = ""
    warning: str = ""
    interface: int | None = None
    hooks: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
