"""What runs a submission: the executor that it, a plugin or its queue names, and the image."""

from collections.abc import Sequence
from dataclasses import dataclass

from runnerd.api.bodies import problem_of_field
from runnerd.api.schemas.training import TrainingFields
from runnerd.api.services import Services
from runnerd.jobs import NodeExecutors, Resources, names_of
from runnerd.plugins import ExecutorRequest
from runnerd.settings import QueueSettings


@dataclass(frozen=True, slots=True)
class Choice:
    """An executor, None for the default of the node that takes the job, and the job's image."""

    executor: str | None = None
    image: str | None = None


async def choice_of(
    services: Services,
    fields: TrainingFields,
    queue_name: str,
    queue: QueueSettings,
    resources: Resources,
) -> Choice:
    """Choose what runs a submission. Raises ``Problem`` 422 for what no live node opens.

    The submission itself comes first, then plugins, the queue, and the node's default.
    """
    asks = fields.executor is None and services.listeners.choose_executors
    if not asks and not any((fields.executor, fields.image, queue.executor, queue.image)):
        return Choice()
    nodes = await _live_executors(services)
    executor = fields.executor or queue.executor
    if asks:
        request = ExecutorRequest(
            queue=queue_name,
            experiment_name=fields.experiment_name,
            model_name=fields.model_name,
            requirements=tuple(fields.requirements),
            tags=fields.tags,
            resources=resources,
            image=fields.image,
            executors=_able(nodes, resources, fields.image),
            chosen=queue.executor,
        )
        executor = await services.listeners.chosen_executor(request) or executor
    if executor is not None and executor not in names_of(nodes):
        known = ", ".join(names_of(nodes))
        raise problem_of_field(
            "executor", f"no live node opens the executor {executor!r}: use one of {known}"
        )
    return _with_image(nodes, executor, fields.image, queue.image)


async def _live_executors(services: Services) -> list[NodeExecutors]:
    others = [
        node.executors
        for node in await services.store.list_nodes()
        if node.alive and node.executors is not None and node.name != services.settings.node
    ]
    return [services.executors.offered, *others]


def _able(
    nodes: Sequence[NodeExecutors], resources: Resources, image: str | None
) -> tuple[str, ...]:
    """List the executors that could run such a job."""
    return tuple(
        name
        for name in names_of(nodes)
        if (image is None or _runs_images(nodes, name))
        and any(node.can_run(name, resources) for node in nodes if name in node.opened)
    )


def _runs_images(nodes: Sequence[NodeExecutors], executor: str) -> bool:
    return any(node.opened[executor].images for node in nodes if executor in node.opened)


def _with_image(
    nodes: Sequence[NodeExecutors], executor: str | None, asked: str | None, of_queue: str | None
) -> Choice:
    """Add the image, and to an image that was asked for an executor that runs it."""
    running = [name for name in names_of(nodes) if _runs_images(nodes, name)]
    own_default = nodes[0].default
    if executor is None and own_default in running and (asked or of_queue):
        executor = own_default
    if asked is None:
        return Choice(executor, of_queue if executor in running else None)
    if executor in running:
        return Choice(executor, asked)
    if executor is None and running:
        return Choice(running[0], asked)
    able = f"use one of {', '.join(running)}" if running else "no live node opens one that does"
    which = f"the executor {executor!r} runs no images" if executor else "it needs an executor"
    raise problem_of_field("image", f"{which}: leave it out, or {able}")
