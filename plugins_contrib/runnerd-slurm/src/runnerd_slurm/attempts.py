"""An attempt as this executor knows it: its handle, its name in Slurm, and its own records."""

import json
from pathlib import Path
from typing import Any

from runnerd.jobs import Handle
from runnerd.plugins import AttemptFolder, FailJob, records

VERSION = 1


def handle_of(folder: AttemptFolder) -> Handle:
    """Put an attempt's folder into a handle."""
    state = {"attempt_id": folder.attempt_id, "folder": str(folder.path)}
    return Handle(VERSION, json.dumps(state))


def folder_of(handle: Handle) -> AttemptFolder:
    """Read a handle. Raises ``FailJob`` for a version that is not known here."""
    if handle.version != VERSION:
        raise FailJob(
            "this attempt was launched by another version of runnerd-slurm: its handle has version "
            f"{handle.version}, this one knows version {VERSION}; install the version that "
            "launched it, or submit the job again"
        )
    state = json.loads(handle.state)
    return AttemptFolder(state["attempt_id"], Path(state["folder"]))


def name_of(folder: AttemptFolder) -> str:
    """Give the name of the attempt's batch job, by which it is found whatever answer was lost."""
    plain = "".join(
        char if char.isascii() and (char.isalnum() or char in "._-") else "_"
        for char in folder.attempt_id
    )
    return f"runnerd-{plain}"


def token_file(folder: AttemptFolder) -> Path:
    """Give the file that names the one submission that may start the script."""
    return folder.path / "submission"


def note_file(folder: AttemptFolder) -> Path:
    """Give the record of the executor's own: cluster, and what Slurm said of the end."""
    return folder.path / "slurm.json"


def read_note(folder: AttemptFolder) -> dict[str, Any]:
    """Read that record, empty where there is none."""
    return records.read(note_file(folder)) or {}


def add_to_note(folder: AttemptFolder, **more: Any) -> None:
    """Put something into that record, durably."""
    records.write_durably(note_file(folder), {**read_note(folder), **more})
