"""An installation of runnerd as a plugin's author has it: the wheel in a fresh environment."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Home:
    """A virtual environment at ``folder`` with runnerd and its test kit, and the wheel of it."""

    folder: Path
    wheel: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path, seconds: float = 240) -> str:
        """Run a command with the environment's programs in front; gives its output."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("RUNNERD_")}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        variables = {**kept, "PATH": path, "VIRTUAL_ENV": str(self.folder), "COLUMNS": "200"}
        ran = subprocess.run(
            command,
            cwd=cwd,
            env=variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def install(self, *what: str | Path) -> None:
        locked = ("--constraint", ROOT / "requirements.lock")
        command = (uv.find_uv_bin(), "pip", "install", "-q", "--python", self.python, *locked)
        self.run(*command, *what, cwd=self.folder)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [uv.find_uv_bin(), "build", "--wheel", "--no-build-isolation", "-q"]
    command += ["--python", sys.executable, "-o", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Home:
    folder = tmp_path_factory.mktemp("home") / "venv"
    command = [uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder)]
    subprocess.run(command, check=True, timeout=120)
    made = Home(folder, wheel)
    made.install(f"runnerd[testing] @ {wheel.as_uri()}")
    return made
