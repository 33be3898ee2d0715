"""What a PromQL expression asks for, as its own parser reads it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, VectorSelector

# What Prometheus itself puts on every series, and makes of its targets.
OF_TARGETS = frozenset({"job", "instance"})
# Grafana puts durations in place of these; any will do to read the rest.
_DURATION = re.compile(r"\$__(rate_)?interval\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """One series that an expression reads. ``equal`` are the values that it must have."""

    name: str
    labels: frozenset[str]
    equal: frozenset[tuple[str, str]]


def series_in(expression: str) -> list[Asked]:
    """List the series, each with every label that the expression expects of it.

    A label that series are grouped or joined by is expected of all that lie below.
    """
    return list(_asked(promql_parser.parse(_DURATION.sub("5m", expression)), frozenset()))


def _asked(node: object, grouped: frozenset[str]) -> Iterator[Asked]:
    if isinstance(node, VectorSelector):
        yield _of_selector(node, grouped)
        return
    if isinstance(node, AggregateExpr | BinaryExpr):
        grouped |= _labels_of(node)
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (below := getattr(node, part, None)) is not None:
            yield from _asked(below, grouped)
    for argument in getattr(node, "args", ()):
        yield from _asked(argument, grouped)


def _labels_of(node: AggregateExpr | BinaryExpr) -> frozenset[str]:
    if isinstance(node, AggregateExpr):
        return frozenset(node.modifier.labels if node.modifier else ())
    matching = node.modifier.matching if node.modifier else None
    return frozenset(matching.labels if matching else ())


def _of_selector(node: VectorSelector, grouped: frozenset[str]) -> Asked:
    matchers = node.matchers.matchers
    return Asked(
        node.name or "",
        grouped | {each.name for each in matchers},
        frozenset(
            (each.name, each.value)
            for each in matchers
            if each.op == promql_parser.MatchOp.Equal and each.name not in OF_TARGETS
        ),
    )
