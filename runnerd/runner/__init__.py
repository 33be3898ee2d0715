"""The files that run beside the script. Standard library only, Python 3.8 and newer."""

from pathlib import Path

RUNNER_FILE = Path(__file__).with_name("runner.py")
POD_FILE = Path(__file__).with_name("pod.py")

__all__ = ["POD_FILE", "RUNNER_FILE"]
