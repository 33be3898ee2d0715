"""Phases as OpenTelemetry's spans. The one module that imports OpenTelemetry: ``runnerd[otel]``."""

from collections.abc import Mapping
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

import runnerd
from runnerd.traces.context import TraceContext, is_sampled, span_id
from runnerd.traces.history import JOB, Phase, Value

SEND_SECONDS = 10.0


class OtlpSender:
    """Takes spans to a collector in a thread of its own, many at a time.

    ``endpoint`` is the whole address, as ``http://localhost:4318/v1/traces``. ``ratio`` is the part
    of all traces that is sent, where the client does not say itself whether its trace is.
    """

    def __init__(self, endpoint: str, ratio: float, node: str) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)
        self._processor = BatchSpanProcessor(exporter)
        self._ratio = ratio
        self._scope = InstrumentationScope("runnerd", runnerd.__version__)
        self._resource = Resource.create(
            {
                "service.name": "runnerd",
                "service.version": runnerd.__version__,
                "service.instance.id": node,
            }
        )

    def send(
        self,
        job_id: str,
        context: TraceContext,
        phases: list[Phase],
        attributes: Mapping[str, Value],
    ) -> None:
        """Take a job's trace; spans that there is no room for are dropped."""
        if not is_sampled(job_id, context, self._ratio):
            return
        for phase in phases:
            told = {**attributes, **phase.attributes} if phase.name == JOB else phase.attributes
            self._processor.on_end(self._span(job_id, context, phase, told))

    def close(self) -> None:
        """Send what is left."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _span(
        self, job_id: str, context: TraceContext, phase: Phase, told: Mapping[str, Value]
    ) -> ReadableSpan:
        parent = context.parent if phase.within is None else _id_of(job_id, phase.within)
        error = phase.error
        return ReadableSpan(
            phase.name,
            context=_context(context.trace_id, _id_of(job_id, phase)),
            parent=None if parent is None else _context(context.trace_id, parent),
            resource=self._resource,
            attributes={f"runnerd.{name}": value for name, value in told.items()},
            kind=SpanKind.SERVER if phase.name == JOB else SpanKind.INTERNAL,
            status=Status(StatusCode.OK) if error is None else Status(StatusCode.ERROR, error),
            start_time=_nanoseconds(phase.start),
            end_time=_nanoseconds(phase.end),
            instrumentation_scope=self._scope,
        )


def _id_of(job_id: str, phase: Phase) -> int:
    return span_id(job_id, phase.name, phase.event_id)


def _context(trace_id: int, number: int) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id, number, is_remote=False, trace_flags=sampled)


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000
