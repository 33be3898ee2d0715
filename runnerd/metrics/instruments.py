"""The instruments: counters and histograms that move when something happens in this daemon."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from runnerd.jobs import TERMINAL_STATES, Cause

SUCCEEDED = "succeeded"
# The words of the labels that have a fixed set of them.
CAUSES = (SUCCEEDED, *(cause.value for cause in Cause))
STATES = tuple(sorted(state.value for state in TERMINAL_STATES))

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
_LAUNCH = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_SCRIPT = (1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400)


class Metrics:
    """One daemon's instruments, in a registry of their own. Used on the daemon's event loop.

    Every label has a bounded set of values: words of the code, names of the settings, addresses
    that the application registers. No id, no name that a client chose.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.submitted = Counter(
            "runnerd_jobs_submitted_total", "Jobs that were submitted here.", registry=registry
        )
        self.jobs_ended = Counter(
            "runnerd_jobs_ended_total",
            "Jobs that came to their end, by the state they ended in.",
            ("state",),
            registry=registry,
        )
        self.attempts_ended = Counter(
            "runnerd_attempts_ended_total",
            "Attempts that ended, by cause; `succeeded` is an exit with code 0.",
            ("cause",),
            registry=registry,
        )
        self.retried = Counter(
            "runnerd_attempts_retried_total",
            "Attempts that were followed by another one by themselves.",
            registry=registry,
        )
        self.waited = Histogram(
            "runnerd_job_wait_seconds",
            "From the moment a job could be claimed to its claim.",
            ("queue",),
            buckets=_WAIT,
            registry=registry,
        )
        self.launched = Histogram(
            "runnerd_job_launch_seconds",
            "From a job's claim to the start of its script; `built` where an environment was "
            "built for it, `kept` where it was there.",
            ("environment",),
            buckets=_LAUNCH,
            registry=registry,
        )
        self.script = Histogram(
            "runnerd_script_seconds",
            "How long scripts ran, whatever ended them.",
            buckets=_SCRIPT,
            registry=registry,
        )
        self.calls = Histogram(
            "runnerd_plugin_call_seconds",
            "How long calls of the storage, the tracker and the executor took, failed ones too; "
            "a download counts up to its first byte.",
            ("part", "verb"),
            buckets=_SHORT,
            registry=registry,
        )
        self.call_errors = Counter(
            "runnerd_plugin_call_errors_total",
            "Calls that failed: `away` is waited for, `refused` and `not_found` are answers, "
            "`bug` is an exception that the contract does not allow.",
            ("part", "verb", "error"),
            registry=registry,
        )
        self.requests = Counter(
            "runnerd_http_requests_total",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "runnerd_http_request_seconds",
            "From a request's head to that of its answer.",
            ("route",),
            buckets=_SHORT,
            registry=registry,
        )
        self.in_flight = Gauge(
            "runnerd_http_requests_in_flight",
            "Requests that are being answered, streams included.",
            registry=registry,
        )
        self.heartbeat_at = Gauge(
            "runnerd_heartbeat_timestamp_seconds",
            "When the daemon last renewed its leases; 0 before the first time.",
            registry=registry,
        )
        self.heartbeat_failures = Counter(
            "runnerd_heartbeat_failures_total",
            "Heartbeats that did not reach the database.",
            registry=registry,
        )
        for state in STATES:
            self.jobs_ended.labels(state)
        for cause in CAUSES:
            self.attempts_ended.labels(cause)
