"""How things stand: gauges that are read when somebody asks, from memory alone."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from platform import python_version
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import runnerd
from runnerd.metrics.history import OTHER_QUEUE
from runnerd.metrics.instruments import Metrics
from runnerd.plugins.installed import Installed
from runnerd.scheduler import Depths, HealthBoard, Intake
from runnerd.store import QueueDepth

PARTS = ("storage", "tracking", "executor")


class Disk(NamedTuple):
    """A file system's bytes, as ``shutil.disk_usage`` gives them."""

    total: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the gauges read. ``queues`` have labels of their own; ``slots`` is how many jobs may
    run here; ``disk`` measures the one under the data
    folder; ``workers`` and ``resolutions`` count by the words of their label."""

    node: str
    queues: Collection[str]
    slots: int
    board: HealthBoard
    intake: Intake
    installed: Sequence[Installed]
    disk: Callable[[], Disk]
    workers: Callable[[], Mapping[str, int]]
    resolutions: Callable[[], Mapping[str, int]]

    def collect(self) -> Iterator[Metric]:
        """Give every family, also those that have no value yet."""
        yield _info(self.node)
        yield from _queues(self.board.depths, frozenset(self.queues))
        yield from _nodes(self.board.depths)
        yield from _intake(self.intake, self.slots)
        yield from _health(self.board)
        yield from _hooks(self.installed)
        yield from _disk(self.disk())
        yield _by_word(
            GaugeMetricFamily,
            "runnerd_model_workers",
            "Processes that hold a model, by what they do.",
            "state",
            self.workers(),
        )
        yield _by_word(
            CounterMetricFamily,
            "runnerd_environment_resolutions_total",
            "Requirements that were asked for: `known` ones were answered from the disk, "
            "`resolved` ones by the index.",
            "answer",
            self.resolutions(),
        )


@dataclass(frozen=True, slots=True)
class Exposition:
    """Everything at one address: what is counted as it happens, and how things stand."""

    metrics: Metrics
    standing: Standing

    def collect(self) -> Iterable[Metric]:
        """Give every family once."""
        for family in (*self.metrics.registry.collect(), *self.standing.collect()):
            # Since when something is counted is the process's own start for all that matters.
            family.samples = [each for each in family.samples if not _is_birth(each.name)]
            yield family


def _is_birth(sample: str) -> bool:
    return sample.endswith("_created")


def _by_word(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    help_text: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    made = family(name, help_text, labels=(label,))
    for word, value in values.items():
        made.add_metric((word,), value)
    return made


def _info(node: str) -> Metric:
    labels = {"version": runnerd.__version__, "python": python_version(), "node": node}
    family = GaugeMetricFamily(
        "runnerd_build_info", "Which runnerd this is; always 1.", labels=tuple(labels)
    )
    family.add_metric(tuple(labels.values()), 1)
    return family


def _queues(depths: Depths | None, names: frozenset[str]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(
        "runnerd_queue_jobs",
        "Jobs that wait in a queue (`queued`) or are being carried out (`live`), on all nodes.",
        labels=("queue", "state"),
    )
    oldest = GaugeMetricFamily(
        "runnerd_queue_oldest_timestamp_seconds",
        "Since when the longest waiting job of a queue could be claimed; "
        "no value where none waits.",
        labels=("queue",),
    )
    parked = GaugeMetricFamily(
        "runnerd_jobs_parked", "Jobs that wait for a person to release them."
    )
    counted = GaugeMetricFamily(
        "runnerd_counted_timestamp_seconds",
        "When the database last told how much waits and who is there.",
    )
    if depths is not None:
        for name, depth in _by_label(depths.queues, names).items():
            jobs.add_metric((name, "queued"), depth.queued)
            jobs.add_metric((name, "live"), depth.live)
        since: dict[str, float] = {}
        for name, moment in depths.oldest.items():
            label = name if name in names else OTHER_QUEUE
            since[label] = min(moment.timestamp(), since.get(label, float("inf")))
        for label, moment_of_label in since.items():
            oldest.add_metric((label,), moment_of_label)
        parked.add_metric((), depths.parked)
        counted.add_metric((), depths.at.timestamp())
    yield from (jobs, oldest, parked, counted)


def _by_label(queues: Mapping[str, QueueDepth], names: frozenset[str]) -> dict[str, QueueDepth]:
    depths = {name: queues.get(name, QueueDepth()) for name in sorted(names)}
    others = [depth for name, depth in queues.items() if name not in names]
    if others:
        depths[OTHER_QUEUE] = QueueDepth(
            sum(depth.queued for depth in others), sum(depth.live for depth in others)
        )
    return depths


def _nodes(depths: Depths | None) -> Iterator[Metric]:
    nodes = GaugeMetricFamily(
        "runnerd_nodes",
        "Daemons that share the database: `alive`, or `lost` with jobs in their hands.",
        labels=("condition",),
    )
    expired = GaugeMetricFamily(
        "runnerd_leases_expired", "Live jobs whose daemon has not renewed their lease in time."
    )
    if depths is not None:
        nodes.add_metric(("alive",), sum(node.alive for node in depths.nodes))
        lost = (node for node in depths.nodes if not node.alive and node.live_jobs)
        nodes.add_metric(("lost",), len(list(lost)))
        expired.add_metric((), sum(node.expired_leases for node in depths.nodes))
    yield from (nodes, expired)


def _intake(intake: Intake, slots: int) -> Iterator[Metric]:
    in_hand = "Jobs that this daemon carries."
    draining = "1 while the daemon claims no job because it was told to drain."
    yield GaugeMetricFamily("runnerd_jobs_in_hand", in_hand, value=intake.in_hand)
    yield GaugeMetricFamily("runnerd_slots", "Jobs that this daemon may run at a time.", slots)
    yield GaugeMetricFamily("runnerd_draining", draining, value=int(intake.draining))


def _health(board: HealthBoard) -> Iterator[Metric]:
    healthy = GaugeMetricFamily(
        "runnerd_plugin_healthy", "1 where the last probe found a part healthy.", labels=("part",)
    )
    probed = GaugeMetricFamily(
        "runnerd_plugin_probed_timestamp_seconds",
        "When a part was last probed.",
        labels=("part",),
    )
    for part in (*PARTS, *sorted(board.sightings.keys() - PARTS)):
        healthy.add_metric((part,), int(board.of(part).healthy))
        if part in board.sightings:
            probed.add_metric((part,), board.sightings[part].at.timestamp())
    yield from (healthy, probed)


def _disk(disk: Disk) -> Iterator[Metric]:
    free = "Bytes that are free on the file system of the data folder."
    size = "Bytes that the file system of the data folder holds."
    yield GaugeMetricFamily("runnerd_data_dir_free_bytes", free, value=disk.free)
    yield GaugeMetricFamily("runnerd_data_dir_size_bytes", size, value=disk.total)


def _hooks(installed: Iterable[Installed]) -> Iterator[Metric]:
    called = CounterMetricFamily(
        "runnerd_hook_calls_total", "Calls of plugins' listeners.", labels=("plugin",)
    )
    failed = CounterMetricFamily(
        "runnerd_hook_failures_total",
        "Calls of plugins' listeners that raised, or took too long.",
        labels=("plugin",),
    )
    missed = CounterMetricFamily(
        "runnerd_hook_missed_total",
        "Calls of plugins' listeners that were never made: too many waited, or one hung.",
        labels=("plugin",),
    )
    for plugin in installed:
        called.add_metric((plugin.name,), plugin.tally.calls)
        failed.add_metric((plugin.name,), plugin.tally.failures)
        missed.add_metric((plugin.name,), plugin.tally.missed)
    yield from (called, failed, missed)
