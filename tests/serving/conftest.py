"""The models that these tests serve, trained once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of saved models, see ``zoo.py``."""
    folder = tmp_path_factory.mktemp("zoo")
    program = Path(__file__).with_name("zoo.py")
    command = [sys.executable, str(program), str(folder)]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def answers(zoo: Path) -> dict[str, Any]:
    """What pyfunc answers: inputs, predictions and probabilities by the model's name."""
    found: dict[str, Any] = json.loads((zoo / "answers.json").read_text())
    return found
