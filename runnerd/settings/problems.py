"""What is wrong with settings, in sentences."""

import json
from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

MASK = "********"
_ALIKE = 0.5
_LONGEST_VALUE = 80


class SettingsInvalid(Exception):
    """The daemon can't start with these settings. ``problems`` has one sentence for each fault."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """Give `: did you mean …?` with the nearest known name, or where to look for the names."""

    def likeness(name: str) -> float:
        same_leaf = "." in unknown and unknown.rpartition(".")[2] == name.rpartition(".")[2]
        return SequenceMatcher(None, unknown, name).ratio() + (0.5 if same_leaf else 0)

    nearest = max(known, key=likeness, default=None)
    if nearest is None or likeness(nearest) < _ALIKE:
        return ": `runnerd config` lists those that exist"
    return f": did you mean {nearest}?"


def bad_value(
    key: str, value: object, source: str, field: FieldInfo | None, message: str, *, rule: bool
) -> str:
    """Say which value came from where and what is allowed there.

    ``message`` is pydantic's; it stands where ``rule`` tells that it is the field's own rule, or
    where the field's type has no words of its own.
    """
    shown = MASK if field is not None and is_secret(field) else _shown(value)
    words = None if rule or field is None else allowed(field)
    reason = f"must be {words}" if words else message.removeprefix("Value error, ")
    return f"{key} = {shown} {origin(source)}: {reason}"


def origin(source: str) -> str:
    """Say where a value came from: a variable, a flag or a file."""
    return f"{'from' if source.startswith(('RUNNERD_', '--')) else 'in'} {source}"


def is_secret(field: FieldInfo) -> bool:
    """Tell whether the field's values must not be shown."""
    return SecretStr in _types(field.annotation)


def allowed(field: FieldInfo) -> str | None:
    """Describe in words which values a field takes; None for types that have no words here."""
    inner = without_none(field.annotation)
    if get_origin(inner) is Literal:
        *rest, last = (str(choice) for choice in get_args(inner))
        return f"{', '.join(rest)} or {last}" if rest else last
    if inner in (int, float):
        noun = "a whole number" if inner is int else "a number"
        return noun + _bounds(field.metadata)
    if get_origin(inner) in (tuple, list, set, frozenset):
        return "a list of texts"
    if get_origin(inner) is dict:
        return "a table"
    if inner in (str, SecretStr):
        return "a text" + _form(field.metadata)
    return {bool: "true or false", Path: "a path"}.get(inner)


def without_none(annotation: Any) -> Any:
    """Give the type behind ``… | None`` and ``Annotated[…]``."""
    if get_origin(annotation) is Annotated:
        return without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return without_none(inner[0]) if len(inner) == 1 else annotation
    return annotation


def _types(annotation: Any) -> set[Any]:
    parts = get_args(annotation)
    return {annotation}.union(*(_types(part) for part in parts)) if parts else {annotation}


def _bounds(metadata: Iterable[Any]) -> str:
    found = {
        name: getattr(rule, name)
        for rule in metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(rule, name, None) is not None
    }
    words = {"ge": "from", "gt": "greater than", "le": "to", "lt": "less than"}
    text = " and ".join(f"{words[name]} {found[name]}" for name in words if name in found)
    if "ge" in found and "le" in found:
        text = f"from {found['ge']} to {found['le']}"
    elif "ge" in found:
        text = f"of at least {found['ge']}"
    return f" {text}" if text else ""


def _form(metadata: Iterable[Any]) -> str:
    for rule in metadata:
        if pattern := getattr(rule, "pattern", None):
            return f" that matches {pattern}"
        if getattr(rule, "min_length", None):
            return " that is not empty"
    return ""


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
