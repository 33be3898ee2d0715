"""What a scrape says, read by Prometheus' own parser."""

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def text_of(collector: Collector) -> str:
    return generate_latest(collector).decode()


def value(text: str, name: str, **labels: str) -> float:
    """Give one sample's value; fails where there is none."""
    wanted = frozenset(labels.items())
    return _values(text)[name, wanted]


def _values(text: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text)
        for sample in family.samples
    }
