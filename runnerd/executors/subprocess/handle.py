"""The handle of an attempt: all there is to know to find it again."""

import json
from dataclasses import dataclass
from pathlib import Path

from runnerd.jobs import Handle
from runnerd.plugins import FailJob

VERSION = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt lives, and the names of what the runner keeps there."""

    attempt_id: str
    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def request(self) -> Path:
        return self.folder / "request.json"

    @property
    def stop(self) -> Path:
        return self.folder / "stop.json"

    @property
    def runner(self) -> Path:
        return self.folder / "runner.json"

    @property
    def runner_log(self) -> Path:
        return self.folder / "runner.log"

    @property
    def building(self) -> Path:
        return self.folder / "building"

    @property
    def started(self) -> Path:
        return self.folder / "started.json"

    @property
    def exit(self) -> Path:
        return self.folder / "exit.json"

    @property
    def output(self) -> Path:
        return self.folder / "output.log"

    @property
    def work(self) -> Path:
        return self.folder / "work"


def handle_of(place: Place) -> Handle:
    """Put a place into a handle."""
    state = {"attempt_id": place.attempt_id, "folder": str(place.folder)}
    return Handle(VERSION, json.dumps(state))


def place_of(handle: Handle) -> Place:
    """Read a handle. Raises ``FailJob`` for a version that is not known here."""
    if handle.version != VERSION:
        raise FailJob(
            f"this attempt was launched by another version of the subprocess executor: its handle "
            f"has version {handle.version}, this runnerd knows version {VERSION}; run the runnerd "
            "that launched it, or submit the job again"
        )
    state = json.loads(handle.state)
    return Place(attempt_id=state["attempt_id"], folder=Path(state["folder"]))
