"""The handle of an attempt: all there is to know to find it again."""

import json
from pathlib import Path

from runnerd.executors.handles import state_in
from runnerd.jobs import Handle
from runnerd.plugins.records import AttemptFolder

VERSION = 1


def handle_of(folder: AttemptFolder) -> Handle:
    """Put an attempt's folder into a handle."""
    state = {"attempt_id": folder.attempt_id, "folder": str(folder.path)}
    return Handle(VERSION, json.dumps(state))


def folder_of(handle: Handle) -> AttemptFolder:
    """Read a handle. Raises ``FailJob`` for a version that is not known here."""
    state = state_in(handle, version=VERSION, executor="subprocess")
    return AttemptFolder(attempt_id=state["attempt_id"], path=Path(state["folder"]))
