"""The file that runs beside the script. Standard library only, Python 3.8 and newer."""

from pathlib import Path

RUNNER_FILE = Path(__file__).with_name("runner.py")

__all__ = ["RUNNER_FILE"]
