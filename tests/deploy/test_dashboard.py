"""The Grafana dashboard shows metrics that exist."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import FACTS
from tests.deploy.promql import Asked, series_in
from tests.deploy.test_alerts import wrong_with

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "runnerd.json"


def panels() -> list[dict[str, Any]]:
    every = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in every if panel["type"] != "row"]


def asked() -> list[Asked]:
    return [
        each
        for panel in panels()
        for target in panel["targets"]
        for each in series_in(target["expr"])
    ]


@pytest.mark.slow
def test_each_metric_and_label_is_there(scraped: FACTS) -> None:
    assert {wrong_with(each, scraped) for each in asked()} == {None}


@pytest.mark.slow
def test_each_metric_of_ours_is_on_it(scraped: FACTS) -> None:
    suffixes = ("_bucket", "_count", "_sum")
    ours = {name for name in scraped if name.startswith("runnerd_")}
    base = {name for name in ours if not name.endswith(suffixes)}
    shown = {each.name for each in asked()}
    for suffix in suffixes:
        shown |= {name.removesuffix(suffix) for name in shown}
    counters = {name for name in base if f"{name}_total" in ours}
    elsewhere = {
        "runnerd_build_info",  # the list of daemons is made of it
        "runnerd_counted_timestamp_seconds",
        "runnerd_hook_calls_total",
        "runnerd_plugin_probed_timestamp_seconds",
    }
    assert base - counters - shown == elsewhere


def test_panels_do_not_overlap_and_say_what_they_are() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["title"] and panel["description"] and panel["targets"]
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
