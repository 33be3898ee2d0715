"""The page of the metrics says what there is, all of it, in the code's own words."""

import re
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import Metric

from runnerd.metrics import Disk, Exposition, Metrics, Standing
from runnerd.plugins import Condition, Health
from runnerd.plugins.installed import Installed
from runnerd.scheduler import Depths, HealthBoard, Intake, Sighting
from runnerd.store import QueueDepth
from tests.metrics.scrape import families, text_of

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| (.+) \|$", re.MULTILINE)


def filled() -> list[Metric]:
    """Every family of ours, with a value of each."""
    now = datetime.now(UTC)
    board = HealthBoard(
        sightings={"storage": Sighting(Health(Condition.HEALTHY), now)},
        depths=Depths(now, {"default": QueueDepth()}, {"default": now}, 0, ()),
    )
    metrics = Metrics()
    metrics.waited.labels("default").observe(1)
    metrics.launched.labels("kept").observe(1)
    metrics.calls.labels("storage", "put").observe(1)
    metrics.call_errors.labels("storage", "put", "away").inc()
    metrics.requests.labels("GET", "/healthz", "200").inc()
    metrics.request_seconds.labels("/healthz").observe(1)
    standing = Standing(
        node="here",
        queues=["default"],
        slots=1,
        board=board,
        intake=Intake(),
        installed=[Installed("local", "runnerd", "1", "", built_in=True)],
        disk=lambda: Disk(100, 60, 40),
        workers=lambda: {"idle": 1},
        resolutions=lambda: {"known": 1},
    )
    found = families(text_of(Exposition(metrics, standing)))
    return [family for family in found if family.name.startswith("runnerd_")]


def full_name(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def labels_of(family: Metric) -> set[str]:
    assert family.samples, f"{family.name} has no value here: give it one"
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_the_page_has_every_metric_with_its_labels_and_words() -> None:
    rows = ROW.findall(PAGE.read_text())
    documented = {
        name: (kind, set(re.findall(r"\w+", labels)), said) for name, kind, labels, said in rows
    }
    there = {
        full_name(family): (family.type, labels_of(family), family.documentation)
        for family in filled()
    }
    assert documented == there


def test_no_label_is_an_id() -> None:
    found = {label for family in filled() for label in labels_of(family)}
    assert not found & {"job", "job_id", "run_id", "model", "model_name", "experiment", "path"}
