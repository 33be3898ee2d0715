"""The contract of an executor plugin: where and how attempts run."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from runnerd.jobs import Cause, EnvironmentPlan, Handle, Outcome, Resources
from runnerd.plugins.health import Health


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """Everything an attempt needs, complete: an executor asks nobody else.

    ``attempt_id`` is unique for ever. ``folder`` is a private, empty or half-prepared folder of
    this attempt on the daemon's host. ``variables`` is the script's whole environment.
    ``timeout`` and ``grace_seconds`` are in seconds, ``log_limit`` in bytes.
    ``resources`` is what the job asked for; room for it is kept, and an executor that can hold the
    job to it does. ``gpus`` are the indexes of its devices, None where the node counts none.
    ``image`` is what the attempt runs in, None for the executor's own choice; it is only ever set
    for an executor that declares ``runs_images``.
    """

    attempt_id: str
    folder: Path
    script_name: str
    script: str
    environment: EnvironmentPlan
    timeout: float
    grace_seconds: float
    log_limit: int
    variables: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    gpus: tuple[int, ...] | None = None
    image: str | None = None


class Progress(StrEnum):
    """What a watched attempt is doing."""

    BUILDING = "building"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing seen while watching. ``outcome`` is set exactly when ``progress`` is ``ENDED``.

    ``at`` is seconds since the epoch, by the clock of the machine the attempt runs on.
    """

    progress: Progress
    at: float
    outcome: Outcome | None = None


class Verdict(StrEnum):
    """What became of an attempt that an earlier daemon launched.

    ``adopted``: it runs and can be watched. ``ended``: its end is recorded; ``watch`` gives it at
    once. ``never_ran``: on evidence, the script did not start; the same attempt may be launched
    again. ``gone``: it started, and neither it nor a record of its end is there.
    """

    ADOPTED = "adopted"
    ENDED = "ended"
    NEVER_RAN = "never_ran"
    GONE = "gone"


class ExecutorCapability(StrEnum):
    """What an executor may do beyond what all of them do.

    ``capacity``: it knows the most that one attempt can be given. ``engine``: its engine is reached
    from other machines too, so that a daemon there can carry on its attempts. ``reach``: it can ask
    for an address from where scripts run.
    """

    CAPACITY = "capacity"
    ENGINE = "engine"
    REACH = "reach"


class Executor(ABC):
    """Runs attempts: each one script, in its environment, on whatever machine the engine picks.

    **When.** The daemon builds each executor that its settings name at its start and calls ``open``
    once before any other verb, ``health`` every few seconds, and ``close`` once at its end. For an
    attempt it calls ``handle_for`` and ``launch``, or ``adopt`` for one that an earlier daemon
    launched; then one ``watch`` at a time, with ``stop`` and the two log verbs at any moment beside
    it; and ``release`` last. A verb that did not answer, or whose answer was lost with the daemon,
    is called again: what the rules call safe to repeat must be.

    **Where.** All verbs are called on the daemon's event loop: what blocks belongs in a thread.

    ``capabilities`` declares what the executor can do beyond the rest: a verb that belongs to a
    capability which is not declared is never called, and need not be given. ``runs_images`` says
    that a job may choose the image that it runs in; without it such a job is refused.

    - attempts-side-by-side: Verbs for different attempts run at the same time and do not wait for
      each other.
    - nothing-runs-on: When an attempt has ended, nothing of it is alive, wherever its script put
      it: children, orphans, processes in sessions of their own.
    - script-variables: The script sees the request's ``variables``, unchanged, and none of the
      daemon's. Added are ``RUNNERD_ATTEMPT_ID`` and ``VIRTUAL_ENV``, and the environment's programs
      in front of ``PATH``.
    - script-interpreter: The script runs in the environment of the plan, in a working folder of its
      own in which nothing but the script lies.
    - script-name: Whatever ``script_name`` is, the script becomes a plain file in its folder, and
      can not lead out of it.
    - script-open-files: The script reads nothing from its input, and inherits no other open file
      than its output, and no blocked signal.
    - exit-code: The outcome has the script's own exit code, of 0 to 255, exactly.
    - exit-signal: The outcome has the number of the signal that killed the script, exactly.
    - out-of-time: After ``timeout`` seconds of the script's own time it gets SIGTERM, after
      ``grace_seconds`` more SIGKILL; building the environment does not count. The cause is
      ``TIMEOUT``, with the exit code of a script that used its grace.
    - log-limit: A script whose output grows over ``log_limit`` bytes is ended by ``LOG_LIMIT``, and
      the first ``log_limit`` bytes are kept.
    - build-failed: Where the environment can't be built the attempt ends with ``BUILD_FAILED`` and
      the builder's own reason in ``detail``, and the script does not start.
    - launch-failed: Where the script can't be started in its environment the attempt ends with
      ``LAUNCH_FAILED`` and the reason in ``detail``.
    """

    capabilities: frozenset[ExecutorCapability] = frozenset()
    runs_images: ClassVar[bool] = False

    @abstractmethod
    async def open(self) -> None:
        """Get ready. Called once, before any other verb; bounded by a minute.

        Any error here keeps the daemon from starting, with the error's text as the reason.

        - open-after-anything: It does not matter how the executor before ended: what a killed
          daemon left behind does not keep this one from opening.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the daemon's side. Called once, also where ``open`` failed.

        - close-leaves-attempts: Running attempts go on.
        - close-unopened: It does not fail where ``open`` failed or never was.
        """

    @abstractmethod
    async def health(self) -> Health:
        """Probe the engine; called every five seconds, in the background, beside everything else.

        - health-when-ready: An opened executor that can launch is ``HEALTHY``.
        - health-never-raises: It gives an answer within five seconds and raises nothing, also where
          the engine is away.
        - health-says-what-to-do: What is not healthy has a ``detail`` that says what was seen.
        """

    @abstractmethod
    async def launch(self, request: LaunchRequest) -> Handle:
        """Start the attempt, and give its handle as ``handle_for`` did.

        Called at most once at a time for an attempt; again only where the try before raised an
        error that asks for it, and after ``adopt`` said ``NEVER_RAN``. Returns when it is certain
        that the attempt outlives the daemon: building and running go on behind it.

        Errors: ``BackendAway`` (the daemon tries again), ``OutOfSpace`` (it tries again),
        ``FailJob`` (it fails the job with the text as its reason).

        - launch-outlives-daemon: Once ``launch`` has returned, the attempt runs to its end whatever
          becomes of the process that launched it.
        - launch-while-running: An attempt that is still running is not launched beside itself:
          ``BackendAway``.
        - launch-after-end: A script that has run is never run again under the same ``attempt_id``:
          ``FailJob``.
        - launch-over-leftovers: What a launch that failed half-way left behind is taken over or
          cleared away.
        """

    @abstractmethod
    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        """Give the handle that ``launch`` of this attempt will return.

        The daemon stores it before it launches, so that an attempt is found again even where the
        daemon died between launching and hearing of it. The handle is a version number, which the
        executor raises when it changes the form of ``state``, and text that is its own affair.

        - handle-is-known-before: It depends on its arguments and the settings alone: no I/O, the
          same from every daemon with these settings, and equal to what ``launch`` gives.
        """

    @abstractmethod
    async def adopt(self, handle: Handle) -> Verdict:
        """Find out what became of an attempt that was launched, or was about to be.

        Called for each live attempt when a daemon starts, before ``watch``; again where the answer
        did not come. Errors: ``BackendAway`` (it is called again), ``FailJob`` (the job fails).

        - adopt-running: An attempt that builds or runs is ``ADOPTED``: it can be watched, stopped
          and read like one's own.
        - adopt-ended: An end that was recorded while no daemon was there is ``ENDED``.
        - adopt-never-ran: ``NEVER_RAN`` is said on evidence only: the script did not start, and it
          will not.
        - adopt-gone: An attempt whose script started, and of which neither a process nor a record
          of its end is there, is ``GONE``; whatever is left of it is ended.
        - adopt-again: Asking changes nothing: the same question has the same answer.
        - adopt-unknown-version: A handle of a version that this executor does not know is a
          ``FailJob`` that names both versions.
        """

    @abstractmethod
    def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        """Yield what happens, from where the attempt stands now, up to and with its end.

        One watch at a time for an attempt, for as long as it takes; begun again after an error or
        a restart. Errors: ``BackendAway`` (it is begun again), ``FailJob`` (the job fails).

        - watch-order: It yields ``BUILDING`` where an environment is built, ``RUNNING`` when the
          script has started, and one ``ENDED`` with the outcome, which is the last; no step twice.
        - watch-times: The outcome has the times at which the script started and ended, by the clock
          of the machine it ran on; none of a script that did not start.
        - watch-after-end: For an attempt that has ended it gives the outcome at once, as often as
          it is asked.
        - watch-left-early: Leaving the iterator has no effect on the attempt.
        - watch-lost: An attempt that vanishes without a record of its end is ended with ``LOST``.
        """

    @abstractmethod
    async def stop(self, handle: Handle, cause: Cause) -> None:
        """Ask for the end of everything that the attempt runs: SIGTERM, the grace, SIGKILL.

        Returns at once; ``watch`` tells the end. Called at any moment after ``launch`` or
        ``adopt``, also more than once. Errors: ``BackendAway`` (it is called again).

        - stop-carries-cause: The outcome of an attempt that the stop ended has its ``cause``.
        - stop-at-any-time: It works while the environment is being built, before the script
          started.
        - stop-again: It is safe to repeat, and the first cause stands.
        - stop-after-end: It changes nothing about an attempt that has ended.
        """

    @abstractmethod
    async def log_size(self, handle: Handle) -> int:
        """Give the number of bytes of output written so far.

        Called often: for every follower of a log, several times a second.
        Errors: ``BackendAway`` (503, or it is called again).

        - log-before-output: An attempt without output yet, or not launched yet, has 0 bytes.
        """

    @abstractmethod
    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        """Give up to ``limit`` bytes of the output from byte ``start``; empty at its end.

        Called as often as ``log_size``, and also long after the attempt ended, by any daemon.
        Errors: ``BackendAway`` (503, or it is called again).

        - log-exact: Standard output and standard error arrive in the order in which they were
          written, byte for byte, also what is no text.
        - log-whole: When ``ENDED`` is told the whole output can be read.
        - log-range: A range that lies behind the end is empty, one that reaches over it is cut.
        """

    @abstractmethod
    async def release(self, handle: Handle) -> None:
        """Free what the attempt holds in the engine; its outcome is stored and it is not watched.

        Called once its job needs nothing more of it; again where the daemon can't be sure.
        Errors: ``BackendAway`` (it is called again).

        - release-again: It is safe to repeat, also where nothing is left to free.
        - release-keeps-log: The log stays readable.
        - release-forgets-secrets: The values of ``variables`` are nowhere in ``folder`` any more.
        """

    async def capacity(self) -> Resources:
        """Give the most that one attempt can be given; needs the capability ``CAPACITY``.

        Called in the background, every half minute. A job that asks for more than any executor can
        give is refused when it is submitted. Errors: ``BackendAway`` (the last answer stands).

        - capacity-admits: An attempt that asks for no more than this can be launched.
        """
        raise NotImplementedError("an executor that declares CAPACITY has to give it")

    async def engine(self) -> str:
        """Give the engine's own identity; needs the capability ``ENGINE``.

        It is the same from wherever the engine is reached, and no other engine has it: two clusters
        differ in it, and two namespaces of one where an attempt of the one is not found from the
        other. Called in the background, every half minute. When a node dies, a live daemon that
        opened an executor of the same engine adopts the node's attempts.
        Errors: ``BackendAway`` (the last answer stands).

        - engine-shares-attempts: What one executor launched, another of the same engine, which has
          a data folder of its own, adopts, watches, stops, reads and releases by its handle.
        - engine-runs-once: What runs or has run in the engine is launched by no other executor of
          it.
        """
        raise NotImplementedError("an executor that declares ENGINE has to give it")

    async def reach(self, url: str) -> str | None:
        """Ask for an HTTP address from where scripts run; needs the capability ``REACH``.

        Gives None where it answers with success, else what was met instead, for people. Called by
        ``runnerd doctor``, on an executor that nobody opened. Errors: ``BackendAway``, ``FailJob``.

        - reach-from-inside: An address that scripts reach gives None, one that they don't a reason.
        """
        raise NotImplementedError("an executor that declares REACH has to give it")
