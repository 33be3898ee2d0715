"""Which interface a plugin was written for, and whether this runnerd can work with it.

It is read from the plugin's source, not by running it: what was written for an interface that does
not exist here may not even be importable.
"""

import ast
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

API_VERSION = 1
OLDEST_API_VERSION = 1
STATEMENT = "RUNNERD_API"
NOTHING_SAID = (
    f"it does not say which interface it was written for: write `{STATEMENT} = {API_VERSION}` in "
    "the module that its entry point names"
)


def stated_version(entry: EntryPoint) -> int | None:
    """Give the number that the plugin's module assigns to ``RUNNERD_API``, None where it doesn't.

    The module itself is not run; packages that it lies in are. Raises whatever keeps its source
    from being read.
    """
    package, _, _ = entry.module.rpartition(".")
    found = find_spec(entry.module) if package else PathFinder.find_spec(entry.module)
    if found is None:
        raise ModuleNotFoundError(f"No module named {entry.module!r}")
    if found.origin is None or not found.has_location:
        return None
    tree = ast.parse(Path(found.origin).read_bytes())
    stated = [version for statement in tree.body if (version := _version_in(statement)) is not None]
    return stated[-1] if stated else None


def _version_in(statement: ast.stmt) -> int | None:
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    value = statement.value.value if isinstance(statement.value, ast.Constant) else None
    return value if STATEMENT in names and type(value) is int else None


def refusal(
    stated: int | None, *, newest: int = API_VERSION, oldest: int = OLDEST_API_VERSION
) -> str | None:
    """Give the reason not to load a plugin of an interface, None where there is none."""
    if stated is None:
        return NOTHING_SAID
    if stated > newest:
        return (
            f"it was written for interface {stated}, and this runnerd has {_spoken(oldest, newest)}"
            ": upgrade runnerd, or install an older version of the plugin"
        )
    if stated < oldest:
        return (
            f"it was written for interface {stated}, which this runnerd no longer has (it has "
            f"{_spoken(oldest, newest)}): install a newer version of the plugin"
        )
    return None


def warning(stated: int, *, newest: int = API_VERSION) -> str | None:
    """Give what to say of a plugin whose interface still works and will be dropped one day."""
    if stated >= newest:
        return None
    return (
        f"it was written for interface {stated}, which works and will be dropped; the newest is "
        f"{newest}: look for a newer version of the plugin"
    )


def _spoken(oldest: int, newest: int) -> str:
    return str(newest) if oldest == newest else f"{oldest} to {newest}"
