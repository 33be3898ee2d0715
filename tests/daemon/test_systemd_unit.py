"""The unit in ``deploy/systemd``: systemd takes it, and it has what scripts need to survive."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "runnerd.service"


def test_scripts_survive_the_unit() -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way
    unit.read(UNIT)
    service = unit["Service"]
    wanted = {"KillMode": "process", "Delegate": "yes", "OOMPolicy": "continue"}
    assert {name: service[name] for name in wanted} == wanted
    # a restart would take the folder away from the scripts that run on
    assert service["PrivateTmp"] == "no"
    assert "OOMScoreAdjust" not in service, "scripts would inherit it"


def test_systemd_takes_it(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    here = UNIT.read_text().replace("/opt/runnerd/bin/runnerd", "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(here.replace("=runnerd\n", "=root\n"))
    verified = subprocess.run(
        [analyze, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert verified.returncode == 0, verified.stderr
    assert copy.name not in verified.stderr, verified.stderr


def test_it_is_as_closed_as_the_page_says() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    scored = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    score = scored.stdout.splitlines()[-1].split(": ")[1].split()[0]
    page = UNIT.parents[2] / "docs" / "operations.md"
    assert f"exposure of {score}" in " ".join(page.read_text().split())
