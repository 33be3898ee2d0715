"""The alerting rules: right in themselves, on metrics that exist, each with something to do."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import FACTS
from tests.deploy.promql import OF_TARGETS, Asked, series_in
from tests.project.test_documentation import anchors

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
CASES = Path(__file__).parent / "alerts_test.yml"
# What Prometheus says of its targets.
OF_PROMETHEUS = {"up"}


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load(RULES.read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def wrong_with(asked: Asked, scraped: FACTS) -> str | None:
    """Tell what of a series a daemon does not have; None where all is there."""
    if asked.name not in scraped:
        return f"{asked.name} does not exist"
    series = scraped[asked.name]
    known = {label for labels in series for label in labels}
    if unknown := asked.labels - known - OF_TARGETS:
        return f"{asked.name} has no label {sorted(unknown)}"
    return None


@pytest.mark.slow
def test_each_metric_and_label_is_there(scraped: FACTS) -> None:
    asked = [each for rule in rules() for each in series_in(rule["expr"])]
    assert len(asked) > len(rules())
    found = {wrong_with(each, scraped) for each in asked if each.name not in OF_PROMETHEUS}
    assert found == {None}


@pytest.mark.slow
def test_words_that_labels_never_have_are_not_asked_for(scraped: FACTS) -> None:
    fixed = ("runnerd_attempts_ended_total", "runnerd_nodes", "runnerd_queue_jobs")
    asked = [each for rule in rules() for each in series_in(rule["expr"]) if each.name in fixed]
    assert {each.name for each in asked} == set(fixed)
    for each in asked:
        assert any(each.equal <= set(labels.items()) for labels in scraped[each.name]), each


def test_each_says_what_it_is_and_what_to_do() -> None:
    headings = anchors((ROOT / "docs" / "runbook.md").read_text())
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in headings


@pytest.mark.promtool
def test_prometheus_takes_them_and_they_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's prometheus has it)")
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    for command in (["check", "rules", RULES.name], ["test", "rules", CASES.name]):
        done = subprocess.run(
            [promtool, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
