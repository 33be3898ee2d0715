"""What a measurement gives, and the few figures made of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True, slots=True)
class Measurement:
    """A table of numbers: each row has one value a column, units stand in the columns' names."""

    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]


def percentile(values: Sequence[float], share: int) -> float:
    """Give the value that ``share`` per cent of the values do not exceed."""
    return quantiles(values, n=100, method="inclusive")[share - 1]
