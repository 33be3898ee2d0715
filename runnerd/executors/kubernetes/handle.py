"""The handle of an attempt: all there is to know to find it again."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from runnerd.executors.handles import state_in
from runnerd.jobs import Handle
from runnerd.plugins.records import AttemptFolder

VERSION = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt lives: the Job ``name`` in the cluster, and a folder on this machine.

    Its output and the record of its end are kept in the folder, so that both outlast the pod.
    """

    attempt_id: str
    name: str
    folder: Path

    @property
    def launched(self) -> Path:
        return self.folder / "launched.json"

    @property
    def ended(self) -> Path:
        return self.folder / "ended.json"

    @property
    def attempt(self) -> AttemptFolder:
        """The output and the request to stop lie where they do with every executor."""
        return AttemptFolder(self.attempt_id, self.folder)


def place_for(instance: str, attempt_id: str, folder: Path) -> Place:
    """Give the place of an attempt; no other attempt of the instance has its Job's name."""
    readable = re.sub(r"[^a-z0-9]+", "-", attempt_id.lower())[:20].strip("-")
    unique = sha256(f"{instance}/{attempt_id}".encode()).hexdigest()[:12]
    name = "-".join(part for part in (instance, readable, unique) if part)
    return Place(attempt_id, name, folder.absolute())


def handle_of(place: Place) -> Handle:
    """Put a place into a handle."""
    state = {"attempt_id": place.attempt_id, "name": place.name, "folder": str(place.folder)}
    return Handle(VERSION, json.dumps(state))


def place_of(handle: Handle) -> Place:
    """Read a handle. Raises ``FailJob`` for a version that is not known here."""
    state = state_in(handle, version=VERSION, executor="kubernetes")
    return Place(state["attempt_id"], state["name"], Path(state["folder"]))
