"""One trace a job, from its submission to its end, for OpenTelemetry; an option.

A trace is made of the job's stored history when the job is over. So it is whole however often
the daemon was restarted meanwhile, and nothing of it has to be kept in memory.
"""

from runnerd.traces.context import TraceContext, own_context, read_traceparent
from runnerd.traces.history import Phase, phases_of
from runnerd.traces.sending import Sender, Tracing, tracing

__all__ = [
    "Phase",
    "Sender",
    "TraceContext",
    "Tracing",
    "own_context",
    "phases_of",
    "read_traceparent",
    "tracing",
]
