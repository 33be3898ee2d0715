"""What a plugin's background probe found."""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """``starting`` counts as away for requests but not as a fault in the health report."""

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """``detail`` is one sentence: what was seen and, where it is unhealthy, what to do about it."""

    condition: Condition
    detail: str = ""

    @property
    def healthy(self) -> bool:
        return self.condition is Condition.HEALTHY
