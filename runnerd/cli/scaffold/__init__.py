"""Making the files of a new plugin's distribution."""

import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Literal, get_args

import runnerd
from runnerd.plugins import API_VERSION

Kind = Literal["storage", "executor", "tracker", "listener"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ENDING = ".tmpl"


class NameUnfit(Exception):
    """A plugin can't be called that; the text says what a name has to be like."""


def make_plugin(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Write the files of a plugin below ``folder``, which must not be there yet; gives their paths.

    Raises ``NameUnfit`` and ``FileExistsError``.
    """
    words = _words(name, kind)
    folder.mkdir(parents=True)
    written = []
    templates = files("runnerd.cli.scaffold") / "templates"
    for part in ("common", kind):
        for place, template in _templates(templates / part, Path()):
            path = folder / Path(str(place).replace("__module__", words["module"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template.read_text()).substitute(words))
            written.append(path)
    return sorted(written)


def _words(name: str, kind: Kind) -> dict[str, str]:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise NameUnfit(
            f"a plugin can't be called {name!r}: use small letters and digits, in words joined by "
            "single hyphens, and begin with a letter"
        )
    return {
        "name": name,
        "kind": kind,
        "distribution": f"runnerd-{name}",
        "module": f"runnerd_{name.replace('-', '_')}",
        "title": "".join(word.capitalize() for word in name.split("-")),
        "upper": name.upper().replace("-", "_"),
        "version": runnerd.__version__,
        "api": str(API_VERSION),
    }


def _templates(folder: Traversable, place: Path) -> Iterator[tuple[Path, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, place / entry.name)
        elif entry.name.endswith(_ENDING):
            yield place / entry.name.removesuffix(_ENDING), entry
