"""The command line."""

from runnerd.cli.root import main

__all__ = ["main"]
