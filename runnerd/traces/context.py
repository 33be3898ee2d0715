"""Which trace a job belongs to: its client's, or one of its own."""

import hashlib
import re
from dataclasses import dataclass

# https://www.w3.org/TR/trace-context/: later versions may go on after the flags.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """``parent`` is the client's span, ``sampled`` its wish; both None in a trace of our own."""

    trace_id: int
    parent: int | None = None
    sampled: bool | None = None


def read_traceparent(header: str) -> TraceContext | None:
    """Read a W3C ``traceparent``; None where it is none."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None:
        return None
    trace_id, parent = int(match[1], 16), int(match[2], 16)
    if not trace_id or not parent:
        return None
    return TraceContext(trace_id, parent, bool(int(match[3], 16) & _SAMPLED))


def own_context(job_id: str) -> TraceContext:
    """Give the trace of a job whose client brought none: the job's id is the trace's."""
    return TraceContext(int(job_id, 16))


def is_sampled(job_id: str, context: TraceContext, ratio: float) -> bool:
    """Tell whether a job's trace is sent: as its client wishes, else by ``ratio``, 0 to 1.

    Not by the bits of the trace's id, as OpenTelemetry does it: some of them are the same in all.
    """
    if context.sampled is not None:
        return context.sampled
    return _number(job_id) < ratio * 2**64


def span_id(job_id: str, name: str, event_id: int) -> int:
    """Give the id of what began with a line of a job's history: every daemon comes to the same."""
    return _number(f"{job_id}/{name}/{event_id}") or 1


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
