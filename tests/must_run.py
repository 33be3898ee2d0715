"""Where ``RUNNERD_TEST_REQUIRE`` names markers, a test that bears one of them must not be skipped.

Elsewhere a test whose part is missing from the machine (a browser, a database server) is skipped
with the reason. Continuous integration installs the parts and names them: ``browser,postgres``.

A conformance suite skips the rules of a capability that the plugin does not declare. That is no
lack of the machine, and passes.
"""

import os
from collections.abc import Generator

import pytest

UNDECLARED = "does not declare"


def pytest_configure(config: pytest.Config) -> None:
    known = {line.split(":", 1)[0].split("(", 1)[0] for line in config.getini("markers")}
    if unknown := sorted(_required() - known):
        raise pytest.UsageError(f"RUNNERD_TEST_REQUIRE names markers that don't exist: {unknown}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = _required() & {marker.name for marker in item.iter_markers()}
    lacking = report.skipped and UNDECLARED not in str(report.longrepr)
    if lacking and required and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"must not be skipped ({', '.join(sorted(required))}): {report.longrepr}"
    return report


def _required() -> set[str]:
    return {name.strip() for name in os.environ.get("RUNNERD_TEST_REQUIRE", "").split(",")} - {""}
