"""Writes ``docs/settings.md`` from the comments of the root's ``runnerd.toml`` (``make docs``)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
KEY = re.compile(r"(?P<off># )?(?P<key>[a-z_]+) = (?P<value>.+)")
HEAD = """# Settings

<!-- Written by `make docs` from runnerd.toml: change it there. -->

"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: ``example`` is its value in the file, ``commented`` where that is no default."""

    table: str
    key: str
    example: str
    commented: bool
    meaning: str


def page(source: str) -> str:
    """Give the page for the text of a ``runnerd.toml``."""
    introduction, _, rest = source.partition("\n\n")
    parts = [HEAD, _prose(introduction.splitlines()), "\n"]
    for table, rows in groupby(settings(rest), key=lambda setting: setting.table):
        parts.append(f"\n## {'`[' + table + ']`' if table else 'Outside of any table'}\n\n")
        parts.append("| Key | Default | Meaning |\n| --- | --- | --- |\n")
        parts.extend(_row(setting) for setting in rows)
    return "".join(parts)


def settings(source: str) -> Iterator[Setting]:
    """Give every key of the text, in its order."""
    table, comment, fresh = "", list[str](), True
    lines = iter(source.splitlines())
    for line in lines:
        if match := KEY.fullmatch(line):
            value = _whole_value(match["value"], lines)
            yield Setting(table, match["key"], value, bool(match["off"]), _prose(comment))
            fresh = True
        elif line.startswith("["):
            table, fresh = line.strip("[]"), True
        elif line.startswith("#"):
            comment = [line] if fresh else [*comment, line]
            fresh = False


def _whole_value(first: str, lines: Iterator[str]) -> str:
    if first != "[":
        return first
    items = []
    for line in lines:
        if line == "]":
            break
        items.append(line.strip().rstrip(","))
    return f"[{', '.join(items)}]"


def _prose(comment: list[str]) -> str:
    return "\n".join(line.removeprefix("#").strip() for line in comment)


def _row(setting: Setting) -> str:
    meaning = setting.meaning.replace("\n", " ").replace("|", "\\|")
    default = "" if setting.commented else f"`{setting.example}`"
    if setting.commented:
        meaning += f" Example: `{setting.example}`"
    return f"| `{setting.key}` | {default} | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page((ROOT / "runnerd.toml").read_text()))
