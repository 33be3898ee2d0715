"""Loading: defaults, then the file, then the variables, then the flags of ``runnerd serve``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runnerd.settings.keys import PLUGINS, KeyPath, KnownKeys, PluginModels, known_keys
from runnerd.settings.models import Settings
from runnerd.settings.problems import SettingsInvalid, bad_value
from runnerd.settings.sources import (
    DEFAULT_FILE,
    Entry,
    Findings,
    read_file,
    read_flags,
    read_variables,
)

DEFAULT = "default"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each came from, by dotted key: a file, a variable, a flag, `default`."""

    settings: Settings
    sources: dict[str, str]


def load(
    *,
    config: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    known_plugins: PluginModels | None = None,
) -> Loaded:
    """Load the settings.

    ``config`` is the file; where it is None, ``RUNNERD_CONFIG`` names it, or it is
    ``runnerd.toml`` in the working folder if that exists. ``flags`` are values by dotted key.
    With ``known_plugins`` the plugins' tables are checked by these models; without, they are
    taken as they are. Raises SettingsInvalid with everything that is wrong.
    """
    known = known_keys(known_plugins)
    file = _file(config, environ)
    read = [
        read_file(file, known) if file else Findings(),
        read_variables(environ, known),
        read_flags(flags),
    ]
    entries = {entry.path: entry for findings in read for entry in findings.entries}
    problems = [problem for findings in read for problem in findings.problems]
    settings, invalid = _checked(_tree(entries.values()), entries, known, known_plugins)
    problems.extend(invalid)
    if settings is None or problems:
        raise SettingsInvalid(problems)
    sources = {".".join(path): DEFAULT for path in known.fields}
    sources |= {".".join(path): entry.source for path, entry in entries.items()}
    return Loaded(settings, sources)


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if named := environ.get("RUNNERD_CONFIG"):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _tree(entries: Iterable[Entry]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for entry in entries:
        table = tree
        for name in entry.path[:-1]:
            table = table.setdefault(name, {})
        table[entry.path[-1]] = entry.value
    return tree


def _checked(
    tree: dict[str, Any],
    entries: Mapping[KeyPath, Entry],
    known: KnownKeys,
    plugins: PluginModels | None,
) -> tuple[Settings | None, list[str]]:
    settings, errors = _validated(Settings, tree, ())
    for name, model in (plugins or {}).items():
        table = tree.get(PLUGINS, {}).get(name)
        if table is not None:
            errors.extend(_validated(model, table, (PLUGINS, name))[1])
    worded: dict[KeyPath, str] = {}
    for path, error in errors:
        key = _key_of(path, known)
        worded.setdefault(key, _in_words(key, error, entries, known))
    return settings, list(worded.values())


def _validated(
    model: type[Model], table: dict[str, Any], under: KeyPath
) -> tuple[Model | None, list[tuple[KeyPath, ErrorDetails]]]:
    try:
        return model.model_validate(table), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [((*under, *map(str, each["loc"])), each) for each in found]


def _key_of(path: KeyPath, known: KnownKeys) -> KeyPath:
    for length in range(len(path), 0, -1):
        if path[:length] in known.fields:
            return path[:length]
    return path


def _in_words(
    key: KeyPath, error: ErrorDetails, entries: Mapping[KeyPath, Entry], known: KnownKeys
) -> str:
    dotted = ".".join(key)
    entry = entries.get(key)
    rule = error["type"] in ("value_error", "assertion_error")
    if entry is not None:
        field = known.fields.get(key)
        return bad_value(dotted, entry.value, entry.source, field, error["msg"], rule=rule)
    if error["type"] == "missing":
        return f"{dotted} is not set, and there is no default: set it in [{'.'.join(key[:-1])}]"
    sources = sorted({each.source for path, each in entries.items() if path[: len(key)] == key})
    return f"[{dotted}] ({', '.join(sources)}): {error['msg'].removeprefix('Value error, ')}"
