"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """``detail`` says what was seen; ``cure`` what to do about it, where it is not ok."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    detail: str
    cure: str | None = None
