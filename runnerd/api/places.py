"""Where in which line a submission goes, and what it takes: checked against what there is."""

from dataclasses import dataclass

from runnerd.api.bodies import problem_of_field
from runnerd.api.choices import Choice, choice_of
from runnerd.api.schemas.training import TrainingFields
from runnerd.api.services import Services
from runnerd.jobs import DEFAULT_QUEUE, Resources
from runnerd.store import NodeRecord, could_run, given_by


@dataclass(frozen=True, slots=True)
class Place:
    """A job's queue, its priority there, what it takes of a node, and what runs it in what."""

    queue: str
    priority: int
    resources: Resources
    executor: str | None = None
    image: str | None = None


async def place_of(services: Services, fields: TrainingFields) -> Place:
    """Complete what a submission left out. Raises ``Problem`` 422 for what nobody can give."""
    settings = services.settings
    name = DEFAULT_QUEUE if fields.queue is None else fields.queue
    queue = settings.queue(name)
    if queue is None:
        known = ", ".join(settings.queue_names())
        raise problem_of_field("queue", f"{name!r} is no queue here: use one of {known}")
    jobs = settings.jobs
    resources = Resources(
        cpus=jobs.default_cpus if fields.cpus is None else fields.cpus,
        memory_bytes=jobs.default_memory_bytes if fields.memory is None else fields.memory,
        gpus=jobs.default_gpus if fields.gpus is None else fields.gpus,
    )
    choice = await choice_of(services, fields, name, queue, resources)
    if not resources.is_nothing:
        await _require(services, choice, resources)
    priority = queue.priority if fields.priority is None else fields.priority
    return Place(name, priority, resources, choice.executor, choice.image)


async def _require(services: Services, choice: Choice, asked: Resources) -> None:
    """Refuse what no node could give even when it is idle; one that is away may come back."""
    nodes = await services.store.list_nodes()
    if not nodes or _has_any(nodes, choice, asked):
        return
    asked_alone = {
        "cpus": Resources(cpus=asked.cpus),
        "memory": Resources(memory_bytes=asked.memory_bytes),
        "gpus": Resources(gpus=asked.gpus),
    }
    given = [alone for alone in asked_alone if not asked_alone[alone].is_nothing]
    lacking = [field for field in given if not _has_any(nodes, choice, asked_alone[field])]
    by = "" if choice.executor is None else f" for {choice.executor!r}"
    raise problem_of_field(
        (lacking or given)[0],
        f"asks for more than there is: no node has {asked.in_words()}{by}; {given_by(nodes)}",
    )


def _has_any(nodes: list[NodeRecord], choice: Choice, asked: Resources) -> bool:
    return any(could_run(node, choice.executor, asked) for node in nodes)
