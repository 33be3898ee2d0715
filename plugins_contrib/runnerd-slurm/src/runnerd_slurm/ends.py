"""What became of an attempt, from the runner's record and from what Slurm says."""

from dataclasses import dataclass, replace

from runnerd.jobs import Cause, Outcome
from runnerd.plugins import AttemptFolder, Failure, Listener, records

PREFIX = "Slurm "
LOST = "the runner ended without a record of the script's end"
NEVER_STARTED = "the runner ended before it had started the script"
CANCELLED = "CANCELLED"
# Slurm's ends that are not the script's own, with the cause and the sentence for people.
BY_SLURM = {
    "BOOT_FAIL": (Cause.LOST, "could not boot the node for the job: submit it again"),
    CANCELLED: (Cause.CANCELLED, "cancelled the job: by scancel or an administrator's order"),
    "DEADLINE": (
        Cause.TIMEOUT,
        "ended the job at its deadline: submit it again with a later --deadline, or with none",
    ),
    "NODE_FAIL": (
        Cause.LOST,
        "lost the node {node} while the job ran on it: submit it again, or give it `max_retries`",
    ),
    "OUT_OF_MEMORY": (
        Cause.OUT_OF_MEMORY,
        "killed the script because it took more memory than its job was given: submit it again "
        "with more `memory`",
    ),
    "PREEMPTED": (
        Cause.LOST,
        "took the node for a job that goes first (preemption): submit it again, give it "
        "`max_retries`, or choose another partition or QOS",
    ),
    "REVOKED": (Cause.LOST, "moved the job to another cluster of its federation: submit it again"),
    "TIMEOUT": (
        Cause.TIMEOUT,
        "ended the job at its time limit, which was shortened after it had been submitted: submit "
        "it again with a smaller `timeout`, or choose another partition or QOS",
    ),
}
# Reasons for waiting that do not pass, with what to do.
HOPELESS = {
    "BadConstraints": "no node has what `constraint` and the job's resources ask for",
    "InvalidAccount": "the account is not valid: set [plugins.slurm] account",
    "InvalidQOS": "the QOS is not valid: set [plugins.slurm] qos",
    "PartitionNodeLimit": "the partition has too few nodes: choose another one",
    "PartitionTimeLimit": (
        "the partition's time limit is shorter than the job's `timeout` and the building of its "
        "environment together: submit it with a smaller `timeout`, or choose another partition"
    ),
}


@dataclass(frozen=True, slots=True)
class End:
    """What Slurm says of a job that is over: all empty where it has forgotten the job.

    ``refused`` is the reason for which the plugin took a waiting job out of the queue.
    """

    state: str = ""
    reason: str = ""
    node: str = ""
    refused: str = ""


def is_settled(outcome: Outcome | None) -> bool:
    """Tell whether the runner's record stands whatever Slurm says.

    A script that was signalled, or ended badly, may have been ended by Slurm.
    """
    if outcome is None:
        return False
    return outcome.succeeded or outcome.cause not in (Cause.EXITED, Cause.SIGNALLED)


def outcome_of(folder: AttemptFolder, end: End) -> Outcome:
    """Give the outcome of an attempt whose batch job is over. Blocks."""
    recorded = records.read_outcome(folder)
    by_slurm = _by_slurm(end)
    if recorded is not None:
        if by_slurm is None or is_settled(recorded):
            return recorded
        return _blamed(recorded, by_slurm)
    started = records.number(records.read(folder.started), "script_started_at")
    asked = records.read(folder.stop)
    if asked is not None and asked.get("cause") in list(Cause):
        return Outcome(Cause(asked["cause"]), script_started_at=started)
    if started is None and end.refused:
        why = HOPELESS.get(end.refused, "ask its administrator")
        return Outcome(Cause.LAUNCH_FAILED, detail=f"Slurm will not start it: {why}")
    if by_slurm is not None:
        return replace(by_slurm, script_started_at=started)
    return _vanished(folder, end, started)


def _by_slurm(end: End) -> Outcome | None:
    if end.state not in BY_SLURM:
        return None
    cause, words = BY_SLURM[end.state]
    return Outcome(cause, detail=PREFIX + words.format(node=end.node or "of the job"))


def _blamed(recorded: Outcome, by_slurm: Outcome) -> Outcome:
    blamed = replace(recorded, cause=by_slurm.cause, detail=by_slurm.detail)
    return replace(blamed, exit_code=None, signal=None) if blamed.cause is Cause.LOST else blamed


def _vanished(folder: AttemptFolder, end: End, started: float | None) -> Outcome:
    words = records.last_words(folder)
    said = f": {words}" if words else ""
    if started is not None:
        return Outcome(Cause.LOST, detail=LOST + said, script_started_at=started)
    if end.state == "FAILED" and not end.reason.startswith("RaisedSignal:9("):
        hint = said or (
            f" ({end.reason}): is {folder.path} there, on a file system that the nodes share with "
            "the daemon?"
        )
        where = end.node or "its node"
        return Outcome(Cause.LAUNCH_FAILED, detail=f"the runner did not start on {where}{hint}")
    return Outcome(Cause.LOST, detail=NEVER_STARTED + said)


class Diagnosis(Listener):
    """Says in Slurm's terms why it ended a job."""

    def diagnose(self, failure: Failure) -> str | None:
        detail = failure.outcome.detail
        return detail if detail.startswith(PREFIX) else None
