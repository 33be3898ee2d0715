"""Where a marker is required, a skip is a failure."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.mark.browser
def test_needs_a_browser():
    pytest.skip("no Chromium here")

def test_needs_something_else():
    pytest.skip("nor that")

@pytest.mark.browser
def test_of_a_capability():
    pytest.skip("the storage does not declare direct_upload")

@pytest.mark.browser
@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


@pytest.fixture
def run_cases(root: Path, tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """Run the cases in a pytest of their own; gives its exit code and output."""
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  browser: Chromium\n")

    def run(required: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.must_run", str(tmp_path)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(root), "RUNNERD_TEST_REQUIRE": required},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return ran.returncode, ran.stdout + ran.stderr

    return run


def test_nothing_is_required_unless_named(run_cases: Callable[[str], tuple[int, str]]) -> None:
    code, output = run_cases("")
    assert code == 0
    assert "3 skipped" in output


def test_only_tests_with_a_required_marker_must_run(
    run_cases: Callable[[str], tuple[int, str]],
) -> None:
    code, output = run_cases("browser")
    assert code == 1
    assert "1 failed, 2 skipped, 1 xfailed" in output
    assert "must not be skipped (browser)" in output
    assert "no Chromium here" in output


def test_a_marker_that_does_not_exist_is_refused(
    run_cases: Callable[[str], tuple[int, str]],
) -> None:
    code, output = run_cases("bowser")
    assert code == 4
    assert "bowser" in output
