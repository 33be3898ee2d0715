"""The tutorial works as it is written: every command of it, in order, in one shell."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import uv

from runnerd.testing.daemons import processes_of
from tests.cli.scaffold.conftest import ROOT

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
FAILS = re.compile(r"^(.+?)  # fails$", re.MULTILINE)
PORT = "8123"


def as_a_script(page: str, port: int) -> str:
    """Give the commands of a page; those that it says fail, must."""
    commands = "\n".join(BLOCK.findall(page)).replace(PORT, str(port))
    must_fail = r"if \1; then echo 'it did not fail'; exit 1; fi"
    # Whatever fails, the daemon in the background ends with the shell.
    return "set -euo pipefail\ntrap 'kill $(jobs -p)' ERR\n" + FAILS.sub(must_fail, commands)


@pytest.mark.slow
def test_the_tutorial_works_as_it_is_written(
    wheel: Path, tmp_path: Path, package_cache: Path, free_tcp_port: int
) -> None:
    page = (ROOT / "docs" / "plugins" / "tutorial.md").read_text()
    assert page.count(PORT) == 3
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RUNNERD_")}
    kept.pop("VIRTUAL_ENV", None)
    ran = subprocess.run(
        ["timeout", "--kill-after=30", "240", "bash", "-c", as_a_script(page, free_tcp_port)],
        cwd=tmp_path,
        env={
            **kept,
            # The package index has no runnerd of this very state; and uv need not be installed.
            "UV_FIND_LINKS": str(wheel.parent),
            "UV_CONSTRAINT": str(ROOT / "requirements.lock"),
            "PATH": f"{Path(uv.find_uv_bin()).parent}:{kept['PATH']}",
            "RUNNERD_ENVIRONMENTS_CACHE": str(package_cache),
            "COLUMNS": "160",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told[-6000:]
    assert "3 failed" in told
    assert "did you mean RUNNERD_PLUGINS_SHELF_ROOT?" in " ".join(told.split())
    assert list((tmp_path / "runnerd-shelf" / "objects" / "files").iterdir())
    assert processes_of(tmp_path) == []
