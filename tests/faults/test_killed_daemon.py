"""The daemon is killed in loops; no job is lost, run twice, or told wrongly."""

import os
from pathlib import Path

import pytest

from runnerd.testing.daemons import processes_of
from tests.faults.storm import Storm

KILLS = int(os.environ.get("RUNNERD_TEST_KILLS", "12"))
JOBS = int(os.environ.get("RUNNERD_TEST_JOBS", "48"))
SEED = int(os.environ.get("RUNNERD_TEST_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * KILLS + 5 * JOBS)
def test_a_storm_of_kills(tmp_path: Path, package_cache: Path) -> None:
    storm = Storm(tmp_path / "data", package_cache, jobs=JOBS, kills=KILLS, seed=SEED)
    faults = storm.run()
    assert faults == [], f"seed {SEED}: " + "\n".join(faults)
    assert processes_of(storm.data_dir) == [], f"seed {SEED}: processes were left"
