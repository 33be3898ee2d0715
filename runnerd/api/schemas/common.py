"""Kinds of values that more than one body has, with their rules."""

import posixpath
import re
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
)

NAME_LIMIT = 255
TAG_LIMIT = 100
TAG_KEY_LIMIT = 250
TAG_VALUE_LIMIT = 8000
TEXT_LIMIT = 100_000
OVERRIDDEN_TAGS = "runnerd."

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TAG_KEY = re.compile(r"[/\w.\- :]+")


class Answer(BaseModel):
    """What the daemon sends."""

    model_config = ConfigDict(frozen=True)


class NoFields(BaseModel):
    """An object without any field, where a body may be sent but says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FixedBody(BaseModel):
    """A body of the fixed part of the contract: unknown fields are named, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def unknown(self) -> tuple[str, ...]:
        """Give a warning that names the fields nobody knows, if there are any."""
        names = [repr(name)[:80] for name in sorted(self.model_extra or {})]
        if not names:
            return ()
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return (f"unknown fields were ignored: {shown}",)


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(_utc, return_type=str, when_used="json")]


def name(value: str) -> str:
    """Check what people call a thing."""
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > NAME_LIMIT:
        raise ValueError(f"must have at most {NAME_LIMIT} characters")
    if _CONTROL.search(value):
        raise ValueError("must not hold line breaks or other control characters")
    return value


def model_name(value: str) -> str:
    """Check the name of a registered model."""
    name(value)
    if "/" in value or ":" in value:
        raise ValueError("must not hold '/' or ':', which addresses of models are made of")
    if value == "." or value.startswith(".."):
        raise ValueError("must not be '.' or begin with '..'")
    return value


def text(value: str) -> str:
    """Check free text."""
    if "\x00" in value:
        raise ValueError("must not hold NUL characters")
    if len(value) > TEXT_LIMIT:
        raise ValueError(f"must have at most {TEXT_LIMIT} characters")
    return value


def tags(value: dict[str, str]) -> dict[str, str]:
    """Check tags by the tracking server's rules, so that no run is refused later for them."""
    if len(value) > TAG_LIMIT:
        raise ValueError(f"must have at most {TAG_LIMIT} entries")
    for key, content in value.items():
        if not _TAG_KEY.fullmatch(key) or len(key) > TAG_KEY_LIMIT:
            raise ValueError(
                f"has the key {key[:80]!r}: a key has 1 to {TAG_KEY_LIMIT} letters, digits, "
                "spaces and the characters _ - . : /"
            )
        if posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
            raise ValueError(f"has the key {key[:80]!r}: a key must not look like a folder path")
        if "\x00" in content or len(content) > TAG_VALUE_LIMIT:
            raise ValueError(
                f"has a value under {key[:80]!r} that is not allowed: a value has at most "
                f"{TAG_VALUE_LIMIT} characters and no NUL"
            )
    return value


def _or_none_given(value: object) -> object:
    return {} if value is None else value


Name = Annotated[str, AfterValidator(name)]
ModelName = Annotated[str, AfterValidator(model_name)]
Text = Annotated[str, AfterValidator(text)]
Tags = Annotated[dict[str, str], BeforeValidator(_or_none_given), AfterValidator(tags)]
