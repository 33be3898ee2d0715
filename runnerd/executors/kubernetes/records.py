"""What the executor keeps of an attempt in its folder: that outlasts the pod. Every call blocks."""

import os
from dataclasses import asdict

from runnerd.executors.kubernetes.handle import Place
from runnerd.jobs import Cause, Outcome
from runnerd.plugins import BackendAway, records
from runnerd.plugins.shortage import shortage_of


def note_launch(place: Place, *, confirmed: bool) -> None:
    """Keep that the Job is about to be created, and then that it and its Secret were."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write_durably(place.launched, {"confirmed": confirmed})


def was_launched(place: Place) -> bool | None:
    """Tell whether the Job and its Secret were created; None where nobody has begun to."""
    record = records.read(place.launched)
    return None if record is None else bool(record.get("confirmed"))


def ask_to_stop(place: Place, cause: Cause) -> Cause:
    """Keep for what the attempt is to be stopped; gives the first cause, which stands."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.ask_to_stop(place.attempt, cause)
    return stop_cause(place) or cause


def stop_cause(place: Place) -> Cause | None:
    """Give for what somebody asked to stop, None where nobody did."""
    record = records.read(place.attempt.stop)
    return None if record is None else Cause(record["cause"])


def keep_end(place: Place, outcome: Outcome, *, recorded: bool) -> None:
    """Make the output and the end durable. ``recorded`` tells whether the runner told the end."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    output = os.open(place.attempt.output, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.fsync(output)
    finally:
        os.close(output)
    try:
        records.write_durably(place.ended, {"outcome": asdict(outcome), "recorded": recorded})
    except FileNotFoundError:
        if end_of(place) is None:  # else another daemon follows it into the same folder
            raise


def end_of(place: Place) -> tuple[Outcome, bool] | None:
    """Give the end that was kept and whether the runner had told it."""
    kept = records.read(place.ended)
    outcome = records.outcome_in(kept["outcome"]) if kept is not None else None
    return None if kept is None or outcome is None else (outcome, bool(kept["recorded"]))


def add_output(place: Place, start: int, content: bytes) -> None:
    """Write a part of the output where it belongs; doing so again changes nothing."""
    try:
        output = os.open(place.attempt.output, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(output, content, start)
        finally:
            os.close(output)
    except OSError as error:
        words = f"the job's log can't be written: {error.strerror}"
        raise shortage_of(error) or BackendAway(words) from error
