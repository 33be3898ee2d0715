"""The contract of a listener: a plugin that hears of what happens, and may say why a job failed."""

from collections.abc import Mapping
from dataclasses import dataclass

from runnerd.jobs import Event, Outcome, Resources


@dataclass(frozen=True, slots=True)
class ResolvedEnvironment:
    """What a job's requirements were resolved to; ``lock`` is a pinned requirements file."""

    job_id: str
    key: str
    python_version: str
    lock: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A version of a registered model that the daemon has made. ``job_id`` is None where a person
    registered a run that no job made."""

    name: str
    version: str
    run_id: str | None
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed. ``log_tail`` is the end of its output, ``diagnosis`` what the daemon
    would say of it."""

    job_id: str
    outcome: Outcome
    log_tail: str
    diagnosis: str


@dataclass(frozen=True, slots=True)
class ExecutorRequest:
    """A job that is being submitted and names no executor.

    ``executors`` are those that live nodes open and that can run it, ``chosen`` the one that its
    queue names, None where the node that takes it will use its default.
    """

    queue: str
    experiment_name: str
    model_name: str
    requirements: tuple[str, ...]
    tags: Mapping[str, str]
    resources: Resources
    image: str | None
    executors: tuple[str, ...]
    chosen: str | None


class Listener:
    """Hears of what happens in one daemon, and may decide. Override what you want to hear or be
    asked: nothing else is called.

    Every plugin that builds one is heard, without being selected. The methods are plain functions
    and may block: each plugin has its calls made in threads of its own. An error that a method
    raises is logged, counted in ``runnerd plugins list``, and forgotten; ``TakeOut`` ends all calls
    until the daemon is started again.

    What the daemon promises:

    - told-in-order: Calls of one listener come one at a time, in the order of what happened.
    - told-what-is-true: An event is told after it is stored, by the daemon that stored it, and at
      most once: those of a daemon that dies in between are lost, unless ``open`` asks for them.
    - told-what-was-missed: Where ``open`` gives the id of an event, each later one that is stored
      is told, of every daemon of the queue, in order and before what happens from now on.
    - told-beside-the-work: Nothing waits for an event's listeners, however slow they are. Where
      more than 1000 wait for one plugin, further ones are missed, and counted.
    - cut-off-when-raising: A method that raises, whatever it raises, has no effect on anything
      else.
    - cut-off-when-hanging: A call that takes longer than 10 seconds is given up. Until it ends, the
      plugin is not called, and what it misses is counted.
    - taken-out-on-request: After ``TakeOut`` the listener is not called again.
    - only-what-is-overridden: Methods that are not overridden are never called.

    What a listener promises:

    - any-event: It takes every event in every state, also those of jobs it never heard of.
    - any-thread: It does not matter which thread calls it.
    - returns-in-time: Each call returns within 10 seconds, ``diagnose`` and ``choose_executor``
      within 5, also where what it tells is away.
    """

    def open(self) -> int | None:
        """Get ready, within 10 seconds. Called once and first, when the daemon starts.

        Give the ``id`` of the last event that was heard, to be told what came after it: while no
        daemon ran, and before one died. None, as here: only what happens from now on is told.

        - open-gives-a-place: It gives None or an id that it was told, also where it never was open.
        """
        return None

    def job_changed(self, event: Event) -> None:
        """Hear of a line in a job's history: its submission, each change of its state, its end.

        ``event.kind`` is what happened, ``event.state`` where the job stands since.
        """

    def environment_resolved(self, environment: ResolvedEnvironment) -> None:
        """Hear what a job's requirements were resolved to, before it is launched."""

    def model_registered(self, registration: Registration) -> None:
        """Hear of a model version that a job or a call of the daemon's registry made.

        What MLflow clients register by themselves is not told.
        """

    def diagnose(self, failure: Failure) -> str | None:
        """Say why an attempt failed, in one sentence that becomes the job's ``error``; or None.

        The first listener that gives a sentence is heard; without one the daemon's own stands.

        - diagnosis-in-words: What it gives is None or one line of text.
        """
        return None

    def choose_executor(self, request: ExecutorRequest) -> str | None:
        """Choose what runs a job that is being submitted: one of ``request.executors``; or None.

        Called for each submission that names no executor, which waits for the answer. The first
        listener that gives one is heard, before the queue's own choice; what is not among
        ``request.executors`` counts as a failed call, and as None.

        - choice-among-executors: What it gives is None or one of ``request.executors``.
        """
        return None

    def close(self) -> None:
        """Let go of everything, within 5 seconds. Called once, when the daemon stops.

        - close-any-time: It is also called where nothing was ever told.
        """


TOLD = ("job_changed", "environment_resolved", "model_registered")
ASKED = ("diagnose", "choose_executor")


def heard_by(listener: Listener) -> tuple[str, ...]:
    """Give the names of the methods that a listener overrides."""
    kind = type(listener)
    return tuple(n for n in (*TOLD, *ASKED) if getattr(kind, n) is not getattr(Listener, n))


def opens(listener: Listener) -> bool:
    """Tell whether a listener overrides ``open``."""
    return type(listener).open is not Listener.open
