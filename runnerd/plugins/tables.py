"""Settings of plugins, checked by the plugins' own models."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


class PluginMisconfigured(Exception):
    """A ``[plugins.<name>]`` table is wrong; the text names each key and what to do about it."""


def checked(name: str, table: Mapping[str, Any], model: type[BaseModel]) -> BaseModel:
    """Read ``[plugins.<name>]`` by its model; raises ``PluginMisconfigured``."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        faults = "; ".join(_fault(each, model) for each in error.errors(include_url=False))
        raise PluginMisconfigured(f"[plugins.{name}]: {faults}") from None


def _fault(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"the key {key!r} does not exist{nearest(key, model.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def nearest(name: str, known: Iterable[str]) -> str:
    """Give ``: did you mean …?`` with the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f": known are {', '.join(names)}" if names else ""
