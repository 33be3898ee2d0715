"""Where values come from: the file, the variables, the flags of ``runnerd serve``."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from runnerd.settings.keys import PLUGINS, PREFIX, KeyPath, KnownKeys
from runnerd.settings.problems import origin, suggestion, without_none

DEFAULT_FILE = Path("runnerd.toml")
FLAGS = {
    "data_dir": "--data-dir",
    "server.host": "--host",
    "server.port": "--port",
    "log.level": "--log-level",
    "loader.safe_mode": "--safe-mode",
}

_NOT_SETTINGS = re.compile(r"RUNNERD_(URL|TOKEN|CONFIG|JOB_ID|DEMO|TEST_\w*)")
# Kubernetes puts these into every container of a namespace that has a service named runnerd…
_SERVICE_LINK = re.compile(
    r"RUNNERD_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINKED_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, the key it is for, and the file, variable or flag it came from."""

    path: KeyPath
    value: Any
    source: str


@dataclass(slots=True)
class Findings:
    """What a source holds, and a sentence for each thing that is wrong with it."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_file(path: Path, known: KnownKeys) -> Findings:
    """Read a TOML file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return Findings(problems=[f"can't read {path}: {error.strerror}"])
    except UnicodeDecodeError:
        return Findings(problems=[f"{path} is not UTF-8 text"])
    except tomllib.TOMLDecodeError as error:
        return Findings(problems=[f"{path} is not valid TOML: {error}"])
    findings = Findings()
    _walk(tables, (), str(path), known, findings)
    return findings


def _walk(
    tables: Mapping[str, Any], at: KeyPath, source: str, known: KnownKeys, findings: Findings
) -> None:
    for name, value in tables.items():
        path = (*at, name)
        if path in known.fields or (len(path) > 2 and _in_free_table(path, known)):
            findings.entries.append(Entry(path, value, source))
        elif path in known.sections or _in_free_table(path, known):
            if isinstance(value, Mapping):
                _walk(value, path, source, known, findings)
            else:
                findings.problems.append(
                    f"{'.'.join(path)} in {source} must be a table: [{'.'.join(path)}]"
                )
        else:
            findings.problems.append(_unknown_in_file(path, value, source, known))


def _in_free_table(path: KeyPath, known: KnownKeys) -> bool:
    return len(path) > 1 and path[0] == PLUGINS and known.is_free(path[1])


def _unknown_in_file(path: KeyPath, value: Any, source: str, known: KnownKeys) -> str:
    dotted = ".".join(path)
    if isinstance(value, Mapping):
        sections = [f"[{'.'.join(section)}]" for section in sorted(known.sections - {(PLUGINS,)})]
        return f"unknown section [{dotted}] in {source}" + suggestion(f"[{dotted}]", sections)
    return f"unknown setting {dotted} in {source}" + suggestion(dotted, known.dotted())


def read_variables(environ: Mapping[str, str], known: KnownKeys) -> Findings:
    """Read the variables that begin with ``RUNNERD_``.

    Those of the client commands and the links that Kubernetes sets are passed over. An empty
    variable is an empty list where the key is a list, and counts as not set elsewhere.
    """
    findings = Findings()
    variables = known.variables()
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or _is_foreign(name, text):
            continue
        path = variables.get(name) or _free_plugin_key(name, known)
        if path is None:
            findings.problems.append(f"unknown variable {name}" + suggestion(name, variables))
            continue
        try:
            findings.entries.extend(_decoded(path, text, name, known))
        except json.JSONDecodeError as error:
            findings.problems.append(
                f"{'.'.join(path)} {origin(name)} begins like JSON but is not: {error.msg} "
                f"at character {error.pos + 1}"
            )
    return findings


def _is_foreign(name: str, text: str) -> bool:
    if _NOT_SETTINGS.fullmatch(name) or _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _LINKED_ADDRESS.match(text) is not None


def _free_plugin_key(name: str, known: KnownKeys) -> KeyPath | None:
    rest = name.removeprefix(f"{PREFIX}{PLUGINS.upper()}_")
    if rest == name:
        return None
    joint = "__" if rest.startswith("_") else "_"
    plugin, _, key = rest.removeprefix("_").lower().partition(joint)
    return (PLUGINS, plugin, key) if key and known.is_free(plugin) else None


def _decoded(path: KeyPath, text: str, source: str, known: KnownKeys) -> Iterator[Entry]:
    leaf = known.fields.get(path)
    shape = get_origin(without_none(leaf.annotation)) if leaf is not None else None
    is_list = shape in (tuple, list, set, frozenset)
    is_table = shape is dict
    if is_list and not text.startswith("["):
        parts = [part.strip() for part in text.split(",")]
        yield Entry(path, [part for part in parts if part], source)
    elif is_table and text and not text.startswith("{"):
        pairs = (part.partition("=") for part in text.split(","))
        yield Entry(path, {name.strip(): value.strip() for name, _, value in pairs}, source)
    elif is_list or (is_table and text) or (leaf is None and text[:1] in ("[", "{")):
        yield Entry(path, json.loads(text), source)
    elif text:
        yield Entry(path, text, source)


def read_flags(flags: Mapping[str, Any]) -> Findings:
    """Take the flags of ``runnerd serve``, by dotted key; None stands for a flag not given."""
    return Findings(
        [
            Entry(tuple(key.split(".")), value, FLAGS.get(key, key))
            for key, value in flags.items()
            if value is not None
        ]
    )
