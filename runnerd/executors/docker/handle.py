"""The handle of an attempt: the name of its container, and where its records are kept here."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from runnerd.executors.handles import state_in
from runnerd.jobs import Handle
from runnerd.plugins import AttemptFolder

VERSION = 1
_STRANGE = re.compile(r"[^a-zA-Z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """An attempt's container, and the folder on the daemon's machine that outlives it.

    ``launched`` is there from just before the container is started. ``kept`` holds copies of what
    the runner wrote in the container: the exit record comes last, when the output is whole.
    """

    attempt_id: str
    folder: Path

    @property
    def container(self) -> str:
        """Its name, the same for every daemon that reaches the engine."""
        digest = hashlib.sha256(self.attempt_id.encode()).hexdigest()
        return f"runnerd-{_STRANGE.sub('-', self.attempt_id)[:60]}-{digest[:12]}"

    @property
    def launched(self) -> Path:
        return self.folder / "launched.json"

    @property
    def kept(self) -> AttemptFolder:
        """The copies of what the runner wrote."""
        return AttemptFolder(self.attempt_id, self.folder)


def handle_of(place: Place) -> Handle:
    """Put a place into a handle."""
    state = {"attempt_id": place.attempt_id, "folder": str(place.folder)}
    return Handle(VERSION, json.dumps(state))


def place_of(handle: Handle) -> Place:
    """Read a handle. Raises ``FailJob`` for a version that is not known here."""
    state = state_in(handle, version=VERSION, executor="docker")
    return Place(attempt_id=state["attempt_id"], folder=Path(state["folder"]))
